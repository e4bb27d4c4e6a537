"""Estimators for scikit-learn; needs ``htnet[sklearn]``."""

from htnet.pipeline.estimators import FlowCells, FlowImages, HTNetClassifier, HTNetFeatures

__all__ = ["FlowCells", "FlowImages", "HTNetClassifier", "HTNetFeatures"]
