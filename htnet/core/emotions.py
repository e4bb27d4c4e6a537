"""Names of emotions that data sets and checkpoints use, and detection of misspelled names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from htnet.core.types import EMOTIONS

#: Class names that the readers of published data sets return, and other forms of these names.
KNOWN_EMOTIONS = frozenset(
    {
        *EMOTIONS,
        *("happiness", "happy", "disgust", "repression", "others", "other", "sadness", "sad", "anger", "angry"),
        *("fear", "contempt", "tense", "tension", "neutral", "surprised", "disgusted", "amusement", "confusion"),
    }
)
#: Short names of the three classes, in lowercase.
_SHORT = {"neg": "negative", "pos": "positive", "sur": "surprise", "surp": "surprise"}
#: Different forms of the same emotion's name.
_FORMS = {"happy": "happiness", "sad": "sadness", "angry": "anger", "other": "others", "surprised": "surprise"} | {
    "disgusted": "disgust",
    "tension": "tense",
    **{"fearful": "fear", "contemptuous": "contempt", "amused": "amusement", "confused": "confusion"},
}


def emotion_name(text: str) -> str:
    """The name in lowercase without surrounding blanks; short names of the three classes are spelled out."""
    name = text.strip().casefold()
    return _SHORT.get(name, name)


def edits(one: str, other: str, most: int = 2) -> int:
    """Edit distance of two texts: insertions, deletions, substitutions and swaps of neighboring letters.

    Distances above ``most`` are returned as ``most`` + 1.
    """
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
    """The known emotion, or other label, that a label may be a misspelling of; "" if there is none.

    Names of four letters or more may differ by one edit, names of six or more by two: "suprise" matches "surprise",
    but "sad" does not match "bad". Two forms of one name, such as "happy" and "happiness" or "neg" and
    "negative", match if both are labels.
    Labels that differ by a number or by one letter at the end ("grade_1", "class_a") do not match.
    """
    own = name.strip().casefold()
    others = {label.strip().casefold(): label for label in labels}
    for text in sorted(others):
        if text != own and _form(text) == _form(own):
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


def _form(name: str) -> str:
    """The usual form of a name: "surprise" for "surprised" and "sur"."""
    name = emotion_name(name)
    return _FORMS.get(name, name)


def _by_letter(one: str, other: str) -> bool:
    """Whether two names differ only in a single letter at the end, after a separator."""
    ends = [re.fullmatch(r"(.*[\W_])\w", name) for name in (one, other)]
    return all(ends) and ends[0][1] == ends[1][1]  # type: ignore[index]
