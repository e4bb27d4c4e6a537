"""Names of emotions that data sets and checkpoints use, and what a name with a typing error may mean."""

from __future__ import annotations

import re
from collections.abc import Iterable

from htnet.core.types import EMOTIONS

#: Names of classes that readers of published sets give, and other spellings of them.
KNOWN_EMOTIONS = frozenset(
    {
        *EMOTIONS,
        *("happiness", "happy", "disgust", "repression", "others", "other", "sadness", "sad", "anger", "angry"),
        *("fear", "contempt", "tense", "tension", "neutral", "surprised", "disgusted", "amusement", "confusion"),
    }
)
#: Short names of the three classes, in lowercase.
_SHORT = {"neg": "negative", "pos": "positive", "sur": "surprise", "surp": "surprise"}
#: Forms of one emotion's name.
_FORMS = {"happy": "happiness", "sad": "sadness", "angry": "anger", "other": "others", "surprised": "surprise"} | {
    "disgusted": "disgust",
    "tension": "tense",
}


def emotion_name(text: str) -> str:
    """A name in lowercase without blanks around it; short names of the three classes in full."""
    name = text.strip().casefold()
    return _SHORT.get(name, name)


def edits(one: str, other: str, most: int = 2) -> int:
    """Letters that were put in, left out, replaced or exchanged with their neighbor; ``most`` + 1 if it is more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before2, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, before2[j - 2] + 1)
            row.append(best)
    return min(row[-1], most + 1)


def meant(name: str, labels: Iterable[str]) -> str:
    """Which known emotion, or which of some labels, a label may be with a typing error; "" if none is near.

    One edit is near from four letters on, two are from six on: "suprise" and "surprise", not "sad" and "bad". Two forms
    of one name, such as "happy" and "happiness", are near if both are labels. Labels that differ by a number or
    by one letter at the end ("grade_1", "class_a") are not near.
    """
    own = name.strip().casefold()
    others = {label.strip().casefold(): label for label in labels}
    for text in sorted(others):
        if text != own and _FORMS.get(text, text) == _FORMS.get(own, own):
            return others[text]
    if own in KNOWN_EMOTIONS or any(c.isdigit() for c in own):
        return ""
    for text in sorted({*others, *KNOWN_EMOTIONS}):
        shorter = min(len(own), len(text))
        if text == own or shorter < 4 or any(c.isdigit() for c in text) or _by_letter(own, text):
            continue
        if edits(own, text) <= (2 if shorter >= 6 else 1):
            return others.get(text, text)
    return ""


def _by_letter(one: str, other: str) -> bool:
    """Whether two names differ in nothing but an additional letter at the end."""
    ends = [re.fullmatch(r"(.*[\W_])\w", name) for name in (one, other)]
    return all(ends) and ends[0][1] == ends[1][1]  # type: ignore[index]
