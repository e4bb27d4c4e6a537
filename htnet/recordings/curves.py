"""From a recording to its faces with a row of measures for every frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from htnet.core.errors import InputError
from htnet.core.types import Frame, QualityWarning
from htnet.core.words import counted
from htnet.preprocess.video.open import Video, open_video
from htnet.recordings.faces import FaceFinder, YuNetFaces
from htnet.recordings.kept import KeptProgress
from htnet.recordings.stream import FrameStream, read_ahead, recording_stream
from htnet.recordings.track import FaceTrack, RecordingCurves
from htnet.recordings.tracks import SHORTEST, Tracker

#: Side of the aligned face in the frame, px, below which faces are called small: the least that the generated
#: recordings of the tests show, half of what CASME II has.
SMALL = 140


def recording_curves(
    source: str | os.PathLike[str] | Video | FrameStream,
    finder: FaceFinder | None = None,
    *,
    fps: float | None = None,
    progress: Callable[[Frame], None] | None = None,
    kept: KeptProgress | None = None,
) -> RecordingCurves:
    """Find the faces of a recording, follow them and measure how they move in every frame.

    The recording is read once, from its beginning to its end. One thread decodes while another one computes; of each
    face half a second of pictures of 112 px is held, and of each frame that is past a row of numbers. So memory does
    not grow with the length of the recording, but for those rows: about 0.8 kB a face and frame.

    Faces are found by the detector, in the whole frame every second (ten times a second while none is followed or one
    is lost) and around a face that is followed five times a second. In between the head's motion, from the picture
    itself, carries a face on. It ends at a cut. A face that turns aside, leaves the frame or is hidden leaves a gap; it
    keeps its number if it comes back within 3 s near its place, or where it was heading.

    Args:
        source: a video file, a folder of frames, a `Video`, or a stream, of a camera for example.
        finder: what finds faces; YuNet unless given.
        fps: frames per second at which the recording was made, see `htnet.preprocess.open_video`.
        progress: called with every frame that is done.
        kept: keeps how far it is in a file: after an interruption what was measured is not measured again, only read
            over, and the result is the same. Not for streams. A finder of your own must then answer by the frame alone.

    Raises:
        VideoError: the recording cannot be opened, or has not a single frame that can be decoded.
        InputError: its frames have no times, ``fps`` is impossible, or ``kept`` is given with a stream.
    """
    finder = YuNetFaces() if finder is None else finder
    tracker = Tracker(finder)
    if kept is not None:
        if isinstance(source, FrameStream):
            raise InputError("A stream cannot be read a second time, so its progress is not kept; leave kept out.")
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
    """What was seen in a stream that has been read to its end.

    Args:
        stream: that was read.
        tracker: that was given its frames.
    """
    tracks = tracker.finish()
    return replace(
        _so_far(stream, tracker, tracks),
        missing=tuple(stream.missing),
        cuts=tuple(tracker.cuts),
        warnings=(*stream.warnings, *_too_short(tracker.short, bool(tracks)), *_small(tracks)),
    )


def recent_curves(stream: FrameStream, tracker: Tracker, since: float) -> RecordingCurves:
    """The faces of a stream that is still being read, from a time on; what its end will tell is left out.

    Args:
        stream: that is read.
        tracker: that is given its frames.
        since: s.
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
    """A warning about faces that are smaller than any on which the detector of events was scored."""
    for track in tracks:
        size = float(np.exp(np.nanmedian(track.feature("head_log_size"))))
        if size < SMALL:
            yield QualityWarning(
                "small_face",
                f"Face {track.number} is {size:.0f} px wide, measured as the aligned face is (from {SMALL} px on weak "
                "expressions were distinguished from noise in tests): expect that weak expressions are missed. Film "
                "the face closer, or give the recording in its full size.",
            )


def _too_short(faces: Sequence[tuple[float, int]], others: bool) -> Iterator[QualityWarning]:
    """A warning about faces that were not followed for long enough, by their seconds and frames."""
    if faces:
        seconds, frames = max(faces)
        which = "A face was" if len(faces) == 1 else f"{len(faces)} faces were"
        longest = "" if len(faces) == 1 else " at most"
        cure = "" if others else " Give a longer recording, or correct its frames per second (fps)."
        yield QualityWarning(
            "too_short",
            f"{which} followed for{longest} {counted(frames, 'frame')} ({seconds:.2f} s) and left out: a face is "
            f"measured from {SHORTEST:g} s on.{cure}",
        )
