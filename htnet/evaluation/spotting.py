"""Scores of spotting in recordings, as the spotting challenges (MEGC 2020 to 2025) define them.

Intervals are matched within each recording and each kind (see `htnet.evaluation.matching`). The counts of each kind are
summed over all recordings; the overall score adds those of micro- and macro-expressions. Source: He, Wang, Li and Yap
(MEGC 2020, arXiv 1912.11985) and the results published with its code: 21 of 57 detected micro- and 109 of 300 detected
macro-expressions give 130 of 357 overall.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from htnet.core.emotions import KNOWN_EMOTIONS
from htnet.core.errors import InputError, did_you_mean
from htnet.core.events import EVENT_KINDS, EXPRESSION_KINDS, Event, events_by_name
from htnet.core.fields import one_of
from htnet.core.identity import check_groups, is_named
from htnet.core.recordings import Recording, off_the_rate, recording_tuple, refuse_beyond
from htnet.core.schema import document
from htnet.core.types import QualityWarning
from htnet.evaluation.bootstrap import RESAMPLES, check_draws, draw_groups, interval
from htnet.evaluation.matching import IOU, Span, exact_threshold, match_intervals
from htnet.evaluation.recognition import Recognition, class_names, recognize

#: Units in which intervals are compared.
UNITS = ("frames", "ms")
#: Maximum distance of two apexes that count as near, ms: two frames at 25 per second.
NEAR_MS = 80
#: Name of the row and column of unmatched events in the confusion.
NOTHING = "none"


@dataclass(frozen=True)
class SpottingCounts:
    """Counts of true and predicted intervals.

    Attributes:
        tp: detected true intervals, each counted once.
        fp: predictions that match no true interval.
        fn: true intervals that were not detected.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: SpottingCounts) -> SpottingCounts:
        return SpottingCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP); 0 without predictions, None without predictions and true intervals."""
        return self._share(self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """TP / (TP + FN); 0 without true intervals, None without true intervals and predictions."""
        return self._share(self.tp + self.fn)

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None without true intervals and predictions."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else None

    def _share(self, of: int) -> float | None:
        if not self.tp + self.fp + self.fn:
            return None
        return self.tp / of if of else 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: the counts and the scores."""
        scores = {name: getattr(self, name) for name in ("precision", "recall", "f1")}
        return {"true_positives": self.tp, "false_positives": self.fp, "false_negatives": self.fn, **scores}


