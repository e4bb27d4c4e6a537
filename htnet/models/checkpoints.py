"""What the converters of published checkpoints share: finding keys, naming what is wrong, loading."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from htnet.core.errors import CheckpointError
from htnet.models.base import EmotionModel

State = dict[str, Tensor]

#: What can be converted, in words.
KINDS = "HTNet, palsy HTNet, STSTNet, dual-stream HTNet or MHSSA + GCN"


def need(state: Mapping[str, Tensor], key: str, kind: str) -> Tensor:
    """A tensor of a published ``kind``, or the error that it is missing."""
    if key not in state:
        raise CheckpointError(refusal(state, [key], kind))
    return state[key]


def refusal(state: Mapping[str, object], missing: list[str], kind: str, unexpected: list[str] | None = None) -> str:
    """The message that a checkpoint is none of ``kind``; all keys count as unexpected unless some are given."""

    def some(keys: list[str]) -> str:
        shown = ", ".join(keys[:12])
        return f"{len(keys)}: {shown}{', ...' if len(keys) > 12 else ''}" if keys else "none"

    extra = sorted(state) if unexpected is None else unexpected
    return (
        f"This checkpoint is not a published {kind}. Missing keys ({some(missing)}). Unexpected keys ({some(extra)}). "
        "Convert takes checkpoints of published architectures that htnet has, under their published names."
    )


def check_keys(state: Mapping[str, Tensor], expected: Mapping[str, object], kind: str) -> None:
    """Raise `CheckpointError` unless the keys are those expected of a published ``kind``."""
    missing = sorted(set(expected) - set(state))
    unexpected = sorted(set(state) - set(expected))
    if missing or unexpected:
        raise CheckpointError(refusal(state, missing, kind, unexpected))


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
