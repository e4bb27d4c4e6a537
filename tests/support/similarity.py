"""scikit-image's fit of a similarity, an independent reference, by the name that the installed release has."""

import numpy.typing as npt
from skimage.transform import SimilarityTransform


def fitted_similarity(source: npt.NDArray, target: npt.NDArray) -> SimilarityTransform:
    """The similarity from source to target, (N, 2) each, of least squares."""
    if hasattr(SimilarityTransform, "from_estimate"):  # scikit-image 0.26 and newer, from Python 3.11
        return SimilarityTransform.from_estimate(source, target)
    found = SimilarityTransform()
    assert found.estimate(source, target)
    return found
