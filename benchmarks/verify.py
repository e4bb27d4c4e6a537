"""Checks that compared implementations agree; times are measured only if the outputs are the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from htnet.core.errors import HtnetError


class DisagreementError(HtnetError):
    """Two ways that should compute the same thing do not."""


def agree(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], tolerance: float, what: str) -> float:
    """Largest difference over all tensors, each relative to its largest magnitude in ``theirs``.

    A tensor that is nothing but rounding, beside the largest of all, must be so on both sides and
    has no relative difference. (The gradient of HTNet's last positions is one: they add a constant
    to all channels, which the norms that follow remove.)

    Args:
        ours: tensors by name.
        theirs: the truth, same names and shapes.
        tolerance: largest difference that is accepted.
        what: named in the error.

    Raises:
        DisagreementError: names or shapes differ, or a tensor differs by more than ``tolerance``.
    """
    if set(ours) != set(theirs):
        raise DisagreementError(f"{what}: only one side has {sorted(set(ours) ^ set(theirs))[:6]}.")
    sizes = {name: _largest(truth) for name, truth in theirs.items()}
    noise = max(8 * torch.finfo(theirs[name].dtype).eps * size for name, size in sizes.items())
    worst = 0.0
    for name, truth in theirs.items():
        if ours[name].shape != truth.shape:
            raise DisagreementError(f"{what}: {name} is {tuple(ours[name].shape)}, not {tuple(truth.shape)}.")
        if sizes[name] <= noise and _largest(ours[name]) <= noise:
            continue
        relative = _largest(ours[name] - truth) / max(sizes[name], noise)
        # Written so that NaN is refused.
        if not relative <= tolerance:
            raise DisagreementError(f"{what}: {name} differs by {relative:.3g}; at most {tolerance:.3g} is accepted.")
        worst = max(worst, relative)
    return worst


def _largest(values: Tensor) -> float:
    return float(values.detach().abs().max())
