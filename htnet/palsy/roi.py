"""Regions of interest in a face: soft maps of facial regions, and a mask against the background."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.models.layers import Linear

#: Side of the published prior, before it is resized to the map.
PRIOR_SIDE = 32


def facial_prior() -> Tensor:
    """The fixed prior for a face in the middle: (32, 32), 1 in the middle and 0.5 in the farthest corner.

    max(0, 1 - d / (2 d_max)), d the distance to row 16 and column 16, as published: the middle is half a cell off.
    """
    offset = torch.arange(PRIOR_SIDE) - PRIOR_SIDE / 2
    distance = (offset[:, None].square() + offset.square()).sqrt()
    return (1 - 0.5 * distance / distance.max()).clamp(min=0)


class RoiModule(nn.Module):
    """Region maps, background mask, and a refinement of the patches that the mask lets through.

    Both detectors of the reference read the same patches with equal layers; here they are one convolution and one
    batch norm, split afterwards. Convolutions before a batch norm have no bias, since the norm would remove it. Maps
    have ``side`` x ``side`` patches of width ``dim``.
    """

    prior: Tensor

    def __init__(self, dim: int, side: int, regions: int) -> None:
        super().__init__()
        half = dim // 2
        self.detect = nn.Conv2d(dim, 2 * half, 3, padding=1, bias=False)
        self.detect_norm = nn.BatchNorm2d(2 * half)
        self.regions = Linear(half, regions)
        self.face = Linear(half, 1)
        self.refine = nn.Conv2d(dim + regions + 1, dim, 3, padding=1, bias=False)
        self.refine_norm = nn.BatchNorm2d(dim)
        prior = F.interpolate(facial_prior()[None, None], size=(side, side), mode="bilinear")
        self.register_buffer("prior", prior[0, 0, :, :, None], persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Patches (B, H, W, C) to refined ones, region maps (B, H, W, regions) and face mask (B, H, W, 1), 0..1.

        Region maps are the detector's maps multiplied by the mask, so they are zero where the mask is.

        Raises:
            ModelError: a batch of one in training.
        """
        if self.training and x.shape[0] == 1:
            raise ModelError(
                "The batch norms of the ROI module got a batch of one in training, whose statistics say nothing about "
                "other faces; give two or more samples, or call model.eval()."
            )
        found = self._convolve(x, self.detect, self.detect_norm)
        for_regions, for_face = found.chunk(2, dim=-1)
        mask = self.face(for_face).sigmoid() * self.prior
        maps = self.regions(for_regions).sigmoid() * mask
        refined = self._convolve(torch.cat([x, maps, mask], dim=-1), self.refine, self.refine_norm)
        return x + refined * mask, maps, mask

    @staticmethod
    def _convolve(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
        """(B, H, W, C) to (B, H, W, C')."""
        return F.gelu(norm(conv(x.permute(0, 3, 1, 2)))).permute(0, 2, 3, 1)
