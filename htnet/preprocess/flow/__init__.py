"""Optical flow: its methods, its images, and what is computed from it."""

from htnet.core.deprecated import serve_old_names

serve_old_names(__name__)
