"""Prediction from frames, pairs and clips, with exports and plots.

Only what a prediction from two frames needs is imported at once. Everything else is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from htnet.core.lazy import serve_lazy_names
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

serve_lazy_names(__name__, _NAMES)
