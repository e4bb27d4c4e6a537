"""Gradients of one batch; on a CUDA device computed by a captured graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from htnet.core.cuda_graphs import CapturedCall

#: Loss and gradients.
Computed = tuple[Tensor, list[Tensor | None]]


class Gradients:
    """Fills the ``.grad`` of parameters, batch by batch.

    On the CPU, or with ``capture=False``, each call runs the loss and its backward pass. Otherwise both are captured
    once for every set of shapes and replayed, which pays off if a step consists of many small kernels.
    """

    def __init__(self, loss: Callable[[Mapping[str, Tensor]], Tensor], over: Sequence[Tensor], capture: bool) -> None:
        """Use a ``loss`` of named input tensors (a scalar, or several, which are summed) and parameters ``over``."""
        self.loss, self.over, self.capture = loss, list(over), capture
        self._captured: dict[tuple[tuple[str, torch.Size], ...], CapturedCall[str, Computed]] = {}

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Replace the gradients by those of this batch; parameters that do not affect the loss get None.

        Returns:
            The loss, detached. The loss of a captured graph is overwritten by the next call.
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