@dataclass(frozen=True)
class ApexErrors:
    """Apex errors of the true positives.

    Attributes:
        frames: distance in frames for each pair with both apexes known.
        ms: distance in milliseconds, for pairs with known times.
    """

    frames: tuple[int, ...] = ()
    ms: tuple[float, ...] = ()

    @property
    def near(self) -> float | None:
        """Fraction of pairs that are at most `NEAR_MS` apart; None if no times are known."""
        # The tolerance of 1e-6 ms allows for rounding, because times are computed from frames and rates.
        return sum(value <= NEAR_MS + 1e-6 for value in self.ms) / len(self.ms) if self.ms else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: number of pairs, mean and median, and the fraction of near ones."""
        return {
            "pairs": len(self.frames),
            "mean_frames": _mean(self.frames),
            "median_frames": _median(self.frames),
            "mean_ms": _mean(self.ms),
            "median_ms": _median(self.ms),
            "within_80_ms": self.near,
        }


@dataclass(frozen=True)
class KindScores:
    """Scores of one kind of event, or of micro- and macro-expressions together.

    Attributes:
        counts: counts over all recordings.
        f1_interval: 95 % interval of F1 from a bootstrap over people (or recordings); None if there are fewer than two.
        apex: apex errors of the true positives.
        false_per_minute: false positives per minute; None if the length of a recording is unknown.
        recognition: scores of emotion recognition in the true positives; None if no emotion is annotated or none is
            predicted.
    """

    counts: SpottingCounts
    f1_interval: tuple[float, float] | None = None
    apex: ApexErrors = field(default_factory=ApexErrors)
    false_per_minute: float | None = None
    recognition: Recognition | None = None

    @property
    def strs(self) -> float | None:
        """Spot-then-recognize score: F1 of spotting times F1 of recognition; None without emotions.

        Source: Liong, See and Chan, Signal Processing: Image Communication 110, 2023; the score of MEGC 2025.
        """
        if self.recognition is None or self.counts.f1 is None:
            return None
        return self.counts.f1 * self.recognition.f1

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            **self.counts.to_dict(),
            "f1_interval": None if self.f1_interval is None else list(self.f1_interval),
            "false_per_minute": self.false_per_minute,
            "apex_error": self.apex.to_dict(),
            "recognition": None if self.recognition is None else self.recognition.to_dict(),
            "strs": self.strs,
        }


@dataclass(frozen=True)
class RecordingScores:
    """Counts of one recording.

    Attributes:
        recording: name of the recording.
        subject: the person; "" if unknown.
        minutes: length of the recording, minutes; None if unknown.
        kinds: counts of each kind that occurs in any recording, true or predicted.
    """

    recording: str
    subject: str
    minutes: float | None
    kinds: Mapping[str, SpottingCounts]

    @property
    def overall(self) -> SpottingCounts:
        """Micro- and macro-expressions together."""
        return sum((self.kinds.get(kind, SpottingCounts()) for kind in EXPRESSION_KINDS), SpottingCounts())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "recording": self.recording,
            "subject": self.subject,
            "minutes": self.minutes,
            "overall": self.overall.to_dict(),
            "kinds": {kind: counts.to_dict() for kind, counts in self.kinds.items()},
        }


@dataclass(frozen=True)
class SpottingScores:
    """Scores of spotting in a set of recordings.

    Attributes:
        overall: scores of micro- and macro-expressions together; one kind predicted as the other is an error.
        kinds: scores of each kind that occurs, true or predicted, and always of micro- and macro-expressions.
        recordings: counts of each recording.
        confusion: counts by kind of the true event, or "none", and kind of the predicted event, or "none". Events of
            the same kind are matched first, the remaining ones across kinds.
        iou: minimum intersection over union of a true positive.
        unit: unit in which intervals were compared, one of `UNITS`.
        groups: what the bootstrap for the intervals of F1 draws: "subjects" or "recordings".
        warnings: reasons to doubt the scores.
    """

    overall: KindScores
    kinds: Mapping[str, KindScores]
    recordings: tuple[RecordingScores, ...]
    confusion: Mapping[str, Mapping[str, int]]
    iou: Fraction = IOU
    unit: str = "frames"
    groups: str = "recordings"
    warnings: tuple[QualityWarning, ...] = ()

    @property
    def micro(self) -> KindScores:
        """Micro-expressions."""
        return self.kinds["micro"]

    @property
    def macro(self) -> KindScores:
        """Macro-expressions."""
        return self.kinds["macro"]

    @property
    def minutes(self) -> float | None:
        """Total length of the recordings, minutes; None if one is unknown."""
        return _total(recording.minutes for recording in self.recordings)

    def to_dict(self) -> dict[str, Any]:
        """The document "htnet.spotting_scores", see docs/output.md."""
        content = {
            "iou": float(self.iou),
            "unit": self.unit,
            "recording_count": len(self.recordings),
            "minutes": self.minutes,
            "intervals_over": self.groups,
            "overall": self.overall.to_dict(),
            "kinds": {kind: scores.to_dict() for kind, scores in self.kinds.items()},
            "confusion": {kind: dict(row) for kind, row in self.confusion.items()},
            "recordings": [recording.to_dict() for recording in self.recordings],
        }
        return document("htnet.spotting_scores", content, self.warnings)


@dataclass(frozen=True)
class _Pair:
    truth: Event
    predicted: Event
    recording: Recording


def evaluate_spotting(
    truth: Iterable[Recording],
    predicted: Mapping[str, Iterable[Event]],
    *,
    iou: Fraction | float | str = IOU,
    unit: str = "frames",
    classes: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> SpottingScores:
    """Score predicted events against the true ones.

    Args:
        truth: the recordings with their true events, including recordings without events.
        predicted: predicted events by name of the recording, with frames numbered as in the true events. Without an
            entry, a recording has no predictions.
        iou: minimum intersection over union of a true positive; the challenges use 0.5.
        unit: "frames", or "ms" for recordings whose predictions were made at another frame rate.
        classes: emotions over which recognition is scored; by default those annotated for a kind. Case makes no
            difference.
        resamples: number of bootstrap draws for the intervals of F1.
        seed: seed of the draws.

    Raises:
        InputError: ``truth`` or ``predicted`` has another form, there are no recordings, a name occurs twice or is
            unknown, a predicted event ends after the recording (if frames are compared and counted from 0), two
            subjects differ only in spelling, times are needed but not known (no rate, or a variable one), or
            ``classes`` has a name that is no emotion of these events and no usual one, or would have no effect because
            no emotion is annotated, or none predicted.
    """
    resamples, seed = check_draws(resamples, seed)
    recordings = recording_tuple(truth, "truth")
    one_of(UNITS).check("unit", unit)
    least = exact_threshold(iou)
    classes = None if classes is None else class_names(classes)
    if classes is not None and len({_key(name) for name in classes}) < len(classes):
        raise InputError(f"classes is {classes!r}; list each emotion once: case makes no difference.")
    given = events_by_name(predicted, "predicted")
    _check_names(recordings, given)
    answers = {recording.name: given.get(recording.name, ()) for recording in recordings}
    if classes is not None:
        _check_classes(classes, recordings, answers)
    for recording in recordings:
        if unit == "frames" and recording.numbers is None:  # milliseconds compare predictions at another frame rate
            refuse_beyond(answers[recording.name], recording.frames, f"The prediction for {recording.name!r}")
    seen = {event.kind for r in recordings for event in (*r.events, *answers[r.name])}
    kinds = [kind for kind in EVENT_KINDS if kind in EXPRESSION_KINDS or kind in seen]
    confusion = {one: dict.fromkeys([*kinds, NOTHING], 0) for one in [*kinds, NOTHING]}
    pairs: dict[str, list[_Pair]] = {kind: [] for kind in kinds}
    each = []
    for recording in recordings:
        counts, left_true, left_predicted = {}, list[Event](), list[Event]()
        for kind in kinds:
            ours = [event for event in recording.events if event.kind == kind]
            theirs = [event for event in answers[recording.name] if event.kind == kind]
            found, missed, wrong = _match(recording, ours, theirs, least, unit)
            pairs[kind] += found
            counts[kind] = SpottingCounts(len(found), len(wrong), len(missed))
            confusion[kind][kind] += len(found)
            left_true, left_predicted = left_true + missed, left_predicted + wrong
        crossed, missed, wrong = _match(recording, left_true, left_predicted, least, unit)
        for pair in crossed:
            confusion[pair.truth.kind][pair.predicted.kind] += 1
        for event in missed:
            confusion[event.kind][NOTHING] += 1
        for event in wrong:
            confusion[NOTHING][event.kind] += 1
        each.append(RecordingScores(recording.name, recording.subject, recording.minutes, MappingProxyType(counts)))
    by_subject = all(is_named(recording.subject) for recording in recordings)
    if by_subject:
        check_groups(((r.dataset, r.subject) for r in recordings), "The recordings have the data set and subject")
    groups = [(r.dataset, r.subject) for r in recordings] if by_subject else list(range(len(recordings)))
    minutes = _total(recording.minutes for recording in recordings)
    answered = any(event.emotion for events in answers.values() for event in events)

    def scores(kinds: Sequence[str]) -> KindScores:
        counts = [sum((one.kinds[kind] for kind in kinds), SpottingCounts()) for one in each]
        found = [pair for kind in kinds for pair in pairs[kind]]
        total = sum(counts, SpottingCounts())
        annotated = {e.label for r in recordings for e in r.events if e.label and e.kind in kinds}
        # Tables of recordings are read in lowercase, labels of weights have any case.
        spelled = {_key(name): name for name in sorted(annotated, reverse=True)}
        emotions = list(classes) if classes is not None else sorted(spelled.values())
        spelled |= {_key(name): name for name in emotions}
        return KindScores(
            total,
            _f1_interval(counts, groups, resamples, seed),
            _apexes(found),
            total.fp / minutes if minutes else None,
            recognize(
                [(_spelled(p.truth.label, spelled), _spelled(p.predicted.emotion, spelled)) for p in found], emotions
            )
            if annotated and answered
            else None,
        )

    return SpottingScores(
        scores(EXPRESSION_KINDS),
        MappingProxyType({kind: scores([kind]) for kind in kinds}),
        tuple(each),
        MappingProxyType(confusion),
        least,
        unit,
        "subjects" if by_subject else "recordings",
        (*_warnings(recordings, given), *_other_emotions(recordings, answers, classes or ())),
    )


def _check_classes(
    classes: Sequence[str], recordings: Sequence[Recording], answers: Mapping[str, Sequence[Event]]
) -> None:
    """Refuse classes without effect, and a name that is probably misspelled: it would lower all scores.

    Raises:
        InputError: see `evaluate_spotting`. An emotion that only occurs in other recordings is allowed if it is one of
            `KNOWN_EMOTIONS`.
    """
    annotated = {e.label for r in recordings for e in r.events if e.label and e.kind in EXPRESSION_KINDS}
    predicted = [event for events in answers.values() for event in events if event.kind in EXPRESSION_KINDS]
    named = {event.emotion for event in predicted if event.emotion}
    lacking = "true" if not annotated else "predicted" if predicted and not named else ""
    if lacking:
        raise InputError(
            f"classes is {', '.join(classes)}, but no {lacking} micro- or macro-expression has an emotion, so "
            "recognition cannot be scored. Add the emotions, or leave classes out."
        )
    known = {_key(name) for name in annotated | named} | KNOWN_EMOTIONS
    if unknown := next((name for name in classes if _key(name) not in known), None):
        raise InputError(
            f"classes has {unknown!r}, but no event has this emotion. {did_you_mean(unknown, sorted(annotated))}"
        )


def _key(name: str) -> str:
    return name.strip().casefold()


def _spelled(label: str | None, names: Mapping[str, str]) -> str | None:
    """The label in the spelling of the classes, which may differ from it in case."""
    return None if label is None else names.get(_key(label), label)


def _warnings(recordings: Sequence[Recording], predicted: Mapping[str, Any]) -> tuple[QualityWarning, ...]:
    without = [recording.name for recording in recordings if recording.name not in predicted]
    if not without:
        return ()
    shown = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
    message = (
        f"{len(without)} of {len(recordings)} recordings have no predictions, which counts as nothing detected: "
        f"{shown}. "
        "Check their names if something was predicted there."
    )
    return (QualityWarning("no_predictions", message),)


def _other_emotions(
    recordings: Sequence[Recording], answers: Mapping[str, Sequence[Event]], classes: Sequence[str]
) -> tuple[QualityWarning, ...]:
    """A warning about predicted emotions that no true event has, because each counts as wrong."""
    annotated = {_key(e.label): e.label for r in recordings for e in r.events if e.label and e.kind in EXPRESSION_KINDS}
    known = {*annotated, *map(_key, classes)}
    predicted = Counter(
        event.emotion
        for events in answers.values()
        for event in events
        if event.emotion and event.kind in EXPRESSION_KINDS and _key(event.emotion) not in known
    )
    if not annotated or not predicted:
        return ()
    message = (
        f"No true event has the predicted {'emotion' if len(predicted) == 1 else 'emotions'} "
        f"{', '.join(f'{name} ({count})' for name, count in sorted(predicted.items()))}, so these count as wrong. The "
        f"true ones are {', '.join(sorted(annotated.values()))}. If they are other names for the same emotions, use "
        "one set of names in both."
    )
    return (QualityWarning("other_emotions", message),)


def _check_names(recordings: Sequence[Recording], predicted: Mapping[str, Any]) -> None:
    if not recordings:
        raise InputError("There are no recordings to score. Give the true events of at least one.")
    names = [recording.name for recording in recordings]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"The recording {twice!r} occurs twice in the annotations; make names unique.")
    unknown = next((name for name in predicted if name not in set(names)), None)
    if unknown is not None:
        raise InputError(
            f"There are predictions for {unknown!r}, which is not one of the annotated recordings. "
            f"{did_you_mean(unknown, names)} Recordings without events must be listed, too."
        )


def _match(
    recording: Recording, truth: list[Event], predicted: list[Event], iou: Fraction, unit: str
) -> tuple[list[_Pair], list[Event], list[Event]]:
    """Matched pairs, unmatched true events, and unmatched predicted events."""
    spans = [[_span(recording, event, unit) for event in events] for events in (truth, predicted)]
    matched = match_intervals(spans[0], spans[1], iou)
    ours, theirs = {i for i, _ in matched}, {j for _, j in matched}
    return (
        [_Pair(truth[i], predicted[j], recording) for i, j in matched],
        [event for i, event in enumerate(truth) if i not in ours],
        [event for j, event in enumerate(predicted) if j not in theirs],
    )


def _span(recording: Recording, event: Event, unit: str) -> Span:
    if unit == "frames":
        return event.onset, event.offset
    times = [_ms(recording, frame, time) for frame, time in ((event.onset, event.start), (event.offset, event.end))]
    if None in times:
        said = f"An event of {recording.name!r} (frames {event.onset} to {event.offset}) has no time, and the recording"
        if recording.fps is None:
            raise InputError(
                f"{said} has no frame rate, so it cannot be compared in milliseconds. Give the frames per second, or "
                "compare in frames."
            )
        raise InputError(
            f"{said} has a variable frame rate: its other times are not frame number / {recording.fps:g}. So it cannot "
            "be compared in milliseconds. Give all times (start, peak, end), or compare in frames."
        )
    return math.floor(times[0] + 0.5), math.floor(times[1] + 0.5)  # type: ignore[operator]


def _ms(recording: Recording, frame: int | None, time: float | None) -> float | None:
    """Time of a frame, ms; computed from the frame rate if it is not given.

    None if the rate is unknown, or variable as the times of the true events show.
    """
    if frame is None:
        return None
    found = time
    if time is None and not _varies(recording):
        found = recording.seconds(frame)
    return None if found is None else found * 1000


def _varies(recording: Recording) -> bool:
    """Whether times of the true events are not those of their frames at the recording's rate."""
    for event in recording.events:
        for frame, time in ((event.onset, event.start), (event.apex, event.peak), (event.offset, event.end)):
            if frame is None or time is None or (expected := recording.seconds(frame)) is None:
                continue
            if off_the_rate(time, expected, recording.fps or 1):
                return True
    return False


