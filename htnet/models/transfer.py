"""Transfer of weights between models that differ in input size, classes or modules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from htnet.core.errors import ModelError
from htnet.models.base import EmotionModel, model_of, not_finite, refuse_weights_without_values

#: Number of names of each kind that a report prints before it counts the rest.
_SHOWN = 8


@dataclass(frozen=True)
class TransferReport:
    """Report of a transfer: the outcome for every tensor of both models.

    Attributes:
        loaded: tensors of the target that were copied.
        interpolated: tensors of the target that were interpolated from another size, with the sizes.
        left_out: tensors of the source that were not used, with the reason.
        missing: tensors of the target that got no values from the source and keep their own.
    """

    loaded: tuple[str, ...]
    interpolated: Mapping[str, str]
    left_out: Mapping[str, str]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.interpolated) + len(self.missing)
        given = len(self.loaded) + len(self.interpolated)
        lines = [f"Transferred {given} of {total} tensors."]
        lines += _section("Interpolated", [f"{name}: {how}" for name, how in self.interpolated.items()])
        lines += _section("Left out of the source", [f"{name}: {why}" for name, why in self.left_out.items()])
        lines += _section("Not given, unchanged", self.missing)
        return "\n".join(lines)


def _section(title: str, entries: Sequence[str]) -> list[str]:
    if not entries:
        return []
    more = len(entries) - _SHOWN
    rest = [f"  and {more} more"] if more > 0 else []
    return [f"{title} ({len(entries)}):", *(f"  {entry}" for entry in entries[:_SHOWN]), *rest]


@torch.no_grad()
def transfer_weights(target: EmotionModel, source: EmotionModel | Mapping[str, Tensor]) -> TransferReport:
    """Copy the weights of another model that match by name and shape.

    Positional embeddings of blocks of another size are interpolated on the block's grid (bilinear, corners not
    aligned). The classifier is copied only between models with the same labels, because class 0 of one need not be
    class 0 of another; the head of action units only between models of the same units. The record of the source's
    training data is copied to the target too.

    Args:
        target: the model that is changed.
        source: a model, or its state under htnet's names; a bare state does not contain its classes, so its
            classifier is left out. Checkpoints under published names must be converted first, see `convert_checkpoint`.

    Returns:
        Report of what was loaded and what was not.

    Raises:
        ModelError: nothing fits, a tensor that fits is not finite, or weights are on the device meta, without values.
    """
    source = model_of(source) or source
    refuse_weights_without_values(target, "The target of transfer_weights")
    state = source.state_dict() if isinstance(source, EmotionModel) else dict(source)
    own = target.state_dict()
    head = _classifier_names(target)
    same_units = not isinstance(source, EmotionModel) or source.action_units == target.action_units
    same_classes = isinstance(source, EmotionModel) and source.labels == target.labels
    loaded: list[str] = []
    interpolated: dict[str, str] = {}
    left_out: dict[str, str] = {}
    new: dict[str, Tensor] = {}
    for name, value in state.items():
        if name not in own:
            left_out[name] = "the target has no such tensor"
        elif name in head and not same_classes:
            left_out[name] = "its classes differ" if isinstance(source, EmotionModel) else "its classes are unknown"
        elif name.startswith("unit_head.") and not same_units:
            left_out[name] = "its action units differ"
        elif value.shape == own[name].shape:
            loaded.append(name)
            new[name] = value
        elif name.endswith(".pos_emb") and (resized := _resize_positions(value, own[name])) is not None:
            interpolated[name] = f"{_grid(value)} to {_grid(own[name])} positions"
            new[name] = resized
        else:
            left_out[name] = f"it is {tuple(value.shape)}, the target's is {tuple(own[name].shape)}"
    if not new:
        raise ModelError(
            f"No tensor of the source fits {target.name}: it has {', '.join(list(state)[:4]) or 'no tensors'}, the "
            f"target {', '.join(list(own)[:4])}. Give a model of the same family and width, and convert checkpoints "
            "under published names first (htnet.models.convert_checkpoint)."
        )
    if empty := [name for name, value in new.items() if isinstance(value, Tensor) and value.is_meta]:
        raise ModelError(
            f"The source has weights on the device meta, without values: {', '.join(empty[:4])}. Load them first."
        )
    if bad := not_finite(new):
        raise ModelError(f"The source contains NaN or infinite values in {', '.join(bad[:4])}; give undamaged weights.")
    for name, value in new.items():
        own[name].copy_(value)
    if isinstance(source, EmotionModel):
        target.classifier_replaced = source.classifier_replaced or not head <= new.keys()
    people = source.trained_people if isinstance(source, EmotionModel) else None
    target.trained_people = people if target.trained_people is None else target.trained_people.joined(people)
    if isinstance(source, EmotionModel) and source.provenance is not None:
        target.provenance = source.provenance
    missing = tuple(name for name in own if name not in new)
    return TransferReport(tuple(loaded), interpolated, left_out, missing)


def _classifier_names(model: EmotionModel) -> set[str]:
    """State keys of the last layer."""
    parameters = {id(parameter) for parameter in model.classifier.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in parameters}


def _side(positions: Tensor) -> int | None:
    """Side of the square that flat positions lie on, or None if they lie on none."""
    side = math.isqrt(positions.numel())
    return side if positions.ndim == 1 and side and side**2 == positions.numel() else None


def _grid(positions: Tensor) -> str:
    side = _side(positions)
    return f"{side} x {side}"


def _resize_positions(positions: Tensor, like: Tensor) -> Tensor | None:
    """Positions of one square block on the grid of another; None if one of the two is not a square."""
    old, new = _side(positions), _side(like)
    if old is None or new is None:
        return None
    grid = positions.view(1, 1, old, old).to(like)
    return F.interpolate(grid, size=(new, new), mode="bilinear").flatten()
