"""Readers of published data set layouts; each returns a manifest."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from htnet.core.csv_files import read_rows
from htnet.core.errors import ManifestError, did_you_mean, refuse_unknown
from htnet.core.fields import one_of
from htnet.core.hints import hint, missing
from htnet.core.identity import is_named, person_key
from htnet.core.lazy import loading
from htnet.core.limits import read_json
from htnet.core.paths import as_path
from htnet.core.types import EMOTIONS
from htnet.data.corrections import describe, find_correction
from htnet.data.degenerate import choose_apex, replaced_note
from htnet.data.facs_cells import keep_readable
from htnet.data.manifest import MANIFEST_FILE, Manifest, Sample, read_manifest
from htnet.data.published import with_differences
from htnet.data.tables import as_there, cell_of, read_table, refuse_missing
from htnet.preprocess.pairs import pair_fault

#: Report on the samples, in the same folder as the manifest of a prepared folder.
REPORT_FILE = "report.json"
COMPOSITE_LIST = "combined_3_class2_for_optical_flow.csv"
COMPOSITE_IMAGES = "STSNet_whole_norm_u_v_os"
COMPOSITE_LANDMARKS = "landmarks_yunet_224px.csv"
CASME3_COLUMNS = ("Subject", "Filename", "Apex", "emotion", "imagename_onset", "imagename_apex")
CASME3_OFFSET = "imagename_apex_offset"
CASME3_PATHS = ("imagename_onset", "imagename_apex", CASME3_OFFSET)
_ENDS = ("onset", "apex", "offset")
NO_APEX = ("middle", "exclude")
CASME3_LABELS = ("label_for_3", "label_for_7")

StrPath = str | PathLike[str]


def read_composite(root: StrPath) -> Manifest:
    """Read the published composite (MEGC 2019) of CASME II, SAMM and SMIC.

    ``root`` contains ``combined_3_class2_for_optical_flow.csv`` and the folder ``STSNet_whole_norm_u_v_os``
    of flow images named ``{sub}_{filename_o} .png``; the blank may be missing. The complete set has 442
    samples of 68 subjects. A sample is named ``{sub}_{filename_o}``; its data set is "casme2", "samm"
    or "smic". If ``root`` also contains ``landmarks_yunet_224px.csv``, with five points of each apex face in px of
    224 px faces, this table becomes the ``landmarks`` of every sample.

    Raises:
        ManifestError: the folder does not have this layout, or images are missing.
    """
    root = as_path(root, "root")
    table = root / COMPOSITE_LIST
    _, rows = read_table(table, ("dataset", "sub", "filename_o", "label"))
    points = root / COMPOSITE_LANDMARKS
    landmarks = points if os.path.isfile(points) else None
    samples, missing = [], []
    for line, row in rows:
        name = f"{row['sub']}_{row['filename_o']}"
        names = (root / COMPOSITE_IMAGES / f"{name} .png", root / COMPOSITE_IMAGES / f"{name}.png")
        flow = next((file for file in names if os.path.isfile(file)), None)
        if flow is None:
            missing.append(str(names[0]))
        label = _by_number(row["label"], EMOTIONS, f"{table}, line {line}")
        samples.append(Sample(name, row["dataset"], row["sub"], label, flow=flow, landmarks=landmarks))
    refuse_missing(missing, str(root), f"Complete the folder {COMPOSITE_IMAGES}.")
    found = Manifest(tuple(samples), EMOTIONS, str(root), identities_from=f"the column 'sub' of {table}")
    return with_differences(found, ("composite",))


def list_three_norm(root: StrPath) -> list[str]:
    """Subjects of the published leave-one-subject-out folders, sorted.

    Args:
        root: folder that contains ``{subject}/u_train`` and ``{subject}/u_test``.

    Raises:
        ManifestError: ``root`` contains no such folder.
    """
    root = as_path(root, "root")
    if not os.path.isdir(root):
        raise ManifestError(f"{root} is a file, not a folder." if os.path.exists(root) else missing(root))
    found = sorted(folder.parent.name for folder in root.glob("*/u_test") if os.path.isdir(folder))
    if not found:
        raise ManifestError(f"{root} contains no folders SUBJECT/u_train and SUBJECT/u_test. Check the path.")
    return found


def read_three_norm(root: StrPath, subject: str | None = None) -> tuple[Manifest, Manifest]:
    """Read one of the published leave-one-subject-out folders ``{subject}/u_train|u_test/{label}/{image}``.

    The layout does not state the data set of an image, so ``dataset`` is always "". A sample is named after its file,
    without ".png" and the blank before it. The subject of a test image is the name of the folder. The subject of a
    training image is its file name up to the first "_", because all published names begin with the subject; it is ""
    if there is no "_".

    Args:
        root: folder of the subject folders, or the folder of one subject.
        subject: the subject left out, one of `list_three_norm`; None if ``root`` is the folder of one subject.

    Returns:
        The training and the test manifest. The ``notes`` of both list the differences from the published list.

    Raises:
        ManifestError: the folder does not have this layout, or a sample or (according to the file names) a subject is
            in both parts.
    """
    root = as_path(root, "root")
    if subject is None:
        if not os.path.isdir(root / "u_test"):
            known = list_three_norm(root)
            raise ManifestError(
                f"{root} contains the folders of {len(known)} subjects; give subject, such as {known[0]!r}."
            )
        folder = root.resolve()
    else:
        known = list_three_norm(root)
        if subject not in known:
            raise ManifestError(f"{root} has no folder for the subject {subject!r}. {did_you_mean(subject, known)}")
        folder = root / subject
    first = "the file names up to the first '_'"
    train = Manifest(
        tuple(_labeled_images(folder / "u_train", None)),
        EMOTIONS,
        str(folder / "u_train"),
        identities_from=first,
        compared_with=("composite",),
    )
    test = Manifest(
        tuple(_labeled_images(folder / "u_test", folder.name)),
        EMOTIONS,
        str(folder / "u_test"),
        identities_from=f"the name of the folder {folder}",
        compared_with=("composite",),
    )
    left_out = person_key(folder.name)
    for sample in train:
        if is_named(sample.subject) and person_key(sample.subject) == left_out:
            raise ManifestError(
                f"{folder / 'u_train'} contains {sample.sample!r}, which according to its name shows the subject "
                f"{sample.subject!r} that {folder} leaves out. Remove it, or correct its name."
            )
    both = sorted({s.sample for s in train} & {s.sample for s in test})
    if both:
        raise ManifestError(f"{folder}: sample {both[0]!r} is in u_train and in u_test. Remove it from one.")
    whole = with_differences(replace(train, samples=(*train.samples, *test.samples)), ("composite",))
    return replace(train, notes=whole.notes), replace(test, notes=whole.notes)


def _labeled_images(folder: Path, subject: str | None) -> Iterator[Sample]:
    images = sorted(folder.glob("*/*.png"))
    if not images:
        raise ManifestError(f"{folder} contains no images LABEL/*.png. Check the folder.")
    for image in images:
        name = image.stem.strip()
        person = name.partition("_")[0] if "_" in name else ""
        if subject is not None:
            if person and person_key(person) != person_key(subject):
                raise ManifestError(
                    f"According to its name, {image} shows the subject {person!r}, but it is in the folder of "
                    f"{subject!r}. Move or rename it."
                )
            person = subject
        yield Sample(name, subject=person, label=_by_number(image.parent.name, EMOTIONS, str(image)), flow=image)


def read_casme3(
    annotation: StrPath | None,
    root: StrPath,
    label: str = "label_for_3",
    classes: Sequence[str] | None = None,
    missing: str = "raise",
    no_apex: str = "middle",
) -> Manifest:
    """Read the annotation of CAS(ME)^3 part A and find its frames.

    A sample is named ``{Subject}_{Filename}_{Apex}``, such as "spNO.1_b_175". Its data set is "casme3". If the frame in
    ``imagename_apex_offset`` exists, its clip consists of the frames from onset to offset.

    Args:
        annotation: the CSV file ("cas(me)3_part_A_edited.csv", 687 samples of 87 subjects); None for the
            one in ``root``.
        root: folder to which the paths in the columns ``imagename_onset`` and ``imagename_apex`` are relative.
        label: "label_for_3" for `htnet.types.EMOTIONS`; "label_for_7" for the emotions of the column
            ``emotion``, in the order of their numbers in that file (happy, surprise, sad, disgust, fear,
            anger).
        classes: other names for the classes, in the same order.
        missing: "raise" refuses missing frames; "skip" leaves such samples out and lists them in
            ``Manifest.skipped``.
        no_apex: handling of samples whose apex is not after their onset (28 of the 687): "middle" uses the
            frame midway between onset and offset and lists them in ``Manifest.middle_apex``; "exclude" leaves
            them out and lists them in ``Manifest.excluded``. If the offset is not after the onset either, a sample is
            always left out and listed there.

    Raises:
        ManifestError: the annotation is invalid, or frames are missing.
    """
    root = as_path(root, "root")
    for name, value, allowed in (
        ("label", label, CASME3_LABELS),
        ("missing", missing, ("raise", "skip")),
        ("no_apex", no_apex, NO_APEX),
    ):
        one_of(allowed).check(name, value, ManifestError)
    annotation = as_path(annotation, "annotation") if annotation is not None else find_casme3(root)
    if annotation is None:
        raise ManifestError(f"{root} contains no annotation of CAS(ME)^3 (*edited.csv). Give its path.")
    if annotation.suffix.lower() != ".csv":
        raise ManifestError(
            f"{annotation} is not a .csv file: only the edited annotation (*edited.csv) has {label}. Read an "
            "official sheet with read_dataset('casme3', classes='3' or 'own') (htnet prepare casme3 --classes)."
        )
    columns, rows = read_table(annotation, (*CASME3_COLUMNS, label))
    for _, row in rows:
        row.update({name: as_there(root, row[name]) for name in CASME3_PATHS if name in row})
    names = dict(enumerate(EMOTIONS)) if label == "label_for_3" else _numbered_emotions(annotation, rows)
    if classes is not None:
        if isinstance(classes, str) or len(classes) != len(names):
            raise ManifestError(f"classes is {classes!r}, but {label} has {len(names)} classes. Give all their names.")
        names = dict(zip(names, classes, strict=True))
    samples, skipped, absent, excluded = [], [], [], []
    notes: list[str] = []
    replaced: list[str] = []
    for line, row in rows:
        number = _whole_number(row[label], f"{annotation}, line {line}, {label}")
        if number not in names:
            raise ManifestError(f"{annotation}, line {line}: {label} is {number}. Known: {sorted(names)}.")
        name = f"{row['Subject']}_{row['Filename']}_{row['Apex']}"
        found = _edited_frames(root, row, name)
        notes += [found.note] if found.note else []
        if found.middle and no_apex == "exclude":
            excluded.append((name, f"{names[number]} (no apex)"))
            continue
        if found.apex is None:
            excluded.append((name, f"{names[number]} ({found.fault})"))
            continue
        lost = [str(file) for file in (found.onset, found.apex) if not os.path.isfile(file)]
        if lost:
            absent += lost
            skipped.append(name)
            continue
        units, problems = "", tuple[str, ...]()
        if "AU" in columns:
            units, problems = keep_readable(row["AU"], f"{annotation}, {cell_of(line, columns.index('AU'))}", name)
        notes += problems
        source = "middle" if found.middle else ""
        if found.middle:
            frames = ", ".join(
                f"{what} {Path(row[path]).stem}"
                for what, path in zip(_ENDS, CASME3_PATHS, strict=True)
                if row.get(path)
            )
            replaced.append(f"{name} ({frames})")
        sample = Sample(
            name,
            "casme3",
            row["Subject"],
            names[number],
            found.onset,
            found.apex,
            action_units=units,
            apex_source=source,
        )
        samples.append(_with_clip(sample, found.onset, root / row.get(CASME3_OFFSET, "")))
    absent = list(dict.fromkeys(absent))
    if missing == "raise" or not samples:
        cure = f"Correct root ({root})" + (", or leave them out: missing='skip'." if samples else ".")
        refuse_missing(absent, str(annotation), cure)
    read = Manifest(
        tuple(samples),
        tuple(names.values()),
        str(annotation),
        tuple(skipped),
        tuple(absent),
        tuple(excluded),
        tuple(sample.sample for sample in samples if sample.apex_source),
        (*notes, *replaced_note(replaced)),
        identities_from=f"the column 'Subject' of {annotation}",
    )
    return with_differences(read, ("casme3_edited",))


@dataclass(frozen=True)
class _EditedFrames:
    """Onset and apex frame for a row of the edited annotation; see `htnet.data.degenerate.ApexChoice`."""

    onset: Path
    apex: Path | None
    middle: bool = False
    fault: str = ""
    note: str = ""


def _edited_frames(root: Path, row: Mapping[str, str], name: str) -> _EditedFrames:
    # The package of readers imports this module, so it cannot be imported at the top.
    with loading():
        from htnet.data.datasets.clips import read_clip

    onset, apex = root / row["imagename_onset"], root / row["imagename_apex"]
    end = row.get(CASME3_OFFSET, "") or row.get("Offset", "")
    first, peak, last = (_frame_number(Path(text).stem) for text in (onset, apex, end))
    known = find_correction("casme3", row["Subject"], row["Filename"], first, peak, last)
    note = ""
    if known is not None:
        onset = onset.with_name(f"{known.meant[0]}{onset.suffix}")
        first, note = known.meant[0], describe(name, known)
    fault = pair_fault(onset, apex)
    if not fault or first is None:
        return _EditedFrames(onset, None if fault else apex, bool(fault), fault, note)
    files = read_clip(onset.parent).files if os.path.isdir(onset.parent) else {}
    end_number = last if last is not None else max(files, default=first + 1)
    choice = choose_apex(first, peak, end_number, files)
    if choice.number is None:
        return _EditedFrames(onset, None, True, choice.fault, note)
    middle = files.get(choice.number, onset.with_name(f"{choice.number}{onset.suffix}"))
    return _EditedFrames(onset, middle, True, note=note)


def _frame_number(stem: str) -> int | None:
    found = re.search(r"([0-9]+)[^0-9]*$", stem)
    return int(found[1]) if found else None


def _with_clip(sample: Sample, onset: Path, offset: Path) -> Sample:
    """Add the clip from onset to offset to a sample if the offset frame is in the same folder as the onset frame."""
    if offset.parent != onset.parent or not os.path.isfile(offset) or pair_fault(None, None, onset.name, offset.name):
        return sample
    return replace(sample, clip=onset.parent, clip_first=onset.name, clip_last=offset.name)


def _numbered_emotions(annotation: Path, rows: Sequence[tuple[int, dict[str, str]]]) -> dict[int, str]:
    """The emotion of each class number, ascending; a number must always have the same emotion."""
    found: dict[int, str] = {}
    for line, row in rows:
        where = f"{annotation}, line {line}"
        number, emotion = _whole_number(row["label_for_7"], f"{where}, label_for_7"), row["emotion"].strip()
        if found.setdefault(number, emotion) != emotion:
            raise ManifestError(f"{where}: label_for_7 {number} is {emotion!r} here, {found[number]!r} above.")
    return dict(sorted(found.items()))


def _whole_number(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ManifestError(f"{where}: {text!r} is not a whole number. Correct it.") from None


def _by_number(text: str, classes: Sequence[str], where: str) -> str:
    number = _whole_number(text, where)
    if not 0 <= number < len(classes):
        raise ManifestError(f"{where}: label {number} is not in 0..{len(classes) - 1} ({', '.join(classes)}).")
    return classes[number]


def open_data(path: StrPath, **options: Any) -> Manifest:
    """Open a data set in any accepted format.

    The formats are tried in this order: a manifest file (``*.csv``); a folder that contains ``manifest.csv``; the
    composite (`read_composite`); a folder with the annotation and the frames of CAS(ME)^3 (`read_casme3`).
    ``Manifest.notes`` contains the differences from the published list of a known data set, and the notes of a prepared
    folder's report.

    Args:
        path: file or folder.
        **options: passed on to the reader: `read_manifest` or `read_casme3`.

    Raises:
        ManifestError: the format is not accepted, the data are invalid, or the reader has no such option.
    """
    path = as_path(path, "path")
    if os.path.isfile(path) and path.suffix.lower() == ".csv":
        return _with_notes(_read_with(read_manifest, options, path=path), path)
    if os.path.isfile(path / MANIFEST_FILE):
        return _with_notes(_read_with(read_manifest, options, path=path / MANIFEST_FILE), path / MANIFEST_FILE)
    if os.path.isfile(path / COMPOSITE_LIST):
        return _read_with(read_composite, options, root=path)
    annotation = find_casme3(path)
    if annotation is not None:
        return _read_with(read_casme3, options, annotation=annotation, root=path)
    if not os.path.exists(path):
        raise ManifestError(missing(path))
    if found := hint(path):
        raise ManifestError(f"Give a manifest or a prepared folder.{found}")
    raise ManifestError(
        f"{path} is not a data set in a known format. Accepted: a manifest (*.csv); a folder with "
        f"{MANIFEST_FILE}; a folder "
        f"with {COMPOSITE_LIST} and {COMPOSITE_IMAGES}; a folder with the annotation (*edited.csv) and the frames of "
        "CAS(ME)^3."
    )


def _with_notes(manifest: Manifest, path: Path) -> Manifest:
    """The manifest with the notes of a prepared folder's report, and its differences from the published lists."""
    report: Any = {}
    if path.name == MANIFEST_FILE:
        with contextlib.suppress(OSError, ValueError):  # there is no report, or the file is something else
            report = read_json(path.parent / REPORT_FILE)
    published = _field(report, "published", dict)
    told = tuple(map(str, _field(published, "differences", list)))
    kept = [note for note in map(str, _field(report, "notes", list)) if note not in manifest.notes]
    names = tuple(map(str, _field(published, "compared_with", list)))
    noted = replace(manifest, notes=(*manifest.notes, *kept), differences=told, compared_with=names)
    return with_differences(noted)


