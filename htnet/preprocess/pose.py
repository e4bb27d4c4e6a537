"""Order and pose of five facial points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from htnet.core.errors import LandmarkError, PoseError
from htnet.core.types import Landmarks, QualityWarning

# Measured on the 442 faces of the composite set, from YuNet's five points and from dlib's 68, and on free portraits:
# the turn is at most 0.12 there, 0.42 to 0.52 in views from 45 degrees, 0.6 to 0.9 in profiles.
#: From here on a face counts as turned to the side: it is flagged, and no measure of its asymmetry is given.
TURNED = 0.2
#: From here on it is a profile, of which one half cannot be seen: refused.
PROFILE = 0.6
# Height of the nose between eyes (0) and mouth (1): 0.27 to 0.66 on the faces above.
_NOSE_HEIGHTS = (0.2, 0.75)
# Minimum width of the mouth, and its minimum distance below the eyes, in distances between the eyes. The faces above
# have 0.63 and 0.83 or more.
_LEAST_MOUTH, _LEAST_DROP = 0.2, 0.3


@dataclass(frozen=True)
class FaceShape:
    """Five points in the face's own axes: x along the eyes, y from the eyes down; in distances between the eyes.

    Attributes:
        turn: how far the nose's tip lies from the line between the middle of the eyes and the middle of the mouth,
            positive to the image's right: about 0.45 times the tangent of the head's angle to the side.
        nose_aside: horizontal distance of the tip from the middle of the eyes alone, positive to the image's right.
        nose_height: height of the tip between the eyes (0) and the mouth (1).
        mouth_width: distance between the mouth corners.
        mouth_drop: distance of the middle of the mouth below the eyes.
        roll: angle of the line through the eyes in the image, degrees, -180..180; 0 is level, positive clockwise.
    """

    turn: float
    nose_aside: float
    nose_height: float
    mouth_width: float
    mouth_drop: float
    roll: float


def face_shape(points: npt.ArrayLike) -> FaceShape:
    """The shape of five points, (5, 2) in the order `htnet.types.POINT_NAMES`.

    Raises:
        LandmarkError: the eyes coincide.
    """
    z = np.asarray(points, dtype=np.float64) @ [1, 1j]
    axis = z[1] - z[0]
    if abs(axis) <= 1e-6 * (1 + float(np.abs(z).max())):
        raise LandmarkError(f"The two eyes coincide at ({z[0].real:g}, {z[0].imag:g}); give distinct points.")
    _, _, nose, left, right = (z - (z[0] + z[1]) / 2) / axis
    mouth = (left + right) / 2
    height = nose.imag / mouth.imag if mouth.imag else np.inf
    return FaceShape(
        turn=float(nose.real - height * mouth.real) if np.isfinite(height) else np.inf,
        nose_aside=float(nose.real),
        nose_height=float(height),
        mouth_width=float((right - left).real),
        mouth_drop=float(mouth.imag),
        roll=float(np.degrees(np.angle(axis))),
    )


def check_order(points: npt.ArrayLike, source: str, *, nose: bool = True) -> None:
    """Refuse five points that cannot be those of one face in the order `htnet.types.POINT_NAMES`.

    Relative to the line through the eyes: the mouth lies below them, its left corner left of its right one, and the
    nose between eyes and mouth. So exchanged eyes, exchanged corners of the mouth and mirrored points are detected.

    Args:
        points: (5, 2), px.
        source: their origin, for the message.
        nose: check the nose too; not for points of a flow image, where the published ones are clipped and rounded.

    Raises:
        LandmarkError: they cannot be those of a face.
    """
    try:
        shape = face_shape(points)
    except LandmarkError as error:
        raise LandmarkError(f"The five points from {source}: {error}") from None
    if shape.mouth_drop < _LEAST_DROP:
        wrong = "the mouth does not lie below the eyes"
    elif shape.mouth_width < _LEAST_MOUTH:
        wrong = "the corners of the mouth do not lie left and right as the eyes do"
    elif nose and not 0 < shape.nose_height < 1:
        wrong = "the nose does not lie between the eyes and the mouth"
    else:
        return
    raise LandmarkError(
        f"The five points from {source} are not arranged like those of a face: {wrong}. Give [x, y] in the order left "
        "eye, right eye, nose, left mouth corner, right mouth corner, where left is the image's left."
    )


def pose_warnings(landmarks: Landmarks, source: str) -> tuple[QualityWarning, ...]:
    """Warnings about the pose of a face.

    Args:
        landmarks: in the right order, see `check_order`.
        source: the frame, for messages.

    Raises:
        PoseError: it is a profile.
    """
    shape = face_shape(landmarks.points)
    side = "right" if shape.turn > 0 else "left"
    if min(abs(shape.turn), abs(shape.nose_aside)) >= PROFILE:
        raise PoseError(
            f"The face in {source} is seen from the side: it looks to the image's {side}, and one half of it cannot be "
            "seen. Give a frame of the face from the front, or the right points if these are wrong."
        )
    found = []
    if abs(shape.turn) >= TURNED:
        found.append(f"looks to the image's {side}")
    if not _NOSE_HEIGHTS[0] <= shape.nose_height <= _NOSE_HEIGHTS[1]:
        found.append(f"looks {'up' if shape.nose_height < _NOSE_HEIGHTS[0] else 'down'}")
    if not found:
        return ()
    text = f"The face in {source} {' and '.join(found)}; htnet expects frontal faces, so this answer is doubtful."
    return (QualityWarning("pose", text),)


def check_frontal(landmarks: Landmarks, source: str, purpose: str) -> None:
    """Refuse a face that is not seen from the front, for a purpose that requires a frontal view.

    Args:
        landmarks: in the right order.
        source: the image, for the message.
        purpose: what cannot be done, e.g. "Its asymmetry cannot be measured".

    Raises:
        PoseError: it is turned to the side, upward or downward.
    """
    for warning in pose_warnings(landmarks, source):
        raise PoseError(f"{warning.message.split(';')[0]}. {purpose}: give an image of the face from the front.")
