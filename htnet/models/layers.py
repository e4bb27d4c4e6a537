"""Layers of HTNet, channels-last.

Maps are (B, H, W, C), so every 1x1 convolution of the paper is one matrix product and every channel norm one fused
LayerNorm.
"""

from __future__ import annotations

from typing import TypedDict

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from htnet.core.processor import is_intel
from htnet.kernels import block_attention

#: Up to this many rows, the time of a large matrix product is the time to read the weights.
FEW_ROWS = 16
#: Up to this many rows, MKL itself reads the weights fastest on Intel processors; it has no such kernels for others.
FEWEST_ROWS = 3
#: From this many rows on, a 1x1 convolution is faster in training; in inference, from a quarter of it.
MANY_ROWS = 8192
#: With fewer weights than this, the convolution is not faster for any number of rows.
SOME_WEIGHTS = 2**15
#: With fewer weights than this, they stay in the processor's cache, where `F.linear` is as fast.
MANY_WEIGHTS = 2**17


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear``, with faster implementations on the CPU for few and for very many rows.

    The library behind ``F.linear`` reads large weights with one thread if there is one row, and packs them first if
    there are a few rows. With one row and weights of (4096, 1024) float32 it reached 16 GB/s on an AMD EPYC, where
    two cores read 35 GB/s. A batched product over bands of the weights reached 33 GB/s. On an Intel Xeon with AMX and
    one thread, ``F.linear`` reads the weights at 14 GB/s for up to three rows and the bands at 7 GB/s; with more rows
    the bands are faster there too.

    With very many rows, oneDNN's 1x1 convolution of a channels-last map is faster than the product: by a tenth to a
    quarter in usual shapes, by a half for widths such as 255 x 3, on an AMD EPYC.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,) or None.

    Returns:
        (..., out), equal up to rounding.
    """
    # Weights of another class, such as quantized ones, support F.linear and little else.
    own = type(weight) in (Tensor, nn.Parameter)
    if torch.compiler.is_compiling() or x.device.type != "cpu" or x.dtype != torch.float32 or not own:
        return F.linear(x, weight, bias)
    rows = x.shape[:-1].numel()
    many = x.ndim == 4 and rows >= (MANY_ROWS if torch.is_grad_enabled() else MANY_ROWS // 4)
    if many and weight.numel() >= SOME_WEIGHTS and torch.backends.mkldnn.is_available():
        return F.conv2d(x.permute(0, 3, 1, 2), weight[:, :, None, None], bias).permute(0, 2, 3, 1)
    if rows > FEW_ROWS or weight.numel() < MANY_WEIGHTS or (rows <= FEWEST_ROWS and is_intel()):
        return F.linear(x, weight, bias)
    out, width = weight.shape
    columns = x.reshape(-1, width).t()
    bands = next(n for n in (8, 4, 2, 1) if out % n == 0)
    product = torch.bmm(weight.view(bands, out // bands, width), columns.expand(bands, -1, -1))
    result = product.view(out, -1).t().reshape(*x.shape[:-1], out)
    return result if bias is None else result + bias


class Linear(nn.Linear):
    """``nn.Linear`` by `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return linear(input, self.weight, self.bias)


class BlockAttention(nn.Module):
    """Multi-head attention inside square blocks of the map.

    Queries and keys have their own layer: with one token per block they are never computed, so
    they cost nothing and, without a gradient, are not changed by the optimizer.

    Attributes:
        vmapped: the layer runs under vmap with the weights of several models (`htnet.training.train_vmapped`).
            Attention is then computed by plain products, which vmap can batch; PyTorch's own attention it cannot.
        mask: which tokens a token may read, see `htnet.kernels.block_attention`.
    """

    vmapped = False
    mask: str | None = None

    def __init__(self, dim: int, heads: int, head_dim: int, blocks: int, dropout: float) -> None:
        super().__init__()
        inner = heads * head_dim
        self.heads, self.blocks, self.scale = heads, blocks, head_dim**-0.5
        self.qk = Linear(dim, 2 * inner, bias=False)
        self.v = Linear(dim, inner, bias=False)
        self.proj = Linear(inner, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape."""
        return self.drop(self.proj(self.attend(x)))

    def bias(self, q: Tensor, k: Tensor) -> Tensor | None:
        """Bias added to the scores of queries and keys (B x blocks, heads, tokens, head_dim)."""
        return None

    def attend(self, x: Tensor) -> Tensor:
        """Attention output per position: (B, H, W, C) to (B, H, W, heads x head_dim)."""
        if x.shape[1] == self.blocks and x.shape[2] == self.blocks:
            # One token per block: softmax over one key is exactly 1, so queries and keys are not computed.
            return self.v(x)
        split = "b (p h) (q w) (n d) -> (b p q) n (h w) d"
        sizes = {"p": self.blocks, "q": self.blocks, "n": self.heads}
        q, k = (rearrange(t, split, **sizes) for t in self.qk(x).chunk(2, dim=-1))
        v = rearrange(self.v(x), split, **sizes)
        backend = "reference" if self.vmapped else "auto"
        out = block_attention(q, k, v, bias=self.bias(q, k), mask=self.mask, scale=self.scale, backend=backend)
        return rearrange(
            out,
            "(b p q) n (h w) d -> b (p h) (q w) (n d)",
            p=self.blocks,
            q=self.blocks,
            h=x.shape[1] // self.blocks,
        )


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, mult: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = Linear(dim, mult * dim)
        self.fc2 = Linear(mult * dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same shape."""
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class BlockSizes(TypedDict):
    """Arguments of `Block`."""

    dim: int
    heads: int
    head_dim: int
    blocks: int
    mult: int
    dropout: float


class Block(nn.Module):
    """Pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, dim: int, heads: int, head_dim: int, blocks: int, mult: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = BlockAttention(dim, heads, head_dim, blocks, dropout)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, mult, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Downsample(nn.Module):
    """3x3 convolution to another width, LayerNorm, 3x3 max pooling of stride 2.

    Attributes:
        vmapped: the layer runs under vmap with the weights of several models (`htnet.training.train_vmapped`). The
            convolution is then one matrix product per model; vmap would turn it into a grouped convolution, which is
            slow.
    """

    vmapped = False

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, out, 3, padding=1)
        self.norm = nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), C')."""
        x = self.norm(self._convolve(x)).permute(0, 3, 1, 2)
        return F.max_pool2d(x, 3, stride=2, padding=1).permute(0, 2, 3, 1)

    def _convolve(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C')."""
        # On the CPU a convolution first rearranges its weights, 9 C C' values, which at batch 1 takes longer than the
        # arithmetic. One matrix product reads them in place, but must copy 9 C values per position: it is faster for
        # up to C' positions. Compilers and exporters choose the layout themselves, and for them the batch size must
        # stay dynamic.
        few = not torch.compiler.is_compiling() and x.shape[:3].numel() <= self.conv.out_channels
        if not self.vmapped and (x.device.type != "cpu" or not few):
            return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        patches = F.pad(x, (0, 0, 1, 1, 1, 1)).unfold(1, 3, 1).unfold(2, 3, 1)
        return linear(patches.flatten(3), self.conv.weight.flatten(1), self.conv.bias)
