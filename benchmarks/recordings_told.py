"""How many micro-expressions could be told from noise by a filter that knows each of them beforehand.

    python -m benchmarks.recordings_data development --out /tmp/recordings
    python -m benchmarks.recordings_told --data /tmp/recordings --json benchmarks/results/recordings_told.json

For every micro-expression of the development recordings a matched filter is made of what is true of it: how far it
moves which region, in which course. It is whitened by the noise of the stretch, in space and in time. Its answer at
the event is compared with its answers where nothing happens: an event counts as found if it is louder than what the
filter answers there 0.3 times a minute, the false alarms that the benchmark allows. A detector knows neither pattern
nor course nor place, so it has to listen to many filters at once and finds fewer.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import provenance
from benchmarks.recordings import FALSE_MICRO, Item, candidates, events_above, read
from benchmarks.recordings_augment import Adder, Patterns, patterns_of
from benchmarks.recordings_data import LENGTHS
from htnet.core.events import EVENT_KINDS
from htnet.evaluation.matching import match_intervals
from htnet.evaluation.store import to_json, write_atomic
from htnet.recordings import FEATURES, load_detector
from htnet.recordings.grid import RATE, even_rows, noise_of, stretch_motions
from htnet.synthesis import benchmark_recordings
from htnet.synthesis.recordings.skin import rise_and_fall

#: Rows beside an event that its motion reaches, s: the longest distance in time of a motion.
MARGIN = 0.5
#: How long nothing must happen in a stretch for its noise to be known, s.
LEAST = 4.0
#: Peaks, px of a face of 224 px.
STRENGTHS = ((0.3, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 3.0))


@dataclass(frozen=True)
class Rest:
    """A stretch of a face: motions whitened by its noise, and where nothing happens.

    Attributes:
        face: recording and number of the true face.
        at: (T,) s.
        motion: (T, C) unit variance while nothing happens, each row less what the two before foretell.
        free: (T,) rows without an event.
        white: ``space`` of `htnet.recordings.grid.Noise`.
        steps: (C, 2) by which a row is foretold, and (C,) the deviation from it.
    """

    face: tuple[str, int]
    at: np.ndarray
    motion: np.ndarray
    free: np.ndarray
    white: np.ndarray
    steps: tuple[np.ndarray, np.ndarray]

    def seen(self, even: np.ndarray) -> np.ndarray:
        """Features of a motion without noise as they would be seen in this stretch, (rows, C)."""
        motions = [m @ w for m, w in zip(stretch_motions(even), self.white, strict=True)]
        return _new(np.concatenate(motions, axis=1), *self.steps)


def _new(motion: np.ndarray, weights: np.ndarray, spread: np.ndarray) -> np.ndarray:
    found = motion.copy()
    found[2:] -= weights[:, 0] * motion[1:-1] + weights[:, 1] * motion[:-2]
    return found / spread


def rests(item: Item) -> Iterator[Rest]:
    """The stretches of a recording in which noise can be known."""
    for track in item.tracks:
        if track.truth is None:
            continue
        own = [event for event in item.about["truth"]["events"] if event["track"] == track.truth]
        for first, last in track.segments:
            rows = slice(first, last + 1)
            at, even = even_rows(track.times[rows], track.features[rows])
            free = np.ones(len(at), bool)
            for event in own:
                if event["kind"] != "gaze":
                    free &= (at < event["start"] - MARGIN) | (at > event["end"] + MARGIN)
            if free.sum() < LEAST * RATE:
                continue
            white = noise_of(even).space
            motion = np.concatenate([m @ w for m, w in zip(stretch_motions(even), white, strict=True)], axis=1)
            # Not `Noise.time`, which is fitted to all rows, with a ridge and small weights for large motion: a detector
            # does not know when nothing happens. This filter may know: it is fitted by plain least squares to the rows
            # in which nothing happens, and the committed figures were made so.
            rows = np.flatnonzero(free[2:] & free[1:-1] & free[:-2]) + 2
            weights, spread = np.zeros((motion.shape[1], 2)), np.ones(motion.shape[1])
            for k in range(motion.shape[1]):
                before = np.stack([motion[rows - 1, k], motion[rows - 2, k]], axis=1)
                weights[k] = np.linalg.lstsq(before, motion[rows, k], rcond=None)[0]
                spread[k] = max(float((motion[rows, k] - before @ weights[k]).std()), 1e-6)
            yield Rest((item.name, track.truth), at, _new(motion, weights, spread), free, white, (weights, spread))


@dataclass(frozen=True)
class Told:
    """A micro-expression with all that is true of it.

    ``course`` tells how far it is, 0 to 1, at times in s from its onset.
    """

    face: tuple[str, int]
    start: float
    end: float
    peak: float
    codec: str
    pattern: Patterns
    shape: tuple[float, float]
    apex: float

    def features(self, at: np.ndarray) -> np.ndarray:
        """What it adds to the features, at times from its onset, s: (rows, features)."""
        even = np.zeros((len(at), len(FEATURES)), np.float32)
        moments = (0.0, self.apex, self.end - self.start)
        Adder(self.pattern).put(even, 0, self.peak, rise_and_fall(at, *moments, *self.shape), at, moments, self.shape)
        return even


def expressions(names: set[str]) -> Iterator[Told]:
    """All micro-expressions of these development recordings, from what the generator has drawn."""
    for name, recording in benchmark_recordings("development", None, LENGTHS["development"]):
        if name not in names:
            continue
        for number, cast in enumerate(recording._cast):
            own = [event for event in recording._true_events() if event.track == number]
            for act, event in zip(cast.acts, own, strict=True):
                if act.kind != "micro" or act.skin is None:
                    continue
                start, top, end = (recording._clock.at[k + cast.first] for k in (act.first, act.top, act.last))
                yield Told(
                    (name, number),
                    event.start,
                    event.start + float(end - start),
                    act.peak,
                    recording.codec,
                    patterns_of([act.skin.on_grid()]),
                    (act.hold, act.relax),
                    float(top - start),
                )


def answers(told: Told, stretches: list[Rest]) -> tuple[float, float, list[float], float] | None:
    """The filter's answer at its event, what it would be without noise, its loudest answers where nothing is, and for
    how many minutes nothing was; None where the event was not measured.
    """
    lead = np.arange(-2, round((told.end - told.start + MARGIN) * RATE) + 1) / RATE
    long = np.arange(-30, len(lead) + 30) / RATE  # the mean of a second is taken out of places
    event, strength, null, minutes = None, 0.0, [], 0.0
    for one in stretches:
        filter_ = one.seen(told.features(long))[28 : 28 + len(lead)]
        size = float(np.linalg.norm(filter_))
        slid = _slide(one.motion, filter_ / size)
        free = np.lib.stride_tricks.sliding_window_view(one.free, len(lead)).all(axis=1)
        kept = np.where(free, slid, -np.inf)
        while np.isfinite(kept).any() and len(null) < 10_000:
            best = int(kept.argmax())
            if kept[best] < 2:
                break
            null.append(float(kept[best]))
            kept[max(0, best - len(lead)) : best + len(lead)] = -np.inf
        minutes += free.sum() / RATE / 60
        if one.face == told.face and one.at[0] < told.start - 2 / RATE and one.at[-1] > told.end + MARGIN:
            place = round((told.start - one.at[0]) * RATE) - 2
            event, strength = float(slid[max(place - 1, 0) : place + 2].max()), size
    return None if event is None else (event, strength, null, minutes)


def _slide(motion: np.ndarray, filter_: np.ndarray) -> np.ndarray:
    """Products of a filter (rows, C) with every place of (T, C)."""
    count = len(motion) - len(filter_) + 1
    found = np.zeros(max(count, 0))
    for row, part in enumerate(filter_):
        found += motion[row : row + count] @ part
    return found


def score(data: Path) -> dict[str, Any]:
    """Found by filters that know each event and by the detector of htnet, by strength, codec and both."""
    items = read(data, "development")
    stretches = [one for item in items for one in rests(item)]
    told = list(expressions({item.name for item in items}))
    given = [answers(one, stretches) for one in told]
    measured = [(one, answer) for one, answer in zip(told, given, strict=True) if answer is not None]
    # The threshold is that of each filter: so often is it louder where nothing is.
    rows = []
    for one, (event, strength, null, minutes) in measured:
        loud = np.sort(null)[::-1]
        threshold = float(loud[min(int(FALSE_MICRO * minutes), len(loud) - 1)])
        rows.append((one, event > threshold, strength, event))
    groups = {"all": lambda one: True}
    groups |= {
        f"codec {codec}": lambda one, codec=codec: one.codec == codec for codec in sorted({o.codec for o in told})
    }
    groups |= {
        f"{low:g} to {high:g} px": lambda one, low=low, high=high: low <= one.peak < high for low, high in STRENGTHS
    }
    detected = _detected(items)
    return {
        "micro_expressions": len(told),
        "in_stretches_whose_noise_is_known": len(measured),
        "minutes_without_events": round(measured[0][1][3], 1) if measured else 0.0,
        "found": {
            name: {
                "by_filters": sum(bool(hit) for one, hit, *_ in rows if belongs(one)),
                "by_the_detector": sum(
                    any(face == one.face and abs(start - one.start) < 0.1 for face, start in detected)
                    for one, *_ in rows
                    if belongs(one)
                ),
                "of": sum(belongs(one) for one, *_ in rows),
                "median_strength": _median([strength for one, _, strength, _ in rows if belongs(one)]),
                "median_answer": _median([event for one, _, _, event in rows if belongs(one)]),
            }
            for name, belongs in groups.items()
        },
    }


def _median(values: list[float]) -> float | None:
    return round(float(np.median(values)), 2) if values else None


def _detected(items: list[Item]) -> list[tuple[tuple[str, int], float]]:
    """Face and onset of the true micro-expressions that the detector of htnet finds."""
    detector = load_detector()
    limits = dict(zip(EVENT_KINDS, detector.config.thresholds, strict=True))
    predicted = events_above(candidates(detector, items), items, limits)
    found = []
    for item in items:
        truth = [event for event in item.truth.events if event.kind == "micro"]
        said = [(event.onset, event.offset) for event in predicted[item.name] if event.kind == "micro"]
        pairs = match_intervals([(event.onset, event.offset) for event in truth], said)
        found += [((item.name, truth[row].track), truth[row].start) for row, _ in pairs]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    text = to_json({**provenance(), **score(args.data)})
    if args.json:
        write_atomic(args.json, text)
    print(text, end="")


if __name__ == "__main__":
    main()
