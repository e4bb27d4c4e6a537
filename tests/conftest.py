import os

import cv2
import pytest
import torch

from htnet import cli
from htnet.core import network

cv2.setNumThreads(1)

if not torch.cuda.is_available():
    # Read when Triton is first imported: its kernels then run on the CPU.
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_caches(tmp_path_factory):
    """Keep what the Hub client writes out of the home folder, and tests off the real network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        patch.setenv("HF_XET_CACHE", str(tmp_path_factory.mktemp("xet")))
        patch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        yield


@pytest.fixture(autouse=True)
def _fresh_randomness():
    """Random inputs differ from run to run; a failure prints its seed."""
    seed = torch.seed() % 2**31
    torch.manual_seed(seed)
    print(f"torch.manual_seed({seed})")


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
