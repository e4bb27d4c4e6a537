"""Choice of the backend of block attention, with reasons."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from htnet.core.errors import InputError, MissingExtraError, did_you_mean
from htnet.kernels.masks import NEIGHBORS

#: The backends in the order in which ``backend="auto"`` tries them; it uses the first that fits (see `route`).
BACKENDS = ("one_token", "triton", "sdpa", "reference")
#: Longest sequence and widest head that the Triton kernels support.
TRITON_TOKENS = 256
TRITON_HEAD_DIM = 256
TRITON_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
DTYPES = (torch.float64, *TRITON_DTYPES)
#: First compute capability of CUDA with matrix instructions for bfloat16.
TRITON_CAPABILITY = (8, 0)
#: (tokens, head_dim): on the CPU, plain products are faster than PyTorch's attention up to this many tokens with heads
#: at least this wide (benchmarks/results/attention_cpu.json). The second pair applies only without bias and mask.
CPU_PRODUCTS = ((16, 32), (64, 64))
INSTALLED = find_spec("triton") is not None
NOT_INSTALLED = "Triton is not installed"


@dataclass(frozen=True)
class AttentionCase:
    """The properties of the input that determine the backend.

    Attributes:
        tokens: tokens of a sequence.
        head_dim: width of a head.
        dtype: of queries, keys and values.
        device: "cpu", "cuda", ...
        has_bias: whether a bias is added to the scores.
        mask: None, "neighbors", or "tensor" for a boolean one.
        triton: why Triton cannot run on the device; empty if it can; see `triton_obstacle`.
    """

    tokens: int
    head_dim: int
    dtype: torch.dtype
    device: str
    has_bias: bool = False
    mask: str | None = None
    triton: str = NOT_INSTALLED

    def __str__(self) -> str:
        extras = ["a bias"] * self.has_bias
        extras += [f"mask={NEIGHBORS!r}" if self.mask == NEIGHBORS else "a mask"] * (self.mask is not None)
        number = f"{self.tokens} token{'s' * (self.tokens != 1)}"
        with_extras = f", with {' and '.join(extras)}" if extras else ""
        return f"{number}, head_dim {self.head_dim}, {_name(self.dtype)} on {self.device}{with_extras}"


@dataclass(frozen=True)
class Choice:
    """The backend for a case; `str` gives a text with the reasons.

    Attributes:
        backend: a name of `BACKENDS`.
        case: the case.
        refused: every other backend, with the reason why it was not used.
    """

    backend: str
    case: AttentionCase
    refused: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"{self.backend}: {self.case}"]
        return "\n".join(lines + [f"  not {name}: {reason}" for name, reason in self.refused])


def triton_obstacle(device: torch.device) -> str:
    """Why the Triton kernels cannot run on a device; empty if they can.

    With ``TRITON_INTERPRET=1`` in the environment they run on the CPU. That is slow, and meant for tests.
    """
    if not INSTALLED:
        return NOT_INSTALLED
    if device.type != "cuda":
        return "" if interpreted() and device.type == "cpu" else f"it runs on CUDA devices, not on {device.type}"
    if torch.version.hip is not None:
        return "its kernels have not been tested on ROCm"
    properties = torch.cuda.get_device_properties(device)
    if (properties.major, properties.minor) < TRITON_CAPABILITY:
        return f"it needs compute capability {'.'.join(map(str, TRITON_CAPABILITY))}; {properties.name} has less"
    return ""


def interpreted() -> bool:
    """Whether Triton runs kernels in its interpreter."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def obstacle(backend: str, case: AttentionCase) -> str:
    """Why a backend cannot compute a case; empty if it can."""
    if backend == "one_token":
        if case.tokens != 1:
            return f"it takes one token per block, not {case.tokens}"
        # A bias or mask may forbid even the only pair; "neighbors" never does.
        return "it takes neither bias nor boolean mask" if case.has_bias or case.mask == "tensor" else ""
    if backend == "triton":
        if case.triton:
            return case.triton
        if case.dtype not in TRITON_DTYPES:
            return f"it takes {', '.join(map(_name, TRITON_DTYPES))}, not {_name(case.dtype)}"
        if case.tokens > TRITON_TOKENS:
            return f"it takes up to {TRITON_TOKENS} tokens, not {case.tokens}"
        if case.head_dim > TRITON_HEAD_DIM:
            return f"it takes heads up to {TRITON_HEAD_DIM} wide, not {case.head_dim}"
    return ""


def _reservation(backend: str, case: AttentionCase) -> str:
    """Why "auto" passes over a backend that could compute the case; empty if it does not."""
    if backend == "triton" and case.device != "cuda":
        return "its interpreter is for tests"
    if backend == "sdpa" and case.device == "cpu" and case.dtype != torch.float64:
        for tokens, width in CPU_PRODUCTS[: 1 if case.has_bias or case.mask else 2]:
            if case.tokens <= tokens and case.head_dim >= width:
                return f"plain products are faster on the CPU for up to {tokens} tokens with head_dim {width} or more"
    return ""


def choose(case: AttentionCase, backend: str = "auto") -> str:
    """The name of the backend that `route` reports, without its reasons.

    Raises:
        InputError: no such backend, or it cannot compute the case.
        MissingExtraError: it is "triton", which is not installed.
    """
    if backend == "auto":
        return next(name for name in BACKENDS if not (obstacle(name, case) or _reservation(name, case)))
    if backend not in BACKENDS:
        raise InputError(f"Unknown attention backend: {backend!r}. {did_you_mean(backend, ('auto', *BACKENDS))}")
    why = obstacle(backend, case)
    if why == NOT_INSTALLED:
        raise MissingExtraError(f"The attention backend 'triton': {why}. Install it with: pip install 'htnet[triton]'")
    if why:
        raise InputError(
            f"The attention backend {backend!r} cannot compute {case}: {why}. Use backend='auto', or 'reference', "
            "which can compute everything."
        )
    return backend


def route(case: AttentionCase, backend: str = "auto") -> Choice:
    """Choose the backend for a case and give the reasons; a pure function of its arguments.

    ``backend="auto"`` uses the first of these that fits:

    | backend | case |
    | --- | --- |
    | ``one_token`` | one token, neither bias nor boolean mask |
    | ``triton`` | a CUDA device of compute capability 8.0 or more and Triton; float32, bfloat16 or float16; up to 256 tokens, head_dim up to 256 |
    | ``sdpa`` | everything else, except on the CPU up to 16 tokens with head_dim 32 or more, or, without bias and mask, up to 64 tokens with head_dim 64 or more |
    | ``reference`` | these exceptions, where plain products are faster; 16-bit types are then computed in float32 |

    Args:
        case: the case.
        backend: "auto", or a name of `BACKENDS`.

    Raises:
        InputError: no such backend, or it cannot compute the case.
        MissingExtraError: it is "triton", which is not installed.
    """  # noqa: E501  (a row of a table)
    taken = choose(case, backend)
    preferred = f"{taken!r} comes first" if backend == "auto" else f"{taken!r} was requested"
    reserve = _reservation if backend == "auto" else obstacle
    refused = ((name, obstacle(name, case) or reserve(name, case) or preferred) for name in BACKENDS if name != taken)
    return Choice(taken, case, tuple(refused))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
