"""SMIC: ``HS/s1/micro/negative/s1_ne_01/reg_image001203.bmp``; the folder names are the annotation."""

from __future__ import annotations

import re
from pathlib import Path

from htnet.core.errors import ManifestError
from htnet.core.types import EMOTIONS
from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.clips import find_clips
from htnet.data.datasets.sheets import SheetRow, read_sheet
from htnet.data.manifest import Manifest

LABELS = Labels(three={name: name for name in EMOTIONS}, own=EMOTIONS)
#: Abbreviation of the label in the name of a clip.
CODES = {"ne": "negative", "po": "positive", "sur": "surprise"}


def read_smic(root: Path, annotation: Path | None, choices: Choices) -> Manifest:
    """Read SMIC; see `htnet.data.read_dataset`."""
    tree = find_clips(root, _key, "SMIC (HS/s1/micro/negative/s1_ne_01/reg_image001203.bmp)", prefer="HS")
    sheet = _numbered(annotation) if annotation is not None else {}
    rows = []
    for name in sorted({*tree.clips, *sheet}):
        subject, code, _ = name.split("_")
        folder, row = tree.clips.get(name), sheet.get(name)
        if folder is not None and folder.parent.name.casefold() != CODES[code]:
            raise ManifestError(f"{folder} is {CODES[code]} by its name, but is in {folder.parent.name}. Move it.")
        said = row.text["emotion"].casefold() if row is not None else ""
        if row is not None and said in EMOTIONS and said != CODES[code]:
            raise ManifestError(f"{row.where}: {name} is {CODES[code]} by its name, not {said}. Correct the sheet.")
        rows.append(
            Annotated.of(
                row,
                sample=f"{subject}_{name}",
                subject=subject,
                label=CODES[code],
                clip=name,
                expected=f"{subject}/micro/{CODES[code]}/{name}",
                where="" if row else str(folder),
                needs_onset=False,
            )
        )
    return assemble("smic", rows, tree, LABELS, choices, str(annotation or root))


def _numbered(annotation: Path) -> dict[str, SheetRow]:
    """Rows of a sheet, by name of the clip."""
    found: dict[str, SheetRow] = {}
    for row in read_sheet(annotation, []):
        name = _name(row.text["filename"])
        if name is None:
            raise ManifestError(f"{row.where}: {row.text['filename']!r} is not a clip; give names such as s1_ne_01.")
        if name in found:
            raise ManifestError(f"{row.where}: {name!r} was already in {found[name].where}. Delete a row.")
        found[name] = row
    return found


def _key(folder: Path) -> tuple[str, Path] | None:
    name = _name(folder.name)
    if name is None or folder.parent.parent.name.casefold() != "micro":
        return None
    return name, folder.parents[3]


def _name(text: str) -> str | None:
    """The name in the spelling of the composite, "s01_ne_01", for "s1_ne_01", "s01_ne_1" or "s01_s01_ne_01"."""
    found = re.fullmatch(r"(?:s[0-9]+_)?s0*([0-9]+)_(ne|po|sur)_0*([0-9]+)", text.casefold())
    return f"s{int(found[1]):02d}_{found[2]}_{int(found[3]):02d}" if found else None
