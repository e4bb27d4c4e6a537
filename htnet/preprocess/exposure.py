"""Checks of a face's contrast and exposure for motion measurement."""

from __future__ import annotations

import numpy as np

from htnet.core.types import ByteArray, QualityWarning

#: Standard deviation of an aligned face, gray levels: below the first the answer is doubtful, below the second nothing
#: can be measured, because sensor noise and the rounding to whole gray levels are as large as the face's own contrast.
LOW_CONTRAST, NO_CONTRAST = 10.0, 2.0
#: Share of the inner face at the darkest or the brightest values from which a face counts as wrongly exposed.
CLIPPED = 0.15
# Pixels up to the first value count as darkest, from the second value on as brightest.
_DARKEST, _BRIGHTEST = 2, 253


def face_contrast(gray: ByteArray) -> float:
    """Standard deviation of the inner face, gray levels.

    Args:
        gray: (H, W) uint8, an aligned face; an eighth at each side, hair and background, is left out.
    """
    return float(_inner(gray).std())


def face_light(gray: ByteArray) -> float:
    """Mean of the inner face, gray levels; see `face_contrast`."""
    return float(_inner(gray).mean())


def exposure_warnings(gray: ByteArray, source: str) -> tuple[QualityWarning, ...]:
    """Warnings if contrast or exposure of a face make its motion unreliable.

    Args:
        gray: (H, W) uint8, the aligned face.
        source: its origin, for the message.
    """
    found = []
    contrast = face_contrast(gray)
    if contrast < LOW_CONTRAST:
        state = (
            "nothing can be measured on it" if contrast < NO_CONTRAST else "small motions drown in the camera's noise"
        )
        message = (
            f"The face in {source} has little contrast (standard deviation {contrast:.1f} gray levels; "
            f"{LOW_CONTRAST:g} or more are needed): {state}. Record with more light, or without haze or strong "
            "compression."
        )
        found.append(QualityWarning("low_contrast", message))
    inner = _inner(gray)
    for clipped, what, cure in (
        (inner >= _BRIGHTEST, "white", "less light or a shorter exposure"),
        (inner <= _DARKEST, "black", "more light"),
    ):
        share = float(clipped.mean())
        if share > CLIPPED:
            message = f"{share:.0%} of the face in {source} is {what}: no motion is visible there. Record with {cure}."
            found.append(QualityWarning("exposure", message))
    return tuple(found)


def _inner(gray: ByteArray) -> ByteArray:
    height, width = gray.shape
    return np.asarray(gray[height // 8 : height - height // 8, width // 8 : width - width // 8])
