"""One landmarker or predictor for many threads; a process forked after use."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from htnet import Predictor
from htnet.core.errors import LandmarkError
from htnet.core.types import Frame
from htnet.data import Manifest, Sample
from htnet.preprocess import CachedLandmarker, TemplateLandmarks, YuNetLandmarker, verified
from htnet.preprocess.opencv import quiet_opencv
from tests.preprocess.test_landmarks import stub_face_alignment
from tests.support.pairs import face_pair, save, tiny_model

THREADS, CALLS = 8, 2


def at_once(call, items):
    """Answers of `THREADS` threads that all begin together, each item asked `CALLS` times, in the items' order."""
    gate = threading.Barrier(THREADS)

    def work(number):
        gate.wait()
        return [(i, call(items[i])) for _ in range(CALLS) for i in np.roll(range(len(items)), number).tolist()]

    with ThreadPoolExecutor(THREADS) as pool:
        return [pair for part in pool.map(work, range(THREADS)) for pair in part]


def portraits(count=2):
    rng = np.random.default_rng(5)
    out = []
    for number in range(count):
        onset, apex = face_pair(side=160 + 40 * number, rng=rng)
        big = [cv2.copyMakeBorder(x, *[30] * 4, cv2.BORDER_REPLICATE) for x in (onset, apex)]
        out.append(big)
    return out


LANDMARKERS = {
    "yunet": lambda folder: YuNetLandmarker(),
    "cached": lambda folder: CachedLandmarker(YuNetLandmarker(), folder),
    "template": lambda folder: TemplateLandmarks(),
    "verified": lambda folder: lambda frame: verified(TemplateLandmarks()(frame), frame),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LANDMARKERS)
def test_a_landmarker_gives_every_thread_the_same_bytes(name, tmp_path):
    frames = [Frame(onset, f"{i}.png") for i, (onset, _) in enumerate(portraits())]
    alone = [LANDMARKERS[name](tmp_path / "alone")(frame) for frame in frames]
    shared = LANDMARKERS[name](tmp_path / "shared")
    for number, found in at_once(shared, frames):
        assert found.points.tobytes() == alone[number].points.tobytes()
        assert (found.score, found.warnings) == (alone[number].score, alone[number].warnings)


def test_face_alignment_is_built_once_and_asked_by_one_thread_at_a_time(monkeypatch):
    from htnet.preprocess import MEAN_SHAPE_28, FaceAlignmentLandmarker

    module = stub_face_alignment(monkeypatch, [MEAN_SHAPE_28 * 2])
    busy = threading.Lock()

    def get(self, image):
        assert busy.acquire(blocking=False), "two threads at once"
        threading.Event().wait(0.001)
        busy.release()
        return [MEAN_SHAPE_28 * 2]

    monkeypatch.setattr(module.FaceAlignment, "get_landmarks_from_image", get)
    landmarker = FaceAlignmentLandmarker()
    found = at_once(landmarker, [Frame(np.full((64, 64, 3), 127, np.uint8))])
    assert len(found) == THREADS * CALLS
    assert len(module.built) == 1


def _pair(predictor, item):
    return predictor.pair(*item[:2])


def _video(predictor, item):
    return predictor.video([item[0]] * 4 + [item[1]] * 5)


def _flow(predictor, item):
    return predictor.flow_image(item[0][:28, :28].copy())


def _manifest(predictor, item):
    return next(iter(predictor.manifest(Manifest((item[2],)))))


@pytest.mark.slow
@pytest.mark.parametrize("ask", [_pair, _video, _flow, _manifest])
def test_a_predictor_gives_every_thread_the_same_bytes(ask, tmp_path):
    model = tiny_model()
    items = []
    for number, (onset, apex) in enumerate(portraits(2)):
        paths = [save(tmp_path / f"{number}{name}.png", x) for name, x in (("onset", onset), ("apex", apex))]
        items.append((onset, apex, Sample(sample=f"s{number}", onset=paths[0], apex=paths[1])))
    alone = [ask(Predictor(model), item) for item in items]
    shared = Predictor(model)
    for number, found in at_once(lambda item: ask(shared, item), items):
        assert found.probabilities == alone[number].probabilities
        assert found.input.flow_image.tobytes() == alone[number].input.flow_image.tobytes()


def test_opencvs_log_is_as_before_after_many_threads():
    log = getattr(cv2.utils, "logging", cv2)
    before = log.getLogLevel()

    def quiet(_):
        with quiet_opencv():
            assert log.getLogLevel() == 0

    at_once(quiet, [0] * 50)
    assert log.getLogLevel() == before


def test_an_error_of_opencv_is_typed(monkeypatch):
    from htnet.preprocess.landmarks import detector

    class Broken:
        def setInputSize(self, size):  # noqa: N802
            pass

        def detect(self, pixels):
            raise cv2.error("(-215:Assertion failed)")

    monkeypatch.setattr(detector, "build_detector", lambda model: Broken())
    with pytest.raises(LandmarkError, match="could not look for faces in an image of 64x64 px") as caught:
        YuNetLandmarker()(Frame(np.zeros((64, 64, 3), np.uint8)))
    assert "215" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_process_forked_after_use_is_refused_unless_it_has_one_thread(threads, warm_python):
    code = """
import os, numpy as np, torch
from htnet import Predictor
from htnet.core.errors import RunError
torch.set_num_threads(2)
predictor = Predictor()
if os.fork() == 0:
    torch.set_num_threads(THREADS)
    try:
        predictor.flow_image(np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8))
    except RunError as error:
        print("refused:", error, flush=True)
        os._exit(0)
    print("answered", flush=True)
    os._exit(0)
os.wait()
""".replace("THREADS", str(threads))
    done = warm_python.run(code, limit=120)
    assert done.returncode == 0, done.stderr
    assert ("answered" if threads == 1 else "torch.set_num_threads(1) first in each worker") in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("use", ["compute_flow(a, b)", "train_model('htnet_tiny', None, None)"])
def test_flow_and_training_in_a_process_forked_after_use_are_refused(use, warm_python):
    """They hang otherwise (20 s were waited for)."""
    code = """
import os, numpy as np, torch
from htnet.core.errors import RunError
from htnet.preprocess import compute_flow
from htnet.training import train_model
torch.set_num_threads(2)
a = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
b = np.roll(a, 1, 1)
compute_flow(a, b)
compute_flow(a, b)
if os.fork() == 0:
    try:
        USE
    except RunError as error:
        print("refused:", error, flush=True)
    os._exit(0)
os.wait()
""".replace("USE", use)
    done = warm_python.run(code, limit=120)
    assert "torch.set_num_threads(1) first in each worker" in done.stdout, done.stderr
