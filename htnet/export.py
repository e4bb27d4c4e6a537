"""Predictions and spotted expressions as JSON and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from htnet.types import MOTION_REGIONS, POINT_NAMES, Prediction, Spotting


def prediction_to_dict(prediction: Prediction) -> dict[str, Any]:
    """JSON-ready form: label, probabilities, whether there was motion, points in onset px, the flow's size in px."""
    out: dict[str, Any] = {
        "sample": prediction.sample,
        "prediction": prediction.label,
        "probabilities": dict(prediction.probabilities),
        "model": prediction.model,
        "regions_at": prediction.input.regions_at,
        "motionless": prediction.motionless,
    }
    if prediction.action_units:
        out["action_units"] = [
            {"number": u.number, "name": u.name, "probability": u.probability, "side": u.side}
            | {"left": u.left, "right": u.right}
            for u in prediction.action_units
        ]
    if prediction.input.points68 is not None:
        out["points68"] = {"source": prediction.input.points68.source, "estimated": prediction.input.points68.estimated}
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
    if prediction.spotting is not None:
        out["spotting"] = spotting_to_dict(prediction.spotting)
    return out


def spotting_to_dict(spotting: Spotting) -> dict[str, Any]:
    """JSON-ready form: frame numbers from 0, their times in s (null without a frame rate) and the confidence."""
    numbers = {name: getattr(spotting, name) for name in ("onset", "apex", "offset")}
    return {
        **numbers,
        **{f"{name}_s": spotting.time(number) for name, number in numbers.items()},
        "confidence": spotting.confidence,
        "frames": len(spotting.curve),
        "fps": spotting.fps,
        "method": spotting.method,
    }


def write_curve(path: str | PathLike[str], spotting: Spotting) -> None:
    """Write the curve as CSV: frame, time_s (empty without a frame rate), magnitude (smoothed) and the regions, px."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "time_s", "magnitude", *MOTION_REGIONS])
        for number, (magnitude, regions) in enumerate(
            zip(spotting.curve.tolist(), spotting.regions.tolist(), strict=True)
        ):
            time = spotting.time(number)
            values = [f"{value:.5f}" for value in (magnitude, *regions)]
            writer.writerow([number, "" if time is None else f"{time:.6f}", *values])


def csv_header(labels: Sequence[str]) -> list[str]:
    """Columns of a predictions CSV."""
    probabilities = (f"probability_{name}" for name in labels)
    return ["sample", "prediction", *probabilities, "truth", "regions_at", "motionless", "error"]


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
            motionless = "true" if p.motionless else "false"
            writer.writerow([p.sample, p.label, *values, p.truth or "", p.input.regions_at, motionless, ""])
            count += 1
        for sample, message in errors:
            writer.writerow([sample, "", *("" for _ in labels), "", "", "", message])
    return count
