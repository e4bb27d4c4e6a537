"""Frozen dataclasses that carry data through htnet, and the names they use."""

from htnet.core.deprecated import serve_old_names
from htnet.core.events import EVENT_KINDS, EXPRESSION_KINDS, LONGEST_MACRO_S, LONGEST_MICRO_S, Event
from htnet.core.recipe_names import RECIPE_NAMES
from htnet.core.recordings import Recording
from htnet.core.types import (
    BIT_DEPTHS,
    DEFAULT_WEIGHTS,
    EMOTIONS,
    FLOW_METHODS,
    HEAD_MOTIONS,
    LANDMARK_GROUPS,
    LAYOUTS,
    MOTION_REGIONS,
    MOTIONLESS,
    POINT_NAMES,
    REGION_POINTS,
    RESIZES,
    TEMPLATE_28,
    TEMPLATE_SIZE,
    Flow,
    Frame,
    Landmarks,
    Landmarks68,
    ModelInput,
    Prediction,
    PreprocessSpec,
    QualityWarning,
    SourceFiles,
    Spotting,
)

__all__ = [
    "BIT_DEPTHS",
    "DEFAULT_WEIGHTS",
    "EMOTIONS",
    "EVENT_KINDS",
    "EXPRESSION_KINDS",
    "FLOW_METHODS",
    "HEAD_MOTIONS",
    "LANDMARK_GROUPS",
    "LAYOUTS",
    "LONGEST_MACRO_S",
    "LONGEST_MICRO_S",
    "MOTIONLESS",
    "MOTION_REGIONS",
    "POINT_NAMES",
    "RECIPE_NAMES",
    "REGION_POINTS",
    "RESIZES",
    "TEMPLATE_28",
    "TEMPLATE_SIZE",
    "Event",
    "Flow",
    "Frame",
    "Landmarks",
    "Landmarks68",
    "ModelInput",
    "Prediction",
    "PreprocessSpec",
    "QualityWarning",
    "Recording",
    "SourceFiles",
    "Spotting",
]

serve_old_names(__name__)
