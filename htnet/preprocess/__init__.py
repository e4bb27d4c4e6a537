"""From video frames to network inputs: reading, landmarks, alignment, flow, regions."""

from htnet.preprocess.align import align_pair, scale_points, similarity, transform_points
from htnet.preprocess.flow import compute_flow, flow_image, optical_strain, read_flow_image
from htnet.preprocess.frames import check_pair, read_frame, to_gray
from htnet.preprocess.landmarks import (
    FaceAlignmentLandmarker,
    Landmarker,
    PrecomputedLandmarks,
    TemplateLandmarks,
    YuNetLandmarker,
    image_side,
    make_landmarker,
    read_points_json,
)
from htnet.preprocess.preprocessor import PUBLISHED_CHANNELS, FrameSource, LandmarkSource, Preprocessor
from htnet.preprocess.regions import crop_regions, template_points
from htnet.preprocess.tvl1 import tvl1_flow
from htnet.preprocess.warp import displace

__all__ = [
    "PUBLISHED_CHANNELS",
    "FaceAlignmentLandmarker",
    "FrameSource",
    "LandmarkSource",
    "Landmarker",
    "PrecomputedLandmarks",
    "Preprocessor",
    "TemplateLandmarks",
    "YuNetLandmarker",
    "align_pair",
    "check_pair",
    "compute_flow",
    "crop_regions",
    "displace",
    "flow_image",
    "image_side",
    "make_landmarker",
    "optical_strain",
    "read_flow_image",
    "read_frame",
    "read_points_json",
    "scale_points",
    "similarity",
    "template_points",
    "to_gray",
    "transform_points",
    "tvl1_flow",
]
