"""Dual-stream HTNet: a patch transformer over the flow image, and an LSTM over motion features of the clip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, overload

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.fields import checked, one_of, whole
from htnet.kernels import block_attention
from htnet.models.base import EmotionModel, ModelConfig, make_classifier
from htnet.models.input_range import refuse_not_finite, require_tensor
from htnet.models.registry import WHOLE_FACE, register_model

#: Ways to combine the two streams.
FUSIONS = ("concat", "gated")
#: Kernel size of the convolution that computes the spatial gate, in patches.
GATE_SIDE = 7


@dataclass(frozen=True)
class DualStreamConfig(ModelConfig):
    """Settings of the dual-stream HTNet; the defaults are the published ones.

    Attributes:
        patch_size: side of a patch, px.
        dim: width of the appearance stream.
        heads: attention heads of the appearance stream.
        motion_features: motion features of one frame.
        motion_dim: width of the motion stream.
        hidden: width of the layer between the concatenated streams and the classes.
        fusion: "concat" as published, or "gated"; see `DualStreamHTNet`.
    """

    patch_size: int = checked(7, whole())
    dim: int = checked(128, whole())
    heads: int = checked(4, whole())
    motion_features: int = checked(64, whole())
    motion_dim: int = checked(128, whole())
    hidden: int = checked(64, whole())
    fusion: str = checked("concat", one_of(FUSIONS))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_multiple("image_size", "patch_size")
        self.require_multiple("dim", "heads")

    @property
    def side(self) -> int:
        """Patches along one side of the image."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, eq=False)
class DualStreamMaps:
    """Attention maps of `DualStreamHTNet`: B samples, S patches per side, N = S * S patches row by row, T frames.

    Attributes:
        logits: (B, num_classes), the class scores.
        spatial_gate: (B, S, S), factor of each patch, 0..1.
        patch_attention: (B, heads, N, N), attention of each patch (row) to each patch (column); rows sum to 1.
        temporal_attention: (B, T), weight of each frame, sums to 1; None without motion.
        stream_weights: (B, 2), weights of appearance and motion, sum to 1; None unless the fusion is gated and there
            is motion. Both are equal for samples without motion.
    """

    logits: Tensor
    spatial_gate: Tensor
    patch_attention: Tensor
    temporal_attention: Tensor | None
    stream_weights: Tensor | None

    @property
    def regions(self) -> Tensor:
        """(B, S, S), the share of the attention that each patch received: the mean over heads and rows, sums to 1."""
        side = self.spatial_gate.shape[-1]
        return self.patch_attention.mean(dim=(1, 2)).unflatten(-1, (side, side))


class SpatialGate(nn.Module):
    """Spatial gate: one factor per patch, computed from the patches around it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, 1, GATE_SIDE, padding=GATE_SIDE // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S, S) to (B, 1, S, S), 0..1."""
        return self.conv(x).sigmoid()


class PatchAttention(nn.MultiheadAttention):
    """Multi-head attention with the parameters of PyTorch's, computed by `htnet.kernels.block_attention`."""

    def read(self, x: Tensor) -> Tensor:
        """Attention output: (B, N, C) to the same shape."""
        q, k, v = rearrange(
            F.linear(x, self.in_proj_weight, self.in_proj_bias), "b n (t h d) -> t b h n d", t=3, h=self.num_heads
        )
        return self.out_proj(rearrange(block_attention(q, k, v), "b h n d -> b n (h d)"))

    def read_with_weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `read`, and the attention weights (B, heads, N, N), which `read` does not compute explicitly."""
        read, weights = self(x, x, x, average_attn_weights=False)
        return read, weights


class AppearanceStream(nn.Module):
    """Patches of the image: spatial gate, positions, one post-norm transformer block, mean."""

    def __init__(self, config: DualStreamConfig) -> None:
        super().__init__()
        dim, p = config.dim, config.patch_size
        self.proj = nn.Conv2d(config.channels, dim, p, stride=p)
        self.spatial_attn = SpatialGate(dim)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, config.side**2, dim))
        self.attn = PatchAttention(dim, config.heads, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.fc = nn.Linear(dim, dim)

    def forward(self, x: Tensor, need_maps: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, channels, H, W) to features (B, dim), gate (B, S, S) and, if requested, attention (B, heads, N, N)."""
        x = self.proj(x)
        gate = self.spatial_attn(x)
        x = rearrange(x * gate, "b c h w -> b (h w) c") + self.pos_embed
        read, attention = self.attn.read_with_weights(x) if need_maps else (self.attn.read(x), None)
        x = self.norm1(x + read)
        x = self.norm2(x + self.mlp(x))
        return self.fc(x.mean(dim=1)), gate[:, 0], attention


