"""CASME II: ``sub01/EP02_01f/reg_img46.jpg`` and ``CASME2-coding-*.xlsx``."""

from __future__ import annotations

import re
from pathlib import Path

from htnet.core.errors import ManifestError
from htnet.core.official import official
from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.clips import find_clips
from htnet.data.datasets.sheets import SheetRow, find_sheet, read_sheet
from htnet.data.manifest import Manifest

#: MEGC 2019 makes disgust and repression negative; sadness and fear are too few and belong to no class.
LABELS = Labels(
    three={"happiness": "positive", "disgust": "negative", "repression": "negative", "surprise": "surprise"},
    own=("happiness", "disgust", "repression", "surprise", "others"),
    other=("sadness", "fear"),
    same={"other": "others", "happy": "happiness", "happyness": "happiness"},
)


def read_casme2(root: Path, annotation: Path | None, choices: Choices) -> Manifest:
    """Read CASME II; see `htnet.data.read_dataset`."""
    sheet = annotation or find_sheet(root, official("casme2").sheets, "CASME II")
    rows = [_row(row) for row in read_sheet(sheet, ["subject", "onset", "apex", "offset", "emotion"])]
    tree = find_clips(root, key_of_clip, "CASME II (sub01/EP02_01f/reg_img46.jpg)")
    return assemble("casme2", rows, tree, LABELS, choices, str(sheet))


def _row(row: SheetRow) -> Annotated:
    found = re.fullmatch(r"(?:sub)?0*([0-9]+)", row.text["subject"].casefold())
    if found is None:
        raise ManifestError(f"{row.where}: the subject is {row.text['subject']!r}; give a number such as 01.")
    return Annotated.from_row(row, f"sub{int(found[1]):02d}")


def key_of_clip(folder: Path) -> tuple[str, Path] | None:
    """Key of a clip ``sub01/EP02_01f``; CASME has the same."""
    subject = re.fullmatch(r"sub0*([0-9]+)", folder.parent.name.casefold())
    name = folder.name.casefold()
    if subject is None or not name.startswith("ep"):
        return None
    return f"sub{int(subject[1]):02d}/{name}", folder.parents[1]
