"""Ways in which landmarkers of one's own are called, for tests/preprocess/test_own_landmarkers.py."""

from skimage.data import astronaut

from htnet.palsy import PALSY_SPEC, align_face, face_asymmetry

PICTURE = astronaut()[:300, 100:400]


def through_palsy(landmarker):
    return align_face(PICTURE, landmarker, PALSY_SPEC)[1].points


def through_asymmetry(landmarker):
    return str(face_asymmetry(PICTURE, landmarker))


WAYS = (through_palsy, through_asymmetry)