class TemporalPooling(nn.Module):
    """Weighted mean over time.

    The bias of the published layer is omitted: the softmax is invariant to it, so it never receives a gradient and
    never affects the output.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc = nn.Linear(dim, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, C) to the mean (B, C) and its weights (B, T)."""
        weights = self.fc(x).softmax(dim=1)
        return (weights * x).sum(dim=1), weights[..., 0]


class LSTM(nn.Module):
    """One layer of `torch.nn.LSTM`, batch first.

    The parameters and the operation are the same, but torch.compile breaks its graph at every use of PyTorch's module
    (2.13), and not at this one.
    """

    weight_ih_l0: nn.Parameter
    weight_hh_l0: nn.Parameter
    bias_ih_l0: nn.Parameter
    bias_hh_l0: nn.Parameter

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        plain = nn.LSTM(features, hidden, batch_first=True)
        for name, parameter in plain.named_parameters():
            self.register_parameter(name, parameter)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, features) to the states (B, T, hidden)."""
        start = x.new_zeros(1, x.shape[0], self.hidden)
        weights: list[Tensor] = [self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0]
        out: Tensor = torch.lstm(x, [start, start], weights, True, 1, 0.0, self.training, False, True)[0]
        return out


class MotionStream(nn.Module):
    """Motion features frame by frame: LSTM, then a weighted mean over time."""

    def __init__(self, config: DualStreamConfig) -> None:
        super().__init__()
        self.lstm = LSTM(config.motion_features, config.motion_dim)
        self.attn = TemporalPooling(config.motion_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, motion_features) to features (B, motion_dim) and the frames' weights (B, T)."""
        pooled: tuple[Tensor, Tensor] = self.attn(self.lstm(x))
        return pooled


