"""Graders: what holds for every predictor holds for them."""

import dataclasses
import inspect

import numpy as np

import htnet
from htnet.core.types import PreprocessSpec
from htnet.models import create_model
from htnet.palsy import PALSY_SPEC, GradePredictor
from tests.acceleration.support import lively
from tests.palsy.test_flow import SETTINGS, SMALL
from tests.support.pairs import face
from tests.test_threads import at_once, portraits


def test_grades_use_the_temperature():
    model = create_model("htnet_palsy_tiny", image_size=28, dim=16, block_repeats=(1, 1, 2)).eval()
    model.preprocess_spec = dataclasses.replace(PALSY_SPEC, size=28, face_size=48)
    predictor = GradePredictor(model, landmarks="template")
    raw = predictor.image(face())
    model.temperature = 2.5
    found = predictor.image(face())
    powers = np.array(list(raw.probabilities.values())) ** (1 / 2.5)
    np.testing.assert_allclose(list(found.probabilities.values()), powers / powers.sum(), atol=1e-5)
    assert found.probabilities != raw.probabilities
    assert found.label == raw.label


def test_grade_predictor_finds_the_maps(rng):
    model = lively("htnet_palsy_tiny")
    model.preprocess_spec = PreprocessSpec(size=112)
    predictor = GradePredictor(htnet.optimize(model), landmarks="template")
    assert "return_maps" in inspect.signature(predictor.model.forward).parameters
    face = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
    assert predictor.maps(face).prediction.label in model.labels


def test_a_grade_predictor_gives_every_thread_the_same_bytes():
    model = create_model("htnet_palsy_tiny", num_classes=3, **SETTINGS).eval()
    model.preprocess_spec = SMALL
    images = [onset for onset, _ in portraits()]
    alone = [GradePredictor(model).image(image) for image in images]
    shared = GradePredictor(model)
    for number, found in at_once(shared.image, images):
        assert found.probabilities == alone[number].probabilities
        assert found.landmarks.points.tobytes() == alone[number].landmarks.points.tobytes()
