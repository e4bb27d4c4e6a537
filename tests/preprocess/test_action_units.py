import cv2
import numpy as np
import pytest

from benchmarks.action_units import SAMPLE, SAMPLE_PEAK, SAMPLE_UNIT, UNITS, displacement, face_crop
from htnet.core.errors import InputError
from htnet.core.types import TEMPLATE_28
from htnet.preprocess.flow.compute import compute_flow
from htnet.preprocess.flow.warp import displace
from tests.preprocess.faces import end_point_error

POINTS = np.array(TEMPLATE_28) * 8
UPRIGHT = np.array([[60, 66], [160, 66], [110, 118], [70, 160], [150, 160]], float)


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_fields_are_smooth_and_as_long_as_asked(unit):
    field = displacement(unit, POINTS, (224, 224), 2.0)
    assert field.shape == (2, 224, 224)
    assert field.dtype == np.float32
    assert np.hypot(*field).max() == pytest.approx(2.0, rel=1e-5)
    assert np.abs(np.gradient(field, axis=(1, 2))).max() < 0.2
    assert np.allclose(displacement(unit, POINTS, (224, 224), 4.0), 2 * field)


def at(field, point):
    x, y = np.rint(point).astype(int)
    return field[:, y, x]


def test_directions():
    smile = displacement("AU12", UPRIGHT, (224, 224), 1)
    assert at(smile, UPRIGHT[3])[0] < -0.3 < 0.3 < at(smile, UPRIGHT[4])[0]
    assert max(at(smile, UPRIGHT[3])[1], at(smile, UPRIGHT[4])[1]) < -0.4
    frown = displacement("AU4", UPRIGHT, (224, 224), 1)
    left, right = at(frown, UPRIGHT[0] + [20, -33]), at(frown, UPRIGHT[1] + [-20, -33])
    assert left[0] > 0.3 > -0.3 > right[0]
    assert min(left[1], right[1]) > 0.4
    surprise = displacement("AU1+2+25", UPRIGHT, (224, 224), 1)
    assert at(surprise, UPRIGHT[0] + [0, -35])[1] < -0.5
    assert at(surprise, [110, 180])[1] > 0.5
    assert at(displacement("AU15", UPRIGHT, (224, 224), 1), UPRIGHT[4])[1] > 0.9
    dimple = at(displacement("AU14", UPRIGHT, (224, 224), 1), UPRIGHT[3])
    assert dimple[0] < -0.8
    assert abs(dimple[1]) < 0.05


def test_field_is_symmetric_and_turns_with_the_face():
    field = displacement("AU12", UPRIGHT, (221, 221), 1)  # symmetric about x = 110
    assert np.allclose(field[0], -field[0][:, ::-1], atol=1e-5)
    assert np.allclose(field[1], field[1][:, ::-1], atol=1e-5)
    center, angle = np.array([110, 110]), np.deg2rad(30)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = (UPRIGHT - center) @ turn.T + center
    tilted = displacement("AU12", turned, (221, 221), 1)
    assert np.allclose(at(tilted, turned[3]), turn @ at(field, UPRIGHT[3]), atol=0.03)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"'AU21'\. Did you mean .*'AU12'"):
        displacement("AU21", UPRIGHT, (224, 224), 1)
    with pytest.raises(InputError, match="image-left eye first"):
        displacement("AU12", UPRIGHT[[1, 0, 2, 4, 3]], (224, 224), 1)


def _assert_same_but_for_rounding(image, other):
    difference = np.abs(image.astype(int) - other)
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 10


def test_bundled_sample_is_as_documented():
    onset, apex = (cv2.imread(str(SAMPLE / name))[..., ::-1] for name in ("onset.png", "apex.png"))
    face, points = face_crop()
    # OpenCV 5.0 rounds a few values of a cubic resize otherwise on AMD EPYC than on Intel Xeon.
    _assert_same_but_for_rounding(onset, face)
    assert np.abs(points / 8 - TEMPLATE_28).max() < 2
    field = displacement(SAMPLE_UNIT, points, (224, 224), SAMPLE_PEAK)
    _assert_same_but_for_rounding(displace(onset, field), apex)
    gray = [cv2.cvtColor(np.ascontiguousarray(f), cv2.COLOR_RGB2GRAY) for f in (onset, apex)]
    assert end_point_error(compute_flow(*gray).uv, field) < 0.05
