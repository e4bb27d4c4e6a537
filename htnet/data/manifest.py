"""The manifest: the common representation of all data sets."""

from __future__ import annotations

import operator
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.csv_files import csv_text, formula_error, no_value
from htnet.core.errors import InputError, ManifestError, cause, did_you_mean, refuse_type
from htnet.core.files import check_outputs, write_text
from htnet.core.hints import door_of, hint
from htnet.core.hints import missing as missing_path
from htnet.core.identity import check_identities, is_named, refuse_unnamed
from htnet.core.paths import as_path
from htnet.core.shared_files import check_files
from htnet.core.types import EMOTIONS
from htnet.core.words import listed
from htnet.data.class_names import (
    CLASS_MARK,
    EMOTIONS_BY_KEY,
    INDEX,
    class_names,
    class_of,
    is_number,
    numbers_as_labels,
)
from htnet.data.degenerate import check_choice, refuse_degenerate
from htnet.data.facs_cells import keep_readable
from htnet.data.repeats import repeated_pictures
from htnet.data.tables import as_there, cell_of, read_table, refuse_missing
from htnet.preprocess.pairs import pair_fault

MANIFEST_FILE = "manifest.csv"
#: Columns of a manifest file; only ``sample`` is required.
COLUMNS = (
    *("sample", "dataset", "subject", "label", "onset", "apex", "flow", "landmarks"),
    *("clip", "clip_first", "clip_last", "motion", "image", "split", "action_units", "apex_source", "classes"),
)
PATH_COLUMNS = ("onset", "apex", "flow", "landmarks", "clip", "motion", "image")
#: Fields of a sample that are strings.
_TEXTS = ("sample", "dataset", "subject", "split", "clip_first", "clip_last", "action_units", "apex_source")
#: Columns that are written only if at least one sample has a value.
_RARE = ("clip", "clip_first", "clip_last", "motion", "image", "split", "action_units", "apex_source", "classes")
#: Values of the column ``split``.
SPLITS = ("train", "val", "test")
#: Values of the column ``apex_source``; "" means that the apex is annotated, or that its source is unknown.
APEX_SOURCES = ("", "middle")


@dataclass(frozen=True)
class Sample:
    """One sample: its files and annotations.

    Attributes:
        sample: identifier, unique in its manifest.
        dataset: name of the data set it comes from.
        subject: identifier of the person, unique only together with ``dataset``.
        label: class name; None if unknown.
        onset: file of the onset frame.
        apex: file of the apex frame.
        flow: file of a precomputed flow image.
        landmarks: file with the five points, in px of ``onset`` if there is one, otherwise in px of ``flow``. A table
            of many samples whose name ends in ``_224px.csv`` contains px of 224 px faces.
        image: file of a single face, for models that read a face without motion.
        split: the split that the sample belongs to, one of `SPLITS`; "" if there are none.
        clip: a video file, or a folder of frames, that shows the expression from onset to offset; for models that
            read motion.
        clip_first: the onset frame in ``clip``: its number, counted from 0, or its file name in the folder; "" for the
            first frame.
        clip_last: the offset frame, in the same form; "" for the last frame.
        motion: file of the clip's motion features, as `htnet.data.prepare.prepare` writes it; used instead of ``clip``.
        action_units: annotated action units, for `parse_annotation`; "" if they are not annotated, "none" if the coder
            saw none.
        apex_source: source of the apex: "middle" for the frame midway between onset and offset, used
            if no apex is annotated or the annotated one is impossible; "" otherwise.

    Raises:
        InputError: a file is not given as a path.
        ManifestError: a name is not a string.
    """

    sample: str
    dataset: str = ""
    subject: str = ""
    label: str | None = None
    onset: Path | None = None
    apex: Path | None = None
    flow: Path | None = None
    landmarks: Path | None = None
    image: Path | None = None
    split: str = ""
    clip: Path | None = None
    clip_first: str = ""
    clip_last: str = ""
    motion: Path | None = None
    action_units: str = ""
    apex_source: str = ""

    def __post_init__(self) -> None:
        """Convert file names to paths; refuse other types, and names that are not strings."""
        for name in PATH_COLUMNS:
            if (value := getattr(self, name)) is not None and not isinstance(value, Path):
                object.__setattr__(self, name, as_path(value, name))
        for name in _TEXTS:
            if not isinstance(value := getattr(self, name), str):
                refuse_type(name, value, str, "a string", ManifestError)
        if self.label is not None:
            refuse_type("label", self.label, str, "the name of a class, or None", ManifestError)


