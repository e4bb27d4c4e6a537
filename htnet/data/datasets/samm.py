"""SAMM: ``006/006_1_2/006_05562.jpg`` and ``SAMM_Micro_FACS_Codes_v2.xlsx``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from htnet.core.errors import ManifestError
from htnet.core.official import official
from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.clips import find_clips
from htnet.data.datasets.sheets import SheetRow, find_sheet, read_sheet
from htnet.data.manifest import Manifest

LABELS = Labels(
    three={
        **dict.fromkeys(("anger", "contempt", "disgust", "fear", "sadness"), "negative"),
        "happiness": "positive",
        "surprise": "surprise",
    },
    own=("happiness", "surprise", "anger", "contempt", "other"),
    other=("disgust", "fear", "sadness"),
    same={"others": "other", "happy": "happiness"},
)


def read_samm(root: Path, annotation: Path | None, choices: Choices) -> Manifest:
    """Read SAMM; see `htnet.data.read_dataset`."""
    sheet = annotation or find_sheet(root, official("samm").sheets, "SAMM")
    rows = [_row(row) for row in read_sheet(sheet, ["subject", "onset", "apex", "offset", "emotion"])]
    tree = find_clips(root, _key, "SAMM (006/006_1_2/006_05562.jpg)")
    return assemble("samm", rows, tree, LABELS, choices, str(sheet))


def _row(row: SheetRow) -> Annotated:
    if not re.fullmatch(r"[0-9]+", row.text["subject"]):
        raise ManifestError(f"{row.where}: the subject is {row.text['subject']!r}; give a number such as 006.")
    subject = f"{int(row.text['subject']):03d}"
    return Annotated.from_row(replace(row, text={**row.text, "filename": _named(row.text["filename"])}), subject)


def _key(folder: Path) -> tuple[str, Path] | None:
    parent = folder.parent.name
    if not re.fullmatch(r"[0-9]+", parent) or not re.match(rf"0*{int(parent)}_", folder.name):
        return None
    return f"{int(parent):03d}/{_named(folder.name)}".casefold(), folder.parents[1]


def _named(text: str) -> str:
    """A clip's name with three digits for the subject, as SAMM has it; people's copies write 6_1_2 for 006_1_2."""
    found = re.fullmatch(r"0*([0-9]+)(_.*)", text)
    return f"{int(found[1]):03d}{found[2]}" if found else text
