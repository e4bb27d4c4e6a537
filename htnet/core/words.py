"""Numbers and names in messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

#: Maximum number of samples or names that a message lists.
LISTED = 5


def counted(count: int, what: str) -> str:
    """Text such as "1 sample" and "3 samples"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def people_counted(count: int) -> str:
    """Text such as "1 person" and "3 people"."""
    return f"{count} {'person' if count == 1 else 'people'}"


def listed(names: Sequence[str]) -> str:
    """Text such as "3 samples ('a', 'b', 'c')", shortened when there are many."""
    shown = ", ".join(repr(n) for n in names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    return f"{counted(len(names), 'sample')} ({shown})"


def ordered_names(given: object) -> tuple[str, ...]:
    """The names in a list that a user gave; () if it is none: a single text, a set, which has no order, or numbers."""
    several: Any = given
    if isinstance(several, (str, bytes, Set, Mapping)) or not isinstance(several, Iterable):
        return ()
    names = tuple(several)
    return tuple(map(str, names)) if all(isinstance(name, str) for name in names) else ()


def spelled_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that differ only in case or blanks, or not at all; None if there are none."""
    spellings: dict[str, str] = {}
    for name in names:
        key = " ".join(name.casefold().split())
        if key in spellings:
            return spellings[key], name
        spellings[key] = name
    return None


def in_bytes(size: int) -> str:
    """Text such as "9 kB" and "8.9 MB" (decimal units)."""
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.0f} kB"


def abridged(note: str) -> str:
    """Shorten a note for the screen: of the names after its last colon, keep the first `LISTED` and state the total."""
    head, colon, names = note.rpartition(": ")
    # A name may be followed by a reason in parentheses, which may contain a comma.
    each = re.split(r", (?![^(]*\))", names.removesuffix("."))
    if not colon or len(each) <= LISTED or ". " in names:
        return note
    return f"{head}: {', '.join(each[:LISTED])}, ... ({len(each)} in all)."
