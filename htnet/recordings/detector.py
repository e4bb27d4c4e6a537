"""Events in the curves of a recording: micro- and macro-expressions, blinks, movements of the head, speech."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htnet.core.errors import InputError
from htnet.core.events import EVENT_KINDS, LONGEST_MICRO_S, Event
from htnet.core.fields import Checked, checked, each, real
from htnet.core.files import check_outputs, write_bytes
from htnet.core.types import Float64Array, FloatArray
from htnet.recordings.grid import RATE, input_names, make_grid
from htnet.recordings.network import EventNetwork
from htnet.recordings.track import FaceTrack, RecordingCurves

#: The weights that are shipped.
_SHIPPED = Path(__file__).parent / "weights" / "detector.safetensors"
#: Version of the inputs and of the network that a file of weights was made for.
_FORM = "htnet.event_detector/1"
#: Rows that are scored at a time, and rows to either side that belong to the next part: more than any row sees.
_PART, _MARGIN = 9000, 600
#: Stretches with fewer rows are not scored.
_SHORTEST = 5
#: Events of a kind that overlap by more than this share of the shorter one are one event.
_SAME = 0.5
_KINDS = len(EVENT_KINDS)


@dataclass(frozen=True)
class DetectorConfig(Checked):
    """How scores become events. All values were chosen on development recordings.

    Attributes:
        thresholds: of each kind in the order of `htnet.core.events.EVENT_KINDS`, the least score of an event.
        slopes: with ``offsets`` turns the logit of a score into a confidence, so that of events with confidence 0.8
            four of five are right on generated recordings.
        offsets: see ``slopes``.
    """

    thresholds: tuple[float, ...] = checked((0.3,) * _KINDS, each(real(gt=0, lt=1), _KINDS))
    slopes: tuple[float, ...] = checked((1.0,) * _KINDS, each(real(gt=0), _KINDS))
    offsets: tuple[float, ...] = checked((0.0,) * _KINDS, each(real(), _KINDS))

    _noun = "field of the detector"
    _prefix = "DetectorConfig."


@dataclass(frozen=True)
class Candidate:
    """A possible event, in seconds of the recording.

    Attributes:
        kind: one of `htnet.core.events.EVENT_KINDS`.
        start: onset, s.
        peak: apex, s.
        end: offset, s.
        score: 0..1.
    """

    kind: str
    start: float
    peak: float
    end: float
    score: float


class EventDetector:
    """Finds events in the curves of a recording.

    Trained on generated recordings alone (`htnet.synthesis.generate_recording`). Nothing is found across a gap of a
    track. Safe to call from several threads.

    Attributes:
        config: see `DetectorConfig`.
        about: how the weights came about, as stored with them.
    """

    def __init__(
        self, network: EventNetwork, config: DetectorConfig | None = None, about: Mapping[str, Any] | None = None
    ) -> None:
        """Keep a trained network.

        Args:
            network: trained.
            config: thresholds.
            about: what is stored with the weights.
        """
        self._network = network.eval().requires_grad_(False)
        self.config = DetectorConfig() if config is None else config
        self.about = dict(about or {})

    def __call__(self, curves: RecordingCurves) -> tuple[Event, ...]:
        """The events of all faces, by onset.

        Args:
            curves: of `htnet.recordings.recording_curves`.
        """
        several = len(curves.tracks) > 1
        found = [event for track in curves.tracks for event in self._events(track, several)]
        return tuple(sorted(found, key=lambda event: (event.onset, event.track or 0, event.kind, event.offset)))

    def candidates(self, track: FaceTrack, least: float = 0.05) -> list[Candidate]:
        """Possible events of one face, by score, the best first.

        Args:
            track: the face.
            least: score below which a peak is not looked at.
        """
        found = []
        for first, last in track.segments:
            rows = slice(first, last + 1)
            found += self.candidates_of(track.times[rows], track.features[rows], least)
        return sorted(found, key=lambda event: -event.score)

    def candidates_of(self, times: Float64Array, features: FloatArray, least: float = 0.05) -> list[Candidate]:
        """Possible events of one stretch without a gap, see `candidates`.

        Args:
            times: (N,) s.
            features: (N, len(FEATURES)).
            least: score.
        """
        grid = make_grid(times, features)
        if len(grid.times) < _SHORTEST:
            return []
        peak, reach = self._scores(grid.inputs)
        found = []
        for kind in range(_KINDS):
            found += _peaks(EVENT_KINDS[kind], grid.times, peak[kind], reach[kind], least, (times[0], times[-1]))
        return found

    def _scores(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Scores (K, T) and rows to onset and offset (K, 2, T), part by part."""
        peaks, reaches = [], []
        with torch.inference_mode():
            for start in range(0, len(inputs), _PART):
                low, high = max(0, start - _MARGIN), min(len(inputs), start + _PART + _MARGIN)
                scores = self._network(torch.from_numpy(inputs[low:high])[None])
                inner = slice(start - low, min(start + _PART, len(inputs)) - low)
                peaks.append(scores.peak[0, :, inner].sigmoid().numpy())
                reaches.append(scores.reach[0, :, :, inner].exp().numpy())
        return np.concatenate(peaks, axis=-1), np.concatenate(reaches, axis=-1)

    def _events(self, track: FaceTrack, several: bool) -> list[Event]:
        config = self.config
        found = []
        for candidate in self.candidates(track, min(config.thresholds)):
            kind = EVENT_KINDS.index(candidate.kind)
            if candidate.score < config.thresholds[kind]:
                continue
            logit = np.log(candidate.score / max(1 - candidate.score, 1e-6))
            confidence = 1 / (1 + np.exp(-(config.slopes[kind] * logit + config.offsets[kind])))
            rows = [int(np.abs(track.times - at).argmin()) for at in (candidate.start, candidate.peak, candidate.end)]
            rows[1] = min(max(rows[1], rows[0]), rows[2])
            onset, apex, offset = (int(track.frames[row]) for row in rows)
            start, peak, end = (float(track.times[row]) for row in rows)
            found.append(
                Event(
                    candidate.kind,
                    onset,
                    apex,
                    offset,
                    start,
                    peak,
                    end,
                    round(float(confidence), 4),
                    track=track.number if several else None,
                )
            )
        return found


