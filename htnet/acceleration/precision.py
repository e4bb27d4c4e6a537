"""In which numbers a folded model holds its weights and computes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from htnet.acceleration.layers import Convolution
from htnet.acceleration.linear import FoldedLinear, Int8Linear, PackedLinear, Product


@dataclass(frozen=True)
class Precision:
    """Types of the numbers of a folded model.

    Attributes:
        weights: of the large matrices.
        values: of what goes from layer to layer.
    """

    weights: torch.dtype
    values: torch.dtype

    @property
    def high(self) -> torch.dtype:
        """Type of the image, of its embedding and of the head: float32, or float64 where all is."""
        return torch.promote_types(self.values, torch.float32)

    def product(self, weight: Tensor, bias: Tensor) -> Product:
        """The product with weights (out, in) and bias (out,), both float64."""
        if self.weights == torch.int8:
            return Int8Linear(weight, bias)
        packable = self.weights in (torch.float32, torch.bfloat16)
        return (PackedLinear if packable else FoldedLinear)(weight, bias, self.weights)

    def exact(self, weight: Tensor, bias: Tensor) -> FoldedLinear:
        """The same in `high`, for small layers whose rounding would show."""
        return FoldedLinear(weight, bias, self.high)

    def convolution(self, weight: Tensor, bias: Tensor) -> Convolution:
        """3x3 convolution with weights (out, in, 3, 3) and bias (out,), both float64."""
        return Convolution(self.product(weight.permute(0, 2, 3, 1).flatten(1), bias))
