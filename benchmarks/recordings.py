"""Events found in generated recordings: the detector of htnet and two published ways, on the same recordings.

    python -m benchmarks.recordings_data train --out /tmp/recordings --count 160
    python -m benchmarks.recordings_data development --out /tmp/recordings
    python -m benchmarks.recordings_data test2 --out /tmp/recordings
    python -m benchmarks.recordings_train --data /tmp/recordings --out /tmp/detector.pt
    python -m benchmarks.recordings tune --data /tmp/recordings --weights /tmp/detector.pt --out detector.safetensors
    python -m benchmarks.recordings score --data /tmp/recordings --json benchmarks/results/recordings.json

"tune" chooses the thresholds and the calibration of the confidence on the development recordings. "score" trains and
tunes the two baselines on the same recordings and scores all three on the test, whose seeds, faces and portrait nothing
has seen before.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import recordings_baselines as baselines
from benchmarks.measure import provenance
from benchmarks.recordings_data import TrackFeatures, kept_files, load
from htnet.core.events import EVENT_KINDS, Event
from htnet.core.recordings import Recording
from htnet.evaluation.matching import match_intervals
from htnet.metrics import evaluate_spotting
from htnet.recordings import EventDetector, load_detector, save_detector
from htnet.recordings.detector import Candidate, DetectorConfig
from htnet.recordings.measure import COLUMN
from htnet.recordings.network import EventNetwork
from htnet.synthesis import generator_hash

#: The set that is scored. The first one, "test", scored the detector before this one.
TEST = "test2"
#: False micro-expressions a minute that recordings without expressions may have, see the bars of the benchmark.
FALSE_MICRO = 0.3
#: Side of a face that is called large, px: those of CASME II have about 280 x 340 px.
LARGE = 200
#: Scores that thresholds are chosen from.
THRESHOLDS = np.round(np.arange(0.1, 0.99, 0.02), 2)


@dataclass(frozen=True)
class Item:
    """A recording with what is true of it and what was measured."""

    name: str
    truth: Recording
    about: dict[str, Any]
    tracks: list[TrackFeatures]

    @property
    def still(self) -> bool:
        """Whether it has no expression."""
        return not any(event.kind in ("micro", "macro") for event in self.truth.events)

    @property
    def face(self) -> float:
        """Side of the aligned face in the frame, px: the median of the smallest face that was followed."""
        column = COLUMN["head_log_size"]
        return min((float(np.exp(np.nanmedian(t.features[:, column]))) for t in self.tracks), default=0.0)

    @property
    def portrait(self) -> bool:
        """Whether it shows the portrait."""
        return any(track["person"] is None for track in self.about["truth"]["tracks"])


def read(data: Path, split: str) -> list[Item]:
    """All recordings of a split."""
    found = []
    for path in kept_files(data, split):
        about, tracks, _ = load(path)
        told = about["truth"]
        events = tuple(
            Event(
                e["kind"],
                *(e[name] for name in ("onset", "apex", "offset", "start", "peak", "end")),
                label=e["emotion"],
                track=e["track"],
            )
            for e in told["events"]
            if e["kind"] in EVENT_KINDS
        )
        people = {"portrait" if track["person"] is None else f"drawn{track['person']}" for track in told["tracks"]}
        truth = Recording(
            path.stem,
            events,
            dataset="generated",
            subject="+".join(sorted(people)),
            fps=told["fps"],
            frames=told["frames"],
        )
        found.append(Item(path.stem, truth, about, tracks))
    if not found:
        raise SystemExit(f"{data} has no {split} recordings; see the top of benchmarks/recordings.py.")
    return found


def event_of(kind: str, track: TrackFeatures, number: int | None, start: float, peak: float, end: float) -> Event:
    """An event from times."""
    rows = [int(np.abs(track.times - at).argmin()) for at in (start, peak, end)]
    rows[1] = min(max(rows[1], rows[0]), rows[2])
    frames, times = [int(track.frames[row]) for row in rows], [float(track.times[row]) for row in rows]
    return Event(kind, frames[0], frames[1], frames[2], times[0], times[1], times[2], track=number)


def candidates(detector: EventDetector, items: Iterable[Item]) -> list[list[tuple[Candidate, TrackFeatures, int]]]:
    """All candidates of each recording."""
    found = []
    for item in items:
        rows = []
        for number, track in enumerate(item.tracks):
            for first, last in track.segments:
                part = slice(first, last + 1)
                for one in detector.candidates_of(track.times[part], track.features[part]):
                    rows.append((one, track, number))
        found.append(rows)
    return found


def events_above(
    rows: list[list[tuple[Candidate, TrackFeatures, int]]], items: Sequence[Item], thresholds: dict[str, float]
) -> dict[str, list[Event]]:
    """Events of each recording whose score reaches the threshold of its kind."""
    return {
        item.name: [
            event_of(one.kind, track, number, one.start, one.peak, one.end)
            for one, track, number in found
            if one.score >= thresholds[one.kind]
        ]
        for item, found in zip(items, rows, strict=True)
    }


def scored(items: Sequence[Item], predicted: dict[str, list[Event]], resamples: int = 0) -> Any:
    return evaluate_spotting([item.truth for item in items], predicted, resamples=max(resamples, 2))


def counted(items: Sequence[Item], predicted: dict[str, list[Event]], kind: str) -> tuple[float, int]:
    """F1 of one kind, and its false events in recordings without expressions."""
    tp = wrong = missed = still = 0
    for item in items:
        truth = [(e.onset, e.offset) for e in item.truth.events if e.kind == kind]
        said = [(e.onset, e.offset) for e in predicted[item.name] if e.kind == kind]
        pairs = len(match_intervals(truth, said))
        tp, wrong, missed = tp + pairs, wrong + len(said) - pairs, missed + len(truth) - pairs
        still += len(said) - pairs if item.still else 0
    return 2 * tp / max(2 * tp + wrong + missed, 1), still


def still_minutes(items: Iterable[Item]) -> float:
    """Length of the recordings without expressions."""
    return sum(item.truth.minutes or 0.0 for item in items if item.still)


def tuned(detector: EventDetector, items: Sequence[Item]) -> tuple[DetectorConfig, dict[str, float]]:
    """Thresholds at the best F1 of each kind; micro with few enough false ones where nothing is expressed."""
    rows = candidates(detector, items)
    chosen, best = {}, {}
    minutes = still_minutes(items)
    for kind in EVENT_KINDS:
        options = []
        for threshold in THRESHOLDS:
            limits = dict.fromkeys(EVENT_KINDS, 2.0) | {kind: float(threshold)}
            f1, still = counted(items, events_above(rows, items, limits), kind)
            # Half of what the bar allows, because other recordings may be worse.
            fine = kind != "micro" or still <= 0.5 * FALSE_MICRO * max(minutes, 1)
            options.append((fine, f1, float(threshold)))
        fine, best[kind], chosen[kind] = max(options)
    slopes, offsets = calibrated(rows, items)
    config = DetectorConfig(tuple(chosen[kind] for kind in EVENT_KINDS), slopes, offsets)
    return config, best


def calibrated(
    rows: list[list[tuple[Candidate, TrackFeatures, int]]], items: Sequence[Item]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Logistic regression from the logit of a score to whether the event is right, kind by kind (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    slopes, offsets = [], []
    for kind in EVENT_KINDS:
        logits, right = [], []
        for item, found in zip(items, rows, strict=True):
            truth = [(e.onset, e.offset) for e in item.truth.events if e.kind == kind]
            ours = [
                (one, event_of(kind, t, n, one.start, one.peak, one.end)) for one, t, n in found if one.kind == kind
            ]
            matched = {j for _, j in match_intervals(truth, [(e.onset, e.offset) for _, e in ours])}
            for j, (one, _) in enumerate(ours):
                score = min(max(one.score, 1e-4), 1 - 1e-4)
                logits.append([np.log(score / (1 - score))])
                right.append(j in matched)
        fitted = LogisticRegression(C=1e3).fit(logits, right) if len(set(right)) > 1 else None
        slopes.append(float(fitted.coef_[0, 0]) if fitted is not None and fitted.coef_[0, 0] > 0 else 1.0)
        offsets.append(float(fitted.intercept_[0]) if fitted is not None else 0.0)
    return tuple(slopes), tuple(offsets)


# --- baselines -------------------------------------------------------------------------------------------------------


Intervals = Callable[..., Iterable[tuple[float, float, float, float]]]


def baseline_events(
    items: Sequence[Item], curves: dict[str, list[tuple[int, list]]], kind: str, intervals: Intervals, *choice: Any
) -> dict[str, list[Event]]:
    """Events of one kind by one choice of constants."""
    return {
        item.name: [
            event_of(kind, item.tracks[number], number, start, peak, end)
            for number, cuts in curves[item.name]
            for start, peak, end, _ in intervals(cuts, *choice)
        ]
        for item in items
    }


def choose(
    items: Sequence[Item],
    curves: Callable[[Sequence[Item], str, Any], dict[str, list[tuple[int, list]]]],
    makers: Mapping[str, Sequence[Any]],
    intervals: Intervals,
    choices: Callable[[str], Iterable[tuple[Any, ...]]],
) -> dict[str, tuple[Any, ...]]:
    """The constants of each kind with the best F1: (what its curve is made with, the others)."""
    best: dict[str, tuple[float, tuple[Any, ...]]] = {}
    for kind in baselines.KINDS:
        for made in makers[kind]:
            found = curves(items, kind, made)
            for choice in choices(kind):
                f1, _ = counted(items, baseline_events(items, found, kind, intervals, *choice), kind)
                if kind not in best or f1 > best[kind][0]:
                    best[kind] = f1, (made, choice)
    return {kind: found for kind, (_, found) in best.items()}


def mdmd_curves(items: Sequence[Item], kind: str, steps: int) -> dict[str, list[tuple[int, list]]]:
    """Curves of every face."""
    return {
        item.name: [
            (number, [(cut, baselines.mdmd_curve(cut, steps)) for cut in baselines.cuts_of(track)])
            for number, track in enumerate(item.tracks)
        ]
        for item in items
    }


def softnet_curves(network: baselines.ThreeStreams) -> Callable[..., dict[str, list[tuple[int, list]]]]:
    """The same with a trained SOFTNet."""

    def curves(items: Sequence[Item], kind: str, smooth: int) -> dict[str, list[tuple[int, list]]]:
        column = baselines.KINDS.index(kind)
        return {
            item.name: [
                (
                    number,
                    [
                        (cut, baselines.softnet_curve(network, cut, smooth)[:, column])
                        for cut in baselines.cuts_of(track)
                    ],
                )
                for number, track in enumerate(item.tracks)
            ]
            for item in items
        }

    return curves


def run_baselines(train: Sequence[Item], sets: Mapping[str, Sequence[Item]]) -> dict[str, Any]:
    """Both, tuned on the development recordings and scored on every set."""
    found: dict[str, Any] = {}
    tune = sets["development"]
    lengths = baselines.MDMD_CHOICES["lengths"]

    def mdmd_choices(kind: str) -> Iterable[tuple[Any, ...]]:
        return product(baselines.MDMD_CHOICES["p"], baselines.MDMD_CHOICES["grow"], [lengths[kind]])

    chosen = choose(tune, mdmd_curves, baselines.MDMD_CHOICES["steps"], baselines.mdmd_intervals, mdmd_choices)
    found["mdmd"] = outcome(sets, chosen, mdmd_curves, baselines.mdmd_intervals)
    cuts = []
    for item in train:
        for track in item.tracks:
            events = [e for e in item.about["truth"]["events"] if e["track"] == track.truth]
            cuts += [(cut, events) for cut in baselines.cuts_of(track)]
    curves = softnet_curves(baselines.train_softnet(cuts))

    def softnet_choices(kind: str) -> Iterable[tuple[Any, ...]]:
        return product(baselines.SOFTNET_CHOICES["p"], baselines.SOFTNET_CHOICES["length"][kind])

    smooth = {"micro": (1, 3, 6), "macro": (3, 9, 18)}
    chosen = choose(tune, curves, smooth, baselines.softnet_intervals, softnet_choices)
    found["softnet"] = outcome(sets, chosen, curves, baselines.softnet_intervals)
    return found


def outcome(
    sets: Mapping[str, Sequence[Item]], chosen: dict[str, tuple[Any, ...]], curves: Any, intervals: Intervals
) -> dict[str, Any]:
    """Scores of a baseline with the constants that were chosen."""
    told: dict[str, Any] = {"chosen": {kind: list(map(str, choice)) for kind, choice in chosen.items()}}
    for name, items in sets.items():
        parts = [
            baseline_events(items, curves(items, kind, made), kind, intervals, *choice)
            for kind, (made, choice) in chosen.items()
        ]
        predicted = {item.name: [event for part in parts for event in part[item.name]] for item in items}
        scores = scored(items, predicted)
        told[name] = {kind: scores.kinds[kind].to_dict() for kind in baselines.KINDS}
    return told


# --- the table -------------------------------------------------------------------------------------------------------


def strengths(items: Sequence[Item], predicted: dict[str, list[Event]]) -> dict[str, dict[str, float]]:
    """Recall of micro-expressions by how far the skin moves, px of a 224 px face."""
    bounds = (0.3, 0.5, 1.0, 2.0, 3.01)
    found = {f"{low:g} to {min(high, 3):g} px": [0, 0] for low, high in pairwise(bounds)}
    for item in items:
        truth = [e for e in item.about["truth"]["events"] if e["kind"] == "micro"]
        said = [(e.onset, e.offset) for e in predicted[item.name] if e.kind == "micro"]
        hit = {i for i, _ in match_intervals([(e["onset"], e["offset"]) for e in truth], said)}
        for i, event in enumerate(truth):
            place = int(np.searchsorted(bounds, event["displacement"], side="right")) - 1
            row = list(found.values())[min(max(place, 0), len(found) - 1)]
            row[0] += i in hit
            row[1] += 1
    return {name: {"found": a, "of": b} for name, (a, b) in found.items()}


def report(items: Sequence[Item], predicted: dict[str, list[Event]]) -> dict[str, Any]:
    """All rows of one detector."""
    scores = scored(items, predicted, resamples=1000)
    minutes = still_minutes(items)
    quiet = [item for item in items if item.still]
    groups = {
        "drawn": [i for i in items if not i.portrait],
        "portrait": [i for i in items if i.portrait],
        "up to 30 frames a second": [i for i in items if i.about["truth"]["fps"] <= 30],
        "more": [i for i in items if i.about["truth"]["fps"] > 30],
        "one face, no cut": [i for i in items if i.about["truth"]["layout"] in ("single", "away", "leave")],
        f"face from {LARGE} px": [i for i in items if i.face >= LARGE],
        "smaller face": [i for i in items if i.face < LARGE],
        "two faces or a cut": [i for i in items if i.about["truth"]["layout"] not in ("single", "away", "leave")],
    }
    for codec in ("none", "h264", "mpeg4", "mjpeg"):
        groups[f"codec {codec}"] = [i for i in items if i.about["truth"]["codec"] == codec]
    rows = {}
    for name, members in groups.items():
        if members:
            part = scored(members, {i.name: predicted[i.name] for i in members})
            rows[name] = {
                "recordings": len(members),
                **{kind: part.kinds[kind].counts.to_dict() for kind in ("micro", "macro")},
            }
    return {
        "recordings": len(items),
        "minutes": sum(item.truth.minutes or 0 for item in items),
        "kinds": {kind: found.to_dict() for kind, found in scores.kinds.items()},
        "confusion": {kind: dict(row) for kind, row in scores.confusion.items()},
        "micro_by_strength": strengths(items, predicted),
        "without_expressions": {
            "minutes": minutes,
            **{
                f"false_{kind}_per_minute": sum(e.kind == kind for i in quiet for e in predicted[i.name])
                / max(minutes, 1e-9)
                for kind in ("micro", "macro")
            },
        },
        "groups": rows,
    }


def shown(name: str, told: dict[str, Any]) -> None:
    """Print a report."""
    print(f"{name}: {told['recordings']} recordings, {told['minutes']:.0f} minutes")
    for kind, row in told["kinds"].items():
        apex = row["apex_error"]["within_80_ms"]
        print(
            f"  {kind:7} precision {row['precision'] or 0:.3f} recall {row['recall'] or 0:.3f} F1 {row['f1'] or 0:.3f} "
            f"apex within 80 ms {apex or 0:.3f}"
        )
    print("  micro by strength:", {k: f"{v['found']}/{v['of']}" for k, v in told["micro_by_strength"].items()})
    print("  without expressions:", {k: round(v, 2) for k, v in told["without_expressions"].items()})
    for group, row in told["groups"].items():
        print(f"  {group}: {row['recordings']} recordings, micro {row['micro']['f1']}, macro {row['macro']['f1']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("tune", "score"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="of benchmarks.recordings_train, to tune")
    parser.add_argument("--out", type=Path, help="where the tuned detector is written")
    parser.add_argument("--development", action="store_true", help="score the development recordings only")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.what == "tune":
        kept = torch.load(args.weights, weights_only=True)
        network = EventNetwork(kept["width"])
        network.load_state_dict(kept["state"])
        items = read(args.data, "development")
        about = {"generator": generator_hash(), "trained_on": "generated recordings", **kept.get("about", {})}
        detector = EventDetector(network, about=about)
        config, best = tuned(detector, items)
        print(config, best)
        thresholds = dict(zip(EVENT_KINDS, config.thresholds, strict=True))
        shown("development", report(items, events_above(candidates(detector, items), items, thresholds)))
        if args.out is not None:
            save_detector(EventDetector(network, config, about), args.out, overwrite=True)
        return
    detector = load_detector()
    thresholds = dict(zip(EVENT_KINDS, detector.config.thresholds, strict=True))
    tune = read(args.data, "development")
    sets = {"development": tune} if args.development else {"development": tune, "test": read(args.data, TEST)}
    told: dict[str, Any] = {
        "machine": provenance(),
        "generator": generator_hash(),
        "test_set": TEST,
        "detector": {"about": detector.about},
    }
    for name, items in sets.items():
        told["detector"][name] = report(items, events_above(candidates(detector, items), items, thresholds))
        shown(name, told["detector"][name])
    told["baselines"] = run_baselines(read(args.data, "train"), sets)
    for name, scores in told["baselines"].items():
        print(name, {where: {k: round(v["f1"] or 0, 3) for k, v in scores[where].items()} for where in sets})
    if args.json is not None:
        args.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
