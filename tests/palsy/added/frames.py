"""Functions that take pictures as arrays, for tests/preprocess/test_frames.py."""

from htnet.palsy import face_asymmetry
from tests.support.pairs import POINTS, face

TAKERS = {"asymmetry": (face(), lambda array: face_asymmetry(array, POINTS))}
