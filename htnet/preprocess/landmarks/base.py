"""Landmarker interface, common parts of the detectors, and the template."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import real_array
from htnet.core.errors import (
    InputError,
    LandmarkError,
    LowScoreError,
    MultipleFacesError,
    NoFaceError,
    PoseError,
    did_you_mean,
    prefixed,
)
from htnet.core.fields import native, one_of
from htnet.core.ownership import is_ours
from htnet.core.types import TEMPLATE_28, TEMPLATE_SIZE, Frame, Landmarks, Landmarks68, QualityWarning
from htnet.preprocess.geometry import scale_points

#: Which face to use if a frame shows several: the largest, with a warning; or none: "raise" and "only" both raise an
#: error. An integer N uses the N-th face from the image's left, counted from 1.
SEVERAL = ("largest", "raise", "only")
#: What to do with a frame of a sequence that shows no acceptable face: stop with an error, or give None for it.
MISSING = ("raise", "none")

Item = TypeVar("Item")
Found = TypeVar("Found")
Points = TypeVar("Points", Landmarks, Landmarks68)


class Landmarker(Protocol):
    """Callable that returns the five points of a frame."""

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """Points of the face in ``frame``; ``sample`` is its identifier, for landmarkers that look it up."""
        ...


@runtime_checkable
class Landmarker68(Protocol):
    """Landmarker that detects 68 points."""

    def points68(self, frame: Frame, sample: str = "") -> Landmarks68:
        """68 points of the face in ``frame``."""
        ...


class TemplateLandmarks:
    """The mean face, stretched over the frame: only for frames already cropped to the face.

    Used only on request, because points that are not the face's own cause undetected errors.
    """

    def __init__(self, template: Sequence[Sequence[float]] = TEMPLATE_28) -> None:
        """Keep the template.

        Args:
            template: five (x, y) in 28 px units, order `POINT_NAMES`.

        Raises:
            LandmarkError: not five finite (x, y).
        """
        points = real_array(template, "Points of the template", LandmarkError, "five (x, y) in 28 px units")
        self.template = Landmarks(points, "template").points

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """The template in pixels of ``frame``."""
        height, width = frame.size
        x = scale_points(self.template[:, 0], width / TEMPLATE_SIZE)
        y = scale_points(self.template[:, 1], height / TEMPLATE_SIZE)
        return Landmarks(np.stack([x, y], axis=1).astype(np.float32), "template")


def found_by(find: Callable[..., Any], frame: Frame, sample: str, kind: type[Points]) -> Points:
    """Call a landmarker, or its ``points68``, and check what it returns. Every landmarker is called here.

    A landmarker that is not part of htnet gets a copy of the frame: some draw the points they find into it.

    Args:
        find: a landmarker, or its ``points68``.
        frame: the frame.
        sample: its identifier.
        kind: `Landmarks` or `Landmarks68`; the five points of 68 are used where five are expected.

    Raises:
        LandmarkError: ``find`` cannot be called with a frame and a name, or returns something else; or it raises this.
    """
    name, ours = check_call(find)
    if not ours:
        frame = replace(frame, pixels=frame.pixels.copy())
    found = find(frame, sample)
    if isinstance(found, Landmarks68) and kind is Landmarks:
        found = found.five()
    if not isinstance(found, kind):
        what = "None" if found is None else f"a value of type {type(found).__name__}"
        count = "five (x, y)" if kind is Landmarks else "68 (x, y)"
        raise LandmarkError(
            f"The landmarker {name} returned {what} for {frame.source}. Return htnet.types.{kind.__name__}(points, "
            f"source), with {count} in px of the frame, or raise htnet.errors.NoFaceError if there is no face."
        )
    return found


def check_call(find: Any) -> tuple[str, bool]:
    """Refuse what is no landmarker, without calling it.

    Returns:
        The name of the landmarker, and whether it is part of htnet.

    Raises:
        LandmarkError: ``find`` cannot be called with a frame and a name.
    """
    owner = getattr(find, "__self__", find)
    name = getattr(owner, "__qualname__", type(owner).__qualname__)
    if callable(find) and is_ours(type(owner)):
        return name, True
    if not callable(find):
        raise LandmarkError(
            f"The landmarker is of type {name}, which cannot be called. Give 'yunet', another name or file for "
            "make_landmarker, or a function of a frame and a sample's name. Points of one frame are not a landmarker: "
            "give them with the frame."
        )
    try:
        inspect.signature(find).bind(None, "")
    except TypeError:
        raise LandmarkError(
            f"The landmarker {name} cannot be called with a frame and a sample's name. Define it as def {name}(frame, "
            'sample=""); frame.pixels are (H, W, 3) uint8 RGB.'
        ) from None
    except ValueError:  # a built-in function has no signature to check
        pass
    return name, False


def find_many(
    find: Callable[[Item], Found], frames: Iterable[Item], *, missing: str = "raise"
) -> Iterator[Found | None]:
    """Points of every frame of a sequence, one frame in memory at a time.

    Each frame is processed separately: nothing is tracked, and no frame takes the points of another.

    Args:
        find: a landmarker, or its ``points68``.
        frames: any number of frames, or whatever ``find`` takes.
        missing: one of `MISSING`. "none" yields None for frames without a face, with a low score only, or with a face
            that is turned away.

    Returns:
        One result per frame, in order, computed lazily.

    Raises:
        InputError: ``missing`` is not one of `MISSING`.
        LandmarkError: (while reading on) a frame's points cannot be found; the message begins with its number,
            counted from 0.
    """
    check_missing(missing)
    return _find_each(find, frames, missing)


def _find_each(find: Callable[[Item], Found], frames: Iterable[Item], missing: str) -> Iterator[Found | None]:
    for number, frame in enumerate(frames):
        try:
            yield find(frame)
        except (NoFaceError, LowScoreError, PoseError) as error:
            if missing == "raise":
                raise about_frame(number, error) from error
            yield None
        except LandmarkError as error:
            raise about_frame(number, error) from error


def about_frame(number: int, error: LandmarkError) -> LandmarkError:
    """Return the same error with the frame's number in front."""
    return prefixed(f"Frame {number} (counted from 0)", error)


