"""Measurement of a recording: its faces, with a row of measurements for every frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from htnet.core.errors import InputError
from htnet.core.global_state import usual_settings
from htnet.core.types import Frame, QualityWarning
from htnet.core.words import counted
from htnet.preprocess.video.open import Video, open_video
from htnet.recordings.faces import FaceFinder, YuNetFaces
from htnet.recordings.kept import KeptProgress
from htnet.recordings.stream import FrameStream, read_ahead, recording_stream
from htnet.recordings.track import FaceTrack, RecordingCurves
from htnet.recordings.tracks import SHORTEST, Tracker

#: Side of the aligned face in the frame, px, below which a face is small. It is the smallest in the generated
#: recordings of the tests, and half of that in CASME II.
SMALL = 140


@usual_settings()
def recording_curves(
    source: str | os.PathLike[str] | Video | FrameStream,
    finder: FaceFinder | None = None,
    *,
    fps: float | None = None,
    progress: Callable[[Frame], None] | None = None,
    kept: KeptProgress | None = None,
) -> RecordingCurves:
    """Find the faces of a recording, follow them, and measure their motion in every frame.

    The recording is read once, from its beginning to its end. One thread decodes while another one computes. Memory
    holds the pictures of 112 px of each face over the last half second, and one row of numbers for each face and frame.
    Only these rows grow with the length of the recording: about 0.8 kB per face and frame.

    The face detector searches the whole frame once a second (ten times a second while no face is followed or one is
    lost), and the surroundings of each followed face five times a second. In between, a face is followed by the motion
    of the head in the picture. A face ends at a cut. If a face turns aside, leaves the frame or is hidden, there is a
    gap. It keeps its number if it reappears within 3 s near its last position, or near the position it was moving to.

    Args:
        source: a video file, a folder of frames, a `Video`, or a stream, for example of a camera.
        finder: finds faces in a frame; YuNet by default.
        fps: frames per second at which the recording was made, see `htnet.preprocess.open_video`.
        progress: called with every frame that was processed.
        kept: stores the progress in a file. After an interruption, measured frames are only read again and not
            measured, and the result is the same. Not for streams. If you pass your own finder too, its result must
            depend on the frame alone.

    Raises:
        VideoError: the recording cannot be opened, or none of its frames can be decoded.
        InputError: its frames have no times, ``fps`` is impossible, or ``kept`` is given with a stream.
    """
    finder = YuNetFaces() if finder is None else finder
    tracker = Tracker(finder)
    if kept is not None:
        if isinstance(source, FrameStream):
            raise InputError("The progress of a stream cannot be stored, because it is read once; leave kept out.")
        source = source if isinstance(source, Video) else open_video(source, fps=fps)
        known = kept.begin(source, finder)
        if isinstance(known, RecordingCurves):
            return known
        tracker = tracker if known is None else known
    stream = source if isinstance(source, FrameStream) else recording_stream(source, fps=fps)
    before = tracker.frames
    frames: Iterable[Frame] = read_ahead(stream)
    for count, frame in enumerate(frames):
        if count >= before:
            tracker.step(frame)
            if kept is not None:
                kept.note(tracker, finder)
        if progress is not None:
            progress(frame)
    curves = finished_curves(stream, tracker)
    if kept is not None:
        kept.end(curves, finder)
    return curves


def finished_curves(stream: FrameStream, tracker: Tracker) -> RecordingCurves:
    """The curves of a stream that was read to its end.

    Args:
        stream: the stream.
        tracker: the tracker that processed its frames.
    """
    tracks = tracker.finish()
    return replace(
        _so_far(stream, tracker, tracks),
        missing=tuple(stream.missing),
        cuts=tuple(tracker.cuts),
        warnings=(*stream.warnings, *_too_short(tracker.short, bool(tracks)), *_small(tracks)),
    )


def recent_curves(stream: FrameStream, tracker: Tracker, since: float) -> RecordingCurves:
    """The curves of a stream that is still being read, from a time on, without what is known only at its end.

    Args:
        stream: the stream.
        tracker: the tracker that processes its frames.
        since: earliest time, s.
    """
    return _so_far(stream, tracker, tracker.recent(since))


def _so_far(stream: FrameStream, tracker: Tracker, tracks: tuple[FaceTrack, ...]) -> RecordingCurves:
    return RecordingCurves(
        source=stream.source,
        fps=stream.fps,
        size=tracker.size,
        frames=tracker.frames,
        duration=tracker.time,
        tracks=tracks,
    )


def _small(tracks: Sequence[FaceTrack]) -> Iterator[QualityWarning]:
    """A warning about each face that is smaller than all faces on which the event detector was tested."""
    for track in tracks:
        size = float(np.exp(np.nanmedian(track.feature("head_log_size"))))
        if size < SMALL:
            yield QualityWarning(
                "small_face",
                f"Face {track.number} is {size:.0f} px wide, measured like the aligned face (in tests, faces of "
                f"{SMALL} px or more were large enough to distinguish weak expressions from noise): expect weak "
                "expressions to be missed. Film the face from a shorter distance, or give the recording in full size.",
            )


def _too_short(faces: Sequence[tuple[float, int]], others: bool) -> Iterator[QualityWarning]:
    """A warning about faces that were not followed for long enough.

    Args:
        faces: time, s, and number of frames for which each was followed.
        others: whether other faces were followed for long enough.
    """
    if faces:
        seconds, frames = max(faces)
        which = "A face was" if len(faces) == 1 else f"{len(faces)} faces were"
        longest = "" if len(faces) == 1 else " at most"
        cure = "" if others else " Give a longer recording, or correct its frames per second (fps)."
        yield QualityWarning(
            "too_short",
            f"{which} followed for{longest} {counted(frames, 'frame')} ({seconds:.2f} s) and left out: a face must be "
            f"followed for {SHORTEST:g} s or more.{cure}",
        )
