"""Creation of landmarkers from text."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from htnet.core.errors import InputError, did_you_mean
from htnet.core.hints import hint
from htnet.preprocess.landmarks.base import Landmarker, TemplateLandmarks, check_call, check_several
from htnet.preprocess.landmarks.cached import CachedLandmarker
from htnet.preprocess.landmarks.face_alignment import FaceAlignmentLandmarker
from htnet.preprocess.landmarks.files import PrecomputedLandmarks
from htnet.preprocess.landmarks.peers import PeerLandmarks, is_peer_table
from htnet.preprocess.landmarks.yunet import YuNetLandmarker

#: Names that `make_landmarker` knows.
LANDMARKERS = ("yunet", "template", "face-alignment")


def make_landmarker(
    text: str, cache: str | os.PathLike[str] | None = None, *, face: str | int | None = None
) -> Landmarker:
    """Build a landmarker.

    Args:
        text: "yunet", "yunet:MODEL.onnx", "template", "face-alignment", or a .csv or .json file of points
            (see `PrecomputedLandmarks`).
        cache: folder of the cache of a detector's points, see `CachedLandmarker`. The template and files of
            points are not cached.
        face: which of several faces a detector uses: one of `SEVERAL`, or N for the N-th from the image's left; by
            default the largest.

    Raises:
        InputError: the text is none of these, or ``face`` is given for the template or a file, which have one face.
        LandmarkError: the file cannot be used.
        MissingExtraError: face-alignment is not installed.
        OpenCVError: face-alignment is requested and OpenCV cannot be imported.
    """
    several = parse_face(face)
    _check_text(text)
    detector: Landmarker
    if text == "yunet":
        detector = YuNetLandmarker(several=several)
    elif text.startswith("yunet:") and text != "yunet:":
        detector = YuNetLandmarker(text.removeprefix("yunet:"), several=several)
    elif text == "face-alignment":
        detector = FaceAlignmentLandmarker(several=several)
    else:
        refuse_face(face, text)
        if text == "template":
            return TemplateLandmarks()
        if text.lower().endswith(".csv") and is_peer_table(text):
            return PeerLandmarks(text)
        return PrecomputedLandmarks(text)
    return detector if cache is None else CachedLandmarker(detector, cache)


def check_landmarker(given: Any) -> None:
    """Refuse what is neither a landmarker nor a text for `make_landmarker`; nothing is created or read.

    Raises:
        InputError: a text that `make_landmarker` does not know.
        LandmarkError: anything else that cannot be called with a frame and a name.
    """
    if isinstance(given, (str, os.PathLike)):
        _check_text(os.fspath(given))
    else:
        check_call(given)


def _check_text(text: str) -> None:
    named = text in LANDMARKERS or (text.startswith("yunet:") and text != "yunet:")
    if not named and Path(text).suffix.lower() not in (".csv", ".json"):
        raise InputError(
            f"Unknown landmarks: {text!r}. {did_you_mean(text, LANDMARKERS)} A .csv or .json file of points, or "
            f"yunet:MODEL.onnx, works too.{hint(text)}"
        )


class LazyLandmarker:
    """Landmarker that is created when first needed; from a text, separately in each process."""

    def __init__(
        self,
        given: Landmarker | str | os.PathLike[str] | None,
        build: Callable[[str], Landmarker] = make_landmarker,
    ) -> None:
        """Store the arguments.

        Args:
            given: a landmarker, a text for ``build``, or None for none.
            build: a function at module level, so that it can be pickled.

        Raises:
            InputError, LandmarkError: ``given`` is none of these, see `check_landmarker`.
        """
        if given is not None:
            check_landmarker(given)
        self.given = given
        self._build = build
        self._built: Landmarker | None = None
        self._lock = threading.Lock()

    def get(self) -> Landmarker | None:
        """The landmarker itself; the same one in all threads."""
        if not isinstance(self.given, (str, os.PathLike)):
            return self.given
        with self._lock:
            if self._built is None:
                self._built = self._build(os.fspath(self.given))
            return self._built

    def files(self) -> list[Path]:
        """The file of points or of a model that was given, if any."""
        named = getattr(self.given, "path", self.given)
        if not isinstance(named, (str, os.PathLike)):
            return []
        whole = os.fspath(named)
        return [Path(text) for text in (whole, whole.partition(":")[2]) if text and os.path.isfile(text)][:1]

    def __getstate__(self) -> dict[str, Any]:
        return {"given": self.given, "_build": self._build}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["given"], state["_build"])  # type: ignore[misc]


def parse_face(face: str | int | None) -> str | int:
    """The setting ``several`` of a detector from what a user wrote.

    Args:
        face: one of `SEVERAL`, a number or its digits, or None.

    Raises:
        InputError: it is none of these.
    """
    several = "largest" if face is None else int(face) if isinstance(face, str) and face.isdecimal() else face
    try:
        check_several(several)
    except InputError:
        raise InputError(
            f"face is {face!r}; give largest, only, or a number: 1 is the face farthest to the image's left."
        ) from None
    return several


def refuse_face(face: str | int | None, landmarks: object) -> None:
    """Refuse the choice of a face if there is no detector.

    Args:
        face: what the user chose, None for nothing.
        landmarks: where the points come from, for the message.

    Raises:
        InputError: something was chosen.
    """
    if face is not None:
        raise InputError(
            f"face {face!r} chooses among the faces that a detector finds, but the points come from {landmarks}. Leave "
            "it out, or use a detector: yunet or face-alignment."
        )
