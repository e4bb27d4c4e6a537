"""Prediction from frames, pairs and clips, with exports and plots."""

from htnet.pipeline.analysis import Analysis, EventPictures, FaceGap, FollowedFace, read_analysis
from htnet.pipeline.analyzing import Analyzer, analyze
from htnet.pipeline.chosen import SpottedVideo, spot_video
from htnet.pipeline.predictor import Predictor, predict, predict_video

__all__ = [
    "Analysis",
    "Analyzer",
    "EventPictures",
    "FaceGap",
    "FollowedFace",
    "Predictor",
    "SpottedVideo",
    "analyze",
    "predict",
    "predict_video",
    "read_analysis",
    "spot_video",
]