def files_of(sample: Sample) -> list[Path]:
    """The files and folders that a sample names."""
    return [value for value in vars(sample).values() if isinstance(value, Path)]


#: Data sets of the composite set of MEGC 2019, in the order of its table.
_COMPOSITE = ("casme2", "smic", "samm")


@dataclass(frozen=True)
class Manifest:
    """The samples of a data set, in order.

    Attributes:
        samples: the samples.
        classes: class names; a label's index is its position here.
        source: where the manifest was read from, for messages.
        skipped: identifiers of samples left out because their files are missing.
        missing_files: the missing files of these samples.
        excluded: (identifier, annotated label) of samples left out because their label belongs to no class; any other
            reason is given in parentheses after the label.
        middle_apex: identifiers of samples with a missing or impossible apex, for which the middle frame is used.
        notes: the reader's notes for the user, one sentence each: corrected values, differences
            from the published list of a known set, cells that could not be parsed.
        identities_from: where the subjects were read from, such as "the column 'subject' of samples.csv".
        compared_with: names of the published lists that the samples were compared with, as in
            `htnet.data.published.differences`; empty if the column ``dataset`` determines them.
        differences: the notes on differences from these lists.

    Raises:
        ManifestError: a sample or class occurs twice, a label is not a class, a split is not in `SPLITS`, a subject
            is in two splits, or the subjects are ambiguous (see `htnet.core.identity.check_identities`).
    """

    samples: tuple[Sample, ...]
    classes: tuple[str, ...] = EMOTIONS
    source: str = "manifest"
    skipped: tuple[str, ...] = ()
    missing_files: tuple[str, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()
    middle_apex: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    identities_from: str = "as given"
    compared_with: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that samples and classes are unique and labels are classes."""
        for what, kind, cure in (("samples", Sample, "a list of Sample"), ("classes", str, "a list of class names")):
            given = getattr(self, what)
            if isinstance(given, (str, bytes, Mapping, Set)) or not isinstance(given, Iterable):
                raise ManifestError(f"{self.source}: {what} is of type {type(given).__name__}; give {cure}.")
            found = tuple(given)
            for number, one in enumerate(found):
                refuse_type(f"{what}[{number}]", one, kind, cure, ManifestError)
            object.__setattr__(self, what, found)
        for what, names in (("class", self.classes), ("sample", [s.sample for s in self.samples])):
            for name, count in Counter(names).items():
                if count > 1:
                    raise ManifestError(f"{self.source}: the {what} {name!r} occurs {count} times; make names unique.")
        for sample in self.samples:
            if sample.apex_source not in APEX_SOURCES:
                raise ManifestError(
                    f"{self.source}: sample {sample.sample!r} has the apex_source {sample.apex_source!r}. "
                    + did_you_mean(sample.apex_source, APEX_SOURCES[1:])
                )
            if sample.label is not None and sample.label not in self.classes:
                raise ManifestError(
                    f"{self.source}: sample {sample.sample!r} has the label {sample.label!r}, which is not a class. "
                    + did_you_mean(sample.label, self.classes)
                )
        check_identities(self.samples, self.source, told_apart="composite" in self.compared_with)
        self._check_splits()

    def _check_splits(self) -> None:
        """Refuse unknown splits, and people who are in two splits."""
        found: dict[tuple[str, str], Sample] = {}
        for sample in self.samples:
            if sample.split not in ("", *SPLITS):
                raise ManifestError(
                    f"{self.source}: sample {sample.sample!r} has the split {sample.split!r}. "
                    + did_you_mean(sample.split, SPLITS)
                )
            if sample.split and is_named(sample.subject):
                other = found.setdefault((sample.dataset, sample.subject), sample)
                if other.split != sample.split:
                    raise ManifestError(
                        f"{self.source}: subject {sample.subject!r} is in two splits: sample {other.sample!r} in "
                        f"{other.split!r}, sample {sample.sample!r} in {sample.split!r}. Put each person in one split."
                    )

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        """The samples, in order."""
        return iter(self.samples)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes for a report on these samples.

        They are ``notes``, classes without a sample or with a single one, and replaced apexes.
        """
        notes = (*self.notes, *self._absent(), *self._single())
        replaced = [s.sample for s in self.samples if s.apex_source == "middle"]
        if not replaced:
            return notes
        what = "1 apex is" if len(replaced) == 1 else f"{len(replaced)} apexes are"
        return (
            *notes,
            f"{what} not annotated or impossible; the middle frame of the clip was used: {', '.join(replaced)}.",
        )

    def _absent(self) -> list[str]:
        """Classes without samples, if there are labels: they cannot be learned, and do not count in UF1 and UAR."""
        there = {s.label for s in self.samples if s.label is not None}
        if not there or not (absent := [name for name in self.classes if name not in there]):
            return []
        what = "class" if len(absent) == 1 else "classes"
        return [f"No sample is labeled {' or '.join(absent)}: the {what} cannot be learned or scored on these samples."]

    def _single(self) -> list[str]:
        """Classes with a single sample, if others have more: they may be typos, and cannot be learned."""
        counts = Counter(s.label for s in self.samples if s.label is not None)
        single = [s for s in self.samples if s.label is not None and counts[s.label] == 1]
        if not single or len(single) == len(counts):
            return []
        shown = ", ".join(f"{s.label} ({s.sample})" for s in single)
        return [f"A single sample is labeled {shown}: a class needs samples of several people to be learned."]

    @property
    def subjects(self) -> list[tuple[str, str]]:
        """Sorted (dataset, subject) of all samples whose subject is known."""
        return sorted({(s.dataset, s.subject) for s in self.samples if is_named(s.subject)})

    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) class indexes.

        Raises:
            ManifestError: samples have no label; the message names them.
        """
        without = [s.sample for s in self.samples if s.label is None]
        if without:
            raise ManifestError(f"{self.source}: {listed(without)} without label. Label them or leave them out.")
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index[s.label] for s in self.samples if s.label is not None], dtype=np.int64)

    def subset(self, indices: Iterable[int]) -> Manifest:
        """The samples at ``indices``, in that order, with the same classes.

        Raises:
            ManifestError: an index is out of range, or given twice.
        """
        chosen = sample_indices(indices)
        check_indices(chosen, self)
        return replace(self, samples=tuple(self.samples[i] for i in chosen))

    def by_name(self) -> list[int]:
        """Indices of the samples, sorted by data set, subject and identifier.

        Trainings and evaluations use this order, so results do not depend on the order of a table's rows. The data sets
        of the composite set of MEGC 2019 come first, in the order of its table.
        """

        def place(i: int) -> tuple[int, str, str, str]:
            one = self.samples[i]
            first = _COMPOSITE.index(one.dataset) if one.dataset in _COMPOSITE else len(_COMPOSITE)
            return first, one.dataset, one.subject, one.sample

        return sorted(range(len(self)), key=place)

    def split(self, name: str) -> Manifest:
        """The samples of one split, with the same classes.

        Raises:
            ManifestError: the split has no samples (the message names those that have), or there are several splits and
                a sample in them has no subject, or two subjects or data sets share a file.
        """
        chosen = [i for i, sample in enumerate(self.samples) if sample.split == name]
        if not chosen:
            known = {sample.split for sample in self.samples if sample.split}
            raise ManifestError(
                f"{self.source}: no sample has the split {name!r}. {did_you_mean(name, known)} The column 'split' "
                "names them."
            )
        in_splits = [sample for sample in self.samples if sample.split]
        if len({sample.split for sample in in_splits}) > 1:
            refuse_unnamed(in_splits, self.source)
            check_files(in_splits, self.source)
        return self.subset(chosen)

    def write(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write a manifest file for `read_manifest`; its paths are relative to its folder.

        Labels are written as class names. If the labels alone do not determine the classes and their order, the column
        ``classes`` lists the classes in each row. The file is written atomically.

        Args:
            path: the file; missing folders are created.
            overwrite: replace a file that exists.

        Raises:
            OverwriteError: the file exists and ``overwrite`` is not given.
            ManifestError: the file cannot be written, or a class name contains "|".
        """
        path = as_path(path, "path")
        check_outputs(path, overwrite=overwrite)
        classes = self._classes_to_write()
        filled = {name for name in _RARE[:-1] if any(getattr(s, name) for s in self.samples)}
        columns = [name for name in COLUMNS if name not in _RARE or name in filled | classes.keys()]
        rows: list[dict[str, object]] = []
        for s in self.samples:
            row = {name: getattr(s, name) or "" for name in columns if name != "classes"}
            paths = {name: _relative(getattr(s, name), path.parent) for name in PATH_COLUMNS if name in columns}
            rows.append({**row, **paths, **classes})
        try:
            write_text(path, csv_text(columns, rows))
        except InputError as error:
            why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else cause(error)
            raise ManifestError(f"{path} cannot be written: {why}. Choose another place.") from error

    def _classes_to_write(self) -> dict[str, str]:
        """The column ``classes`` and its content; empty if the labels alone determine the classes."""
        labels = {s.label for s in self.samples if s.label is not None}
        plain = EMOTIONS if labels <= set(EMOTIONS) else tuple(sorted(labels))
        ambiguous = len({label.casefold() for label in labels}) < len(labels) or any(
            label not in EMOTIONS and (is_number(label) or no_value(label) or label.casefold() in EMOTIONS_BY_KEY)
            for label in labels
        )
        if self.classes == plain and not ambiguous:
            return {}
        if any(CLASS_MARK in name or name != name.strip() or not name for name in self.classes):
            raise ManifestError(
                f"{self.source}: the classes {self.classes!r} cannot be written; use names without {CLASS_MARK!r} "
                "and without surrounding blanks."
            )
        return {"classes": CLASS_MARK.join(self.classes)}


