"""Readers of graded faces: folders of grades, a table, and the CK+ layout."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from htnet.core.csv_files import formula_error
from htnet.core.errors import ManifestError, cause, did_you_mean
from htnet.core.hints import IMAGES, door_of, hint, missing
from htnet.core.identity import refuse_unnamed
from htnet.core.limits import read_file
from htnet.core.paths import as_path
from htnet.core.words import listed
from htnet.data import Manifest, Sample
from htnet.data.manifest import SPLITS
from htnet.data.tables import as_there, read_table
from htnet.palsy.grades import GradeScheme, grade_scheme
from htnet.palsy.patients import Found, below, check_patients, from_files, from_table

CK_IMAGES = "cohn-kanade-images"
CK_EMOTIONS = "Emotion"
_FOLDER = re.compile(r"grade[ _-]?(.+)", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")

StrPath = str | PathLike[str]


def read_palsy(
    source: StrPath, *, classes: int = 6, grade_map: StrPath | None = None, patients: str = "auto"
) -> Manifest:
    """Read graded faces from any of the known layouts.

    Args:
        source: a folder of ``grade_N`` folders (see `read_grade_folders`), a .csv file (`read_grade_csv`), or a
            folder in the layout of CK+ (`read_ck_plus`).
        classes: 6 or 3, see `htnet.palsy.SCHEMES`.
        grade_map: for CK+ only: the table that assigns the grades.
        patients: source of a patient's name: "file" for the file name up to its first "_", "folder" for the folder
            of the image, a regular expression whose first group is the patient, or "auto" for the file name if it
            begins with letters and a number, such as "P07", and nothing contradicts it. Not for tables that name
            patients.

    Returns:
        The manifest: ``image`` and ``subject`` of each sample, its class as ``label``, and its ``split`` if the
        source names one.

    Raises:
        ManifestError: the source is none of these, or not as described.
    """
    source, scheme = as_path(source, "source"), grade_scheme(classes)
    if not os.path.exists(source):
        raise ManifestError(missing(source))
    door = door_of(source)
    if door is not None and door.kind not in ("grades", "frames"):
        raise ManifestError(f"{source} contains no graded faces.{hint(source)}")
    ck_plus = source.name == CK_IMAGES or os.path.isdir(source / CK_IMAGES)
    if grade_map is not None and not ck_plus:
        raise ManifestError(f"{source} is not in the layout of CK+ ({CK_IMAGES}/), so it takes no grade map.")
    if ck_plus:
        if patients != "auto":
            raise ManifestError(f"{source}: CK+ has a folder for each person. Leave patients (--patients) out.")
        return read_ck_plus(source, grade_map, scheme)
    if os.path.isdir(source):
        return read_grade_folders(source, scheme, patients)
    if source.suffix.lower() == ".csv":
        return read_grade_csv(source, scheme, patients)
    raise ManifestError(
        f"{source} contains no graded faces: give a folder of grade_1 ... grade_6, a .csv file with image_path and "
        f"grade, or a folder with {CK_IMAGES}."
    )


def read_grade_folders(root: StrPath, scheme: GradeScheme, patients: str = "auto") -> Manifest:
    """Read images in folders ``grade_1`` to ``grade_6``, the layout of FNP; grades may be missing.

    The patient is the file name up to the first "_": ``P07_smile_2.jpg`` shows P07. The same name in two folders is
    the same person, graded twice. Names that do not begin like a patient's, and folders or later parts of names that
    contradict them, are refused unless ``patients`` states where the name is; see `read_palsy`.

    Raises:
        ManifestError: there are no such folders, a folder's name is not a grade, a file has no "_", or it is not clear
            which patient a file shows.
    """
    root = as_path(root, "root")
    if not os.path.isdir(root):
        raise ManifestError(f"{root} is a file, not a folder." if os.path.exists(root) else missing(root))
    folders = [
        (folder, found[1])
        for folder in sorted(root.iterdir())
        if os.path.isdir(folder) and (found := _FOLDER.fullmatch(folder.name))
    ]
    if not folders:
        raise ManifestError(f"{root} contains no folders grade_1 ... grade_6. Check the path, or give a .csv file.")
    samples, images = [], []
    for folder, text in folders:
        label = scheme.class_of(text, str(folder))
        for image in images_in(folder):
            name = image.relative_to(root).with_suffix("").as_posix()
            images.append(Found(name, image.relative_to(folder).parent.parts, image.stem))
            samples.append(Sample(name, label=label, image=image))
    if not samples:
        raise ManifestError(f"The folders {', '.join(f.name for f, _ in folders)} in {root} contain no images.")
    names, where = from_files(images, str(root), patients)
    named = tuple(replace(sample, subject=name) for sample, name in zip(samples, names, strict=True))
    return Manifest(named, scheme.names, str(root), identities_from=where)


def read_grade_csv(path: StrPath, scheme: GradeScheme, patients: str = "auto") -> Manifest:
    """Read a table of images.

    Columns: ``image_path`` (relative to the table's folder) and ``grade``; optionally ``patient`` (or ``subject``,
    ``patient_id`` and the like; otherwise the file name up to the first "_", as in `read_grade_folders`) and ``split``:
    train, val (or validation) or test, in every row or in none. Other columns are ignored.

    Raises:
        ManifestError: the table is not as described, an image is listed twice, a patient is in two splits, or it is not
            clear which patient an image shows.
    """
    path = as_path(path, "path")
    columns, rows = read_table(path, ("image_path", "grade"))
    column = from_table(columns, rows, path)
    if column is not None and patients != "auto":
        raise ManifestError(f"{path} names patients in the column {column!r}. Leave patients (--patients) out.")
    listed_images: list[tuple[str, Sample]] = []
    lines: dict[str, int] = {}
    for line, row in rows:
        text = as_there(path.parent, row["image_path"].strip())
        where = f"{path}, line {line}"
        if wrong := [name for name in columns if formula_error(row[name])]:
            raise ManifestError(
                f"{where}: {wrong[0]} is {row[wrong[0]].strip()!r}, the error of a formula in the spreadsheet. Correct "
                "the formula, or empty the cell."
            )
        if not text:
            raise ManifestError(f"{where}: image_path is empty. Name a file, or delete the line.")
        label, split = scheme.class_of(row["grade"], where), ""
        if "split" in columns:
            split = _split(row["split"], where)
        patient = row[column].strip() if column is not None else ""
        name = Path(text).with_suffix("").as_posix()
        listed_images.append((text, Sample(name, subject=patient, label=label, image=path.parent / text, split=split)))
        first = lines.setdefault(os.path.realpath(path.parent / text), line)
        if first != line:  # it would count twice
            raise ManifestError(
                f"{where}: {row['image_path'].strip()} is the image of line {first}. Delete one of them."
            )
    samples = [sample for _, sample in listed_images]
    if column is not None:
        refuse_unnamed(samples, str(path), f"people must not be on both sides of a split. Its column is {column!r}")
        place = f"the column {column!r} of {path}"
    else:
        files = [Path(text) for text, _ in listed_images]
        found = [Found(s.sample, f, file.stem) for s, f, file in zip(samples, below(files), files, strict=True)]
        names, place = from_files(found, str(path), patients)
        samples = [replace(sample, subject=name) for sample, name in zip(samples, names, strict=True)]
    there = [sample.image is not None and os.path.isfile(sample.image) for sample in samples]
    missing = [sample for sample, is_there in zip(samples, there, strict=True) if not is_there]
    return Manifest(
        tuple(sample for sample, is_there in zip(samples, there, strict=True) if is_there),
        scheme.names,
        str(path),
        tuple(sample.sample for sample in missing),
        tuple(str(sample.image) for sample in missing),
        identities_from=place,
    )


def read_ck_plus(root: StrPath, grade_map: StrPath | None, scheme: GradeScheme) -> Manifest:
    """Read the last frame, the peak, of each sequence of CK+ (Lucey et al., CVPR Workshops 2010).

    CK+ has no palsy grades, so a table assigns them to the sequences. It has the column ``grade`` and either
    ``sequence`` ("S005/001" or "S005_001") or ``emotion``, the number 0 to 7 in ``Emotion/S005/001/*.txt``.
    Sequences that the table does not name, or without emotion, are left out and listed; none gets a default grade.

    Args:
        root: the folder that contains ``cohn-kanade-images``, or that folder itself.
        grade_map: the table, a .csv file.
        scheme: the classes.

    Raises:
        ManifestError: there is no grade map, or the data are not as described.
    """
    root = as_path(root, "root")
    root = root.parent if root.name == CK_IMAGES else root
    if grade_map is None:
        raise ManifestError(
            f"CK+ ({root}) has no palsy grades. Give a grade map: a .csv file with the columns sequence and grade "
            "(S005/001,1), or emotion and grade (7,1)."
        )
    if not os.path.isdir(root / CK_IMAGES):
        raise ManifestError(missing(root / CK_IMAGES))
    given = _read_grade_map(as_path(grade_map, "grade_map"), scheme)
    samples, excluded = [], []
    for folder in sorted((root / CK_IMAGES).glob("*/*")):
        frames = sorted(images_in(folder), key=_frame_number) if os.path.isdir(folder) else []
        if not frames:
            continue
        subject, sequence = folder.parent.name, folder.name
        name = f"{subject}_{sequence}"
        label, key = given.find(name, _emotion(root / CK_EMOTIONS / subject / sequence))
        if label is None:
            excluded.append((name, key))
        else:
            samples.append(Sample(name, "ck+", subject, label, image=frames[-1]))
    if not samples:
        raise ManifestError(
            f"{root}: no sequence has a grade in {grade_map}, {len(excluded)} have none. Check its {given.column}s."
        )
    unused = sorted(given.grades.keys() - given.used)
    if given.column == "sequence" and unused:
        raise ManifestError(f"{grade_map} names sequences that {root / CK_IMAGES} does not contain: {listed(unused)}.")
    check_patients([(sample.sample, sample.subject) for sample in samples], str(root))
    where = f"the folders in {root / CK_IMAGES}"
    return Manifest(tuple(samples), scheme.names, str(root), excluded=tuple(excluded), identities_from=where)


