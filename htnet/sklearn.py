"""Estimators for scikit-learn; needs ``htnet[sklearn]``."""

from htnet.pipeline.estimators import FlowImages, HTNetClassifier, HTNetFeatures

__all__ = ["FlowImages", "HTNetClassifier", "HTNetFeatures"]
