"""The aligned face of a recording: where it is sampled, and that what is finer than its pixels does not fold back."""

import numpy as np
import pytest

from htnet.core.types import Frame
from htnet.preprocess.video.face_motion import FACE
from htnet.recordings.faces import inverse
from htnet.recordings.follow import gray_face


def a_matrix(scale, x=0.0):
    """The aligned face is ``FACE / scale`` px of the frame wide; it begins at px 40 + x and 30 of the frame."""
    return np.array([[scale, 0, -scale * (40 + x)], [0, scale, -scale * 30]])


@pytest.mark.parametrize("scale", [0.15, 0.24, 0.26, 0.5, 0.9, 1.3])
def test_places_are_the_same_at_every_size(scale):
    side = int(FACE / scale) + 120
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    picture = np.rint(20 + 100 * x / side + 100 * y / side).astype(np.uint8)
    matrix = a_matrix(scale)
    at = inverse(matrix) @ np.array([56.0, 70.0, 1.0])
    wanted = 20 + 100 * at[0] / side + 100 * at[1] / side
    found = gray_face(Frame(np.repeat(picture[..., None], 3, axis=2), "a slope"), matrix)
    assert (found.shape, found.dtype) == ((FACE, FACE), np.float32)
    step = 100 / side / scale  # gray levels a px of the aligned face
    assert found[70, 56] == pytest.approx(wanted, abs=0.1 * step + 0.3)


@pytest.mark.parametrize("scale", [0.2, 0.7])
def test_what_is_finer_than_a_pixel_leaves_no_pattern(scale):
    stripes = np.full((int(FACE / scale) + 120,) * 2, 100, np.uint8)
    stripes[:, :: max(2, round(1 / scale / 1.3))] = 180  # 1.3 times as fine as the aligned face's pixels
    frame = Frame(np.repeat(stripes[..., None], 3, axis=2), "stripes")
    found = gray_face(frame, a_matrix(scale, 0.37))
    assert found[5:-5, 5:-5].std() < 0.1 * stripes.std()
