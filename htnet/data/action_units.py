"""Co-occurrence of action units in regions of the face."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from htnet.core.errors import InputError, ManifestError
from htnet.core.paths import as_path
from htnet.core.types import Float64Array
from htnet.core.warn import warn_user
from htnet.data.facs_cells import keep_readable, parse_action_units
from htnet.data.manifest import Sample
from htnet.data.tables import cell_of, read_table

#: Regions in the order of the co-occurrence matrix, and the action units that move them. Left and right are those of
#: the image; the subject's own sides are reversed.
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
#: Action units of the basic emotions: one prototype of Ekman and Friesen (FACS, EMFACS) for each. They do not come from
#: a data set.
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


def active_regions(text: str) -> npt.NDArray[np.bool_]:
    """Which of `REGION_UNITS` are active in an annotation, (6,).

    A unit of one side activates only the brow or eye of that side; the subject's left is the image's right. If units
    are alternatives, all of them count as active.

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


def au_cooccurrence(annotations: Iterable[str]) -> Float64Array:
    """How often region j is active when region i is: ``count(i and j) / count(i)``.

    Give only annotations of training subjects: those of the left-out subject would leak its expressions.

    Args:
        annotations: texts for `parse_action_units`, one per sample.

    Returns:
        (6, 6), regions in the order of `REGION_UNITS`. The row of a region that is never active is 0.

    Raises:
        InputError: a text cannot be parsed.
    """
    if isinstance(annotations, str):
        raise InputError(f"annotations is {annotations!r}; give a list with one text for each sample.")
    rows = [active_regions(text) for text in annotations]
    active = np.array(rows, dtype=np.float64).reshape(-1, len(REGION_UNITS))
    together = active.T @ active
    counts = np.diag(together)[:, None]
    return np.divide(together, counts, out=np.zeros_like(together), where=counts > 0)


def training_cooccurrence(samples: Iterable[Sample]) -> Float64Array:
    """`au_cooccurrence` of the samples with annotated action units; the others are ignored.

    An annotation that cannot be parsed is left out with a warning that names the sample.

    Args:
        samples: the training samples, never the test samples.

    Raises:
        ManifestError: no sample is annotated.
    """
    annotated = [kept for s in samples if (kept := _kept(s.action_units, "the manifest", s.sample))]
    if not annotated:
        raise ManifestError(
            "No training sample has annotated action units. Fill the column 'action_units' (the official sheets have "
            "them, except that of SMIC), or let the model use its default table."
        )
    return au_cooccurrence(annotated)


def read_action_units(path: str | PathLike[str], column: str = "Action Units") -> dict[str, str]:
    """Annotations in a sheet, by sample; samples are named ``{sub}_{filename_o}``, as in `htnet.data.read_composite`.

    A sample without annotation has "" (see `htnet.data.parse_annotation`). A cell that cannot be parsed also gives "",
    and a warning names the cell and the fix.

    Args:
        path: CSV file with the columns ``sub``, ``filename_o`` and ``column``.
        column: the column with the annotations.

    Raises:
        ManifestError: the file cannot be read, or lacks a column.
    """
    columns, rows = read_table(as_path(path, "path"), ("sub", "filename_o", column))
    found = {}
    for line, row in rows:
        sample = f"{row['sub']}_{row['filename_o']}"
        found[sample] = _kept(row[column], f"{path}, {cell_of(line, columns.index(column))}", sample)
    return found


def _kept(text: str, where: str, sample: str) -> str:
    """The annotation if it can be parsed; otherwise "", with a warning."""
    kept, notes = keep_readable(text, where, sample)
    for note in notes:
        warn_user(note)
    return kept