def _apexes(pairs: Iterable[_Pair]) -> ApexErrors:
    frames, times = [], []
    for pair in pairs:
        one, other = pair.truth, pair.predicted
        if one.apex is None or other.apex is None:
            continue
        frames.append(abs(one.apex - other.apex))
        both = [_ms(pair.recording, event.apex, event.peak) for event in (one, other)]
        if both[0] is not None and both[1] is not None:
            times.append(abs(both[0] - both[1]))
    return ApexErrors(tuple(frames), tuple(times))


def _f1_interval(
    counts: Sequence[SpottingCounts], groups: Sequence[Any], resamples: int, seed: int
) -> tuple[float, float] | None:
    """Interval of F1 over draws of groups. Draws without true intervals and predictions have no F1 and are left out."""
    if len(set(groups)) < 2:
        return None
    members, times = draw_groups(groups, resamples, seed)
    each = np.zeros((times.shape[1], 3), dtype=np.int64)
    np.add.at(each, members, np.array([(one.tp, one.fp, one.fn) for one in counts]))
    tp, fp, fn = (times @ each).T
    total = 2 * tp + fp + fn
    drawn = 2 * tp[total > 0] / total[total > 0]
    return interval(drawn) if drawn.size else None


def _total(parts: Iterable[float | None]) -> float | None:
    found = list(parts)
    return None if None in found else math.fsum(part for part in found if part is not None)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
