"""The manifest: one CSV that describes any data set."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from htnet.errors import ManifestError, did_you_mean
from htnet.types import EMOTIONS

TEXT_COLUMNS = ("sample", "dataset", "subject", "label")
PATH_COLUMNS = ("onset", "apex", "flow", "landmarks")
COLUMNS = TEXT_COLUMNS + PATH_COLUMNS


@dataclass(frozen=True)
class Sample:
    """One sample.

    Attributes:
        sample: identifier, unique in its manifest; it travels with every prediction.
        dataset: data set it belongs to.
        subject: person it shows; unique only together with the data set.
        label: class name, None when unknown.
        onset: neutral frame.
        apex: frame of strongest expression.
        flow: flow image in the published convention.
        landmarks: JSON list of five [x, y] in px of the onset frame, or of the flow image for a sample
            without frames.
    """

    sample: str
    dataset: str = ""
    subject: str = ""
    label: str | None = None
    onset: Path | None = None
    apex: Path | None = None
    flow: Path | None = None
    landmarks: Path | None = None


@dataclass(frozen=True)
class Manifest:
    """Samples of a data set.

    Attributes:
        samples: the samples, identifiers unique.
        classes: class names; a label's index is its place here.
        source: where it was read from, for messages.
        skipped: identifiers that were left out because files are missing.
    """

    samples: tuple[Sample, ...]
    classes: tuple[str, ...] = EMOTIONS
    source: str = "manifest"
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that identifiers are unique and labels known."""
        seen: set[str] = set()
        for sample in self.samples:
            if sample.sample in seen:
                raise ManifestError(f"{self.source} has sample {sample.sample!r} twice; give each its own identifier.")
            seen.add(sample.sample)
            if sample.label is not None and sample.label not in self.classes:
                raise ManifestError(
                    f"{self.source}: sample {sample.sample!r} has label {sample.label!r}. "
                    f"{did_you_mean(sample.label, self.classes)}"
                )

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        """The samples in order."""
        return iter(self.samples)

    @property
    def subjects(self) -> list[tuple[str, str]]:
        """Distinct (dataset, subject), sorted."""
        return sorted({(s.dataset, s.subject) for s in self.samples})

    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) class indices.

        Raises:
            ManifestError: a sample has no label.
        """
        bare = [s.sample for s in self.samples if s.label is None]
        if bare:
            raise ManifestError(f"{self.source}: {_listed(bare)} without a label; fill the column label.")
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index[s.label or ""] for s in self.samples], dtype=np.int64)

    def subset(self, indices: Iterable[int]) -> Manifest:
        """The samples at ``indices``, in that order."""
        return replace(self, samples=tuple(self.samples[i] for i in indices))

    def write(self, path: str | PathLike[str]) -> None:
        """Write the CSV that `read_manifest` reads; paths become relative to it."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        used = [c for c in COLUMNS if c == "sample" or any(getattr(s, c) for s in self.samples)]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(used)
        for sample in self.samples:
            cells = [(column, getattr(sample, column)) for column in used]
            writer.writerow(
                [_relative(v, path.parent) if c in PATH_COLUMNS and v is not None else v or "" for c, v in cells]
            )
        partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        partial.write_text(out.getvalue(), "utf-8")
        os.replace(partial, path)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(repr(n) for n in names[:most])
    return f"{len(names)} sample(s) ({shown}{', ...' if len(names) > most else ''})"


