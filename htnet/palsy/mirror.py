"""Dense comparison of the two halves of an upright face: which side lies lower, to a fraction of a pixel.

Detected points cannot carry such a number: the corners of the mouth that a detector finds scatter by some 5 % of the
distance between the eyes and lean toward an even face. Here the halves themselves are compared. The eyes are brought
level by matching one with the mirrored other, unless the rest of the head says that one eye itself lies lower; the pull
of the mouth's corner is found and undone (`htnet.palsy.droop`); the line of the mouth is then followed from the
middle outwards on both sides at once, by dynamic programming over where it lies and how much lower it still lies on one
side. Every step treats the sides alike: the mirrored image gives the negative
answer.
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

#: Side of the upright face, px; distance between the eyes and their height, as shares of it.
SIDE, EYES_APART, EYES_DOWN = 224, 0.36, 0.36
#: Distance between the eyes, px; all other lengths below are shares of it.
UNIT = EYES_APART * SIDE
_MIDDLE, _EYE_ROW = (SIDE - 1) / 2, EYES_DOWN * SIDE
# Local light and contrast are taken out over this neighborhood; the floors (gray levels; % of color) keep noise low.
_NEIGHBORHOOD, _GRAY_FLOOR, _COLOR_FLOOR = 0.3, 4.0, 1.2
_COARSE = 4
# Weights of the horizontal against the vertical gradient, of the lips' color against gray, of darkness.
_ACROSS, _COLOR, _DARK = 0.3, 0.5, 0.6
# Gradients are taken at this scale, matched in windows of these (px of the upright face).
_SCALE, _WINDOW = 1.2, (2.5, 3.0)
# Weak structure counts less than strong: this many times the mean energy is added below the line.
_WEAK = 2.0
# The mouth's line: followed outwards this far; rows searched about the expected one; largest drop, all shares.
_REACH, _ROWS, _LARGEST = 0.52, (-0.36, 0.40), 0.40
# Where a mouth lies below the eyes: mean of the expected row and the detected one, kept within these; its scatter.
_MOUTH_ROW, _MOUTH_ROWS, _MOUTH_SCATTER = 0.98, (0.85, 1.12), 0.16
# Above this there is no mouth, but the base of the nose and the folds beside it.
_NOSE_ENDS = 0.74
# Price of a px up or down, of a px of drop, of a start away from the expected row.
_BEND, _SINK, _ASTRAY = 0.15, 0.10, 4.0
#: The part of the mouth's line that is read, from the middle outwards.
OUTER = (0.24, 0.48)
# An iris: its radius; how far it may lie from where a point said, across and up; price of lying that far.
_IRIS, _IRIS_REACH, _IRIS_ASTRAY, _CANDIDATES = 0.075, (0.28, 0.22), 0.6, 6
# Price of eyes whose distance does not go with the height of the mouth.
_MOUTH_ASTRAY = 0.2
#: Rounds in which the eyes are brought level and their distance is measured again.
_ROUNDS, _SETTLED = 4, 0.3
# Patches about the eyes and brows: half width, half height, and how far the two may lie apart, across and up.
_EYE_PATCH, _BROW_PATCH = (0.27, 0.20, 0.06, 0.12), (0.28, 0.15, 0.10, 0.18)
#: How far above the eyes the brows are looked for.
BROW_ROW = 0.34
# The head's own level, from what lies out of the palsy's reach: outline, hair line, nose; at half the size. How far it
# is looked at, outwards, up and down; below the base of the nose the outline only.
_HEAD, _NOSE_BASE, _OUTLINE = (1.25, 0.95, 1.35), 0.62, 0.75
# Eyes, brows and cheeks are left out: from, to outwards; up, down.
_EYES_OUT = (0.12, 0.95, 0.60, 0.40)
# Angles tried, degrees; how far the sides may lie apart, outwards; window; what lies nearer to the middle counts less.
_ANGLES, _APART, _HEAD_WINDOW, _ARM = np.arange(-12.0, 12.5, 1.0), 0.14, 0.06, 0.5
# Angles whose agreement is this share of the best one lower count 1/e; price of an angle, share at the largest.
_SOFT, _TILT_PRICE = 0.04, 0.05
#: Degrees. Up to this, hair and outline of even faces disagree with the eyes too: the eyes are gone by. Only what lies
#: beyond is corrected, degree by degree: a larger share would make more of the errors of the head's level.
EYE_TILT = 2.5
# The head is turned by at most so many degrees for each % that the mouth lies lower.
_TILT_OF_DROP = 0.4


@dataclass(frozen=True, eq=False)
class MouthLine:
    """The line of a mouth on both sides.

    Attributes:
        drop: how much lower its outer part lies on the image's left side than on the right one, % of the distance
            between the eyes.
        agreement: how alike the sides are along the outer part, at best 1.
        left, right: (N, 2) px of the upright face, from the middle outwards.
    """

    drop: float
    agreement: float
    left: Matrix
    right: Matrix


@dataclass(frozen=True)
class PatchShift:
    """How a patch of the image's left side lies against the mirrored one of its right side, px.

    Attributes:
        out: how much further from the middle.
        down: how much lower.
        agreement: how alike the patches are at best, up to 1.
    """

    out: float
    down: float
    agreement: float


class Halves:
    """An upright face, (224, 224, 3) uint8 RGB, its eyes level; ready to be compared with its mirror image."""

    def __init__(self, face: ByteArray) -> None:
        # What is matched: gradients of gray and of color, light taken out; and dark, thin lines.
        cv2 = load_opencv()
        rgb = face.astype(np.float32)
        gray = np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), dtype=np.float32)
        red = 100 * (rgb[..., 0] - rgb[..., 1]) / (rgb.sum(-1) + 30)
        self.gradients: list[tuple[Plane, int]] = []  # with the sign that mirroring gives them
        #: Gray and color without light, weighted.
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
        """How the left eye lies against the right one."""
        return self._patches(0.0, _EYE_PATCH)

    def irises(self, seen: Matrix, mouth_row: float | None = None) -> tuple[Matrix, float]:
        """Where the irises lie: (2, 2) px, image's left first; and how alike the eyes about them are.

        An iris is dark and round: dark against what lies beside it and against what lies above and below, which a brow
        or a frame of glasses is not. Of the darkest places on either side the pair is taken whose surroundings mirror
        each other best.

        Args:
            seen: (2, 2) px, where a detector saw the eyes: far from there is less likely.
            mouth_row: where it saw the mouth: eyes whose distance does not go with its height are less likely.
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
        """How alike a patch on the left and the mirrored patch on the right are, up to 1."""
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
        """The top of a hill, below a px."""
        x, y = at
        return (
            x + _peak(float(plane[y, x - 1]), float(plane[y, x]), float(plane[y, x + 1])),
            y + _peak(float(plane[y - 1, x]), float(plane[y, x]), float(plane[y + 1, x])),
        )

    def brows(self) -> PatchShift:
        """How the left brow lies against the right one."""
        return self._patches(-BROW_ROW, _BROW_PATCH)

    def head_tilt(self) -> float:
        """Angle between the line of the eyes and the head's own level, degrees, positive if that turns clockwise.

        The head's level is where its outline, hair line and nose mirror each other best. The eyes, the brows and the
        lower face, which a palsy pulls, are left out. Each place has one vote, however strong its structure.
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
        """How alike the sides are about an axis through ``origin`` that is turned by an angle, radians."""
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
            row: where points say that the mouth lies, px of the upright face; None if nothing does.
        """
        start = _EYE_ROW + _expected_mouth(row) * UNIT
        alike, evidence, top = self._evidence(start)
        drops, rows = _follow(evidence, start - top)
        count, largest = evidence.shape[2], len(evidence) // 2
        outer = np.arange(int(OUTER[0] * UNIT), min(count, int(OUTER[1] * UNIT)))
        # Below a px: the whole line moved by one more and one less.
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
            How alike the two sides are (Dice's coefficient of their gradients, at best 1), the same with darkness
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
    """The alignment that brings two eyes, image's left first, to their places in an upright face."""
    middle, reach, row = (side - 1) / 2, EYES_APART * side / 2, EYES_DOWN * side
    return Alignment(similarity(eyes, [(middle - reach, row), (middle + reach, row)]), (side, side))


def exact_eyes(frame: Frame, eyes: npt.ArrayLike, mouth: npt.ArrayLike | None = None) -> tuple[Matrix, float]:
    """The eyes' places to a fraction of a px: level with each other, and as far apart as the irises are.

    Args:
        frame: the image.
        eyes: (2, 2) px, where a detector saw them, image's left first.
        mouth: (2, 2) px, where it saw the corners of the mouth.

    Returns:
        (2, 2) px, and how alike the two eyes are, up to 1.
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
    # Which one is lower is told best by all that is about them: lids, pupils, shades.
    alignment = upright(found)
    shift = Halves(alignment.warp(frame).pixels).eyes()
    level = np.array([[0.0, shift.down / 2], [0.0, -shift.down / 2]])
    return found + level @ np.linalg.inv(alignment.matrix[:, :2]).T, alike


def measure_mouth(face: ByteArray, row: float | None = None) -> MouthLine:
    """How much lower the mouth lies on one side: its pull is undone, and the rest is measured along its line.

    Args:
        face: an upright face, its eyes level.
        row: as of `Halves.mouth`.

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
    """Turn the line of the eyes to the head's own level where one eye itself lies lower.

    A palsy pulls eye and mouth down on the same side. So the line is turned only if the mouth lies lower on the side of
    the lower eye already, and only by so much as goes with that: an even reading stays even.

    Args:
        frame: the image.
        eyes: (2, 2) px, as `exact_eyes` finds them.
        mouth_row: as of `Halves.mouth`.
        seen: the share of the turn that is made, less than 1 if the head's level is hardly seen.

    Returns:
        (2, 2) px, as far apart and about the same middle; and the angle they were turned by, degrees, positive
        clockwise: 0 unless the head's level lies away by more than `EYE_TILT`, and by so much less.
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
    """How far the mouth lies below the eyes, in distances between them, where points say that it lies at ``row``."""
    expected = _MOUTH_ROW if row is None else (_MOUTH_ROW + (row - _EYE_ROW) / UNIT) / 2
    return float(np.clip(expected, *_MOUTH_ROWS))


def _turned(eyes: Matrix, degrees: float) -> Matrix:
    """Two points turned about their middle, clockwise."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    middle = eyes.mean(axis=0)
    return np.asarray(middle + (eyes - middle) @ np.array([[cos, sin], [-sin, cos]]))


def _even_light(plane: Plane, floor: float) -> Plane:
    """Local mean 0 and standard deviation about 1; less where there is little but noise."""
    cv2 = load_opencv()
    small = tuple(length // _COARSE for length in plane.shape[::-1])

    def blurred(values: Plane) -> Plane:
        # So wide a blur is the same, and much faster, on a small image.
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
    """Px of a drop by which the left side goes down; the right one goes up by the rest. Odd ones go outward."""
    return np.asarray(np.sign(drop) * ((np.abs(drop) + (drop > 0)) // 2), dtype=np.int64)


def _around(middle: int, reach: int, step: int) -> list[int]:
    return [middle + k for k in range(-(reach // step) * step, reach + 1, step)]


def _peak(before: float, at: float, after: float) -> float:
    """Where the parabola through three values has its top, -0.5 to 0.5."""
    bend = before - 2 * at + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < -1e-9 else 0.0


def _follow(evidence: npt.NDArray[Any], expected: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The way from the middle outwards with the most evidence: drop and row at each distance (Viterbi's algorithm)."""
    drops, rows, count = evidence.shape
    even = drops // 2
    value = np.full((drops, rows), -1e9, np.float32)
    # In the middle both sides are the same place, so nothing is lower there.
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
