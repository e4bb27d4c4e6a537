"""The patients in graded faces: where their names are read, and which names are too ambiguous to use.

A patient must not be on both sides of a split, so a name is accepted only if all places that could contain it agree.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from htnet.core.errors import ManifestError, did_you_mean
from htnet.core.identity import COUNTED, check_identities, is_named, person_key
from htnet.core.words import listed
from htnet.data import Sample

#: Places of the patient's name, for files without a table; a regular expression with a group is allowed, too.
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
#: What tells the pictures of one patient apart: a side, a time, a task, the copy of a file.
_VIEWS = (
    *("l", "r", "left", "right", "front", "frontal", "side", "before", "after", "pre", "post", "rest", "resting"),
    *("neutral", "smile", "smiling", "blink", "brows?", "frown", "pucker", "kiss", "eyes?", "mouth", "closed", "open"),
    *("copy", "kopie", "copie", "copia"),
)
#: Visits with or without a number, and words that need one.
_VISITS = ("visite?", "besuch", r"follow[\W_]?up", "baseline", r"pr(?:e|ae|\u00e4)[\W_]?op", r"post[\W_]?op")
_COUNTED_VISITS = (
    *("fu", "tp", "termin", "kontrolle", "session", "sess?", "sitzung", "timepoint", "day", "tag", "week", "woche"),
    *("month", "monat", *_VISITS),
)
_DATES = (
    "[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{4}|[0-9]{2})",
    "(?:19|20)[0-9]{2}[./-]?[0-9]{2}[./-]?[0-9]{2}",
)
_GAP = r"(?<=\w)[\W_]+"
#: Endings of names of files and folders of one patient.
_VIEW = re.compile(
    "|".join(
        (
            rf"(?:(?<=[0-9])|{_GAP})(?:{'|'.join(_VIEWS)})[\W_]*$",  # 07l, Anna left
            rf"{_GAP}(?:[vt]|(?:{'|'.join(_COUNTED_VISITS)})(?![^\W\d_]))[\W_]*[0-9]{{1,3}}[\W_]*$",  # Anna visit 2
            rf"{_GAP}(?:{'|'.join(_VISITS)})[\W_]*$",  # Anna baseline
            rf"{_GAP}(?:{'|'.join(_DATES)})[\W_]*$",  # Anna 2024-01-31
            r"\s*\([0-9]+\)\s*$",  # Anna (2)
            r"~[0-9]+\s*$",  # ANNALE~1
        )
    )
)
#: Beginnings of file names that do not name a patient, by `person_key`: kinds of people, words of cameras, tasks.
_NOBODY = frozenset(
    {
        *("patient", "pat", "subject", "subj", "sub", "person", "participant", "proband", "case", "control", "id"),
        *("no", "nr", "img", "image", "dsc", "dscn", "dscf", "pict", "pic", "picture", "photo", "foto", "frame"),
        *("face", "scan", "screenshot", "video", "vid", "clip", "pxl", "mvi", "gopr", "grade", "hb", "fnp", "smile"),
        *("smiling", "rest", "resting", "neutral", "blink", "brow", "brows", "frown", "pucker", "kiss", "eyes", "eye"),
        *("closed", "open", "mouth", "left", "right", "front", "frontal", "side", "before", "after", "pre", "post"),
        *("train", "val", "test", "male", "female", "man", "woman", "boy", "girl", "healthy", "normal", "palsy"),
        *("visit", "session", "ses", "sess", "time", "timepoint", "tp", "day", "week", "month", "year", "date"),
        *("baseline", "followup", "task", "trial", "run", "take", "shot", "camera", "cam", "view", "capture", "crop"),
        *("site", "hospital", "clinic", "center", "centre", "ward", "dept", "department", "set", "group", "series"),
        *("stage", "level", "score", "label", "class", "sample", "file", "aligned", "copy", "new", "sunnybrook"),
    }
)
#: Words before the number in the name of a patient, if only file names identify the patients.
_BEFORE_NUMBERS = frozenset({"patient", "pat", "pt", "subject", "subj", "sub", "person", "participant", "case", "id"})
#: Letters before a number that more often counts visits, days, times, grades, eyes or cameras than people.
_NOT_PEOPLE = frozenset(
    {"a", "b", "d", "e", "f", "g", "i", "l", "m", "r", "t", "u", "v", "w", "y", "no", "nr", "hb", "gr", "im", "fr"}
    | {"wk", "mo", "yr", "tp", "ex", "se", "vi", "va", "od", "os", "ck"}
)
#: The name of a patient in file names: letters and a number, perhaps one more letter, then the end of the word.
_LIKE_A_PATIENT = re.compile(r"([^\W\d_]+)[\W_]*(\d+)[^\W\d_]?(?![^\W_])")
#: A year, a date or a time of day, and nothing else.
_DATE = re.compile(
    r"(?:(?:19|20)\d\d(?:[\W_]?\d\d?(?:[\W_]?\d\d?)?)?|\d\d?[\W_]\d\d?[\W_]\d{2,4}|\d{6}|\d{8}|\d{12}|\d{14})t?"
)
_GROUPS = re.compile(r"(grade|class|hb)?[ _-]?(\d+|i{1,3}|iv|v|vi|i-ii|iii-iv|v-vi)|train|val|valid|validation|test")


@dataclass(frozen=True)
class Found:
    """An image whose patient is to be identified.

    Attributes:
        name: the sample.
        folders: folders that contain it, below the folder that all images share.
        stem: name of its file without the ending.
    """

    name: str
    folders: tuple[str, ...]
    stem: str

    @property
    def head(self) -> str:
        """The file name up to the first "_"; "" if there is none."""
        head, mark, _ = self.stem.partition("_")
        return head if mark else ""


def from_files(images: Sequence[Found], source: str, place: str) -> tuple[list[str], str]:
    """Read the patient of each image from the names of files or folders.

    Args:
        images: the images.
        source: folder or table of the images, for messages.
        place: one of `PLACES`, or a regular expression whose first group is the patient. "auto" takes the file name up
            to its first "_" if that looks like a patient (letters and a number, such as "P07") and nothing contradicts
            it: no folder, and no later part of the names.

    Returns:
        The patients, and a text that states where they were read.

    Raises:
        ManifestError: a name is missing, is not a name, or could be read in two ways; the message shows both.
    """
    if place not in PLACES:
        return _from_pattern(images, source, place)
    cure = (
        "Give a regular expression whose group is the patient (patients=r'_(P[0-9]+)', --patients '_(P[0-9]+)') or a "
        ".csv file with the columns image_path and grade and the column 'patient', or rename the files."
    )
    if place == "folder":
        _refuse_nameless([i.name for i in images if not i.folders], source, "no separate folder below the grade", cure)
        for image in images:
            _refuse_no_name(image, image.folders[0], f"the folder {image.folders[0]!r}", source, cure)
        check_patients([(i.name, i.folders[0]) for i in images], source)
        return [i.folders[0] for i in images], f"the folders of the images in {source}"
    if any(i.folders for i in images):
        cure += " If each patient has a folder, give patients='folder' (--patients folder)."
    nameless = [i.name for i in images if not is_named(i.head)]
    _refuse_nameless(nameless, source, "the file name up to its first '_'", cure)
    if place == "auto":
        _refuse_folders(images, source)
    for image in images:
        _refuse_no_name(image, image.head, f"the file name {image.stem!r} begins with {image.head!r}", source, cure)
    _refuse_parts(images, source, cure)
    check_patients([(i.name, i.head) for i in images], source)
    if place == "auto":
        check_identities([Sample(i.name, subject=i.head) for i in images], source)
        _refuse_guesses(images, source, cure)
    return [i.head for i in images], f"the file names in {source} up to the first '_'"


def check_patients(named: Iterable[tuple[str, str]], source: str) -> None:
    """Refuse two names that may be one patient, written in two ways or seen in two views; every layout is checked.

    Examples are "P07", "Patient 7" and "7", "P07 left" and "P07 right", "P07_V1" and "P07_V2", and
    "P07" and "P07 (1)".

    Args:
        named: each sample with its patient.
        source: where they were read from.

    Raises:
        ManifestError: there are such names; the message gives both, a sample of each and the fix.
    """
    found: dict[tuple[int, str], tuple[str, str]] = {}
    for sample, name in named:
        for key in enumerate(_readings(name)):
            other = found.setdefault(key, (sample, name))
            if person_key(other[1]) != person_key(name):
                raise ManifestError(
                    f"{source}: the patients {other[1]!r} (sample {other[0]!r}) and {name!r} (sample "
                    f"{sample!r}) may be the same person. If they are, write them alike, without side, time, "
                    "visit, date or task. If not, give the two patients names "
                    "that differ in more, in a .csv file with the columns image_path, grade and patient."
                )


def _from_pattern(images: Sequence[Found], source: str, pattern: str) -> tuple[list[str], str]:
    """Read the patients with the user's regular expression, searched in the name of each file with its folders."""
    try:
        found = re.compile(pattern)
    except re.error:
        found = None
    if found is None or not found.groups:
        what = "is not a regular expression" if found is None else "has no group"
        near = did_you_mean(pattern, PLACES)
        raise ManifestError(
            f"patients is {pattern!r}, which {what}. {near} Or give a regular expression whose group is the patient, "
            "such as '_(P[0-9]+)'."
        )
    hits = [found.search("/".join((*image.folders, image.stem))) for image in images]
    names = [(hit[1] or "").strip() if hit is not None else "" for hit in hits]
    cure = "Correct the regular expression, or give a .csv file with the columns image_path, grade and patient."
    nameless = [image.name for image, name in zip(images, names, strict=True) if not is_named(name)]
    _refuse_nameless(nameless, source, f"the regular expression {pattern!r} has no match", cure)
    check_patients([(image.name, name) for image, name in zip(images, names, strict=True)], source)
    return names, f"the names of files and folders in {source} by the regular expression {pattern!r}"