def read_manifest(
    path: str | PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    check_files: bool = True,
    need_label: bool = False,
) -> Manifest:
    """Read a manifest.

    Args:
        path: UTF-8 CSV with the column ``sample`` and any of `COLUMNS`. Paths are relative to it.
            A label is a class name, or the index of one.
        classes: class names in order. Unless given: the three emotions when all labels fit them, else
            the distinct names, sorted.
        check_files: refuse paths that do not exist.
        need_label: refuse samples without a label.

    Returns:
        The manifest.

    Raises:
        ManifestError: the file is not as described; the message names the line and the cure.
    """
    path = Path(path)
    header, rows = _read_rows(path)
    for column in header:
        if column not in COLUMNS:
            raise ManifestError(f"{path}: unknown column {column!r}. {did_you_mean(column, COLUMNS)}")
    if "sample" not in header:
        raise ManifestError(f"{path} has no column 'sample'; give each row an identifier of its own.")
    if len(set(header)) != len(header):
        raise ManifestError(f"{path} has a column twice: {', '.join(header)}.")
    samples: list[Sample] = []
    missing: list[str] = []
    lines: dict[str, int] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            raise ManifestError(f"{path} line {line}: {len(cells)} cells for {len(header)} columns; quote commas.")
        row = {k: v.strip() for k, v in zip(header, cells, strict=True)}
        name = row["sample"]
        if not name:
            raise ManifestError(f"{path} line {line}: the sample has no identifier; fill the column sample.")
        if name in lines:
            raise ManifestError(
                f"{path} line {line}: sample {name!r} stands in line {lines[name]} already; give each its own."
            )
        lines[name] = line
        paths = {c: path.parent / row[c] for c in PATH_COLUMNS if row.get(c)}
        if ("onset" in paths) != ("apex" in paths):
            raise ManifestError(f"{path} line {line}: sample {name!r} has one of onset and apex; give both or none.")
        if "flow" not in paths and "onset" not in paths:
            raise ManifestError(f"{path} line {line}: sample {name!r} has neither onset and apex nor flow; give one.")
        missing += [f"line {line}, {c}: {p}" for c, p in paths.items() if check_files and not p.is_file()]
        label = row.get("label") or None
        samples.append(Sample(name, row.get("dataset", ""), row.get("subject", ""), label, **paths))
    if missing:
        some = "; ".join(missing[:5]) + ("; ..." if len(missing) > 5 else "")
        raise ManifestError(f"{path} names {len(missing)} file(s) that do not exist: {some}. Correct the paths.")
    if not samples:
        raise ManifestError(f"{path} holds no samples; give at least one row below the header.")
    known, named = _resolve_labels([s.label for s in samples], classes, path, lines)
    found = tuple(replace(s, label=label) for s, label in zip(samples, named, strict=True))
    manifest = Manifest(found, known, str(path))
    if need_label:
        manifest.labels()
    return manifest


def _read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ManifestError(f"No manifest at {path}; give the path of a CSV file.") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8 CSV.") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error}.") from error
    reader = csv.reader(io.StringIO(text))
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ManifestError(f"{path} line {reader.line_num} is no CSV ({error}); save it as UTF-8 CSV.") from error
    if not rows:
        raise ManifestError(f"{path} is empty; give a header line with the column sample, and rows below it.")
    return [cell.strip() for cell in rows[0][1]], rows[1:]


def _resolve_labels(
    labels: Sequence[str | None], classes: Sequence[str] | None, path: Path, lines: dict[str, int]
) -> tuple[tuple[str, ...], list[str | None]]:
    """Class names, and each label as a name."""
    given = [label for label in labels if label is not None]
    if classes is not None:
        known = tuple(classes)
    elif all(label in EMOTIONS or label in ("0", "1", "2") for label in given):
        known = EMOTIONS
    elif any(label.lstrip("-").isdigit() for label in given):
        raise ManifestError(
            f"{path} has labels as numbers that are not the three emotions' 0, 1, 2; give the class names: classes=..."
        )
    else:
        known = tuple(sorted(set(given)))
    named: list[str | None] = []
    for label, line in zip(labels, lines.values(), strict=True):
        if label is None or label in known:
            named.append(label)
        elif label.isdigit() and int(label) < len(known):
            named.append(known[int(label)])
        else:
            raise ManifestError(f"{path} line {line}: unknown label {label!r}. {did_you_mean(label, known)}")
    return known, named
