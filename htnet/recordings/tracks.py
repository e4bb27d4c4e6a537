"""Tracking of faces in a recording, one frame at a time: faces are found, followed, lost and found again."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from statistics import median

import numpy as np

from htnet.core.errors import LandmarkError
from htnet.core.types import ByteArray, Float64Array, FloatArray, Frame
from htnet.preprocess.geometry import transform_points
from htnet.recordings.cell_flow import Texture, even_light, make_texture, pair_sums
from htnet.recordings.faces import FaceFinder, SeenFace, inverse, overlap, upright
from htnet.recordings.follow import (
    COARSE,
    FINE,
    MIDDLE,
    PLACES,
    align,
    compose,
    correlation,
    gray_face,
    head_shift,
    head_step,
    size_of,
)
from htnet.recordings.measure import DISTANCES, picture_measures
from htnet.recordings.recorder import Recorder
from htnet.recordings.stream import PAUSE, thumbnail
from htnet.recordings.track import FaceTrack

#: Time between two detections around a followed face, in the whole frame while a face is followed, and in the whole
#: frame while none is, s.
LOOK, SCAN, SEARCH = 0.2, 1.0, 0.1
#: Longest time after which a lost face that reappears near its position counts as the same face, s.
FORGET = 3.0
#: Faces that were measured for less than this are discarded, s.
SHORTEST = 0.3

# Correlations with the previous frame and with the key face below which a face is checked at once; and number of failed
# detections in a row after which it is lost.
_LIKE_LAST, _LIKE_KEY, _MISSES = 0.5, 0.2, 2
# Another face has taken its place if the correlation with the previous frame is lower, even after alignment by the
# detected points. From frame to frame, moving heads have 0.57 or more; two different photographed faces have up to
# 0.26, different drawn faces up to 0.82.
_ANOTHER = 0.55
# Faces are next to each other if the distance of their centers is less than this, in widths of the larger one.
_BESIDE = 1.5
# A detection is the same face if its box overlaps by at least this, its points are at most this far from their expected
# positions, in distances between the eyes, and their size differs by at most this factor.
_SAME_BOX, _SAME_PLACE, _SAME_SIZE = 0.3, 0.35, 1.4
# Two followed faces are the same if their boxes overlap by more than this.
_ONE = 0.5
# A lost face has reappeared if its center is at most this many widths away and its size differs by at most this factor;
# and the time over which its speed is measured, s.
_BACK, _BACK_SIZE, _WAY = 1.5, 1.6, 0.5
# A new key face is taken after the first time if the face is calm, after the second time in any case, s, or if the
# correlation with the key face is below the third value. The alignment is then corrected by at most the fourth value,
# px of the aligned face.
_KEY, _OLD_KEY, _UNLIKE, _MEND = 4.0, 8.0, 0.5, 0.5
# A face is calm if its picture changes by at most this many times the median.
_CALM = 1.1
# The picture is warped again if the alignment is off by more than this, px of the aligned face.
_OFF = 0.25
# Below the first correlation with the previous frame, a face may have moved far; above the second, fine steps suffice.
_FAST, _SLOW = 0.9, 0.98
# An earlier frame is used for a time distance if its distance differs by at most this fraction or half a frame.
_NEAR = 0.3
# A frame begins a new shot if the correlation of the whole pictures is lower, and the mean difference larger (gray
# levels).
_CUT_ALIKE, _CUT_DIFFERENT = 0.5, 12.0
_TINY = 1e-6


class Follower:
    """Follows one face."""

    def __init__(self, number: int, frame: Frame, face: SeenFace, finder: FaceFinder) -> None:
        """Start at a frame in which the face is frontal."""
        self.recorder = Recorder(number, frame.number or 0)
        self.box = face.box
        self.lost_at: float | None = None
        self.replaced = self.crowded = False
        self._way: deque[tuple[float, Float64Array]] = deque()
        self._finder = finder
        self._turned = False
        self.start(frame, face)

    def start(self, frame: Frame, face: SeenFace) -> None:
        """Start a segment."""
        time = frame.time or 0.0
        self.recorder.start()
        self.lost_at, self._turned, self._misses, self._next_look = None, False, 0, time + LOOK
        self._matrix = self._before = align(face.points)
        self._points: deque[Float64Array] = deque([transform_points(self._matrix, face.points)], maxlen=40)
        self._ring: deque[tuple[float, Texture]] = deque()
        self._changes: deque[float] = deque(maxlen=31)
        self._last_time = time - 1 / 30
        gray = gray_face(frame, self._matrix)
        self._last = make_texture(even_light(gray))
        self._take_key(time, self._last, np.hstack([np.eye(2), np.zeros((2, 1))]))
        self.recorder.look(self.recorder.count, time, face, self._matrix)
        self._row(frame, gray, self._last, 1.0)
        self._carry_box(face)

    def follow(self, frame: Frame, *, repeated: bool = False) -> None:
        """Process the next frame.

        Afterwards ``lost_at`` is the time at which the face was lost, or None. ``replaced`` is True if another face has
        taken its place, so that this one ended with the previous frame.
        """
        time = frame.time or 0.0
        if repeated and not self._turned:
            self.recorder.repeat(frame.number or 0, time)
        elif time - self._last_time > PAUSE:
            self._resume(frame)
        elif self._turned:
            self._wait(frame)
        else:
            self._step(frame)
        self._last_time = time

    def lose(self, time: float, row: int) -> None:
        """Mark the face as lost from a row on."""
        self.recorder.close_from(row, "lost")
        self.lost_at = time
        seen = self.recorder.times[row - 1] if row else time
        while len(self._way) > 1 and self._way[-1][0] > seen + _TINY:
            self._way.pop()

    def idle(self, frame: Frame) -> None:
        """Add a frame in which the lost face was not found."""
        self.recorder.add_gap(frame.number or 0, frame.time or 0.0, "lost")

    def comes_back(self, face: SeenFace, time: float) -> bool:
        """Whether a detected face may be this one, which was lost."""
        return self.away(face, time) <= _BACK and 1 / _BACK_SIZE < float(face.box[2] / self.box[2]) < _BACK_SIZE

    def away(self, face: SeenFace, time: float) -> float:
        """Distance of a detected face from where this one was lost, or from where it would be at its last speed.

        The smaller of the two is returned, in widths of this face.
        """
        (last, there), (first, before) = self._way[-1], self._way[0]
        speed = (there - before) / max(last - first, _TINY)
        middle = face.box[:2] + face.box[2:] / 2
        ways = (there, there + speed * (time - last))
        return min(float(np.hypot(*(middle - place))) for place in ways) / float(self.box[2])

    def is_beside(self, other: Follower) -> bool:
        """Whether two faces are so close that one may hide a part of the other."""
        apart = self.box[:2] + self.box[2:] / 2 - other.box[:2] - other.box[2:] / 2
        return float(np.hypot(*apart)) < _BESIDE * max(self.box[2], other.box[2])

    @property
    def likeness(self) -> float:
        """Correlation of the face with its key face."""
        return correlation(self._key.image, self._last.image)

    def _step(self, frame: Frame) -> None:
        time = frame.time or 0.0
        # Start from the position that the head would have at constant speed.
        drift = compose(compose(self._matrix, inverse(self._before)), self._matrix)
        shift = transform_points(drift, transform_points(inverse(self._matrix), [MIDDLE]))
        matrix = self._matrix.copy()
        matrix[:, 2] += (shift - MIDDLE)[0]
        gray = gray_face(frame, matrix)
        image = even_light(gray)
        alike = correlation(self._last.image, image)
        like_last = alike
        if alike < _FAST:
            moved = matrix.copy()
            moved[:, 2] -= head_shift(self._last.image, image)
            there = gray_face(frame, moved)
            found = even_light(there)
            like_last = correlation(self._last.image, found)
            if like_last > alike:
                matrix, gray, image = moved, there, found
            else:
                like_last = alike
        for key, settings in ((self._last.image, COARSE), (self._key.image, FINE)):
            if settings is COARSE and alike > _SLOW:
                continue
            step = head_step(key, image, settings)
            if size_of(step) > _OFF:  # smaller errors are measured as motion from the key face
                matrix = compose(step, matrix)
                gray = gray_face(frame, matrix)
                image = even_light(gray)
                like_last = correlation(self._last.image, image)
        like_key = correlation(self._key.image, image)
        # When faces pass each other, one may hide the other, so the check is skipped.
        if like_last < _ANOTHER and not self.crowded and self._is_another(frame, matrix):
            self.replaced = True
            return
        doubted = like_last < _LIKE_LAST or like_key < _LIKE_KEY
        if (doubted or time + _TINY >= self._next_look) and not self._look(frame, matrix, doubted):
            return
        self._before, self._matrix = self._matrix, matrix
        texture = make_texture(image)
        self._changes.append(float(np.abs(image - self._last.image).mean()))
        self._row(frame, gray, texture, like_key)
        calm = self._changes[-1] <= _CALM * median(self._changes)
        age = time - self._key_time
        if age > _OLD_KEY or (age > _KEY and calm) or (like_key < _UNLIKE and age > LOOK):
            mended = self._mending()
            self._before, self._matrix = compose(mended, self._before), compose(mended, self._matrix)
            if size_of(mended) > _TINY:
                texture = make_texture(even_light(gray_face(frame, self._matrix)))
            self._take_key(time, texture, mended)
        self._last = texture
        self._carry_box()

    def _row(self, frame: Frame, gray: FloatArray, texture: Texture, quality: float) -> None:
        time = frame.time or 0.0
        while self._ring and self._ring[0][0] < time - DISTANCES[-1] * (1 + _NEAR) - 0.1:
            self._ring.popleft()
        earlier, spans = self._earlier(time)
        sums = pair_sums([*earlier, self._key], texture)
        picture = picture_measures(gray, texture.gradient[0], self._eyes, self._mouth)
        number = frame.number or 0
        self.recorder.add(number, time, self._matrix, quality, sums, spans, self._key_number, picture)
        self._ring.append((time, texture))

    def _earlier(self, time: float) -> tuple[list[Texture], Float64Array]:
        """The face at each of `DISTANCES` before a time, and the actual distances, s. If there is none, the key face
        and NaN.
        """
        faces, spans = [], np.full(len(DISTANCES), np.nan)
        times = np.array([at for at, _ in self._ring])
        for column, distance in enumerate(DISTANCES):
            face = self._key
            if len(times):
                nearest = int(np.abs(time - distance - times).argmin())
                span = time - float(times[nearest])
                half = 0.55 * (time - float(times[-1]))
                if abs(span - distance) <= max(_NEAR * distance, half):
                    face, spans[column] = self._ring[nearest][1], span
            faces.append(face)
        return faces, spans

    def _look(self, frame: Frame, matrix: Float64Array, doubted: bool) -> bool:
        """Detect the face near its position. Returns False if it cannot be measured in this frame."""
        time = frame.time or 0.0
        faces = self._finder.near(frame, matrix)
        face = self._expected(faces, matrix)
        if face is None:  # the points of a profile are not at the expected positions
            aside = (other for other in faces if overlap(other.box, self.box) > _SAME_BOX and not other.frontal())
            face = next(aside, None)
        if face is None:
            self._misses += 1
            self._next_look = time
            if self._misses < _MISSES and not doubted:
                return True
            self.lose(time, self.recorder.looks[-1].row + 1)
            self.idle(frame)
            return False
        self._misses, self._next_look = 0, time + LOOK
        if not face.frontal():
            self.recorder.close_from(self.recorder.turned_from(face.pose), "turned")
            self._turned = True
            self._matrix = self._before = _aligned(face, matrix)
            self.recorder.add_gap(frame.number or 0, time, "turned")
            self._carry_box(face)
            return False
        self.recorder.look(self.recorder.count, time, face, matrix)
        self._points.append(transform_points(matrix, face.points))
        return True

    def _is_another(self, frame: Frame, matrix: Float64Array) -> bool:
        """Whether the face at this position is another one: it looks different even after alignment by its points."""
        faces = [f for f in self._finder.near(frame, matrix) if overlap(f.box, self.box) > _SAME_BOX and f.frontal()]
        if not faces:
            return False
        own = align(max(faces, key=lambda f: overlap(f.box, self.box)).points)
        image = even_light(gray_face(frame, own))
        for settings in (COARSE, FINE):
            if correlation(self._last.image, image) >= _ANOTHER:
                return False
            own = compose(head_step(self._last.image, image, settings), own)
            image = even_light(gray_face(frame, own))
        return correlation(self._last.image, image) < _ANOTHER

    def _expected(self, faces: Iterable[SeenFace], matrix: Float64Array) -> SeenFace | None:
        """The detected face nearest to the expected position; None if none is close enough."""
        eyes = float(np.hypot(*(PLACES[1] - PLACES[0])))
        best, nearest = None, _SAME_PLACE * eyes
        for face in faces:
            points = transform_points(matrix, face.points)
            away = float(np.hypot(*(points.mean(axis=0) - np.mean(self._points, axis=0).mean(axis=0))))
            size = float(np.hypot(*np.ptp(points, axis=0)) / np.hypot(*np.ptp(np.mean(self._points, axis=0), axis=0)))
            if away <= nearest and 1 / _SAME_SIZE < size < _SAME_SIZE:
                best, nearest = face, away
        return best

    def _wait(self, frame: Frame) -> None:
        """Process a frame while the face looks aside."""
        time = frame.time or 0.0
        if time + _TINY >= self._next_look:
            self._next_look = time + SEARCH
            faces = [f for f in self._finder.near(frame, self._matrix) if overlap(f.box, self.box) > _SAME_BOX]
            if not faces:
                self.lose(time, self.recorder.count)
                self.idle(frame)
                return
            face = max(faces, key=lambda f: overlap(f.box, self.box))
            if face.frontal():
                self.start(frame, face)
                return
            self._matrix = self._before = _aligned(face, self._matrix)
            self._carry_box(face)
        self.recorder.add_gap(frame.number or 0, time, "turned")

    def _resume(self, frame: Frame) -> None:
        """Process the first frame after a pause of the recording, over which no motion is followed."""
        faces = [f for f in self._finder.near(frame, self._matrix) if overlap(f.box, self.box) > _SAME_BOX]
        face = max(faces, key=lambda f: overlap(f.box, self.box), default=None)
        if face is not None and face.frontal():
            self.start(frame, face)
            return
        self.lose(frame.time or 0.0, self.recorder.count)
        self.idle(frame)

    def _take_key(self, time: float, texture: Texture, mended: Float64Array) -> None:
        self._key, self._key_time = texture, time
        self._key_number = len(self.recorder.corrections)
        self.recorder.corrections[self._key_number] = mended
        points = np.mean(self._points, axis=0)
        self._eyes, self._mouth = points[:2], points[3:].mean(axis=0)

    def _mending(self) -> Float64Array:
        """A correction of the alignment that moves the detected points, on average, nearer to their positions."""
        whole = align(np.mean(self._points, axis=0))
        share = min(1.0, _MEND / max(size_of(whole), _TINY))
        still = np.hstack([np.eye(2), np.zeros((2, 1))])
        mended = still + share * (whole - still)
        self._points = deque([transform_points(mended, points) for points in self._points], maxlen=self._points.maxlen)
        return np.asarray(mended)

    def _carry_box(self, face: SeenFace | None = None) -> None:
        """Set the box for this frame: that of the detected face, or else the last one, moved with the head."""
        if face is not None:
            x, y, width, height = face.box
            self._corners = transform_points(
                self._matrix, [[x, y], [x + width, y], [x, y + height], [x + width, y + height]]
            )
            self.box = face.box
        else:
            self.box = upright(transform_points(inverse(self._matrix), self._corners))
        time = self.recorder.times[-1]
        self._way.append((time, self.box[:2] + self.box[2:] / 2))
        while self._way[0][0] < time - _WAY - LOOK:
            self._way.popleft()


def _aligned(face: SeenFace, otherwise: Float64Array) -> Float64Array:
    """The alignment of a face that looks aside, or ``otherwise`` if its points cannot be aligned."""
    try:
        return align(face.points)
    except LandmarkError:
        return otherwise


class Tracker:
    """Follows all faces of a recording.

    Attributes:
        cuts: numbers of the frames that begin a new shot.
        frames: number of frames so far.
        size: (height, width) of the last frame, px.
        time: time of the last frame, s.
        numbers: for each track that `finish` returned, the number that the face had before.
        short: time, s, and number of frames of each face that was measured for less than `SHORTEST` and left out.
    """

    def __init__(self, finder: FaceFinder) -> None:
        """Start without faces.

        Args:
            finder: finds faces in a frame.
        """
        self.cuts: list[int] = []
        self.frames = 0
        self.size = (0, 0)
        self.time = 0.0
        self.numbers: tuple[int, ...] = ()
        self.short: list[tuple[float, int]] = []
        self._finder = finder
        self._active: list[Follower] = []
        self._lost: list[Follower] = []
        self._done: list[FaceTrack] = []
        self._thumb: ByteArray | None = None
        self._pixels: ByteArray | None = None
        self._next_scan = -math.inf
        self._count = 0

    def step(self, frame: Frame) -> None:
        """Process the next frame, which must have a number and a time."""
        thumb = thumbnail(frame.pixels)
        repeated = False
        if self._thumb is not None and self._pixels is not None:
            if is_cut(self._thumb, thumb):
                self._end(frame)
            repeated = np.array_equal(self._thumb, thumb) and np.array_equal(self._pixels, frame.pixels)
        self._thumb, self._pixels = thumb, frame.pixels
        self.frames, self.size, self.time = self.frames + 1, frame.size, frame.time or 0.0
        for face in self._active:
            face.crowded = any(face.is_beside(other) for other in self._active if other is not face)
        for face in self._active:
            face.follow(frame, repeated=repeated)
        self._end_replaced()
        self._part(frame)
        for face in self._active:
            if face.lost_at is not None:
                self._next_scan = self.time
        idle = self._lost
        self._lost = [*idle, *(face for face in self._active if face.lost_at is not None)]
        self._active = [face for face in self._active if face.lost_at is None]
        back: list[Follower] = []
        if self.time + _TINY >= self._next_scan:
            back = self._scan(frame)
            self._next_scan = self.time + (SCAN if self._active and not self._lost else SEARCH)
        for face in idle:
            if face in back:
                continue
            face.idle(frame)
            if self.time - (face.lost_at or 0.0) > FORGET:
                self._finish(face)
        self._lost = [face for face in self._lost if face.lost_at is not None and face not in back]
        self._lost = [face for face in self._lost if self.time - (face.lost_at or 0.0) <= FORGET]

    def finish(self) -> tuple[FaceTrack, ...]:
        """The tracks of the whole recording."""
        for face in (*self._active, *self._lost):
            self._finish(face)
        self._active, self._lost = [], []
        kept = sorted(self._done, key=lambda track: (int(track.frames[0]), track.number))
        self.numbers = tuple(track.number for track in kept)
        return tuple(replace(track, number=number) for number, track in enumerate(kept))

    def followed(self) -> Iterator[tuple[int, Float64Array]]:
        """Number and box of each face that is measured in the last frame."""
        for face in self._active:
            if not face.recorder.gaps[-1]:
                yield face.recorder.number, face.box

    def recent(self, since: float) -> tuple[FaceTrack, ...]:
        """The tracks from a time on, as far as they are known. Their numbers differ from those that `finish` assigns.

        Args:
            since: earliest time, s. Faces that ended before are left out.
        """
        found = [face.recorder.recent(since, self.size) for face in (*self._active, *self._lost)]
        ended = [track for track in self._done if track.times[-1] >= since]
        return tuple(sorted((*ended, *(track for track in found if track is not None)), key=lambda t: t.number))

    def _end(self, frame: Frame) -> None:
        """End all faces, because a new shot begins."""
        self.cuts.append(frame.number or 0)
        for face in (*self._active, *self._lost):
            self._finish(face)
        self._active, self._lost, self._next_scan = [], [], -math.inf

    def _end_replaced(self) -> None:
        """End the faces whose place another face has taken, and search for that face at once."""
        ended = [face for face in self._active if face.replaced]
        self._active = [face for face in self._active if not face.replaced]
        for face in ended:
            self._finish(face)
            self._next_scan = -math.inf

    def _finish(self, face: Follower) -> None:
        seconds = face.recorder.followed()
        if seconds >= SHORTEST:
            self._done.append(face.recorder.finish(self.size))
        else:
            self.short.append((seconds, face.recorder.measured))

    def _part(self, frame: Frame) -> None:
        """If two faces merge, mark the one that is less similar to its key face as lost, because it is hidden."""
        seen = [face for face in self._active if face.lost_at is None]
        for at, one in enumerate(seen):
            for other in seen[at + 1 :]:
                if one.lost_at is None and other.lost_at is None and overlap(one.box, other.box) > _ONE:
                    hidden = min(one, other, key=lambda face: face.likeness)
                    hidden.lose(self.time, hidden.recorder.looks[-1].row + 1)

    def _scan(self, frame: Frame) -> list[Follower]:
        """Search the whole frame for faces. Returns the lost faces that reappeared."""
        back = []
        for face in sorted(self._finder.everywhere(frame), key=lambda face: -float(face.box[2])):
            if any(overlap(face.box, known.box) > _SAME_BOX for known in self._active) or not face.frontal():
                continue
            known = [lost for lost in self._lost if lost not in back and lost.comes_back(face, self.time)]
            if known:
                nearest = min(known, key=lambda lost: lost.away(face, self.time))
                if nearest.recorder.frames[-1] == frame.number:
                    continue  # lost in this frame; the next one decides
                nearest.start(frame, face)
                back.append(nearest)
                self._active.append(nearest)
            else:
                self._active.append(Follower(self._count, frame, face, self._finder))
                self._count += 1
        return back


def is_cut(before: ByteArray, now: ByteArray) -> bool:
    """Whether a frame begins a new shot, by the `thumbnail` of this frame and the previous one."""
    if before.shape != now.shape:
        return True
    one, other = before.astype(np.float32), now.astype(np.float32)
    different = float(np.abs(one - other).mean())
    return different > _CUT_DIFFERENT and correlation(one, other) < _CUT_ALIKE
