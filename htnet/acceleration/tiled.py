"""3x3 convolutions by tiles, with a quarter of the multiplications (Lavin and Gray 2016, arXiv 1509.09308)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.acceleration.layers import Convolution, FusedLinear
from htnet.acceleration.watch import Watch

#: Side of a tile of the output, and of the area of the input that it reads.
TILE, READ = 4, 6
#: Points where the polynomials are evaluated, besides infinity. With a half in place of 2, or of -1/2, the rounding
#: error is a third of that with the published points, and about that of PyTorch's own convolution.
POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
#: Convolutions with fewer weights gain nothing.
SOME_WEIGHTS = 2**15
#: Smallest number of tiles for which reading four times as many weights pays off.
FEWEST_TILES = 16
#: Largest fraction of the multiplications for which tiling pays off: maps of 4 x 4 and 8 x 8 need 0.25, 5 x 5 needs
#: 0.64.
WORTH = 0.5
#: Samples are computed together up to this many values: 16 MB, which stay in the cache, and which the memory
#: allocator does not return to the system at every call.
AT_ONCE = 2**22
_MAKING = threading.Lock()


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices for the output (16, 36), the weights (36, 9) and the input (36, 36), with tiles as columns; float64."""
    powers = np.array([[point**i for i in range(TILE)] for point in POINTS])
    output = np.zeros((TILE, READ))
    output[:, :-1], output[-1, -1] = powers.T, 1
    weights, inputs = np.zeros((READ, 3)), np.zeros((READ, READ))
    weights[-1, -1], inputs[-1] = 1, np.poly(POINTS)[::-1]
    for row, point in enumerate(POINTS):
        others = [other for other in POINTS if other != point]
        weights[row] = powers[row, :3] / np.prod(point - np.array(others))
        inputs[row, :-1] = np.poly(others)[::-1]
    return tuple(torch.from_numpy(np.kron(part, part)) for part in (output, weights, inputs))  # type: ignore[return-value]


class TiledConvolution(Convolution):
    """`Convolution` in float32 that computes large maps, or many maps, tile by tile.

    16 positions of the output cost 36 products of channels instead of 144. The transformed weights take four times the
    memory of the weights; they are computed at the first call for which tiling pays off.
    """

    product: FusedLinear

    def __init__(self, product: FusedLinear) -> None:
        super().__init__(product)
        self._made: tuple[Tensor, Tensor, Tensor] | None = None
        self._made_of: Watch | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W), both with channels last in memory."""
        batch, channels, height, width = x.shape
        tiles = -(-height // TILE) * -(-width // TILE)
        worth = tiles * READ**2 <= WORTH * height * width * 9 and batch * tiles >= FEWEST_TILES
        if not worth or x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        made = self._make()
        x = x.permute(0, 2, 3, 1)
        at_once = max(1, AT_ONCE // (READ**2 * tiles * max(channels, len(self.product.bias))))
        parts = [self._tiled(part, *made) for part in x.tensor_split(-(-batch // at_once))]
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).permute(0, 3, 1, 2)

    def _tiled(self, x: Tensor, weights: Tensor, to_input: Tensor, to_output: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C')."""
        batch, height, width, channels = x.shape
        down, across = -(-height // TILE), -(-width // TILE)
        x = F.pad(x, (0, 0, 1, across * TILE + 1 - width, 1, down * TILE + 1 - height))
        read = x.unfold(1, READ, TILE).unfold(2, READ, TILE).permute(4, 5, 0, 1, 2, 3).reshape(READ**2, -1)
        found = torch.bmm((to_input @ read).view(READ**2, -1, channels), weights)
        # The value at (1, 1) is added to every position.
        found[READ + 1] += self.product.bias
        out = (to_output @ found.view(READ**2, -1)).view(TILE, TILE, batch, down, across, -1)
        out = out.permute(2, 3, 0, 4, 1, 5).reshape(batch, down * TILE, across * TILE, -1)
        return out[:, :height, :width]

    def _make(self) -> tuple[Tensor, Tensor, Tensor]:
        """Transformed weights (36, C, C') and the matrices of input and output."""
        with _MAKING:
            read = (self.product.weight,)
            if self._made is None or self._made_of is None or not self._made_of.unchanged(read):
                watch = Watch(read)
                dense = self.product.dense()
                to_output, to_weights, to_input = _transforms()
                places = dense.detach().double().view(len(dense), 9, -1).permute(1, 2, 0)
                weights = (to_weights @ places.flatten(1)).view(READ**2, *places.shape[1:])
                self._made_of = watch
                self._made = (weights.to(dense.dtype), to_input.to(dense.dtype), to_output.to(dense.dtype))
            return self._made

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._made = None
        super()._load_from_state_dict(*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> TiledConvolution:
        self._made = None
        super()._apply(fn, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": None, "_made_of": None}


def tiled(part: nn.Module) -> TiledConvolution | None:
    """The tiled form of a convolution; None if the part is not a convolution that gains from it."""
    product = part.product if type(part) is Convolution else None
    if not isinstance(product, FusedLinear) or product.bias.dtype != torch.float32:
        return None
    return TiledConvolution(product) if product.dense().numel() >= SOME_WEIGHTS else None
