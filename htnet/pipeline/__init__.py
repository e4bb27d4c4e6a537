"""Prediction from frames, pairs and clips, with exports and plots.

All but the answer for two frames is loaded when first used, so that this one does not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from htnet.pipeline.calls import predict, predict_video
from htnet.pipeline.predictor import Predictor

if TYPE_CHECKING:
    from htnet.pipeline.analysis import Analysis, EventPictures, FaceGap, FollowedFace, read_analysis
    from htnet.pipeline.analyzing import Analyzer, analyze
    from htnet.pipeline.chosen import SpottedVideo, spot_video
    from htnet.pipeline.doctor import Diagnosis, Finding, diagnose
    from htnet.pipeline.embedding import Embeddings, embed
    from htnet.pipeline.scoring import WeightsScores, evaluate

#: Public names by the module that contains them.
_NAMES = {
    "analysis": "Analysis EventPictures FaceGap FollowedFace read_analysis",
    "analyzing": "Analyzer analyze",
    "chosen": "SpottedVideo spot_video",
    "doctor": "Diagnosis Finding diagnose",
    "embedding": "Embeddings embed",
    "scoring": "WeightsScores evaluate",
}

__all__ = [
    "Analysis",
    "Analyzer",
    "Diagnosis",
    "Embeddings",
    "EventPictures",
    "FaceGap",
    "Finding",
    "FollowedFace",
    "Predictor",
    "SpottedVideo",
    "WeightsScores",
    "analyze",
    "diagnose",
    "embed",
    "evaluate",
    "predict",
    "predict_video",
    "read_analysis",
    "spot_video",
]


def __getattr__(name: str) -> Any:
    for module, names in _NAMES.items():
        if name in names.split():
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
