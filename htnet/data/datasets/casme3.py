"""CAS(ME)^3 part A: ``spNO.1/a/color/175.jpg`` or ``spNO.1_a_166/175.jpg``, and the sheet or the edited CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path

from htnet.core.csv_files import read_csv_text
from htnet.core.errors import ManifestError
from htnet.core.official import official
from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.clips import Tree, find_clips
from htnet.data.datasets.sheets import ALIASES, SheetRow, find_sheet, find_sheets, read_sheet
from htnet.data.layouts import find_casme3, is_casme3, read_casme3
from htnet.data.manifest import Manifest

#: The classes are in the order of ``label_for_7`` in the edited CSV, which has no samples of the seventh class.
LABELS = Labels(
    three={
        "happy": "positive",
        "surprise": "surprise",
        **dict.fromkeys(("sad", "disgust", "fear", "anger"), "negative"),
    },
    own=("happy", "surprise", "sad", "disgust", "fear", "anger", "others"),
    same={"other": "others", "happiness": "happy", "sadness": "sad"},
)


#: Patterns of the names of its sheets.
PATTERNS = official("casme3").sheets
#: Number of rows in the official sheet of micro-expressions, edition 2.
OFFICIAL_ROWS = 860
#: Maximum length of a micro-expression in frames: 0.5 s at 30 frames per second.
LONGEST_MICRO = 15
#: Minimum number of rows from which their lengths show whether they are macro-expressions.
_ENOUGH = 20
_ALIASES = {**ALIASES, "type": ("expressiontype", "type")}
_NEEDED = ("subject", "onset", "apex", "offset", "emotion")


def read_casme3_part_a(root: Path, annotation: Path | None, choices: Choices) -> Manifest:
    """Read CAS(ME)^3 part A; see `htnet.data.read_dataset`."""
    if root.absolute().name.casefold() == "depth":
        raise ManifestError(
            f"{root} contains depth maps, which show no face. Give the folder of the frames (color or frame) as root."
        )
    sheet, chosen = (annotation, ()) if annotation is not None else _find(root)
    if sheet.suffix.lower() == ".csv" and is_casme3(sheet):
        label = "label_for_3" if choices.classes == "3" else "label_for_7"
        # The same seven classes for both annotations.
        found = read_casme3(sheet, root, label=label, missing=choices.missing, no_apex=choices.no_apex)
        return replace(found, classes=LABELS.classes(choices.classes))
    micro, passed = _micro_rows(read_sheet(sheet, _NEEDED, _ALIASES))
    if not micro or (passed == 0 and len(micro) >= _ENOUGH and is_macro(micro)):
        raise ManifestError(f"{sheet} lists macro-expressions. Give the sheet of the micro-expressions as annotation.")
    rows = [_row(row) for row in micro]
    whole = [replace(row, clip=row.expected.casefold()) for row in rows]
    tree = _find_frames(root, {row.clip for row in (*rows, *whole)})
    if not any(row.clip in tree.clips for row in rows):
        rows = whole
    found = assemble("casme3", rows, tree, LABELS, choices, str(sheet))
    of_types = (f"{sheet}: {passed} macro-expressions are ignored.",) if passed else ()
    return replace(found, notes=(*chosen, *of_types, *found.notes))


def _find(root: Path) -> tuple[Path, tuple[str, ...]]:
    """The sheet of micro-expressions, selected by its content, and a note on the others."""
    patterns = list(PATTERNS)
    edited = find_casme3(root)
    if edited is not None:  # its name may differ from the patterns
        patterns.append(escape(edited.name.casefold()))
    found = find_sheets(root, patterns)
    if len(found) < 2:
        return find_sheet(root, patterns, "CAS(ME)^3 part A"), ()
    others: dict[Path, str] = {}
    wanted: dict[Path, list[tuple[str, ...]]] = {}
    for file in found:
        if file.suffix.lower() == ".csv" and is_casme3(file):
            wanted[file] = [(line,) for line in read_csv_text(file).splitlines()[1:]]
            continue
        try:
            micro, _ = _micro_rows(read_sheet(file, _NEEDED, _ALIASES))
        except ManifestError:
            others[file] = "does not have the columns of micro-expressions"
            continue
        if not micro or is_macro(micro):
            others[file] = "lists macro-expressions"
            continue
        wanted[file] = [tuple(row.text[name] for name in ("subject", "filename", *_NEEDED[1:4])) for row in micro]
    chosen = _choose(wanted, others)
    said = "; ".join(f"{file.name} {what}" for file, what in others.items())
    return chosen, (f"The annotation is {chosen}, {len(wanted[chosen])} rows, selected by its content: {said}.",)


def _choose(wanted: Mapping[Path, Sequence[tuple[str, ...]]], others: dict[Path, str]) -> Path:
    """Choose one of several sheets of micro-expressions: they must be equal, or one must be the official edition."""
    official = [file for file, rows in wanted.items() if len(rows) == OFFICIAL_ROWS]
    different = {tuple(rows) for rows in wanted.values()}
    candidates = official if len({tuple(wanted[file]) for file in official}) == 1 else list(wanted)
    if not wanted or (len(different) > 1 and candidates is not official):
        names = ", ".join(f"{file.name}: {len(rows)} rows" for file, rows in wanted.items())
        folder = next(iter({**wanted, **others})).parent
        raise ManifestError(
            f"{folder} contains {len(wanted)} annotation sheets of CAS(ME)^3 part A "
            f"({names or 'none that fits'}). Give one as annotation."
        )
    chosen = candidates[0]
    others.update({f: f"has {len(rows)} rows" for f, rows in wanted.items() if f != chosen})
    return chosen


def _micro_rows(rows: Sequence[SheetRow]) -> tuple[list[SheetRow], int]:
    """The rows that are not marked as macro-expressions, and the number of rows that are."""
    micro = [row for row in rows if "macro" not in row.text["type"].casefold()]
    return micro, len(rows) - len(micro)


def is_macro(rows: Sequence[SheetRow]) -> bool:
    """Whether the median length of the rows is longer than a micro-expression."""
    spans = [(row.number("onset"), row.number("offset")) for row in rows]
    lengths = sorted(offset - onset for onset, offset in spans if onset is not None and offset is not None)
    return bool(lengths) and lengths[len(lengths) // 2] > LONGEST_MICRO


def _find_frames(root: Path, wanted: set[str]) -> Tree:
    """Find the tree of frames; the tree of depth maps, whose folders have the same names, is never returned.

    Raises:
        ManifestError: there are no frames; the message states whether there are depth maps.
    """
    depth: list[Path] = []

    def key(folder: Path) -> tuple[str, Path] | None:
        found = _key(folder, wanted)
        if found is not None and folder.parent.name.casefold() == "depth":
            depth.append(folder)
            return None
        return found

    cure = (
        f"Give the folder of the frames, such as {root.parent / 'frame' if root.name == 'depth' else root / 'frame'}."
    )
    if root.name.casefold() == "depth":
        raise ManifestError(f"{root} contains depth maps, which show no face. {cure}")
    try:
        tree = find_clips(root, key, "CAS(ME)^3 part A (spNO.1/a/color/175.jpg or spNO.1_a_166/175.jpg)")
    except ManifestError:
        if depth:
            raise ManifestError(f"{depth[0].parent} contains depth maps, which show no face. {cure}") from None
        raise
    first = next((file for folder in tree.clips.values() for file in sorted(folder.glob("*.png"))), None)
    if first is not None and is_depth_map(first):
        raise ManifestError(f"{first} is a depth map (16-bit gray levels), which shows no face. {cure}")
    return tree


def is_depth_map(file: Path) -> bool:
    """Whether a file is a PNG with a single 16-bit channel, as the depth maps of CAS(ME)^3 are."""
    try:
        with file.open("rb") as opened:
            head = opened.read(26)
    except OSError:
        return False
    return head.startswith(b"\x89PNG\r\n\x1a\n") and head[24:26] == b"\x10\x00"


def _row(row: SheetRow) -> Annotated:
    subject, name = row.text["subject"], row.text["filename"]
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
