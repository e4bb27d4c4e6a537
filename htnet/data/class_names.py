"""The classes that the labels of a manifest stand for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from htnet.core.csv_files import no_value
from htnet.core.emotions import meant
from htnet.core.errors import ManifestError
from htnet.core.types import EMOTIONS
from htnet.core.words import ordered_names

#: Separator of the names in the column ``classes``.
CLASS_MARK = "|"
#: A class index or frame number in a table; spreadsheet programs and pandas write "1.0" or "1,0" in columns with empty
#: cells. "1.000" and "1,000" may be thousands.
INDEX = re.compile(r"([0-9]+)([.,](?!000$)0+)?")
_NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+([.,]|[eE][+-]?[0-9]+)?")
EMOTIONS_BY_KEY = {name.casefold(): name for name in EMOTIONS}


def class_names(
    path: Path, rows: Sequence[tuple[int, dict[str, str]]], classes: Sequence[str] | None
) -> tuple[str, ...]:
    """The classes of a table, in order.

    Args:
        path: the table, for messages.
        rows: line and cells of each row.
        classes: as the user gave them; None: those of the column ``classes``, otherwise of the labels.

    Raises:
        ManifestError: ``classes`` is not a list of names, the column differs between rows, or the labels do not
            determine the classes.
    """
    if classes is not None:
        if not (names := ordered_names(classes)):
            raise ManifestError(f"classes is {classes!r}; give a list of class names, in the order of their indexes.")
        return names
    written = {text: line for line, row in reversed(rows) if (text := row.get("classes", "").strip())}
    if written:
        return _written_classes(path, rows, written)
    labels = {text: line for line, row in reversed(rows) if (text := row.get("label", "").strip())}
    if all(class_of(label, EMOTIONS) is not None for label in labels):
        return EMOTIONS
    for label, line in labels.items():
        if is_number(label):
            raise ManifestError(
                f"{path}, line {line}: label {label!r} is a number, but the classes are not known. Give "
                "classes=[...], or write class names."
            )
        if why := no_value(label):
            raise ManifestError(
                f"{path}, line {line}: the label {label!r} {why}. Leave the cell empty if the sample has no label; if "
                f"it is a class, list it in the column 'classes' ({CLASS_MARK.join(sorted(labels))!r} in every row), "
                "or give classes=[...]."
            )
        alike = [other for other in labels if other != label and other.casefold() == label.casefold()]
        if alike:
            raise ManifestError(
                f"{path}, line {line}: label {label!r} differs from {alike[0]!r} only in case. Use one spelling."
            )
    counts = Counter(row.get("label", "").strip() for _, row in rows)
    for label, line in sorted(labels.items(), key=lambda item: (counts[item[0]], item[1])):
        if other := meant(label, labels):
            there = f"which {counts[other]} have" if other in counts else "which is the name of an emotion"
            raise ManifestError(
                f"{path}, line {line}: the label {label!r} ({counts[label]} of {len(rows)} samples) may be {other!r}, "
                f"{there}. Correct it, or, if both are classes, list them in the column 'classes' "
                f"({CLASS_MARK.join(sorted(labels))!r} in every row), or give classes=[...]."
            )
    return tuple(sorted(labels))


def numbers_as_labels(path: Path, rows: Sequence[tuple[int, dict[str, str]]]) -> list[str]:
    """A note if labels are numbers and nothing states the classes: many tables count from 1, or in another order."""
    labels = {row.get("label", "").strip() for _, row in rows}
    numbers = {int(found[1]) for label in labels if (found := INDEX.fullmatch(label))}
    if not numbers or any(row.get("classes", "").strip() for _, row in rows):
        return []
    meaning = ", ".join(f"{i} is {name}" for i, name in enumerate(EMOTIONS))
    absent = [str(i) for i in range(len(EMOTIONS)) if i not in numbers and EMOTIONS[i] not in labels]
    without = f" No sample has the label {' or '.join(absent)}." if absent else ""
    return [
        f"{path}: labels are numbers, and were read as class indexes: {meaning}.{without} If they mean something else, "
        "write the names of the classes."
    ]


def _written_classes(
    path: Path, rows: Sequence[tuple[int, dict[str, str]]], written: dict[str, int]
) -> tuple[str, ...]:
    """The names in the column ``classes``, which must be the same in every row."""
    first, *others = sorted(written, key=written.__getitem__)
    empty = [line for line, row in rows if not row["classes"].strip()]
    if others or empty:
        line, text = (empty[0], "") if empty else (written[others[0]], others[0])
        raise ManifestError(f"{path}, line {line}: classes is {text!r} here, but {first!r} elsewhere. Use the same.")
    names = tuple(name.strip() for name in first.split(CLASS_MARK))
    if not all(names):
        raise ManifestError(f"{path}, line {written[first]}: classes is {first!r}; put {CLASS_MARK!r} between names.")
    return names


def class_of(label: str, classes: tuple[str, ...]) -> str | None:
    """The class that a label names, by name or index; None if it names none.

    The names of `EMOTIONS` are known in any case. If names of classes are numbers, labels are names and not indexes.
    """
    if label in classes:
        return label
    index = INDEX.fullmatch(label)
    if index is not None:
        if any(map(is_number, classes)):
            return index[1] if index[1] in classes else None
        return classes[int(index[1])] if len(index[1]) < 10 and int(index[1]) < len(classes) else None
    emotion = EMOTIONS_BY_KEY.get(label.casefold())
    return emotion if emotion in classes else None


def is_number(label: str) -> bool:
    """Whether a label is a number."""
    return label.isdecimal() or _NUMBER.fullmatch(label) is not None
