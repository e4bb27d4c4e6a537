"""Layers of folded models."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from htnet.acceleration.linear import Product, frozen
from htnet.models.layers import BlockAttention

#: Convolutions of many positions are done some samples at a time, so that what is laid out for them stays near this
#: many values.
LAID_OUT = 2**25


class PatchConvolution(nn.Module):
    """Patches straight from the image: a convolution whose stride is its side reads it where it lies."""

    def __init__(self, weight: Tensor, bias: Tensor, read_as: torch.dtype, dtype: torch.dtype) -> None:
        """Keep weights (dim, channels, side, side) and bias (dim,) as ``read_as``; the map comes out as ``dtype``."""
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
    """Layer norm without scale and shift: those are in the product that follows."""

    def __init__(self, width: int, eps: float, dtype: torch.dtype | None = None) -> None:
        """Norm of the last dimension; what goes in is turned into ``dtype`` first if one is given."""
        super().__init__()
        self.shape, self.eps, self.dtype = (width,), eps, dtype

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        return F.layer_norm(x if self.dtype is None else x.to(self.dtype), self.shape, eps=self.eps)


def plain_norm(norm: nn.LayerNorm, dtype: torch.dtype | None = None) -> PlainNorm:
    """The norm that is left when scale and shift of ``norm`` are in the product that follows."""
    return PlainNorm(norm.weight.numel(), norm.eps, dtype)


class FoldedMlp(nn.Module):
    """Two products with a GELU between them."""

    def __init__(self, fc1: Product, fc2: Product) -> None:
        """Keep the products."""
        super().__init__()
        self.fc1, self.fc2 = fc1, fc2

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        return self.fc2(self.fc1.gelu(x))


class FoldedBlock(nn.Module):
    """Transformer block whose norms have neither scale nor shift.

    With one token a block, what the attention reads and its output projection are one product.
    """

    def __init__(self, norm: PlainNorm, attn: BlockAttention | None, proj: Product, mlp: FoldedMlp) -> None:
        """Keep the parts; ``attn`` is None with one token a block."""
        super().__init__()
        self.norm, self.attn, self.proj, self.mlp = norm, attn, proj, mlp

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape."""
        read = self.norm(x)
        x = self.proj.added(read if self.attn is None else self.attn.attend(read), x)
        return self.mlp.fc2.added(self.mlp.fc1.gelu(self.norm(x)), x)


class AddBias(nn.Module):
    """What is left of an output projection whose matrix is folded into the values."""

    def __init__(self, bias: Tensor, dtype: torch.dtype) -> None:
        """Keep bias (C,)."""
        super().__init__()
        self.bias = frozen(bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        return x + self.bias


class Convolution(nn.Module):
    """3x3 convolution as one product: positions are laid out, row, column and channel in this order.

    The product reads its weights as every other does: once, at the memory's speed, as int8 if they are.
    """

    def __init__(self, product: Product) -> None:
        """Keep the product, of weights (out, 9 x in)."""
        super().__init__()
        self.product = product

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), channels last in memory, to (B, C', H, W), so too."""
        x = x.permute(0, 2, 3, 1)
        at_once = len(x) if torch.compiler.is_compiling() else max(1, LAID_OUT // (9 * max(1, x[:1].numel())))
        parts = [self.product(_neighbours(part)) for part in x.split(at_once)] if len(x) > at_once else None
        out = self.product(_neighbours(x)) if parts is None else torch.cat(parts)
        return out.permute(0, 3, 1, 2)


def _neighbours(x: Tensor) -> Tensor:
    """(B, H, W, C) to the 3x3 positions around each, (B, H, W, 9 x C); zeros outside."""
    around = F.pad(x, (0, 0, 1, 1, 1, 1)).unfold(1, 3, 1).unfold(2, 3, 1)
    return rearrange(around, "b h w c p q -> b h w (p q c)")


class FoldedDownsample(nn.Module):
    """3x3 convolution to another width, layer norm, 3x3 max pooling of stride 2.

    The pooling stands between the norm and the next product, so that the norm keeps its scale and shift.
    """

    def __init__(self, conv: Convolution, scale: Tensor, shift: Tensor, eps: float, dtype: torch.dtype) -> None:
        """Keep the convolution and the norm's scale and shift (C',)."""
        super().__init__()
        self.conv, self.eps = conv, eps
        self.scale, self.shift = frozen(scale, dtype), frozen(shift, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        x = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.scale.shape, self.scale, self.shift, self.eps)
        return F.max_pool2d(x.permute(0, 3, 1, 2), 3, stride=2, padding=1).permute(0, 2, 3, 1)


class As(nn.Module):
    """A part of the network that computes in another floating-point type than what it is given."""

    def __init__(self, part: nn.Module, dtype: torch.dtype) -> None:
        """Keep a copy of the part, turned into ``dtype``."""
        super().__init__()
        self.part, self.dtype = copy.deepcopy(part).to(dtype), dtype

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """What the part gives for ``x`` in its type."""
        out: Tensor | tuple[Tensor, ...] = self.part(x.to(self.dtype))
        return out


class Through(nn.Module):
    """A product that computes in another floating-point type than it is given, and gives back."""

    def __init__(self, product: Product, dtype: torch.dtype) -> None:
        """Keep the product, which takes ``dtype``."""
        super().__init__()
        self.product, self.dtype = product, dtype

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out), of the type of ``x``."""
        return self.product(x.to(self.dtype)).to(x.dtype)


def replace(module: nn.Module, name: str, part: nn.Module | None) -> None:
    """Replace a part by one of another class, which the type of the attribute does not know."""
    setattr(module, name, part)