def check_manifest(manifest: object, name: str = "manifest") -> None:
    """Refuse what is not a `Manifest`; the message says how to get one.

    Args:
        manifest: what the user gave.
        name: name of the argument.

    Raises:
        ManifestError: it is a path, a list of samples, or anything else.
    """
    if isinstance(manifest, (str, os.PathLike)):
        raise ManifestError(f"{name} is a path, {str(manifest)!r}. Read it first: htnet.data.open_data(path).")
    cure = "what htnet.data.open_data or read_manifest returns; samples as Manifest(samples, classes)"
    refuse_type(name, manifest, Manifest, cure, ManifestError)


def read_manifest(
    path: str | PathLike[str],
    classes: Sequence[str] | None = None,
    check_files: bool = True,
    need_label: bool = False,
    degenerate: str = "raise",
) -> Manifest:
    """Read a manifest file.

    A manifest file is a CSV file (see `htnet.core.csv_files`) whose header names any of ``sample`` (required),
    ``dataset``, ``subject``, ``label``, ``onset``, ``apex``, ``flow``, ``landmarks``, ``clip``, ``clip_first``,
    ``clip_last``, ``motion``, ``image``, ``split``, ``action_units``, ``apex_source``, ``classes``. Paths are relative
    to the file's folder. Each sample has ``onset`` and ``apex``, or ``flow``, or all three, or a single ``image``.
    Identifiers are text: "006" stays "006". Samples with the same files are named in ``Manifest.notes``; with different
    labels they are refused. Action units that cannot be parsed are left out and named in
    ``Manifest.notes``. A label is a class name or a class index ("1", "1.0" and "1,0" are the same
    index). ``classes`` contains all class names in order, separated by "|", and must be the same in every row.

    Args:
        path: the file.
        classes: class names in order. By default those of the column ``classes``; without this column
            `htnet.types.EMOTIONS` if every label is one of these names, in any case, or an index of them, otherwise
            the sorted distinct labels.
        check_files: check whether all files exist.
        need_label: refuse samples without label.
        degenerate: handling of pairs whose apex is the onset or a frame before it, or whose clip ends before it
            begins, as far as the file names show this (see `htnet.data.degenerate`): "raise" refuses the manifest
            and names all such samples; "skip" leaves them out and lists them in ``Manifest.excluded``; "keep" keeps
            them, for predictions that flag them.

    Returns:
        The manifest.

    Raises:
        ManifestError: the file does not have this format; the message names file, line and cure.
    """
    path = as_path(path, "path")
    check_choice("degenerate", degenerate)
    _refuse_other(path)
    columns, rows = read_table(path)
    for name in columns:
        if not name:
            raise ManifestError(
                f"{path}, line 1: column {columns.index(name) + 1} has no name. Name it or delete it; the index of a "
                "pandas table is left out by to_csv(index=False)."
            )
        if name not in COLUMNS:
            raise ManifestError(f"{path}, line 1: unknown column {name!r}. {did_you_mean(name, COLUMNS)}")
    if "sample" not in columns:
        raise ManifestError(f"{path}, line 1: there is no column 'sample'. Add one with a unique name for each sample.")
    for line, row in rows:
        for name, cell in row.items():
            if formula_error(cell):
                raise ManifestError(
                    f"{path}, line {line}: {name} is {cell.strip()!r}, the error of a formula in the spreadsheet. "
                    "Correct the formula, or empty the cell."
                )
    names = class_names(path, rows, classes)
    lines: dict[str, int] = {}
    samples: list[Sample] = []
    notes = [] if classes is not None else numbers_as_labels(path, rows)
    for line, row in rows:
        sample = _sample(path, line, row, names)
        if sample.action_units:
            place = f"{path}, {cell_of(line, columns.index('action_units'))}"
            units, problems = keep_readable(sample.action_units, place, sample.sample)
            sample = replace(sample, action_units=units)
            notes += problems
        if sample.sample in lines:
            raise ManifestError(
                f"{path}, line {line}: sample {sample.sample!r} was already on line {lines[sample.sample]}. "
                "Give each sample its own name."
            )
        if need_label and sample.label is None:
            raise ManifestError(f"{path}, line {line}: sample {sample.sample!r} has no label; fill the column 'label'.")
        lines[sample.sample] = line
        samples.append(sample)
    if check_files:
        missing = [
            f"line {lines[s.sample]}, {name}: {file}"
            for s in samples
            for name in PATH_COLUMNS
            if (file := getattr(s, name)) is not None and not _is_there(file, name)
        ]
        refuse_missing(missing, str(path), "Correct the paths, which are relative to the manifest's folder.")
        notes += repeated_pictures(path, samples, lines)
    found = {s.sample: fault for s in samples if (fault := sample_fault(s))} if degenerate != "keep" else {}
    if degenerate == "raise":
        refuse_degenerate(
            [f"line {lines[name]}, sample {name!r}: {fault}" for name, fault in found.items()],
            str(path),
            "Correct or delete these lines, or leave them out: degenerate='skip' (htnet prepare manifest "
            "--skip-errors).",
        )
    where = f"the column 'subject' of {path}" if "subject" in columns else "no column 'subject'"
    kept = tuple(sample for sample in samples if sample.sample not in found)
    return Manifest(
        kept,
        names,
        str(path),
        excluded=tuple(
            (s.sample, f"{s.label or 'no label'} ({found[s.sample]})") for s in samples if s.sample in found
        ),
        middle_apex=tuple(s.sample for s in kept if s.apex_source == "middle"),
        notes=tuple(notes),
        identities_from=where,
    )


