"""CAS(ME)^3 part A: ``spNO.1/a/color/175.jpg`` or ``spNO.1_a_166/175.jpg``, and the sheet or the edited CSV."""

from __future__ import annotations

from dataclasses import replace
from glob import escape
from pathlib import Path

from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.clips import find_clips
from htnet.data.datasets.sheets import SheetRow, find_sheet, read_sheet
from htnet.data.layouts import find_casme3, is_casme3, read_casme3
from htnet.data.manifest import Manifest

#: In the order of ``label_for_7`` in the edited CSV, which has no samples of the seventh class.
LABELS = Labels(
    three={
        "happy": "positive",
        "surprise": "surprise",
        **dict.fromkeys(("sad", "disgust", "fear", "anger"), "negative"),
    },
    own=("happy", "surprise", "sad", "disgust", "fear", "anger", "others"),
    same={"other": "others", "happiness": "happy", "sadness": "sad"},
)


def read_casme3_part_a(root: Path, annotation: Path | None, choices: Choices) -> Manifest:
    """Read CAS(ME)^3 part A; see `htnet.data.read_dataset`."""
    sheet = annotation or _find(root)
    if sheet.suffix.lower() == ".csv" and is_casme3(sheet):
        label = "label_for_3" if choices.classes == "3" else "label_for_7"
        # The same seven classes whichever annotation is read.
        found = read_casme3(sheet, root, label=label, missing=choices.missing)
        return replace(found, classes=LABELS.classes(choices.classes))
    rows = [_row(row) for row in read_sheet(sheet, ["subject", "onset", "apex", "offset", "emotion"])]
    whole = [replace(row, clip=row.expected.casefold()) for row in rows]
    wanted = {row.clip for row in (*rows, *whole)}
    what = "CAS(ME)^3 part A (spNO.1/a/color/175.jpg or spNO.1_a_166/175.jpg)"
    tree = find_clips(root, lambda folder: _key(folder, wanted), what)
    if not any(row.clip in tree.clips for row in rows):
        rows = whole
    return assemble("casme3", rows, tree, LABELS, choices, str(sheet))


def _find(root: Path) -> Path:
    patterns = ["cas(me)3_part_a*", "cas(me)^3_part_a*"]
    edited = find_casme3(root)
    if edited is not None:  # it may have any name, and must be the only one
        patterns.append(escape(edited.name.casefold()))
    return find_sheet(root, patterns, "CAS(ME)^3 part A")


def _row(row: SheetRow) -> Annotated:
    subject, name = row.text["subject"], row.text["filename"]
    row.needed("onset")
    return Annotated.of(
        row,
        sample=f"{subject}_{name}_{row.text['apex']}",
        subject=subject,
        label=row.text["emotion"],
        clip=f"{subject}_{name}_{row.text['onset']}",
        expected=f"{subject}/{name}/color",
    )


def _key(folder: Path, wanted: set[str]) -> tuple[str, Path] | None:
    clip = folder.name.casefold()
    if clip in wanted:
        return clip, folder.parent
    whole = "/".join(folder.parts[-3:]).casefold()
    return (whole, folder.parents[2]) if whole in wanted else None