def check_missing(missing: str) -> None:
    """Refuse a value that is not in `MISSING`.

    Raises:
        InputError: the value is refused.
    """
    one_of(MISSING).check("missing", missing)


def check_several(several: str | int) -> None:
    """Refuse a value that is neither in `SEVERAL` nor a number of 1 or more.

    Raises:
        InputError: the value is refused.
    """
    several = native(several)
    number = isinstance(several, int) and not isinstance(several, bool)
    if not (several >= 1 if isinstance(several, int) and number else several in SEVERAL):
        raise InputError(
            f"several is {several!r}. {did_you_mean(several, SEVERAL)} Or give a number: N takes the N-th face "
            "from the image's left, counted from 1."
        )


def choose_face(boxes: npt.ArrayLike, several: str | int, frame: Frame) -> tuple[int, tuple[QualityWarning, ...]]:
    """Choose the face, with a warning if another might have been meant.

    Args:
        boxes: (N, 4), x, y, width and height of each face.
        several: see `SEVERAL`.
        frame: for the messages.

    Returns:
        Its index, and the warning "several_faces" if the largest of several was chosen.

    Raises:
        MultipleFacesError: there are several and ``several`` is "raise" or "only", or there are fewer than its number.
    """
    x, _, width, height = real_array(boxes, "Boxes of faces", LandmarkError, dtype=np.float64).reshape(-1, 4).T
    from_left = np.argsort(x + width / 2, kind="stable").tolist()
    count, several = len(from_left), native(several)
    if isinstance(several, int):
        if several > count:
            faces = "There is one face" if count == 1 else f"There are {count} faces"
            raise MultipleFacesError(
                f"{faces} in {frame.source}, but face {several} from the left was requested; give a number from 1 to "
                f"{count}."
            )
        return from_left[several - 1], ()
    if count > 1 and several != "largest":
        raise MultipleFacesError(
            f"{count} faces in {frame.source}; crop the frame to one, give its landmarks, accept the largest with "
            f"several='largest', or choose one by its number from the left: several=1 to {count} (on the command line "
            "--face)."
        )
    largest = int(np.argmax(width * height))
    if count == 1:
        return largest, ()
    number = from_left.index(largest) + 1
    text = (
        f"{count} faces were found in {frame.source}; the largest was used, number {number} from the image's left. "
        f"Choose with --face 1 to {count} (in Python several=)."
    )
    return largest, (QualityWarning("several_faces", text),)


def no_face(frame: Frame) -> NoFaceError:
    """The error for a frame without a face."""
    height, width = frame.size
    return NoFaceError(
        f"No face found in {frame.source} ({width}x{height} px); crop it closer to the face or brighten it, "
        "give the five landmarks, or use the landmarks 'template' if the frame is already cropped to the face."
    )
