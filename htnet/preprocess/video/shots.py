"""The reader of video files: numbers and times of frames, checks for missing frames, and limits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from htnet.core.errors import VideoError
from htnet.core.limits import PICTURE_PIXELS, VIDEO_FRAMES
from htnet.preprocess.video.containers import CUT_INSIDE, container_kind, file_flaw, stored_span
from htnet.preprocess.video.readers import Header, Shot, VideoReader

# A frame that comes this many usual intervals after the one before leaves a gap.
GAP = 1.5
# If the announced number of frames is only duration times rate: the share that may be missing at the end, and the
# number of frames that may always be missing, because coded pictures are delayed at the beginning.
_ESTIMATE, _WAITING = 0.1, 3
# Usual intervals that must be missing at the end of a Matroska file before it counts as damaged: a last frame may be
# stored and not shown.
_MISSING = 2.5
# Two frames with one time stamp are this far apart, s: containers round times to 1 ms.
_SAME_STAMP = 0.0005
# Frames that may be stored before those that are shown earlier.
_REORDERED = 16


def file_shots(path: Path, reader: VideoReader, read_on: bool = False) -> Iterator[tuple[int, Shot]]:
    """Number of every frame of a file and the frame; the first frame's time is 0.

    This function alone decides whether a file is complete. It is not if a packet or frame is marked as damaged or
    cannot be decoded; if the container is cut off; or if frames are missing (a gap in time, or fewer than announced)
    *and* the structure of the container is damaged. Neither the count in the header nor a gap in time is sufficient.

    Args:
        path: the file.
        reader: the reader that decodes it.
        read_on: continue reading after damage. A frame that cannot be shown then has a number too, and a text instead
            of its pixels; if the end of the file is damaged, the last item describes that.

    Raises:
        VideoError: the file is not complete; ``frame`` is the number of the first frame that is damaged or missing.
        LimitError: there are more frames, or more pixels in one, than `VIDEO_FRAMES` and `PICTURE_PIXELS` allow.
    """
    header = reader.header(path)
    clock = _Clock(header.fps)
    most = VIDEO_FRAMES.value()
    number = 0
    for shot in reader.shots(path, read_on):
        if number >= most:
            VIDEO_FRAMES.check(number + 1, path)
        if not isinstance(shot.pixels, str):
            # The header states the size of the first frame; a stream can change it.
            PICTURE_PIXELS.check(shot.pixels.shape[0] * shot.pixels.shape[1], f"Frame {number} of {path}")
            yield number, Shot(shot.pixels, clock.read(number, shot.time))
        elif read_on:
            yield number, Shot(shot.pixels, clock.last)
        else:
            raise VideoError(_damaged(path, number, shot.pixels), number)
        number += 1
    try:
        _check_end(path, header, number, clock, reader.name)
    except VideoError:
        if not read_on:
            raise
        yield number, Shot(file_flaw(path) or "cut off or damaged", clock.last)


class _Clock:
    """The times of frames, from the time stamps of the file; the first is 0.

    Attributes:
        start: the time of the first frame by the file's clock, s; None before it is read.
        last: the time of the last frame, s.
        gaps: numbers of frames before which time is missing.
    """

    def __init__(self, fps: float | None) -> None:
        self.last: float | None = None
        self.gaps: list[int] = []
        self._step = None if fps is None else 1 / fps
        self.start: float | None = None
        self._stamp = 0.0  # the last time stamp that increased
        self._usual = math.inf

    def read(self, number: int, time: float | None) -> float | None:
        """The time of a frame, from its time stamp."""
        first = self.start is None
        if self.start is None:
            self.start = 0.0 if time is None else time
        time = None if time is None else time - self.start
        last = self.last
        if not first and last is not None and time is not None and time == self._stamp:
            time = last + _SAME_STAMP
        elif not first and (last is None or time is None or time <= last):
            # Containers without time stamps, and the last frames of AVI files with B-frames.
            time = None if last is None or self._step is None else last + self._step
        else:
            self._stamp = time or 0.0
        if number > 1 and time is not None and last is not None and time - last > GAP * self._usual:
            self.gaps.append(number)
        self._usual = math.inf if time is None or last is None else time - last
        self.last = 0.0 if first else time
        return self.last


def _damaged(path: Path, number: int, flaw: str) -> str:
    kept = (
        f"The {number} frames before it can be read (to_frame={number - 1}, --to-frame {number - 1})."
        if number
        else "It is the first one."
    )
    return f"Frame {number} of {path} is {flaw}. {kept} Copy or record the video again."


def _check_end(path: Path, header: Header, number: int, clock: _Clock, reader: str) -> None:
    """Check whether the file ends where its video does."""
    start, last, gaps = clock.start or 0.0, clock.last, clock.gaps
    kind = container_kind(path)
    announced = header.announced or 0
    counted = kind in ("mp4", "avi")  # the others only estimate
    flaw = file_flaw(path)
    if flaw.startswith("cut") and counted and number >= announced > 0:
        return  # only sound is missing
    if flaw.startswith("damaged") and kind == "avi" and not gaps and number >= announced:
        return  # the damaged part contains no frame
    if not flaw and not kind and announced - number > max(_WAITING, _ESTIMATE * announced) and not _lasts(header, last):
        flaw = f"cut off or damaged ({number} frames of about {announced})"
    if not flaw and last is not None and (stored := stored_span(path)) is not None and stored[0] > number:
        count, earliest, latest = stored
        # OpenCV's times begin at 0 with the first frame that is shown; a video cut from a longer one may store frames
        # before it that cannot be decoded.
        absolute = reader == "pyav"
        missing = latest - ((start if absolute else earliest) + last)
        if missing > (_MISSING if absolute else _REORDERED) * (latest - earliest) / count:
            flaw = f"damaged ({count} frames are stored, the last {missing:.2f} s after the last that is read)"
    if flaw:
        # At a cut, the frame that others depend on may be present while those shown before it are missing.
        late = [gap for gap in gaps if gap > number - _REORDERED] if flaw.startswith("cut") else gaps
        first = late[0] if late else number
        if flaw.startswith(CUT_INSIDE) and reader == "opencv" and not late:
            first = max(0, number - 1)  # silently decoded from the rest of its packet
        where = f", and the first gap in time is before frame {first}" if first != number else ""
        cure = f", or read only up to frame {first - 1} (to_frame={first - 1}, --to-frame {first - 1})" if first else ""
        raise VideoError(f"{path} is {flaw}: {number} frames can be read{where}. Copy or record it again{cure}.", first)


def _lasts(header: Header, last: float | None) -> bool:
    """Whether the frames last as long as announced, although they are fewer: announced is duration times rate."""
    if last is None or header.fps is None:
        return False
    return last * header.fps + 1 >= (1 - _ESTIMATE) * (header.announced or 0)
