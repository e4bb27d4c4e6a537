"""Models that are given to predictors and estimators instead of the name of weights."""

import numpy as np
import pytest

import htnet
from htnet.core.errors import ModelError
from htnet.core.types import PreprocessSpec
from htnet.models import create_model
from htnet.sklearn import HTNetFeatures


def test_a_model_without_values_is_refused():
    model = create_model("htnet_tiny").to("meta")
    model.preprocess_spec = PreprocessSpec()
    with pytest.raises(ModelError, match="Inference needs weights with values.*on the device meta"):
        htnet.Predictor(model)
    with pytest.raises(ModelError, match="HTNetFeatures needs weights with values.*on the device meta"):
        HTNetFeatures(model).fit(np.zeros((1, 2352)))
