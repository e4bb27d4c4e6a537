"""Verification of points of any origin: whether they belong to a face seen from the front."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from htnet.core.errors import LandmarkError, PoseError
from htnet.core.types import POINT_NAMES, Float64Array, Frame, Landmarks, Landmarks68, QualityWarning
from htnet.preprocess.align import shrunk
from htnet.preprocess.geometry import FRACTIONS_BELOW, transform_points
from htnet.preprocess.landmarks.detector import YuNet, bundled
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.pose import check_order, face_shape, pose_warnings

#: Version of these rules, part of the keys of caches: cached points that an older version accepted are not used.
CHECK = 4

# Side of the square in which YuNet detects the face, px, and its width on the face, in units of the longer of two
# distances: from eye to eye, and from eyes to mouth. YuNet scores highest there; larger and smaller squares separated
# wrong from right points less often.
_SIDE, _REACH = 224, 4.0
_STEP = 45  # degrees between two rotations that are tried
# On six free portraits rotated in steps of 15 degrees, YuNet's points were wrong (by more than 0.25 eye distances on
# average) in 99 pictures. The square with the eyes leveled by those wrong points never scored 0.925; with right points
# it did, except for tilts of 45 degrees and more. Another rotation then scored better by 0.01 in 98 of the 99.
_SURE, _SAME = 0.925, 0.15
_BETTER, _FACE, _APART = 0.01, 0.88, 0.25
# Given points that are further from the detected face than the first value get a warning; beyond the second they are
# refused if the detector is sure. In distances between the eyes, for the worst of eyes and mouth corners; other
# detectors place the tip of the nose elsewhere, so it may differ more. YuNet's and dlib's points of the 442 faces of
# the composite set differ by at most 0.15 (nose 0.27), and their sizes by 4 %.
_DISAGREE, _WRONG, _NOSE, _SIZE = 0.2, 0.5, 0.4, 0.15
_CONFIDENT = 0.9
# Room between the points and the edge of the frame, in distances between the eyes: with less than the first, an eye or
# half of the mouth is cut off, or YuNet has moved a point inside that lies outside (it puts an eye 0.15 beyond the edge
# at 0.01 to 0.15 inside); with less than the second, a part of the face is cut off. The 442 faces have 0.37 or more.
_CUT_OFF, _NEAR_EDGE = 0.16, 0.33
# Longest sides of the frame in which a face is searched for, px, if there is none at given points: YuNet scores a face
# that fills 640 px low.
_WHOLE = (640, 320, 160)
#: How far outside the frame a point may lie, as a fraction of its sides; points further out belong to another picture.
OUTSIDE = 0.25
#: Distance between the eyes, px, below which an expression moves the face by fractions of a px.
SMALL_FACE = 20
# A head tilted by more degrees than this causes a warning: YuNet's points are then off by 0.1 to 0.25 eye distances.
_TILT = 25
# Degrees up to which a detected face counts as level, and by which the tilt of points may be wrong before they are
# refused.
_SETTLED, _WRONG_TILT = 5, 20
# Step of the search for the tilt, degrees, and maximum number of steps.
_STRIDE, _WALK = 15, 4

Points = TypeVar("Points", bound=Landmarks | Landmarks68)


def verified(landmarks: Points, frame: Frame) -> Points:
    """Verify points: return them with warnings, or raise an error.

    The function checks the order of the points along the line through the eyes; the pose, from the position of the nose
    between eyes and mouth; and whether the bundled YuNet scores the face higher if the frame is rotated. The last check
    needs one detection at 224 x 224 px for a good face, and seven more otherwise. Verified points are not checked
    again.

    This cannot detect whether the face belongs to a person. Dogs, cats and drawings may score as high as people do.

    Args:
        landmarks: five or 68 points in px of the frame, of any origin.
        frame: the frame.

    Returns:
        The same points, ``verified``, with ``warnings``: "pose" (turned to the side, up or down), "turned_face" (tilted
        so far that the points are inexact), "points_disagree" (given points that differ from those of the face
        that YuNet detects there, or where it detects none, but one elsewhere), "face_cut_off" (at the edge of the
        frame), "small_face" (few px from eye to eye).

    Raises:
        LandmarkError: the points are not arranged like a face's, are far from those of the detected face, or are px of
            the frame at another size or fractions of its sides.
        PoseError: the face is a profile, is rotated differently from the points (like points in px of a picture before
            its EXIF orientation is applied), or is cut off by the frame's edge.
    """
    if landmarks.verified:
        return landmarks
    five = landmarks.five() if isinstance(landmarks, Landmarks68) else landmarks
    found: tuple[QualityWarning, ...] = _checked(five, frame)
    return replace(landmarks, verified=True, warnings=tuple(dict.fromkeys((*landmarks.warnings, *found))))


def check_inside(landmarks: Landmarks, size: tuple[int, int], source: str) -> None:
    """Check that points lie in or near an image.

    Args:
        landmarks: the points, px.
        size: height and width of the image.
        source: name of the image, for messages.

    Raises:
        LandmarkError: a point lies far outside, or all are fractions of the sides, as MediaPipe returns them.
    """
    height, width = size
    if np.abs(landmarks.points).max() < FRACTIONS_BELOW:
        raise LandmarkError(
            f"The points from {landmarks.source} are all between {landmarks.points.min():g} and "
            f"{landmarks.points.max():g}, as fractions of width and height are. Give pixels of {source}: x times "
            f"{width}, y times {height}."
        )
    for name, (x, y) in zip(POINT_NAMES, landmarks.points.tolist(), strict=True):
        if not (-OUTSIDE * width <= x <= (1 + OUTSIDE) * width and -OUTSIDE * height <= y <= (1 + OUTSIDE) * height):
            raise LandmarkError(
                f"The point {name} from {landmarks.source} is at ({x:g}, {y:g}), far outside {source} "
                f"({width}x{height} px); give pixels of this image, x to the right and y downward."
            )


def seen_turned(frame: Frame) -> float | None:
    """Rotation in degrees of a face in a frame in which none was detected upright; None if there is none."""
    best, found = _FACE, None
    for quarter in (1, 2, 3):
        height, width = frame.size
        scale = min(1.0, 640 / max(height, width))
        pixels = shrunk(np.ascontiguousarray(np.rot90(frame.pixels, quarter)), scale)
        faces = bundled().faces(pixels)
        if len(faces) and faces[:, 14].max() >= best:
            face = faces[faces[:, 14].argmax()]
            best, found = float(face[14]), (face_shape(face[4:14].reshape(5, 2)).roll + 90 * quarter) % 360
    return found


def turned_error(frame: Frame, degrees: float) -> PoseError:
    """The error for a face that is rotated in the frame, degrees clockwise."""
    quarter = round(degrees / 90) * 90
    turn = (quarter if abs(degrees - quarter) <= _STEP / 2 else round(degrees / 10) * 10) % 360
    way = f"{turn} degrees clockwise" if turn <= 180 else f"{360 - turn} degrees counterclockwise"
    back = f"{turn} degrees counterclockwise" if turn <= 180 else f"{360 - turn} degrees clockwise"
    how = "upside down" if abs(turn - 180) < 45 else "on its side" if min(turn, 360 - turn) >= 45 else "tilted"
    return PoseError(
        f"The face in {frame.source} is {how}: it seems rotated by about {way}. Rotate the frame by {back}. Pictures "
        "whose EXIF orientation was lost, and videos that only their player rotates, look like this."
    )


def _wrong_turn(five: Landmarks, frame: Frame, face: float, points: float) -> PoseError:
    """The error for points that are rotated against the face, both in degrees clockwise in the frame.

    If there is an upright face elsewhere, the points are not on it, and what was detected at them is no face. If the
    face is upright, the points are those of the picture in another orientation; otherwise the frame is rotated.

    Raises:
        LandmarkError: there is an upright face elsewhere in the frame.
    """
    if five.source in ("yunet", "template"):
        return turned_error(frame, face)
    if _turn_between(face, 0) > _STEP / 2:
        if elsewhere := _elsewhere(five, frame):
            raise LandmarkError(elsewhere[0].message)
        return turned_error(frame, face)
    height, width = frame.size
    return PoseError(
        f"The face in {frame.source} is upright, but its points from {five.source} are rotated by about "
        f"{_turn_between(points, 0):.0f} degrees. Give [x, y] in px of the picture as it is shown, with its EXIF "
        f"orientation applied ({width}x{height} px), in the order left eye, right eye, nose, left mouth corner, right "
        "mouth corner."
    )


def _checked(five: Landmarks, frame: Frame) -> tuple[QualityWarning, ...]:
    check_inside(five, frame.size, frame.source)
    check_order(five.points, five.source)
    # Rotation is checked first, because the points of a face on its side often look like those of a profile.
    found = (*_turn(five, frame), *pose_warnings(five, frame.source))
    return found if five.source == "template" else (*found, *_at_edge(five, frame), *_small(five, frame))


def _at_edge(five: Landmarks, frame: Frame) -> tuple[QualityWarning, ...]:
    """Check whether the frame's edge cuts off the face; not for the template, used for faces cropped on purpose."""
    points = np.asarray(five.points, dtype=np.float64)[[0, 1, 3, 4]]
    height, width = frame.size
    edges = {
        "left": points[:, 0] + 0.5,
        "right": width - 0.5 - points[:, 0],
        "upper": points[:, 1] + 0.5,
        "lower": height - 0.5 - points[:, 1],
    }
    eyes = float(np.hypot(*(points[1] - points[0])))
    edge, room = min(((name, float(gaps.min()) / eyes) for name, gaps in edges.items()), key=lambda found: found[1])
    if room >= _NEAR_EDGE:
        return ()
    said = f"The face in {frame.source} is cut off by the {edge} edge of the picture"
    if room < _CUT_OFF:
        raise PoseError(
            f"{said}: an eye or a corner of the mouth is not fully visible, so its position is a guess. Give a picture "
            "of the whole face; for a face cropped like the training images, use the landmarks 'template'."
        )
    text = f"{said} or nearly so ({room:.2f} eye distances of room): that part is not visible. Give the whole face."
    return (QualityWarning("face_cut_off", text),)


