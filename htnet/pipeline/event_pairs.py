"""Onset, apex and motion of the events of a recording: what of the frames is kept, and what a model says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from htnet.core.errors import HtnetError
from htnet.core.events import EXPRESSION_KINDS, Event
from htnet.core.types import (
    ByteArray,
    Float64Array,
    FloatArray,
    Flow,
    Frame,
    Landmarks,
    Prediction,
    PreprocessSpec,
)
from htnet.pipeline.analysis import EventPictures
from htnet.pipeline.predictor import Predictor
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.video.clip import ClipMotion
from htnet.recordings import FaceTrack, RecordingCurves

# Room around the face's box on each side, in its widths: the aligned face reaches beyond it.
_ROOM = 0.45
# Side of a picture in a report, px, and its quality as JPEG.
_SHOWN, _QUALITY = 200, 85
# Vectors in a picture of flow.
_ARROWS = 14


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """The part of a frame around a face.

    Attributes:
        pixels: (H, W, 3) uint8, RGB.
        left: of its first column, px of the frame.
        top: of its first row, px of the frame.
        shrink: px of the frame that one px of the part stands for.
    """

    pixels: ByteArray
    left: int
    top: int
    shrink: int = 1


@dataclass(frozen=True, eq=False)
class EventPair:
    """An event whose onset and apex are to be looked at.

    Attributes:
        place: of the event among all.
        event: the event.
        onset: number of its frame that stands for the onset: the first one in which the face is measured.
        apex: that of the apex: the last one up to it in which the face is measured.
        last: that of the last frame of the event in which the face is measured.
        time: of the onset, s.
        points: (5, 2) of the face in the onset, px of the frame.
        part: left, top, right and bottom of the part of both frames that is kept, px.
    """

    place: int
    event: Event
    onset: int
    apex: int
    last: int
    time: float
    points: Float64Array
    part: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class PairFrames:
    """What is kept of the frames of an event.

    Attributes:
        pair: what was asked for.
        onset: the part of the onset with the face.
        apex: likewise.
        motion: `htnet.preprocess.motion_features` from the onset on, where the model reads them.
        fault: why there are none, though the model reads them.
    """

    pair: EventPair
    onset: FaceCrop
    apex: FaceCrop
    motion: FloatArray | None = None
    fault: str = ""


@dataclass(frozen=True, eq=False)
class SeenPair:
    """What was made of the onset and apex of an event.

    Attributes:
        place: of the event among all.
        event: with what the model says.
        prediction: the model's answer; None where there is none.
        pictures: where they were asked for.
        fault: why there is no answer; "" where there is one.
    """

    place: int
    event: Event
    prediction: Prediction | None = None
    pictures: EventPictures | None = None
    fault: str = ""


def plan_pairs(curves: RecordingCurves, events: Iterable[Event]) -> Iterator[EventPair | SeenPair]:
    """What is to be kept of each micro- and macro-expression; of one whose face is not measured, why there is nothing.

    Args:
        curves: of the recording.
        events: found in it.
    """
    tracks = {track.number: track for track in curves.tracks}
    for place, event in enumerate(events):
        if event.kind in EXPRESSION_KINDS:
            track = tracks[event.track or 0]
            rows = _rows(track, event)
            if rows is None:
                yield SeenPair(place, event, fault="the face is not measured at two frames of it")
            else:
                yield _pair(place, event, track, *rows, curves.size)


def _rows(track: FaceTrack, event: Event) -> tuple[int, int, int] | None:
    """Rows that stand for onset and apex, and the last one that is measured."""
    middle = event.offset if event.apex is None else event.apex
    first, apex, last = np.searchsorted(track.frames, [event.onset, middle, event.offset + 1])
    seen = np.flatnonzero(track.gaps[first:last] == 0) + first
    if len(seen) < 2:
        return None
    onset, rest = int(seen[0]), seen[1:]
    return onset, int(rest[np.abs(rest - apex).argmin()]), int(seen[-1])


def _pair(
    place: int, event: Event, track: FaceTrack, onset: int, apex: int, last: int, size: tuple[int, int]
) -> EventPair:
    boxes = track.boxes[[onset, apex]].astype(np.float64)
    part = face_part(boxes, size)
    frames = int(track.frames[onset]), int(track.frames[apex]), int(track.frames[last])
    return EventPair(place, event, *frames, float(track.times[onset]), track.points[onset].astype(np.float64), part)


def face_part(boxes: npt.ArrayLike, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of a frame that holds a face wherever the boxes see it.

    Args:
        boxes: (N, 4) left, top, width and height, px.
        size: (height, width) of the frame, px.
    """
    left, top, width, height = np.asarray(boxes, dtype=np.float64).T
    room = _ROOM * width
    low = np.floor([np.min(left - room), np.min(top - room)]).astype(int)
    high = np.ceil([np.max(left + width + room), np.max(top + height + room)]).astype(int)
    low = np.clip(low, 0, np.array(size[::-1]) - 1)
    high = np.clip(high, low + 1, size[::-1])
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def collect_pairs(
    frames: Iterable[Frame], pairs: Iterable[EventPair], spec: PreprocessSpec | None = None
) -> Iterator[PairFrames]:
    """What is kept of the frames of each pair, as soon as all were read; nothing is read beyond the last one.

    Only what is still waited for is held: of each event that has begun one part of a frame, and the small gray faces
    of which motion is computed.

    Args:
        frames: of the recording, in order.
        pairs: what is wanted.
        spec: of the model, where it reads motion; None for onset and apex alone.
    """
    waiting = sorted(pairs, key=lambda pair: pair.onset)
    begun: list[_Collected] = []
    waiting.reverse()
    if not waiting:
        return
    for frame in frames:
        number = frame.number or 0
        while waiting and waiting[-1].onset <= number:
            begun.append(_Collected(waiting.pop(), spec))
        for one in begun:
            one.see(frame, number)
        for one in begun:
            if number >= one.end and (found := one.found()) is not None:
                yield found
        begun = [one for one in begun if number < one.end]
        if not waiting and not begun:
            return


