"""Graders: what holds for every predictor holds for them."""

import dataclasses
import inspect
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import htnet
from htnet.core.errors import InputError, LandmarkError, ManifestError, ModelError, WeightsError
from htnet.core.provenance import Provenance
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.data.reader import SampleReader
from htnet.hub import save_pretrained
from htnet.models import create_model
from htnet.palsy import (
    PALSY_SPEC,
    FaceSet,
    GradePredictor,
    evaluate_palsy,
    grade_scores,
    plots,
    prepare_faces,
    train_palsy,
)
from htnet.pipeline.predictor import Predictor
from htnet.preprocess import FlowPreprocessor
from htnet.training.start import load_start
from tests.acceleration.support import lively
from tests.palsy.test_flow import SETTINGS, SMALL
from tests.support.pairs import POINTS, face
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


@pytest.fixture
def small():
    model = create_model("htnet_palsy_tiny", num_classes=3, **SETTINGS).eval()
    model.preprocess_spec = SMALL
    model.labels = ("a", "b", "c")
    return model


def compiled(model):
    """What torch.compile makes of a model, and the calls of it."""
    made, calls = torch.compile(model, backend="eager", dynamic=False), []
    made.forward = lambda *of, **how: calls.append(of) or model(*of, **how)
    return made, calls


def test_a_compiled_model_grades_and_is_evaluated(small, tmp_path):
    made, calls = compiled(small)
    found = GradePredictor(made, landmarks="template").image(face())
    assert found.probabilities == GradePredictor(small, landmarks="template").image(face()).probabilities
    assert (len(calls), found.model, found.architecture) == (1, small.name, small.name)
    rng = np.random.default_rng(0)
    size = small.config.image_size
    images = rng.integers(0, 256, (6, size, size, 3)).astype(np.uint8)
    for k, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{k}.png"), image)
    rows = [Sample(f"s{k}", "d", f"p{k}", "abc"[k % 3], onset=tmp_path / f"{k}.png") for k in range(6)]
    manifest = Manifest(tuple(rows), ("a", "b", "c"), "made")
    data = FaceSet(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(manifest.labels()), 3, SMALL)
    scores = evaluate_palsy(made, manifest, data, tmp_path / "compiled", resamples=10)
    assert len(calls) == 2
    assert scores == evaluate_palsy(small, manifest, data, tmp_path / "plain", resamples=10)


WRONG = (5, object(), lambda frame: None, "yunt", "points.txt")


def kind(value):
    """A name that is the same in every process, unlike the repr of an object."""
    return repr(value) if isinstance(value, (str, int)) else type(value).__name__


@pytest.mark.parametrize("landmarks", [None, *WRONG], ids=kind)
def test_what_is_no_landmarker_is_refused_before_any_image(small, landmarks, tmp_path):
    with pytest.raises((InputError, LandmarkError), match="andmark"):
        GradePredictor(small, landmarks=landmarks)
    rows = Manifest((Sample("s", "d", "p", "I", image=tmp_path / "none.png"),), ("I", "II"))
    with pytest.raises((InputError, LandmarkError), match="andmark"):
        prepare_faces(rows, tmp_path / "out", landmarks, test=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("landmarks", WRONG, ids=kind)
@pytest.mark.parametrize("build", [Predictor, FlowPreprocessor, lambda **k: SampleReader(PreprocessSpec(), **k)])
def test_what_is_no_landmarker_is_refused_by_every_reader(build, landmarks):
    with pytest.raises((InputError, LandmarkError), match="andmark"):
        build(landmarks=landmarks)


@pytest.mark.parametrize(
    "names", [("V-VI", "III-IV", "I-II"), ("I-II", "V-VI", "III-IV"), ("I-II", "II-IV", "V-VI"), ("II-I", "III", "IV")]
)
def test_grades_in_another_order_are_refused_everywhere(small, names, tmp_path):
    small.labels = names
    with pytest.raises(ModelError, match="The classes of htnet_palsy_tiny are .*Restore the order: I, II"):
        GradePredictor(small, landmarks="template")
    folder = save_pretrained(small, tmp_path / "w")
    with pytest.raises(ModelError, match="another order"):
        GradePredictor(folder, landmarks="template")
    with pytest.raises(InputError, match="another order"):
        grade_scores([0, 1, 2], [0, 1, 2], ["a", "b", "c"], names)
    rows = Manifest(tuple(Sample(f"s{k}", "d", f"p{k}", name) for k, name in enumerate(names)), names, "made")
    data = FaceSet(torch.zeros((3, 3, 28, 28), dtype=torch.uint8), torch.arange(3), 3, SMALL)
    with pytest.raises(ManifestError, match="The classes of made"):
        train_palsy(rows, data, tmp_path / "out")


@pytest.mark.parametrize("names", [("I-II", "III-IV", "V-VI"), ("I", "IV", "VI"), ("a", "b", "c"), ("none", "I", "II")])
def test_grades_in_their_order_and_other_names_are_taken(small, names):
    small.labels = names
    assert GradePredictor(small, landmarks="template").image(face()).label in names


def test_a_file_of_points_may_be_a_path(small, tmp_path):
    marks = tmp_path / "points.json"
    marks.write_text(json.dumps(POINTS.tolist()))
    image = face()
    found = [GradePredictor(small, landmarks=kind(marks)).image(image).probabilities for kind in (str, Path)]
    assert found[0] == found[1]


def test_other_things_than_a_function_draws_are_refused_by_name():
    for draw, given, message in (
        (plots.plot_grade, (None, face()), "prediction is None, not GradePrediction; give .*GradePredictor.image"),
        (plots.plot_maps, ([],), "maps is of type list, not FaceMaps"),
        (plots.plot_asymmetry, (face(),), "report is of type ndarray, not FaceAsymmetry"),
    ):
        with pytest.raises(InputError, match=message):
            draw(*given)


def test_training_starts_from_a_compiled_model(small):
    made, _ = compiled(small)
    start = load_start(made, small.labels)
    assert start.name == small.name
    fresh = create_model("htnet_palsy_tiny", num_classes=3, **SETTINGS)
    start(fresh)
    assert all(torch.equal(value, small.state_dict()[name]) for name, value in fresh.state_dict().items())
    assert start(fresh) == load_start(small)(fresh)


def test_device_and_type_by_name(small, tmp_path):
    folder = save_pretrained(small, tmp_path / "w")
    expected = GradePredictor(small, landmarks="template").image(face()).probabilities
    predictor = GradePredictor(folder, landmarks="template", device="auto", dtype="bfloat16")
    assert predictor.model.input_dtype == torch.bfloat16
    found = predictor.image(face()).probabilities
    assert found == pytest.approx(expected, abs=0.05)
    assert found != expected
    assert predictor.maps(face()).asymmetry[0].dtype == np.float32
    with pytest.raises(InputError, match=r"dtype is .*float32, bfloat16"):
        GradePredictor(folder, dtype="float8")
    with pytest.raises(InputError, match="a model was given"):
        GradePredictor(small, dtype="bfloat16")
    with pytest.raises(WeightsError, match="a model was given"):
        GradePredictor(small, revision="v1")


def test_grades_without_a_training_sample_are_doubted(small):
    def found():
        return GradePredictor(small, landmarks="template").image(face())

    assert found().warnings == ()
    small.provenance = Provenance(unlearned=("b",))
    assert [warning.code for warning in found().warnings] == ["class_not_learned"]
    assert [warning["code"] for warning in found().to_dict()["warnings"]] == ["class_not_learned"]


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
