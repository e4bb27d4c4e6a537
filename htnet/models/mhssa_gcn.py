"""MHSSA transformer + GCN: patches around 68 points, attention inside six regions, a graph between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.fields import checked, one_of, whole
from htnet.core.types import LANDMARK_GROUPS
from htnet.kernels import block_attention
from htnet.models import manifold
from htnet.models.base import EmotionModel, ModelConfig, make_classifier
from htnet.models.input_range import require_tensor
from htnet.models.layers import Linear, Mlp
from htnet.models.registry import WHOLE_FACE, register_model

#: The six regions in order, as groups of the 68 points; left and right are those of the image.
REGIONS = ("left_brow", "right_brow", "left_eye", "right_eye", "nose", "outer_lip")
SPATIAL_TERMS = ("bounded", "reference")
SCALINGS = ("classical", "smacof")
#: Co-occurrence of action units between the regions in the emotion prototypes of FACS (Ekman and Friesen's EMFACS):
#: `htnet.data.au_cooccurrence` of `htnet.data.EMOTION_PROTOTYPES`. No data set is used.
PROTOTYPE_COOCCURRENCE = (
    (1.0, 1.0, 0.75, 0.75, 0.0, 0.5),
    (1.0, 1.0, 0.75, 0.75, 0.0, 0.5),
    (0.75, 0.75, 1.0, 1.0, 0.0, 0.5),
    (0.75, 0.75, 1.0, 1.0, 0.0, 0.5),
    (0.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    (1.0, 1.0, 1.0, 1.0, 0.0, 1.0),
)


#: Preprocessing of models that read facial points.
AT_LANDMARKS = replace(WHOLE_FACE, region_points="landmarks")


@dataclass(frozen=True)
class MHSSAGCNConfig(ModelConfig):
    """Settings of MHSSA + GCN; sizes are the published ones.

    Attributes:
        patch_size: side of the patch around a point, px; odd.
        dim: width of everything after the patches.
        heads: attention heads.
        region_dim: width of the region's embedding.
        intra_depth: transformer layers inside each region.
        gcn_layers: graph convolutions between the regions.
        mlp_mult: ratio of the MLP's inner to its outer width.
        spatial: term added to the attention scores: "bounded" or, as published, "reference"; see `MHSSAGCN`.
        scaling: multidimensional scaling of the distances between regions: "classical" or, as published, "smacof".
        au_cooccurrence: (6, 6), how often an action unit of region j occurs together with one of region i.
    """

    patch_size: int = checked(7, whole())
    dim: int = checked(256, whole())
    heads: int = checked(4, whole())
    region_dim: int = checked(32, whole())
    intra_depth: int = checked(3, whole())
    gcn_layers: int = checked(3, whole())
    mlp_mult: int = checked(4, whole())
    spatial: str = checked("bounded", one_of(SPATIAL_TERMS))
    scaling: str = checked("classical", one_of(SCALINGS))
    au_cooccurrence: tuple[tuple[float, ...], ...] = PROTOTYPE_COOCCURRENCE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_size % 2 == 0 or self.patch_size > self.image_size:
            raise ModelError(
                f"patch_size is {self.patch_size} for images of {self.image_size} px; give an odd number up to that."
            )
        self.require_multiple("dim", "heads")
        self._check_cooccurrence()

    def _check_cooccurrence(self) -> None:
        try:
            rows = tuple(tuple(float(x) for x in row) for row in self.au_cooccurrence)
        except (TypeError, ValueError):
            rows = ()
        size = len(REGIONS)
        if len(rows) != size or any(len(row) != size or any(not 0 <= x <= 1 for x in row) for row in rows):
            raise ModelError(
                f"au_cooccurrence is {self.au_cooccurrence!r}; give {size} rows of {size} numbers from 0 to 1, one "
                f"per region: {', '.join(REGIONS)}."
            )
        object.__setattr__(self, "au_cooccurrence", rows)


class RegionAttention(nn.Module):
    """Multi-head attention with a term added to the scores."""

    def __init__(self, config: MHSSAGCNConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = Linear(config.dim, 3 * config.dim, bias=False)
        self.proj = Linear(config.dim, config.dim)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, term: Tensor) -> Tensor:
        """Tokens (B, T, C) and term (B, 1, T, T), -inf at masked pairs, to (B, T, C)."""
        q, k, v = rearrange(self.qkv(x), "b t (c n d) -> c b n t d", c=3, n=self.heads)
        out = block_attention(q, k, v, bias=term)
        return self.drop(self.proj(rearrange(out, "b n t d -> b t (n d)")))


class RegionBlock(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, config: MHSSAGCNConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim)
        self.attn = RegionAttention(config)
        self.norm2 = nn.LayerNorm(config.dim)
        self.mlp = Mlp(config.dim, config.mlp_mult, config.dropout)

    def forward(self, x: Tensor, term: Tensor) -> Tensor:
        """(B, T, C) to the same shape."""
        x = x + self.attn(self.norm1(x), term)
        return x + self.mlp(self.norm2(x))

    def pooled(self, x: Tensor, term: Tensor, pooling: Tensor) -> Tensor:
        """Weighted means of the tokens of `forward`: (B, T, C) and weights (R, T), rows summing to 1, to (B, R, C).

        The MLP's last layer is linear, so it is applied after the mean: a third of the work is done on fewer tokens.
        """
        x = x + self.attn(self.norm1(x), term)
        hidden = self.mlp.drop(F.gelu(self.mlp.fc1(self.norm2(x))))
        return pooling @ x + self.mlp.drop(self.mlp.fc2(pooling @ hidden))


@register_model(
    "mhssa_gcn",
    spec=AT_LANDMARKS,
    description="patches at 68 points, attention in 6 regions, a graph between them, 2.7 M",
)
@register_model(
    "mhssa_gcn_small",
    spec=AT_LANDMARKS,
    dim=64,
    region_dim=16,
    intra_depth=1,
    gcn_layers=2,
    description="the same, width 64, 1 + 2 layers",
)
class MHSSAGCN(EmotionModel):
    """Attention between the patches of a facial region, and a graph between the regions.

    A patch is cut around each point of the brows, eyes, nose and outer lip. Transformer layers operate inside each
    region; the mean of its patches is the region's vector. Graph convolutions ReLU(A X W) combine the regions, where
    A = alpha M + (1 - alpha) C: M is computed from the distances between the regions' vectors by multidimensional
    scaling to the plane, C is the co-occurrence of action units, alpha is learned.

    The published code pads all regions to 12 patches. With ``spatial="reference"`` this model computes the same,
    including the padding (one token represents all padding of a region): 1 / (distance + 1e-8) is added to the scores.
    Between a patch and itself this is 1e8, so each patch attends only to itself, and padding enters the means.
    "bounded" (the default) is the intended form: the term is 1 / max(distance, 1 px), 0 between a patch and itself, and
    there is no padding.

    M is computed with ``scaling="smacof"`` as published (scikit-learn's SMACOF with its start for ``random_state=42``),
    and with "classical" (the default) by eigenvectors, whose result does not depend on the order of the regions.

    Attributes:
        by_squaring: compute the scaling without eigenvectors, which exporters do not support; see
            `htnet.models.manifold.planar_gram_by_squaring`.
    """

    by_squaring = False

    config_class: ClassVar[type[ModelConfig]] = MHSSAGCNConfig
    extra_inputs: ClassVar[tuple[str, ...]] = ("points68",)
    config: MHSSAGCNConfig

    indices: Tensor
    regions: Tensor
    pooling: Tensor
    padding: Tensor
    AU_adj: Tensor

    def __init__(self, config: MHSSAGCNConfig) -> None:
        super().__init__(config)
        groups = [LANDMARK_GROUPS[name] for name in REGIONS]
        longest = max(map(len, groups))
        # One token represents all padding of a region; the full region has none.
        missing = [longest - len(group) if config.spatial == "reference" else 0 for group in groups]
        regions = [r for r, group in enumerate(groups) for _ in group] + [r for r, n in enumerate(missing) if n]
        copies = torch.tensor([1.0 for group in groups for _ in group] + [float(n) for n in missing if n])
        member = F.one_hot(torch.tensor(regions), len(REGIONS)).T * copies
        self.register_buffer("indices", torch.tensor([i for group in groups for i in group]), persistent=False)
        self.register_buffer("regions", torch.tensor(regions), persistent=False)
        self.register_buffer("pooling", member / member.sum(1, keepdim=True), persistent=False)
        self.register_buffer("padding", copies[len(self.indices) :], persistent=False)
        self.register_buffer("AU_adj", torch.tensor(config.au_cooccurrence))
        self.alpha = nn.Parameter(torch.tensor(0.5))
        dim = config.dim
        self.patch_embed = nn.Linear(config.channels * config.patch_size**2, dim)
        self.region_embed = nn.Embedding(len(REGIONS), config.region_dim)
        self.combine = nn.Linear(dim + config.region_dim, dim)
        self.layers = nn.ModuleList([RegionBlock(config) for _ in range(config.intra_depth)])
        self.region_norm, self.region_proj = nn.LayerNorm(dim), nn.Linear(dim, dim)
        self.gcn = nn.ModuleList(nn.Linear(dim, dim) for _ in range(config.gcn_layers))
        self.drop = nn.Dropout(config.dropout)
        self.norm, self.head = nn.LayerNorm(dim), make_classifier(dim, config.num_classes)

    def forward(self, x: Tensor, points68: Tensor | None = None) -> Tensor:
        """Class scores.

        Args:
            x: (B, channels, image_size, image_size) of an integer or floating-point type, channels strain, v, u,
                range 0..255.
            points68: (B, 68, 2) points (x, y) of iBUG 300-W in px of the image.

        Returns:
            (B, num_classes) scores before the softmax.

        Raises:
            ModelError: a shape is wrong, or there are no points.
        """
        return self.forward_head(self.forward_features(self.check_image(x), points68))

    def forward_features(self, x: Tensor, points68: Tensor | None = None) -> Tensor:
        """Image (B, C, H, W), 0..255, and points (B, 68, 2) to the regions after the graph, (B, 6, dim).

        Raises:
            ModelError: there are no points, or their shape or values are wrong.
        """
        vectors = self.encode(*self.cut(self.standardize(x), points68))
        return self.relate(vectors, self.manifold_distance(vectors))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Regions after the graph to class scores (B, num_classes), or to their normalized mean (B, dim)."""
        pooled = self.norm(features.mean(1))
        return pooled if pre_logits else self.head(pooled)

    def cut(self, images: Tensor, points68: Tensor | None) -> tuple[Tensor, Tensor]:
        """Patches around the points of the regions.

        Args:
            images: (B, C, S, S).
            points68: (B, 68, 2) (x, y) in px; each is rounded to the px it lies in and moved so that its patch is
                inside the image.

        Returns:
            Patches (B, 43, patch_size * patch_size * C), values in the order row, column, channel, and the px (x, y)
            at their centers, (B, 43, 2) float.
        """
        count = images.shape[0]  # not len(), which torch.export turns into a constant
        if points68 is not None:
            require_tensor(self.name, "points68", points68, images.device)
        if points68 is None or points68.ndim != 3 or points68.shape[0] != count or points68.shape[1:] != (68, 2):
            got = "no points68" if points68 is None else f"points68 of shape {tuple(points68.shape)}"
            raise ModelError(
                f"{self.name} got {got} for {count} images; give (batch, 68, 2) facial points (x, y) in px of "
                "the image (htnet.preprocess.estimate_68 estimates them from five)."
            )
        if not torch.compiler.is_compiling() and not bool(torch.isfinite(points68).all()):
            raise ModelError(f"{self.name} got points68 with NaN or infinity; give finite px.")
        half = self.config.patch_size // 2
        at = points68[:, self.indices].floor().long().clamp(half, self.config.image_size - 1 - half)
        windows = images.unfold(2, self.config.patch_size, 1).unfold(3, self.config.patch_size, 1)
        batch = torch.arange(count, device=images.device)[:, None]
        found = windows.permute(0, 2, 3, 4, 5, 1)[batch, at[..., 1] - half, at[..., 0] - half]
        return found.flatten(2), at.to(images.dtype)

    def encode(self, patches: Tensor, at: Tensor) -> Tensor:
        """Patches (B, 43, values) at (B, 43, 2) px to one vector per region, (B, 6, dim)."""
        x = self.drop(self.embed(patches))
        # The published 1e8 exceeds float16; half of its maximum leaves room for the scores.
        term = self.spatial_term(at)
        if x.dtype == torch.float16:
            term = term.clamp(max=torch.finfo(x.dtype).max / 2)
        term = term.to(x.dtype)
        for layer in self.layers[:-1]:
            x = layer(x, term)
        means = cast(RegionBlock, self.layers[-1]).pooled(x, term, self.pooling)
        return self.region_proj(self.region_norm(means))

    def embed(self, patches: Tensor) -> Tensor:
        """Patches (B, 43, values) to tokens (B, T, dim); T counts one more for each region that has padding."""
        if len(self.padding):
            patches = F.pad(patches, (0, 0, 0, len(self.padding)))
        weight, offset = self.embedding()
        return F.linear(patches, weight) + offset[self.regions]

    def embedding(self) -> tuple[Tensor, Tensor]:
        """Both layers of the embedding are linear: one product of the patches (dim, values), one vector per region."""
        over_patch, over_region = self.combine.weight.split([self.config.dim, self.config.region_dim], dim=1)
        offset = self.combine.bias + over_patch @ self.patch_embed.bias + self.region_embed.weight @ over_region.T
        return over_patch @ self.patch_embed.weight, offset

    def spatial_term(self, at: Tensor) -> Tensor:
        """Term added to the attention scores of patches at (B, 43, 2) px: (B, 1, T, T), -inf between regions."""
        distance = manifold.pairwise(at.float())
        if self.config.spatial == "reference":
            # Padding has a term of 0. One token represents n patches of padding, so its term is log(n).
            term = F.pad(1 / (distance + 1e-8), (0, len(self.padding)) * 2)
            term[..., len(self.indices) :] = self.padding.float().log()
        else:
            term = 1 / distance.clamp_min(1)
            term = term * (1 - torch.eye(term.shape[-1], dtype=term.dtype, device=term.device))
        apart = self.regions[:, None] != self.regions
        return term.masked_fill(apart, float("-inf"))[:, None]

    def manifold_distance(self, vectors: Tensor) -> Tensor:
        """M of the regions' vectors (B, 6, dim): (B, 6, 6), 0 to 1, each row divided by its largest value."""
        with torch.autocast(vectors.device.type, enabled=False):
            lengths = manifold.shortest_paths(manifold.similarity_lengths(vectors.float()))
            if self.config.scaling == "classical":
                distances = manifold.classical_scaling(lengths, by_squaring=self.by_squaring)
            else:
                distances = manifold.pairwise(manifold.smacof(lengths, manifold.published_start(len(REGIONS))))
        return manifold.row_normalized(distances).to(vectors.dtype)

    def relate(self, vectors: Tensor, distances: Tensor) -> Tensor:
        """Graph convolutions over the regions' vectors (B, 6, dim) with M (B, 6, 6): (B, 6, dim)."""
        adjacency = self.alpha * distances + (1 - self.alpha) * self.AU_adj
        for layer in self.gcn:
            vectors = F.relu(adjacency @ layer(vectors))
        return vectors

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The layers inside regions except the last, (B, T, dim); the regions' vectors and the graph, (B, 6, dim)."""
        return *self.layers[:-1], self.region_proj, *self.gcn
