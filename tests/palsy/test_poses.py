"""Faces that are cut off or turned are refused by everything that looks at one picture of a face."""

import cv2
import numpy as np
import pytest

from htnet.core.errors import PoseError
from htnet.core.types import Frame, Landmarks
from htnet.data.prepare import read_report
from htnet.palsy import PALSY_SPEC, align_face, face_asymmetry
from htnet.preprocess import YuNetLandmarker, make_landmarker
from tests.preprocess.test_verified import PORTRAIT, TRUE
from tests.support.pairs import save


def test_asymmetry_of_a_face_at_the_edge_is_refused():
    points = YuNetLandmarker()(Frame(PORTRAIT)).points
    cut = int(points[:, 0].min()) - 10
    near = Landmarks(points - np.array([cut, 0], np.float32), "mine")
    with pytest.raises(PoseError, match="asymmetry cannot be measured"):
        face_asymmetry(np.ascontiguousarray(PORTRAIT[:, cut:]), near)


def test_asymmetry_of_a_half_profile_is_refused():
    half = TRUE + np.array([[0, 0], [0, 0], [16, 0], [0, 0], [0, 0]])
    with pytest.raises(PoseError, match="asymmetry cannot be measured"):
        face_asymmetry(PORTRAIT, Landmarks(half, "mine"), size=64)


@pytest.mark.parametrize("degrees", [-40, 90, 180])
def test_palsy_commands_refuse_turned_faces(degrees, tmp_path, fail, succeed):
    matrix = cv2.getRotationMatrix2D((145.0, 120.0), degrees, 1.0)
    turned = cv2.warpAffine(PORTRAIT, matrix, (300, 300)) if degrees % 90 else np.rot90(PORTRAIT, degrees // 90)
    path = save(tmp_path / "turned.png", turned)
    save(tmp_path / "good.png", PORTRAIT)
    assert "it seems rotated by about" in fail("palsy", "asymmetry", str(path))
    with pytest.raises(PoseError, match="it seems rotated by about"):  # as palsy predict and visualize do it
        align_face(Frame(turned, "turned.png"), make_landmarker("yunet"), PALSY_SPEC)
    (tmp_path / "m.csv").write_text("image_path,grade,patient\nturned.png,2,a\ngood.png,2,b\n")
    succeed("palsy", "prepare", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out"), "--workers", "1")
    report = read_report(tmp_path / "out")
    assert (report.prepared, report.left_out) == (1, 1)
    assert "it seems rotated by about" in report.failed["turned"]
