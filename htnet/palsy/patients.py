"""Whom a graded face shows: where a patient's name is looked for, and what is too ambiguous to go by.

A patient must not be on both sides of a split, so a name is taken only where the places that could hold it agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from htnet.core.errors import ManifestError, did_you_mean
from htnet.core.identity import is_named, person_key
from htnet.data.tables import listed

#: What may say where the patient's name stands, for files without a table.
PLACES = ("auto", "file", "folder")
#: Columns of a table that name a person, by `person_key`.
_COLUMNS = frozenset(
    f"{who}{what}"
    for who in (
        *("patient", "patients", "patienten", "pat", "pt", "p", "subject", "subjects", "subj", "sub", "person"),
        *("participant", "participants", "proband", "probanden", "case"),
    )
    for what in ("", "id", "ids", "no", "nr", "num", "number", "nummer", "name", "code")
    if who + what != "p"
) | {"mrn"}
#: Columns that name a person or an image, by `person_key`.
_UNSURE = frozenset({"id", "ids", "no", "nr", "num", "number", "name", "code"})
#: What a number may follow in the names of patients: two ways to write one, by `person_key`.
_KINDS = (
    frozenset({"", "id", "no", "nr", "p", "pt", "pat", "patient"}),
    frozenset({"", "s", "sub", "subj", "subject"}),
)
#: What follows a name in files and folders of one patient: a side, a time, a task, the number of a copy.
_VIEW = re.compile(
    r"(?:(?<=[0-9])|(?<=\w)[\W_]+)(?:l|r|left|right|front|frontal|side|before|after|pre|post|rest|resting|neutral|smile|smiling|"
    r"blink|brows?|frown|pucker|kiss|eyes?|mouth|closed|open|copy|kopie|copie|copia)[\W_]*$"
    r"|\s*\([0-9]+\)\s*$|~[0-9]+\s*$"
)
#: Beginnings of file names that name nobody, by `person_key`: kinds of people, cameras' words, tasks.
_NOBODY = frozenset(
    {
        *("patient", "pat", "subject", "subj", "sub", "person", "participant", "proband", "case", "control", "id"),
        *("no", "nr", "img", "image", "dsc", "dscn", "dscf", "pict", "pic", "picture", "photo", "foto", "frame"),
        *("face", "scan", "screenshot", "video", "vid", "clip", "pxl", "mvi", "gopr", "grade", "hb", "fnp", "smile"),
        *("smiling", "rest", "resting", "neutral", "blink", "brow", "brows", "frown", "pucker", "kiss", "eyes", "eye"),
        *("closed", "open", "mouth", "left", "right", "front", "frontal", "side", "before", "after", "pre", "post"),
        *("train", "val", "test"),
    }
)
_GROUPS = re.compile(r"(grade|class|hb)?[ _-]?(\d+|i{1,3}|iv|v|vi|i-ii|iii-iv|v-vi)|train|val|valid|validation|test")


@dataclass(frozen=True)
class Found:
    """An image whose patient is to be named.

    Attributes:
        name: the sample.
        folders: folders it lies in, below what all images share.
        stem: name of its file without ending.
    """

    name: str
    folders: tuple[str, ...]
    stem: str

    @property
    def head(self) -> str:
        """The file name up to the first "_"; "" where there is none."""
        head, mark, _ = self.stem.partition("_")
        return head if mark else ""


def from_files(images: Sequence[Found], source: str, place: str) -> tuple[list[str], str]:
    """The patient of each image by the names of files or folders, and in words where they were read.

    Args:
        images: the images.
        source: where they lie, for messages.
        place: one of `PLACES`; "auto" takes the file name up to its first "_", if no folder says otherwise.

    Raises:
        ManifestError: a name is missing, names nobody, or could be read in two ways; the message shows both.
    """
    if place not in PLACES:
        raise ManifestError(f"patients is {place!r}. {did_you_mean(place, PLACES)}")
    cure = "Give a .csv file with the columns image_path and grade and the column 'patient', or rename them."
    if place == "folder":
        _refuse_nameless(
            [i.name for i in images if not i.folders], source, "no folder of their own below the grade", cure
        )
        check_patients([(i.name, i.folders[0]) for i in images], source)
        return [i.folders[0] for i in images], f"the folders of the images in {source}"
    if any(i.folders for i in images):
        cure += " If each patient has a folder, give patients='folder' (--patients folder)."
    nameless = [i.name for i in images if not is_named(i.head)]
    _refuse_nameless(nameless, source, "the file name up to its first '_'", cure)
    if place == "auto":
        _refuse_folders(images, source)
    for image in images:
        if person_key(image.head) in _NOBODY:
            raise ManifestError(
                f"{source}: the file name {image.stem!r} begins with {image.head!r}, which names nobody, so it is not "
                f"clear which patient it shows. {cure}"
            )
    _refuse_parts(images, source, cure)
    check_patients([(i.name, i.head) for i in images], source)
    return [i.head for i in images], f"the file names in {source} up to the first '_'"


def check_patients(named: Iterable[tuple[str, str]], source: str) -> None:
    """Refuse two names that may be one patient, written in two ways or seen in two views; every layout is checked.

    "P07", "Patient 7" and "7" are such, and "P07 left" and "P07 right", "P07" and "P07 (1)".

    Args:
        named: each sample with its patient.
        source: where they were read from.

    Raises:
        ManifestError: there are such; the message names both, a sample of each and the cure.
    """
    found: dict[tuple[int, str], tuple[str, str]] = {}
    for sample, name in named:
        for key in enumerate(_readings(name)):
            other = found.setdefault(key, (sample, name))
            if person_key(other[1]) != person_key(name):
                raise ManifestError(
                    f"{source}: the patients {other[1]!r} (sample {other[0]!r}) and {name!r} (sample {sample!r}) may "
                    "be one. Write them alike if they are one, without side, time or task; give two patients names "
                    "that differ in more: a .csv file with the columns image_path, grade and patient says who is who."
                )


def _readings(name: str) -> list[str]:
    """What a name may say besides itself, one for each kind of people."""
    text = before = name.casefold().strip()
    while (shorter := _VIEW.sub("", text)) != text:
        before, text = text, shorter
    # "P(1)" is no copy of "P".
    key = person_key(before if person_key(text) in _NOBODY.union(*_KINDS) else text)
    parts = re.fullmatch(r"([^0-9]*)([0-9]+)", key)
    return [parts[2] if parts is not None and parts[1] in kind else key for kind in _KINDS]


def from_table(columns: Sequence[str], rows: Sequence[tuple[int, Mapping[str, str]]], path: Path) -> str | None:
    """The column of a table that names the patients, None if there is none.

    Raises:
        ManifestError: two columns name people and disagree on who is who, two names may be one patient, or a column
            such as "id" may name people or images.
    """
    found = sorted((name for name in columns if person_key(name) in _COLUMNS), key=lambda name: name != "patient")
    for other in found[1:]:
        _refuse_other_people(
            [(line, row[found[0]], row[other]) for line, row in rows],
            f"{path}: the columns {found[0]!r} and {other!r} both name people and disagree",
            "Keep one of them, named 'patient'.",
        )
    if found:
        check_patients([(f"line {line}", row[found[0]].strip()) for line, row in rows], str(path))
        return found[0]
    for name in columns:
        said = [person_key(row[name]) for _, row in rows]
        if person_key(name) in _UNSURE and len(set(said)) < len(said):
            raise ManifestError(
                f"{path}, line 1: the column {name!r} names some rows alike, so it may say who the patients are. Call "
                "it 'patient' if it does; give it another name, such as 'remark', if it does not."
            )
    return None


def below(paths: Iterable[Path]) -> list[tuple[str, ...]]:
    """Folders of relative paths, without those that all share and those that stand for a grade or a split."""
    parents = [[part for part in path.parent.parts if not _GROUPS.fullmatch(part.casefold())] for path in paths]
    while parents and all(parts and parts[0] == parents[0][0] for parts in parents):
        parents = [parts[1:] for parts in parents]
    return [tuple(parts) for parts in parents]


def _refuse_folders(images: Sequence[Found], source: str) -> None:
    nested = [(image.name, image.head, image.folders[0]) for image in images if image.folders]
    _refuse_other_people(
        nested,
        f"{source}: the names of files and of the folders they lie in disagree on who is who",
        "Say which names the patient: patients='file' or 'folder' (--patients file, --patients folder), or give a .csv "
        "file with the columns image_path, grade and patient.",
    )


def _refuse_parts(images: Sequence[Found], source: str, cure: str) -> None:
    """Refuse "P07-smile_1" beside "P07-rest_1": that may be one patient, P07, or two."""
    found: dict[str, Found] = {}
    for image in images:
        pieces = re.split(r"[-.\s()~+=]+", image.head)
        numbered = next((i for i, piece in enumerate(pieces) if any(map(str.isdigit, piece))), len(pieces) - 1)
        short = person_key("-".join(pieces[: numbered + 1]))
        other = found.setdefault(short, image)
        if person_key(other.head) != person_key(image.head):
            raise ManifestError(
                f"{source}: the file names {other.stem!r} and {image.stem!r} show the patients {other.head!r} and "
                f"{image.head!r}, or one patient twice. {cure}"
            )


def _refuse_other_people(rows: Iterable[tuple[object, str, str]], what: str, cure: str) -> None:
    """Refuse two ways to name people that do not keep the same people apart."""
    forth: dict[str, tuple[object, str, str]] = {}
    back: dict[str, tuple[object, str, str]] = {}
    for row in rows:
        where, one, two = row
        for known, key, own, side in ((forth, one, two, 2), (back, two, one, 1)):
            other = known.setdefault(person_key(key), row)
            if person_key(str(other[side])) != person_key(own):
                raise ManifestError(
                    f"{what}: {other[0]!r} is {other[1]!r} and {other[2]!r}, {where!r} is {one!r} and {two!r}. {cure}"
                )


def _refuse_nameless(names: Sequence[str], source: str, place: str, cure: str) -> None:
    if names:
        raise ManifestError(
            f"{source}: {listed(list(names))} without patient ({place}); people must not be on both sides of a split. "
            f"{cure}"
        )
