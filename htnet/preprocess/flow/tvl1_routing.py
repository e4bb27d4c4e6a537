"""Choice of the backend of TV-L1, with reasons."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from shutil import which

from htnet.core.errors import InputError, MissingExtraError, refuse_unknown
from htnet.core.native import JIT_OFF, numba_obstacle, untried

#: The backends in the order in which ``backend="auto"`` tries them; it uses the first that fits (see `explain_tvl1`).
BACKENDS = ("triton", "numba", "compile", "eager")
NO_TRITON = "Triton is not installed"
_TRITON = find_spec("triton") is not None
#: Backend to the extra that installs what it needs.
_EXTRAS = {"triton": "triton", "numba": "fast"}


@dataclass(frozen=True)
class TVL1Choice:
    """The backend for frames on a device; `str` gives a text with the reasons.

    Attributes:
        backend: a name of `BACKENDS`.
        device: "cpu", "cuda", ...
        refused: every other backend, with the reason why it is not used.
    """

    backend: str
    device: str
    refused: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"{self.backend}: TV-L1 of frames on {self.device}"]
        return "\n".join(lines + [f"  not {name}: {reason}" for name, reason in self.refused])


def choose_tvl1(device: str, backend: str = "auto") -> str:
    """The name of the backend that `explain_tvl1` reports, without its reasons.

    Raises:
        InputError: no such backend, or it cannot run on the device.
        MissingExtraError: the backend is not installed.
    """
    refuse_unknown([backend], ("auto", *BACKENDS), "TV-L1 backend")
    if backend == "auto":
        return next(name for name in BACKENDS if not (_obstacle(name, device) or _reservation(name)))
    why = _obstacle(backend, device)
    if why == JIT_OFF:
        raise InputError(f"The TV-L1 backend {backend!r} cannot be used: {why}. Unset it, or use 'auto'.")
    if why and (why == NO_TRITON or (backend == "numba" and device == "cpu")):
        raise MissingExtraError(
            f"The TV-L1 backend {backend!r} cannot be used: {why}. Install what it needs with: pip install "
            f"'htnet[{_EXTRAS[backend]}]'"
        )
    if why:
        raise InputError(f"The TV-L1 backend {backend!r} cannot be used: {why}. Use 'auto'.")
    return backend


def explain_tvl1(device: str = "cpu", backend: str = "auto") -> TVL1Choice:
    """Report which backend `tvl1_flow` uses for frames on a device, and why it uses none of the others.

    Print the result to read it. ``backend="auto"`` uses the first of these that fits:

    | backend | case |
    | --- | --- |
    | ``triton`` | frames on CUDA, Triton installed |
    | ``numba`` | frames on the CPU, numba installed (``htnet[fast]``), Linux on x86-64 |
    | ``eager`` | everything else: plain PyTorch |

    ``compile`` (torch.compile on the CPU) is used only on request.

    Raises:
        InputError: no such backend, or it cannot run on the device.
        MissingExtraError: the backend is not installed.
    """
    device = device.split(":")[0]
    taken = choose_tvl1(device, backend)
    rest = f"{taken!r} comes first" if backend == "auto" else f"{taken!r} was requested"
    whys = ((name, _obstacle(name, device) or (backend == "auto" and _reservation(name)) or rest) for name in BACKENDS)
    return TVL1Choice(taken, device, tuple(pair for pair in whys if pair[0] != taken))


def _obstacle(backend: str, device: str) -> str:
    """Why a backend cannot run on frames of that device; empty if it can."""
    if backend == "triton":
        # Triton's interpreter runs the kernels on the CPU, which is slow and meant for tests.
        if device != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
            return f"it runs on frames on a CUDA device, not {device}"
        return "" if _TRITON else NO_TRITON
    if backend == "eager":
        return ""
    if device != "cpu":
        return f"it runs on frames on the CPU, not {device}"
    if backend == "numba":
        return numba_obstacle()
    compilers = (os.environ.get("CXX"), "g++", "clang++", "cl")
    if not any(which(name) for name in compilers if name):
        return "it needs a C++ compiler (g++, clang++, or the one that CXX names)"
    return ""


def _reservation(backend: str) -> str:
    """Why "auto" passes over a backend that could run; empty if it does not."""
    if backend == "triton" and os.environ.get("TRITON_INTERPRET") == "1":
        return "its interpreter is for tests"
    if backend == "compile":
        return "its first call in a process takes half a minute"
    return untried() if backend == "numba" else ""
