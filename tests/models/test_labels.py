"""Class names of models."""

import re

import numpy as np
import pytest
import torch

from htnet.core.errors import ModelError
from htnet.models import create_model
from tests.support.pairs import tiny_model


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (("calm", "calm", "angry"), "'calm' and 'calm' are the same name"),
        (("calm", "Calm ", "angry"), "'calm' and 'Calm ' are the same name"),
        (("calm", " ", "angry"), "a name is empty"),
        (("calm", "angry"), "2 labels for 3 classes"),
        ((0, 1, 2), "not a list of texts"),
        ((None, "calm", "angry"), "not a list of texts"),
        ("abc", "not a list of texts"),
        ({"calm", "angry", "sad"}, "not a list of texts"),
        (None, "not a list of texts"),
    ],
)
def test_class_names_that_would_lose_a_class_are_refused(labels, told):
    model = tiny_model()
    before = model.labels
    with pytest.raises(ModelError, match=re.escape(told)):
        model.labels = labels
    assert model.labels == before
    if labels is not None:
        with pytest.raises(ModelError, match=re.escape(told)):
            model.reset_classifier(3, labels)
    assert model.labels == before


def test_class_names_may_be_any_list_of_texts():
    model = tiny_model()
    model.labels = np.array(["calm", "angry", "sad"])
    assert model.labels == ("calm", "angry", "sad")
    assert all(type(name) is str for name in model.labels)


@pytest.mark.parametrize("value", ["1", True, None, float("nan"), float("inf"), [1.0]])
@pytest.mark.parametrize("name", ["mean", "std"])
def test_statistics_that_are_no_numbers_are_refused(name, value):
    with pytest.raises(ModelError, match=rf"{name} is \("):
        create_model("htnet_tiny", **{name: (1.0, value, 1.0)})


def test_statistics_may_be_an_array_or_a_tensor():
    for given in (np.float32([1, 2, 3]), torch.tensor([1.0, 2.0, 3.0]), [1, 2, 3]):
        assert create_model("htnet_tiny", mean=given, std=given).config.std == (1.0, 2.0, 3.0)