class _Collected:
    """What of an event that has begun was read so far."""

    def __init__(self, pair: EventPair, spec: PreprocessSpec | None) -> None:
        self.pair = pair
        self.end = pair.apex if spec is None else max(pair.apex, pair.last)
        self._spec = spec
        self._crops: dict[int, FaceCrop] = {}
        self._motion: ClipMotion | None = None
        self._fault = ""

    def see(self, frame: Frame, number: int) -> None:
        """The next frame."""
        if number in (self.pair.onset, self.pair.apex):
            left, top, right, bottom = self.pair.part
            self._crops[number] = FaceCrop(frame.pixels[top:bottom, left:right].copy(), left, top)
        if self._spec is None or self._fault or number > self.pair.last:
            return
        try:
            if self._motion is None:
                points = Landmarks(self.pair.points.astype(np.float32), "followed face")
                self._motion = ClipMotion(frame, points, self._spec)
            else:
                self._motion.add(frame)
        except HtnetError as error:
            self._motion, self._fault = None, str(error)

    def found(self) -> PairFrames | None:
        """All of it; None where one of the two frames was not read."""
        crops = [self._crops.get(number) for number in (self.pair.onset, self.pair.apex)]
        if crops[0] is None or crops[1] is None:
            return None
        motion, fault = features_of(self._motion)
        return PairFrames(self.pair, crops[0], crops[1], motion, self._fault or fault)


def features_of(motion: ClipMotion | None) -> tuple[FloatArray | None, str]:
    """Motion features, and why there are none."""
    if motion is None:
        return None, ""
    try:
        return motion.features(), ""
    except HtnetError as error:
        return None, str(error)


