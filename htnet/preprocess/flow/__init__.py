"""Optical flow: methods, flow images, and features computed from flow."""

from htnet.core.deprecated import serve_old_names

serve_old_names(__name__)