def _refuse_no_name(image: Found, name: str, what: str, source: str, cure: str) -> None:
    """Refuse names that are a view, visit, date, camera word, sex, grade or place, with or without a number."""
    key = person_key(name)
    word = re.split(r"\d", key, maxsplit=1)[0]
    counted = word != key and (word in _NOBODY - _BEFORE_NUMBERS or word in ("t", "v"))
    # "hospitalA" and "groupB" are places and groups that differ by a letter.
    lettered = re.fullmatch(r"(.*[a-z])[A-Z]", name)
    names_no_patient = (
        key in _NOBODY
        or key in ("l", "r")
        or _DATE.fullmatch(name.strip().casefold()) is not None
        or counted
        or (lettered is not None and person_key(lettered[1]) in _NOBODY)
    )
    if names_no_patient:
        raise ManifestError(
            f"{source}: {what}, which is not a name, so it is not clear which patient the sample {image.name!r} shows. "
            f"{cure}"
        )


def _like_a_patient(text: str) -> str:
    """The key of the beginning of a text if it looks like a patient, such as "P07"; "" otherwise."""
    found = _LIKE_A_PATIENT.match(unicodedata.normalize("NFKC", text).casefold())
    if found is None:
        return ""
    word = person_key(found[1])
    fits = word in _BEFORE_NUMBERS or (len(word) <= 2 and word not in _NOT_PEOPLE | _NOBODY)
    return f"{word}{int(found[2])}" if fits else ""


