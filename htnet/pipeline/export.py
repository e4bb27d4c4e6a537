"""Export of predictions and spotted expressions as JSON lines and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

from htnet.core.csv_files import CsvWriter
from htnet.core.errors import InputError, refuse_type
from htnet.core.files import check_outputs, whole_file
from htnet.core.paths import as_path
from htnet.core.schema import document, to_json_line
from htnet.core.types import MOTION_REGIONS, Prediction, Spotting

#: Separator of the codes in the column ``warnings``.
CODE_MARK = "|"
#: Extensions of the files that `write_predictions` writes.
TABLE_ENDINGS = (".csv", ".jsonl")


def write_curve(path: str | PathLike[str], spotting: Spotting, *, overwrite: bool = False) -> None:
    """Write the motion curve as CSV: frame, time_s (empty if unknown), magnitude (smoothed) and the regions, px.

    Raises:
        OverwriteError: the file exists and ``overwrite`` is not given.
    """
    path = as_path(path, "path")
    check_outputs(path, overwrite=overwrite)
    refuse_type("spotting", spotting, Spotting, "what htnet.preprocess.spot returns, or prediction.spotting of a video")
    with whole_file(path) as place, place.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = CsvWriter(file, "\r\n")
        writer.writerow(["frame", "time_s", "magnitude", *MOTION_REGIONS])
        for number, (magnitude, regions) in enumerate(
            zip(spotting.curve.tolist(), spotting.regions.tolist(), strict=True), spotting.first
        ):
            time = spotting.time(number)
            values = [f"{value:.5f}" for value in (magnitude, *regions)]
            writer.writerow([number, "" if time is None else f"{time:.6f}", *values])


def csv_header(labels: Sequence[str], units: Sequence[int] = ()) -> list[str]:
    """Columns of a predictions CSV.

    Args:
        labels: class names in the model's order.
        units: FACS numbers of the action units that the model scores, in its order.
    """
    return [
        "sample",
        "prediction",
        "expression",
        *(f"probability_{name}" for name in labels),
        *(column for unit in units for column in (f"AU{unit}", f"AU{unit}_side")),
        "truth",
        "regions_at",
        "motionless",
        "warnings",
        "error",
    ]


def write_predictions(
    path: str | PathLike[str],
    predictions: Iterable[Prediction],
    labels: Sequence[str],
    errors: Iterable[tuple[str, str]] = (),
    *,
    units: Sequence[int] = (),
    overwrite: bool = False,
) -> int:
    """Write predictions, one row per sample.

    The file is written atomically: if a sample fails, nothing is written, and the call can be repeated.

    Args:
        path: the file: a table (.csv), or one document per line (.jsonl), see docs/output.md.
        predictions: the predictions.
        labels: class names in the model's order.
        errors: (sample, message) of samples that could not be read; iterated after ``predictions``.
        units: FACS numbers of the model's action units (`EmotionModel.action_units`). Each gets two columns in a table:
            the probability, and the side of the face. JSON lines always have them.
        overwrite: replace an existing file.

    Returns:
        Number of predictions written.

    Raises:
        InputError: the file has another extension.
        OverwriteError: the file exists and ``overwrite`` is not given.
    """
    path = as_path(path, "path")
    check_table_name(path)
    check_outputs(path, overwrite=overwrite)
    with whole_file(path) as place, place.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        if path.suffix.lower() == ".jsonl":
            return _write_lines(file, predictions, errors)
        return _write_rows(CsvWriter(file, "\r\n"), predictions, labels, errors, units)


def check_table_name(path: str | PathLike[str]) -> None:
    """Check that the extension of a file is one of `TABLE_ENDINGS`.

    Raises:
        InputError: it is not.
    """
    if as_path(path, "path").suffix.lower() not in TABLE_ENDINGS:
        raise InputError(
            f"{path} does not end in any of {', '.join(TABLE_ENDINGS)}: use .csv for a table, .jsonl for JSON lines."
        )


def warning_codes(codes: Iterable[str]) -> str:
    """The cell of the column ``warnings``: each code once, separated by "|"."""
    return CODE_MARK.join(dict.fromkeys(codes))


def _write_rows(
    writer: CsvWriter,
    predictions: Iterable[Prediction],
    labels: Sequence[str],
    errors: Iterable[tuple[str, str]],
    units: Sequence[int],
) -> int:
    header = csv_header(labels, units)
    writer.writerow(header)
    count = 0
    for p in predictions:
        values = [f"{p.probabilities[name]:.6f}" for name in labels]
        found = {unit.number: (f"{unit.probability:.6f}", unit.side) for unit in p.action_units}
        for number in units:
            values += found.get(number, ("", ""))
        motionless = "true" if p.motionless else "false"
        codes = warning_codes(warning.code for warning in p.warnings)
        expression = "" if p.expression is None else f"{p.expression:.6f}"
        writer.writerow(
            [p.sample, p.label, expression, *values, p.truth or "", p.input.regions_at, motionless, codes, ""]
        )
        count += 1
    for sample, message in errors:
        writer.writerow([sample, *("" for _ in header[2:]), message])
    return count


def error_document(sample: str, message: str) -> dict[str, Any]:
    """The document of a sample that could not be read."""
    return document("htnet.prediction_error", {"sample": sample, "error": message})


def _write_lines(file: Any, predictions: Iterable[Prediction], errors: Iterable[tuple[str, str]]) -> int:
    count = 0
    for prediction in predictions:
        file.write(to_json_line(prediction.to_dict()))
        count += 1
    for sample, message in errors:
        file.write(to_json_line(error_document(sample, message)))
    return count
