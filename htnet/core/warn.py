"""Warnings that point to the user's own line."""

from __future__ import annotations

import sys
import warnings


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning for the innermost line outside htnet, however deep inside the library this is called."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None:
        frame = frame.f_back
        room = str(frame.f_globals.get("__name__", "")).split(".")[0]
        if room == "importlib":  # `warnings` does not count its frames either
            continue
        level += 1
        if room not in ("htnet", "contextlib"):  # functions of htnet may have a context as decorator
            break
    warnings.warn(message, category, level)