def _refuse_guesses(images: Sequence[Found], source: str, cure: str) -> None:
    """Refuse first parts of file names that need not be patients, and names of which a later part may be one.

    Users who know that the first part is the patient can say so with ``patients``.
    """
    cure = f"If the first part is the patient, give patients='file' (--patients file). {cure}"
    heads: dict[str, Found] = {}
    later: dict[str, tuple[str, Found]] = {}
    for image in images:
        key = _like_a_patient(image.head)
        if not key:
            raise ManifestError(
                f"{source}: the file name {image.stem!r} begins with {image.head!r}, which need not be a patient: only "
                f"letters and a number, such as P07 or sub07, are read as a patient. {cure}"
            )
        # "P9a" and "P9b" may be two eyes, sides or visits of P9.
        other = heads.setdefault(key, image)
        if person_key(other.head) != person_key(image.head):
            raise ManifestError(
                f"{source}: the file names {other.stem!r} and {image.stem!r} show the patients {other.head!r} and "
                f"{image.head!r}, or one patient twice. {cure}"
            )
        rest = re.split(r"[\W_]+", image.stem[len(image.head) :])
        inside = re.split(r"[\W_]+", image.head)[1:]
        for part in (*inside, *rest):
            candidate = _like_a_patient(part)
            if not candidate or candidate == key:
                continue
            first, seen = later.setdefault(candidate, (key, image))
            if first != key:
                raise ManifestError(
                    f"{source}: the file names {seen.stem!r} and {image.stem!r} show the patients {seen.head!r} and "
                    f"{image.head!r}, or both show the patient {part!r}. {cure}"
                )


def _readings(name: str) -> list[str]:
    """Keys under which a name may mean the same person as another name, one for each kind of people in `COUNTED`."""
    text = before = name.casefold().strip()
    # "P07-1" and "P07-2" may be two pictures of P07, but "12-034" is a site and a patient.
    counted = re.fullmatch(r"((?:patient|pat|pt|p|subject|subj|sub|s)[\W_]?\d+)[\W_]+\d{1,2}", text)
    text = counted[1] if counted is not None else text
    while (shorter := _VIEW.sub("", text)) != text:
        before, text = text, shorter
    # "P(1)" is not a copy of "P".
    key = person_key(before if person_key(text) in _NOBODY.union(*COUNTED) else text)
    parts = re.fullmatch(r"([^0-9]*)([0-9]+)", key)
    return [parts[2] if parts is not None and parts[1] in kind else key for kind in COUNTED]


def from_table(columns: Sequence[str], rows: Sequence[tuple[int, Mapping[str, str]]], path: Path) -> str | None:
    """The column of a table that names the patients; None if there is none.

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
                f"{path}, line 1: the column {name!r} has the same value in several rows, so it may name the patients. "
                "Call it 'patient' if it does; give it another name, such as 'remark', if it does not."
            )
    return None


def below(paths: Iterable[Path]) -> list[tuple[str, ...]]:
    """Folders of relative paths, without those that all share and those that name a grade or a split."""
    parents = [[part for part in path.parent.parts if not _GROUPS.fullmatch(part.casefold())] for path in paths]
    while parents and all(parts and parts[0] == parents[0][0] for parts in parents):
        parents = [parts[1:] for parts in parents]
    return [tuple(parts) for parts in parents]


def _refuse_folders(images: Sequence[Found], source: str) -> None:
    nested = [(image.name, image.head, image.folders[0]) for image in images if image.folders]
    _refuse_other_people(
        nested,
        f"{source}: the names of files and of their folders disagree on who is who",
        "State which names the patient: patients='file' or 'folder' (--patients file, --patients folder), or give a "
        ".csv file with the columns image_path, grade and patient.",
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
    """Refuse two ways to name people that do not distinguish the same people."""
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