def sample_fault(sample: Sample) -> str:
    """Why a sample's pair is degenerate, as far as its file names show this; "" if it is not."""
    return pair_fault(sample.onset, sample.apex, sample.clip_first, sample.clip_last)


def _refuse_other(path: Path) -> None:
    """Refuse a file that is not a manifest; the message names the command or call that accepts it."""
    if not os.path.exists(path):
        raise ManifestError(missing_path(path))
    if os.path.isfile(path / MANIFEST_FILE):
        raise ManifestError(f"{path} is a folder. Give the manifest in it: {path / MANIFEST_FILE}")
    door = door_of(path)
    if door is not None and door.kind not in ("manifest", "prepared", "faces"):
        raise ManifestError(f"{path} is not a manifest.{hint(path)}")
    if os.path.isdir(path):
        raise ManifestError(f"{path} is a folder without {MANIFEST_FILE}. Give a manifest file (.csv).")


def _is_there(path: Path, column: str) -> bool:
    return os.path.isfile(path) or (column == "clip" and os.path.isdir(path))


def sample_indices(indices: object) -> list[int]:
    """Indices of samples that a user gave, as a list of integers.

    Raises:
        ManifestError: they are not integers; booleans, as in a mask, are not.
    """
    cure = "give whole numbers, such as those of a fold's train and test"
    given: Any = indices
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise ManifestError(f"Indices of samples are {given!r:.60}; {cure}.")
    found = []
    for one in given:
        try:
            if isinstance(one, bool) or str(getattr(one, "dtype", "")).endswith("bool"):  # NumPy's and PyTorch's
                raise TypeError
            found.append(operator.index(one))
        except TypeError:
            raise ManifestError(f"An index of a sample is {one!r:.60}; {cure}.") from None
    return found


