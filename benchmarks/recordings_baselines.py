"""Two published ways of spotting, written anew on the motion that htnet measures, to compare its detector with.

Both read the motion of 14 x 14 cells of the face within 0.2 s, the head's motion taken out (`recordings_data.Cells`),
which is more than the published programs have: those align the face by landmarks alone.

- MDMD, main directional maximal difference: Wang, Wu, Qian, Li and Fu, Neurocomputing 230, 2017, as modified for MEGC
  2020 by He, Wang, Li and Li (arXiv 1912.11985): frames above mean + p (max - mean) of a recording, joined to
  intervals; those that are too short or too long are left out.
- SOFTNet: Liong, See and Wong, ICIP 2021: a shallow network with three streams (motion to the right, motion downward,
  strain) that scores the interval around a frame; the score is smoothed, peaks above mean + p (max - mean) become
  intervals of the mean length. Here the streams read 14 x 14 cells in place of 42 x 42 px, the eyes masked as there,
  and one network scores both kinds where the published one is trained for each.

Their constants are chosen on development recordings, each kind at its best F1, like the detector's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.recordings_data import CELLS_AFTER, TrackFeatures
from htnet.recordings.grid import RATE

#: Rows of the grid within `CELLS_AFTER`.
STEP = round(CELLS_AFTER * RATE)
KINDS = ("micro", "macro")
#: Cells (rows, columns) of the eyes, which SOFTNet masks.
_EYES = (slice(3, 5), [2, 3, 4, 5, 8, 9, 10, 11])


@dataclass(frozen=True)
class Cut:
    """One stretch of a face: times of its rows, and the motion of its cells, (T, 3, 14, 14)."""

    times: np.ndarray
    cells: np.ndarray


def cuts_of(track: TrackFeatures) -> list[Cut]:
    """The stretches of a track on the grid of 30 rows a second."""
    found = []
    for first, last in track.segments:
        times = track.times[first : last + 1]
        count = int(np.floor((times[-1] - times[0]) * RATE + 1e-6)) + 1
        if count < 3 * STEP:
            continue
        at = times[0] + np.arange(count) / RATE
        nearest = np.abs(times[:, None] - at[None]).argmin(0) if len(times) < 50 else _nearest(times, at)
        cells = np.nan_to_num(track.cells[first : last + 1][nearest].astype(np.float32), nan=0.0)
        found.append(Cut(at, cells))
    return found


def _nearest(times: np.ndarray, at: np.ndarray) -> np.ndarray:
    right = np.searchsorted(times, at).clip(1, len(times) - 1)
    return right - (at - times[right - 1] < times[right] - at)


# --- MDMD ------------------------------------------------------------------------------------------------------------


def mdmd_curve(cut: Cut, steps: int) -> np.ndarray:
    """(T,) relative difference of each row, for a half length of ``steps`` times `CELLS_AFTER`."""
    flow = cut.cells[:, :2]
    count, reach = len(flow), steps * STEP
    if count <= 2 * reach:
        return np.zeros(count)  # shorter than what is compared
    total = np.zeros_like(flow)
    for k in range(steps):
        total[k * STEP :] += flow[: count - k * STEP]
    before = total  # from a half length before the row to the row
    both = np.zeros_like(total)  # from a half length before the row to one after it
    both[: count - reach] = total[: count - reach] + total[reach:]
    blocks = [
        part.reshape(count, 2, 7, 2, 7, 2).transpose(0, 2, 4, 1, 3, 5).reshape(count, 49, 2, 4)
        for part in (before, both)
    ]
    one, other = (np.hypot(part[:, :, 0], part[:, :, 1]) for part in blocks)
    direction = np.floor((np.arctan2(blocks[0][:, :, 1], blocks[0][:, :, 0]) / (np.pi / 2) + 0.5) % 4).astype(int)
    votes = np.stack([(direction == d).sum(-1) + 1e-3 * (one * (direction == d)).sum(-1) for d in range(4)], -1)
    main = direction == votes.argmax(-1)[..., None]
    difference = ((one - other) * main).sum(-1) / np.maximum(main.sum(-1), 1)
    top = np.sort(difference, axis=1)[:, -16:].mean(1)
    top[:reach] = top[count - reach :] = 0
    away = max(reach - 1, 1)
    relative = np.zeros(count)
    relative[away : count - away] = top[away : count - away] - 0.5 * (top[: count - 2 * away] + top[2 * away :])
    return np.maximum(relative, 0)


MDMD_CHOICES = {
    "steps": {"micro": (1,), "macro": (2, 4)},
    "p": (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
    "grow": (0, 2, 4, 6, 8),
    "lengths": {"micro": (0.1, 0.55), "macro": (0.5, 4.5)},
}


def mdmd_intervals(curves: list[tuple[Cut, np.ndarray]], p: float, grow: int, lengths: tuple[float, float]):
    """Intervals (start, peak, end, score) in s of one recording's face."""
    values = np.concatenate([curve for _, curve in curves]) if curves else np.zeros(1)
    limit = values.mean() + p * (values.max() - values.mean())
    for cut, curve in curves:
        over = np.concatenate([[0], (curve > limit).astype(int), [0]])
        for begin, end in zip(np.flatnonzero(np.diff(over) == 1), np.flatnonzero(np.diff(over) == -1) - 1, strict=True):
            top = begin + int(curve[begin : end + 1].argmax())
            low, high = max(begin - grow, 0), min(end + grow, len(curve) - 1)
            if lengths[0] <= cut.times[high] - cut.times[low] <= lengths[1]:
                yield cut.times[low], cut.times[top], cut.times[high], float(curve[top])


