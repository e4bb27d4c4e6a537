"""Find the one expression of a video: decide whether it is a clip or a recording, and spot accordingly."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from htnet.core.errors import NoFaceError
from htnet.core.events import EXPRESSION_KINDS, Event
from htnet.core.fields import checked_fps
from htnet.core.types import Frame, Landmarks, QualityWarning, Spotting
from htnet.pipeline.detected import Detector, checked_events
from htnet.preprocess import FrameSource, Landmarker, LandmarkSource, Video, open_video, read_clip, spot
from htnet.recordings import FaceTrack, RecordingCurves, load_detector, recording_curves, recording_stream
from htnet.recordings.stream import announced_length

#: A video whose stated length exceeds this is a recording, not a clip cut around one expression, s.
LONGEST_CLIP_S = 10.0
#: `Spotting.method` of frames that the event detector found.
DETECTOR_METHOD = "detector"
#: Default method for finding the apex of a clip; see `htnet.preprocess.spot`.
DEFAULT_METHOD = "peak"
# Time before the onset and after the offset that is added to a part, and length of a part without an expression, s.
_AROUND, _NOTHING = 0.5, 1.0
# Largest number of other expressions in a warning.
_NAMED = 5


@dataclass(frozen=True, eq=False)
class SpottedVideo:
    """The position of the expression in a video, and the frames that show it.

    Attributes:
        spotting: onset, apex and offset, the confidence in them, and the curve.
        frames: the clip, or the part of a recording that shows the expression. Frame numbers refer to the whole video.
        found: False for a recording without an expression; ``spotting`` then describes a stretch that shows a face.
    """

    spotting: Spotting
    frames: Video | list[Frame]
    found: bool = True

    def take(self, *numbers: int) -> dict[int, Frame]:
        """The frames with these numbers, by number."""
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

    A video whose stated length exceeds 10 s is a recording: its events are found as in `htnet.analyze`, and the frames
    around the most confident micro- or macro-expression are used. Everything else is a clip, in which
    `htnet.preprocess.spot` finds the expression: shorter videos, lists of frames, parts of a video, and any video for
    which ``method`` or ``landmarks`` is given.

    Args:
        source: a video file, a folder of frames, a `Video`, or frames in order.
        landmarks: five (x, y) in px of the first frame, a file of them, or a landmarker or its name.
        method: how to find the apex of a clip, see `htnet.preprocess.spot`; "peak" by default.
        fps: constant frame rate, frames per second; overrides that of the file.
        sample: identifier.
        bit_depth: bits per value in 16-bit frames, see `htnet.preprocess.read_frame`.

    Returns:
        Onset, apex and offset, and the frames. The warning `several_expressions` lists the other expressions of a
        recording; `no_event` states that it has none.

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
    """Do what `spot_video` does, with frames that are already open.

    Args:
        frames: see `opened`.
        landmarks: points or landmarker, used for clips.
        given: the user chose the landmarks, so the frames are a clip whatever their length.
        method: see `spot_video`.
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
    """Whether landmarks are the default."""
    return isinstance(landmarks, str) and landmarks == "yunet"


def opened(
    source: str | os.PathLike[str] | Video | Iterable[FrameSource], fps: float | None, bit_depth: int | None
) -> Video | list[Frame]:
    """Open the frames of a clip or a recording. They are kept in memory if they fit."""
    if isinstance(source, str | os.PathLike):
        source = open_video(source, fps=fps, bit_depth=bit_depth)
    return source.held() if isinstance(source, Video) else list(read_clip(source, bit_depth))


def timed(video: Video, fps: float | None) -> Video:
    """The video with the constant frame rate ``fps``, if one is given."""
    rate = checked_fps(fps)
    return video if rate is None else replace(video, fps=rate, timed=False)


@dataclass(frozen=True, eq=False)
class ChosenPart:
    """A part of a recording.

    Attributes:
        video: the frames of the part.
        landmarks: five points of the face in its first frame.
        event: the expression in it; None if none was found in the recording.
        warnings: other expressions, or that there is none.
    """

    video: Video
    landmarks: Landmarks
    event: Event | None
    warnings: tuple[QualityWarning, ...]


def is_recording(video: Video) -> bool:
    """Whether the stated length of a whole video exceeds `LONGEST_CLIP_S`. A part of a video is no recording."""
    if video.from_frame or (video.to_frame, video.from_time, video.to_time) != (None, None, None):
        return False
    length = announced_length(video)
    return length is not None and length > LONGEST_CLIP_S


def choose_part(video: Video, detector: Detector | None = None) -> ChosenPart:
    """Choose the part of a recording that shows its most confident micro- or macro-expression.

    Args:
        video: the recording; it is read to its end.
        detector: finds events in its curves; by default the one that htnet ships.

    Returns:
        The part from 0.5 s before the onset to 0.5 s after the offset, or less if the face is not measured throughout.
        If there is no expression, the first second of the longest stretch in which a face is measured.

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
    """Onset, apex and offset in a part. They are those of its event; the curve is that of `htnet.preprocess.spot`.

    Args:
        part: the part.
        video: its frames.
        method: how to find the apex in a part without an event.
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
        f"No micro- or macro-expression was found in the recording ({curves.duration:.1f} s). The values are those of "
        f"a stretch that starts at {track.times[first]:.2f} s. To see all events, use htnet analyze."
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
    """A warning that lists all expressions but the first; empty if there are no others."""
    best, *others = found
    if not others:
        return ()
    named = ", ".join(_named(event) for event in others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
    text = (
        f"The recording shows {1 + len(others)} expressions. The prediction is for the most confident one, a "
        f"{_named(best)}. Others: {named}. To see all, use htnet analyze."
    )
    return (QualityWarning("several_expressions", text),)


def _named(event: Event) -> str:
    at = f"frame {event.onset}" if event.start is None else f"{event.start:.2f} s"
    return f"{event.kind} at {at}"
