"""From frames, pairs and recordings to predictions, files and pictures."""

from htnet.pipeline.predictor import Predictor, predict, predict_video

__all__ = ["Predictor", "predict", "predict_video"]
