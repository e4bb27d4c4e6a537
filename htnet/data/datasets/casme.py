"""CASME: ``sub01/EP01_5/EP01_5-100.jpg`` (cropped: ``reg_EP01_5-100.jpg``) and a sheet with OnsetF, ApexF1, OffsetF."""

from __future__ import annotations

import re
from pathlib import Path

from htnet.core.errors import ManifestError
from htnet.core.official import official
from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.casme2 import key_of_clip
from htnet.data.datasets.clips import find_clips
from htnet.data.datasets.sheets import SheetRow, find_sheet, read_sheet
from htnet.data.manifest import Manifest

#: By the rule that MEGC 2019 has for CASME II and SAMM. Tense is of no class there.
LABELS = Labels(
    three={
        "happiness": "positive",
        "surprise": "surprise",
        **dict.fromkeys(("disgust", "repression", "sadness", "contempt", "fear"), "negative"),
    },
    own=("happiness", "disgust", "repression", "surprise", "tense", "sadness", "contempt", "fear"),
    other=("others",),
    same={"other": "others", "happy": "happiness", "happyness": "happiness", "amusement": "happiness"},
)


def read_casme(root: Path, annotation: Path | None, choices: Choices) -> Manifest:
    """Read CASME; see `htnet.data.read_dataset`."""
    sheet = annotation or find_sheet(root, official("casme").sheets, "CASME")
    rows = [_row(row) for row in read_sheet(sheet, ["subject", "onset", "apex", "offset", "emotion"])]
    tree = find_clips(root, key_of_clip, "CASME (sub01/EP01_5/EP01_5-100.jpg)")
    return assemble("casme", rows, tree, LABELS, choices, str(sheet))


def _row(row: SheetRow) -> Annotated:
    found = re.fullmatch(r"(?:sub)?0*([0-9]+)", row.text["subject"].casefold())
    if found is None:
        raise ManifestError(f"{row.where}: the subject is {row.text['subject']!r}; give a number such as 01.")
    return Annotated.from_row(row, f"sub{int(found[1]):02d}")
