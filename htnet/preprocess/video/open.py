"""Video files and folders of frames, read one frame at a time."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from htnet.core.deprecated import renamed_arguments
from htnet.core.errors import FrameError, InputError, VideoError, cause
from htnet.core.fields import checked_fps, native, optional, real, whole
from htnet.core.files import IMAGES
from htnet.core.hints import hint
from htnet.core.limits import VIDEO_FRAMES
from htnet.core.paths import as_path
from htnet.core.types import ByteArray, Frame, QualityWarning
from htnet.preprocess.frames import MIN_SIDE, clip_depths, read_frame
from htnet.preprocess.video.folder_names import name_warnings, refuse_copies
from htnet.preprocess.video.readers import ASSUMED_RATE, MORE_VIDEO, Shot, make_reader
from htnet.preprocess.video.shots import file_shots

#: Endings of the files in a folder of frames.
FRAME_ENDINGS = tuple(sorted(IMAGES))

VideoSource = str | os.PathLike[str]
#: Bytes of frames that `Video.held` keeps: some 1,000 frames of 640x480 px.
HELD_BYTES = 1 << 30


@dataclass(frozen=True)
class Video:
    """A video, or a part of one, whose frames are read during iteration; every iteration starts from the beginning.

    One frame is in memory at a time, so memory does not grow with the length. Frames keep their numbers and times
    in the whole file: numbers count from 0, and the time of frame 0 is 0 s.

    Attributes:
        source: the file or folder.
        fps: frames per second: those given, else those in the header of the file; None if unknown.
        size: (height, width) in px, as shown (rotated according to the file).
        count: number of frames of the part; None for files, because their headers are often wrong: the number is known
            only after reading.
        from_frame: number of the first frame of the part.
        to_frame: number of the last one, None to read all.
        from_time: where the part begins, s; None for its beginning.
        to_time: where it ends, s, including the frame shown at that time; None to read all.
        timed: whether the frames have the file's own time stamps; else times are number / fps.
        reader: the reader of the file, one of `VIDEO_READERS`; "" for folders.
        paths: the image files of a folder, all of them in order; empty for a video file.
        warnings: properties of the video that impair the measurement of motion.
        bit_depth: bits of the values in a folder of 16-bit images; None if the images are of 8 bits.
        codec: codec of a video file if it loses detail and predicts frames from each other, such as "H.264"; else "".
    """

    source: str
    fps: float | None
    size: tuple[int, int]
    count: int | None
    from_frame: int = 0
    to_frame: int | None = None
    from_time: float | None = None
    to_time: float | None = None
    timed: bool = False
    reader: str = ""
    paths: tuple[Path, ...] = ()
    warnings: tuple[QualityWarning, ...] = ()
    bit_depth: int | None = None
    codec: str = ""

    def __iter__(self) -> Iterator[Frame]:
        """Frames as RGB, with their numbers and times.

        Raises:
            VideoError: a frame is damaged or missing (``frame`` is its number, and the frames before it were
                delivered), or the video is shorter than the part requested.
        """
        seen, given = 0, 0
        last: float | None = None
        interval: float | None = None
        for frame in self._every():
            time, number = frame.time, frame.number or 0
            interval = time - last if time is not None and last is not None else interval
            last, seen = time, number + 1
            if self._is_after(number, time):
                self._check_given(given)
                return
            if number < self.from_frame or (self.from_time is not None and (time is None or time < self.from_time)):
                continue
            self._check_size(frame, number)
            given += 1
            yield frame
            if number == self.to_frame:
                return
        self._check_reached(seen, last, interval)
        self._check_given(given)

    def surviving(self) -> Iterator[Frame | tuple[int, str]]:
        """The same frames, but reading continues after damage: a frame that cannot be shown is its number and why.

        After damage in a video whose frames are predicted from each other, frames follow from the next key frame on.
        It is not checked whether the video is as long as the part, or whether all frames have one size.

        Raises:
            VideoError: the video cannot be opened.
            LimitError: it has more frames, or more pixels in one, than is allowed.
        """
        inside = self.from_time is None
        for item in self._surviving():
            number, time = (item.number or 0, item.time) if isinstance(item, Frame) else (item[0], None)
            if self._is_after(number, time):
                return
            if self.from_time is not None and time is not None:
                inside = time >= self.from_time
            if inside and number >= self.from_frame:
                yield item

    def take(self, numbers: Iterable[int]) -> dict[int, Frame]:
        """Some of the frames, by number; the others are skipped.

        Raises:
            VideoError: there is no such frame, or a frame up to the last requested one is damaged.
        """
        wanted = set(numbers)
        found: dict[int, Frame] = {}
        for frame in self:
            if frame.number in wanted:
                found[frame.number] = frame
            if len(found) == len(wanted):
                return found
        missing = min(wanted - set(found))
        raise VideoError(f"{self.source} has no frame {missing}; numbers count from 0.", missing)

    def between(self, first: int, last: int | None) -> Video:
        """The part from frame ``first`` to frame ``last``, both included, by their numbers in the whole file."""
        count = None
        if self.paths:
            count = len(self.paths[first : None if last is None else last + 1])
        return replace(self, from_frame=first, to_frame=last, from_time=None, to_time=None, count=count)

    def held(self, limit: int = HELD_BYTES) -> HeldVideo:
        """The same video, which keeps its frames in memory after reading, so that none is read twice.

        Args:
            limit: bytes of frames that are kept. Of a longer video none are kept, and frames are read when needed.
        """
        own = {f.name: getattr(self, f.name) for f in fields(Video)}
        return self if isinstance(self, HeldVideo) else HeldVideo(**own, kept=_Kept(limit))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that contain the frames."""
        end = None if self.to_frame is None else self.to_frame + 1
        return self.paths[self.from_frame : end] or (Path(self.source),)

    def _is_after(self, number: int, time: float | None) -> bool:
        """Whether a frame comes after the part."""
        late = self.to_time is not None and time is not None and time > self.to_time
        return late or (self.to_frame is not None and number > self.to_frame)

    def _every(self) -> Iterator[Frame]:
        """The frames of the whole file; of a folder only those from the beginning of the part on."""
        for number, shot in () if self.paths else self._shots(False):
            if not isinstance(shot.pixels, str):
                yield self._frame(number, shot.pixels, shot.time)
        for number, path, time in self._images():
            yield replace(_read_image(path, number, self.bit_depth), time=time)

    def _surviving(self) -> Iterator[Frame | tuple[int, str]]:
        """The same frames, and number and reason for those that cannot be shown."""
        for number, shot in () if self.paths else self._shots(True):
            yield (number, shot.pixels) if isinstance(shot.pixels, str) else self._frame(number, shot.pixels, shot.time)
        for number, path, time in self._images():
            try:
                frame = _read_image(path, number, self.bit_depth)
                self._check_size(frame, number)
            except VideoError:
                yield number, "an image that cannot be read"
            else:
                yield replace(frame, time=time)

    def _shots(self, read_on: bool) -> Iterator[tuple[int, Shot]]:
        return file_shots(Path(self.source), make_reader(self.reader), read_on)

    def _frame(self, number: int, pixels: ByteArray, time: float | None) -> Frame:
        if not self.timed:
            time = None if self.fps is None else number / self.fps
        return Frame(pixels, f"{self.source} frame {number}", number, time)

    def _images(self) -> Iterator[tuple[int, Path, float | None]]:
        """Number, file and time of the images of a folder from the beginning of the part on."""
        for number, path in enumerate(self.paths):
            time = None if self.fps is None else number / self.fps
            if number >= self.from_frame and (self.from_time is None or time is None or time >= self.from_time):
                yield number, path, time

    def _check_size(self, frame: Frame, number: int) -> None:
        if frame.size != self.size:
            (height, width), (first_height, first_width) = frame.size, self.size
            raise VideoError(
                f"Frame {number} of {self.source} is {width}x{height} px, the first one {first_width}x{first_height} "
                "px; give frames of one size.",
                number,
            )

    def _check_given(self, given: int) -> None:
        if not given:
            first = f"frame {self.from_frame}" if self.from_time is None else f"{self.from_time:g} s"
            end = "the end" if self.to_frame is None else f"frame {self.to_frame}"
            end = end if self.to_time is None else f"{self.to_time:g} s"
            raise VideoError(f"{self.source} has no frame between {first} and {end}; give a longer part.", None)

    def _check_reached(self, seen: int, last: float | None, interval: float | None) -> None:
        """Check whether the video, which has been read to its end, is as long as the requested part."""
        end = None if last is None else last + (interval or 0.0)
        length = f"{self.source} has {seen} frames, 0 to {seen - 1}"
        length += "" if end is None or last is None else f", the last one from {last:.3f} to {end:.3f} s"
        for name, asked in (("from_frame", self.from_frame), ("to_frame", self.to_frame)):
            if asked is not None and asked >= max(seen, 1):
                raise VideoError(f"{name} is {asked}, but {length}. Give frames inside it.", seen)
        for name, moment in (("from_time", self.from_time), ("to_time", self.to_time)):
            beyond = end is not None and moment is not None and moment > end + 1e-6
            if beyond or (name == "from_time" and moment is not None and last is not None and moment > last):
                raise VideoError(f"{name} is {moment:g} s, but {length}. Give times inside it.", seen)


