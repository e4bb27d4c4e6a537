"""What a landmarker is, what detectors share, and the template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from htnet.errors import InputError, LandmarkError, MultipleFacesError, NoFaceError, did_you_mean
from htnet.preprocess.align import scale_points
from htnet.types import TEMPLATE_28, TEMPLATE_SIZE, Frame, Landmarks

#: What to do when a frame shows several faces.
SEVERAL = ("largest", "raise")


class Landmarker(Protocol):
    """Anything that gives the five points of a frame."""

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """Points of the face in ``frame``; ``sample`` is its identifier, for landmarkers that look it up."""
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
