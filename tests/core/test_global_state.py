"""Results do not depend on what the calling program has set for its process or thread."""

import json
import random
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest
import torch
from torch import nn

import htnet
from htnet.core.global_state import usual_settings
from htnet.core.rng import OwnRng
from htnet.training.rng import seeded_rng
from tests.support.global_states import STATES, default_dtype, same_in

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"


def pair():
    """Points found and points given: both ways to the flow image."""
    found = []
    for points in (None, SAMPLE / "landmarks.json"):
        answer = htnet.Predictor("composite").pair(SAMPLE / "onset.png", SAMPLE / "apex.png", points)
        found += [*answer.probabilities.values(), *(unit.probability for unit in answer.action_units)]
    return found


def loaded():
    models = [htnet.load_pretrained(name) for name in ("composite", "synthetic")]
    assert all(
        tensor.dtype == torch.float32 and tensor.device.type == "cpu" for m in models for tensor in m.parameters()
    )
    return [
        float(tensor.detach().double().sum()) for model in models for tensor in (*model.parameters(), *model.buffers())
    ]


def images(count=6):
    return np.random.default_rng(0).integers(0, 256, (count, 28 * 28 * 3)).astype(np.float32)


def classifier():
    """Fresh weights, augmentation, two epochs."""
    from htnet.sklearn import HTNetClassifier

    x, y = images(), ["a", "b", "c"] * 2
    return HTNetClassifier(model="htnet_tiny", epochs=2, random_state=0).fit(x, y).predict_proba(x).ravel()


def features():
    from htnet.sklearn import HTNetFeatures

    return HTNetFeatures("synthetic").fit(images()).transform(images()).ravel()


def generated():
    from htnet.training import generated_set

    made = generated_set(6)
    return [*made.images.double().mean((1, 2, 3)).tolist(), *made.units.flatten().tolist()]


def events():
    """The shipped detector, on random features."""
    from htnet.recordings import FEATURES, detector

    detector._shipped.cache_clear()
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.5, (100, len(FEATURES))).astype(np.float32)
    found = detector.load_detector().candidates_of(np.arange(100) / 50, features, 0.0)
    assert found
    return [value for one in found for value in (one.score, one.start, one.peak, one.end)]


def optimized():
    model = htnet.optimize(htnet.load_pretrained("composite"))
    return model(torch.from_numpy(images(2).reshape(2, 3, 28, 28))).flatten().tolist()


def converted():
    """A checkpoint in float32 stays so."""
    from htnet.models import convert_state, create_model, reference_state

    with usual_settings(float32=True), seeded_rng(0, torch.device("cpu")):
        state = reference_state(create_model("htnet_tiny"))
    model = convert_state(state, heads=4)
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    return [float(tensor.detach().double().sum()) for tensor in model.parameters()]


TASKS = (pair, loaded, classifier, features, generated, events, optimized, converted)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_results_do_not_depend_on_the_state_of_the_program(task, state):
    same_in(state, task)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_htnet_draws_nothing_from_the_generators_of_the_program(task):
    def drawn():
        return random.random(), np.random.standard_normal(), float(torch.rand(()))  # noqa: NPY002

    def seeded():
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        torch.manual_seed(3)

    seeded()
    expected = drawn()
    seeded()
    task()
    assert drawn() == expected


def test_a_new_classifier_is_drawn_from_the_generator_of_the_program():
    def drawn(seed):
        torch.manual_seed(seed)
        return htnet.load_pretrained("synthetic", num_classes=5).classifier.weight

    first, again, other = map(drawn, (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


LAYERS = {
    "layers": lambda: nn.Sequential(nn.Linear(3, 3), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Embedding(2, 3)),
    "lstm": lambda: nn.LSTM(2, 2),
    "attention": lambda: nn.MultiheadAttention(4, 2),
    "parameter": lambda: nn.Parameter(torch.randn(3) + torch.rand(3) + torch.randint(3, (3,)) + torch.randperm(3)),
    "trunc_normal": lambda: nn.init.trunc_normal_(torch.empty(3, 3)),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(3, 3)),
    "kaiming": lambda: nn.init.kaiming_normal_(torch.empty(3, 3)),
    "in place": lambda: torch.empty(3).uniform_().normal_().bernoulli_(0.5),
    "like": lambda: torch.randn_like(torch.empty(3)) + torch.rand_like(torch.empty(3)),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_models_that_get_stored_weights_leave_the_generator_alone(make):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    make()
    assert not torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(0)
    with OwnRng():
        make()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_landmarker_may_rely_on_its_default_device():
    from htnet.preprocess import FlowPreprocessor
    from htnet.types import Landmarks

    seen = []

    def find(frame, sample=""):
        seen.append(torch.zeros(1).device.type)
        return Landmarks(np.asarray(points), "found")

    points = json.loads((SAMPLE / "landmarks.json").read_text("utf-8"))
    pair = [SAMPLE / "onset.png"], [SAMPLE / "apex.png"]
    with torch.device("meta"):
        FlowPreprocessor(landmarks=find)(*pair)
    assert set(seen) == {"meta"}


def test_gradients_are_as_asked():
    with torch.no_grad(), usual_settings(grad=True):
        assert torch.is_grad_enabled()
    with torch.inference_mode(), usual_settings():
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
    with usual_settings():
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_the_default_dtype_is_restored_by_the_last_of_several_threads():
    """The default belongs to the process: the first call to end must not take float32 from the second."""
    seen, first_in, second_in, first_out = [], Barrier(2), Barrier(2), Barrier(2)

    def first():
        with usual_settings(float32=True):
            first_in.wait(10)
            second_in.wait(10)
        first_out.wait(10)

    def second():
        first_in.wait(10)
        with usual_settings(float32=True):
            second_in.wait(10)
            first_out.wait(10)
            seen.append(torch.get_default_dtype())

    with default_dtype(torch.float64):
        threads = [Thread(target=first), Thread(target=second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert seen == [torch.float32]


def test_a_default_dtype_that_was_set_meanwhile_is_kept():
    try:
        with usual_settings(float32=True):
            torch.set_default_dtype(torch.float64)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
