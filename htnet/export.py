"""Predictions as JSON and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from htnet.types import POINT_NAMES, Prediction


def prediction_to_dict(prediction: Prediction) -> dict[str, Any]:
    """JSON-ready form: label, probabilities, points in onset px, and the flow's size in px."""
    out: dict[str, Any] = {
        "sample": prediction.sample,
        "prediction": prediction.label,
        "probabilities": dict(prediction.probabilities),
        "model": prediction.model,
        "regions_at": prediction.input.regions_at,
    }
    if prediction.landmarks is not None:
        out["landmarks"] = {
            "source": prediction.landmarks.source,
            "score": prediction.landmarks.score,
            "points": dict(
                zip(POINT_NAMES, prediction.landmarks.points.astype(np.float64).round(2).tolist(), strict=True)
            ),
        }
    if prediction.flow is not None:
        length = np.hypot(*prediction.flow.uv)
        out["flow"] = {
            "method": prediction.flow.method,
            "face_size": int(prediction.flow.uv.shape[-1]),
            "mean_px": float(length.mean()),
            "max_px": float(length.max()),
        }
    return out


def csv_header(labels: Sequence[str]) -> list[str]:
    """Columns of a predictions CSV."""
    return ["sample", "prediction", *(f"probability_{name}" for name in labels), "truth", "regions_at", "error"]


def write_predictions(
    path: str | PathLike[str],
    predictions: Iterable[Prediction],
    labels: Sequence[str],
    errors: Iterable[tuple[str, str]] = (),
) -> int:
    """Write predictions as CSV, one row a sample; rows appear as they are made.

    Args:
        path: the file.
        predictions: what to write.
        labels: class names in the model's order.
        errors: (sample, message) of samples that could not be read; read after ``predictions`` ended.

    Returns:
        Number of predictions written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(csv_header(labels))
        for p in predictions:
            values = [f"{p.probabilities[name]:.6f}" for name in labels]
            writer.writerow([p.sample, p.label, *values, p.truth or "", p.input.regions_at, ""])
            count += 1
        for sample, message in errors:
            writer.writerow([sample, "", *("" for _ in labels), "", "", message])
    return count