def _small(five: Landmarks, frame: Frame) -> tuple[QualityWarning, ...]:
    eyes = float(np.hypot(*(five.points[1] - five.points[0])))
    if eyes >= SMALL_FACE:
        return ()
    text = (
        f"The face in {frame.source} is small: {eyes:.0f} px from eye to eye, {SMALL_FACE} or more are needed to see "
        "small motion. Record closer to the face, or use the frames at full size."
    )
    return (QualityWarning("small_face", text),)


def _turn(five: Landmarks, frame: Frame) -> tuple[QualityWarning, ...]:
    """Detect the face with the points' eyes level, and at other rotations if its score is not convincing."""
    detected = five.score is not None and five.source == "yunet"
    eyes = float(np.hypot(*(five.points[1] - five.points[0])))
    roll = face_shape(five.points).roll
    if not math.isfinite(roll) or eyes < 2 or not _overlaps(five.points, frame):
        return ()
    first, looked = _faces(bundled(), frame, five.points, roll), roll
    level, seen = _best(first)
    apart = _apart(seen, five.points, eyes)
    if level < _SURE or apart > _SAME or seen is None or _turn_between(face_shape(seen).roll, roll) > _SETTLED:
        looks = [_look(bundled(), frame, five.points, roll + turn) for turn in range(_STEP, 360, _STEP)]
        score, points = max(looks, key=lambda look: look[0])
        better = score >= max(level + _BETTER, _FACE)
        if better and points is not None and _apart(points, five.points, eyes) > _APART:
            raise _wrong_turn(five, frame, face_shape(points).roll, roll)
    tilt, points = _settled(frame, five.points, roll, seen)
    if points is not None and _turn_between(tilt, roll) > _WRONG_TILT and _apart(points, five.points, eyes) > _APART:
        raise _wrong_turn(five, frame, tilt, roll)
    roll = tilt
    if not detected and five.source != "template":
        return _disagreement(five, frame, first if roll == looked else _faces(bundled(), frame, five.points, roll))
    if detected and abs(roll) >= _TILT:
        return (
            QualityWarning(
                "turned_face",
                f"The head in {frame.source} is tilted by {abs(roll):.0f} degrees, where the detector's points are "
                "inexact; turn the frame so that the eyes are level.",
            ),
        )
    return ()


