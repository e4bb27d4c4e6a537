"""What a calling program may have set for its whole process or thread, and htnet's results must not depend on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from htnet.core.lazy import loading

_lock = threading.Lock()
#: Calls that need float32 as PyTorch's default now, and the default that the last of them restores.
_calls = 0
_before: object = None


@contextmanager
def usual_settings(*, grad: bool = False, float32: bool = False, device: bool = True) -> Iterator[None]:
    """Within it, PyTorch and NumPy compute as they do when nothing has been set. Also a decorator, not for generators.

    Undone for this thread are: autocast, `torch.set_default_device`, `torch.inference_mode` and the errors of
    `numpy.seterr`.

    Args:
        grad: compute gradients, even within `torch.no_grad`; by default none are computed.
        float32: undo `torch.set_default_dtype` as well. It belongs to the whole process, so keep the block short: other
            threads of the program see float32 in the meantime.
        device: undo `torch.set_default_device`. False where a landmarker or model of the calling program may run, which
            may rely on it.
    """
    with loading():
        import numpy as np
        import torch

    with ExitStack() as stack:
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(grad))  # after it: leaving inference mode switches gradients on
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if device and torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if float32:
            stack.enter_context(_float32())
        yield


@contextmanager
def _float32() -> Iterator[None]:
    with loading():
        import torch

    global _calls, _before
    with _lock:
        if _calls == 0:
            _before = torch.get_default_dtype()
            if _before != torch.float32:
                torch.set_default_dtype(torch.float32)
        _calls += 1
    try:
        yield
    finally:
        with _lock:
            _calls -= 1
            if _calls == 0 and torch.get_default_dtype() == torch.float32 != _before:
                torch.set_default_dtype(_before)  # type: ignore[arg-type]
