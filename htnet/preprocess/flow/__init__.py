"""Optical flow: its methods, its images, and what is computed from it."""
