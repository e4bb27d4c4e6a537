"""Calibration against worked examples, scikit-learn and a plain grid search; its picture."""

import cv2
import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss as sk_log_loss

from htnet.core.errors import InputError
from htnet.evaluation.calibration import (
    TEMPERATURES,
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
    left_out_temperatures,
    log_loss,
    reliability,
)
from htnet.pipeline.plots import plot_reliability, save_figure


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def drawn(rng, samples=300, classes=3, spread=2.0):
    """Logits, and labels drawn from their softmax: calibrated at a temperature of 1."""
    logits = rng.normal(0, spread, (samples, classes))
    chances = softmax(logits)
    truth = (rng.random((samples, 1)) > chances.cumsum(1)).sum(1).clip(max=classes - 1)
    return truth, logits


def test_calibration_error_by_hand():
    # Two bins of the top probability: [0, 0.5) contains none, [0.5, 1] all four, of which three are right.
    truth = [0, 0, 1, 1]
    probabilities = [[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.2, 0.8]]
    expected = abs(3 / 4 - (0.9 + 0.6 + 0.8 + 0.8) / 4)
    assert expected_calibration_error(truth, probabilities, 2) == pytest.approx(expected)
    # Four bins: [0.5, 0.75) contains 0.6, right; [0.75, 1] contains 0.9 and 0.8, right, and 0.8, wrong.
    expected = 1 / 4 * (1 - 0.6) + 3 / 4 * abs(2.5 / 3 - 2 / 3)
    assert expected_calibration_error(truth, probabilities, 4) == pytest.approx(expected)
    found = reliability(truth, probabilities, 4)
    assert found.count.tolist() == [0, 0, 1, 3]
    assert found.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(found.confidence, [np.nan, np.nan, 0.6, 2.5 / 3])
    np.testing.assert_allclose(found.accuracy, [np.nan, np.nan, 1, 2 / 3])
    assert found.error == pytest.approx(expected)


def test_edges_of_bins():
    """A probability on an edge is in the bin above it, 1 in the last."""
    found = reliability([0, 0, 0], [[0.5, 0.25, 0.25], [0.75, 0.25, 0], [1, 0, 0]], 4)
    assert found.count.tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("bins", [3, 7, 10, 15, 20, 49, 98, 100])
def test_every_edge_belongs_to_the_bin_above_it(bins):
    """49 * (25 / 49) is below 25 in floating point, for example."""
    for k, edge in enumerate(reliability([0], [[1.0, 0.0]], bins).edges[:-1]):
        if edge >= 0.5:
            assert reliability([0], [[edge, 1 - edge]], bins).count.argmax() == k


@pytest.mark.parametrize("case", range(6))
def test_bins_are_those_of_scikit_learn(case, rng):
    classes, bins = int(rng.integers(2, 6)), int(rng.integers(2, 25))
    truth, logits = drawn(rng, int(rng.integers(5, 400)), classes)
    chances = softmax(1.7 * logits)
    found = reliability(truth, chances, bins)
    accuracy, confidence = calibration_curve(chances.argmax(1) == truth, chances.max(1), n_bins=bins)
    used = found.count > 0
    np.testing.assert_allclose(found.accuracy[used], accuracy)
    np.testing.assert_allclose(found.confidence[used], confidence)
    assert found.count.sum() == len(truth)
    assert np.isnan(found.accuracy[~used]).all()
    assert np.isnan(found.confidence[~used]).all()
    one_by_one = 0.0
    for low, high in zip(found.edges[:-1], found.edges[1:], strict=True):
        rows = (chances.max(1) >= low) & (chances.max(1) < high)
        if rows.any():
            own = (chances.argmax(1) == truth)[rows].mean()
            one_by_one += rows.mean() * abs(own - chances.max(1)[rows].mean())
    assert found.error == pytest.approx(one_by_one)
    assert expected_calibration_error(truth, chances, bins) == found.error


@pytest.mark.parametrize("case", range(5))
def test_log_loss_is_that_of_scikit_learn(case, rng):
    truth, logits = drawn(rng, 60, 4)
    assert log_loss(truth, softmax(logits)) == pytest.approx(sk_log_loss(truth, softmax(logits), labels=range(4)))