def _disagreement(five: Landmarks, frame: Frame, found: list[tuple[float, Float64Array]]) -> tuple[QualityWarning, ...]:
    """Compare given points with those of the nearest face that is detected there, with the eyes level."""
    faces = [(score, points) for score, points in found if score >= _FACE]
    if not faces:
        return _elsewhere(five, frame)
    given = np.asarray(five.points, dtype=np.float64)
    score, seen = min(faces, key=lambda face: _apart(face[1], given, 1.0))
    away = np.hypot(*(given - seen).T) / np.hypot(*(seen[1] - seen[0]))
    worst = float(np.delete(away, 2).max())
    size = _spread(given) / _spread(seen)
    if worst <= _DISAGREE and away[2] <= _NOSE and abs(size - 1) <= _SIZE:
        return ()
    said = (
        f"The points from {five.source} are not on the face that YuNet detects in {frame.source} (score {score:.2f}): "
        f"{max(worst, float(away[2])):.2f} eye distances away at worst, and {size:.2f} times as far apart. "
    )
    cure = "Check that they belong to this frame, are in its px, and are in the right order."
    if worst > _WRONG and score >= _CONFIDENT:
        raise LandmarkError(said + cure)
    return (QualityWarning("points_disagree", said + cure),)


def _elsewhere(five: Landmarks, frame: Frame) -> tuple[QualityWarning, ...]:
    """Look for a face in the whole frame if none is detected at given points, which may be px of another size."""
    height, width = frame.size
    score, seen = 0.0, np.zeros((5, 2))
    for side in _WHOLE:
        scale = min(1.0, side / max(height, width))
        for face in bundled().faces(shrunk(frame.pixels, scale)):
            if face[14] > score:
                score, seen = float(face[14]), (face[4:14].reshape(5, 2) + 0.5) / scale - 0.5
    if score < _CONFIDENT:
        return ()
    given = np.asarray(five.points, dtype=np.float64)
    eyes = float(np.hypot(*(seen[1] - seen[0])))
    if _apart(seen, given, eyes) < 1:
        return ()  # the same face, which YuNet scores lower in the square
    times = float((seen * given).sum() / (given**2).sum())
    said = (
        f"No upright face is detected at the points from {five.source}, but one in another place in {frame.source} "
        f"(score {score:.2f}"
    )
    if _apart(seen, times * given, eyes) <= _SAME:
        raise LandmarkError(
            f"{said}), which they fit if multiplied by {times:.3g}: they were found in a picture of another "
            f"size. Give them in px of this frame, {width}x{height} px."
        )
    x, y = seen.mean(axis=0)
    text = f"{said}, at ({x:.0f}, {y:.0f}) px). Check that they belong to this frame and to this person."
    return (QualityWarning("points_disagree", text),)


