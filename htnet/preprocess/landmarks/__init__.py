"""Landmarkers: five or 68 facial points from a detector, a file, a cache or the template."""

from htnet.preprocess.landmarks.base import MISSING, SEVERAL, Landmarker, Landmarker68, TemplateLandmarks, find_many
from htnet.preprocess.landmarks.cached import CachedLandmarker
from htnet.preprocess.landmarks.detector import YUNET_SHA256
from htnet.preprocess.landmarks.face_alignment import FaceAlignmentLandmarker
from htnet.preprocess.landmarks.factory import LANDMARKERS, LazyLandmarker, make_landmarker
from htnet.preprocess.landmarks.files import (
    PrecomputedLandmarks,
    flow_image_points,
    image_side,
    landmark_table,
    read_points_json,
)
from htnet.preprocess.landmarks.peers import PeerLandmarks
from htnet.preprocess.landmarks.points68 import estimate_68, finds_68, landmarks_68
from htnet.preprocess.landmarks.verify import verified
from htnet.preprocess.landmarks.yunet import YuNetLandmarker

__all__ = [
    "LANDMARKERS",
    "MISSING",
    "SEVERAL",
    "YUNET_SHA256",
    "CachedLandmarker",
    "FaceAlignmentLandmarker",
    "Landmarker",
    "Landmarker68",
    "LazyLandmarker",
    "PeerLandmarks",
    "PrecomputedLandmarks",
    "TemplateLandmarks",
    "YuNetLandmarker",
    "estimate_68",
    "find_many",
    "finds_68",
    "flow_image_points",
    "image_side",
    "landmark_table",
    "landmarks_68",
    "make_landmarker",
    "read_points_json",
    "verified",
]
