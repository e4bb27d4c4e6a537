"""Results do not depend on what the calling program has set for its process or thread."""

import json
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest
import torch

import htnet
from htnet.core.global_state import usual_settings

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype, "it is still set"
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield
        assert torch.is_autocast_enabled("cpu")


@contextmanager
def numpy_errors():
    with np.errstate(all="raise"):
        yield
        assert set(np.geterr().values()) == {"raise"}


#: Tensors on "meta" have no values, so nothing may be made on the default device: it stands for a GPU.
STATES = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "device": lambda: torch.device("meta"),
    "autocast": autocast,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "numpy": numpy_errors,
}


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


def faces():
    """Augmentation of faces, with mixup."""
    from htnet.palsy import FaceAugmentation, augment_faces

    torch.manual_seed(0)
    given = torch.from_numpy(images(2).reshape(2, 3, 28, 28))
    labels = torch.from_numpy(np.array([0, 1]))
    with usual_settings():  # as a training does
        made = augment_faces(given, labels, FaceAugmentation(erase=0.5, mixup=0.4), 3)
    return torch.cat([one.flatten() for one in made]).tolist()


def events():
    """The shipped detector, on random features."""
    from htnet.recordings import FEATURES, detector

    detector._shipped.cache_clear()
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.5, (100, len(FEATURES))).astype(np.float32)
    found = detector.load_detector().candidates_of(np.arange(100) / 50, features, 0.0)
    assert found
    return [value for one in found for value in (one.score, one.start, one.peak, one.end)]


def asymmetry():
    from htnet.palsy import face_asymmetry

    return [one.value or 0.0 for one in face_asymmetry(SAMPLE / "onset.png").regions.values()]


def optimized():
    model = htnet.optimize(htnet.load_pretrained("composite"))
    return model(torch.from_numpy(images(2).reshape(2, 3, 28, 28))).flatten().tolist()


TASKS = (pair, loaded, classifier, features, generated, faces, events, asymmetry, optimized)


@pytest.fixture(scope="module")
def usual():
    """What each task gives if nothing is set, computed once."""
    known = {}

    def ask(task):
        return known[task] if task in known else known.setdefault(task, task())

    return ask


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_results_do_not_depend_on_the_state_of_the_program(usual, task, state):
    expected = usual(task)
    with STATES[state]():
        found = task()
    # Matrix products of another thread's making may round in another order; settings change far more.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


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
