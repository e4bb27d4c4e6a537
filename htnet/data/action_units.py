"""Facial action units as annotation sheets write them, and how often they come together in regions of the face."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from htnet.data.manifest import Sample
from htnet.data.tables import read_table
from htnet.errors import InputError, ManifestError, about_sample

#: Regions in the order of the co-occurrence, and the action units that move them. Left and right are those of the
#: image; the subject's own are the other way round.
REGION_UNITS: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        "left_brow": frozenset({1, 2, 4}),
        "right_brow": frozenset({1, 2, 4}),
        "left_eye": frozenset({5, 6, 7}),
        "right_eye": frozenset({5, 6, 7}),
        "nose": frozenset({9}),
        "outer_lip": frozenset({10, 25}),
    }
)
#: Action units of the basic emotions: one prototype each of Ekman and Friesen's (FACS, EMFACS). Made of no data set.
EMOTION_PROTOTYPES: Mapping[str, str] = MappingProxyType(
    {
        "happiness": "6+12",
        "sadness": "1+4+15",
        "surprise": "1+2+5B+26",
        "fear": "1+2+4+5+20+25+26",
        "anger": "4+5+7+10+22+23+25",
        "disgust": "9+15+16",
        "contempt": "R12A+R14A",
    }
)
#: Sides of the subject that a prefix names. The others do not tell a side: A (asymmetric, both), T and B (top and
#: bottom lip).
_SIDES = {"L": "left", "R": "right"}
#: Notes that sheets write among the units.
_REMARKS = frozenset({"soft focus"})
_UNIT = re.compile(r"(?P<prefix>[LRATB](?:/[LRATB])*)?(?P<number>\d{1,2})(?P<intensity>[A-E](?:/[A-E])*)?")
_REFERRED = re.compile(r"ref\((.*)\)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class ActionUnit:
    """One action unit of an annotation.

    Attributes:
        number: its number in FACS.
        side: "left" or "right" side of the subject's face; None for both, or where it is not told.
        intensity: "A" (trace) to "E" (maximum), several where the coder was not sure ("AB"); "" where not told.
    """

    number: int
    side: str | None = None
    intensity: str = ""


def parse_action_units(text: str) -> tuple[tuple[ActionUnit, ...], ...]:
    """Read an annotation such as ``4+7+L10``, ``R6A+R12``, ``(R6 or R12)+R15``, ``ref(7B)+43`` or ``5B+24``.

    Units are joined by "+", alternatives by "or" (which binds tighter) or, within a unit, by "/". Prefixes: L and R
    are the subject's sides, A is asymmetric, T and B are the top and bottom lip. Suffixes A to E are intensities.
    SAMM's "ref(...)" is taken for what stands in it.

    Args:
        text: the annotation; blanks do not matter.

    Returns:
        One entry for each term between "+": its alternatives, mostly one. Empty for an empty text.

    Raises:
        InputError: a term is none of these.
    """
    if not text.strip():
        return ()
    terms = _split(text, r"\+")
    return tuple(found for term in terms if (found := _alternatives(term, text)))


def _split(text: str, separator: str) -> list[str]:
    """Parts between separators that stand in no brackets."""
    parts, depth, start = [], 0, 0
    for found in re.finditer(rf"[()]|{separator}", text, re.IGNORECASE):
        if found[0] == "(":
            depth += 1
        elif found[0] == ")":
            depth -= 1
        elif depth == 0:
            parts.append(text[start : found.start()])
            start = found.end()
        if depth < 0:
            break
    if depth:
        raise InputError(f"The action units {text!r} have brackets that do not match. Correct them.")
    return [part.strip() for part in (*parts, text[start:])]


def _alternatives(term: str, text: str) -> tuple[ActionUnit, ...]:
    if term.casefold() in _REMARKS:
        return ()
    parts = _split(term, r"\bor\b")
    if len(parts) > 1:
        return tuple(unit for part in parts for unit in _alternatives(part, text))
    if found := _REFERRED.fullmatch(term):
        return _alternatives(found[1].strip(), text)
    if term.startswith("(") and term.endswith(")"):
        return _alternatives(term[1:-1].strip(), text)
    unit = _UNIT.fullmatch(term)
    if unit is None:
        raise InputError(
            f"{term!r} in the action units {text!r} is no action unit. Write units as 12, L12, R6A or 10A/B, joined "
            "by +, and alternatives as (R6 or R12)."
        )
    sides = {_SIDES.get(prefix) for prefix in (unit["prefix"] or "").split("/")}
    side = sides.pop() if len(sides) == 1 else None
    return (ActionUnit(int(unit["number"]), side, (unit["intensity"] or "").replace("/", "")),)


def active_regions(text: str) -> npt.NDArray[np.bool_]:
    """Which of `REGION_UNITS` an annotation moves, (6,).

    A unit of one side moves brow and eye of that side only: the subject's left is the image's right. Of
    alternatives, each counts as there.

    Raises:
        InputError: the text cannot be read.
    """
    units = [unit for term in parse_action_units(text) for unit in term]
    found = []
    for region, numbers in REGION_UNITS.items():
        other = {"left": "right_", "right": "left_"}
        paired = region.startswith(("left_", "right_"))
        found.append(
            any(
                unit.number in numbers and (not paired or unit.side is None or region.startswith(other[unit.side]))
                for unit in units
            )
        )
    return np.array(found)


def au_cooccurrence(annotations: Iterable[str]) -> npt.NDArray[np.float64]:
    """How often region j moves where region i does: ``count(i and j) / count(i)``.

    Give the annotations of training subjects only: those of the subject left out tell its expression.

    Args:
        annotations: texts for `parse_action_units`, one a sample.

    Returns:
        (6, 6), regions in the order of `REGION_UNITS`. The row of a region that never moves is 0.

    Raises:
        InputError: a text cannot be read.
    """
    rows = [active_regions(text) for text in annotations]
    active = np.array(rows, dtype=np.float64).reshape(-1, len(REGION_UNITS))
    together = active.T @ active
    counts = np.diag(together)[:, None]
    return np.divide(together, counts, out=np.zeros_like(together), where=counts > 0)


def training_cooccurrence(samples: Iterable[Sample]) -> npt.NDArray[np.float64]:
    """`au_cooccurrence` over the samples whose action units are annotated; the others say nothing.

    Args:
        samples: those to train on, never those to test on.

    Raises:
        InputError: an annotation cannot be read; the message names the sample.
        ManifestError: none is annotated.
    """
    annotated = [sample for sample in samples if sample.action_units]
    if not annotated:
        raise ManifestError(
            "No training sample has action units to count. Fill the column 'action_units' (the official sheets have "
            "them, SMIC excepted), or leave the model its own table."
        )
    for sample in annotated:
        try:
            parse_action_units(sample.action_units)
        except InputError as error:
            raise about_sample(sample.sample, error) from error
    return au_cooccurrence(sample.action_units for sample in annotated)


def read_action_units(path: str | PathLike[str], column: str = "Action Units") -> dict[str, str]:
    """Annotations of a sheet by sample, ``{sub}_{filename_o}``, as `htnet.data.read_composite` names them.

    Args:
        path: CSV file with the columns ``sub``, ``filename_o`` and ``column``.
        column: the annotation's column.

    Raises:
        ManifestError: the file cannot be read, or lacks a column.
        InputError: an annotation cannot be read; the message names the sample.
    """
    _, rows = read_table(Path(path), ("sub", "filename_o", column))
    found = {}
    for _, row in rows:
        sample = f"{row['sub']}_{row['filename_o']}"
        try:
            parse_action_units(row[column])
        except InputError as error:
            raise about_sample(sample, error) from error
        found[sample] = row[column].strip()
    return found
