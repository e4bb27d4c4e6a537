"""FeatRef: features of each expression, refined from shared ones (Zhou et al., 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.fields import checked, each, whole
from htnet.models.base import EmotionModel, ModelConfig, make_classifier
from htnet.models.dual_inception import InceptionStream
from htnet.models.registry import WHOLE_FACE, register_model
from htnet.models.streams import FlowStreams, FlowStreamsConfig


@dataclass(frozen=True)
class FeatRefConfig(FlowStreamsConfig):
    """Settings of FeatRef.

    Attributes:
        filters: filters of each branch in the two inception blocks of a stream.
        hidden: width of the shared features, and of those of each expression.
        proposals: number of expressions that have features of their own; the proposal loss needs one per class.
    """

    filters: tuple[int, ...] = checked((6, 16), each(whole(), 2))
    hidden: int = checked(1024, whole())
    proposals: int = checked(3, whole())


@register_model("featref", spec=WHOLE_FACE, description="FeatRef: features of each expression from shared ones, 9.6 M")
class FeatRef(EmotionModel):
    """Shared features of two inception streams, refined for each expression by attention factors, and fused.

    Source: Zhou, Mao, Huang, Zhang and Zhang, "Feature refinement: an expression-specific feature learning and fusion
    method for micro-expression recognition", Pattern Recognition 122, 2022 (arXiv 2101.04838). From its abstract: an
    inception module over the flow gives shared features; an expression proposal module with attention factors and a
    proposal loss derives features of each expression from them; a classification branch fuses these.

    Parameters: 9,601,742. No published number was available.

    Deviations: only the abstract of the paper was available. These choices are therefore ours: the shared features are
    those of `htnet.models.DualInception`, by the same first author; attention factors are a sigmoid of one linear layer
    for each expression; an expression's proposal is a sigmoid of a linear score of its features; the fusion is the sum
    of the features, each times its proposal; dropout of 0.5. The proposal loss is binary cross-entropy
    (``proposal_weight`` of `htnet.training.Recipe`).
    """

    config_class: ClassVar[type[ModelConfig]] = FeatRefConfig
    config: FeatRefConfig

    def __init__(self, config: FeatRefConfig) -> None:
        super().__init__(config)
        first, second = config.filters
        self.flow = FlowStreams(config, lambda: InceptionStream(first, second))
        self.fc = nn.Linear(8 * second * config.pooled**2, config.hidden)
        self.drop = nn.Dropout(config.dropout)
        self.attention = nn.Linear(config.hidden, config.proposals * config.hidden)
        self.proposal = nn.Linear(config.hidden, config.proposals)
        self.head = make_classifier(config.hidden, config.num_classes)

    @property
    def proposals(self) -> int:
        """Number of proposals that ``forward(..., return_proposals=True)`` scores."""
        return self.config.proposals

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to the shared features (B, hidden)."""
        return self.drop(F.relu(self.fc(self.flow(self.standardize(x)).flatten(1))))

    def refine(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """Shared features (B, hidden) to those of each expression (B, P, hidden) and proposal scores (B, P)."""
        factors = self.attention(shared).unflatten(1, (self.config.proposals, -1)).sigmoid()
        own = factors * shared[:, None]
        # Written as an einsum: OpenVINO 2026.4.1 gives wrong numbers for a sum to which a bias is added.
        return own, torch.einsum("bpd,pd->bp", own, self.proposal.weight) + self.proposal.bias

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Shared features to class scores (B, num_classes), or to the fused features (B, hidden)."""
        return self._fuse(*self.refine(features), pre_logits)

    def _fuse(self, own: Tensor, proposals: Tensor, pre_logits: bool = False) -> Tensor:
        fused = (own * proposals.sigmoid()[..., None]).sum(dim=1)
        return fused if pre_logits else self.head(fused)

    @overload
    def forward(self, x: Tensor, *, return_proposals: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, *, return_proposals: Literal[True]) -> tuple[Tensor, Tensor]: ...

    def forward(self, x: Tensor, *, return_proposals: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Class scores.

        Args:
            x: (B, channels, image_size, image_size), range 0..255.
            return_proposals: return the proposals too.

        Returns:
            (B, num_classes) scores before the softmax; with ``return_proposals`` also (B, proposals) scores before the
            sigmoid.

        Raises:
            ModelError: the shape or the type is wrong.
        """
        if not return_proposals:
            return super().forward(x)
        own, proposals = self.refine(self.forward_features(self.check_image(x)))
        return self._fuse(own, proposals), proposals

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The streams."""
        return tuple(self.flow.streams)
