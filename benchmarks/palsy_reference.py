"""The palsy HTNet in the reference's form: the baseline that speed and outputs are compared with.

Written from the published description: maps are (B, C, H, W), linear maps are 1x1 convolutions, queries, keys and
values of micro-attention are three of them, and its neighborhood mask is filled by Python loops at every call.
Parameter names are the published ones, so `htnet.models.reference_state` fits it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from benchmarks.reference_htnet import ConvTransformer, PreNorm, ReferenceHTNet


class ReferenceMicroAttention(nn.Module):
    def __init__(self, dim, heads, head_dim):
        super().__init__()
        self.heads, self.scale = heads, head_dim**-0.5
        self.to_q, self.to_k, self.to_v = (nn.Conv2d(dim, heads * head_dim, 1, bias=False) for _ in range(3))
        self.to_out = nn.Sequential(nn.Conv2d(heads * head_dim, dim, 1))
        self.asymmetry_score = nn.Sequential(nn.Conv2d(2 * dim, dim, 1), nn.GELU(), nn.Conv2d(dim, 1, 1), nn.Sigmoid())

    def mask(self, height, width, device):
        mask = torch.zeros(height * width, height * width, device=device)
        for row in range(height):
            for column in range(width):
                for other_row in range(max(row - 1, 0), min(row + 2, height)):
                    for other_column in range(max(column - 1, 0), min(column + 2, width)):
                        mask[row * width + column, other_row * width + other_column] = 1
        return mask

    def asymmetry(self, x):
        height, width = x.shape[2:]
        left, right = x[..., : width // 2], x[..., width // 2 :].flip(3)
        shorter = min(left.shape[3], right.shape[3])
        score = self.asymmetry_score(torch.cat([left[..., :shorter], right[..., :shorter]], dim=1))
        return F.interpolate(score, size=(height, width), mode="bilinear", align_corners=False)

    def forward(self, x):
        height, width = x.shape[2:]
        layers = (self.to_q, self.to_k, self.to_v)
        q, k, v = (rearrange(layer(x), "b (h d) x y -> b h (x y) d", h=self.heads) for layer in layers)
        scores = torch.einsum("bhid,bhjd->bhij", q, k) * self.scale
        scores = scores.masked_fill(self.mask(height, width, x.device) == 0, -1e9)
        out = torch.einsum("bhij,bhjd->bhid", scores.softmax(dim=-1), v)
        out = rearrange(out, "b h (x y) d -> b (h d) x y", x=height)
        return self.to_out(out * (1 + 0.5 * self.asymmetry(x)))


class ReferenceRoi(nn.Module):
    def __init__(self, dim, regions):
        super().__init__()

        def detector(outputs):
            half = dim // 2
            return nn.Sequential(
                nn.Conv2d(dim, half, 3, padding=1),
                nn.BatchNorm2d(half),
                nn.GELU(),
                nn.Conv2d(half, outputs, 1),
                nn.Sigmoid(),
            )

        self.roi_detector = detector(regions)
        self.background_suppressor = detector(1)
        self.roi_refine = nn.Sequential(nn.Conv2d(dim + regions + 1, dim, 3, padding=1), nn.BatchNorm2d(dim), nn.GELU())
        rows = torch.arange(32) - 16.0
        distance = torch.sqrt(rows[:, None] ** 2 + rows[None, :] ** 2)
        prior = torch.clamp(1 - 0.5 * distance / distance.max(), min=0)
        self.register_buffer("facial_prior", prior[None, None])

    def forward(self, x):
        prior = F.interpolate(self.facial_prior, size=x.shape[2:], mode="bilinear", align_corners=False)
        mask = self.background_suppressor(x) * prior
        maps = self.roi_detector(x) * mask
        refined = self.roi_refine(torch.cat([x, maps, mask], dim=1))
        return x + refined * mask, maps, mask


class ReferencePalsyTransformer(ConvTransformer):
    """Every second layer attends to neighbors only."""

    def __init__(self, config, dim, side, depth, heads, head_dim):
        super().__init__(dim, side, depth, heads, head_dim, config.mlp_mult)
        for layer in self.layers[1::2] if config.use_micro_attention else ():
            layer[0] = PreNorm(dim, ReferenceMicroAttention(dim, heads, head_dim))


class ReferencePalsy(ReferenceHTNet):
    """Takes the fields of `htnet.palsy.HTNetPalsyConfig` that the published one has; returns the scores."""

    def __init__(self, config):
        super().__init__(config)
        self.roi_module = ReferenceRoi(config.dim, config.num_roi_regions) if config.use_roi_module else None

    def transformer(self, config, dim, side, depth, heads, head_dim):
        return ReferencePalsyTransformer(config, dim, side, depth, heads, head_dim)

    def after_patches(self, x):
        return x if self.roi_module is None else self.roi_module(x)[0]