@register_model(
    "htnet_dual_stream",
    # The published composite has no clips, so models trained on it must not read motion. For data with clips, set
    # clip_frames=16.
    spec=replace(WHOLE_FACE, clip_frames=0),
    description="appearance and motion streams, 0.26 M; motion from clips",
)
class DualStreamHTNet(EmotionModel):
    """Dual-stream HTNet (appearance and motion): HTNet "modified with enhanced attention".

    The appearance stream reads the flow image, the motion stream `htnet.preprocess.motion_features` of the clip.
    Without motion, 128 zeros replace the motion stream's features, as in the reference. Samples with and without
    motion can share a batch: motion that is 0 throughout counts as missing.

    ``fusion="gated"`` is the re-weighting that the reference describes but does not implement: one linear layer reads
    both streams' features and a softmax turns its output into two weights; each stream is multiplied by twice its
    weight before concatenation. The layer is initialized with zeros, so training starts from "concat". Without motion
    the two fusions are the same.

    Numerically the same function as the reference, with the same parameter names.
    """

    config_class: ClassVar[type[ModelConfig]] = DualStreamConfig
    classifier_name: ClassVar[str] = "fc.2"
    extra_inputs: ClassVar[tuple[str, ...]] = ("motion",)
    config: DualStreamConfig

    def __init__(self, config: DualStreamConfig) -> None:
        super().__init__(config)
        both = config.dim + config.motion_dim
        self.appearance = AppearanceStream(config)
        self.motion = MotionStream(config)
        self.gate = nn.Linear(both, 2) if config.fusion == "gated" else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)
        self.drop = nn.Dropout(config.dropout)
        hidden = nn.Linear(both, config.hidden)  # created before the last layer: the order fixes the random weights
        self.fc = nn.Sequential(hidden, nn.ReLU(), make_classifier(config.hidden, config.num_classes))

    @overload
    def forward(self, x: Tensor, motion: Tensor | None = None, *, return_maps: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, motion: Tensor | None = None, *, return_maps: Literal[True]) -> DualStreamMaps: ...

    def forward(self, x: Tensor, motion: Tensor | None = None, *, return_maps: bool = False) -> Tensor | DualStreamMaps:
        """Class scores.

        Args:
            x: (B, channels, image_size, image_size) of an integer or floating-point type, in the order and range of
                the published flow images: strain, v, u; 0..255.
            motion: (B, T, motion_features) float, see `htnet.preprocess.motion_features`; None, or zeros for some
                samples, if there is only a pair of frames or a flow image.
            return_maps: return `DualStreamMaps`, which also contain the scores.

        Returns:
            (B, num_classes) scores before the softmax, or the maps.

        Raises:
            ModelError: a shape is wrong.
        """
        features, gate, attention, frames, weights = self._streams(self.check_image(x), motion, return_maps)
        logits = self.forward_head(features)
        return logits if attention is None else DualStreamMaps(logits, gate, attention, frames, weights)

    def forward_features(self, x: Tensor, motion: Tensor | None = None) -> Tensor:
        """Image (B, channels, H, W), 0..255, and motion to the concatenated streams (B, dim + motion_dim)."""
        return self._streams(x, motion, False)[0]

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Concatenated streams to class scores (B, num_classes), or to the layer before them (B, hidden)."""
        hidden = self.fc[:2](self.drop(features))
        return hidden if pre_logits else self.fc[2](hidden)

    def _streams(
        self, x: Tensor, motion: Tensor | None, need_maps: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """Concatenated streams, spatial gate, and attention over patches, frames and streams if there is one."""
        appearance, gate, attention = self.appearance(self.standardize(x), need_maps)
        if motion is None:
            absent = appearance.new_zeros(appearance.shape[0], self.config.motion_dim)
            return torch.cat([appearance, absent], dim=1), gate, attention, None, None
        self._check_motion(motion, x)
        present = motion.flatten(1).any(dim=1, keepdim=True)
        moved, frames = self.motion(motion.to(x.dtype))
        moved = moved * present
        joined = torch.cat([appearance, moved], dim=1)
        if self.gate is None:
            return joined, gate, attention, frames, None
        weights = self.gate(joined).softmax(dim=1).where(present, 0.5)
        joined = torch.cat([2 * weights[:, :1] * appearance, 2 * weights[:, 1:] * moved], dim=1)
        return joined, gate, attention, frames, weights

    def _check_motion(self, motion: Tensor, images: Tensor) -> None:
        wanted, batch = self.config.motion_features, images.shape[0]  # len() would fix it in an exported model
        require_tensor(self.name, "motion", motion, images.device)
        if motion.ndim != 3 or motion.shape[0] != batch or motion.shape[1] < 1 or motion.shape[2] != wanted:
            raise ModelError(
                f"{self.name} got motion of shape {tuple(motion.shape)} for {batch} images; give ({batch}, frames, "
                f"{wanted}), see htnet.preprocess.motion_features, or None if there is no clip."
            )
        if not self.training:  # training checks its loss instead, and names the samples
            refuse_not_finite(self.name, "motion", motion, "finite features")

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """Patches, and the transformer block after them."""
        return self.appearance.proj, self.appearance.norm2

    def stage_map(self, output: Tensor) -> Tensor:
        """Tokens (B, S * S, C) to (B, C, S, S)."""
        side = self.config.side
        return output if output.ndim == 4 else output.mT.unflatten(2, (side, side))
