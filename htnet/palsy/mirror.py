"""Dense comparison of the two halves of an upright face: which side lies lower, to a fraction of a pixel.

Detected points are not precise enough for this: the corners of the mouth that a detector finds scatter by about 5 % of
the distance between the eyes and are biased toward a symmetric face. Here the halves themselves are compared. The eyes
are leveled by matching one with the mirror image of the other, unless the rest of the head shows that one eye itself
lies lower. The pull at the corner of the mouth is found and undone (`htnet.palsy.droop`). The line of the mouth is then
followed from the middle outward on both sides at once, by dynamic programming over its position and over how much lower
it still lies on one side. Every step treats both sides alike: the mirrored image gives the negated result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.types import ByteArray, Frame
from htnet.core.types import Float64Array as Matrix
from htnet.palsy.droop import PullSearch
from htnet.preprocess.align import Alignment
from htnet.preprocess.geometry import similarity
from htnet.preprocess.opencv import load_opencv

Plane = npt.NDArray[np.float32]

#: Side of the upright face, px; distance between the eyes and their distance from the top edge, as fractions of it.
SIDE, EYES_APART, EYES_DOWN = 224, 0.36, 0.36
#: Distance between the eyes, px; all other lengths below are fractions of it.
UNIT = EYES_APART * SIDE
_MIDDLE, _EYE_ROW = (SIDE - 1) / 2, EYES_DOWN * SIDE
# Local light and contrast are removed over this neighborhood; the floors (gray levels; % of color) limit the noise.
_NEIGHBORHOOD, _GRAY_FLOOR, _COLOR_FLOOR = 0.3, 4.0, 1.2
_COARSE = 4
# Weights of the horizontal relative to the vertical gradient, of the lips' color relative to gray, and of darkness.
_ACROSS, _COLOR, _DARK = 0.3, 0.5, 0.6
# Scale at which gradients are computed, and width and height of the windows in which they are matched (sigma, px of
# the upright face).
_SCALE, _WINDOW = 1.2, (2.5, 3.0)
# Weak structure counts less than strong: this multiple of the mean energy is added to the denominator.
_WEAK = 2.0
# The mouth's line: how far outward it is followed; rows searched around the expected one; largest drop.
_REACH, _ROWS, _LARGEST = 0.52, (-0.36, 0.40), 0.40
# Distance of the mouth below the eyes: expected value, averaged with the detected one; limits of the mean; its scatter.
_MOUTH_ROW, _MOUTH_ROWS, _MOUTH_SCATTER = 0.98, (0.85, 1.12), 0.16
# Distance below the eyes down to which there is no mouth, but the base of the nose and the folds beside it.
_NOSE_ENDS = 0.74
# Penalties for a px up or down, for a px of change in the drop, and for a start away from the expected row.
_BEND, _SINK, _ASTRAY = 0.15, 0.10, 4.0
#: Part of the mouth's line that is measured: distances from the middle.
OUTER = (0.24, 0.48)
# An iris: its radius; its largest distance from the expected place, across and up; penalty for the distance from the
# detected point; number of candidates per side.
_IRIS, _IRIS_REACH, _IRIS_ASTRAY, _CANDIDATES = 0.075, (0.28, 0.22), 0.6, 6
# Penalty for eyes whose distance does not fit the height of the mouth.
_MOUTH_ASTRAY = 0.2
#: Largest number of rounds in which the eyes are located again; a shift below this many px ends them early.
_ROUNDS, _SETTLED = 4, 0.3
# Patches around the eyes and brows: half width, half height, and how far the two may differ, across and up.
_EYE_PATCH, _BROW_PATCH = (0.27, 0.20, 0.06, 0.12), (0.28, 0.15, 0.10, 0.18)
#: Distance above the eyes at which the brows are searched.
BROW_ROW = 0.34
# The head's own level, from parts that a palsy does not move: outline, hairline, nose; at half the size. Extent of the
# compared area outward, up and down; below the base of the nose only the outline, beyond the last distance, counts.
_HEAD, _NOSE_BASE, _OUTLINE = (1.25, 0.95, 1.35), 0.62, 0.75
# Area of eyes, brows and cheeks that is left out: outward from, to; up, down.
_EYES_OUT = (0.12, 0.95, 0.60, 0.40)
# Angles tried, degrees; how far the sides may differ, outward; window; points nearer to the middle than the last
# distance count less.
_ANGLES, _APART, _HEAD_WINDOW, _ARM = np.arange(-12.0, 12.5, 1.0), 0.14, 0.06, 0.5
# An angle whose agreement is lower by this fraction of the best one counts 1/e; penalty of the largest angle, as a
# fraction.
_SOFT, _TILT_PRICE = 0.04, 0.05
#: Degrees. Hair and outline of symmetric faces disagree with the eyes by up to this angle too, so up to it the eyes are
#: trusted. Only the angle beyond is corrected, degree by degree: more would amplify the errors of the head's level.
EYE_TILT = 2.5
# Largest turn to the head's level, in degrees for each % that the mouth lies lower.
_TILT_OF_DROP = 0.4


@dataclass(frozen=True, eq=False)
class MouthLine:
    """The line of a mouth on both sides.

    Attributes:
        drop: how much lower its outer part lies on the image's left side than on the right one, % of the distance
            between the eyes.
        agreement: similarity of the sides along the outer part, at most 1.
        left, right: (N, 2) px of the upright face, from the middle outwards.
    """

    drop: float
    agreement: float
    left: Matrix
    right: Matrix


@dataclass(frozen=True)
class PatchShift:
    """Offset of a patch on the image's left side from the mirrored patch on its right side, px.

    Attributes:
        out: how much further from the middle.
        down: how much lower.
        agreement: similarity of the patches at this offset, up to 1.
    """

    out: float
    down: float
    agreement: float


class Halves:
    """An upright face, (224, 224, 3) uint8 RGB, with level eyes; ready to be compared with its mirror image."""

    def __init__(self, face: ByteArray) -> None:
        # Gradients of gray and of color are matched, with even light, and dark, thin lines.
        cv2 = load_opencv()
        rgb = face.astype(np.float32)
        gray = np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), dtype=np.float32)
        red = 100 * (rgb[..., 0] - rgb[..., 1]) / (rgb.sum(-1) + 30)
        self.gradients: list[tuple[Plane, int]] = []  # with the sign that mirroring gives them
        #: Gray and color with even light, weighted.
        self.planes: list[Plane] = []
        for plane, floor, weight in ((gray, _GRAY_FLOOR, 1.0), (red, _COLOR_FLOOR, _COLOR)):
            even = cv2.GaussianBlur(_even_light(plane, floor), (0, 0), _SCALE)
            self.planes.append(np.asarray(np.sqrt(weight) * even, dtype=np.float32))
            down = cv2.Sobel(even, cv2.CV_32F, 0, 1, scale=1 / 8)
            across = cv2.Sobel(even, cv2.CV_32F, 1, 0, scale=1 / 8)
            self.gradients += [(np.sqrt(weight) * down, 1), (np.sqrt(weight * _ACROSS) * across, -1)]
        wide = cv2.GaussianBlur(_even_light(gray, _GRAY_FLOOR), (0, 0), 0.03 * UNIT)
        self.lines: Plane = np.maximum(0, cv2.Sobel(wide, cv2.CV_32F, 0, 2, ksize=3))
        self._even_gray = _even_light(gray, _GRAY_FLOOR)

    def eyes(self) -> PatchShift:
        """Offset of the left eye from the mirrored right one."""
        return self._patches(0.0, _EYE_PATCH)

    def irises(self, seen: Matrix, mouth_row: float | None = None) -> tuple[Matrix, float]:
        """Locate the irises: (2, 2) px, image's left first, and the similarity of the two eyes, up to 1.

        An iris is dark and round: it is darker than what lies beside it and than what lies above and below, unlike a
        brow or a frame of glasses. Among the darkest places on each side, the pair is chosen whose surroundings mirror
        each other best.

        Args:
            seen: (2, 2) px, the eyes that a detector found; places far from them are less likely.
            mouth_row: row of the mouth that it found; eyes whose distance does not fit this height are less likely.
        """
        cv2 = load_opencv()
        blurred = cv2.GaussianBlur(self._even_gray, (0, 0), _IRIS * UNIT)
        across = np.maximum(0, cv2.Sobel(blurred, cv2.CV_32F, 2, 0, ksize=3))
        down = np.maximum(0, cv2.Sobel(blurred, cv2.CV_32F, 0, 2, ksize=3))
        dark = np.sqrt(across * down)
        tops = np.where(dark >= cv2.dilate(dark, np.ones((5, 5), np.uint8)), dark, 0)
        reach_x, reach_y = (round(share * UNIT) for share in _IRIS_REACH)
        sides = []
        for sign in (-1, 1):
            x, y = round(_MIDDLE + sign * UNIT / 2), round(_EYE_ROW)
            near = tops[y - reach_y : y + reach_y + 1, x - reach_x : x + reach_x + 1]
            best = np.argsort(-near, axis=None)[:_CANDIDATES]
            rows, columns = np.unravel_index(best, near.shape)
            sides.append([(c + x - reach_x, r + y - reach_y) for r, c in zip(rows, columns, strict=True)])
        highest = max(float(dark[y, x]) for side in sides for x, y in side) + 1e-9
        found, best_score, best_alike = (sides[0][0], sides[1][0]), -np.inf, 0.0
        for one in sides[0]:
            for other in sides[1]:
                alike = self._alike_about(one, other)
                away = np.array([one, other]) - seen
                far = float((away**2).sum()) / (2 * (0.2 * UNIT) ** 2)
                darkness = float(dark[one[1], one[0]] + dark[other[1], other[0]]) / (2 * highest)
                score = darkness + alike - _IRIS_ASTRAY * far
                if mouth_row is not None:
                    below = (mouth_row - (one[1] + other[1]) / 2) / max(1, other[0] - one[0])
                    score -= _MOUTH_ASTRAY * ((below - _MOUTH_ROW) / 0.2) ** 2
                if score > best_score:
                    found, best_score, best_alike = (one, other), score, alike
        places = [self._top_of(dark, at) for at in found]
        return np.array(places, dtype=np.float64), best_alike

    def _alike_about(self, one: tuple[int, int], other: tuple[int, int]) -> float:
        """Similarity of a patch on the left and the mirrored patch on the right, up to 1."""
        wide, high = round(0.2 * UNIT), round(0.15 * UNIT)
        both = energy = 1e-6
        for plane, sign in self.gradients[:2]:
            padded = [plane[y - high : y + high + 1, x - wide : x + wide + 1] for x, y in (one, other)]
            left, right = sign * padded[0], padded[1][:, ::-1]
            both += float((left * right).sum())
            energy += float((left * left + right * right).sum()) / 2
        return both / energy

    @staticmethod
    def _top_of(plane: Plane, at: tuple[int, int]) -> tuple[float, float]:
        """Position of a local maximum, to a fraction of a px."""
        x, y = at
        return (
            x + _peak(float(plane[y, x - 1]), float(plane[y, x]), float(plane[y, x + 1])),
            y + _peak(float(plane[y - 1, x]), float(plane[y, x]), float(plane[y + 1, x])),
        )

    def brows(self) -> PatchShift:
        """Offset of the left brow from the mirrored right one."""
        return self._patches(-BROW_ROW, _BROW_PATCH)

    def head_tilt(self) -> float:
        """Angle from the line of the eyes to the head's own level, degrees, positive clockwise.

        At the head's level, outline, hairline and nose mirror each other best. The eyes, the brows and the lower face,
        which a palsy pulls, are left out. Each point has one vote, however strong its structure.
        """
        cv2 = load_opencv()
        unit, middle, eye_row = UNIT / 2, (_MIDDLE - 0.5) / 2, (_EYE_ROW - 0.5) / 2
        planes = [np.asarray(cv2.resize(f, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA))
                  for f, _ in self.gradients[:2]]  # fmt: skip
        count, up, down = (round(share * unit) for share in _HEAD)
        reach = round(_APART * unit)
        x, y = np.meshgrid(np.arange(-reach, count + reach) + 0.5, np.arange(-up, down))
        out, low = x[:, reach : reach + count] / unit, y[:, reach : reach + count] / unit
        inner, outer, above, below = _EYES_OUT
        pulled = (out > inner) & (out < outer) & (low > -above) & (low < below)
        votes = np.minimum(out / _ARM, 1) * (((low < _NOSE_BASE) | (out > _OUTLINE)) & ~pulled)
        alike = np.array([self._alike_turned(planes, np.deg2rad(a), x, y, (middle, eye_row), votes) for a in _ANGLES])
        alike = alike / (alike.max() + 1e-9) - _TILT_PRICE * (_ANGLES / _ANGLES[-1]) ** 2
        weights = np.exp((alike - alike.max()) / _SOFT)
        return float((weights * _ANGLES).sum() / weights.sum())

    @staticmethod
    def _alike_turned(
        planes: list[Plane],
        angle: float,
        x: npt.NDArray[Any],
        y: npt.NDArray[Any],
        origin: tuple[float, float],
        votes: npt.NDArray[Any],
    ) -> float:
        """Similarity of the sides about an axis through ``origin`` that is turned by an angle, radians."""
        cv2 = load_opencv()
        cos, sin = np.cos(angle), np.sin(angle)
        count = votes.shape[1]
        reach = (x.shape[1] - count) // 2

        def window(plane: npt.NDArray[Any]) -> Plane:
            return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(plane), (0, 0), _HEAD_WINDOW * UNIT / 2))

        sides = []
        for sign in (-1, 1):
            at = (
                (origin[0] + cos * sign * x - sin * y).astype(np.float32),
                (origin[1] + sin * sign * x + cos * y).astype(np.float32),
            )
            downward, across = (np.asarray(cv2.remap(f, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))
                            for f in planes)  # fmt: skip
            sides.append((cos * downward - sin * across, sign * (cos * across + sin * downward)))
        energies = [f * f + g * g for f, g in sides]
        weak = _WEAK * float(energies[0].mean() + energies[1].mean()) / 2 + 1e-6
        energies = [window(energy) for energy in energies]
        best = np.zeros(votes.shape, np.float32)
        for apart in range(-reach, reach + 1, 2):
            a, b = reach + (apart + apart % 2) // 2, reach - (apart - apart % 2) // 2
            left, right = slice(a, a + count), slice(b, b + count)
            both = window(sum(f[:, left] * g[:, right] for f, g in zip(*sides, strict=True)))
            np.maximum(best, 2 * both / (energies[0][:, left] + energies[1][:, right] + weak), out=best)
        return float((votes * best).sum())

    def mouth(self, row: float | None = None) -> MouthLine:
        """Follow the mouth's line.

        Args:
            row: row of the mouth by the detected points, px of the upright face; None without points.
        """
        start = _EYE_ROW + _expected_mouth(row) * UNIT
        alike, evidence, top = self._evidence(start)
        drops, rows = _follow(evidence, start - top)
        count, largest = evidence.shape[2], len(evidence) // 2
        outer = np.arange(int(OUTER[0] * UNIT), min(count, int(OUTER[1] * UNIT)))
        # To a fraction of a px: compare with the whole line moved by one px more and one px less.
        sums = [
            float(evidence[np.clip(drops[outer] + k, -largest, largest) + largest, rows[outer], outer].sum())
            for k in (-1, 0, 1)
        ]
        drop = float(drops[outer].mean()) + _peak(*sums)
        agreement = float(alike[drops[outer] + largest, rows[outer], outer].mean())
        away = np.arange(count)
        left = np.stack([_MIDDLE - away, top + rows + _lowered(drops)], -1).astype(np.float64)
        right = np.stack([_MIDDLE + away, top + rows + _lowered(drops) - drops], -1).astype(np.float64)
        return MouthLine(100 * drop / UNIT, agreement, left, right)

    def _evidence(self, middle_row: float) -> tuple[npt.NDArray[Any], npt.NDArray[Any], int]:
        """(2D + 1, rows, columns): for each drop of the left side, each row and each distance from the middle.

        Returns:
            Similarity of the two sides (Dice's coefficient of their gradients, at most 1), the same with darkness
            added, and the first row.
        """
        cv2 = load_opencv()
        largest, count = round(_LARGEST * UNIT), round(_REACH * UNIT)
        spare = largest // 2 + 1
        top, bottom = (round(middle_row + share * UNIT) for share in _ROWS)
        top = max(top, round(_EYE_ROW + _NOSE_ENDS * UNIT))
        area = np.arange(count), np.arange(top - spare, bottom + spare)
        left = [sign * _half(plane, -1, *area) for plane, sign in self.gradients]
        right = [_half(plane, 1, *area) for plane, _ in self.gradients]
        dark = [_half(self.lines, sign, *area) for sign in (-1, 1)]
        strongest = sum(float(np.percentile(plane, 97)) for plane in dark) / 2 + 1e-6
        dark = [np.minimum(plane / strongest, 1) for plane in dark]

        def window(plane: Plane) -> Plane:
            return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigmaX=_WINDOW[0], sigmaY=_WINDOW[1]))

        energies = [np.sum([plane * plane for plane in side], axis=0) for side in (left, right)]
        weak = _WEAK * float(energies[0].mean() + energies[1].mean()) + 1e-6
        energies = [window(energy) for energy in energies]
        rows = bottom - top
        alike = np.empty((2 * largest + 1, rows, count), np.float32)
        evidence = np.empty_like(alike)
        for k, drop in enumerate(range(-largest, largest + 1)):
            first = spare + int(_lowered(np.array(drop)))
            a, b = slice(first, first + rows), slice(first - drop, first - drop + rows)
            product = np.sum([one[a] * other[b] for one, other in zip(left, right, strict=True)], axis=0)
            alike[k] = 2 * window(product) / (energies[0][a] + energies[1][b] + weak)
            evidence[k] = alike[k] + _DARK * np.sqrt(dark[0][a] * dark[1][b])
        return alike, evidence, top

    def _patches(self, row: float, patch: tuple[float, float, float, float]) -> PatchShift:
        """Match a patch, half an eye distance from the middle and ``row`` below the eyes, with its mirror image."""
        wide, high, across, down = (round(share * UNIT) for share in patch)
        x = np.arange(-wide - across, wide + across + 1) + UNIT / 2
        y = np.arange(-high - down, high + down + 1) + _EYE_ROW + row * UNIT
        left = [sign * _half(plane, -1, x, y) for plane, sign in self.gradients[:2]]
        right = [_half(plane, 1, x, y) for plane, _ in self.gradients[:2]]
        bell_y = np.exp(-0.5 * (np.arange(-high, high + 1) / (0.6 * high)) ** 2)
        bell_x = np.exp(-0.5 * (np.arange(-wide, wide + 1) / (0.6 * wide)) ** 2)
        bell = np.outer(bell_y, bell_x)

        def alike(lower: int, further: int) -> float:
            a, p = down + int(_lowered(np.array(lower))), across + int(_lowered(np.array(further)))
            b, q = a - lower, p - further
            one = [f[a : a + 2 * high + 1, p : p + 2 * wide + 1] for f in left]
            other = [f[b : b + 2 * high + 1, q : q + 2 * wide + 1] for f in right]
            both = sum(float((bell * f * g).sum()) for f, g in zip(one, other, strict=True))
            energy = sum(float((bell * (f * f + g * g)).sum()) for f, g in zip(one, other, strict=True))
            return 2 * both / (energy + 1e-6)

        coarse = {(i, j): alike(i, j) for i in _around(0, down, 2) for j in _around(0, across, 2)}
        i, j = max(coarse, key=lambda at: coarse[at])
        fine = {(m, n): alike(m, n) for m in (i - 1, i, i + 1) for n in (j - 1, j, j + 1)
                if abs(m) <= down and abs(n) <= across}  # fmt: skip
        i, j = max(fine, key=lambda at: fine[at])
        best = fine[i, j]

        def nearby(m: int, n: int) -> float:
            inside = abs(m) <= down and abs(n) <= across
            return alike(m, n) if inside else -1.0

        lower = i + _peak(nearby(i - 1, j), best, nearby(i + 1, j))
        further = j + _peak(nearby(i, j - 1), best, nearby(i, j + 1))
        return PatchShift(further, lower, best)


def upright(eyes: npt.ArrayLike, side: int = SIDE) -> Alignment:
    """The alignment that moves two eyes, image's left first, to their places in an upright face."""
    middle, reach, row = (side - 1) / 2, EYES_APART * side / 2, EYES_DOWN * side
    return Alignment(similarity(eyes, [(middle - reach, row), (middle + reach, row)]), (side, side))


def exact_eyes(frame: Frame, eyes: npt.ArrayLike, mouth: npt.ArrayLike | None = None) -> tuple[Matrix, float]:
    """Locate the eyes to a fraction of a px: at the height where they match, and as far apart as the irises.

    Args:
        frame: the image.
        eyes: (2, 2) px, the eyes that a detector found, image's left first.
        mouth: (2, 2) px, the corners of the mouth that it found.

    Returns:
        (2, 2) px, and the similarity of the two eyes, up to 1.
    """
    found = np.asarray(eyes, dtype=np.float64).copy()
    alike = 0.0
    for _ in range(_ROUNDS):
        alignment = upright(found)
        row = None if mouth is None else float(alignment.map(mouth)[:, 1].mean())
        places, alike = Halves(alignment.warp(frame).pixels).irises(alignment.map(eyes), row)
        moved = np.abs(alignment.map(found) - places).max()
        found = alignment.unmap(places)
        if moved < _SETTLED:
            break
    # The surroundings of the eyes (lids, pupils, shadows) show best which eye is lower.
    alignment = upright(found)
    shift = Halves(alignment.warp(frame).pixels).eyes()
    level = np.array([[0.0, shift.down / 2], [0.0, -shift.down / 2]])
    return found + level @ np.linalg.inv(alignment.matrix[:, :2]).T, alike


def measure_mouth(face: ByteArray, row: float | None = None) -> MouthLine:
    """Measure how much lower the mouth lies on one side: undo its pull, and measure the rest along its line.

    Args:
        face: an upright face with level eyes.
        row: see `Halves.mouth`.

    Returns:
        The line in the face as it is, and the whole drop.
    """
    search = PullSearch(Halves(face).planes, UNIT, _MIDDLE, _EYE_ROW, _expected_mouth(row))
    pull = search.best()
    line = Halves(pull.undone(face, UNIT, _EYE_ROW)).mouth(row)
    outer = slice(int(OUTER[0] * UNIT), int(OUTER[1] * UNIT))
    left, right = (float(pull.about(side[outer], UNIT, _MIDDLE, _EYE_ROW).mean()) for side in (line.left, line.right))
    sides = [pull.moved(side, UNIT, _MIDDLE, _EYE_ROW) for side in (line.left, line.right)]
    return MouthLine(line.drop + 100 * (left - right), line.agreement, *sides)


def level_head(frame: Frame, eyes: Matrix, mouth_row: float | None = None, seen: float = 1.0) -> tuple[Matrix, float]:
    """Turn the line of the eyes toward the head's own level if one eye itself lies lower.

    A palsy pulls eye and mouth down on the same side. So the line is turned only if the mouth already lies lower on the
    side of the lower eye, and the more it does, the larger the turn may be: a symmetric result stays symmetric.

    Args:
        frame: the image.
        eyes: (2, 2) px, from `exact_eyes`.
        mouth_row: see `Halves.mouth`.
        seen: fraction of the turn that is applied; less than 1 if the head's level is hardly visible.

    Returns:
        (2, 2) px, with the same distance and middle, and the angle by which they were turned, degrees, positive
        clockwise: 0 unless the head's level differs by more than `EYE_TILT`, and at most the angle beyond it.
    """
    if seen <= 0:
        return eyes, 0.0
    face = upright(eyes).warp(frame).pixels
    tilt = Halves(face).head_tilt()
    if abs(tilt) < EYE_TILT / 2:
        return eyes, 0.0
    tilt += Halves(upright(_turned(eyes, tilt)).warp(frame).pixels).head_tilt()
    size, side = abs(tilt), float(np.sign(tilt))
    size -= EYE_TILT
    if size > 0:
        size = min(size, _TILT_OF_DROP * side * measure_mouth(face, mouth_row).drop)
    tilt = seen * side * max(0.0, size)
    return _turned(eyes, tilt), tilt


def _expected_mouth(row: float | None) -> float:
    """Expected distance of the mouth below the eyes, in distances between the eyes, if points place it at ``row``."""
    expected = _MOUTH_ROW if row is None else (_MOUTH_ROW + (row - _EYE_ROW) / UNIT) / 2
    return float(np.clip(expected, *_MOUTH_ROWS))


def _turned(eyes: Matrix, degrees: float) -> Matrix:
    """Two points, turned clockwise about their middle."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    middle = eyes.mean(axis=0)
    return np.asarray(middle + (eyes - middle) @ np.array([[cos, sin], [-sin, cos]]))


def _even_light(plane: Plane, floor: float) -> Plane:
    """Normalize to a local mean of 0 and a standard deviation of about 1, or less where there is little but noise."""
    cv2 = load_opencv()
    small = tuple(length // _COARSE for length in plane.shape[::-1])

    def blurred(values: Plane) -> Plane:
        # A blur this wide gives the same on a small image, and much faster.
        shrunk = cv2.resize(values, small, interpolation=cv2.INTER_AREA)
        shrunk = cv2.GaussianBlur(shrunk, (0, 0), _NEIGHBORHOOD * UNIT / _COARSE)
        return np.asarray(cv2.resize(shrunk, plane.shape[::-1], interpolation=cv2.INTER_LINEAR))

    centered = plane - blurred(plane)
    return np.asarray(centered / np.sqrt(blurred(centered**2) + floor**2))


def _half(plane: Plane, sign: int, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Plane:
    """The plane at distances ``x`` from the middle, to the left (-1) or the right (1), and rows ``y``."""
    cv2 = load_opencv()
    columns, rows = np.meshgrid((_MIDDLE + sign * x).astype(np.float32), y.astype(np.float32))
    return np.asarray(cv2.remap(plane, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _lowered(drop: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Px by which a drop lowers the left side; the right one rises by the rest. An odd px goes to the lower side."""
    return np.asarray(np.sign(drop) * ((np.abs(drop) + (drop > 0)) // 2), dtype=np.int64)


def _around(middle: int, reach: int, step: int) -> list[int]:
    return [middle + k for k in range(-(reach // step) * step, reach + 1, step)]


def _peak(before: float, at: float, after: float) -> float:
    """Position of the maximum of the parabola through three values, -0.5 to 0.5."""
    bend = before - 2 * at + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < -1e-9 else 0.0


def _follow(evidence: npt.NDArray[Any], expected: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the path from the middle outward with the most evidence: drop and row at each distance (Viterbi)."""
    drops, rows, count = evidence.shape
    even = drops // 2
    value = np.full((drops, rows), -1e9, np.float32)
    # In the middle, both sides are the same point, so neither is lower there.
    away = (np.arange(rows) - expected) / (_MOUTH_SCATTER * UNIT)
    value[even] = evidence[even, :, 0] - _ASTRAY * away**2
    here = np.arange(drops * rows, dtype=np.int32).reshape(drops, rows)
    came_from = []
    for x in range(1, count):
        origin = here
        for axis, farthest, price in ((1, 2, _BEND), (0, 3, _SINK)):
            old_value, old_origin = value, origin
            value, origin = old_value.copy(), old_origin.copy()
            for step in range(1, farthest + 1):
                for source, target in (
                    (slice(None, -step), slice(step, None)),
                    (slice(step, None), slice(None, -step)),
                ):
                    start = (slice(None), source) if axis else (source, slice(None))
                    end = (slice(None), target) if axis else (target, slice(None))
                    offer = old_value[start] - price * step
                    better = offer > value[end]
                    value[end] = np.where(better, offer, value[end])
                    origin[end] = np.where(better, old_origin[start], origin[end])
        value = value + evidence[:, :, x]
        came_from.append(origin)
    places = [int(value.argmax())]
    for origin in reversed(came_from):
        places.append(int(origin.ravel()[places[-1]]))
    place = np.array(places[::-1], dtype=np.int64)
    return place // rows - even, place % rows
