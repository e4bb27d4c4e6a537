"""Checks of the events that a detector returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from htnet.core.errors import InputError
from htnet.core.events import Event
from htnet.recordings import FaceTrack, RecordingCurves

#: A function that finds events in the curves of a recording.
Detector = Callable[[RecordingCurves], Iterable[Event]]

# Tolerance for times that were rounded to ms, s.
_ROUNDING = 1e-3
# Longest text of a value in a message, characters.
_LONGEST = 80


def checked_events(found: Iterable[Event], curves: RecordingCurves) -> tuple[Event, ...]:
    """Sort the events of a detector by onset. Missing times are taken from the frames.

    Raises:
        InputError: the detector returned something else, or an event has a face or frames that the recording does not
            have, or times that differ from those of its frames.
    """
    tracks = {track.number: track for track in curves.tracks}
    if not isinstance(found, Iterable) or isinstance(found, str | bytes | Mapping):
        raise InputError(
            f"The detector returned {short(found)}; it must return a list of events (htnet.types.Event), which may be "
            "empty."
        )
    events = []
    for event in found:
        if not isinstance(event, Event):
            raise InputError(f"The detector returned {short(event)}; it must return events (htnet.types.Event).")
        if event.track is None and len(tracks) > 1:
            raise InputError(
                f"The detector's event at frame {event.onset} has no track, but {len(tracks)} faces were followed. Set "
                "its track to the number of its face."
            )
        number = next(iter(tracks), 0) if event.track is None else event.track
        track = tracks.get(number)
        if track is None or not track.frames[0] <= event.onset <= event.offset <= track.frames[-1]:
            raise InputError(
                f"The detector returned an event of face {number} from frame {event.onset} to {event.offset}, but that "
                "face was not followed there. Return events of tracks and frames in the curves."
            )
        events.append(_timed(event, track))
    return tuple(sorted(events, key=lambda event: (event.onset, event.offset, event.track or 0)))


def _timed(event: Event, track: FaceTrack) -> Event:
    """An event with all its times.

    Raises:
        InputError: a time is more than one frame away from the time of its frame.
    """
    usual = float(np.median(np.diff(track.times))) if len(track) > 1 else 0.0
    of: dict[str, float] = {}
    for name, frame, given in (
        ("start", event.onset, event.start),
        ("peak", event.apex, event.peak),
        ("end", event.offset, event.end),
    ):
        if frame is None:
            continue
        before, of[name], after = np.interp([frame - 1, frame, frame + 1], track.frames, track.times).tolist()
        least, most = min(before, of[name] - usual), max(after, of[name] + usual)
        if given is not None and not least - _ROUNDING <= given <= most + _ROUNDING:
            raise InputError(
                f"The detector's {event.kind} event from frame {event.onset} to {event.offset}: {name} is {given:g} s, "
                f"but frame {frame} is at {of[name]:.3f} s. Give the time of the frame, or None."
            )
    # Given times may be up to one frame off; the times that are filled in must still be in order.
    start = min([of["start"], *(time for time in (event.peak, event.end) if time is not None)])
    start = start if event.start is None else event.start
    end = max(of["end"], start, start if event.peak is None else event.peak) if event.end is None else event.end
    peak = min(max(of["peak"], start), end) if event.peak is None and "peak" in of else event.peak
    return replace(event, start=start, peak=peak, end=end)


def short(value: object) -> str:
    """A value as text for a message; only its type if the text would be long."""
    text = repr(value)
    return text if len(text) <= _LONGEST and "\n" not in text else f"an object of type {type(value).__name__}"
