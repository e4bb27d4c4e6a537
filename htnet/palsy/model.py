"""HTNet for facial palsy: House-Brackmann grades from one picture of a face."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, overload

from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.fields import checked, flag, whole
from htnet.models.base import ModelConfig
from htnet.models.htnet import HierarchicalModel, HTNetConfig, Level, block_sizes
from htnet.models.registry import register_model
from htnet.palsy.micro_attention import Maps, MicroAttention, MicroBlock
from htnet.palsy.roi import RoiModule

#: The grades of House and Brackmann (1985): I is a normal face, VI total palsy.
HOUSE_BRACKMANN = ("I", "II", "III", "IV", "V", "VI")
PALSY_LABELS: Mapping[int, tuple[str, ...]] = MappingProxyType({len(HOUSE_BRACKMANN): HOUSE_BRACKMANN})


@dataclass(frozen=True)
class HTNetPalsyConfig(HTNetConfig):
    """Settings of the palsy HTNet; the defaults are the published ones.

    Attributes:
        use_micro_attention: every second layer of a level attends to neighbors only and amplifies asymmetric positions.
        use_roi_module: regions and background are separated before the first level.
        num_roi_regions: number of region maps.
    """

    image_size: int = 224
    num_classes: int = 6
    use_micro_attention: bool = checked(True, flag())
    use_roi_module: bool = checked(True, flag())
    num_roi_regions: int = checked(5, whole())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.use_roi_module and self.dim < 2:
            raise ModelError(f"dim is {self.dim}; the ROI module halves it: give 2 or more, or use_roi_module=False.")


@dataclass(frozen=True, eq=False)
class PalsyMaps:
    """Scores and maps of a palsy model for B faces.

    Attributes:
        logits: (B, num_classes), the class scores.
        roi_maps: (B, regions, H, W), 0..1, how much each position belongs to each region; None without ROI module.
            The regions are learned and have no names.
        roi_mask: (B, 1, H, W), 0..1, how much of each position is used; None without ROI module.
        asymmetry: (B, H, W), 0..1, for each layer that compares left with right, in order; H and W are those of its
            level. The higher the value, the more the layer amplified the position.
    """

    logits: Tensor
    roi_maps: Tensor | None
    roi_mask: Tensor | None
    asymmetry: tuple[Tensor, ...]


class MapsLevel(Level):
    """A level in which every second layer compares left with right and reports a map, if the design asks for it.

    Attributes:
        attention_class: attention of these layers.
    """

    attention_class: ClassVar[Callable[..., nn.Module]]

    def __init__(self, config: HTNetConfig, index: int) -> None:
        super().__init__(config, index)
        if index == config.num_hierarchies - 1 and not self.last_has_positions(config):
            self.pos_emb = None

    def compares(self, config: HTNetConfig) -> bool:
        """Whether there are layers that compare left with right."""
        raise NotImplementedError

    def last_has_positions(self, config: HTNetConfig) -> bool:
        """Whether anything can use the positional embedding of the last level."""
        raise NotImplementedError

    def make_block(self, config: HTNetConfig, index: int, depth: int) -> nn.Module:
        """Transformer block number ``depth`` of level ``index``."""
        if not (self.compares(config) and is_micro_layer(depth)):
            return super().make_block(config, index, depth)
        s = block_sizes(config, index)
        attention = self.attention_class(
            s["dim"], s["heads"], s["head_dim"], s["blocks"], s["dropout"], side=config.block_side
        )
        return MicroBlock(s["dim"], attention, s["mult"], s["dropout"])

    def forward(self, x: Tensor, maps: Maps | None = None) -> Tensor:
        """(B, H, W, C) to the map of the next level; maps (B, H, W) are appended to ``maps``."""
        x = self.add_positions(x)
        for layer in self.layers:
            x = layer(x, maps) if isinstance(layer, MicroBlock) else layer(x)
        return self.down(x)


def is_micro_layer(depth: int) -> bool:
    """Whether layer ``depth`` of a level, from 0, compares left with right; every second one does."""
    return depth % 2 == 1


class PalsyLevel(MapsLevel):
    """A level of the palsy HTNet.

    The last level has no positional embedding. It adds the same number to all channels of a token, and from there on
    every layer, including the head, starts with a channel norm that removes it: the published one never had an effect.
    """

    attention_class = MicroAttention

    def compares(self, config: HTNetConfig) -> bool:
        """Whether the config asks for micro-attention."""
        return isinstance(config, HTNetPalsyConfig) and config.use_micro_attention

    def last_has_positions(self, config: HTNetConfig) -> bool:
        """Always False."""
        return False


class FaceGradeModel(HierarchicalModel):
    """Base class of both palsy designs: they read a face, and return their maps on request."""

    input_kind: ClassVar[str] = "face"
    labels_by_number: ClassVar[Mapping[int, tuple[str, ...]]] = PALSY_LABELS

    @overload
    def forward(self, x: Tensor, *, return_maps: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, *, return_maps: Literal[True]) -> PalsyMaps: ...

    def forward(self, x: Tensor, *, return_maps: bool = False) -> Tensor | PalsyMaps:
        """Class scores.

        Args:
            x: (B, channels, image_size, image_size) of a whole-number or floating-point type, an aligned face: red,
                green, blue; 0..255.
            return_maps: return `PalsyMaps`, which contain the scores too; ROI maps and mask are from the ROI module.

        Returns:
            (B, num_classes) scores before the softmax, or the maps.

        Raises:
            ModelError: the shape is wrong, or the batch has one face in training (`HTNetPalsy` with the ROI module).
        """
        asymmetry: Maps | None = [] if return_maps else None
        features, maps, mask = self._features(self.check_image(x), asymmetry)
        logits = self.forward_head(features)
        return logits if asymmetry is None else PalsyMaps(logits, maps, mask, tuple(asymmetry))

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to the last map (B, side, side, width)."""
        return self._features(x, None)[0]

    def _features(self, x: Tensor, asymmetry: Maps | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The last map, region maps (B, regions, H, W) and mask (B, 1, H, W)."""
        raise NotImplementedError


@register_model("htnet_palsy", description="House-Brackmann grades of a 224 px face, as published, 151.9 M")
@register_model(
    "htnet_palsy_small",
    image_size=112,
    # Like htnet_small, whose blocks all fit; every level has a second one, since only that compares left with right.
    dim=64,
    heads=4,
    block_repeats=(2, 2, 2),
    description="the same at 112 px, 64 wide, (2, 2, 2), takes the weights of htnet_small",
)
@register_model(
    "htnet_palsy_tiny",
    image_size=112,
    dim=32,
    heads=2,
    block_repeats=(2, 2, 2),
    description="the same at 112 px, 32 wide, (2, 2, 2)",
)
class HTNetPalsy(FaceGradeModel):
    """HTNet with micro-attention and an ROI module, for grades of facial palsy.

    Reads a face, not a flow image. Numerically the same function as the published implementation.
    """

    config_class: ClassVar[type[ModelConfig]] = HTNetPalsyConfig
    level_class: ClassVar[type[Level]] = PalsyLevel
    config: HTNetPalsyConfig

    def __init__(self, config: HTNetPalsyConfig) -> None:
        super().__init__(config)
        side = config.image_size // config.patch_size
        self.roi = RoiModule(config.dim, side, config.num_roi_regions) if config.use_roi_module else None

    def _features(self, x: Tensor, asymmetry: Maps | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The last map, region maps (B, regions, H, W) and mask (B, 1, H, W)."""
        x = self.embed(x)
        maps = mask = None
        if self.roi is not None:
            x, maps, mask = self.roi(x)
            maps, mask = maps.permute(0, 3, 1, 2), mask.permute(0, 3, 1, 2)
        for level in self.levels:
            x = level(x, asymmetry)
        return x, maps, mask
