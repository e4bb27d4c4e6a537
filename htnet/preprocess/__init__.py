"""Preprocessing from frames to network inputs: reading, landmarks, alignment, flow, regions."""

from htnet.core.deprecated import serve_old_names
from htnet.preprocess.align import Alignment, align_frames, align_pair, fit_alignment
from htnet.preprocess.batches import FlowPreprocessor, RegionCropper
from htnet.preprocess.contrast import clahe
from htnet.preprocess.flow.color import color_wheel, color_wheel_legend
from htnet.preprocess.flow.compute import (
    compute_flow,
    flow_image,
    is_motionless,
    optical_strain,
    read_flow_image,
    write_flow_image,
)
from htnet.preprocess.flow.motion import (
    FACE_REGIONS,
    face_regions,
    flow_magnitude,
    flow_orientation,
    head_boxes,
    hoof,
    remove_head_motion,
)
from htnet.preprocess.flow.tvl1 import tvl1_flow
from htnet.preprocess.flow.tvl1_routing import explain_tvl1
from htnet.preprocess.flow.warp import displace
from htnet.preprocess.frames import FrameSource, check_pair, read_clip, read_frame, read_pair, to_gray
from htnet.preprocess.geometry import scale_points, similarity, transform_points
from htnet.preprocess.landmarks import (
    SEVERAL,
    CachedLandmarker,
    FaceAlignmentLandmarker,
    Landmarker,
    Landmarker68,
    LazyLandmarker,
    PeerLandmarks,
    PrecomputedLandmarks,
    TemplateLandmarks,
    YuNetLandmarker,
    estimate_68,
    find_many,
    image_side,
    landmarks_68,
    make_landmarker,
    read_points_json,
    verified,
)
from htnet.preprocess.mean_shape import MEAN_SHAPE_28, MIRROR_68
from htnet.preprocess.preprocessor import PUBLISHED_CHANNELS, LandmarkSource, Preprocessor
from htnet.preprocess.published import published_input
from htnet.preprocess.regions import crop_regions, template_points
from htnet.preprocess.video.clip import motion_features, temporal_interpolation
from htnet.preprocess.video.clip_files import encode_motion, open_clip, read_motion
from htnet.preprocess.video.listing import list_videos
from htnet.preprocess.video.open import Video, open_video
from htnet.preprocess.video.readers import VIDEO_READERS
from htnet.preprocess.video.spotting import SPOTTING_METHODS, spot

__all__ = [
    "FACE_REGIONS",
    "MEAN_SHAPE_28",
    "MIRROR_68",
    "PUBLISHED_CHANNELS",
    "SEVERAL",
    "SPOTTING_METHODS",
    "VIDEO_READERS",
    "Alignment",
    "CachedLandmarker",
    "FaceAlignmentLandmarker",
    "FlowPreprocessor",
    "FrameSource",
    "LandmarkSource",
    "Landmarker",
    "Landmarker68",
    "LazyLandmarker",
    "PeerLandmarks",
    "PrecomputedLandmarks",
    "Preprocessor",
    "RegionCropper",
    "TemplateLandmarks",
    "Video",
    "YuNetLandmarker",
    "align_frames",
    "align_pair",
    "check_pair",
    "clahe",
    "color_wheel",
    "color_wheel_legend",
    "compute_flow",
    "crop_regions",
    "displace",
    "encode_motion",
    "estimate_68",
    "explain_tvl1",
    "face_regions",
    "find_many",
    "fit_alignment",
    "flow_image",
    "flow_magnitude",
    "flow_orientation",
    "head_boxes",
    "hoof",
    "image_side",
    "is_motionless",
    "landmarks_68",
    "list_videos",
    "make_landmarker",
    "motion_features",
    "open_clip",
    "open_video",
    "optical_strain",
    "published_input",
    "read_clip",
    "read_flow_image",
    "read_frame",
    "read_motion",
    "read_pair",
    "read_points_json",
    "remove_head_motion",
    "scale_points",
    "similarity",
    "spot",
    "template_points",
    "temporal_interpolation",
    "to_gray",
    "transform_points",
    "tvl1_flow",
    "verified",
    "write_flow_image",
]

serve_old_names(__name__)
