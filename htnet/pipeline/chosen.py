"""The part of a recording in which its most confident expression lies, for commands that answer one expression."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from htnet.core.errors import NoFaceError
from htnet.core.events import EXPRESSION_KINDS, Event
from htnet.core.types import Landmarks, QualityWarning, Spotting
from htnet.pipeline.analyzing import Detector, checked_events
from htnet.preprocess import Video, spot
from htnet.recordings import FaceTrack, RecordingCurves, load_detector, recording_curves, recording_stream
from htnet.recordings.stream import announced_length

#: A video that says that it is longer is a recording, and not a clip that was cut around one expression, s.
LONGEST_CLIP_S = 10.0
#: What `Spotting.method` says of frames that the event detector found.
DETECTOR_METHOD = "detector"
# Time before the onset and after the offset that belongs to the part, s, and length of a part without an expression.
_AROUND, _NOTHING = 0.5, 1.0
# Other expressions that a warning names.
_NAMED = 5


@dataclass(frozen=True, eq=False)
class ChosenPart:
    """A part of a recording.

    Attributes:
        video: the part.
        landmarks: five points of the face in its first frame.
        event: the expression in it; None if none was found in the recording.
        warnings: what else was found.
    """

    video: Video
    landmarks: Landmarks
    event: Event | None
    warnings: tuple[QualityWarning, ...]


def is_recording(video: Video) -> bool:
    """Whether a video says that it is longer than `LONGEST_CLIP_S`."""
    length = announced_length(video)
    return length is not None and length > LONGEST_CLIP_S


def choose_part(video: Video, detector: Detector | None = None) -> ChosenPart:
    """The part of a recording with its most confident micro- or macro-expression.

    Args:
        video: the recording; it is read to its end.
        detector: finds events in its curves; the one that htnet ships unless given.

    Returns:
        The part from 0.5 s before the onset to 0.5 s after the offset, as far as the face is measured without a gap.
        Without any expression it is the first second of the longest stretch in which a face is measured.

    Raises:
        NoFaceError: no face is measured in the recording.
        VideoError: the recording cannot be read.
    """
    curves = recording_curves(recording_stream(video))
    events = checked_events((load_detector() if detector is None else detector)(curves), curves)
    found = sorted(
        (event for event in events if event.kind in EXPRESSION_KINDS), key=lambda event: -(event.confidence or 0.0)
    )
    if found:
        track = next(track for track in curves.tracks if track.number == (found[0].track or 0))
        rows = _around(track, found[0])
        if rows is not None:
            return _part(video, track, *rows, found[0], _others(found))
    return _without(video, curves)


def spot_part(part: ChosenPart, video: Video, method: str, sample: str = "") -> Spotting:
    """Onset, apex and offset in a part: those of its event, with the curve of `htnet.preprocess.spot`.

    Args:
        part: the part.
        video: its frames.
        method: how to search in a part without an event.
        sample: identifier.

    Raises:
        VideoError, FrameError, LandmarkError, FlowError: the part cannot be used.
    """
    found = spot(video, part.landmarks, method=method, sample=sample)
    found = replace(found, warnings=(*part.warnings, *found.warnings))
    if part.event is None:
        return found
    event, last = part.event, found.first + len(found.curve) - 1
    onset, offset = (min(max(number, found.first), last) for number in (event.onset, event.offset))
    apex = min(max(found.apex if event.apex is None else event.apex, onset), offset)
    return replace(found, onset=onset, apex=apex, offset=offset, confidence=event.confidence, method=DETECTOR_METHOD)


def _around(track: FaceTrack, event: Event) -> tuple[int, int] | None:
    """First and last row of the part around an event; None if the face is not measured at its apex."""
    apex = int(np.searchsorted(track.frames, event.offset if event.apex is None else event.apex))
    inside = [(first, last) for first, last in track.segments if first <= apex <= last]
    if not inside:
        return None
    first, last = inside[0]
    onset, offset = np.searchsorted(track.frames, [event.onset, event.offset])
    times = track.times
    low = int(np.searchsorted(times, times[onset] - _AROUND))
    high = int(np.searchsorted(times, times[min(offset, len(times) - 1)] + _AROUND, "right")) - 1
    return max(first, low), min(last, high)


def _without(video: Video, curves: RecordingCurves) -> ChosenPart:
    stretches = [(track, *segment) for track in curves.tracks for segment in track.segments]
    if not stretches:
        brief = next((warning.message for warning in curves.warnings if warning.code == "too_short"), None)
        if brief is not None:
            raise NoFaceError(f"{video.source}: {brief}")
        raise NoFaceError(
            f"No face that looks into the camera was found in {video.source}. Give a recording that shows one."
        )
    track, first, last = max(stretches, key=lambda s: float(s[0].times[s[2]] - s[0].times[s[1]]))
    end = int(np.searchsorted(track.times, track.times[first] + _NOTHING, "right")) - 1
    text = (
        f"No micro- or macro-expression was found in the recording ({curves.duration:.1f} s). The numbers are those of "
        f"a stretch from {track.times[first]:.2f} s on; see all events with htnet analyze."
    )
    return _part(video, track, first, min(last, end), None, (QualityWarning("no_event", text),))


def _part(
    video: Video,
    track: FaceTrack,
    first: int,
    last: int,
    event: Event | None,
    warnings: tuple[QualityWarning, ...],
) -> ChosenPart:
    part = video.between(int(track.frames[first]), int(track.frames[last]))
    return ChosenPart(part, Landmarks(track.points[first], "followed face"), event, warnings)


def _others(found: Iterable[Event]) -> tuple[QualityWarning, ...]:
    """A warning that names the expressions other than the first one; none if there are none."""
    best, *others = found
    if not others:
        return ()
    named = ", ".join(_named(event) for event in others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
    text = (
        f"The recording shows {1 + len(others)} expressions. The answer is that of the most confident one, a "
        f"{_named(best)}; the others are a {named}. See all with htnet analyze."
    )
    return (QualityWarning("several_expressions", text),)


def _named(event: Event) -> str:
    at = f"frame {event.onset}" if event.start is None else f"{event.start:.2f} s"
    return f"{event.kind} at {at}"