@dataclass(frozen=True)
class _GradeMap:
    """The grades that the user assigns to CK+: class by sequence or by emotion."""

    column: str
    grades: Mapping[str, str]
    used: set[str]

    def find(self, sequence: str, emotion: str | None) -> tuple[str | None, str]:
        """The class of a sequence (None if it has none), and the reason if it has none."""
        if self.column == "emotion" and emotion is None:
            return None, "no emotion"
        key = sequence if self.column == "sequence" else str(emotion)
        self.used.add(key)
        reason = "not in the grade map" if self.column == "sequence" else f"emotion {emotion} (not in the grade map)"
        return self.grades.get(key), reason


def _read_grade_map(path: Path, scheme: GradeScheme) -> _GradeMap:
    columns, rows = read_table(path, ("grade",))
    keys = [name for name in ("sequence", "emotion") if name in columns]
    if len(keys) != 1:
        raise ManifestError(f"{path}, line 1: the grade map needs one of the columns sequence and emotion, not {keys}.")
    tidy: Callable[[str], str] = (
        (lambda text: text.replace("/", "_").replace("\\", "_")) if keys == ["sequence"] else _whole
    )
    grades: dict[str, str] = {}
    for line, row in rows:
        key = tidy(row[keys[0]].strip())
        label = scheme.class_of(row["grade"], f"{path}, line {line}")
        if grades.setdefault(key, label) != label:
            raise ManifestError(f"{path}, line {line}: {keys[0]} {key!r} has two grades. Keep one.")
    return _GradeMap(keys[0], grades, set())


def _emotion(folder: Path) -> str | None:
    """The emotion number of a sequence; CK+ writes it as 3.0000000e+00 into one text file."""
    files = sorted(folder.glob("*.txt"))
    if not files:
        return None
    try:
        return _whole(read_file(files[0]).decode("utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{files[0]} cannot be read ({cause(error)}). Copy CK+ again.") from error


def _whole(text: str) -> str:
    """A number without its decimals: "3.0000000e+00" and "3" become "3"; any other text is returned unchanged."""
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() else text


def _frame_number(path: Path) -> tuple[int, str]:
    found = _LAST_NUMBER.search(path.stem)
    return int(found[1]) if found else -1, path.name


def images_in(folder: Path) -> list[Path]:
    """Image files in a folder and its subfolders, except hidden ones."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGES and not p.name.startswith("."))


def _split(text: str, where: str) -> str:
    name = {"validation": "val", "valid": "val"}.get(text.strip().lower(), text.strip().lower())
    if name not in SPLITS:
        given = f"is {name!r}" if name else "is empty"
        raise ManifestError(
            f"{where}: the split {given}. {did_you_mean(name, SPLITS)} Fill it in every row, or remove the column to "
            "have the patients split."
        )
    return name
