"""Contrast of the gray face on which flow is computed."""

from __future__ import annotations

import numpy as np

from htnet.core.arrays import plain_array
from htnet.core.deprecated import renamed_arguments
from htnet.core.errors import FrameError
from htnet.core.types import ByteArray, Frame, PreprocessSpec
from htnet.preprocess.frames import to_gray
from htnet.preprocess.opencv import load_opencv

#: Settings of `clahe`, those of the published dual-stream HTNet.
CLIP_LIMIT, TILES = 2.0, 8


@renamed_arguments
def clahe(gray: ByteArray) -> ByteArray:
    """Contrast-limited adaptive histogram equalization: clip limit 2, 8x8 tiles (Zuiderveld 1994; OpenCV).

    Each frame is equalized separately, so its effect on the brightness of a face may differ slightly between
    frames; see the documentation of the input.

    Args:
        gray: (H, W) uint8.

    Returns:
        (H, W) uint8.

    Raises:
        FrameError: the frame has another shape or type, or a pixel is masked.
    """
    gray = plain_array(gray, "The frame has", FrameError)
    if gray.ndim != 2 or not gray.size or gray.dtype != np.uint8:
        raise FrameError(f"The frame has shape {gray.shape}, type {gray.dtype}; give a gray frame, (H, W) uint8.")
    cv2 = load_opencv()
    return np.asarray(cv2.createCLAHE(clipLimit=CLIP_LIMIT, tileGridSize=(TILES, TILES)).apply(gray), dtype=np.uint8)


def gray_face(face: Frame, spec: PreprocessSpec) -> ByteArray:
    """Convert an aligned face for the flow methods: (H, W) uint8 gray, equalized if the spec requires it."""
    gray = to_gray(face)
    return clahe(gray) if spec.clahe else gray
