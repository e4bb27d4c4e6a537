"""DFME: ``train_data/sub0003_01/00012.png`` and the sheets ``training_full_with_AU.xlsx`` and ``testA_...``."""

from __future__ import annotations

from pathlib import Path

from htnet.core.errors import ManifestError
from htnet.core.official import official
from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.clips import find_clips
from htnet.data.datasets.layout import COLUMNS, numbered_subject
from htnet.data.datasets.sheets import SheetRow, find_sheets, no_sheet, read_sheet
from htnet.data.manifest import Manifest

PATTERNS = official("dfme").sheets
LABELS = Labels(
    three={
        "happiness": "positive",
        "surprise": "surprise",
        **dict.fromkeys(("disgust", "sadness", "anger", "fear", "contempt"), "negative"),
    },
    own=("happiness", "surprise", "disgust", "sadness", "anger", "fear", "contempt"),
    other=("others",),
    same={"other": "others", "happy": "happiness", "sad": "sadness"},
)


def read_dfme(root: Path, annotation: Path | None, choices: Choices) -> Manifest:
    """Read DFME from all of its sheets that exist; see `htnet.data.read_dataset`."""
    sheets = [annotation] if annotation is not None else find_sheets(root, PATTERNS)
    if not sheets:
        raise no_sheet(root, PATTERNS, "DFME")
    rows = [_row(row) for sheet in sheets for row in read_sheet(sheet, COLUMNS)]
    wanted = {row.clip for row in rows}
    seen: dict[str, Path] = {}

    def key(folder: Path) -> tuple[str, Path] | None:
        name = folder.name.casefold()
        if name not in wanted:
            return None
        if seen.setdefault(name, folder) != folder:
            raise ManifestError(
                f"{root} contains the clip {folder.name} twice: in {seen[name].parent} and in {folder.parent}. "
                "Give the folder of one copy as root, and annotation if the sheet is not there or one folder above."
            )
        return name, root  # training and test clips are in sibling folders

    tree = find_clips(root, key, "DFME (train_data/sub0003_01/00012.png)")
    return assemble("dfme", rows, tree, LABELS, choices, ", ".join(map(str, sheets)))


def _row(row: SheetRow) -> Annotated:
    subject = numbered_subject(row, r"(?:sub)?0*([0-9]+)", "sub{:04d}", "one such as sub0003")
    name = row.text["filename"]
    return Annotated.of(
        row, sample=f"{subject}_{name}", subject=subject, label=row.text["emotion"], clip=name, expected=name
    )
