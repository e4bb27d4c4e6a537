"""MHSSA + GCN in the reference's form: the baseline that speed and outputs are compared with.

Written from the published description, in the shape its implementation has: every region padded to 12 patches and
sent through the transformer by itself, attention as two einsums around an explicit softmax, and the multidimensional
scaling sample by sample through scikit-learn, without gradient. Parameter names are the published ones, so
`htnet.models.converters.mhssa_gcn.published_names` fits it. It is given the patches ready cut, in the order of ours.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from htnet.core.types import LANDMARK_GROUPS
from htnet.models.converters.mhssa_gcn import published_names
from htnet.models.mhssa_gcn import REGIONS

SIZES = tuple(len(LANDMARK_GROUPS[name]) for name in REGIONS)


class TokenNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, 1, dim))
        self.b = nn.Parameter(torch.zeros(1, 1, dim))

    def forward(self, x):
        var = torch.var(x, dim=-1, unbiased=False, keepdim=True)
        return (x - x.mean(dim=-1, keepdim=True)) / (var + 1e-5).sqrt() * self.g + self.b


class PreNorm(nn.Module):
    def __init__(self, dim, fn):
        super().__init__()
        self.norm, self.fn = TokenNorm(dim), fn

    def forward(self, x, *more):
        return self.fn(self.norm(x), *more)


class SpatialAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim))

    def forward(self, x, spatial):
        q, k, v = (rearrange(t, "b n (h d) -> b h n d", h=self.heads) for t in self.to_qkv(x).chunk(3, dim=-1))
        dots = torch.einsum("b h i d, b h j d -> b h i j", q, k) * self.scale + spatial[:, None]
        out = torch.einsum("b h i j, b h j d -> b h i d", dots.softmax(dim=-1), v)
        return self.to_out(rearrange(out, "b h n d -> b n (h d)"))


class FeedForward(nn.Module):
    def __init__(self, dim, mult):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, dim * mult), nn.GELU(), nn.Identity(), nn.Linear(dim * mult, dim), nn.Identity()
        )

    def forward(self, x):
        return self.net(x)


class Transformer(nn.Module):
    def __init__(self, dim, depth, heads, mult):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList([PreNorm(dim, SpatialAttention(dim, heads)), PreNorm(dim, FeedForward(dim, mult))])
            for _ in range(depth)
        )

    def forward(self, x, spatial):
        for attention, feed_forward in self.layers:
            x = attention(x, spatial) + x
            x = feed_forward(x) + x
        return x


class GraphLayer(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.linear = nn.Linear(dim, dim)

    def forward(self, x, adjacency):
        return torch.relu(torch.bmm(adjacency, self.linear(x)))


class Graph(nn.Module):
    def __init__(self, dim, depth):
        super().__init__()
        self.layers = nn.ModuleList(GraphLayer(dim) for _ in range(depth))


class ReferenceMHSSAGCN(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim = config.dim
        self.alpha = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("AU_adj", torch.zeros(len(SIZES), len(SIZES)))
        self.patch_embedding = nn.Linear(config.channels * config.patch_size**2, dim)
        self.region_embeddings = nn.Embedding(len(SIZES), config.region_dim)
        self.combine_embeddings = nn.Linear(dim + config.region_dim, dim)
        self.intra_transformer = Transformer(dim, config.intra_depth, config.heads, config.mlp_mult)
        self.aggregate_intra = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim))
        self.gcn = Graph(dim, config.gcn_layers)
        self.mlp_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, config.num_classes))

    def forward(self, patches, points):
        regions = []
        for number, (part, at) in enumerate(zip(patches.split(SIZES, 1), points.split(SIZES, 1), strict=True)):
            real = part.shape[1]
            spatial = torch.zeros(len(part), max(SIZES), max(SIZES))
            spatial[:, :real, :real] = 1 / ((at[:, :, None] - at[:, None]).norm(dim=-1) + 1e-8)
            part = F.pad(part, (0, 0, 0, max(SIZES) - real))
            region = self.region_embeddings(torch.full(part.shape[:2], number))
            x = self.combine_embeddings(torch.cat([self.patch_embedding(part), region], dim=-1))
            regions.append(self.intra_transformer(x, spatial).mean(dim=1))
        x = self.aggregate_intra(torch.stack(regions, dim=1))
        manifold = torch.stack([torch.from_numpy(scaled(sample)).float() for sample in x.detach().numpy()])
        adjacency = self.alpha * manifold + (1 - self.alpha) * self.AU_adj
        for layer in self.gcn.layers:
            x = layer(x, adjacency)
        return self.mlp_head(x.mean(dim=1))


def scaled(vectors):
    """The distances of one sample's regions in the plane, by scikit-learn."""
    from sklearn.manifold import MDS
    from sklearn.metrics.pairwise import cosine_similarity

    lengths = np.clip(cosine_similarity(vectors.astype(np.float64)), 0.1, None)
    np.fill_diagonal(lengths, 0)
    count = len(lengths)
    for k in range(count):
        for i in range(count):
            for j in range(count):
                lengths[i, j] = min(lengths[i, j], lengths[i, k] + lengths[k, j])
    lengths = (lengths + lengths.T) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of defaults that later versions change
        points = MDS(2, dissimilarity="precomputed", random_state=42, n_init=1, eps=1e-6).fit_transform(lengths)
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return distances / distances.max(axis=1, keepdims=True)


def load_ours(reference, model):
    """Give the baseline the weights of our model."""
    own, shapes = model.state_dict(), {key: value.shape for key, value in reference.state_dict().items()}
    names = published_names(model.config.intra_depth, model.config.gcn_layers)
    reference.load_state_dict({theirs: own[ours].reshape(shapes[theirs]) for theirs, ours in names.items()})
    return reference
