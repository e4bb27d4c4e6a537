"""Prediction from frames, pairs and clips, with exports and plots."""

from htnet.pipeline.predictor import Predictor, predict, predict_video

__all__ = ["Predictor", "predict", "predict_video"]
