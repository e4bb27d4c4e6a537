"""Warnings about results that there are reasons to doubt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from htnet.core.types import QualityWarning
from htnet.core.warn import warn_user
from htnet.core.words import LISTED


def warn_doubts(found: Iterable[tuple[str, Sequence[QualityWarning]]]) -> None:
    """Issue one warning for each reason to doubt some of several results.

    Args:
        found: name of each result, such as "sample 's1'", and its reasons.
    """
    of: dict[str, tuple[str, list[str]]] = {}
    for name, doubts in found:
        for doubt in {doubt.code: doubt for doubt in reversed(doubts)}.values():
            of.setdefault(doubt.code, (doubt.message, []))[1].append(name)
    for code, (message, names) in of.items():
        rest = ", ".join(names[1 : LISTED + 1]) + (", ..." if len(names) > LISTED + 1 else "")
        also = f" The same ({code}) applies to {len(names) - 1} more: {rest}." if rest else ""
        warn_user(f"{names[0][:1].upper()}{names[0][1:]}: {message}{also}")
