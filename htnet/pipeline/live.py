"""Analysis of a stream that is read once, such as that of a camera. Events are found while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from htnet.core.errors import HtnetError
from htnet.core.events import EXPRESSION_KINDS, LONGEST_MACRO_S, Event
from htnet.core.types import Float64Array, Frame, PreprocessSpec
from htnet.pipeline.event_pairs import (
    EventPair,
    FaceCrop,
    PairFrames,
    PairReader,
    SeenPair,
    face_part,
    features_of,
    plan_pairs,
    points_on,
)
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.video.clip import ClipMotion
from htnet.recordings import FaceFinder, FrameStream, RecordingCurves, YuNetFaces
from htnet.recordings.curves import finished_curves, recent_curves
from htnet.recordings.stream import read_ahead
from htnet.recordings.tracks import Tracker

#: Length of the curves that the detector sees, time between two of its runs, and smallest time between the end of an
#: accepted event and the last frame, s. The end of an event is certain only once some frames after it are known.
WINDOW, HOP, GUARD = 40.0, 2.0, 3.0
# Time for which faces are held, which is the longest time until an event is accepted, s; and the most memory, bytes.
_HELD, _BYTES = HOP + GUARD + LONGEST_MACRO_S + 1.0, 256 << 20
# A face that is wider than this, px, is held at half the resolution or less.
_WIDEST = 260
# Two events of the same kind and face are one if they overlap by at least this fraction of the longer one.
_SAME = 0.5


@dataclass(frozen=True, eq=False)
class Watched:
    """The result of analyzing a stream.

    Attributes:
        curves: curves of the whole stream.
        events: the events, sorted by onset.
        seen: results for the onset and apex of micro- and macro-expressions.
    """

    curves: RecordingCurves
    events: tuple[Event, ...]
    seen: tuple[SeenPair, ...]


def watch(
    stream: FrameStream,
    detector: Callable[[RecordingCurves], Iterable[Event]],
    reader: PairReader | None,
    finder: FaceFinder | None = None,
    *,
    progress: Callable[[Frame], None] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Watched:
    """Find events in a stream while it runs, until it ends or is interrupted (Ctrl-C).

    Args:
        stream: the frames, which are read once.
        detector: finds events in the curves of the last seconds.
        reader: predicts from onset and apex; None for events alone.
        finder: finds faces in a frame; YuNet by default.
        progress: called with every frame that was processed.
        on_event: called with each event as soon as it is detected, some seconds after its end.
    """
    tracker = Tracker(YuNetFaces() if finder is None else finder)
    ring = _Ring()
    found = _Found(detector, reader, ring, on_event)
    due = HOP
    try:
        for frame in read_ahead(stream):
            tracker.step(frame)
            if reader is not None:
                for number, box in tracker.followed():
                    ring.add(number, frame, box)
            if tracker.time >= due:
                due = tracker.time + HOP
                found.look(recent_curves(stream, tracker, tracker.time - WINDOW), tracker.time - GUARD)
            if progress is not None:
                progress(frame)
    except KeyboardInterrupt:
        if not tracker.frames:
            raise
    found.look(recent_curves(stream, tracker, tracker.time - WINDOW), tracker.time)
    curves = finished_curves(stream, tracker)
    return found.renumbered(curves, tracker.numbers)


class _Found:
    """Events that were found so far."""

    def __init__(
        self,
        detector: Callable[[RecordingCurves], Iterable[Event]],
        reader: PairReader | None,
        ring: _Ring,
        on_event: Callable[[Event], None] | None,
    ) -> None:
        self.events: list[Event] = []
        self.seen: list[SeenPair] = []
        self._detector, self._reader, self._ring, self._on_event = detector, reader, ring, on_event
        self._until = 0.0

    def look(self, curves: RecordingCurves, until: float) -> None:
        """Run the detector, and add the new events that end before a time, s."""
        fresh = []
        for event in self._detector(curves):
            number = curves.tracks[0].number if event.track is None else event.track
            event = replace(event, track=number)
            end = event.end if event.end is not None else until
            if self._until - HOP < end <= until and not any(_same(event, other) for other in self.events):
                fresh.append(event)
        self._until = max(until, 0.0)
        for event in sorted(fresh, key=lambda event: event.onset):
            self.events.append(event)
            told = self._read(curves, event)
            if self._on_event is not None:
                self._on_event(told)

    def renumbered(self, curves: RecordingCurves, numbers: tuple[int, ...]) -> Watched:
        """The result, with faces numbered as in the curves of the whole stream.

        Args:
            curves: curves of the whole stream.
            numbers: the numbers that its tracks had while the stream ran, in the order of the tracks.
        """
        last = {number: int(track.frames[-1]) for number, track in zip(numbers, curves.tracks, strict=True)}
        kept = [
            place
            for place, event in enumerate(self.events)
            if event.track in last and event.offset <= last[event.track]
        ]
        kept.sort(key=lambda place: (self.events[place].onset, self.events[place].offset, self.events[place].track))

        def own(event: Event) -> Event:
            return replace(event, track=numbers.index(event.track)) if event.track is not None else event

        at = {place: k for k, place in enumerate(kept)}
        seen = [replace(one, place=at[one.place], event=own(one.event)) for one in self.seen if one.place in at]
        return Watched(curves, tuple(own(self.events[place]) for place in kept), tuple(seen))

    def _read(self, curves: RecordingCurves, event: Event) -> Event:
        if self._reader is None or event.kind not in EXPRESSION_KINDS:
            return event
        place = len(self.events) - 1
        (planned,) = plan_pairs(curves, [event])
        seen: SeenPair
        if isinstance(planned, SeenPair):
            seen = replace(planned, place=place)
        else:
            found = self._frames(curves, replace(planned, place=place), self._reader.spec)
            if found is None:
                seen = SeenPair(place, event, fault="its frames were no longer in memory")
            else:
                seen = self._reader(found)
        self.seen.append(seen)
        return seen.event

    def _frames(self, curves: RecordingCurves, pair: EventPair, spec: PreprocessSpec | None) -> PairFrames | None:
        """The frames of an event; None if one of them is no longer held."""
        number = pair.event.track or 0
        track = next(track for track in curves.tracks if track.number == number)
        wanted = [pair.onset, pair.apex]
        times = dict(zip(track.frames.tolist(), track.times.tolist(), strict=True))
        if spec is not None:  # frames in which the face is not measured are not held
            measured = track.frames[track.gaps == 0].tolist()
            wanted += [frame for frame in measured if pair.onset < frame <= pair.last]
        held = [self._ring.get(number, frame) for frame in wanted]
        crops = [crop for crop in held if crop is not None]
        if len(crops) < len(wanted):
            return None
        parts = on_one_canvas(*crops)
        onset, apex = next(parts), next(parts)
        if spec is None:
            return PairFrames(pair, onset, apex)
        try:
            motion = ClipMotion(_frame(onset, pair.onset, times), points_on(onset, pair.points), spec)
            for part, frame in zip(parts, wanted[2:], strict=True):
                motion.add(_frame(part, frame, times))
        except HtnetError as error:
            return PairFrames(pair, onset, apex, fault=str(error))
        return PairFrames(pair, onset, apex, *features_of(motion))


def _frame(crop: FaceCrop, number: int, times: Mapping[int, float]) -> Frame:
    return Frame(crop.pixels, f"frame {number}", number, times[number])


def _same(one: Event, other: Event) -> bool:
    if (one.kind, one.track) != (other.kind, other.track):
        return False
    shared = min(one.offset, other.offset) - max(one.onset, other.onset) + 1
    return shared >= _SAME * max(one.frames, other.frames)


class _Ring:
    """Crops of the faces of the last seconds, by number of the face and of the frame."""

    def __init__(self) -> None:
        self._held: deque[tuple[int, int, float]] = deque()
        self._crops: dict[tuple[int, int], FaceCrop] = {}
        self._bytes = 0

    def add(self, face: int, frame: Frame, box: Float64Array) -> None:
        """Add a face of a frame, and drop the oldest faces beyond the limits of time and memory."""
        number, time = frame.number or 0, frame.time or 0.0
        crop = cut_out(frame, box)
        self._crops[face, number] = crop
        self._held.append((face, number, time))
        self._bytes += crop.pixels.nbytes
        while self._held and (self._held[0][2] < time - _HELD or self._bytes > _BYTES):
            old, last, _ = self._held.popleft()
            self._bytes -= self._crops.pop((old, last)).pixels.nbytes

    def get(self, face: int, number: int) -> FaceCrop | None:
        """A face of a frame, if it is held."""
        return self._crops.get((face, number))


def cut_out(frame: Frame, box: Float64Array) -> FaceCrop:
    """The part of a frame around a face. A large face is stored at half the resolution or less."""
    cv2 = load_opencv()
    shrink = 1
    while box[2] / shrink > _WIDEST:
        shrink *= 2
    left, top, right, bottom = face_part([box], frame.size)
    # Align the crop with a grid of shrink x shrink px that is the same in every frame.
    left, top = left - left % shrink, top - top % shrink
    right, bottom = right - (right - left) % shrink, bottom - (bottom - top) % shrink
    pixels = frame.pixels[top : max(bottom, top + shrink), left : max(right, left + shrink)]
    if shrink > 1:
        size = max(pixels.shape[1] // shrink, 1), max(pixels.shape[0] // shrink, 1)
        return FaceCrop(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), left, top, shrink)
    return FaceCrop(pixels.copy(), left, top)


def on_one_canvas(*crops: FaceCrop) -> Iterator[FaceCrop]:
    """Extend crops to a common position and size by repeating their edge pixels."""
    cv2 = load_opencv()
    shrink = max(crop.shrink for crop in crops)
    alike = [_in_resolution(crop, shrink) for crop in crops]
    left, top = min(crop.left for crop in alike), min(crop.top for crop in alike)
    right = max(crop.left // shrink + crop.pixels.shape[1] for crop in alike)
    bottom = max(crop.top // shrink + crop.pixels.shape[0] for crop in alike)
    for crop in alike:
        before = (crop.left - left) // shrink, (crop.top - top) // shrink
        after = right - crop.left // shrink - crop.pixels.shape[1], bottom - crop.top // shrink - crop.pixels.shape[0]
        pixels = cv2.copyMakeBorder(crop.pixels, before[1], after[1], before[0], after[0], cv2.BORDER_REPLICATE)
        yield FaceCrop(np.asarray(pixels, np.uint8), left, top, shrink)


def _in_resolution(crop: FaceCrop, shrink: int) -> FaceCrop:
    """Reduce a crop to the resolution of the coarsest one, aligned with its grid."""
    cv2 = load_opencv()
    ratio = shrink // crop.shrink
    if ratio == 1:
        return crop
    off = [(-at // crop.shrink) % ratio for at in (crop.left, crop.top)]
    pixels = crop.pixels[off[1] :, off[0] :]
    size = max(pixels.shape[1] // ratio, 1), max(pixels.shape[0] // ratio, 1)
    small = cv2.resize(pixels[: size[1] * ratio, : size[0] * ratio], size, interpolation=cv2.INTER_AREA)
    left, top = crop.left + off[0] * crop.shrink, crop.top + off[1] * crop.shrink
    return FaceCrop(np.asarray(small, np.uint8), left, top, shrink)
