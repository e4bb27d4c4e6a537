"""Points from YuNet, the default detector."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from htnet.errors import (
    CorruptWeightsError,
    InputError,
    LowScoreError,
    WeightsError,
)
from htnet.preprocess.frames import quiet_opencv
from htnet.preprocess.landmarks.base import check_several, choose_face, find_many, no_face
from htnet.preprocess.opencv import load_opencv
from htnet.types import Frame, Landmarks

#: Environment variable that names the model file.
MODEL_VARIABLE = "HTNET_YUNET_MODEL"
#: The model that ships with htnet.
BUNDLED_MODEL = Path(__file__).parents[2] / "assets" / "models" / "face_detection_yunet_2026may.onnx"
#: SHA-256 of the accepted model files.
YUNET_SHA256 = {
    "face_detection_yunet_2023mar.onnx": "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    "face_detection_yunet_2026may.onnx": "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
}

# First look: the frame's longer side at most this many px.
_FIRST_SIDE = 640
# Second look, if the first is not sure: the longer side at exactly this many px. YuNet is surest of faces of
# 50 to 300 px; faces that fill a large frame, and frames of 16 to 32 px, are often found only here.
_SECOND_SIDE = 224
_SURE_SCORE = 0.85
# OpenCV 4 (seen in 4.8 to 4.14, not in 5.0) gives rows of meaningless numbers, scored 1.0, now and then for images that
# it pads to a side of 32 px. Smaller images get a black border, as OpenCV's own padding is.
_LEAST_SIDE = 64
# Low, so that a rejected face's score can be told.
_DETECTOR_SCORE = 0.3
_DETECTOR_OVERLAP = 0.3
_DETECTOR_CANDIDATES = 5000


class YuNetLandmarker:
    """YuNet (Wu, Peng, Yu, Machine Intelligence Research 20, 2023) through OpenCV.

    Its points come in the order `POINT_NAMES`: the person's right eye, which it gives first, is the image's
    left one.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        min_score: float = 0.6,
        several: str = "largest",
    ) -> None:
        """Keep the settings; the model is found, checked and loaded at the first frame.

        Args:
            model: the .onnx file; None for the one that HTNET_YUNET_MODEL names or, without that, the one that
                ships with htnet.
            min_score: faces below this score are not accepted, 0..1.
            several: "largest" or "raise", for frames with several accepted faces.

        Raises:
            InputError: ``min_score`` or ``several`` is not as described.
        """
        check_several(several)
        if not 0 <= min_score <= 1:
            raise InputError(f"min_score is {min_score!r}; give a number from 0 to 1.")
        self.model = model
        self.min_score = min_score
        self.several = several
        self._detector: Any = None
        self._digest = ""

    def __getstate__(self) -> dict[str, Any]:
        """The settings: a detector cannot be sent to another process, which loads its own."""
        return {**vars(self), "_detector": None}

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """Find the five points of the face in ``frame``.

        Raises:
            NoFaceError: nothing that looks like a face.
            LowScoreError: the best face scores below ``min_score``.
            MultipleFacesError: several faces and ``several`` is "raise".
            WeightsError: the model cannot be read.
            CorruptWeightsError: the model file is not a known one.
        """
        longest = max(frame.size)
        best = self._detect(frame, min(1.0, _FIRST_SIDE / longest))
        if _top_score(best) < max(_SURE_SCORE, self.min_score):
            second = self._detect(frame, _SECOND_SIDE / longest)
            best = max(best, second, key=_top_score)
        if len(best) == 0:
            raise no_face(frame)
        accepted = best[best[:, 14] >= self.min_score]
        if len(accepted) == 0:
            raise LowScoreError(
                f"The best face in {frame.source} scores {_top_score(best):.2f}, below min_score "
                f"{self.min_score:g}; crop the frame nearer to the face or brighten it, give its landmarks, or "
                "lower min_score."
            )
        areas = accepted[:, 2] * accepted[:, 3]
        face = accepted[choose_face(areas.tolist(), self.several, frame)]
        return Landmarks(face[4:14].reshape(5, 2).astype(np.float32), "yunet", float(face[14]))

    def many(self, frames: Iterable[Frame], *, missing: str = "raise") -> Iterator[Landmarks | None]:
        """Points of every frame of a sequence, by one detector; see `find_many`."""
        return find_many(self, frames, missing=missing)

    def identity(self) -> Mapping[str, Any]:
        """All that the points of a frame depend on besides its pixels: versions, settings, the model's SHA-256.

        Raises:
            WeightsError: the model cannot be read.
            CorruptWeightsError: the model file is not a known one.
        """
        self._load()
        return {
            "landmarker": "yunet",
            "model": self._digest,
            "opencv": load_opencv("FaceDetectorYN").__version__,
            "min_score": self.min_score,
            "several": self.several,
            "sides": [_FIRST_SIDE, _SECOND_SIDE, _LEAST_SIDE],
            "detector": [_SURE_SCORE, _DETECTOR_SCORE, _DETECTOR_OVERLAP, _DETECTOR_CANDIDATES],
        }

    def _load(self) -> Any:
        """The detector, built at the first call."""
        if self._detector is None:
            model = self._read_model()
            self._digest = hashlib.sha256(model).hexdigest()
            self._detector = _build_detector(model)
        return self._detector

    def _detect(self, frame: Frame, scale: float) -> np.ndarray[Any, Any]:
        """Faces found in the resized frame, in frame px: (N, 15) float64 = x, y, width, height, five (x, y), score."""
        detector = self._load()
        cv2 = load_opencv("FaceDetectorYN")
        height, width = frame.size
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR)
        if size != (width, height):
            smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            pixels = cv2.resize(pixels, size, interpolation=smooth)
        below, beside = (max(0, _LEAST_SIDE - side) for side in (size[1], size[0]))
        if below or beside:
            pixels = cv2.copyMakeBorder(pixels, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        detector.setInputSize((pixels.shape[1], pixels.shape[0]))
        found = detector.detect(pixels)[1]
        if found is None:
            return np.empty((0, 15))
        faces = np.asarray(found, dtype=np.float64)
        grow = np.array([width / size[0], height / size[1]])  # back to frame px, about pixel centres
        faces[:, 2:4] *= grow
        for column in (0, *range(4, 14, 2)):
            faces[:, column : column + 2] = (faces[:, column : column + 2] + 0.5) * grow - 0.5
        return faces

    def _read_model(self) -> bytes:
        """The bytes of the model file, checked."""
        path = Path(self.model if self.model is not None else os.environ.get(MODEL_VARIABLE) or BUNDLED_MODEL)
        if path == BUNDLED_MODEL:
            cure = "Install htnet again"
        else:
            cure = f"Give the path of such a file as model or in {MODEL_VARIABLE}, or neither to use htnet's own"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise WeightsError(f"The YuNet model {path} cannot be read ({error.strerror}). {cure}.") from error
        digest = hashlib.sha256(data).hexdigest()
        if digest not in YUNET_SHA256.values():
            raise CorruptWeightsError(
                f"The YuNet model {path} has SHA-256 {digest}; expected "
                f"{' or '.join(f'{sha} ({name})' for name, sha in YUNET_SHA256.items())}. {cure}."
            )
        return data


def _build_detector(model: bytes) -> Any:
    cv2 = load_opencv("FaceDetectorYN")
    # From memory, so that the bytes that were checked are the bytes that run, whatever the path's letters.
    with quiet_opencv():
        return cv2.FaceDetectorYN.create(
            "onnx",
            np.frombuffer(model, dtype=np.uint8),
            np.empty(0, dtype=np.uint8),
            (_FIRST_SIDE, _FIRST_SIDE),  # replaced before each frame
            _DETECTOR_SCORE,
            _DETECTOR_OVERLAP,
            _DETECTOR_CANDIDATES,
        )


def _top_score(faces: np.ndarray[Any, Any]) -> float:
    return float(faces[:, 14].max()) if len(faces) else 0.0
