"""CapsuleNet for micro-expressions: capsules over the first stages of ResNet-18 (Van Quang et al., FG 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.fields import checked, each, whole
from htnet.models.base import EmotionModel, ModelConfig, NoClassifier
from htnet.models.registry import WHOLE_FACE, register_model
from htnet.models.streams import resized


@dataclass(frozen=True)
class CapsuleNetConfig(ModelConfig):
    """Settings of CapsuleNet.

    Attributes:
        read_size: side that the image is first resized to, px.
        widths: channels of the three stages of ResNet-18.
        primary_kernel: side of the convolution that makes the primary capsules.
        primary_maps: primary capsules at each position.
        primary_dim: dimension of a primary capsule.
        class_dim: dimension of a class capsule.
        routing: iterations of the dynamic routing.
    """

    read_size: int = checked(224, whole())
    widths: tuple[int, ...] = checked((64, 128, 256), each(whole(), 3))
    primary_kernel: int = checked(9, whole())
    primary_maps: int = checked(32, whole())
    primary_dim: int = checked(8, whole())
    class_dim: int = checked(16, whole())
    routing: int = checked(3, whole())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side < 1:
            raise ModelError(
                f"primary_kernel {self.primary_kernel} is larger than the map of {self.side + self.primary_kernel - 1} "
                f"px that read_size {self.read_size} leaves; give a smaller one, or a larger image."
            )

    @property
    def side(self) -> int:
        """Side of the map of primary capsules."""
        return -(-self.read_size // 16) - self.primary_kernel + 1  # four layers of stride 2 round up

    @property
    def primary_capsules(self) -> int:
        """Number of primary capsules."""
        return self.primary_maps * self.side**2


def squash(x: Tensor) -> Tensor:
    """Shorten vectors to lengths below 1 and keep the order of the lengths: x |x| / (1 + |x|²), last dimension."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * length / (1 + length.square())


class ClassCapsules(nn.Module):
    """Class capsules by dynamic routing over primary capsules; their lengths are the scores.

    Source: Sabour, Frosst and Hinton, "Dynamic routing between capsules", NeurIPS 2017.

    Attributes:
        in_features: number of values of all primary capsules together.
        weight: (classes, primary capsules, class_dim, primary_dim).
    """

    def __init__(self, config: CapsuleNetConfig, num_classes: int) -> None:
        super().__init__()
        self.routing, self.shape = config.routing, (config.primary_capsules, config.primary_dim)
        self.in_features = config.primary_capsules * config.primary_dim
        size = (num_classes, config.primary_capsules, config.class_dim, config.primary_dim)
        self.weight = nn.Parameter(0.1 * torch.randn(size))

    def forward(self, x: Tensor) -> Tensor:
        """Primary capsules (B, in_features) to lengths of class capsules (B, classes), 0 to 1."""
        return torch.linalg.vector_norm(self.capsules(x), dim=-1)

    def capsules(self, x: Tensor) -> Tensor:
        """Primary capsules (B, in_features) to class capsules (B, classes, class_dim)."""
        votes = torch.einsum("bid,kiod->bkio", x.unflatten(1, self.shape), self.weight)
        agreement = votes.new_zeros(votes.shape[:3])
        for last in [False] * (self.routing - 1) + [True]:
            capsules = squash((agreement.softmax(dim=1)[..., None] * votes).sum(dim=2))
            if not last:
                agreement = agreement + (votes * capsules[:, :, None]).sum(dim=-1)
        return capsules


@register_model(
    "capsulenet",
    spec=WHOLE_FACE,
    description="capsules over three stages of ResNet-18; 28 px enlarged to 224, 9.1 M",
)
@register_model(
    "capsulenet_tiny",
    spec=WHOLE_FACE,
    description="CapsuleNet, images enlarged to 56 px, narrow; for tests",
    read_size=56,
    widths=(16, 24, 32),
    primary_kernel=3,
    primary_maps=8,
)
class CapsuleNet(EmotionModel):
    """Class capsules by routing over primary capsules, on the map of the first three stages of ResNet-18.

    The scores are the lengths of the class capsules, 0 to 1, for the margin loss (`htnet.training`, recipe
    "capsulenet"); probabilities are a softmax of them, which a temperature sharpens.

    Source: Van Quang, Chun and Tokuyama, "CapsuleNet for micro-expression recognition", FG 2019: capsules of Sabour et
    al. (2017) on a convolutional network that reads the apex frame. From descriptions of it: images of 224 px, a ResNet
    whose map has 256 channels, one more convolution, 32 x 6 x 6 primary capsules of dimension 8, class capsules of
    dimension 16, and a margin loss.

    Parameters: 9,123,904. No published number was available.

    Deviations: it reads the flow image instead of the apex frame, enlarged from 28 to 224 px by bilinear
    interpolation, and starts from fresh weights instead of ImageNet's. Only the abstract of the paper was available.
    These choices are therefore ours: the depth of 18 (three stages of ResNet-18 give 256 channels of 14 x 14), the 3x3
    kernel of the convolution after it, the 9x9 kernel of the primary capsules (that of Sabour et al., which reduces
    14 x 14 to 6 x 6), and three iterations of routing, all of which pass gradients. There is no decoder.
    """

    config_class: ClassVar[type[ModelConfig]] = CapsuleNetConfig
    classifier_name: ClassVar[str] = "classes"
    config: CapsuleNetConfig

    def __init__(self, config: CapsuleNetConfig) -> None:
        super().__init__(config)
        a, b, c = config.widths
        self.stem = nn.Sequential(
            nn.Conv2d(config.channels, a, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(a),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.layer1 = nn.Sequential(BasicBlock(a, a, 1), BasicBlock(a, a, 1))
        self.layer2 = nn.Sequential(BasicBlock(a, b, 2), BasicBlock(b, b, 1))
        self.layer3 = nn.Sequential(BasicBlock(b, c, 2), BasicBlock(c, c, 1))
        self.conv = nn.Conv2d(c, c, 3, padding=1)
        self.primary = nn.Conv2d(c, config.primary_maps * config.primary_dim, config.primary_kernel)
        self.drop = nn.Dropout(config.dropout)
        self.classes = self.fresh_classifier(config.num_classes)

    def fresh_classifier(self, num_classes: int) -> nn.Module:
        """Fresh class capsules; an identity for 0 classes."""
        if num_classes:
            return ClassCapsules(self.config, num_classes)
        return NoClassifier(self.config.primary_capsules * self.config.primary_dim)

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to primary capsules (B, capsules, primary_dim)."""
        x = self.stem(resized(self.standardize(x), self.config.read_size))
        x = self.primary(F.relu(self.conv(self.layer3(self.layer2(self.layer1(x))))))
        return squash(x.unflatten(1, (self.config.primary_maps, -1)).permute(0, 1, 3, 4, 2).flatten(1, 3))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Primary capsules to class scores (B, num_classes), or to their flattened values (B, in_features)."""
        flat = self.drop(features.flatten(1))
        scores: Tensor = flat if pre_logits else self.classes(flat)
        return scores

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The stages of ResNet-18, and the convolution of the primary capsules."""
        return self.layer1, self.layer2, self.layer3, self.primary


class BasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions (He et al., "Deep residual learning for image recognition", CVPR 2016)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.down: nn.Module = nn.Identity()
        if stride > 1 or inputs != width:
            self.down = nn.Sequential(nn.Conv2d(inputs, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, width, H / stride, W / stride)."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.down(x))