class _Kept:
    """Frames by their numbers, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.frames: dict[int, Frame] = {}

    def add(self, frame: Frame) -> None:
        if frame.number is None or frame.number in self.frames:
            return
        self.limit -= frame.pixels.nbytes
        if self.limit < 0:
            self.frames.clear()
        else:
            self.frames[frame.number] = frame

    def all(self, numbers: Iterable[int]) -> list[Frame] | None:
        """The frames of these numbers; None if one is not kept."""
        found = []
        for number in numbers:  # any number of them, if the user asked for more frames than there are
            if (frame := self.frames.get(number)) is None:
                return None
            found.append(frame)
        return found


@dataclass(frozen=True)
class HeldVideo(Video):
    """A video that keeps its frames as they are read; its parts share them. See `Video.held`."""

    kept: _Kept = field(default_factory=lambda: _Kept(HELD_BYTES), compare=False, repr=False)

    def __iter__(self) -> Iterator[Frame]:
        known = None
        if self.to_frame is not None and self.from_time is None and self.to_time is None:
            known = self.kept.all(range(self.from_frame, self.to_frame + 1))
        if known is not None:
            yield from known
            return
        for frame in super().__iter__():
            self.kept.add(frame)
            yield frame

    def take(self, numbers: Iterable[int]) -> dict[int, Frame]:
        """Some of the frames, by number; they are read unless they are kept."""
        wanted = set(numbers)
        known = self.kept.all(wanted)
        return super().take(wanted) if known is None else dict(zip(wanted, known, strict=True))


@renamed_arguments
def open_video(
    source: VideoSource,
    *,
    fps: float | None = None,
    from_frame: int | None = None,
    to_frame: int | None = None,
    from_time: float | None = None,
    to_time: float | None = None,
    reader: str | None = None,
    bit_depth: int | None = None,
) -> Video:
    """Open a video file or a folder of frames, or a part of one; the first frame is read to check it.

    A folder's frames come in the natural order of their names: img9.png before img10.png. Files whose
    name begins with a dot, or that are not images by their extension, are ignored.

    A part begins at ``from_frame`` or ``from_time`` and ends at ``to_frame`` or ``to_time``, both included.
    It is located by reading from the beginning, because seeking is unreliable in files with a variable rate. Whether
    the video is long enough is only known when the frames are read.

    Args:
        source: a video file (AVI, MP4, MOV, MKV, WebM, ...), or a folder of images; see `read_frame` for the kinds.
        fps: frames per second at which the recording was made, at a constant rate: all times are then number / fps, and
            the time stamps of a file are not used. Needed for folders, which have no times of their own, and for
            high-speed recordings that were saved for slow playback.
        from_frame: number of the first frame, counted from 0.
        to_frame: number of the last frame, e.g. the one before a damaged one.
        from_time: seconds after the first frame of the file.
        to_time: likewise.
        reader: "pyav" or "opencv"; by default PyAV if the extra ``video`` is installed.
        bit_depth: bits of the values in a folder of 16-bit images, if they are fewer; see `read_frame`. Without it,
            the bit depth is determined from all images of the folder together.

    Returns:
        The video. Iterate over it for its frames.

    Raises:
        VideoError: there is no such file or folder, it is not a video, contains no frames, its first frame is damaged
            or under 16 px, or a folder is shorter than the part requested.
        InputError: a setting is impossible, or two contradict each other.
        MissingExtraError: PyAV is requested and not installed.
    """
    fps = checked_fps(fps)
    _check_part(from_frame, to_frame, from_time, to_time)
    path = as_path(source, "The video")
    if os.path.isdir(path):
        video = _open_folder(path, fps)
        if fps is None and (from_time is not None or to_time is not None):
            raise InputError(f"The folder {path} has no times; also give its frames per second (fps, --fps).")
    elif path.suffix.lower() in FRAME_ENDINGS and os.path.isfile(path):
        raise VideoError(f"{path} is neither a video nor a folder of frames.{hint(path)}")
    elif os.path.isfile(path):
        if bit_depth is not None:
            raise InputError(f"bit_depth={bit_depth} is for folders of images; the video {path} states its own.")
        video = _open_file(path, fps, reader)
    else:
        raise VideoError(f"The video {path} does not exist; check the path (now in {Path.cwd()}).{hint(path)}")
    part = {"from_frame": from_frame or 0, "to_frame": to_frame, "from_time": from_time, "to_time": to_time}
    video = replace(video, **{name: native(value) for name, value in part.items()})
    return _checked_folder(replace(video, bit_depth=bit_depth)) if video.paths else video


def _check_part(from_frame: int | None, to_frame: int | None, from_time: float | None, to_time: float | None) -> None:
    """Refuse settings of a part that are impossible or contradict each other."""
    for name, frame in (("from_frame", from_frame), ("to_frame", to_frame)):
        optional(whole(0)).check(name, frame)
    for name, moment in (("from_time", from_time), ("to_time", to_time)):
        optional(real(ge=0)).check(name, moment)
    for one, other in (("from_frame", "from_time"), ("to_frame", "to_time")):
        given = {"from_frame": from_frame, "from_time": from_time, "to_frame": to_frame, "to_time": to_time}
        if given[one] is not None and given[other] is not None:
            raise InputError(f"{one} and {other} are both given; give one of them.")
    if from_frame is not None and to_frame is not None and to_frame < from_frame:
        raise InputError(f"to_frame {to_frame} comes before from_frame {from_frame}; correct them.")
    if from_time is not None and to_time is not None and to_time < from_time:
        raise InputError(f"to_time {to_time:g} comes before from_time {from_time:g}; correct them.")


def _open_file(path: Path, fps: float | None, reader: str | None) -> Video:
    chosen = make_reader(reader)
    header = chosen.header(path)
    first = next(chosen.shots(path), None)
    if first is None:
        more = "" if chosen.name == "pyav" else f" {MORE_VIDEO} (AV1 too)"
        raise VideoError(f"{path} has no frame that {chosen.name} can read; copy or record it again.{more}", 0)
    if isinstance(first.pixels, str):
        raise VideoError(f"The first frame of {path} is {first.pixels}. Copy or record the video again.", 0)
    height, width = first.pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise VideoError(f"The video {path} is {width}x{height} px; give one of {MIN_SIDE} px or more on each side.")
    rate = header.fps if fps is None else fps
    said = tuple(w for w in header.warnings if fps is None or w.code != ASSUMED_RATE)
    video = Video(str(path), rate, (height, width), None, timed=fps is None, reader=chosen.name, warnings=said)
    return replace(video, codec=header.codec)


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key that treats numbers in names as numbers: img9 before img10."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def _open_folder(path: Path, fps: float | None) -> Video:
    try:
        names = [p for p in path.iterdir() if p.suffix.lower() in FRAME_ENDINGS and not p.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"The folder {path} cannot be read ({cause(error)}); check its permissions.") from error
    if not names:
        raise VideoError(
            f"The folder {path} contains no frames; give one with files that end in {', '.join(FRAME_ENDINGS)}."
            f"{hint(path)}"
        )
    VIDEO_FRAMES.check(len(names), path)
    # The name itself decides between img1 and img01.
    paths = tuple(sorted(names, key=lambda p: (natural_key(p.name), p.name)))
    refuse_copies(path, paths)
    return Video(str(path), fps, (0, 0), len(paths), paths=paths)


def _checked_folder(video: Video) -> Video:
    """The same video with the number of its frames, if the folder is as long as the requested part."""
    total, rate = len(video.paths), video.fps
    last = None if rate is None else (total - 1) / rate
    video._check_reached(total, last, None if rate is None else 1 / rate)
    inside = [
        n
        for n in range(video.from_frame, total if video.to_frame is None else video.to_frame + 1)
        if rate is None
        or (video.from_time or 0.0) <= n / rate <= (math.inf if video.to_time is None else video.to_time)
    ]
    video._check_given(len(inside))
    depth = _depth_of(video, inside)
    first = _read_image(video.paths[inside[0]], inside[0], depth)
    warnings = name_warnings(Path(video.source), [video.paths[number] for number in inside])
    return replace(video, count=len(inside), size=first.size, bit_depth=depth, warnings=warnings)


def _depth_of(video: Video, inside: list[int]) -> int | None:
    """The bit depth by which all images of a folder are read; they are checked in turn until one determines it."""
    if video.bit_depth is not None:
        return video.bit_depth
    try:
        known = next(clip_depths(video.paths[number] for number in inside))
    except FrameError as error:
        raise VideoError(f"{error}", inside[0]) from error
    return known


def _read_image(path: Path, number: int, bit_depth: int | None) -> Frame:
    try:
        frame = read_frame(path, bit_depth)
    except FrameError as error:
        raise VideoError(f"Frame {number} cannot be read: {error}", number) from error
    return Frame(frame.pixels, frame.source, number)
