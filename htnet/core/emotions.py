"""Names of emotions that data sets and checkpoints use, and what a name with a typing error may mean."""

from __future__ import annotations

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
#: Short names of the three classes, in small letters.
_SHORT = {"neg": "negative", "pos": "positive", "sur": "surprise", "surp": "surprise"}


def emotion_name(text: str) -> str:
    """A name in small letters without blanks around it; short names of the three classes in full."""
    name = text.strip().casefold()
    return _SHORT.get(name, name)


def edits(one: str, other: str, most: int = 2) -> int:
    """Letters that were put in, left out, replaced or exchanged with their neighbor; ``most`` + 1 where it is more."""
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


def meant(name: str, names: Iterable[str]) -> str:
    """Which of some other names a name may be with a typing error; "" where none is near.

    One edit is near, two are from six letters on; so "fear" and "tear" are near, "sad" and "happy" are not. Names of
    which one is the other in another form ("happy", "happiness") are not near, nor are numbers.
    """
    own = name.strip().casefold()
    if any(c.isdigit() for c in own):
        return ""
    for other in sorted(names):
        text = other.strip().casefold()
        if text == own or min(len(own), len(text)) < 3 or any(c.isdigit() for c in text):
            continue
        if own in KNOWN_EMOTIONS and text in KNOWN_EMOTIONS:
            continue
        if edits(own, text) <= (2 if min(len(own), len(text)) >= 6 else 1):
            return other
    return ""
