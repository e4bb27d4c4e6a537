"""Whether two frames differ by an expression: told from the motion, not from the network's scaled input."""

import numpy as np
import pytest

from benchmarks.action_units import UNITS, displacement
from benchmarks.expression_pairs import Change, make_pair
from benchmarks.turned_heads import SOLID, make_turned_pair
from htnet.core.types import NO_EXPRESSION, Frame, Landmarks, PreprocessSpec
from htnet.preprocess import Preprocessor, displace
from htnet.preprocess.evidence import answered, expression_probability, expression_strength
from htnet.preprocess.flow.registration import CellMotion, face_units
from tests.preprocess.faces import gray_face
from tests.preprocess.test_registration import POINTS, SIDE, moved_head, seen

TRUTH = Landmarks(POINTS, "truth")


@pytest.fixture(scope="module")
def portrait():
    return np.pad(gray_face(0), 32, mode="reflect")


def expressive(portrait, unit, peak):
    field = displacement(unit, POINTS, (SIDE, SIDE), peak)
    return displace(np.rint(portrait).clip(0, 255).astype(np.uint8), field).astype(float)


@pytest.mark.parametrize(
    ("head", "noise", "light"),
    [
        ({}, 0.5, 1.0),
        ({}, 3.0, 1.0),
        ({}, 1.0, 1.03),
        ({"shift": (5.0, 0.0)}, 1.0, 1.0),
        ({"degrees": 2.0}, 1.0, 1.0),
        ({"shift": (-3.0, 4.0), "degrees": -2.0, "growth": 0.01}, 2.0, 0.97),
    ],
)
def test_noise_light_and_the_head_are_no_expression(portrait, head, noise, light, rng):
    onset, apex = seen(portrait, np.eye(3), rng, noise), seen(portrait * light, moved_head(**head), rng, noise)
    assert expression_probability(onset, apex, TRUTH) < 0.5


@pytest.mark.parametrize("unit", sorted(UNITS))
@pytest.mark.parametrize("head", [{}, {"shift": (3.0, -4.0), "degrees": 1.0}])
def test_an_expression_of_one_pixel_is_seen(portrait, unit, head, rng):
    onset, apex = seen(portrait, np.eye(3), rng), seen(expressive(portrait, unit, 1.0), moved_head(**head), rng)
    assert expression_probability(onset, apex, TRUTH) > 0.5


def test_the_more_moves_the_surer(portrait, rng):
    onset = seen(portrait, np.eye(3), rng)
    found = [
        expression_probability(onset, seen(expressive(portrait, "AU12", peak), np.eye(3), rng), TRUTH)
        for peak in (0.1, 0.4, 1.5)
    ]
    assert found == sorted(found)
    assert found[0] < 0.5 < found[2]


def cells(u, v):
    return CellMotion(np.stack([u, v], -1), np.broadcast_to(100.0 * np.eye(2), (28, 28, 2, 2)).copy(), 1.0)


def test_strength_of_known_motions():
    """Hand-made cells with a standard error of 0.1 px, sqrt(0.1^2 + 0.08^2) = 0.128 px with the floor."""
    x, y = np.moveaxis(face_units(), -1, 0)
    none = np.zeros_like(x)
    assert expression_strength(cells(none, none)) == pytest.approx(0, abs=1e-9)
    head = cells(0.3 + 0.1 * x - 0.2 * y + 0.1 * x * x, -0.4 + 0.15 * x)
    assert expression_strength(head) < 0.05, "a shift, a turn, a nearing head and a turn aside are taken out"
    mouth = (np.abs(x) < 0.3) & (np.abs(y - 0.95) < 0.15)
    assert mouth.sum() > 8
    strong = expression_strength(cells(none, np.where(mouth, 0.64, 0.0)))
    assert strong == pytest.approx(0.64 / 0.128 / 3.0, rel=0.1)


def test_a_nose_of_another_shape_is_no_expression_in_a_head_that_turns():
    x, y = np.moveaxis(face_units(), -1, 0)
    none = np.zeros_like(x)
    nose = np.exp(-0.5 * ((x / 0.12) ** 2 + ((y - 0.45) / 0.2) ** 2))
    turned = cells(3.4 * (0.3 * nose - 0.4 * x * x), none)  # 2 degrees
    assert expression_strength(turned) < 1
    cheek = np.exp(-0.5 * (((x - 0.6) / 0.2) ** 2 + ((y - 0.5) / 0.2) ** 2))
    assert expression_strength(cells(turned.uv[..., 0], -1.5 * cheek)) > 1


def test_a_background_that_stays_is_no_expression_where_the_head_has_moved():
    below = np.where(face_units()[..., 1] > 1.25, -5.0, 0.0)
    behind = cells(below, np.zeros_like(below))
    moved = np.eye(3)
    moved[0, 2] = 5.0
    assert expression_strength(behind, matrix=moved) < 1
    assert expression_strength(behind, matrix=np.eye(3)) > 1, "a chin that moves on a still head"


def test_lids_that_close_are_no_expression_and_a_rising_fold_is_one():
    x, y = np.moveaxis(face_units(), -1, 0)
    eyes = np.exp(-0.5 * (((np.abs(x) - 0.5) / 0.17) ** 2 + ((y + 0.02) / 0.1) ** 2))
    none = np.zeros_like(x)
    fold = np.exp(-0.5 * (((np.abs(x) - 0.5) / 0.2) ** 2 + ((y + 0.2) / 0.07) ** 2))
    assert expression_strength(cells(none, 1.5 * eyes + 0.4 * fold)) < 1
    assert expression_strength(cells(none, -1.5 * eyes - 0.4 * fold)) > 1


