"""HTNet in the reference's form: the baseline that speed and outputs are compared with.

Written from the published description, in the shape its implementation has: maps are (B, C, H, W),
linear maps are 1x1 convolutions, attention is two einsums around an explicit softmax, channel norms
are computed by hand, and blocks are cut out and put back around every level. Parameter names are the
published ones, so `htnet.models.reference_state` fits it.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import nn


class ChannelNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.g = nn.Parameter(torch.ones(1, dim, 1, 1))
        self.b = nn.Parameter(torch.zeros(1, dim, 1, 1))

    def forward(self, x):
        var = torch.var(x, dim=1, unbiased=False, keepdim=True)
        mean = torch.mean(x, dim=1, keepdim=True)
        return (x - mean) / (var + self.eps).sqrt() * self.g + self.b


class PreNorm(nn.Module):
    def __init__(self, dim, fn):
        super().__init__()
        self.norm = ChannelNorm(dim)
        self.fn = fn

    def forward(self, x):
        return self.fn(self.norm(x))


class ConvAttention(nn.Module):
    def __init__(self, dim, heads, head_dim):
        super().__init__()
        self.heads, self.scale = heads, head_dim**-0.5
        self.to_qkv = nn.Conv2d(dim, heads * head_dim * 3, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(heads * head_dim, dim, 1))

    def forward(self, x):
        height = x.shape[2]
        q, k, v = (rearrange(t, "b (h d) x y -> b h (x y) d", h=self.heads) for t in self.to_qkv(x).chunk(3, dim=1))
        attention = (torch.einsum("bhid,bhjd->bhij", q, k) * self.scale).softmax(dim=-1)
        out = torch.einsum("bhij,bhjd->bhid", attention, v)
        return self.to_out(rearrange(out, "b h (x y) d -> b (h d) x y", x=height))


class ConvMlp(nn.Module):
    def __init__(self, dim, mult):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(dim, dim * mult, 1), nn.GELU(), nn.Identity(), nn.Conv2d(dim * mult, dim, 1))

    def forward(self, x):
        return self.net(x)


class ConvTransformer(nn.Module):
    def __init__(self, dim, side, depth, heads, head_dim, mult):
        super().__init__()
        self.side = side
        self.pos_emb = nn.Parameter(torch.randn(side * side))
        self.layers = nn.ModuleList(
            nn.ModuleList([PreNorm(dim, ConvAttention(dim, heads, head_dim)), PreNorm(dim, ConvMlp(dim, mult))])
            for _ in range(depth)
        )

    def forward(self, x):
        x = x + rearrange(self.pos_emb, "(h w) -> () () h w", h=self.side)
        for attention, mlp in self.layers:
            x = attention(x) + x
            x = mlp(x) + x
        return x


class ReferenceHTNet(nn.Module):
    """Takes the fields of `htnet.models.HTNetConfig` that the published one has; returns the scores."""

    def transformer(self, config, dim, side, depth, heads, head_dim):
        """What works inside the blocks of a level."""
        return ConvTransformer(dim, side, depth, heads, head_dim, config.mlp_mult)

    def after_patches(self, x):
        """What happens to the map of patches before the first level."""
        return x

    def __init__(self, config):
        super().__init__()
        patch, depth = config.patch_size, config.num_hierarchies
        self.patch, self.depth = patch, depth
        head_dim = config.dim // config.heads
        side = config.image_size // patch // 2 ** (depth - 1)
        self.to_patch_embedding = nn.Sequential(nn.Identity(), nn.Conv2d(config.channels * patch**2, config.dim, 1))
        self.layers = nn.ModuleList()
        for level, repeats in enumerate(config.block_repeats):
            dim, heads = config.dim * 2**level, config.heads * 2**level
            last = level == depth - 1
            down = nn.Sequential(
                nn.Conv2d(dim, dim * 2, 3, padding=1),
                ChannelNorm(dim * 2),
                nn.MaxPool2d(3, stride=2, padding=1),
            )
            self.layers.append(
                nn.ModuleList(
                    [
                        self.transformer(config, dim, side, repeats, heads, head_dim),
                        nn.Identity() if last else down,
                    ]
                )
            )
        width = config.dim * 2 ** (depth - 1)
        self.mlp_head = nn.Sequential(ChannelNorm(width), nn.Identity(), nn.Linear(width, config.num_classes))

    def forward(self, x):
        x = rearrange(x, "b c (h p) (w q) -> b (p q c) h w", p=self.patch, q=self.patch)
        x = self.after_patches(self.to_patch_embedding(x))
        for level, (transformer, down) in enumerate(self.layers):
            blocks = 2 ** (self.depth - 1 - level)
            x = rearrange(x, "b c (m h) (n w) -> (b m n) c h w", m=blocks, n=blocks)
            x = transformer(x)
            x = rearrange(x, "(b m n) c h w -> b c (m h) (n w)", m=blocks, n=blocks)
            x = down(x)
        return self.mlp_head[2](self.mlp_head[0](x).mean(dim=(2, 3)))
