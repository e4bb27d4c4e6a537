"""A landmarker from the text a user writes."""

from __future__ import annotations

import os
from pathlib import Path

from htnet.errors import InputError, did_you_mean
from htnet.preprocess.landmarks.base import Landmarker, TemplateLandmarks
from htnet.preprocess.landmarks.cached import CachedLandmarker
from htnet.preprocess.landmarks.face_alignment import FaceAlignmentLandmarker
from htnet.preprocess.landmarks.files import PrecomputedLandmarks
from htnet.preprocess.landmarks.yunet import YuNetLandmarker

#: Names that `make_landmarker` knows.
LANDMARKERS = ("yunet", "template", "face-alignment")


def make_landmarker(text: str, cache: str | os.PathLike[str] | None = None) -> Landmarker:
    """Build a landmarker.

    Args:
        text: "yunet", "yunet:MODEL.onnx", "template", "face-alignment", or a .csv or .json file of points
            (see `PrecomputedLandmarks`).
        cache: folder in which a detector's points are kept, see `CachedLandmarker`. The template and files of
            points have nothing to keep and are given as they are.

    Raises:
        InputError: the text is none of these.
        LandmarkError: the file cannot be used.
        MissingExtraError: face-alignment is not installed.
        OpenCVError: face-alignment is asked for and OpenCV cannot be imported.
    """
    detector: Landmarker
    if text == "yunet":
        detector = YuNetLandmarker()
    elif text.startswith("yunet:") and text != "yunet:":
        detector = YuNetLandmarker(text.removeprefix("yunet:"))
    elif text == "face-alignment":
        detector = FaceAlignmentLandmarker()
    elif text == "template":
        return TemplateLandmarks()
    elif Path(text).suffix.lower() in (".csv", ".json"):
        return PrecomputedLandmarks(text)
    else:
        raise InputError(
            f"Unknown landmarks: {text!r}. {did_you_mean(text, LANDMARKERS)} A .csv or .json file of points, or "
            "yunet:MODEL.onnx, will do too."
        )
    return detector if cache is None else CachedLandmarker(detector, cache)
