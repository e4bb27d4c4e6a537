"""Settings that a program may have made for its whole process or thread, and tasks under them."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch


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


@cache
def _usual(task: Callable[[], Sequence[float]]) -> Sequence[float]:
    """What a task gives if nothing is set, computed once."""
    return task()


def same_in(state: str, task: Callable[[], Sequence[float]]) -> None:
    """A task gives the same in a state of the program. Sums may be taken in another order; settings change far more."""
    expected = _usual(task)
    with STATES[state]():
        found = task()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
