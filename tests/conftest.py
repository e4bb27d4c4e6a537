import gc
import os
import random
import shutil
import tempfile
import threading
import zlib
from functools import cache
from hashlib import blake2b
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from htnet import cli
from htnet.core import network, parallel
from htnet.preprocess.landmarks import detector
from htnet.preprocess.landmarks.detector import YuNet
from tests.support.hub_server import HubServer
from tests.support.ray_cluster import ENVIRONMENT
from tests.support.warm import WarmPool, WarmPython

pytest_plugins = ["pytester"]

cv2.setNumThreads(1)
os.environ.update(ENVIRONMENT)  # read where Ray is first imported
# Read where the Hub's client is first imported, which may be while tests are collected. What it writes stays out of the
# home folder. Its telemetry has a request and a limit of its own, see docs/weights.md.
_CACHES = Path(tempfile.mkdtemp(prefix="htnet-tests-"))
os.environ.update(HF_HOME=str(_CACHES / "hf"), HF_XET_CACHE=str(_CACHES / "xet"), HF_HUB_DISABLE_TELEMETRY="1")
os.environ.pop("HF_HUB_CACHE", None)  # comes before HF_HOME

if not torch.cuda.is_available():
    # Read when Triton is first imported: its kernels then run on the CPU.
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session", autouse=True)
def _one_parser():
    """Commands share a parser: building one takes longer than many a test does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "build_parser", cache(cli.build_parser))
        yield


@pytest.fixture(scope="session", autouse=True)
def _warm_workers():
    """Workers need not import PyTorch anew for every test, and are started only where a test says how many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "cores", lambda: 1)
        patch.setattr(parallel, "_can_fork", lambda: False)  # from here; where the command does, its own process can
        patch.setattr(parallel, "ProcessPoolExecutor", WarmPool)
        yield


@pytest.fixture(scope="session")
def warm_python():
    """Runs programs that need a process of their own, but no imports of their own."""
    with WarmPython() as python:
        yield python


@pytest.fixture(scope="session", autouse=True)
def _each_picture_is_searched_once():
    """Keep what YuNet finds: tests share pictures, and the search is the longest part of many a test.

    Other threads search for themselves, and so does everybody where a test replaces OpenCV's detector.
    """
    search, build, bundled, known = YuNet.faces, detector.build_detector, detector.BUNDLED_MODEL, {}

    def faces(self, pixels):
        known_model = self.model in (None, bundled) and detector.MODEL_VARIABLE not in os.environ
        main = threading.current_thread() is threading.main_thread()
        as_built = detector.build_detector is build and detector.BUNDLED_MODEL is bundled
        if not (known_model and main and as_built):
            return search(self, pixels)
        key = pixels.shape, blake2b(np.ascontiguousarray(pixels)).digest()
        if key not in known:
            known[key] = search(self, pixels)
        return known[key].copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(YuNet, "faces", faces)
        yield


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A local Hub that the real client in this process talks to."""
    from huggingface_hub import constants, file_download

    monkeypatch.delenv("HF_TOKEN", raising=False)
    with HubServer(tmp_path / "hub") as server:
        # The client reads HF_ENDPOINT once, when it is imported; subprocesses are given the variable itself.
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        if hasattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE"):  # before 1.0 it has one of its own
            monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


def pytest_collection_finish():
    """What was collected stays until the end: Python's garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    """Remove the caches: once, not in every process that was forked from this one."""
    shutil.rmtree(_CACHES, ignore_errors=True)


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=0, help="another number draws other random values in every test")


def _seed_of(config, name):
    """The seed of a test or a fixture: always the same for its name, whatever ran before it."""
    return zlib.crc32(f"{config.getoption('--seed')} {name}".encode())


def _sow(seed):
    # torch.manual_seed does the same, but loads TorchDynamo first.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    """Fixtures of a module or a session draw the same values, whichever test asks for them first."""
    if fixturedef.scope == "function":
        return (yield)
    before = torch.get_rng_state(), random.getstate()
    _sow(_seed_of(request.config, f"{request.node.nodeid} {fixturedef.argname}"))
    try:
        return (yield)
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])


@pytest.fixture(autouse=True)
def seed(request):
    """PyTorch and `random` start from it in every test; a failure prints it."""
    seed = _seed_of(request.config, request.node.nodeid)
    _sow(seed)
    print(f"seed {seed}, drawn with --seed {request.config.getoption('--seed')}")
    return seed


@pytest.fixture
def rng(seed):
    """The random generator of a test. Helpers that are handed none call tests.support.seeds.next_rng."""
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def _no_remembered_failures():
    """What one test could not fetch, another one tries anew."""
    network.forget_failures()


@pytest.fixture
def run(capsys):
    """Run a command: exit status, standard output, standard error."""

    def run(*words):
        status = cli.main([str(word) for word in words])
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def succeed(run):
    def succeed(*words):
        status, out, err = run(*words)
        assert status == 0, err
        return out

    return succeed


@pytest.fixture
def fail(run):
    def fail(*words):
        status, out, err = run(*words)
        assert status == 2
        assert out == ""
        assert "Traceback" not in err
        return err

    return fail
