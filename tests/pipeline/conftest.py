import pytest

from htnet.pipeline import Analyzer
from tests.support.pairs import QUICK, tiny_model
from tests.support.recordings import TrueEvents, two_faces


@pytest.fixture(scope="package")
def two(tmp_path_factory):
    """A recording of two faces: its folder and its truth."""
    folder = tmp_path_factory.mktemp("two")
    return folder, two_faces(folder)


@pytest.fixture(scope="package")
def model():
    """A model of random weights."""
    return tiny_model(QUICK)


@pytest.fixture(scope="package")
def analyzed(two, model):
    """What is found in it by a detector that knows and a model of random weights; and how far the work was told."""
    folder, recording = two
    told = []
    analyzer = Analyzer(TrueEvents(recording), weights=model)
    return analyzer(folder / "two.mp4", progress=lambda *done: told.append(done)), told
