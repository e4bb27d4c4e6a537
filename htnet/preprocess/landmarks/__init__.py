"""Landmarkers: five facial points from a detector, a file or the template."""

from htnet.preprocess.landmarks.base import SEVERAL, Landmarker, TemplateLandmarks
from htnet.preprocess.landmarks.face_alignment import FaceAlignmentLandmarker
from htnet.preprocess.landmarks.factory import LANDMARKERS, make_landmarker
from htnet.preprocess.landmarks.files import PrecomputedLandmarks, flow_image_points, image_side, read_points_json
from htnet.preprocess.landmarks.yunet import YUNET_SHA256, YuNetLandmarker

__all__ = [
    "LANDMARKERS",
    "SEVERAL",
    "YUNET_SHA256",
    "FaceAlignmentLandmarker",
    "Landmarker",
    "PrecomputedLandmarks",
    "TemplateLandmarks",
    "YuNetLandmarker",
    "flow_image_points",
    "image_side",
    "make_landmarker",
    "read_points_json",
]
