"""Onset, apex and motion of the events of a recording: collect the frames, and ask the model about them."""

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

# Margin on each side of the face's box, in widths of the box: the aligned face is larger than the box.
_ROOM = 0.45
# Side of a picture in a report, px, and its JPEG quality.
_SHOWN, _QUALITY = 200, 85
# Arrows per row and column in a picture of flow.
_ARROWS = 14


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """The part of a frame around a face.

    Attributes:
        pixels: (H, W, 3) uint8, RGB.
        left: position of its first column, px of the frame.
        top: position of its first row, px of the frame.
        shrink: width of one of its px, px of the frame.
    """

    pixels: ByteArray
    left: int
    top: int
    shrink: int = 1


@dataclass(frozen=True, eq=False)
class EventPair:
    """An event, and the frames that the model reads for it.

    Attributes:
        place: index of the event among all events.
        event: the event.
        onset: number of the frame used as onset: the first frame of the event in which the face is measured.
        apex: number of the frame used as apex: of the later frames in which the face is measured, the nearest to the
            apex.
        last: number of the last frame of the event in which the face is measured.
        time: time of the onset frame, s.
        points: (5, 2) landmarks of the face in the onset frame, px.
        part: left, top, right and bottom of the part that is kept of both frames, px.
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
    """The parts of an event's frames that are kept.

    Attributes:
        pair: the event and the numbers of its frames.
        onset: the part of the onset frame with the face.
        apex: the part of the apex frame with the face.
        motion: `htnet.preprocess.motion_features` from the onset on, if the model reads them.
        fault: why there are no motion features although the model reads them; "" otherwise.
    """

    pair: EventPair
    onset: FaceCrop
    apex: FaceCrop
    motion: FloatArray | None = None
    fault: str = ""


@dataclass(frozen=True, eq=False)
class SeenPair:
    """The result for the onset and apex of an event.

    Attributes:
        place: index of the event among all events.
        event: the event, with the model's prediction if there is one.
        prediction: the model's prediction; None if there is none.
        pictures: pictures of the event, if they were requested.
        fault: why the model could not predict; "" otherwise.
    """

    place: int
    event: Event
    prediction: Prediction | None = None
    pictures: EventPictures | None = None
    fault: str = ""


def plan_pairs(curves: RecordingCurves, events: Iterable[Event]) -> Iterator[EventPair | SeenPair]:
    """Choose the frames of each micro- and macro-expression.

    Args:
        curves: curves of the recording.
        events: events that were found in it.

    Yields:
        An `EventPair`, or a `SeenPair` with the reason if the face is not measured in two frames of the event.
    """
    tracks = {track.number: track for track in curves.tracks}
    for place, event in enumerate(events):
        if event.kind in EXPRESSION_KINDS:
            track = tracks[event.track or 0]
            rows = _rows(track, event)
            if rows is None:
                yield SeenPair(place, event, fault="the face is measured in fewer than two of its frames")
            else:
                yield _pair(place, event, track, *rows, curves.size)


def _rows(track: FaceTrack, event: Event) -> tuple[int, int, int] | None:
    """Rows used as onset and apex, and the last row in which the face is measured."""
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
    """Left, top, right and bottom of the part of a frame that contains a face at the positions of all boxes.

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
    """Collect the frames of each pair. A pair is returned as soon as its last frame was read.

    No frame after the last pair is read. Memory holds only the events that have begun: for each, a part of one frame,
    and the small gray faces from which motion is computed.

    Args:
        frames: frames of the recording, in order.
        pairs: the events, and the numbers of their frames.
        spec: spec of a model that reads motion; None for onset and apex alone.
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
    """The frames of an event that were read so far."""

    def __init__(self, pair: EventPair, spec: PreprocessSpec | None) -> None:
        self.pair = pair
        self.end = pair.apex if spec is None else max(pair.apex, pair.last)
        self._spec = spec
        self._crops: dict[int, FaceCrop] = {}
        self._motion: ClipMotion | None = None
        self._fault = ""

    def see(self, frame: Frame, number: int) -> None:
        """Process the next frame."""
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
        """The collected frames; None if onset or apex was not read."""
        crops = [self._crops.get(number) for number in (self.pair.onset, self.pair.apex)]
        if crops[0] is None or crops[1] is None:
            return None
        motion, fault = features_of(self._motion)
        return PairFrames(self.pair, crops[0], crops[1], motion, self._fault or fault)


def features_of(motion: ClipMotion | None) -> tuple[FloatArray | None, str]:
    """Motion features, and the error message if they cannot be computed."""
    if motion is None:
        return None, ""
    try:
        return motion.features(), ""
    except HtnetError as error:
        return None, str(error)


class PairReader:
    """Predict from the onset and apex of events, and make their pictures."""

    def __init__(self, predictor: Predictor | None, *, pictures: bool) -> None:
        """Store the model.

        Args:
            predictor: recognizes emotions and action units; None for pictures of the frames alone.
            pictures: make pictures.
        """
        self.predictor = predictor
        self.pictures = pictures

    @property
    def spec(self) -> PreprocessSpec | None:
        """The spec of the model if it reads motion; None otherwise."""
        return self.predictor.spec if self.predictor is not None and self.predictor.reads_motion else None

    def __call__(self, found: PairFrames) -> SeenPair:
        """Predict from the frames of an event. Both parts must be cropped at the same position."""
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
    """Convert points of a frame to px of a part of it."""
    moved = (points + 0.5 - [crop.left, crop.top]) / crop.shrink - 0.5
    return Landmarks(moved.astype(np.float32), "followed face")


def flow_picture(flow: Flow, side: int = _SHOWN) -> bytes:
    """A JPEG of the aligned face's flow. Color shows its length, arrows its direction; the longest arrow is 1.2 times
    as long as the distance between arrows.
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
    """RGB pixels as a JPEG, scaled down to ``longest`` px on the longer side if they are larger."""
    cv2 = load_opencv()
    scale = min(1.0, longest / max(pixels.shape[:2]))
    size = [max(1, round(scale * side)) for side in pixels.shape[1::-1]]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return encoded(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))


def encoded(picture: ByteArray, ending: str = ".jpg") -> bytes:
    """BGR pixels as a JPEG, or as a PNG, which is lossless."""
    cv2 = load_opencv()
    _, found = cv2.imencode(ending, picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if ending == ".jpg" else [])
    return bytes(found.tobytes())


def doubts(seen: Iterable[SeenPair]) -> dict[str, tuple[str, list[float]]]:
    """Collect the warnings about predictions by code; the code of an event without a prediction is "unrecognized".

    Returns:
        For each code, the message of the first event that has it, and the times of all such events, s.
    """
    found: dict[str, tuple[str, list[float]]] = {}
    for one in seen:
        said = {} if one.prediction is None else {w.code: w.message for w in reversed(one.prediction.warnings)}
        if one.fault:
            said["unrecognized"] = f"There is no prediction: {one.fault}"
        for code, message in said.items():
            found.setdefault(code, (message, []))[1].append(one.event.start or 0.0)
    return found
