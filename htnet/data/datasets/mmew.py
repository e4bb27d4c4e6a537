"""MMEW: ``Micro_Expression/happiness/S01-01-001/1.jpg`` and ``MMEW_Micro_Exp.xlsx``."""

from __future__ import annotations

import re
from pathlib import Path

from htnet.core.errors import ManifestError
from htnet.core.official import official
from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.clips import find_clips
from htnet.data.datasets.sheets import SheetRow, find_sheet, read_sheet
from htnet.data.manifest import Manifest

LABELS = Labels(
    three={
        "happiness": "positive",
        "surprise": "surprise",
        **dict.fromkeys(("anger", "disgust", "fear", "sadness"), "negative"),
    },
    own=("happiness", "anger", "surprise", "disgust", "fear", "sadness", "others"),
    same={"other": "others"},
)


def read_mmew(root: Path, annotation: Path | None, choices: Choices) -> Manifest:
    """Read the micro-expressions of MMEW; see `htnet.data.read_dataset`."""
    sheet = annotation or find_sheet(root, official("mmew").sheets, "MMEW")
    rows = [_row(row) for row in read_sheet(sheet, ["subject", "onset", "apex", "offset", "emotion"])]
    tree = find_clips(root, _key, "MMEW (Micro_Expression/happiness/S01-01-001/1.jpg)")
    return assemble("mmew", rows, tree, LABELS, choices, str(sheet))


def _row(row: SheetRow) -> Annotated:
    found = re.fullmatch(r"S?0*([0-9]+)", row.text["subject"], re.IGNORECASE)
    if found is None:
        raise ManifestError(f"{row.where}: the subject is {row.text['subject']!r}; give one such as S01.")
    subject, name = f"S{int(found[1]):02d}", row.text["filename"]
    return Annotated.of(
        row,
        sample=f"{subject}_{name}",
        subject=subject,
        label=row.text["emotion"],
        clip=name,
        expected=f"{row.text['emotion']}/{name}",
    )


def _key(folder: Path) -> tuple[str, Path] | None:
    name = folder.name.casefold()
    return (name, folder.parents[1]) if re.fullmatch(r"s[0-9]+(-[0-9]+)+", name) else None
