"""A given portrait as the face of a recording."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from htnet.core.errors import LandmarkError
from htnet.core.types import Landmarks
from htnet.preprocess import FrameSource, read_frame
from htnet.preprocess.opencv import load_opencv
from htnet.synthesis.recordings.head import HeadShape
from htnet.synthesis.recordings.identity import five_points, head_shape, mean_points
from htnet.synthesis.recordings.paint import Texture
from htnet.synthesis.recordings.parts import EyeShape
from htnet.synthesis.recordings.render import Person
from htnet.synthesis.recordings.skin import EYES_APART

#: Part of the portrait that is kept, px of a 224 px face: left, top, right, bottom.
_KEPT = (-170.0, -190.0, 170.0, 200.0)
#: Middle and radii of what is opaque.
_OVAL = (0.0, 12.0, 118.0, 172.0)


class Portrait:
    """A picture of a face that recordings show: its own skin and eyes, moved by generated events.

    The face must look ahead with its mouth closed or nearly so; what lies behind the head is replaced.

    Args:
        picture: (H, W, 3) uint8, RGB, or a file.
        landmarks: five (x, y) in its px, order `htnet.types.POINT_NAMES`.

    Raises:
        FrameError: the picture cannot be read.
        LandmarkError: the points cannot be used.
    """

    def __init__(self, picture: FrameSource, landmarks: Landmarks | npt.ArrayLike) -> None:
        self.pixels = read_frame(picture).pixels
        given = landmarks if isinstance(landmarks, Landmarks) else Landmarks(np.asarray(landmarks, np.float32), "array")
        self.points = given.points.astype(np.float64)
        across = self.points[1] - self.points[0]
        if not (np.hypot(*across) >= 12 and across[0] > 0):
            raise LandmarkError(
                f"The eyes lie at {self.points[0].tolist()} and {self.points[1].tolist()}; give the image-left one "
                "first, 12 px or more apart."
            )

        # From the picture to an upright face whose eyes are as far apart as those of a 224 px face.
        along = across / np.hypot(*across)
        self._turn = np.array([[along[0], along[1]], [-along[1], along[0]]])
        self._scale = float(EYES_APART / np.hypot(*across))
        self._middle = (self.points[0] + self.points[1]) / 2
        #: The five points, px of a 224 px face from the middle between the eyes.
        self.five = (self.points - self._middle) @ self._turn.T * self._scale

    def person(self, density: float, seed: int) -> Person:
        """What a face is drawn from, with this many pixels for one px of a 224 px face."""
        five, turn, scale = self.five, self._turn, self._scale
        # From a pixel of the texture to the picture: what cv2.warpAffine takes with WARP_INVERSE_MAP.
        back = turn.T / (scale * density)
        shift = self._middle + turn.T @ np.array(_KEPT[:2]) / scale
        size = (round((_KEPT[2] - _KEPT[0]) * density), round((_KEPT[3] - _KEPT[1]) * density))
        cv2 = load_opencv()
        pixels = cv2.warpAffine(
            self.pixels.astype(np.float32),
            np.column_stack([back, shift]),
            size,
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        x = _KEPT[0] + np.arange(size[0], dtype=np.float32) / density
        y = (_KEPT[1] + np.arange(size[1], dtype=np.float32) / density)[:, None]
        away = np.sqrt(((x - _OVAL[0]) / _OVAL[2]) ** 2 + ((y - _OVAL[1]) / _OVAL[3]) ** 2)
        mask = np.clip((1.06 - away) / 0.09, 0, 1).astype(np.float32)
        texture = Texture(np.clip(pixels, 2, 253).astype(np.float32), density, *_KEPT[:2], mask=mask)
        mean = mean_points()
        own = five_points(mean)
        eyes = tuple(
            EyeShape.of(mean[rows] + five[k] - own[k]) for k, rows in enumerate((slice(36, 42), slice(42, 48)))
        )
        line = mean[[48, 60, 61, 62, 63, 64, 54]]
        share = (line[:, :1] - own[3, 0]) / (own[4, 0] - own[3, 0])
        lips = five[3] + share * (five[4] - five[3]) + np.stack([0 * line[:, 0], line[:, 1] - own[3, 1]], axis=1)
        shape = head_shape(mean)
        rows = np.linspace(_KEPT[1], _KEPT[3], len(shape.rows))
        wide = HeadShape(rows, np.full(len(rows), 150.0), np.full(len(rows), 116.0), shape.relief, shape.relief_at)
        return Person(texture, wide, five, None, (eyes[0], eyes[1]), lips, None, 0.5, seed)

    def skin_color(self) -> npt.NDArray[np.float64]:
        """RGB of the cheeks, for the neck."""
        middle = (self.points[0] + self.points[1] + self.points[3] + self.points[4]) / 4
        reach = max(2, int(0.3 * np.hypot(*(self.points[1] - self.points[0]))))
        row, column = int(middle[1]), int(middle[0])
        part = self.pixels[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
        return np.asarray(np.median(part.reshape(-1, 3), axis=0), dtype=np.float64)
