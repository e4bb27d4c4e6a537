"""An apex that does not show the onset's face in its place is told as such."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import htnet

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"


def picture(name):
    return cv2.imread(str(SAMPLE / name))[..., ::-1].copy()


#: What may be given as apex by mistake, and whether it must be told.
APEXES = {
    "apex": (lambda apex: apex, False),
    "darker": (lambda apex: (apex * 0.5).astype(np.uint8), False),
    "moved a little": (lambda apex: np.roll(apex, 4, 1), False),
    "clockwise": (lambda apex: np.rot90(apex, -1), True),
    "upside down": (lambda apex: np.rot90(apex, 2), True),
    "counterclockwise": (lambda apex: np.rot90(apex), True),
    "mirrored": (lambda apex: apex[:, ::-1], True),
    "negative": (lambda apex: 255 - apex, True),
    "noise": (lambda apex: np.random.default_rng(0).integers(0, 256, apex.shape).astype(np.uint8), True),
    "moved far": (lambda apex: np.roll(apex, 32, 1), True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", APEXES)
def test_another_picture_as_apex_is_told(name):
    change, told = APEXES[name]
    found = htnet.Predictor().pair(picture("onset.png"), np.ascontiguousarray(change(picture("apex.png"))))
    assert ("unlike_frames" in [warning.code for warning in found.warnings]) == told
