"""PyTorch's global random generators: which thread may seed them, and how models are built without them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

_lock = RLock()

_FACTORIES = frozenset((torch.rand, torch.randn, torch.randint, torch.randperm))
#: They take a generator in newer versions of PyTorch only; the others draw the same.
_LIKE = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}
_OTHERS = frozenset(
    {getattr(Tensor, f"{name}_") for name in ("uniform", "normal", "bernoulli", "random", "exponential", "log_normal")}
    | {getattr(init, f"{name}_") for name in ("uniform", "normal", "trunc_normal", "orthogonal", "sparse")}
    | {getattr(init, f"{name}_{kind}_") for name in ("kaiming", "xavier") for kind in ("uniform", "normal")}
    | {torch.normal, torch.bernoulli, torch.multinomial}
)


@contextmanager
def global_rng() -> Iterator[None]:
    """Held while a training draws. The generators belong to the process, so trainings in several threads take turns."""
    with _lock:
        yield


def _forked() -> None:
    """Replace the lock: a thread that the new process does not have may hold it."""
    global _lock
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class OwnRng(TorchFunctionMode):
    """Within it, this thread draws from a generator of its own on the CPU, for models that only get stored weights.

    So loading weights changes neither what the calling program draws next nor a training in another thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(0)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func in _LIKE and len(args) == 1:
            (like,) = args
            given = {"dtype": like.dtype, "device": like.device, **given}
            func, args = _LIKE[func], (like.shape,)
        if func in _FACTORIES:
            device = given.get("device")
            own = (torch.get_default_device() if device is None else torch.device(device)).type == "cpu"
        else:
            own = func in _OTHERS and all(x.device.type == "cpu" for x in args if isinstance(x, Tensor))
        if own and given.get("generator") is None:
            given["generator"] = self._generator
        return func(*args, **given)
