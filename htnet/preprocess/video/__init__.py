"""Recordings and clips: readers, time stamps, quality, spotting."""

from typing import Any

from htnet.core.deprecated import moved_name


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
