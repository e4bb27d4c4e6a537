"""Readers of the layouts that data sets are published in."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from htnet.data.manifest import Manifest, Sample, read_manifest
from htnet.errors import ManifestError, did_you_mean
from htnet.types import EMOTIONS

COMPOSITE_CSV = "combined_3_class2_for_optical_flow.csv"
COMPOSITE_FLOW = "STSNet_whole_norm_u_v_os"
_COMPOSITE_COLUMNS = ("dataset", "sub", "filename_o", "label")
_CASME3_COLUMNS = ("Subject", "Filename", "Onset", "Apex", "emotion", "imagename_onset", "imagename_apex")


def _rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{k: (v or "").strip() for k, v in row.items() if k} for row in reader]
            header = reader.fieldnames or []
    except FileNotFoundError:
        raise ManifestError(f"No annotation at {path}; give the path of the CSV file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path} cannot be read as UTF-8 CSV ({error}).") from error
    if missing := [c for c in needed if c not in header]:
        raise ManifestError(f"{path} lacks the column(s) {', '.join(missing)}; it has {', '.join(header)}.")
    return rows


def _require(samples: list[Sample], files: Mapping[str, list[Path]], missing: str, source: Path) -> tuple[str, ...]:
    """Identifiers of samples whose files do not exist; raises unless they may be skipped."""
    if missing not in ("raise", "skip"):
        raise ManifestError(f"missing is {missing!r}. {did_you_mean(missing, ('raise', 'skip'))}")
    lost = {s.sample: [p for p in files[s.sample] if not p.is_file()] for s in samples}
    lost = {name: paths for name, paths in lost.items() if paths}
    if lost and missing == "raise":
        count = sum(map(len, lost.values()))
        some = ", ".join(str(paths[0]) for paths in list(lost.values())[:3])
        raise ManifestError(
            f"{source} names {count} image(s) of {len(lost)} sample(s) that do not exist ({some}, ...). Check the "
            "root folder, or leave these samples out (missing='skip', --skip-errors)."
        )
    return tuple(lost)


def _published_png(folder: Path, name: str) -> Path:
    """The file of a flow image; the published names have a blank before the dot."""
    blank = folder / f"{name} .png"
    return blank if blank.is_file() else folder / f"{name}.png"


def read_composite(root: str | PathLike[str], *, missing: str = "raise") -> Manifest:
    """The composite set of MEGC 2019: 442 flow images of 68 subjects, as STSTNet and HTNet use them.

    Args:
        root: folder with ``combined_3_class2_for_optical_flow.csv`` and
            ``STSNet_whole_norm_u_v_os/{sub}_{filename_o} .png`` (with or without the blank).
        missing: "raise", or "skip" to leave samples without an image out.

    Returns:
        The manifest; sample identifiers are ``{sub}_{filename_o}``.

    Raises:
        ManifestError: the folder is not as described.
    """
    root = Path(root)
    source = root / COMPOSITE_CSV
    samples = []
    for row in _rows(source, _COMPOSITE_COLUMNS):
        name = f"{row['sub']}_{row['filename_o']}"
        if row["label"] not in ("0", "1", "2"):
            raise ManifestError(f"{source}: sample {name!r} has label {row['label']!r}; the labels are 0, 1, 2.")
        flow = _published_png(root / COMPOSITE_FLOW, name)
        samples.append(Sample(name, row["dataset"], row["sub"], EMOTIONS[int(row["label"])], flow=flow))
    skipped = _require(samples, {s.sample: [s.flow] for s in samples if s.flow}, missing, source)
    kept = tuple(s for s in samples if s.sample not in skipped)
    return Manifest(kept, EMOTIONS, str(root), skipped)


def list_three_norm(root: str | PathLike[str]) -> list[str]:
    """Subjects that have a folder in the published leave-one-subject-out layout, sorted."""
    return sorted(p.parent.name for p in Path(root).glob("*/u_test") if p.is_dir())


def read_three_norm(root: str | PathLike[str], subject: str) -> tuple[Manifest, Manifest]:
    """One fold of the published leave-one-subject-out layout ``{subject}/u_train|u_test/{label}/{image}``.

    The layout does not say which data set or subject a training image comes from: the subject is read
    off the file name (``{sub}_{filename}``), the data set stays empty.

    Args:
        root: folder of the subjects' folders.
        subject: the left-out subject.

    Returns:
        Training and test manifest.

    Raises:
        ManifestError: the folder is not as described.
    """
    root = Path(root)
    if subject not in list_three_norm(root):
        raise ManifestError(f"No fold {subject!r} in {root}. {did_you_mean(subject, list_three_norm(root))}")
    parts = []
    for part in ("u_train", "u_test"):
        folder = root / subject / part
        samples = []
        for image in sorted(folder.glob("*/*")):
            if image.suffix.lower() not in (".png", ".jpg", ".jpeg", ".bmp"):
                continue
            if image.parent.name not in ("0", "1", "2"):
                raise ManifestError(f"{image.parent} is no class folder; the classes are 0, 1, 2.")
            name = image.stem.strip()
            person = subject if part == "u_test" else name.split("_")[0]
            samples.append(Sample(name, "", person, EMOTIONS[int(image.parent.name)], flow=image))
        if not samples:
            raise ManifestError(f"{folder} holds no images; expected {folder}/LABEL/IMAGE.png.")
        parts.append(Manifest(tuple(samples), EMOTIONS, str(folder)))
    return parts[0], parts[1]


def find_casme3_annotation(root: str | PathLike[str]) -> Path | None:
    """The CAS(ME)^3 part A annotation in a folder, None if there is none."""
    for path in sorted(Path(root).glob("*.csv")):
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            header = file.readline().strip().split(",")
        if set(_CASME3_COLUMNS) <= set(header):
            return path
    return None


def read_casme3(
    annotation: str | PathLike[str] | None,
    root: str | PathLike[str],
    *,
    label: str = "label_for_3",
    missing: str = "raise",
) -> Manifest:
    """CAS(ME)^3 part A: 687 samples of 87 subjects, frames named by the annotation.

    Args:
        annotation: its CSV; None to look for it in ``root``.
        root: folder that the image paths are relative to.
        label: "label_for_3" (the three emotions), or "label_for_7" (the names in the column emotion, in
            the order of their numbers).
        missing: "raise", or "skip" to leave samples without images out.

    Returns:
        The manifest; sample identifiers are ``{subject}_{clip}_{onset}_{apex}``.

    Raises:
        ManifestError: annotation or images are not as described.
    """
    root = Path(root)
    if label not in ("label_for_3", "label_for_7"):
        raise ManifestError(f"label is {label!r}. {did_you_mean(label, ('label_for_3', 'label_for_7'))}")
    source = Path(annotation) if annotation is not None else find_casme3_annotation(root)
    if source is None:
        raise ManifestError(f"{root} holds no CAS(ME)^3 annotation; give the CSV: --annotation FILE.csv")
    rows = _rows(source, (*_CASME3_COLUMNS, label))
    if label == "label_for_3":
        names = {str(i): name for i, name in enumerate(EMOTIONS)}
    else:
        names = {row[label]: row["emotion"] for row in rows}
        if len(set(names.values())) != len(names) or any(names[r[label]] != r["emotion"] for r in rows):
            raise ManifestError(f"{source}: numbers in {label} and names in emotion do not match one to one.")
    classes = tuple(names[k] for k in sorted(names, key=int))
    samples, files = [], {}
    for row in rows:
        name = f"{row['Subject']}_{row['Filename']}_{row['Onset']}_{row['Apex']}"
        if row[label] not in names:
            raise ManifestError(f"{source}: sample {name!r} has {label} {row[label]!r}; known: {', '.join(names)}.")
        onset, apex = root / row["imagename_onset"], root / row["imagename_apex"]
        files[name] = [onset, apex]
        samples.append(Sample(name, "casme3", row["Subject"], names[row[label]], onset=onset, apex=apex))
    skipped = _require(samples, files, missing, source)
    kept = tuple(s for s in samples if s.sample not in skipped)
    if not kept:
        raise ManifestError(f"None of the {len(samples)} samples of {source} has its images in {root}.")
    return Manifest(kept, classes, str(source), skipped)


def open_data(path: str | PathLike[str]) -> Manifest:
    """Read a data set, whatever documented form it has.

    Args:
        path: a manifest CSV; a folder with ``manifest.csv``; the composite folder; or a CAS(ME)^3 root
            with its annotation.

    Raises:
        ManifestError: nothing of these.
    """
    path = Path(path)
    if path.is_file():
        return read_manifest(path, need_label=True)
    if not path.is_dir():
        raise ManifestError(f"No data at {path}; give a manifest CSV or a folder.")
    if (path / "manifest.csv").is_file():
        return read_manifest(path / "manifest.csv", need_label=True)
    if (path / COMPOSITE_CSV).is_file():
        return read_composite(path)
    if find_casme3_annotation(path) is not None:
        return read_casme3(None, path)
    raise ManifestError(
        f"{path} is no data set that htnet knows: give a manifest CSV, or a folder with manifest.csv, with "
        f"{COMPOSITE_CSV} and {COMPOSITE_FLOW}, or with the CAS(ME)^3 annotation CSV."
    )
