"""Points from the face-alignment package (68 points, an extra)."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from htnet.core.errors import LandmarkError, WeightsError, cause
from htnet.core.fields import whole
from htnet.core.lazy import loading
from htnet.core.network import limited, once
from htnet.core.optional import require
from htnet.core.types import Frame, Landmarks, Landmarks68
from htnet.preprocess.landmarks.base import check_several, choose_face, find_many, no_face
from htnet.preprocess.landmarks.verify import CHECK, verified
from htnet.preprocess.opencv import warn_of_collision

Array = np.ndarray[Any, Any]


class FaceAlignmentLandmarker:
    """FAN (Bulat and Tzimiropoulos, ICCV 2017) through ``face_alignment``; downloads its weights at first use.

    The package rounds its points to whole px of the frame.
    """

    def __init__(self, device: str = "cpu", *, several: str | int = "largest") -> None:
        """Store the settings; the network is built at the first frame.

        Args:
            device: torch device it runs on.
            several: which of several faces to use, see `htnet.preprocess.SEVERAL`.

        Raises:
            MissingExtraError: face-alignment is not installed.
            OpenCVError: OpenCV cannot be imported. Two builds of it side by side cause a warning.
            InputError: ``several`` is invalid.
        """
        check_several(several)
        self.device = device
        self.several = several
        warn_of_collision("FaceAlignmentLandmarker")
        self._module = require("face_alignment", "face-alignment", "FaceAlignmentLandmarker")
        self._network: Any = None
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """The settings only: another process builds its own lock and network."""
        return {"device": self.device, "several": self.several}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Initialize again from the settings."""
        self.__init__(**state)  # type: ignore[misc]

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """Find the five points of the face in ``frame``.

        Raises:
            NoFaceError: none was found.
            MultipleFacesError: several were found and ``several`` is "raise".
            WeightsError: the package cannot fetch or read its weights.
        """
        return self.points68(frame, sample).five()

    def points68(self, frame: Frame, sample: str = "") -> Landmarks68:
        """Find the 68 points of the face in ``frame``.

        Raises:
            NoFaceError: none was found.
            MultipleFacesError: several were found and ``several`` is "raise".
            WeightsError: the package cannot fetch or read its weights.
        """
        with self._working(frame) as network:
            faces = network.get_landmarks_from_image(frame.pixels)
        return self._choose(frame, [] if faces is None else faces)

    def many(
        self, frames: Iterable[Frame], *, missing: str = "raise", batch_size: int = 1
    ) -> Iterator[Landmarks | None]:
        """Five points of every frame of a sequence; see `many68`."""
        all_points = self.many68(frames, missing=missing, batch_size=batch_size)
        return (None if points is None else points.five() for points in all_points)

    def many68(
        self, frames: Iterable[Frame], *, missing: str = "raise", batch_size: int = 1
    ) -> Iterator[Landmarks68 | None]:
        """68 points of every frame of a sequence.

        Args:
            frames: any number of frames; ``batch_size`` of them are held at a time.
            missing: "raise" or "none", for frames without a face; see `find_many`.
            batch_size: consecutive frames of one size whose faces are detected together. Faster on a GPU; needs
                memory, an estimated 1 GB for each 1080p frame; the package detects the points face by face.

        Returns:
            One result per frame, in order, computed lazily.

        Raises:
            InputError: a bad ``missing`` or ``batch_size``.
            LandmarkError: (while reading on) see `find_many`.
            WeightsError: (while reading on) the package cannot fetch or read its weights.
        """
        whole().check("batch_size", batch_size)
        if batch_size == 1:
            return find_many(self.points68, frames, missing=missing)
        return find_many(lambda item: self._choose(*item), self._by_batch(frames, batch_size), missing=missing)

    def identity(self) -> Mapping[str, Any]:
        """Everything but the pixels that the points of a frame depend on.

        The version of face-alignment identifies the files of its weights; PyTorch runs them.
        """
        version = getattr(self._module, "__version__", "unknown")
        of = {"landmarker": "face-alignment", "face_alignment": version, "torch": torch.__version__}
        return {**of, "several": self.several, "check": CHECK}

    def ready(self) -> None:
        """Download the weights and build the network now, before other processes start.

        Raises:
            WeightsError: the package cannot fetch or read its weights.
        """
        with self._lock:
            self._load()

    def _load(self) -> Any:
        """The network, built at the first call."""
        if self._network is None:
            build = self._module.FaceAlignment
            # Version 1.5 would compile it here: minutes, a C++ compiler, and a cache of pickles in the home folder.
            plain = {"compile": False} if "compile" in inspect.signature(build).parameters else {}

            def built() -> Any:
                with limited():
                    return build(self._module.LandmarksType.TWO_D, device=self.device, flip_input=False, **plain)

            try:
                self._network = once("the weights of face-alignment", built)
            except WeightsError as error:
                raise WeightsError(
                    f"face-alignment could not get its weights ({error}). Connect to the internet once, so that it can "
                    "download them into hub/checkpoints under TORCH_HOME, copy that folder from a machine that has it, "
                    "or use the landmarks 'yunet', which need no network."
                ) from error
        return self._network

    def _by_batch(self, frames: Iterable[Frame], batch_size: int) -> Iterator[tuple[Frame, list[Array]]]:
        """Every frame with its faces."""
        batch: list[Frame] = []
        for frame in frames:
            if batch and (len(batch) == batch_size or frame.size != batch[0].size):
                yield from self._faces_of(batch)
                batch = []
            batch.append(frame)
        if batch:
            yield from self._faces_of(batch)

    def _faces_of(self, batch: list[Frame]) -> Iterator[tuple[Frame, list[Array]]]:
        with loading():
            import torch

        pixels = np.stack([frame.pixels for frame in batch]).transpose(0, 3, 1, 2)
        with self._working(batch[0]) as network:
            found = network.get_landmarks_from_batch(torch.from_numpy(np.ascontiguousarray(pixels)))
        for frame, faces in zip(batch, found, strict=True):
            # All faces of a frame come as one array of N * 68 points.
            points = np.asarray(faces, dtype=np.float32).reshape(-1, 2)
            yield frame, np.split(points, max(1, len(points) // 68)) if len(points) else []

    @contextmanager
    def _working(self, frame: Frame) -> Iterator[Any]:
        """The network, for one thread at a time, because all threads share the warning filters."""
        with self._lock, warnings.catch_warnings():
            # Our error, or None, reports that there is no face.
            warnings.filterwarnings("ignore", message="No faces were detected")
            network = self._load()
            try:
                yield network
            except Exception as error:  # whatever PyTorch, OpenCV or the package raise
                raise LandmarkError(
                    f"face-alignment failed at {frame.source} ({cause(error)}). Give a smaller "
                    "frame, another device, or the landmarks 'yunet'."
                ) from error

    def _choose(self, frame: Frame, faces: list[Array]) -> Landmarks68:
        if len(faces) == 0:
            raise no_face(frame)
        boxes = [[*np.min(face, axis=0), *np.ptp(np.asarray(face), axis=0)] for face in faces]
        chosen, warnings = choose_face(boxes, self.several, frame)
        points = np.asarray(faces[chosen], dtype=np.float32)
        if points.shape != (68, 2):
            raise LandmarkError(f"face-alignment gave points of shape {points.shape}, not (68, 2); use version 1.5.")
        return verified(Landmarks68(points, "face-alignment", warnings=warnings, faces=len(faces)), frame)
