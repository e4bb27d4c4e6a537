"""Every error that htnet raises; all derive from `HtnetError`."""

from typing import Any

from htnet.core.deprecated import moved_name
from htnet.core.errors import (
    CheckpointError,
    CorruptWeightsError,
    DuplicateModelError,
    FlowError,
    FrameError,
    HtnetError,
    InputError,
    LandmarkError,
    LowScoreError,
    ManifestError,
    MissingExtraError,
    ModelError,
    MultipleFacesError,
    NoFaceError,
    OpenCVError,
    OverwriteError,
    PoseError,
    RecipeError,
    RunError,
    SpecError,
    UnknownModelError,
    UnknownWeightsError,
    VideoError,
    WeightsError,
    WeightsNotPublishedError,
)

__all__ = [
    "CheckpointError",
    "CorruptWeightsError",
    "DuplicateModelError",
    "FlowError",
    "FrameError",
    "HtnetError",
    "InputError",
    "LandmarkError",
    "LowScoreError",
    "ManifestError",
    "MissingExtraError",
    "ModelError",
    "MultipleFacesError",
    "NoFaceError",
    "OpenCVError",
    "OverwriteError",
    "PoseError",
    "RecipeError",
    "RunError",
    "SpecError",
    "UnknownModelError",
    "UnknownWeightsError",
    "VideoError",
    "WeightsError",
    "WeightsNotPublishedError",
]


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
