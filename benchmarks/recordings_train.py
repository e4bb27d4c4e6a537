"""Train the event detector on generated recordings alone.

    python -m benchmarks.recordings_train --data /tmp/recordings --out /tmp/detector.pt

Needs what `benchmarks.recordings_data train` and `... development` wrote. Nothing but development recordings is looked
at for any choice; the test is scored by `benchmarks.recordings`.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from benchmarks.recordings import read, tuned
from benchmarks.recordings_augment import Adder, draw_patterns, typical_patterns
from benchmarks.recordings_data import kept_files, load
from htnet.core.events import EVENT_KINDS, EXPRESSION_KINDS
from htnet.recordings.detector import EventDetector
from htnet.recordings.grid import INPUTS, RATE, Noise, even_rows, mirrored, network_inputs, noise_of
from htnet.recordings.network import EventNetwork, RowScores

#: Rows of a window that is trained on.
WINDOW = 480
#: Rows at most this share of an event's length from its middle are its core; up to the second they are not scored.
CORE, EDGE = 0.2, 0.35
#: Of the moving average of weights that is kept.
EMA_DECAY = 0.995


#: Rows around the apex that look like it (standard deviation).
TOP = 1.2

#: Epochs between two looks at the development recordings.
WATCHED = 6
#: Windows of a step.
BATCH = 12
#: Expressions that are added to a window, on average.
ADDED = 2.5
#: Share of the windows with more noise and turning of the head than was measured.
DISTURBED = 0.6
#: Expressions whose patterns are drawn.
PATTERNS = 3000


#: An event: kind, onset, apex and offset in s from the first row of its stretch.
Moments = tuple[str, float, float, float]


@dataclass(frozen=True)
class Stretch:
    """One stretch of a face on the grid, with what happens in it and how far expressions move the skin."""

    name: str  # of the recording
    face: int  # its number there
    start: float  # s
    even: np.ndarray  # (T, features)
    noise: Noise
    events: list[Moments]
    level: np.ndarray  # (2, T) px


def targets(count: int, events: list[Moments]) -> dict[str, np.ndarray]:
    """What is true of ``count`` rows."""
    kinds = len(EVENT_KINDS)
    at = np.arange(count)
    found = {
        "core": np.zeros((kinds, count), np.float32),
        "share": np.zeros((kinds, count), np.float32),
        "told": np.ones((kinds, count), np.float32),
        "inside": np.zeros((kinds, count), np.float32),
        "reach": np.zeros((kinds, 2, count), np.float32),
        "apex": np.zeros((kinds, count), np.float32),
        "top": np.zeros((kinds, count), np.float32),
        "near": np.zeros((kinds, count), np.float32),
    }
    for name, *moments in events:
        onset, apex, offset = (moment * RATE for moment in moments)
        if name not in EVENT_KINDS or offset < 0 or onset > count - 1:
            continue
        kind = EVENT_KINDS.index(name)
        middle, length = (onset + offset) / 2, offset - onset
        away = np.abs(at - middle)
        core = away <= max(0.75, CORE * length)
        inside = (at >= onset) & (at <= offset)
        found["told"][kind, (away <= EDGE * length) & ~core] = 0
        found["core"][kind, core] = 1
        found["share"][kind, core] = 1 / max(core.sum(), 1)
        found["inside"][kind, inside] = 1
        found["reach"][kind, 0, core] = np.log(np.maximum(at - onset, 0.5))[core]
        found["reach"][kind, 1, core] = np.log(np.maximum(offset - at, 0.5))[core]
        found["apex"][kind, core] = (apex - at)[core]
        near = (at >= onset - 0.15 * length - 1) & (at <= offset + 0.15 * length + 1)
        found["near"][kind, near] = 1 / max(near.sum(), 1)
        found["top"][kind, near] = np.exp(-0.5 * ((at - apex) / TOP) ** 2)[near]
    found["told"] = np.maximum(found["told"], found["core"])
    return found


def stretches(path: Path) -> list[Stretch]:
    """All stretches of one recording."""
    about, tracks, truth = load(path)
    found = []
    for number, track in enumerate(tracks):
        if track.truth is None:
            continue
        events = [event for event in about["truth"]["events"] if event["track"] == track.truth]
        for first, last in track.segments:
            if last - first < 4:
                continue
            rows = slice(first, last + 1)
            at, even = even_rows(track.times[rows], track.features[rows])
            nearest = np.searchsorted(track.times[rows], at - 1e-6).clip(0, last - first)
            level = truth[f"levels{track.truth}"][track.frames[rows][nearest]].T
            moments = [(e["kind"], *(e[name] - at[0] for name in ("start", "peak", "end"))) for e in events]
            place = (path.stem, number, float(at[0]))
            found.append(Stretch(*place, even, noise_of(even), moments, np.nan_to_num(level, nan=0.0)))
    return found


def window(
    item: Stretch,
    others: list[Stretch],
    adder: Adder,
    nuisance: np.ndarray,
    patterns: np.ndarray,
    share: float,
    rng: np.random.Generator,
) -> dict[str, torch.Tensor]:
    """A random window of a stretch with more expressions in it, padded to its length."""
    start = int(rng.integers(0, max(1, len(item.even) - WINDOW + 1)))
    rows = slice(start, min(start + WINDOW, len(item.even)))
    even, level = item.even[rows], item.level[:, rows]
    count, begun = len(even), start / RATE
    events = [(name, *(moment - begun for moment in moments)) for name, *moments in item.events]
    wanted = int(rng.poisson(ADDED * count / WINDOW))
    even, events, added = adder.add(even, events, rng, wanted)
    level, noise = np.maximum(level, added), item.noise
    mixed, disturbed = share > 0 and rng.random() < share, rng.random() < DISTURBED
    if mixed:
        even = adder.mix(even, *_part_of(others[int(rng.integers(len(others)))], count, rng), rng)
    if disturbed:
        even = adder.disturb(even, nuisance, rng)
    if mixed or disturbed:
        noise = noise_of(even)
    inputs = network_inputs(even, noise, patterns)
    if rng.random() < 0.5:
        order, sign = mirrored()
        inputs = inputs[:, order] * sign
    pad = WINDOW - count
    found = {name: torch.from_numpy(value) for name, value in targets(count, events).items()}
    found["level"] = torch.from_numpy(np.log(level + 0.05).astype(np.float32))
    found["mask"] = torch.ones(count)
    found = {name: functional.pad(value, (0, pad)) for name, value in found.items()}
    return found | {"inputs": functional.pad(torch.from_numpy(inputs), (0, 0, 0, pad))}


def _part_of(item: Stretch, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``count`` rows of a stretch, from a random one on and from its beginning again, and which show expressions."""
    rows = (int(rng.integers(len(item.even))) + np.arange(count)) % len(item.even)
    busy = np.zeros(len(item.even), bool)
    for name, onset, _, offset in item.events:
        if name in EXPRESSION_KINDS:
            busy[max(int(onset * RATE), 0) : max(int(offset * RATE) + 2, 0)] = True
    busy |= np.arange(len(busy)) < 15  # where the end meets the beginning
    return item.even[rows], busy[rows]