@pytest.mark.parametrize("case", range(5))
def test_temperature_is_the_best_of_a_fine_grid(case, rng):
    truth, logits = drawn(rng, int(rng.integers(40, 300)), int(rng.integers(2, 6)))
    logits = logits * rng.uniform(0.4, 4)
    rows = np.arange(len(truth))

    def loss(temperature):
        return -np.log(softmax(logits / temperature)[rows, truth]).mean()

    grid = np.geomspace(*TEMPERATURES, 4001)
    losses = [loss(t) for t in grid]
    best = grid[int(np.argmin(losses))]
    found = fit_temperature(truth, softmax(logits))
    assert found == pytest.approx(best, rel=grid[1] / grid[0] - 1)
    assert loss(found) <= min(losses)
    assert fit_temperature(truth, logits, logits=True) == pytest.approx(found, rel=1e-6)
    assert log_loss(truth, apply_temperature(softmax(logits), found)) == pytest.approx(loss(found), rel=1e-9)


@pytest.mark.parametrize("factor", [0.3, 1.0, 2.5, 6.0])
def test_a_known_temperature_is_found_again(factor, rng):
    truth, logits = drawn(rng, 20_000)
    assert fit_temperature(truth, factor * logits, logits=True) == pytest.approx(factor, rel=0.08)
    one, other = (fit_temperature(truth[:500], f * logits[:500], logits=True) for f in (1.0, factor))
    assert other == pytest.approx(factor * one, rel=1e-9)  # exactly so, whatever the labels


def test_temperature_mends_what_is_too_sure(rng):
    truth, logits = drawn(rng, 4000)
    raw = softmax(3 * logits)
    mended = apply_temperature(raw, fit_temperature(truth, raw))
    assert expected_calibration_error(truth, mended) < 0.04 < expected_calibration_error(truth, raw)
    assert log_loss(truth, mended) < log_loss(truth, raw)


def test_applied_temperature(rng):
    logits = rng.normal(0, 3, (50, 4))
    for temperature in (0.2, 1.0, 3.7):
        expected = softmax(logits / temperature)
        found = apply_temperature(softmax(logits), temperature)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        assert (found.argmax(1) == logits.argmax(1)).all()
    each = rng.uniform(0.3, 3, 50)
    np.testing.assert_allclose(apply_temperature(softmax(logits), each), softmax(logits / each[:, None]), rtol=1e-9)


def test_certain_answers_have_finite_losses():
    """A probability that float32 rounded to 0 counts as the smallest it can hold."""
    chances = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    assert log_loss([0, 0, 1], chances) == pytest.approx(-np.log(np.finfo(np.float32).tiny) / 3)
    assert 1 < fit_temperature([0, 0, 1], chances) <= TEMPERATURES[1]
    np.testing.assert_allclose(apply_temperature(chances, 1.0), chances, atol=1e-30)


def test_ends_of_the_search():
    sure = [[0.9, 0.1], [0.2, 0.8]]
    assert fit_temperature([0, 1], sure) == pytest.approx(TEMPERATURES[0])
    assert fit_temperature([1, 0], sure) == pytest.approx(TEMPERATURES[1])
    assert fit_temperature([1, 0], [[0.5, 0.5], [0.5, 0.5]]) == 1.0


def test_nobody_s_own_answers_set_their_temperature(rng):
    truth, logits = drawn(rng, 90)
    chances, groups = softmax(2 * logits), rng.permutation(np.repeat(list("abcdef"), 15)).tolist()
    found = left_out_temperatures(truth, chances, groups)
    of_d = np.array([g == "d" for g in groups])
    np.testing.assert_allclose(found[of_d], fit_temperature(truth[~of_d], chances[~of_d]))
    truth[of_d] = (truth[of_d] + 1) % 3
    chances[of_d] = rng.dirichlet([1, 1, 1], of_d.sum())
    again = left_out_temperatures(truth, chances, groups)
    assert (again[of_d] == found[of_d]).all()
    assert (again[~of_d] != found[~of_d]).all()


