"""Layers of fused models, their products with fixed weights, and the types that they compute in."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from htnet.core.deprecated import serve_old_names
from htnet.models.layers import BlockAttention, linear

#: Up to this many rows, int8 weights are multiplied directly; with more, they are converted to bfloat16 first.
FEW_ROWS = 8
#: The product of int8 weights reads whole vectors of the input: with another width it reads past its end.
VECTOR = 64
#: Convolutions of many positions are computed in groups of samples, so that the laid-out input has about this many
#: values.
LAID_OUT = 2**25


def frozen(values: Tensor, dtype: torch.dtype) -> nn.Parameter:
    """A parameter that is never trained."""
    return nn.Parameter(values.detach().to(dtype, copy=True), requires_grad=False)


class Product(nn.Module):
    """x Wᵀ + b with weights that do not change."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        raise NotImplementedError

    def gelu(self, x: Tensor) -> Tensor:
        """The product and a GELU, (..., in) to (..., out)."""
        return F.gelu(self(x))

    def added(self, x: Tensor, to: Tensor) -> Tensor:
        """The product added to ``to``; x (..., in), ``to`` (..., out)."""
        return to + self(x)


class FusedLinear(Product):
    """A product in one floating-point type.

    Attributes:
        large: `htnet.acceleration.packing.pack` gives it packed weights.
    """

    weight: nn.Parameter

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype, *, large: bool = False) -> None:
        super().__init__()
        self.weight = frozen(weight, dtype)
        self.bias = frozen(bias, dtype)
        self.large = large

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return linear(x, self.dense(), self.bias)

    def dense(self) -> Tensor:
        """The weights (out, in)."""
        return self.weight


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantize weights to int8 with one scale per row, symmetric: weight ≈ int8 x scale.

    Scales are rounded to bfloat16 before the weights are divided by them, so they add no error when
    products multiply by them in bfloat16.

    Args:
        weight: (out, in).

    Returns:
        (out, in) int8 in -127..127 and (out,) bfloat16.
    """
    scale = (weight.abs().amax(dim=1) / 127).to(torch.bfloat16)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8), scale


class Int8Linear(Product):
    """A product with int8 weights and one scale per row; input, output and the product itself are bfloat16."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        values, scale = quantize(weight)
        self.register_buffer("weight", values.contiguous())
        self.register_buffer("scale", scale)
        self.bias = frozen(bias, torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        few = not torch.compiler.is_compiling() and x.shape[:-1].numel() <= FEW_ROWS
        if x.device.type == "cpu" and few and x.shape[-1] % VECTOR == 0 and hasattr(torch, "_weight_int8pack_mm"):
            flat = torch._weight_int8pack_mm(x.reshape(-1, x.shape[-1]), self.weight, self.scale)
            return flat.view(*x.shape[:-1], self.weight.shape[0]) + self.bias
        # Integers up to 127 are exact in bfloat16.
        return torch.addcmul(self.bias, F.linear(x, self.weight.to(x.dtype)), self.scale)


class PatchConvolution(nn.Module):
    """Patch embedding directly from the image: a convolution whose stride equals its side reads it without a copy."""

    def __init__(self, weight: Tensor, bias: Tensor, read_as: torch.dtype, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight, self.bias, self.dtype = frozen(weight, read_as), frozen(bias, read_as), dtype

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W) to the map of its patches (B, dim, H / side, W / side)."""
        x = F.conv2d(x.to(self.weight.dtype), self.weight, self.bias, stride=self.weight.shape[2:])
        return x.to(self.dtype)


class PatchEmbed(PatchConvolution):
    """The same with channels last."""

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W) to the map of its patches (B, H / side, W / side, dim)."""
        return super().forward(x).permute(0, 2, 3, 1)


class PlainNorm(nn.Module):
    """Layer norm without scale and shift, which are fused into the product that follows."""

    def __init__(self, width: int, eps: float, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.shape, self.eps, self.dtype = (width,), eps, dtype

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        return F.layer_norm(x if self.dtype is None else x.to(self.dtype), self.shape, eps=self.eps)


def plain_norm(norm: nn.LayerNorm, dtype: torch.dtype | None = None) -> PlainNorm:
    """The norm that remains when scale and shift of ``norm`` are fused into the product that follows."""
    return PlainNorm(norm.weight.numel(), norm.eps, dtype)


class FusedMlp(nn.Module):
    """Two products with a GELU between them."""

    def __init__(self, fc1: Product, fc2: Product) -> None:
        super().__init__()
        self.fc1, self.fc2 = fc1, fc2

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        return self.fc2(self.fc1.gelu(x))


class FusedBlock(nn.Module):
    """Transformer block whose norms have no scale and shift.

    With one token per block, the values and the output projection of the attention are one product.
    """

    def __init__(self, norm: PlainNorm, attn: BlockAttention | None, proj: Product, mlp: FusedMlp) -> None:
        super().__init__()
        self.norm, self.attn, self.proj, self.mlp = norm, attn, proj, mlp

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape."""
        read = self.norm(x)
        x = self.proj.added(read if self.attn is None else self.attn.attend(read), x)
        return self.mlp.fc2.added(self.mlp.fc1.gelu(self.norm(x)), x)


class AddBias(nn.Module):
    """The bias that remains of an output projection whose matrix is fused into the values."""

    def __init__(self, bias: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.bias = frozen(bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        return x + self.bias


class Convolution(nn.Module):
    """3x3 convolution as one product: the neighbors of each position are laid out in the order row, column, channel.

    Like any other product, it reads its weights once, at the speed of the memory, and as int8 if they are int8.
    """

    def __init__(self, product: Product) -> None:
        super().__init__()
        self.product = product

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W), both with channels last in memory."""
        x = x.permute(0, 2, 3, 1)
        at_once = len(x) if torch.compiler.is_compiling() else max(1, LAID_OUT // (9 * max(1, x[:1].numel())))
        parts = [self.product(_neighbors(part)) for part in x.split(at_once)] if len(x) > at_once else None
        out = self.product(_neighbors(x)) if parts is None else torch.cat(parts)
        return out.permute(0, 3, 1, 2)


class PlainConvolution(nn.Conv2d):
    """The same as a `torch.nn.Conv2d`, which engines outside PyTorch handle better than its parts."""

    def __init__(self, product: FusedLinear) -> None:
        out, width = product.dense().shape
        super().__init__(width // 9, out, 3, padding=1, device="meta")
        weight = product.dense().unflatten(1, (3, 3, -1)).permute(0, 3, 1, 2)
        self.weight, self.bias = frozen(weight.contiguous(), weight.dtype), product.bias


def _neighbors(x: Tensor) -> Tensor:
    """(B, H, W, C) to the 3x3 positions around each, (B, H, W, 9 x C); zeros outside."""
    around = F.pad(x, (0, 0, 1, 1, 1, 1)).unfold(1, 3, 1).unfold(2, 3, 1)
    return rearrange(around, "b h w c p q -> b h w (p q c)")


class FusedDownsample(nn.Module):
    """3x3 convolution to another width, layer norm, 3x3 max pooling of stride 2.

    The pooling lies between the norm and the next product, so the norm keeps its scale and shift.
    """

    def __init__(self, conv: Convolution, scale: Tensor, shift: Tensor, eps: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv, self.eps = conv, eps
        self.scale, self.shift = frozen(scale, dtype), frozen(shift, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        x = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.scale.shape, self.scale, self.shift, self.eps)
        return F.max_pool2d(x.permute(0, 3, 1, 2), 3, stride=2, padding=1).permute(0, 2, 3, 1)


class InDtype(nn.Module):
    """A part of the network that computes in another floating-point type than that of its input."""

    def __init__(self, part: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.part, self.dtype = copy.deepcopy(part).to(dtype), dtype

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Convert ``x`` to the part's type and run the part."""
        out: Tensor | tuple[Tensor, ...] = self.part(x.to(self.dtype))
        return out


class RoundTrip(nn.Module):
    """A product that computes in another floating-point type than that of its input and output."""

    def __init__(self, product: Product, dtype: torch.dtype) -> None:
        super().__init__()
        self.product, self.dtype = product, dtype

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out), of the type of ``x``."""
        return self.product(x.to(self.dtype)).to(x.dtype)


def replace(module: nn.Module, name: str, part: nn.Module | None) -> None:
    """Replace a part by one of another class than the attribute's declared type."""
    setattr(module, name, part)


@dataclass(frozen=True)
class Precision:
    """Number types of a fused model.

    Attributes:
        weights: type of the large matrices.
        values: type of the activations between layers.
    """

    weights: torch.dtype
    values: torch.dtype

    @property
    def high(self) -> torch.dtype:
        """Type of the image, of its embedding and of the head: float32, or float64 in a float64 model."""
        return torch.promote_types(self.values, torch.float32)

    def product(self, weight: Tensor, bias: Tensor) -> Product:
        """The product with weights (out, in) and bias (out,), both float64."""
        if self.weights == torch.int8:
            return Int8Linear(weight, bias)
        return FusedLinear(weight, bias, self.weights, large=True)

    def exact(self, weight: Tensor, bias: Tensor) -> FusedLinear:
        """The same in `high`, for small layers whose rounding errors would matter."""
        return FusedLinear(weight, bias, self.high)

    def convolution(self, weight: Tensor, bias: Tensor) -> Convolution:
        """3x3 convolution with weights (out, in, 3, 3) and bias (out,), both float64."""
        return Convolution(self.product(weight.permute(0, 2, 3, 1).flatten(1), bias))


serve_old_names(__name__)
