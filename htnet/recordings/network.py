"""The network that finds events in the curves of a face."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from htnet.core.events import EVENT_KINDS
from htnet.recordings.grid import INPUTS, PATTERNS
from htnet.recordings.regions import REGIONS

#: Dilations of the layers, one stack after the other: at 30 rows per second each row sees about 4 s to either side.
_DILATIONS = (1, 2, 4, 8, 16, 32, 1, 2, 4, 8, 16, 32)
#: Logit of the cores before training.
_RARE = -4.6


@dataclass(frozen=True)
class RowScores:
    """What the network says of each row; K kinds in the order of `htnet.core.events.EVENT_KINDS`.

    Attributes:
        core: (..., K, T) logits that the row lies in the middle part of an event.
        inside: (..., K, T) logits that the row lies within an event.
        reach: (..., K, 2, T) natural logarithm of the rows from the onset to the row and from the row to the offset.
        apex: (..., K, T) rows from the row to the apex.
        top: (..., K, T) logits that the row is the apex, of rows within an event.
        level: (..., 2, T) natural logarithm of the skin's displacement by micro- and macro-expressions, px.
    """

    core: Tensor
    inside: Tensor
    reach: Tensor
    apex: Tensor
    top: Tensor
    level: Tensor


class _Layer(nn.Module):
    """A residual layer: dilated convolution over time, then mixing of channels."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.spread = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.norm(x.transpose(1, 2)).transpose(1, 2) * mask
        y = nn.functional.gelu(self.spread(y))
        return x + self.dropout(self.mix(y)) * mask


class EventNetwork(nn.Module):
    """A residual network of dilated convolutions over time (Lea et al., CVPR 2017; WaveNet, 2016) with heads as in
    anchor-free detection of actions (ActionFormer, Zhang, Wu and Li, ECCV 2022): each row says whether it lies in the
    middle of an event, and how far it is to onset, apex and offset.

    Args:
        width: channels.
        dropout: share of the channels that training leaves out.

    Attributes:
        mean: (`INPUTS`,) of the columns that were trained on.
        scale: (`INPUTS`,) their standard deviations.
        patterns: of expressions, see `htnet.recordings.grid.network_inputs`.
        reach: rows to either side that have a say in what a row scores.
    """

    mean: Tensor
    scale: Tensor
    patterns: Tensor

    def __init__(self, width: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        kinds = len(EVENT_KINDS)
        self.register_buffer("mean", torch.zeros(INPUTS))
        self.register_buffer("scale", torch.ones(INPUTS))
        self.register_buffer("patterns", torch.zeros(2 * PATTERNS, 2 * len(REGIONS)))
        self.enter = nn.Sequential(nn.Conv1d(INPUTS, width, 1), nn.GELU(), nn.Dropout(dropout))
        self.spread = nn.Conv1d(width, width, 3, padding=1)
        self.layers = nn.ModuleList(_Layer(width, dilation, dropout) for dilation in _DILATIONS)
        self.norm = nn.LayerNorm(width)
        # The convolution before the layers and the one in the heads see one row to either side.
        self.reach = sum(_DILATIONS) + 2
        last = nn.Conv1d(width, 6 * kinds + 2, 1)
        if last.bias is not None:
            nn.init.constant_(last.bias[:kinds], _RARE)  # events are rare
        self.heads = nn.Sequential(nn.Conv1d(width, width, 3, padding=1), nn.GELU(), last)
        self._sizes = (kinds, kinds, 2 * kinds, kinds, kinds, 2)

    def forward(self, rows: Tensor, mask: Tensor | None = None) -> RowScores:
        """Score every row.

        Args:
            rows: (B, T, `INPUTS`).
            mask: (B, T), 1 if there is a row, 0 in padding; None for no padding.
        """
        keep = torch.ones(rows.shape[:2], dtype=rows.dtype, device=rows.device) if mask is None else mask.to(rows)
        keep = keep[:, None]
        x = (((rows - self.mean) / self.scale).clamp(-8, 8)).transpose(1, 2) * keep
        x = self.spread(self.enter(x) * keep) * keep
        for layer in self.layers:
            x = layer(x, keep)
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        core, inside, reach, apex, top, level = self.heads(x * keep).split(self._sizes, dim=1)
        return RowScores(core, inside, reach.unflatten(1, (-1, 2)), 10 * apex, top, level)