class PairReader:
    """What a model says of the onset and apex of events, and their pictures."""

    def __init__(self, predictor: Predictor | None, *, pictures: bool) -> None:
        """Keep the model.

        Args:
            predictor: asked for emotions and action units; None for pictures of the frames alone.
            pictures: make pictures.
        """
        self.predictor = predictor
        self.pictures = pictures

    @property
    def spec(self) -> PreprocessSpec | None:
        """The spec of a model that reads motion; None for another one, or none."""
        return self.predictor.spec if self.predictor is not None and self.predictor.reads_motion else None

    def __call__(self, found: PairFrames) -> SeenPair:
        """What is seen in the frames of an event; both parts must be of the same place."""
        pair, onset, apex = found.pair, found.onset, found.apex
        event, prediction, fault = pair.event, None, found.fault
        if self.predictor is not None and not fault:
            first, second = (
                Frame(crop.pixels, f"frame {number}", number)
                for crop, number in ((onset, pair.onset), (apex, pair.apex))
            )
            try:
                prediction = self.predictor.pair(first, second, points_on(onset, pair.points), motion=found.motion)
            except HtnetError as error:
                fault = str(error)
            else:
                event = replace(
                    event,
                    label=prediction.label,
                    probabilities=dict(prediction.probabilities),
                    action_units=prediction.action_units,
                    expression=prediction.expression,
                )
        shown = None
        if self.pictures:
            flow = None if prediction is None else prediction.flow
            shown = EventPictures(
                jpeg(onset.pixels),
                jpeg(apex.pixels),
                b"" if flow is None else flow_picture(flow),
                0.0 if flow is None else float(np.hypot(*flow.uv).max()),
            )
        return SeenPair(pair.place, event, prediction, shown, fault)


def points_on(crop: FaceCrop, points: Float64Array) -> Landmarks:
    """Points of a frame in px of a part of it."""
    moved = (points + 0.5 - [crop.left, crop.top]) / crop.shrink - 0.5
    return Landmarks(moved.astype(np.float32), "followed face")


def flow_picture(flow: Flow, side: int = _SHOWN) -> bytes:
    """A JPEG of the aligned face's flow: its length by color, its direction by arrows, of which the longest reaches to
    the next one.
    """
    cv2 = load_opencv()
    u, v = (cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA) for part in flow.uv)
    length = np.hypot(u, v)
    longest = max(float(length.max()), 1e-6)
    picture = cv2.applyColorMap(np.asarray(255 * length / longest, np.uint8), cv2.COLORMAP_MAGMA)
    step = side / _ARROWS
    for y in np.arange(step / 2, side, step):
        for x in np.arange(step / 2, side, step):
            row, column = int(y), int(x)
            if length[row, column] > 0.1 * longest:
                tip = np.array([x, y]) + 1.2 * step / longest * np.array([u[row, column], v[row, column]])
                ends = [tuple(int(16 * value) for value in end) for end in ((x, y), tip)]
                cv2.arrowedLine(picture, *ends, (255, 255, 255), 1, cv2.LINE_AA, 4, 0.35)
    return encoded(picture)


def jpeg(pixels: ByteArray, longest: int = _SHOWN) -> bytes:
    """RGB pixels as a small JPEG whose longest side is not above a number of px."""
    cv2 = load_opencv()
    scale = min(1.0, longest / max(pixels.shape[:2]))
    size = [max(1, round(scale * side)) for side in pixels.shape[1::-1]]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return encoded(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))


def encoded(picture: ByteArray, ending: str = ".jpg") -> bytes:
    """BGR pixels as a JPEG, or as a PNG without loss."""
    cv2 = load_opencv()
    _, found = cv2.imencode(ending, picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if ending == ".jpg" else [])
    return bytes(found.tobytes())


def doubts(seen: Iterable[SeenPair]) -> dict[str, tuple[str, list[float]]]:
    """Code of what speaks against answers, or "unrecognized" where there is none, to the message of the first such
    event and the times of all of them, s.
    """
    found: dict[str, tuple[str, list[float]]] = {}
    for one in seen:
        said = {} if one.prediction is None else {w.code: w.message for w in reversed(one.prediction.warnings)}
        if one.fault:
            said["unrecognized"] = f"The model was not asked or cannot answer: {one.fault}"
        for code, message in said.items():
            found.setdefault(code, (message, []))[1].append(one.event.start or 0.0)
    return found
