"""Recordings and clips: readers, time stamps, quality, spotting."""
