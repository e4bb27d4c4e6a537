"""YuNet face detector, usable by any number of threads at once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from htnet.core.assets import ASSETS
from htnet.core.errors import CorruptWeightsError, LandmarkError, WeightsError, refuse_short_memory
from htnet.core.limits import read_file
from htnet.core.paths import as_path
from htnet.core.types import ByteArray, Float64Array
from htnet.preprocess.opencv import load_opencv, quiet_opencv

#: Environment variable that names the model file.
MODEL_VARIABLE = "HTNET_YUNET_MODEL"
#: The model that ships with htnet.
BUNDLED_MODEL = ASSETS / "models" / "face_detection_yunet_2026may.onnx"
#: SHA-256 of the accepted model files.
YUNET_SHA256 = {
    "face_detection_yunet_2023mar.onnx": "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    "face_detection_yunet_2026may.onnx": "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
}

# The minimum score is low, so that messages can state the score of a rejected face.
_SCORE, _OVERLAP, _CANDIDATES = 0.3, 0.3, 5000
# OpenCV 4 (observed in 4.8 to 4.14, not in 5.0) sometimes returns rows of meaningless numbers with a score of 1.0 for
# images that it pads to a side of 32 px. Smaller images get a black border, like OpenCV's own padding.
_LEAST_SIDE = 64
#: Everything but the model that the faces of an image depend on.
SETTINGS = (_SCORE, _OVERLAP, _CANDIDATES, _LEAST_SIDE)

Faces = Float64Array


class YuNet:
    """One model file, with one OpenCV detector per concurrent thread.

    A detector of OpenCV stores the image it works on: two threads that share one get errors or each other's faces. So
    each call takes an idle detector, or builds one, and returns it afterwards.
    """

    def __init__(self, model: str | os.PathLike[str] | None = None) -> None:
        """Store the path; the file is read and checked at the first image.

        Args:
            model: the .onnx file; None for the one that HTNET_YUNET_MODEL names or, without that, the one that ships
                with htnet.
        """
        if model is not None:
            as_path(model, "model")
        self.model = model
        self._lock = threading.Lock()
        self._bytes = b""
        self._idle: deque[Any] = deque()

    def __getstate__(self) -> dict[str, Any]:
        """The model's path: detectors cannot be sent to another process, which loads its own."""
        return {"model": self.model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Initialize again from the model's path."""
        self.__init__(state["model"])  # type: ignore[misc]

    def digest(self) -> str:
        """SHA-256 of the model.

        Raises:
            WeightsError: the model cannot be read.
            CorruptWeightsError: the model file is not a known one.
        """
        return hashlib.sha256(self._read()).hexdigest()

    def faces(self, pixels: ByteArray) -> Faces:
        """Faces in an image.

        Args:
            pixels: (H, W, 3) uint8 RGB.

        Returns:
            (N, 15): x, y, width, height, five (x, y) in the order `htnet.types.POINT_NAMES`, score; px of the image.

        Raises:
            LandmarkError: OpenCV cannot process the image.
            WeightsError: the model cannot be read.
            CorruptWeightsError: the model file is not a known one.
        """
        with self._detector() as detector:
            cv2 = load_opencv("FaceDetectorYN")
            try:
                image = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
                below, beside = (max(0, _LEAST_SIDE - side) for side in image.shape[:2])
                if below or beside:
                    image = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT)
                detector.setInputSize((image.shape[1], image.shape[0]))
                found = detector.detect(image)[1]
            except cv2.error as error:
                refuse_short_memory(error, "the image")
                height, width = pixels.shape[:2]
                raise LandmarkError(
                    f"OpenCV {cv2.__version__} could not look for faces in an image of {width}x{height} px; give "
                    "smaller frames, or install OpenCV again."
                ) from error
        faces = np.empty((0, 15)) if found is None else np.asarray(found, dtype=np.float64)
        return faces[np.isfinite(faces).all(axis=1)]

    @contextmanager
    def _detector(self) -> Iterator[Any]:
        """A detector that no other thread holds."""
        try:
            detector = self._idle.pop()
        except IndexError:
            detector = build_detector(self._read())
        yield detector
        self._idle.append(detector)  # not after an error: its state is then unknown

    def _read(self) -> bytes:
        """The bytes of the model file, checked, read once."""
        with self._lock:
            if not self._bytes:
                self._bytes = _read_model(self.model)
            return self._bytes


@cache
def bundled() -> YuNet:
    """The detector used to verify points of any origin: the model that ships with htnet."""
    return YuNet(BUNDLED_MODEL)


def build_detector(model: bytes) -> Any:
    """OpenCV's detector, built from the checked bytes, so that the path may contain any characters."""
    cv2 = load_opencv("FaceDetectorYN")
    with quiet_opencv():
        return cv2.FaceDetectorYN.create(
            "onnx",
            np.frombuffer(model, dtype=np.uint8),
            np.empty(0, dtype=np.uint8),
            (320, 320),  # replaced before each image
            _SCORE,
            _OVERLAP,
            _CANDIDATES,
        )


def _read_model(model: str | os.PathLike[str] | None) -> bytes:
    path = Path(model if model is not None else os.environ.get(MODEL_VARIABLE) or BUNDLED_MODEL)
    if path == BUNDLED_MODEL:
        cure = "Install htnet again"
    else:
        cure = f"Give the path of such a file as model or in {MODEL_VARIABLE}, or neither to use htnet's own"
    try:
        data = read_file(path)
    except OSError as error:
        raise WeightsError(f"The YuNet model {path} cannot be read ({error.strerror}). {cure}.") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest not in YUNET_SHA256.values():
        raise CorruptWeightsError(
            f"The YuNet model {path} has SHA-256 {digest}; expected "
            f"{' or '.join(f'{sha} ({name})' for name, sha in YUNET_SHA256.items())}. {cure}."
        )
    return data
