"""What a landmarker is, what detectors share, and the template."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from htnet.errors import InputError, LandmarkError, LowScoreError, MultipleFacesError, NoFaceError, did_you_mean
from htnet.preprocess.geometry import scale_points
from htnet.types import TEMPLATE_28, TEMPLATE_SIZE, Frame, Landmarks, Landmarks68

#: What to do when a frame shows several faces.
SEVERAL = ("largest", "raise")
#: What to do with a frame of a sequence that shows no acceptable face: stop with an error, or give None for it.
MISSING = ("raise", "none")

Item = TypeVar("Item")
Found = TypeVar("Found")


class Landmarker(Protocol):
    """Anything that gives the five points of a frame."""

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """Points of the face in ``frame``; ``sample`` is its identifier, for landmarkers that look it up."""
        ...


@runtime_checkable
class Landmarker68(Protocol):
    """A landmarker that finds 68 points by itself."""

    def points68(self, frame: Frame, sample: str = "") -> Landmarks68:
        """68 points of the face in ``frame``."""
        ...


class TemplateLandmarks:
    """The mean face, stretched over the frame: only for frames already cropped to the face.

    Never chosen by itself, because points that are not the face's own go wrong without a sign.
    """

    def __init__(self, template: Sequence[Sequence[float]] = TEMPLATE_28) -> None:
        """Keep the template.

        Args:
            template: five (x, y) in 28 px units, order `POINT_NAMES`.

        Raises:
            LandmarkError: not five finite (x, y).
        """
        try:
            points = np.asarray(template, dtype=np.float64)
        except ValueError:
            raise LandmarkError(f"The template is {template!r}; give five (x, y) in 28 px units.") from None
        self.template = Landmarks(points.astype(np.float32), "template").points

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """The template in pixels of ``frame``."""
        height, width = frame.size
        x = scale_points(self.template[:, 0], width / TEMPLATE_SIZE)
        y = scale_points(self.template[:, 1], height / TEMPLATE_SIZE)
        return Landmarks(np.stack([x, y], axis=1).astype(np.float32), "template")


def find_many(
    find: Callable[[Item], Found], frames: Iterable[Item], *, missing: str = "raise"
) -> Iterator[Found | None]:
    """Points of every frame of a sequence, one frame in memory at a time.

    Each frame is looked at by itself: nothing is tracked, and no frame takes the points of another.

    Args:
        find: a landmarker, or its ``points68``.
        frames: any number of frames, or whatever ``find`` takes.
        missing: one of `MISSING`. "none" gives None for frames without a face, or with a low score only.

    Returns:
        One result a frame, in order, made as it is asked for.

    Raises:
        InputError: ``missing`` is neither.
        LandmarkError: (while reading on) a frame's points cannot be found; the message begins with its number,
            counted from 0.
    """
    check_missing(missing)
    return _find_each(find, frames, missing)


def _find_each(find: Callable[[Item], Found], frames: Iterable[Item], missing: str) -> Iterator[Found | None]:
    for number, frame in enumerate(frames):
        try:
            yield find(frame)
        except (NoFaceError, LowScoreError) as error:
            if missing == "raise":
                raise about_frame(number, error) from error
            yield None
        except LandmarkError as error:
            raise about_frame(number, error) from error


def about_frame(number: int, error: LandmarkError) -> LandmarkError:
    """The same error with the frame's number in front."""
    return type(error)(f"Frame {number} (counted from 0): {error}")


def check_missing(missing: str) -> None:
    """Refuse a value that is not in `MISSING`.

    Raises:
        InputError: it is not.
    """
    if missing not in MISSING:
        raise InputError(f"missing is {missing!r}. {did_you_mean(str(missing), MISSING)}")


def check_several(several: str) -> None:
    """Refuse a value that is not in `SEVERAL`.

    Raises:
        InputError: it is not.
    """
    if several not in SEVERAL:
        raise InputError(f"several is {several!r}. {did_you_mean(str(several), SEVERAL)}")


def choose_face(areas: Sequence[float], several: str, frame: Frame) -> int:
    """Index of the largest face.

    Args:
        areas: one per face.
        several: one of `SEVERAL`.
        frame: for the message.

    Raises:
        MultipleFacesError: there are several and ``several`` is "raise".
    """
    if len(areas) > 1 and several == "raise":
        raise MultipleFacesError(
            f"{len(areas)} faces in {frame.source}; crop the frame to one, give its landmarks, or accept the "
            "largest with several='largest'."
        )
    return int(np.argmax(areas))


def no_face(frame: Frame) -> NoFaceError:
    """The error for a frame without a face."""
    height, width = frame.size
    return NoFaceError(
        f"No face found in {frame.source} ({width}x{height} px); crop it nearer to the face or brighten it, "
        "give the five landmarks, or use the landmarks 'template' if the frame is already cropped to the face."
    )
