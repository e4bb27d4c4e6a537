"""Events in the curves of a recording: micro- and macro-expressions, blinks, movements of the head, speech."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.errors import InputError, refuse_short_memory, refuse_type
from htnet.core.events import EVENT_KINDS, LONGEST_MICRO_S, Event
from htnet.core.fields import Checked, checked, each, real
from htnet.core.files import check_outputs, write_bytes
from htnet.core.global_state import usual_settings
from htnet.core.lazy import loading
from htnet.core.limits import check_safetensors, parse_json
from htnet.core.paths import as_path
from htnet.core.rng import OwnRng
from htnet.core.types import Float64Array, FloatArray
from htnet.recordings.grid import RATE, Grid, input_names, make_grid, mirrored
from htnet.recordings.network import EventNetwork
from htnet.recordings.track import FaceTrack, RecordingCurves, checked_stretch

#: The weights that are shipped.
_SHIPPED = Path(__file__).parent / "weights" / "detector.safetensors"
#: Version of the inputs and of the network that a file of weights was made for.
_FORM = "htnet.event_detector/3"
#: Name of the SHA-256 in a file.
_SUM = "sha256"
#: Rows that are scored at a time, beside those of the next parts that have a say in their scores.
_PART = 1800
#: Stretches with fewer rows are not scored.
_SHORTEST = 5
#: Rows whose score is at least this share of the peak's have a say in where onset, apex and offset are.
_NEARLY = 0.8
#: How far the apex may lie from where the middle of the event says it is (standard deviation, share of the length); and
#: the share of the best row's look from which its neighbors count.
_APEX_SPREAD, _APEX_NEARLY = 0.2, 0.5
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

        Raises:
            InputError: ``network`` is none.
        """
        if not isinstance(network, EventNetwork):
            raise InputError(
                f"EventDetector takes the network that training gave, not {_kind_of(network)}. "
                "htnet.recordings.load_detector() gives the shipped detector, load_detector(path) one of a file."
            )
        self._network = network.eval().requires_grad_(False)
        self.config = DetectorConfig() if config is None else config
        self.about = dict(about or {})

    def __call__(self, curves: RecordingCurves) -> tuple[Event, ...]:
        """The events of all faces, by onset.

        Args:
            curves: of `htnet.recordings.recording_curves`.

        Raises:
            InputError: something else is given.
        """
        if not isinstance(curves, RecordingCurves):
            raise InputError(
                f"A detector takes the curves of a recording, not {_kind_of(curves)}: "
                "detector(htnet.recordings.recording_curves(path))."
            )
        several = len(curves.tracks) > 1
        found = [event for track in curves.tracks for event in self._events(track, several)]
        return tuple(sorted(found, key=lambda event: (event.onset, event.track or 0, event.kind, event.offset)))

    def candidates(self, track: FaceTrack, least: float = 0.05) -> list[Candidate]:
        """Possible events of one face, by score, the best first.

        Args:
            track: the face.
            least: score below which a peak is not looked at.

        Raises:
            InputError: this is not a face of a recording, or its times or features cannot be used.
        """
        refuse_type("track", track, FaceTrack, "one of RecordingCurves.tracks")
        found = []
        for first, last in track.segments:
            rows = slice(first, last + 1)
            found += self.candidates_of(track.times[rows], track.features[rows], least)
        return sorted(found, key=lambda event: -event.score)

    @usual_settings()
    def candidates_of(self, times: Float64Array, features: FloatArray, least: float = 0.05) -> list[Candidate]:
        """Possible events of one stretch without a gap, see `candidates`.

        Args:
            times: (N,) s.
            features: (N, len(FEATURES)).
            least: score.

        Raises:
            InputError: times and features are not of the same frames, the times do not rise, or a number is infinite or
                not a real number. Features may be NaN where a motion would start before the stretch.
        """
        real(ge=0, le=1).check("least", least)
        times, features = checked_stretch(times, features)
        if len(times) < 2:
            return []
        grid = make_grid(times, features, self._network.patterns.numpy())
        if len(grid.times) < _SHORTEST:
            return []
        scores, moments, tops = self._scores(grid)
        bounds = float(times[0]), float(times[-1])
        found = []
        for kind in range(_KINDS):
            found += _intervals(EVENT_KINDS[kind], scores[kind], moments[kind], tops[kind], least, bounds)
        return found

    def _scores(self, grid: Grid) -> tuple[FloatArray, Float64Array, FloatArray]:
        """Score of each row (K, T), what it says are onset, apex and offset (K, 3, T) s, and how much it looks like an
        apex itself (K, T), part by part.
        """
        scores, moments, tops = [], [], []
        count, margin = len(grid.times), self._network.reach
        order, sign = mirrored()
        with torch.inference_mode():
            for start in range(0, count, _PART):
                low, high = max(0, start - margin), min(count, start + _PART + margin)
                seen = grid.inputs(low, high)
                # The mean of the face and its mirror image: neither side of a face is special.
                rows = self._network(torch.from_numpy(np.stack([seen, seen[:, order] * sign])))
                inner = slice(start - low, min(start + _PART, count) - low)
                core, apex, top, reach = (
                    part.mean(dim=0)[..., inner] for part in (rows.core, rows.apex, rows.top, rows.reach)
                )
                scores.append(core.sigmoid().numpy())
                tops.append(top.sigmoid().numpy())
                before, after = reach.exp().double().numpy().transpose(1, 0, 2)
                away = np.stack([-before, apex.double().numpy(), after], axis=1)
                moments.append(grid.times[start : start + _PART] + away / RATE)
        return np.concatenate(scores, axis=-1), np.concatenate(moments, axis=-1), np.concatenate(tops, axis=-1)

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


