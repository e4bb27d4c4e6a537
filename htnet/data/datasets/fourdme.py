"""4DME, the gray videos of micro-expressions: ``gray_micro/SUBJECT/CLIP/*.jpg`` and its sheet."""

from __future__ import annotations

from pathlib import Path

from htnet.core.official import official
from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.clips import find_clips
from htnet.data.datasets.sheets import SheetRow, find_sheet, read_sheet
from htnet.data.manifest import Manifest

_OWN = ("positive", "negative", "surprise", "repression", "others")
#: Repression is negative, as MEGC 2019 has it for CASME II.
LABELS = Labels(
    three={"positive": "positive", "negative": "negative", "repression": "negative", "surprise": "surprise"},
    own=_OWN,
    # Several emotions at once, written "Surprise+Positive", belong to no single class.
    other=tuple("+".join((a, b)) for a in _OWN for b in _OWN if a != b),
    same={"other": "others"},
)


def read_4dme(root: Path, annotation: Path | None, choices: Choices) -> Manifest:
    """Read 4DME; see `htnet.data.read_dataset`."""
    sheet = annotation or find_sheet(root, official("4dme").sheets, "4DME")
    rows = [_row(row) for row in read_sheet(sheet, ["subject", "onset", "apex", "offset", "emotion"])]
    wanted = {row.clip for row in rows}
    tree = find_clips(root, lambda folder: _key(folder, wanted), "4DME (gray_micro/SUBJECT/CLIP/*.jpg)")
    return assemble("4dme", rows, tree, LABELS, choices, str(sheet))


def _row(row: SheetRow) -> Annotated:
    label = "+".join(part.strip() for part in row.text["emotion"].split("+"))
    return Annotated.from_row(row, row.text["subject"], label)


def _key(folder: Path, wanted: set[str]) -> tuple[str, Path] | None:
    key = f"{folder.parent.name}/{folder.name}".casefold()
    return (key, folder.parents[1]) if key in wanted else None
