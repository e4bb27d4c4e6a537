"""Whether the weights that something was made from are still the same."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_

import torch
from torch import Tensor, nn

#: Values of each tensor that are compared, at most: with more, a call of a small model would take noticeably longer.
SAMPLE = 16


def weights_of(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers of a module and all modules in it.

    PyTorch's own iterators build names and look for duplicates, which takes several times as long.
    """
    found = [value for value in (*module._parameters.values(), *module._buffers.values()) if value is not None]
    for child in module._modules.values():
        if child is not None:
            found += weights_of(child)
    return found


class Watch:
    """Weights at one moment, to tell later whether they were changed.

    A replaced parameter is another object. A parameter with other `.data` has another place in memory. PyTorch counts
    changes in place. Changes that PyTorch does not count (in place of `.data`, or through a NumPy array that shares the
    memory) are noticed in a sample of `SAMPLE` values of each tensor, evenly spaced. Packed weights cannot be sampled.
    """

    def __init__(self, weights: Sequence[Tensor], *, sampled: bool = True) -> None:
        """Remember weights.

        Args:
            weights: the tensors; no copy is made of them.
            sampled: compare values too; they must be on the CPU.
        """
        self._weights = list(weights)
        self._counted = [weight for weight in weights if not weight.is_inference()]
        # While the second ones refer to the memory, no other tensor can get it.
        self._places = [(weight, weight.detach()) for weight in weights if not weight.is_mkldnn]
        plain = [alias for _, alias in self._places if alias.numel()]
        self._samples = [_evenly_spaced(alias) for alias in plain] if sampled else []
        self._counts, self._values = self._count(), self._look()

    def unchanged(self, weights: Sequence[Tensor]) -> bool:
        """Whether these are the same tensors with the same values, as far as can be told."""
        return (
            len(weights) == len(self._weights)
            and all(map(is_, weights, self._weights))
            and self._count() == self._counts
            and all(weight.is_set_to(alias) for weight, alias in self._places)
            and self._look() == self._values
        )

    def _count(self) -> list[int]:
        return [weight._version for weight in self._counted]

    def _look(self) -> bytes:
        return torch.cat(self._samples).float().numpy().tobytes() if self._samples else b""


def _evenly_spaced(weight: Tensor) -> Tensor:
    """A view of up to `SAMPLE` values, from the first to the last in memory."""
    reach = 1 + sum((size - 1) * stride for size, stride in zip(weight.shape, weight.stride(), strict=True))
    step = reach // SAMPLE | 1  # an odd step does not stay in one column
    return weight.as_strided((-(-reach // step),), (step,))
