"""One check for all points, wherever they come from: whether they are those of a face seen from the front."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from htnet.core.errors import PoseError
from htnet.core.types import ByteArray, Float64Array, Frame, Landmarks, Landmarks68, QualityWarning
from htnet.preprocess.geometry import transform_points
from htnet.preprocess.landmarks.detector import YuNet, bundled
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.pose import check_order, face_shape, pose_warnings

#: What a change of these rules changes: entries of a cache that an older check let pass are not used.
CHECK = 2

# Side of the square that is looked at, px, and its width on the face, in the longer of the distances from eye to eye
# and from eyes to mouth. YuNet is surest there; larger and smaller squares told fewer wrong points from right ones.
_SIDE, _REACH = 224, 4.0
_STEP = 45  # degrees between two looks
# On six free portraits turned by every 15 degrees, YuNet's points were wrong (by more than 0.25 eye distances on the
# average) in 99 pictures. The square with the eyes levelled by those wrong points never scored 0.925; of right points
# it did, but for tilts of 45 degrees and more. Another turn then scored better by 0.01 in 98 of the 99.
_SURE, _SAME = 0.925, 0.15
_BETTER, _FACE, _APART = 0.01, 0.88, 0.25
# Given points further from the face that the detector sees than this are doubted.
_OFF = 0.3
# A head more tilted than this is told of: YuNet's points are inexact then, by 0.1 to 0.25 eye distances.
_TILT = 25
# The face is level when it is seen so to these degrees; points whose tilt is wrong by more than the other are refused.
_SETTLED, _WRONG_TILT = 5, 20
# How far apart the looks are that search for the tilt, degrees, and how many there are at most.
_STRIDE, _WALK = 15, 4

Points = TypeVar("Points", bound=Landmarks | Landmarks68)


def verified(landmarks: Points, frame: Frame) -> Points:
    """Points that passed every check, with what speaks against them.

    The order of the points along the line through the eyes; the pose, from the nose's place between eyes and mouth; and
    whether the bundled YuNet sees the face better when the frame is turned. The last costs one look at 224 x 224 px
    where all is well, and seven more where it is not. Points that passed once are not looked at again.

    What cannot be told: whether the face is a person's. Dogs, cats and drawings may score as high as people do.

    Args:
        landmarks: five or 68 points in px of the frame, from anywhere.
        frame: the frame.

    Returns:
        The same points, ``verified``, with ``warnings``: "pose" (turned to the side, up or down), "turned_face" (tilted
        so far that the points are inexact), "points_off_face" (given points that lie elsewhere than the face seen).

    Raises:
        LandmarkError: the points do not lie like those of a face.
        PoseError: the face is a profile, or lies otherwise in the frame than the points say.
    """
    if landmarks.verified:
        return landmarks
    five = landmarks.five() if isinstance(landmarks, Landmarks68) else landmarks
    found: tuple[QualityWarning, ...] = _checked(five, frame)
    return replace(landmarks, verified=True, warnings=tuple(dict.fromkeys((*landmarks.warnings, *found))))


def seen_turned(frame: Frame) -> float | None:
    """By how many degrees a face lies turned in a frame in which none was found upright; None if there is none."""
    best, found = _FACE, None
    for quarter in (1, 2, 3):
        height, width = frame.size
        scale = min(1.0, 640 / max(height, width))
        pixels = _shrunk(np.ascontiguousarray(np.rot90(frame.pixels, quarter)), scale)
        faces = bundled().faces(pixels)
        if len(faces) and faces[:, 14].max() >= best:
            face = faces[faces[:, 14].argmax()]
            best, found = float(face[14]), (face_shape(face[4:14].reshape(5, 2)).roll + 90 * quarter) % 360
    return found


def turned_error(frame: Frame, degrees: float) -> PoseError:
    """The error for a face that lies turned in a frame, by so many degrees clockwise."""
    quarter = round(degrees / 90) * 90
    turn = (quarter if abs(degrees - quarter) <= _STEP / 2 else round(degrees / 10) * 10) % 360
    way = f"{turn} degrees clockwise" if turn <= 180 else f"{360 - turn} degrees counterclockwise"
    back = f"{turn} degrees counterclockwise" if turn <= 180 else f"{360 - turn} degrees clockwise"
    how = "upside down" if abs(turn - 180) < 45 else "on its side" if min(turn, 360 - turn) >= 45 else "tilted"
    return PoseError(
        f"The face in {frame.source} lies {how}: it seems turned by about {way}. Turn the frame by {back}; a camera's "
        "picture whose EXIF orientation was lost, or a video turned by its player, looks like this."
    )


def _checked(five: Landmarks, frame: Frame) -> tuple[QualityWarning, ...]:
    check_order(five.points, five.source)
    # Turned first: a face on its side is often given the points of a profile.
    return (*_turn(five, frame), *pose_warnings(five, frame.source))


def _turn(five: Landmarks, frame: Frame) -> tuple[QualityWarning, ...]:
    """Look at the face with the eyes level as the points have them, and at other turns if that is not convincing."""
    detected = five.score is not None and five.source == "yunet"
    eyes = float(np.hypot(*(five.points[1] - five.points[0])))
    roll = face_shape(five.points).roll
    if not math.isfinite(roll) or eyes < 2 or not _overlaps(five.points, frame):
        return ()
    level, seen = _look(bundled(), frame, five.points, roll)
    apart = _apart(seen, five.points, eyes)
    if level < _SURE or apart > _SAME or seen is None or _turn_between(face_shape(seen).roll, roll) > _SETTLED:
        looks = [_look(bundled(), frame, five.points, roll + turn) for turn in range(_STEP, 360, _STEP)]
        score, points = max(looks, key=lambda look: look[0])
        better = score >= max(level + _BETTER, _FACE)
        if better and points is not None and _apart(points, five.points, eyes) > _APART:
            raise turned_error(frame, face_shape(points).roll)
    tilt, points = _settled(frame, five.points, roll, seen)
    if points is not None and _turn_between(tilt, roll) > _WRONG_TILT and _apart(points, five.points, eyes) > _APART:
        raise turned_error(frame, tilt)
    roll = tilt
    if not detected and level >= _FACE and apart > _OFF:
        return (
            QualityWarning(
                "points_off_face",
                f"The points from {five.source} lie {apart:.1f} eye distances from the face that is seen in "
                f"{frame.source}; check that they belong to this frame.",
            ),
        )
    if detected and abs(roll) >= _TILT:
        return (
            QualityWarning(
                "turned_face",
                f"The head in {frame.source} is tilted by {abs(roll):.0f} degrees, where the detector's points are "
                "inexact; turn the frame so that the eyes are level.",
            ),
        )
    return ()


def _settled(
    frame: Frame, points: npt.ArrayLike, roll: float, seen: Float64Array | None
) -> tuple[float, Float64Array | None]:
    """The tilt at which the face seen there is level, and its points.

    YuNet takes tilts for smaller than they are, so that a face which seems nearly level may not be: the tilt lies where
    what is left of it changes its sign.
    """
    if seen is None or _turn_between(face_shape(seen).roll, roll) <= _SETTLED:
        return roll, seen
    left = _left(seen, roll)
    for _ in range(_WALK):
        further = roll + math.copysign(_STRIDE, left)
        score, found = _look(bundled(), frame, points, further)
        if found is None or score < _FACE:
            return roll, seen
        over = _left(found, further)
        if (over > 0) != (left > 0):
            level = roll + (further - roll) * left / (left - over)
            score, best = _look(bundled(), frame, points, level)
            return (roll, seen) if best is None or score < _FACE else (level, best)
        roll, seen, left = further, found, over
    return roll, seen


def _left(seen: Float64Array, roll: float) -> float:
    """The tilt that a face seems to have left in a look turned back by ``roll``, degrees, -180..180."""
    return (face_shape(seen).roll - roll + 180) % 360 - 180


def _turn_between(one: float, other: float) -> float:
    """Degrees between two directions, 0..180."""
    return abs((one - other + 180) % 360 - 180)


def _overlaps(points: npt.ArrayLike, frame: Frame) -> bool:
    """Whether the middle of the points lies in the frame."""
    x, y = np.asarray(points, dtype=np.float64).mean(axis=0)
    height, width = frame.size
    return bool(0 <= x < width and 0 <= y < height)


def _apart(seen: Float64Array | None, points: npt.ArrayLike, eyes: float) -> float:
    """Mean distance in eye distances; infinity where nothing was seen."""
    return math.inf if seen is None else float(np.hypot(*(seen - np.asarray(points)).T).mean()) / eyes


def _look(detector: YuNet, frame: Frame, points: npt.ArrayLike, degrees: float) -> tuple[float, Float64Array | None]:
    """Score and points, px of the frame, of the face seen where the points are, the frame turned back by an angle."""
    cv2 = load_opencv()
    z = np.asarray(points, dtype=np.float64) @ [1, 1j]
    reach = _REACH * max(abs(z[1] - z[0]), abs((z[3] + z[4] - z[0] - z[1]) / 2))
    scale, center = _SIDE / reach, z.mean()
    pixels = _shrunk(frame.pixels, scale if scale < 0.5 else 1.0)  # bilinear sampling alone would skip pixels
    grow = np.array([pixels.shape[1] / frame.size[1], pixels.shape[0] / frame.size[0]])
    a = scale * np.exp(-1j * np.radians(degrees))
    linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
    shift = np.full(2, (_SIDE - 1) / 2) - linear @ [center.real, center.imag]
    to_small = linear / grow
    moved = shift + linear @ (0.5 / grow - 0.5)  # about pixel centers
    matrix = np.hstack([to_small, moved[:, None]])
    square = cv2.warpAffine(pixels, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    faces = detector.faces(square)
    if not len(faces):
        return 0.0, None
    face = faces[faces[:, 14].argmax()]
    back = np.linalg.inv(linear)
    return float(face[14]), transform_points(np.hstack([back, (-back @ shift)[:, None]]), face[4:14].reshape(5, 2))


def _shrunk(pixels: ByteArray, scale: float) -> ByteArray:
    if scale >= 1:
        return pixels
    cv2 = load_opencv()
    height, width = pixels.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