def _intervals(
    kind: str,
    score: FloatArray,
    moments: Float64Array,
    looks: FloatArray,
    least: float,
    bounds: tuple[float, float],
) -> list[Candidate]:
    """Events of one kind: what the rows around each peak of the score agree on; of those that overlap the best.

    Args:
        kind: of the events.
        score: (T,).
        moments: (3, T) what each row says are onset, apex and offset, s.
        looks: (T,) how much each row looks like an apex, 0..1.
        least: score below which no peak is looked at.
        bounds: of the stretch, s.
    """
    padded = np.pad(score, 1, constant_values=-1)
    tops = np.flatnonzero((score >= least) & (score >= padded[:-2]) & (score > padded[2:]))
    kept: list[Candidate] = []
    spans = np.empty((len(tops), 2))  # of those that are kept
    for top in tops[np.argsort(-score[tops], kind="stable")]:
        near = _around(score, int(top))
        start, apex, end = (float(v) for v in moments[:, near] @ (score[near] / score[near].sum()).astype(np.float64))
        if kind == "micro" and end - start > LONGEST_MICRO_S:
            spare = (end - start - LONGEST_MICRO_S) / 2
            start, end = start + spare, end - spare
        start, end = max(start, bounds[0]), min(end, bounds[1])
        if end <= start or _covered(start, end, spans[: len(kept)]) >= _SAME:
            continue
        spans[len(kept)] = start, end
        apex = min(max(_apex(looks, apex, start, end, bounds[0]), start), end)
        kept.append(Candidate(kind, start, apex, end, float(score[top])))
    return kept


def _apex(looks: FloatArray, said: float, start: float, end: float, begin: float) -> float:
    """The apex of an event, s: the row within it that looks most like one, not far from where its middle said it is.

    Args:
        looks: (T,) how much each row looks like an apex.
        said: by the rows in the event's middle, s.
        start: of the event, s.
        end: of the event, s.
        begin: time of the first row, s.
    """
    rows = np.arange(max(int(np.ceil((start - begin) * RATE)), 0), min(int((end - begin) * RATE), len(looks) - 1) + 1)
    if not len(rows):
        return said
    away = (begin + rows / RATE - said) / (_APEX_SPREAD * (end - start) + 1 / RATE)
    score = looks[rows] * np.exp(-0.5 * away**2)
    near = _around(score, int(score.argmax()), _APEX_NEARLY)
    return float(begin + rows[near] @ (score[near] / max(score[near].sum(), 1e-12)) / RATE)


def _around(score: FloatArray, top: int, nearly: float = _NEARLY) -> npt.NDArray[np.int64]:
    """The rows next to a peak that score nearly as high."""
    least = nearly * score[top]
    low = high = top
    while low > 0 and score[low - 1] >= least:
        low -= 1
    while high < len(score) - 1 and score[high + 1] >= least:
        high += 1
    return np.arange(low, high + 1)


