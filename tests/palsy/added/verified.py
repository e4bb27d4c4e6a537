"""Ways in which points reach a face, for tests/preprocess/test_verified.py."""

from htnet.palsy import PALSY_SPEC, align_face, face_asymmetry

WAYS = {
    "palsy": lambda rgb, points: align_face(rgb, lambda frame, sample="": points(rgb), PALSY_SPEC)[1],
    "asymmetry": lambda rgb, points: face_asymmetry(rgb, points(rgb), size=64),
}