def _spread(points: Float64Array) -> float:
    """Size of a set of points: the root of the sum of squared distances from their mean."""
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum()))


def _settled(
    frame: Frame, points: npt.ArrayLike, roll: float, seen: Float64Array | None
) -> tuple[float, Float64Array | None]:
    """The tilt at which the detected face is level, and its points.

    YuNet underestimates tilts, so a face that seems nearly level may not be: the true tilt is where the remaining tilt
    changes its sign.
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
    """The remaining tilt of a face that was detected in a frame rotated back by ``roll``, degrees, -180..180."""
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
    """Mean distance in eye distances; infinity if nothing was detected."""
    return math.inf if seen is None else float(np.hypot(*(seen - np.asarray(points)).T).mean()) / eyes


def _look(detector: YuNet, frame: Frame, points: npt.ArrayLike, degrees: float) -> tuple[float, Float64Array | None]:
    """The best of `_faces`; 0 and None if there is none."""
    return _best(_faces(detector, frame, points, degrees))


def _best(faces: list[tuple[float, Float64Array]]) -> tuple[float, Float64Array | None]:
    best: tuple[float, Float64Array | None] = (0.0, None)
    return max(faces, key=lambda face: face[0], default=best)


def _faces(detector: YuNet, frame: Frame, points: npt.ArrayLike, degrees: float) -> list[tuple[float, Float64Array]]:
    """Score and points, px of the frame, of faces detected at the points, with the frame rotated back by an angle."""
    cv2 = load_opencv()
    z = np.asarray(points, dtype=np.float64) @ [1, 1j]
    reach = _REACH * max(abs(z[1] - z[0]), abs((z[3] + z[4] - z[0] - z[1]) / 2))
    scale, center = _SIDE / reach, z.mean()
    pixels = shrunk(frame.pixels, scale if scale < 0.5 else 1.0)  # bilinear sampling alone would skip pixels
    grow = np.array([pixels.shape[1] / frame.size[1], pixels.shape[0] / frame.size[0]])
    a = scale * np.exp(-1j * np.radians(degrees))
    linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
    shift = np.full(2, (_SIDE - 1) / 2) - linear @ [center.real, center.imag]
    to_small = linear / grow
    moved = shift + linear @ (0.5 / grow - 0.5)  # about pixel centers
    matrix = np.hstack([to_small, moved[:, None]])
    square = cv2.warpAffine(pixels, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    back = np.linalg.inv(linear)
    to_frame = np.hstack([back, (-back @ shift)[:, None]])
    found = detector.faces(square)
    return [(float(face[14]), transform_points(to_frame, face[4:14].reshape(5, 2))) for face in found]
