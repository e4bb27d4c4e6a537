"""Grades of all images in a folder, as a table and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from htnet.core.files import check_folder, refuse_same_folder
from htnet.core.paths import as_path
from htnet.evaluation.store import to_csv, write_atomic
from htnet.palsy.plots import plot_grade
from htnet.palsy.predictor import GradePredictor
from htnet.pipeline.export import warning_codes
from htnet.preprocess import read_frame

#: Names of the files and the folder that are written.
TABLE, PICTURES = "predictions.csv", "pictures"


@dataclass(frozen=True)
class FolderGrades:
    """What was written for a folder of images.

    Attributes:
        table: the file of predictions.
        images: number of images.
        errors: how many of them could not be used.
        doubted: how many of the others have warnings.
    """

    table: Path
    images: int
    errors: int
    doubted: int


def predict_folder(
    predictor: GradePredictor,
    folder: str | PathLike[str],
    out: str | PathLike[str],
    *,
    pictures: bool = False,
    overwrite: bool = False,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = lambda found: found,
) -> FolderGrades:
    """Grade every image in a folder and its subfolders, and write a table with one row per image.

    Args:
        predictor: the predictor.
        folder: the images.
        out: another folder; gets ``predictions.csv`` and, with ``pictures``, a picture of each prediction.
        pictures: draw pictures; needs the extra ``plots``.
        overwrite: replace these outputs if ``out`` contains them.
        progress: wraps the iteration, for a progress bar.

    Raises:
        OverwriteError: ``out`` contains these outputs and ``overwrite`` is not given.
        InputError: ``out`` is the folder of images, or lies in it.
        FrameError: the folder contains no images.
    """
    folder, out = as_path(folder, "folder"), as_path(out, "out")
    refuse_same_folder(out, folder, below=True)
    check_folder(out, (TABLE, PICTURES), overwrite=overwrite)
    labels, rows, errors, doubted = predictor.model.labels, [], 0, 0
    for found in progress(predictor.folder(folder)):
        if isinstance(found, tuple):
            path, error = found
            rows.append([path, "", "", *("" for _ in labels), "", str(error)])
            errors += 1
            continue
        values = [f"{found.probabilities[c]:.6f}" for c in labels]
        codes = warning_codes(warning.code for warning in found.warnings)
        rows.append([found.source, found.label, found.grade, *values, codes, ""])
        doubted += bool(codes)
        if pictures:
            inside = Path(found.source).relative_to(folder)
            picture = out / PICTURES / inside.with_name(inside.name + ".png")
            plot_grade(found, read_frame(found.source, predictor.bit_depth), picture, overwrite=True)
    header = ["image", "prediction", "grade", *(f"probability_{c}" for c in labels), "warnings", "error"]
    write_atomic(out / TABLE, to_csv(header, rows))
    return FolderGrades(out / TABLE, len(rows), errors, doubted)
