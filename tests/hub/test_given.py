"""Models that are given to predictors and estimators instead of the name of weights."""

import numpy as np
import pytest

import htnet
from htnet.core.errors import InputError, ModelError
from htnet.core.types import PreprocessSpec
from htnet.models import create_model
from htnet.sklearn import HTNetFeatures


def test_a_model_without_values_is_refused():
    model = create_model("htnet_tiny").to("meta")
    model.preprocess_spec = PreprocessSpec()
    with pytest.raises(ModelError, match="Inference needs weights with values.*on the device meta"):
        htnet.Predictor(model)
    with pytest.raises(ModelError, match="Inference needs weights with values.*on the device meta"):
        HTNetFeatures(model).fit(np.zeros((1, 2352)))


def test_features_run_a_given_model_on_the_device_or_refuse_it():
    images, model = np.zeros((1, 2352)), create_model("htnet_tiny")
    with pytest.raises(InputError, match="cuda:99"):
        HTNetFeatures(model, device="cuda:99").fit(images)
    with pytest.raises(InputError, match="'gpu'"):
        HTNetFeatures(model, device="gpu").fit(images)
    assert HTNetFeatures(model, device="auto").fit(images).transform(images).shape == (1, model.num_features)


def test_features_of_a_model_that_reads_faces_are_refused():
    with pytest.raises(ModelError, match="not the flow between two frames"):
        HTNetFeatures(create_model("htnet_palsy")).fit(np.zeros((1, 2352)))
