"""Check that an apex shows the same face as its onset, in the same place."""

from __future__ import annotations

import math

import numpy as np

from htnet.core.types import ByteArray, QualityWarning

#: Correlation of the two aligned faces below which flow between them cannot show an expression. The bundled pair has
#: 0.999; shifted by 4 % of the face it has 0.80, tilted by 10 degrees 0.68, rotated by 90 degrees or mirrored 0.3 or
#: less.
UNLIKE = 0.6


def likeness(onset: ByteArray, apex: ByteArray) -> float:
    """Correlation of two aligned faces, -1 to 1; NaN if one of them is constant.

    Args:
        onset: (H, W) uint8.
        apex: (H, W) uint8, aligned as the onset is.
    """
    one, other = (np.asarray(face, dtype=np.float64) - np.mean(face, dtype=np.float64) for face in (onset, apex))
    scale = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / scale if scale > 0 else math.nan


def likeness_warnings(onset: ByteArray, apex: ByteArray, sources: tuple[str, str]) -> tuple[QualityWarning, ...]:
    """A warning if the apex hardly resembles the onset at the position of the onset's face.

    Args:
        onset: (H, W) uint8, the aligned face.
        apex: (H, W) uint8, aligned as the onset is.
        sources: their origins, for the message.
    """
    alike = likeness(onset, apex)
    if not alike < UNLIKE:  # NaN without contrast, of which other checks warn
        return ()
    first, second = sources
    which = (
        f"{second} hardly shows the face of {first} at the same position"
        if first != second
        else ("The apex hardly shows the face of the onset at the same position")
    )
    message = (
        f"{which} (correlation {alike:.2f}; {UNLIKE:g} or more is needed): the measured motion is not an expression. "
        "Check that both are frames of one recording with the same rotation, and that neither head nor light changed "
        "between them."
    )
    return (QualityWarning("unlike_frames", message),)
