import os

import pytest
import torch

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