@pytest.mark.parametrize(("face", "person", "draw"), [("drawn", 41058, 20034), ("shaded", 41018, 20054)])
def test_eyes_that_look_aside_are_no_expression(face, person, draw):
    """Both look up too: the windows of the cells below the eyes hold some of them, and were taken for risen skin."""
    onset, apex, points = make_pair(person, face, Change(gaze=4.0), draw=draw)
    assert expression_probability(Frame(onset), Frame(apex), Landmarks(points, "truth")) < 0.5


def test_skin_that_rises_below_still_eyes_is_an_expression_and_what_looking_eyes_carry_along_is_none():
    x, y = np.moveaxis(face_units(), -1, 0)
    none, aside = np.zeros_like(x), np.exp(-0.5 * ((np.abs(x) - 0.5) / 0.15) ** 2)
    carried = np.where((y > -0.1) & (y < 0.24), -1.0, 0.0) * aside
    risen = np.where((y > 0.13) & (y < 0.33), -0.35, 0.0) * aside
    assert expression_strength(cells(none, carried)) < 1
    assert expression_strength(cells(none, risen)) > 1


def test_a_face_beside_its_equal_and_a_frame_of_one_gray(portrait, rng):
    onset = seen(portrait, np.eye(3), rng)
    flat = Frame(np.full((SIDE, SIDE, 3), 90, np.uint8))
    make = Preprocessor(PreprocessSpec(flow="dis"), evidence=True)
    for apex in (onset, flat):
        made = make.pair(onset, apex, POINTS)
        assert made.motionless
        assert made.expression == 0
    assert Preprocessor(PreprocessSpec(flow="dis")).pair(onset, onset, POINTS).expression is None


def test_what_cannot_be_registered_is_not_told(portrait, rng, monkeypatch):
    from htnet.core.errors import FlowError

    def refuse(*_):
        raise FlowError("The face of b cannot be registered to that of a.")

    monkeypatch.setattr("htnet.preprocess.evidence.register", refuse)
    frames = seen(portrait, np.eye(3), rng), seen(portrait, moved_head((1.0, 0.0)), rng)
    made = Preprocessor(PreprocessSpec(flow="dis"), evidence=True).pair(*frames, POINTS)
    assert made.expression is None
    (warning,) = [w for w in made.warnings if w.code == "unregistered"]
    assert "so a class is predicted: The face of b cannot be registered" in warning.message


def test_evidence_does_not_change_the_input(portrait, rng):
    frames = seen(portrait, np.eye(3), rng), seen(expressive(portrait, "AU4", 1.0), moved_head((2.0, 0.0)), rng)
    with_it, without = (
        Preprocessor(PreprocessSpec(flow="dis"), evidence=e).pair(*frames, POINTS) for e in (True, False)
    )
    np.testing.assert_array_equal(with_it.image, without.image)
    np.testing.assert_array_equal(with_it.flow.uv, without.flow.uv)


@pytest.mark.parametrize(
    ("expression", "always", "answer"),
    [(0.49, False, NO_EXPRESSION), (0.5, False, "positive"), (None, False, "positive"), (0.0, True, "positive")],
)
def test_the_answer(expression, always, answer):
    assert answered("positive", expression, always) == answer


@pytest.mark.parametrize("turn", [(2.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 2.0)])
def test_a_solid_head_that_turns_is_no_expression(turn):
    """Two people with noses and depths of their own; most such pairs were called an expression before."""
    for person in (100001, 100002):
        onset, apex, points = make_turned_pair(person, SOLID, turn)
        assert expression_probability(Frame(onset), Frame(apex), Landmarks(points, "truth")) < 0.5


def test_an_expression_on_a_solid_head_is_seen_though_the_background_stays():
    onset, apex, points = make_turned_pair(100001, SOLID, (0.0, 0.0, 0.0), shift=5.0)
    assert expression_probability(Frame(onset), Frame(apex), Landmarks(points, "truth")) < 0.5
    onset, apex, points = make_turned_pair(100001, SOLID, (0.0, 0.0, 0.0), (12,), 1.0, shift=5.0)
    assert expression_probability(Frame(onset), Frame(apex), Landmarks(points, "truth")) > 0.5


@pytest.mark.slow
def test_pairs_of_the_benchmark_move_as_they_say():
    onset, apex, points = make_pair(3, "shaded", Change(noise=0.0))
    assert np.abs(onset.astype(int) - apex).max() <= 1  # places are computed in float32
    assert points.shape == (5, 2)
    again = make_pair(3, "shaded", Change(noise=0.0))
    np.testing.assert_array_equal(onset, again[0])
    _, moved, _ = make_pair(3, "shaded", Change(units=(12,), peak=1.0, noise=0.0))
    changed = np.abs(moved.astype(int) - onset).max(axis=2)
    left, right = points[3:].round().astype(int)
    assert max(changed[y - 20 : y + 20, x - 20 : x + 20].max() for x, y in (left, right)) > 5
    assert changed[: int(points[:2, 1].min()) - 30].max() <= 2, "a smile leaves the forehead"