def _peaks(
    kind: str, times: Float64Array, peak: FloatArray, reach: FloatArray, least: float, bounds: tuple[float, float]
) -> list[Candidate]:
    """Peaks of a score with their intervals; of those that overlap the best."""
    padded = np.pad(peak, 1, constant_values=-1)
    tops = np.flatnonzero((peak >= least) & (peak >= padded[:-2]) & (peak > padded[2:]))
    kept: list[Candidate] = []
    for top in tops[np.argsort(-peak[tops], kind="stable")]:
        near = np.arange(max(0, top - 1), min(len(peak), top + 2))
        weight = peak[near] / peak[near].sum()
        start = float(weight @ (times[near] - reach[0, near] / RATE))
        end = float(weight @ (times[near] + reach[1, near] / RATE))
        if kind == "micro" and end - start > LONGEST_MICRO_S:
            spare = (end - start - LONGEST_MICRO_S) / 2
            start, end = start + spare, end - spare
        at = float(times[top]) + _between(peak, int(top)) / RATE
        start, end = max(start, bounds[0]), min(end, bounds[1])
        at = min(max(at, start), end)
        if all(_shared(start, end, other) < _SAME for other in kept):
            kept.append(Candidate(kind, start, at, end, float(peak[top])))
    return kept


def _shared(start: float, end: float, other: Candidate) -> float:
    """Share of the shorter of two intervals that both cover."""
    shared = min(end, other.end) - max(start, other.start)
    return shared / max(min(end - start, other.end - other.start), 1e-6)


def _between(values: FloatArray, top: int) -> float:
    """Place of a peak between rows, by a parabola through three."""
    if not 0 < top < len(values) - 1:
        return 0.0
    before, here, after = (float(v) for v in values[top - 1 : top + 2])
    bend = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def save_detector(detector: EventDetector, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a detector into one safetensors file, with its thresholds and what is known of it.

    Args:
        detector: to write.
        path: of the file.
        overwrite: replace it if it exists.

    Raises:
        OverwriteError: it exists and ``overwrite`` is not given.
    """
    from safetensors.torch import save

    network = detector._network
    about = {
        "form": _FORM,
        "width": str(network.norm.normalized_shape[0]),
        "inputs": json.dumps(list(input_names())),
        "config": json.dumps(dataclasses.asdict(detector.config)),
        "about": json.dumps(detector.about),
    }
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    check_outputs(path, overwrite=overwrite)
    write_bytes(path, save(tensors, about))


def load_detector(path: str | os.PathLike[str] | None = None) -> EventDetector:
    """The event detector that htnet ships, or one that `save_detector` wrote.

    Args:
        path: of a file; None for the shipped one.

    Raises:
        InputError: the file is missing, damaged, or not a detector of this version.
    """
    if path is None:
        return _shipped()
    return _read(Path(path))


@cache
def _shipped() -> EventDetector:
    return _read(_SHIPPED)


def _read(path: Path) -> EventDetector:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"{path} does not exist; give the file of an event detector, or none for the shipped one.")
    try:
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read as a safetensors file; copy or train it again.") from error
    if about.get("form") != _FORM or json.loads(about.get("inputs", "[]")) != list(input_names()):
        raise InputError(f"{path} is not an event detector of this version of htnet ({_FORM}); train it again.")
    network = EventNetwork(int(about["width"]))
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if {name: tuple(value.shape) for name, value in state.items()} != wanted:
        raise InputError(f"{path} lacks tensors of an event detector, or they have other sizes; train it again.")
    network.load_state_dict(state)
    return EventDetector(network, DetectorConfig.from_dict(json.loads(about["config"])), json.loads(about["about"]))
