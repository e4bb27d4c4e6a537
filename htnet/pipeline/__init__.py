"""Prediction from frames, pairs and clips, with exports and plots."""

from htnet.pipeline.analysis import Analysis, EventPictures, FaceGap, FollowedFace, read_analysis
from htnet.pipeline.analyzing import Analyzer, analyze
from htnet.pipeline.calls import predict, predict_video
from htnet.pipeline.chosen import SpottedVideo, spot_video
from htnet.pipeline.doctor import Diagnosis, Finding, diagnose
from htnet.pipeline.embedding import Embeddings, embed
from htnet.pipeline.predictor import Predictor
from htnet.pipeline.scoring import WeightsScores, evaluate

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
