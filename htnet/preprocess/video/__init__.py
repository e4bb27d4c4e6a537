"""Recordings and clips: readers, time stamps, quality, spotting."""

from htnet.core.deprecated import serve_old_names

serve_old_names(__name__)