def _covered(start: float, end: float, others: Float64Array) -> float:
    """Share of the shorter of two intervals that both cover, the largest of those with each of ``others`` (N, 2); 0 of
    none.
    """
    shared = np.minimum(end, others[:, 1]) - np.maximum(start, others[:, 0])
    shorter = np.minimum(end - start, others[:, 1] - others[:, 0])
    return float((shared / np.maximum(shorter, 1e-6)).max(initial=0.0))


def save_detector(detector: EventDetector, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a detector into one safetensors file, with its thresholds, what is known of it and a SHA-256 of it all.

    Args:
        detector: to write.
        path: of the file.
        overwrite: replace it if it exists.

    Raises:
        OverwriteError: it exists and ``overwrite`` is not given.
        InputError: ``detector`` is none, a parameter is not finite, or the file cannot be written.
    """
    with loading():
        from safetensors.torch import save

    if not isinstance(detector, EventDetector):
        raise InputError(f"save_detector takes an EventDetector first, not {_kind_of(detector)}.")
    path = as_path(path, "path")
    network = detector._network
    about = {
        "form": _FORM,
        "width": str(network.norm.normalized_shape[0]),
        "inputs": json.dumps(list(input_names())),
        "config": json.dumps(dataclasses.asdict(detector.config)),
        "about": json.dumps(detector.about),
    }
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    _check_finite(tensors, "The detector", "was its training stable? Train it again with a smaller learning rate")
    check_outputs(path, overwrite=overwrite)
    write_bytes(path, save(tensors, {**about, _SUM: _digest(tensors, about)}))


def load_detector(path: str | os.PathLike[str] | None = None) -> EventDetector:
    """The event detector that htnet ships, or one that `save_detector` wrote.

    Args:
        path: of a file; None for the shipped one.

    Raises:
        InputError: the file is missing, damaged, or not a detector of this version.
    """
    if path is None:
        return _shipped()
    return _read(as_path(path, "path"))


def _kind_of(value: object) -> str:
    """How messages call what was given instead."""
    return (
        "None"
        if value is None
        else f"{value!r}"
        if isinstance(value, (str, os.PathLike))
        else f"an object of type {type(value).__name__}"
    )


def _digest(tensors: Mapping[str, torch.Tensor], about: Mapping[str, str]) -> str:
    """SHA-256 of the tensors and of what a file says of them, in the order of their names."""
    found = hashlib.sha256()
    for name, text in sorted(about.items()):
        if name != _SUM:
            found.update(json.dumps([name, text]).encode())
    for name, value in sorted(tensors.items()):
        found.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _check_finite(tensors: Mapping[str, torch.Tensor], what: str, cure: str) -> None:
    wrong = next((name for name, value in tensors.items() if not torch.isfinite(value).all()), None)
    if wrong is not None:
        raise InputError(f"{what} has parameters that are not finite ({wrong}); {cure}.")


@cache
def _shipped() -> EventDetector:
    return _read(_SHIPPED)


@usual_settings(float32=True)
def _read(path: Path) -> EventDetector:
    with loading():
        from safetensors import SafetensorError, safe_open

    if os.path.isdir(path):
        raise InputError(f"{path} is a folder; give the file of an event detector in it.")
    if not os.path.isfile(path):
        raise InputError(f"{path} does not exist; give the file of an event detector, or none for the shipped one.")
    try:
        check_safetensors(path)
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, OSError) as error:
        refuse_short_memory(error, path)
        raise InputError(f"{path} cannot be read as a safetensors file; copy or train it again.") from error
    if about.get("form") != _FORM or parse_json(about.get("inputs", "[]")) != list(input_names()):
        raise InputError(f"{path} is not an event detector of this version of htnet ({_FORM}); train it again.")
    if about.get(_SUM) != _digest(state, about):
        raise InputError(f"{path} is damaged: its content does not have the SHA-256 that it states; copy it again.")
    with OwnRng():
        network = EventNetwork(int(about["width"]))
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if {name: tuple(value.shape) for name, value in state.items()} != wanted:
        raise InputError(f"{path} lacks tensors of an event detector, or they have other sizes; train it again.")
    _check_finite(state, str(path), "train it again")
    network.load_state_dict(state)
    return EventDetector(network, DetectorConfig.from_dict(parse_json(about["config"])), parse_json(about["about"]))
