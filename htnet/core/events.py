"""Events of a recording, and their JSON form."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from htnet.core.errors import HtnetError, InputError
from htnet.core.facs import SHOWN_UNITS, UnitPrediction
from htnet.core.fields import one_of, optional, real
from htnet.core.types import NO_EXPRESSION

#: The two kinds of events that are expressions; the spotting challenges (MEGC) score only these.
EXPRESSION_KINDS = ("micro", "macro")
#: Kinds of events: expressions, blinks, head movements and speech.
EVENT_KINDS = (*EXPRESSION_KINDS, "blink", "head", "speech")
#: Longest micro-expression and longest macro-expression, s, as MEGC 2020 defines them (He et al., arXiv 1912.11985).
LONGEST_MICRO_S, LONGEST_MACRO_S = 0.5, 4.0


@dataclass(frozen=True)
class Event:
    """One event in a recording.

    Attributes:
        kind: one of `EVENT_KINDS`.
        onset: number of its first frame, which belongs to the event; a video's frames are counted from 0.
        apex: number of the frame with the strongest expression; None if unknown.
        offset: number of its last frame, which also belongs to the event.
        start: time of the onset, s from the first frame of the recording; None if unknown.
        peak: time of the apex, s; None if unknown.
        end: time of the offset, s; None if unknown.
        confidence: 0..1; None if nothing was measured, as in an annotation.
        label: the emotion: the most probable one of ``probabilities``, or the annotated one. "no expression" if onset
            and apex do not differ by an expression; None if no model was applied and there is no annotation.
        probabilities: emotion to probability, in the model's class order; empty if no model was applied.
        action_units: predictions of all action units of the model; empty if no model was applied.
        track: number of the face in the recording; None if there is only one face.
        expression: probability that onset and apex differ by an expression, see `htnet.types.Prediction`; None if no
            model was applied.

    Raises:
        InputError: the kind is unknown, a frame number is not an integer or is below 0, frames or times are out of
            order, or the confidence is outside 0..1.
    """

    kind: str
    onset: int
    apex: int | None
    offset: int
    start: float | None = None
    peak: float | None = None
    end: float | None = None
    confidence: float | None = None
    label: str | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    action_units: tuple[UnitPrediction, ...] = ()
    track: int | None = None
    expression: float | None = None

    def __post_init__(self) -> None:
        """Check kind, frames, times and confidence."""
        one_of(EVENT_KINDS).check("The kind of an event", self.kind)
        for name in ("onset", "apex", "offset"):
            value = getattr(self, name)
            if value is not None or name != "apex":
                object.__setattr__(self, name, _frame(name, value))
        if self.offset < self.onset:
            raise InputError(f"An event ends at frame {self.offset}, before its onset {self.onset}. Correct it.")
        if self.apex is not None and not self.onset <= self.apex <= self.offset:
            raise InputError(
                f"The apex {self.apex} of an event lies outside {self.onset} to {self.offset}. Correct it, or give "
                "None."
            )
        for name in ("start", "peak", "end"):
            optional(real()).check(f"{name} of an event", getattr(self, name))
        known = [time for time in (self.start, self.peak, self.end) if time is not None]
        if known != sorted(known):
            raise InputError(f"The times of an event are {known} s, out of order. Give start, peak and end in s.")
        optional(real(ge=0, le=1)).check("The confidence of an event", self.confidence)
        optional(real(ge=0, le=1)).check("expression of an event", self.expression)

    @property
    def frames(self) -> int:
        """Number of frames, including onset and offset."""
        return self.offset - self.onset + 1

    @property
    def emotion(self) -> str | None:
        """The emotion: ``label``, or the most probable class if ``label`` is "no expression" and a model was used."""
        if self.label == NO_EXPRESSION and self.probabilities:
            return max(self.probabilities, key=lambda name: self.probabilities[name])
        return self.label

    @property
    def shown_units(self) -> tuple[UnitPrediction, ...]:
        """The action units to show with the event: those with a probability of at least `SHOWN_UNITS`; none if
        ``label`` is "no expression".
        """
        if self.label == NO_EXPRESSION:
            return ()
        return tuple(unit for unit in self.action_units if unit.probability >= SHOWN_UNITS)

    def to_dict(self) -> dict[str, Any]:
        """One entry of the field "events" of a document."""
        return {
            "kind": self.kind,
            "onset_frame": self.onset,
            "apex_frame": self.apex,
            "offset_frame": self.offset,
            "onset_time_s": self.start,
            "apex_time_s": self.peak,
            "offset_time_s": self.end,
            "confidence": self.confidence,
            "expression": self.expression,
            "prediction": self.label,
            "probabilities": dict(self.probabilities),
            "action_units": [unit.to_dict() for unit in self.action_units],
            "track": self.track,
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any], where: str = "an event") -> Event:
        """Rebuild an event from an entry that `to_dict` wrote; missing optional fields take their defaults.

        Args:
            entry: the entry, as read from JSON.
            where: name of the entry in messages.

        Raises:
            InputError: kind, onset or offset is missing, or a value is not in the form that `to_dict` writes.
        """
        if not isinstance(entry, Mapping):
            raise InputError(f"{where} is {entry!r}; give an object with the fields of an event of htnet.")
        lacking = [name for name in ("kind", "onset_frame", "offset_frame") if entry.get(name) is None]
        if lacking:
            raise InputError(f"{where} lacks {', '.join(lacking)}. Give a JSON document that htnet wrote, with events.")
        probabilities, units = entry.get("probabilities") or {}, entry.get("action_units") or []
        if not isinstance(probabilities, Mapping) or not isinstance(units, list):
            raise InputError(f"{where}: probabilities must be an object and action_units a list.")
        label, track = entry.get("prediction"), entry.get("track")
        try:
            return cls(
                entry["kind"],
                entry["onset_frame"],
                entry.get("apex_frame"),
                entry["offset_frame"],
                entry.get("onset_time_s"),
                entry.get("apex_time_s"),
                entry.get("offset_time_s"),
                entry.get("confidence"),
                None if label is None else str(label),
                {str(name): _share(f"The probability of {name}", value) for name, value in probabilities.items()},
                tuple(_unit(unit) for unit in units),
                None if track is None else _frame("track", track),
                entry.get("expression"),
            )
        except HtnetError as error:
            raise InputError(f"{where}: {error}") from error


def event_tuple(events: object, what: str) -> tuple[Event, ...]:
    """The events that a user gave, as a tuple.

    Args:
        events: several events.
        what: what they are, for messages, such as "events".

    Raises:
        InputError: it is not an iterable of events: a single event, a recording or an analysis, a path, or intervals in
            another form.
    """
    given: Any = events
    if isinstance(given, (Event, str, bytes, Mapping)) or not isinstance(given, Iterable):
        got = "None" if given is None else f"of type {type(given).__name__}"
        cure = "its attribute 'events'" if hasattr(given, "events") else "a list of htnet.types.Event"
        raise InputError(f"{what} is {got}, not several events; give {cure}.")
    found = tuple(given)
    for number, event in enumerate(found):
        if not isinstance(event, Event):
            cure = "Event.from_dict(...)" if isinstance(event, Mapping) else "Event(kind, onset, apex, offset)"
            raise InputError(f"{what}[{number}] is of type {type(event).__name__}; give htnet.types.{cure}.")
    return found


def events_by_name(events: object, what: str) -> dict[str, tuple[Event, ...]]:
    """The events of several recordings by name, as a user gave them.

    Args:
        events: a mapping from the name of each recording to its events.
        what: what they are, for messages, such as "predicted".

    Raises:
        InputError: it is not such a mapping; the message says how to make one.
    """
    given: Any = events
    if not isinstance(given, Mapping):
        got = "None" if given is None else f"of type {type(given).__name__}"
        cure = "{recording.name: recording.events for recording in ...}"
        if hasattr(given, "of"):
            cure = "what its method 'of' returns for the annotated recordings"
        raise InputError(f"{what} is {got}, not a mapping from the name of each recording to its events; give {cure}.")
    return {name: event_tuple(found, f"{what}[{name!r}]") for name, found in given.items()}


def _unit(entry: Any) -> UnitPrediction:
    if not isinstance(entry, Mapping) or not {"unit", "subject_left", "subject_right"} <= entry.keys():
        raise InputError(f"An action unit is {entry!r}; give unit, subject_left and subject_right.")
    return UnitPrediction(
        _frame("unit", entry["unit"]), *(_share(side, entry[side]) for side in ("subject_left", "subject_right"))
    )


def _share(name: str, value: Any) -> float:
    real(ge=0, le=1).check(name, value)
    return float(value)


def _frame(name: str, value: Any) -> int:
    try:
        found = operator.index(value)
    except TypeError:
        found = -1
    if isinstance(value, bool) or found < 0:
        raise InputError(f"The {name} of an event is {value!r}; give a whole number, 0 or more.")
    return found