# --- SOFTNet ---------------------------------------------------------------------------------------------------------


class ThreeStreams(nn.Module):
    """Three shallow streams of 3, 5 and 8 filters, joined, 400 units, and a score for micro and macro each."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = nn.ModuleList(nn.Conv2d(1, filters, 3, padding=1) for filters in (3, 5, 8))
        self.join = nn.Sequential(nn.Flatten(), nn.Linear(16 * 7 * 7, 400), nn.ReLU(), nn.Linear(400, len(KINDS)))

    def forward(self, cells: Tensor) -> Tensor:
        """(N, 3, 14, 14) to (N, 2)."""
        parts = [functional.max_pool2d(functional.relu(s(cells[:, k : k + 1])), 2) for k, s in enumerate(self.streams)]
        return self.join(torch.cat(parts, dim=1))


def softnet_input(cells: np.ndarray) -> Tensor:
    """Cells with the eyes masked, scaled to about one."""
    found = torch.from_numpy(cells.copy())
    found[:, :, _EYES[0], _EYES[1]] = 0
    return found / torch.tensor([0.3, 0.3, 0.02])[:, None, None]


def softnet_labels(cut: Cut, events: list[dict]) -> Tensor:
    """(T, 2) 1 where the motion that a row shows is that of an expression's rise: the published pseudo-labels."""
    found = torch.zeros(len(cut.times), len(KINDS))
    for event in events:
        if event["kind"] in KINDS:
            inside = (cut.times > event["start"]) & (cut.times - CELLS_AFTER < event["end"])
            found[torch.from_numpy(inside), KINDS.index(event["kind"])] = 1
    return found


def train_softnet(cuts: list[tuple[Cut, list[dict]]], *, epochs: int = 10, seed: int = 0) -> ThreeStreams:
    """Train it as published: squared error, stochastic gradient descent; rows of no event thinned out."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    inputs, labels = [], []
    for cut, events in cuts:
        label = softnet_labels(cut, events)
        keep = (label.sum(1) > 0).numpy() | (rng.random(len(label)) < 0.33)
        inputs.append(softnet_input(cut.cells[keep]))
        labels.append(label[torch.from_numpy(keep)])
    x, y = torch.cat(inputs), torch.cat(labels)
    network = ThreeStreams()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-4)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(256):
            loss = functional.mse_loss(network(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def softnet_curve(network: ThreeStreams, cut: Cut, smooth: int) -> np.ndarray:
    """(T, 2) scores, smoothed over ``smooth`` rows to either side."""
    with torch.inference_mode():
        scores = torch.cat([network(part) for part in softnet_input(cut.cells).split(2048)]).numpy()
    total = np.concatenate([np.zeros((1, 2)), np.cumsum(scores, axis=0)])
    rows = np.arange(len(scores))
    low, high = np.maximum(rows - smooth, 0), np.minimum(rows + smooth + 1, len(scores))
    return (total[high] - total[low]) / (high - low)[:, None]


SOFTNET_CHOICES = {
    "p": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7),
    "length": {"micro": (0.25, 0.33, 0.4, 0.5), "macro": (0.8, 1.2, 1.6, 2.2)},
}


def softnet_intervals(curves: list[tuple[Cut, np.ndarray]], p: float, length: float):
    """Intervals (start, peak, end, score) in s around the peaks of one kind."""
    values = np.concatenate([curve for _, curve in curves]) if curves else np.zeros(1)
    limit = values.mean() + p * (values.max() - values.mean())
    apart = max(1, round(length * RATE / 2))
    for cut, curve in curves:
        tops: list[int] = []
        padded = np.pad(curve, 1, constant_values=-np.inf)
        for top in np.flatnonzero((curve >= limit) & (curve >= padded[:-2]) & (curve > padded[2:])):
            if tops and top - tops[-1] < apart:
                if curve[top] > curve[tops[-1]]:
                    tops[-1] = int(top)
            else:
                tops.append(int(top))
        for top in tops:
            at = cut.times[top] - CELLS_AFTER / 2
            start, end = max(at - length / 2, cut.times[0]), min(at + length / 2, cut.times[-1])
            yield start, min(max(at, start), end), end, float(curve[top])