def check_indices(indices: Sequence[int], manifest: Manifest) -> None:
    """Raise an error unless ``indices`` are distinct and valid for ``manifest``."""
    for i in indices:
        if not 0 <= i < len(manifest):
            raise ManifestError(f"{manifest.source}: there is no sample {i}; give indices in 0..{len(manifest) - 1}.")
    twice = [i for i, count in Counter(indices).items() if count > 1]
    if twice:
        raise ManifestError(f"{manifest.source}: index {twice[0]} is given more than once; give distinct ones.")


def _sample(path: Path, line: int, row: dict[str, str], classes: tuple[str, ...]) -> Sample:
    names = ("sample", "dataset", "subject", "clip_first", "clip_last", "split", "action_units", "apex_source")
    text = {name: row.get(name, "").strip() for name in names}
    for name in ("clip_first", "clip_last"):  # pandas writes "3.0" in a column with empty cells
        if (number := INDEX.fullmatch(text[name])) is not None:
            text[name] = number[1]
    # Blanks inside and at the end of file names are kept: published names have them.
    files = {name: path.parent / as_there(path.parent, row[name]) for name in PATH_COLUMNS if row.get(name, "").strip()}
    if not text["sample"]:
        raise ManifestError(f"{path}, line {line}: the column 'sample' is empty. Give the sample a name.")
    where = f"{path}, line {line}: sample {text['sample']!r}"
    for name, other in (("onset", "apex"), ("apex", "onset")):
        if name in files and other not in files:
            raise ManifestError(f"{where} has an {name} but no {other}. Give both frames.")
    if (text["clip_first"] or text["clip_last"]) and "clip" not in files:
        raise ManifestError(f"{where} names frames of a clip, but no clip. Fill the column 'clip'.")
    if not {"onset", "flow", "image"} & files.keys():
        raise ManifestError(f"{where} has no files. Give onset and apex, or flow, or image.")
    label = row.get("label", "").strip()
    known = class_of(label, classes)
    if label and known is None:
        raise ManifestError(f"{where} has the unknown label {label!r}. {did_you_mean(label, classes)}")
    found: dict[str, Any] = {**text, **files}
    return Sample(label=known, **found)


def _relative(file: Path | None, folder: Path) -> str:
    if file is None:
        return ""
    if Path(os.path.abspath(file)).is_relative_to(os.path.abspath(folder)):
        found = os.path.relpath(file, folder)
    else:
        # ".." refers to real parent folders, so symbolic links in the path must be resolved.
        file = as_path(file, "file")
        found = os.path.relpath(file.parent.resolve() / file.name, folder.resolve())
    return Path(found).as_posix()
