"""Common parts of the converters of published checkpoints: key checks, error messages, loading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from htnet.core.errors import CheckpointError
from htnet.core.registry import Registry
from htnet.core.types import PreprocessSpec
from htnet.models.base import EmotionModel
from htnet.models.registry import WHOLE_FACE

State = dict[str, Tensor]
Convert = Callable[[Mapping[str, Tensor], int | None], EmotionModel]
C = TypeVar("C", bound=Convert)
#: Heads in the published code of the dual-stream HTNet and of MHSSA + GCN.
PUBLISHED_HEADS = 4


@dataclass(frozen=True)
class Converter:
    """Converter of the checkpoints of one published architecture.

    Attributes:
        kind: name of the architecture, for messages.
        mark: a parameter that every such checkpoint has.
        convert: builds our model from a published state dict and the number of attention heads or None.
        beside: further parameters that it must have. If the names have a prefix, ``mark`` alone does not identify it.
        applies: tells whether a state dict with the mark is of this architecture; converters without it are tried last.
        spec: preprocessing of the published model, except its size.
        model_class: our model.
        publish: builds the published state dict from our model; None if that is not possible.
        assumed_heads: number of attention heads that is assumed if none is given; None if ``convert`` refuses then.
    """

    kind: str
    mark: str
    convert: Convert
    beside: tuple[str, ...] = ()
    applies: Callable[[Mapping[str, Any]], bool] | None = None
    spec: PreprocessSpec = WHOLE_FACE
    model_class: type[EmotionModel] = EmotionModel
    publish: Callable[[Any], State] | None = None
    assumed_heads: int | None = None


#: Converters by the kind of checkpoint.
CONVERTERS: Registry[str, Converter] = Registry("htnet.models")


def register_converter(
    kind: str,
    mark: str,
    model_class: type[EmotionModel],
    *,
    beside: tuple[str, ...] = (),
    applies: Callable[[Mapping[str, Any]], bool] | None = None,
    spec: PreprocessSpec = WHOLE_FACE,
    publish: Callable[[Any], State] | None = None,
    assumed_heads: int | None = None,
) -> Callable[[C], C]:
    """Decorator that registers a converter for `htnet.models.convert_state`.

    Args: see `Converter`.

    Raises:
        CheckpointError: a converter of that kind exists already.
    """

    def decorate(convert: C) -> C:
        if CONVERTERS.has(kind):
            raise CheckpointError(f"A converter of {kind!r} is registered already. Give this one another kind.")
        CONVERTERS.add(kind, Converter(kind, mark, convert, beside, applies, spec, model_class, publish, assumed_heads))
        return convert

    return decorate


def all_kinds() -> str:
    """Text that lists the architectures that can be converted."""
    *most, last = CONVERTERS
    return f"{', '.join(most)} or {last}" if most else last


def need(state: Mapping[str, Tensor], key: str, kind: str, least: int = 1) -> Tensor:
    """Return a tensor of a checkpoint of a published ``kind``.

    Raises:
        CheckpointError: it is missing, has fewer than ``least`` dimensions, or no values.
    """
    if key not in state:
        raise CheckpointError(refusal(state, [key], kind))
    found = state[key]
    if key.endswith("num_batches_tracked"):  # a count of PyTorch's batch normalization
        least = 0
    if found.ndim < least or not found.numel():
        raise CheckpointError(
            f"This checkpoint has tensors of unexpected shape: {key} is {tuple(found.shape)}, expected {least} or more "
            f"dimensions and at least one value. Give weights of a published {kind}."
        )
    return found


def refusal(state: Mapping[str, object], missing: list[str], kind: str, unexpected: list[str] | None = None) -> str:
    """The error message that a checkpoint is not a published ``kind``; all keys count as unexpected by default."""

    def some(keys: list[str]) -> str:
        shown = ", ".join(keys[:12])
        return f"{len(keys)}: {shown}{', ...' if len(keys) > 12 else ''}" if keys else "none"

    extra = sorted(state) if unexpected is None else unexpected
    return (
        f"This checkpoint is not a published {kind}. Missing keys ({some(missing)}). Unexpected keys ({some(extra)}). "
        "htnet converts only checkpoints of the published architectures that it has, under their published names."
    )


def check_keys(state: Mapping[str, Tensor], expected: Mapping[str, object], kind: str) -> None:
    """Raise `CheckpointError` unless the keys are those of a published ``kind``."""
    missing = sorted(set(expected) - set(state))
    unexpected = sorted(set(state) - set(expected))
    if missing or unexpected:
        raise CheckpointError(refusal(state, missing, kind, unexpected))


def fitting_heads(heads: int | None, dim: int, kind: str) -> int:
    """Number of attention heads, which cannot be inferred from shapes; `PUBLISHED_HEADS` by default.

    Raises:
        CheckpointError: the width ``dim`` is not a multiple of it.
    """
    heads = PUBLISHED_HEADS if heads is None else heads
    if heads < 1 or dim % heads:
        raise CheckpointError(
            f"heads={heads} does not fit this checkpoint: its width {dim} must be a multiple of heads. The published "
            f"{kind} has {PUBLISHED_HEADS}."
        )
    return heads


def load_into(model: EmotionModel, state: Mapping[str, Tensor]) -> None:
    """Load ``state``, whose keys are the model's, and put the model in eval mode.

    Raises:
        CheckpointError: a tensor has another shape than the model's.
    """
    own = model.state_dict()
    wrong = [
        f"{key} is {tuple(value.shape)}, expected {tuple(own[key].shape)}"
        for key, value in state.items()
        if value.shape != own[key].shape
    ]
    if wrong:
        raise CheckpointError("This checkpoint has tensors of unexpected shape: " + "; ".join(wrong[:8]) + ".")
    model.load_state_dict(dict(state))
    model.eval()
