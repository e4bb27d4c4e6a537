"""A landmarker from the text a user writes."""

from __future__ import annotations

from pathlib import Path

from htnet.errors import InputError, did_you_mean
from htnet.preprocess.landmarks.base import Landmarker, TemplateLandmarks
from htnet.preprocess.landmarks.face_alignment import FaceAlignmentLandmarker
from htnet.preprocess.landmarks.files import PrecomputedLandmarks
from htnet.preprocess.landmarks.yunet import YuNetLandmarker

#: Names that `make_landmarker` knows.
LANDMARKERS = ("yunet", "template", "face-alignment")


def make_landmarker(text: str) -> Landmarker:
    """Build a landmarker.

    Args:
        text: "yunet", "yunet:MODEL.onnx", "template", "face-alignment", or a .csv or .json file of points
            (see `PrecomputedLandmarks`).

    Raises:
        InputError: the text is none of these.
        LandmarkError: the file cannot be used.
        MissingExtraError: face-alignment is not installed.
    """
    if text == "yunet":
        return YuNetLandmarker()
    if text.startswith("yunet:") and text != "yunet:":
        return YuNetLandmarker(text.removeprefix("yunet:"))
    if text == "template":
        return TemplateLandmarks()
    if text == "face-alignment":
        return FaceAlignmentLandmarker()
    if Path(text).suffix.lower() in (".csv", ".json"):
        return PrecomputedLandmarks(text)
    raise InputError(
        f"Unknown landmarks: {text!r}. {did_you_mean(text, LANDMARKERS)} A .csv or .json file of points, or "
        "yunet:MODEL.onnx, will do too."
    )
