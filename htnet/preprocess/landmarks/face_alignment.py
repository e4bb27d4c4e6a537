"""Points from the face-alignment package (68 points, an extra)."""

from __future__ import annotations

from typing import Any

import numpy as np

from htnet.errors import LandmarkError
from htnet.optional import require
from htnet.preprocess.landmarks.base import check_several, choose_face, no_face
from htnet.types import FloatArray, Frame, Landmarks


class FaceAlignmentLandmarker:
    """FAN (Bulat and Tzimiropoulos, ICCV 2017) through ``face_alignment``; fetches its weights at first use."""

    def __init__(self, device: str = "cpu", *, several: str = "largest") -> None:
        """Keep the settings; the network is built at the first frame.

        Args:
            device: torch device it runs on.
            several: "largest" or "raise".

        Raises:
            MissingExtraError: face-alignment is not installed.
            InputError: ``several`` is neither.
        """
        check_several(several)
        self.device = device
        self.several = several
        self._module = require("face_alignment", "face-alignment", "FaceAlignmentLandmarker")
        self._network: Any = None

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """Find the five points of the face in ``frame``.

        Raises:
            NoFaceError: none was found.
            MultipleFacesError: several were found and ``several`` is "raise".
        """
        if self._network is None:
            kind = self._module.LandmarksType.TWO_D
            self._network = self._module.FaceAlignment(kind, device=self.device, flip_input=False)
        faces = self._network.get_landmarks_from_image(frame.pixels)
        if faces is None or len(faces) == 0:
            raise no_face(frame)
        extents = [float(np.prod(np.ptp(np.asarray(face), axis=0))) for face in faces]
        face = faces[choose_face(extents, self.several, frame)]
        return Landmarks(_five_of_68(np.asarray(face, dtype=np.float32)), "face-alignment")


def _five_of_68(points: FloatArray) -> FloatArray:
    """Eye centres, tip of the nose and mouth corners of the 68-point scheme (iBUG 300-W)."""
    if points.shape != (68, 2):
        raise LandmarkError(f"face-alignment gave points of shape {points.shape}, not (68, 2); use version 1.4.")
    eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
    return np.stack([*eyes, points[30], points[48], points[54]])
