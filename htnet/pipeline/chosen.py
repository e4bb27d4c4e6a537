"""The one expression of a clip or of a recording: which of the two a video is, and where its expression lies."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from htnet.core.errors import NoFaceError
from htnet.core.events import EXPRESSION_KINDS, Event
from htnet.core.fields import real
from htnet.core.types import Frame, Landmarks, QualityWarning, Spotting
from htnet.pipeline.detected import Detector, checked_events
from htnet.preprocess import FrameSource, Landmarker, LandmarkSource, Video, open_video, read_clip, spot
from htnet.recordings import FaceTrack, RecordingCurves, load_detector, recording_curves, recording_stream
from htnet.recordings.stream import announced_length

#: A video that says that it is longer is a recording, and not a clip that was cut around one expression, s.
LONGEST_CLIP_S = 10.0
#: What `Spotting.method` says of frames that the event detector found.
DETECTOR_METHOD = "detector"
#: How the apex of a clip is searched unless told; see `htnet.preprocess.spot`.
DEFAULT_METHOD = "peak"
# Time before the onset and after the offset that belongs to the part, s, and length of a part without an expression.
_AROUND, _NOTHING = 0.5, 1.0
# Other expressions that a warning names.
_NAMED = 5


@dataclass(frozen=True, eq=False)
class SpottedVideo:
    """Where the expression of a video lies, and the frames that show it.

    Attributes:
        spotting: onset, apex and offset, the confidence in them, and the curve.
        frames: the clip; of a recording the part that shows the expression. Numbers are those of the whole video.
        found: False for a recording in which no expression was found; the spotting is then that of its first face.
    """

    spotting: Spotting
    frames: Video | list[Frame]
    found: bool = True

    def take(self, *numbers: int) -> dict[int, Frame]:
        """Some of the frames, by number."""
        if isinstance(self.frames, Video):
            return self.frames.take(numbers)
        return {number: self.frames[number] for number in numbers}

    def between(self, first: int, last: int) -> Video | list[Frame]:
        """The frames from ``first`` to ``last``, both included."""
        if isinstance(self.frames, Video):
            return self.frames.between(first, last)
        return self.frames[first : last + 1]


def spot_video(
    source: str | os.PathLike[str] | Video | Iterable[FrameSource],
    landmarks: LandmarkSource | Landmarker = "yunet",
    *,
    method: str | None = None,
    fps: float | None = None,
    sample: str = "",
    bit_depth: int | None = None,
) -> SpottedVideo:
    """Find the one expression of a clip, or the most confident one of a recording.

    A video that says that it is longer than 10 s is a recording: its events are found as `htnet.analyze` does, and the
    frames around the most confident micro- or macro-expression are taken. All others are clips, searched by
    `htnet.preprocess.spot`; so are frames in order, parts of a video, and every video whose ``method`` or ``landmarks``
    are given.

    Args:
        source: a video file, a folder of frames, a `Video`, or frames in order.
        landmarks: five (x, y) in px of the first frame, a file of them, or a landmarker or its name.
        method: how to search for the apex of a clip, see `htnet.preprocess.spot`; "peak" unless given.
        fps: frames per second, a constant rate; replaces that of a file.
        sample: identifier.
        bit_depth: bits of the values in 16-bit frames, see `htnet.preprocess.read_frame`.

    Returns:
        Onset, apex and offset, and the frames. The warning `several_expressions` names the other expressions of a
        recording; `no_event` tells that it has none.

    Raises:
        VideoError, FrameError, LandmarkError: the video cannot be used.
        NoFaceError: a recording shows no face.
        InputError: a setting is impossible.
    """
    frames = opened(source, fps, bit_depth)
    return find_expression(frames, landmarks, given=not is_default(landmarks), method=method, fps=fps, sample=sample)


def find_expression(
    frames: Video | list[Frame],
    landmarks: LandmarkSource | Landmarker,
    *,
    given: bool,
    method: str | None,
    fps: float | None,
    sample: str,
) -> SpottedVideo:
    """What `spot_video` does, in frames that are opened.

    Args:
        frames: see `opened`.
        landmarks: used in a clip.
        given: the user chose the landmarks, so the frames are a clip however long they are.
        method: see `spot_video`; likewise all others.
        fps: see `spot_video`.
        sample: see `spot_video`.
    """
    if isinstance(frames, Video) and method is None and not given and is_recording(timed(frames, fps)):
        part = choose_part(timed(frames, fps))
        held = part.video.held()
        return SpottedVideo(spot_part(part, held, DEFAULT_METHOD, sample), held, part.event is not None)
    found = spot(frames, landmarks, method=method or DEFAULT_METHOD, fps=fps, sample=sample)
    return SpottedVideo(found, frames)


def is_default(landmarks: object) -> bool:
    """Whether landmarks are those that are used unless others are given."""
    return isinstance(landmarks, str) and landmarks == "yunet"


def opened(
    source: str | os.PathLike[str] | Video | Iterable[FrameSource], fps: float | None, bit_depth: int | None
) -> Video | list[Frame]:
    """The frames of a clip or a recording, read once where memory allows."""
    if isinstance(source, str | os.PathLike):
        source = open_video(source, fps=fps, bit_depth=bit_depth)
    return source.held() if isinstance(source, Video) else list(read_clip(source, bit_depth))


def timed(video: Video, fps: float | None) -> Video:
    """A video whose frames have a constant rate, where one is given."""
    if fps is None:
        return video
    real(gt=0).check("fps", fps)
    return replace(video, fps=float(fps), timed=False)


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
    """Whether a video, not a part of one, says that it is longer than `LONGEST_CLIP_S`."""
    if video.from_frame or (video.to_frame, video.from_time, video.to_time) != (None, None, None):
        return False
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