def _field(content: Any, name: str, kind: type[Any]) -> Any:
    """A field of a report; empty if it is missing or has another type."""
    found = content.get(name) if isinstance(content, dict) else None
    return found if isinstance(found, kind) else kind()


def find_casme3(root: Path) -> Path | None:
    """The annotation of CAS(ME)^3 in a folder; None if there is none."""
    files = sorted(root.glob("*.csv")) if os.path.isdir(root) else []
    found = [file for file in files if is_casme3(file)]
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise ManifestError(
            f"{root} contains {len(found)} annotations of CAS(ME)^3 ({names}). Choose one with read_casme3."
        )
    return found[0] if found else None


def is_casme3(file: Path) -> bool:
    """Whether a CSV file is the edited annotation of CAS(ME)^3.

    It is recognized by name or by columns, so a renamed file is accepted and a damaged one gets a specific message.
    """
    if file.name.endswith("edited.csv"):
        return True
    try:
        columns = read_rows(file)[0][1]
    except (ManifestError, IndexError):
        return False
    return {*CASME3_COLUMNS, *CASME3_LABELS} <= {name.strip() for name in columns}


def _read_with(reader: Callable[..., Manifest], options: dict[str, Any], **found: Path) -> Manifest:
    known = [name for name in inspect.signature(reader).parameters if name not in found]
    refuse_unknown(options, known, f"option of {reader.__name__} for {next(iter(found.values()))}", ManifestError)
    return reader(**found, **options)