BAD = [
    ([0, 1], [[0.5, 0.5]], "truth has 2 samples, the scores 1 rows"),
    ([2], [[0.5, 0.5]], "truth contains 2, which is not a class index in 0..1"),
    ([0], [[0.7, 0.7]], r"sample 0 are \[0.7, 0.7\], with the sum 1.4"),
    ([0, 0], [[0.5, 0.5], [1.2, -0.2]], "sample 1 .* numbers of 0 or more"),
    ([0], [[np.nan, 0.5]], "sample 0 are .nan, 0.5.; give finite"),
    ([0], [0.5, 0.5], r"shape \(2,\)"),
    ([], np.zeros((0, 3)), r"shape \(0, 3\)"),
    ([0], [["a", "b"]], "type <U1"),
]


@pytest.mark.parametrize("measure", [expected_calibration_error, log_loss, fit_temperature, reliability])
@pytest.mark.parametrize(("truth", "scores", "message"), BAD)
def test_bad_input_is_named(measure, truth, scores, message):
    with pytest.raises(InputError, match=message):
        measure(truth, scores)


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf, [1.0, 2.0, 3.0], "1", True, None])
def test_bad_temperatures_are_named(temperature):
    with pytest.raises(InputError, match="temperature is "):
        apply_temperature([[0.5, 0.5], [0.1, 0.9]], temperature)


def test_other_bad_input():
    chances = [[0.5, 0.5], [0.1, 0.9]]
    for bins in (0, 2.0, True):
        with pytest.raises(InputError, match=f"bins is {bins}"):
            reliability([0, 1], chances, bins)
    with pytest.raises(InputError, match="logits of sample 0 are"):
        fit_temperature([0], [[np.inf, 1.0]], logits=True)
    with pytest.raises(InputError, match="they are probabilities. Leave logits out"):
        fit_temperature([0, 1], chances, logits=True)
    assert fit_temperature([0, 1], [[0.5, 0.5], [0.1, 0.8]], logits=True) > 0
    with pytest.raises(InputError, match="one group, 'a'"):
        left_out_temperatures([0, 1], chances, ["a", "a"])
    with pytest.raises(InputError, match="groups has 1 entries for 2 samples"):
        left_out_temperatures([0, 1], chances, ["a"])


@pytest.mark.slow
def test_picture_of_the_bins(tmp_path, rng):
    truth, logits = drawn(rng)
    raw, mended = reliability(truth, softmax(3 * logits)), reliability(truth, softmax(logits))
    path = tmp_path / "new" / "r.png"
    plot_reliability({"raw": raw, "mended": mended}, path)
    both, twice = (
        cv2.imread(str(p))
        for p in (path, save_figure(plot_reliability({"raw": raw, "mended": raw}), tmp_path / "t.png"))
    )
    assert both.shape == twice.shape
    width = both.shape[1]
    assert (both[:, : width // 3] == twice[:, : width // 3]).mean() > 0.9
    differs = (both != twice).any(2)
    assert differs[: both.shape[0] // 2, width // 2 :].any()
    assert differs[-both.shape[0] // 4 :, width // 2 :].any()
    with pytest.raises(InputError, match=r"r.xyz.*ends in .png"):
        plot_reliability({"raw": raw}, tmp_path / "r.xyz")
    with pytest.raises(InputError, match="no bins to draw"):
        plot_reliability({}, tmp_path / "r.png")


def test_temperatures_far_from_1_give_finite_probabilities():
    """Logarithms divided by a small temperature would all vanish in the softmax, were it not taken from the largest."""
    cold = apply_temperature([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], 1e-4)
    assert cold == pytest.approx(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    hot = apply_temperature([[0.5, 0.3, 0.2]], 1e6)
    assert hot == pytest.approx(np.full((1, 3), 1 / 3), abs=1e-5)


def test_logits_of_any_size_are_taken(rng):
    """A number added to all logits of a sample changes nothing, however large."""
    logits, truth = rng.normal(0, 3, (200, 3)), rng.integers(0, 3, 200)
    moved = logits + rng.choice([-1e4, 1e4], (200, 1))
    plain = fit_temperature(truth, logits, logits=True)
    assert fit_temperature(truth, moved, logits=True) == pytest.approx(plain, rel=1e-6)
