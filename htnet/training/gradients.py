"""Gradients of one batch; on a CUDA device as a captured graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from htnet.core.cuda_graphs import CapturedCall

#: Loss and gradients.
Computed = tuple[Tensor, list[Tensor | None]]


class Gradients:
    """Fills ``.grad`` of parameters from one batch after the other.

    On the CPU, or with ``capture=False``, each call runs the loss and its backward pass. Otherwise both are captured
    once for every set of shapes and replayed, which pays where a step is many small kernels.
    """

    def __init__(self, loss: Callable[[Mapping[str, Tensor]], Tensor], over: Sequence[Tensor], capture: bool) -> None:
        """Use the ``loss`` of named input tensors, a scalar or several that are summed, and the parameters ``over``."""
        self.loss, self.over, self.capture = loss, list(over), capture
        self._captured: dict[tuple[tuple[str, torch.Size], ...], CapturedCall[str, Computed]] = {}

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Replace the gradients by those of this batch; parameters that the loss does not reach get None.

        Returns:
            The loss, without its history; of a captured graph the next call overwrites it.
        """
        if not self.capture:
            return self._compute(inputs)[0]
        key = tuple((name, tensor.shape) for name, tensor in inputs.items())
        if key not in self._captured:
            self._captured[key] = CapturedCall(self._compute, inputs)
        loss, gradients = self._captured[key](inputs)
        for parameter, gradient in zip(self.over, gradients, strict=True):
            parameter.grad = gradient
        return loss

    def _compute(self, inputs: Mapping[str, Tensor]) -> Computed:
        for parameter in self.over:
            parameter.grad = None
        loss = self.loss(inputs)
        loss.sum().backward()
        return loss.detach(), [parameter.grad for parameter in self.over]
