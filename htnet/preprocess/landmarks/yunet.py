"""Points from YuNet, the default detector."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from htnet.core.errors import LowScoreError
from htnet.core.fields import real
from htnet.core.types import Frame, Landmarks
from htnet.preprocess.landmarks.base import check_several, choose_face, find_many, no_face
from htnet.preprocess.landmarks.detector import SETTINGS, Faces, YuNet
from htnet.preprocess.landmarks.verify import CHECK, seen_turned, turned_error, verified
from htnet.preprocess.opencv import load_opencv

# First detection: the frame's longer side has at most this many px.
_FIRST_SIDE = 640
# Second detection, if the first is not sure: the longer side has exactly this many px. YuNet is surest for faces of
# 50 to 300 px; faces that fill a large frame, and frames of 16 to 32 px, are often found only here.
_SECOND_SIDE = 224
_SURE_SCORE = 0.85


class YuNetLandmarker:
    """YuNet (Wu, Peng, Yu, Machine Intelligence Research 20, 2023) through OpenCV.

    Its points come in the order `POINT_NAMES`: the person's right eye, which it gives first, is the image's
    left one. Threads may share one landmarker.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        min_score: float = 0.6,
        several: str | int = "largest",
    ) -> None:
        """Store the settings; the model is located, checked and loaded at the first frame.

        Args:
            model: the .onnx file; None for the one that HTNET_YUNET_MODEL names or, without that, the one that
                ships with htnet.
            min_score: faces below this score are not accepted, 0..1.
            several: which of several accepted faces to use, see `htnet.preprocess.SEVERAL`.

        Raises:
            InputError: ``min_score`` or ``several`` is invalid.
        """
        check_several(several)
        real(ge=0, le=1).check("min_score", min_score)
        self.min_score = min_score
        self.several = several
        self._yunet = YuNet(model)

    @property
    def model(self) -> str | os.PathLike[str] | None:
        """The model file that was given, if any."""
        return self._yunet.model

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """Find the five points of the face in ``frame``.

        Raises:
            NoFaceError: no face was detected.
            LowScoreError: the best face scores below ``min_score``.
            MultipleFacesError: several faces and ``several`` is "raise", or fewer than the number requested.
            PoseError: the face lies on its side or upside down, or is a profile.
            WeightsError: the model cannot be read.
            CorruptWeightsError: the model file is not a known one.
        """
        longest = max(frame.size)
        best = self._detect(frame, min(1.0, _FIRST_SIDE / longest))
        if _top_score(best) < max(_SURE_SCORE, self.min_score):
            second = self._detect(frame, _SECOND_SIDE / longest)
            best = max(best, second, key=_top_score)
        accepted = best[best[:, 14] >= self.min_score]
        if len(accepted) == 0:
            if (turn := seen_turned(frame)) is not None:
                raise turned_error(frame, turn)
            if len(best) == 0:
                raise no_face(frame)
            raise LowScoreError(
                f"The best face in {frame.source} scores {_top_score(best):.2f}, below min_score "
                f"{self.min_score:g}; crop the frame closer to the face or brighten it, give its landmarks, or "
                "lower min_score."
            )
        chosen, warnings = choose_face(accepted[:, :4], self.several, frame)
        face = accepted[chosen]
        points = face[4:14].reshape(5, 2).astype(np.float32)
        return verified(Landmarks(points, "yunet", float(face[14]), warnings, len(accepted)), frame)

    def many(self, frames: Iterable[Frame], *, missing: str = "raise") -> Iterator[Landmarks | None]:
        """Points of every frame of a sequence, by one detector; see `find_many`."""
        return find_many(self, frames, missing=missing)

    def identity(self) -> Mapping[str, Any]:
        """Everything but the pixels that the points of a frame depend on: versions, settings, the model's SHA-256.

        Raises:
            WeightsError: the model cannot be read.
            CorruptWeightsError: the model file is not a known one.
        """
        return {
            "landmarker": "yunet",
            "model": self._yunet.digest(),
            "opencv": load_opencv("FaceDetectorYN").__version__,
            "min_score": self.min_score,
            "several": self.several,
            "sides": [_FIRST_SIDE, _SECOND_SIDE],
            "detector": [_SURE_SCORE, *SETTINGS],
            "check": CHECK,
        }

    def _detect(self, frame: Frame, scale: float) -> Faces:
        """Faces found in the resized frame, in frame px: (N, 15), see `YuNet.faces`."""
        cv2 = load_opencv("FaceDetectorYN")
        height, width = frame.size
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = frame.pixels
        if size != (width, height):
            smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=smooth), dtype=np.uint8)
        faces = self._yunet.faces(pixels)
        grow = np.array([width / size[0], height / size[1]])  # back to frame px, about pixel centers
        faces[:, 2:4] *= grow
        for column in (0, *range(4, 14, 2)):
            faces[:, column : column + 2] = (faces[:, column : column + 2] + 0.5) * grow - 0.5
        return faces


def _top_score(faces: Faces) -> float:
    return float(faces[:, 14].max()) if len(faces) else 0.0