def loss_of(scores: RowScores, batch: dict[str, torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
    """Focal loss of the cores (Lin et al., ICCV 2017), cross-entropy of inside, IoU and L1 of onset and offset."""
    mask = batch["mask"][:, None]
    events = batch["share"].sum((0, 2)).clamp(min=1)
    probability = scores.core.sigmoid()
    positive = -((1 - probability) ** 2) * functional.logsigmoid(scores.core) * batch["share"]
    # A false event is a few rows long, so rows count for less where nothing is.
    negative = -(probability**2) * functional.logsigmoid(-scores.core) * (1 - batch["core"]) * batch["told"] * mask / 4
    core = ((positive + negative).sum((0, 2)) / events * weights).sum() / weights.sum()
    inside = functional.binary_cross_entropy_with_logits(scores.inside, batch["inside"], reduction="none")
    inside = (inside * mask).sum() / mask.sum() / len(EVENT_KINDS)
    far = functional.smooth_l1_loss(scores.reach, batch["reach"], reduction="none", beta=0.1).mean(2)
    said, true = scores.reach.exp(), batch["reach"].exp()
    overlap = 1 - torch.minimum(said, true).sum(2) / torch.maximum(said, true).sum(2)
    length = true.sum(2).clamp(min=1)
    apex = functional.smooth_l1_loss(scores.apex / length, batch["apex"] / length, reduction="none", beta=0.05)
    where = ((far + overlap + 2 * apex) * batch["share"]).sum((0, 2)) / events
    where = (where * weights).sum() / weights.sum()
    top = functional.binary_cross_entropy_with_logits(scores.top, batch["top"], reduction="none") * batch["near"]
    top = (top.sum((0, 2)) / events * weights).sum() / weights.sum()
    level = (functional.smooth_l1_loss(scores.level, batch["level"], reduction="none", beta=0.3) * mask).sum()
    level = level / mask.sum() / 2
    return 2 * core + inside + where + top + 0.3 * level


def _ema(average: torch.Tensor, current: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Exponential moving average that forgets its beginning."""
    decay = min(EMA_DECAY, (1 + float(steps)) / (10 + float(steps)))
    return average + (1 - decay) * (current - average) if average.is_floating_point() else current


def train(
    items: list[Stretch],
    *,
    width: int,
    dropout: float,
    decay: float,
    epochs: int,
    rate: float,
    seed: int,
    mixed: float,
    watch: Callable[[EventNetwork], float] | None = None,
    note=print,
) -> tuple[EventNetwork, int]:
    """Train one network; the epoch that did best on what ``watch`` scores, or the last one.

    Items are drawn by number, so they get the order of their names first: the order given changes nothing.
    """
    items = sorted(items, key=lambda item: (item.name, item.face, item.start))
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = EventNetwork(width, dropout)
    drawn = draw_patterns(PATTERNS, seed)
    patterns = typical_patterns(drawn.motion)
    network.patterns.copy_(torch.from_numpy(patterns))
    every = torch.cat([torch.from_numpy(network_inputs(item.even, item.noise, patterns)) for item in items])
    network.mean.copy_(every.mean(0))
    network.scale.copy_(every.std(0).clamp(min=1e-3))
    adder = Adder(drawn)
    nuisance = adder.directions([item.even for item in items])
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    lengths = np.array([len(item.even) for item in items])
    steps = max(1, int(lengths.sum() / WINDOW / BATCH))
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * steps, pct_start=0.1)
    weights = torch.tensor([2.0 if kind == "micro" else 1.0 for kind in EVENT_KINDS])
    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=_ema, use_buffers=True)
    chance = lengths / lengths.sum()
    best: tuple[float, EventNetwork, int] | None = None
    for epoch in range(epochs):
        begun, total = time.perf_counter(), 0.0
        network.train()
        for _ in range(steps):
            windows = [
                window(items[k], items, adder, nuisance, patterns, mixed, rng)
                for k in rng.choice(len(items), BATCH, p=chance)
            ]
            batch = {name: torch.stack([w[name] for w in windows]) for name in windows[0]}
            inputs = batch["inputs"]
            # Every third window with more noise, and a few with whole columns of the input missing.
            noisy = (torch.rand(len(inputs), 1, 1) < 0.33).float()
            inputs = inputs + noisy * 0.1 * network.scale * torch.randn_like(inputs)
            inputs = torch.where(torch.rand(len(inputs), 1, INPUTS) < 0.05, network.mean, inputs)
            loss = loss_of(network(inputs, batch["mask"]), batch, weights)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            plan.step()
            average.update_parameters(network)
            total += float(loss.detach())
        note(f"epoch {epoch}: loss {total / steps:.3f}, {time.perf_counter() - begun:.0f} s", flush=True)
        if watch is not None and epoch % WATCHED == WATCHED - 1:
            seen = copy.deepcopy(average.module).eval()
            score = watch(seen)
            if best is None or score > best[0]:
                best = score, seen, epoch + 1
    return (average.module.eval(), epochs) if best is None else best[1:]


def watched(data: Path) -> Callable[[EventNetwork], float]:
    """Scores a network on the development recordings: mean of the best F1 of micro- and macro-expressions."""
    items = read(data, "development")

    def score(network: EventNetwork) -> float:
        config, best = tuned(EventDetector(network), items)
        print(
            f"  development: { ({kind: round(f1, 3) for kind, f1 in best.items()}) } at {config.thresholds}", flush=True
        )
        return (2 * best["micro"] + best["macro"]) / 3

    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.15)
    parser.add_argument("--decay", type=float, default=0.02)
    parser.add_argument("--epochs", type=int, default=110)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--mixed", type=float, default=0.0, help="share of windows with another recording's motion added"
    )
    parser.add_argument(
        "--watch", action="store_true", help="keep the epoch that is best on the development recordings"
    )
    args = parser.parse_args()
    items = [item for path in kept_files(args.data, "train") for item in stretches(path)]
    print(f"{len(items)} stretches, {sum(len(item.even) for item in items) / RATE / 60:.0f} minutes", flush=True)
    chosen = {name: getattr(args, name) for name in ("width", "dropout", "decay", "epochs", "rate", "seed", "mixed")}
    network, epoch = train(items, **chosen, watch=watched(args.data) if args.watch else None)
    about = {
        "recordings": len({item.name for item in items}),
        "face_minutes": round(sum(len(item.even) for item in items) / RATE / 60),
        **chosen,
        "epoch": epoch,
    }
    torch.save({"width": args.width, "state": network.state_dict(), "about": about}, args.out)
    print(json.dumps({"parameters": sum(p.numel() for p in network.parameters())}))


if __name__ == "__main__":
    main()
