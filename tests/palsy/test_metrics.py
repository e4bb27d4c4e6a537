"""Scores for ordered classes against scikit-learn, and the intervals against their meaning."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score, f1_score, mean_absolute_error, precision_recall_fscore_support

from htnet.core.errors import InputError
from htnet.palsy import grade_scores, macro_f1, metrics, quadratic_kappa

NAMES = ("I", "II", "III", "IV", "V", "VI")


def invented(rng, samples=80, patients=12, classes=6):
    truth = rng.integers(0, classes, samples)
    near = np.clip(truth + rng.integers(-2, 3, samples), 0, classes - 1)
    return truth, near, rng.integers(0, patients, samples).tolist()


@pytest.mark.parametrize("classes", [3, 6])
@pytest.mark.parametrize("case", range(8))
def test_scores_are_those_of_scikit_learn(case, classes, rng):
    truth, answers, patients = invented(rng, int(rng.integers(10, 120)), classes=classes)
    scores = grade_scores(truth, answers, patients, NAMES[:classes], resamples=5)
    # Without labels scikit-learn would number the classes that occur, and distances would shrink.
    kappa = cohen_kappa_score(truth, answers, weights="quadratic", labels=range(classes))
    assert scores.kappa == pytest.approx(kappa, abs=1e-9)
    assert scores.mean_absolute_error == pytest.approx(mean_absolute_error(truth, answers))
    assert scores.accuracy == pytest.approx((truth == answers).mean())
    present = sorted(set(truth.tolist()))
    assert scores.macro_f1 == pytest.approx(f1_score(truth, answers, labels=present, average="macro"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = precision_recall_fscore_support(truth, answers, labels=range(classes), zero_division=0)
    found = [(c.precision, c.recall, c.f1, c.support) for c in scores.classes.values()]
    assert np.allclose(np.array(found).T, np.array(wanted))


def test_a_far_mistake_counts_more_than_a_near_one():
    truth = [0, 1, 2, 3, 4, 5]
    near, far = [1, 1, 2, 3, 4, 5], [5, 1, 2, 3, 4, 5]
    one, two = (grade_scores(truth, answers, truth, NAMES, resamples=5) for answers in (near, far))
    assert one.accuracy == two.accuracy
    assert one.kappa > two.kappa
    assert (one.mean_absolute_error, two.mean_absolute_error) == (pytest.approx(1 / 6), pytest.approx(5 / 6))


def test_batches_of_matrices_are_scored_one_by_one(rng):
    stack = rng.integers(0, 9, (7, 4, 4))
    assert np.allclose(quadratic_kappa(stack), [quadratic_kappa(m) for m in stack])
    assert np.allclose(macro_f1(stack), [macro_f1(m) for m in stack])


def test_kappa_that_is_not_defined_is_none():
    scores = grade_scores([2, 2], [2, 2], ["a", "b"], NAMES, resamples=9)
    assert scores.kappa is None
    assert "kappa" not in scores.intervals
    assert scores.intervals["accuracy"] == (1.0, 1.0)


def test_interval_resamples_patients_not_images():
    # Two people, each all right or all wrong: the patients' interval spans everything, the images' would not.
    truth = [0] * 50 + [1] * 50
    answers = [0] * 50 + [2] * 50
    scores = grade_scores(truth, answers, ["a"] * 50 + ["b"] * 50, NAMES, resamples=400)
    assert scores.intervals["accuracy"] == (0.0, 1.0)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(120):
        right = rng.random(60) < 0.7
        scores = grade_scores(np.zeros(60, int), np.where(right, 0, 1), list(range(60)), NAMES, resamples=300)
        low, high = scores.intervals["accuracy"]
        covered += low <= 0.7 <= high
    assert 0.86 <= covered / 120 <= 1.0


def test_one_patient_has_no_interval():
    assert grade_scores([0, 1], [0, 1], ["a", "a"], NAMES, resamples=5).intervals == {}


def test_same_seed_same_interval(rng):
    truth, answers, patients = invented(rng)
    one, two = (grade_scores(truth, answers, patients, NAMES, resamples=50, seed=3) for _ in range(2))
    assert one == two
    assert one.to_dict()["confusion"] == [list(row) for row in one.confusion]


def test_bad_input_is_named():
    with pytest.raises(InputError, match="patients has 1 entries for 2 samples"):
        grade_scores([0, 1], [0, 1], ["a"], NAMES)
    with pytest.raises(InputError, match="resamples is 0"):
        grade_scores([0, 1], [0, 1], ["a", "b"], NAMES, resamples=0)
    with pytest.raises(InputError, match="not a class index in 0..5"):
        grade_scores([0, 6], [0, 1], ["a", "b"], NAMES)


COUNTS = [[3, 1], [0, 2]]


@pytest.mark.parametrize("measure", [macro_f1, metrics.mean_absolute_error, quadratic_kappa, metrics.share_right])
@pytest.mark.parametrize(
    "given",
    [
        [["3", "1"], ["0", "2"]],
        np.ma.array(COUNTS, mask=[[0, 1], [0, 0]]),
        np.array(COUNTS) > 1,
        np.array(COUNTS) * 1j,
        [[3, -1], [0, 2]],
        [[3, np.nan], [0, 2]],
        [[0, 0], [0, 0]],
        [[1, 2, 3], [1, 2, 3]],
        [1, 2, 2],
        None,
    ],
    ids=["text", "masked", "booleans", "complex", "negative", "nan", "empty", "not square", "labels", "none"],
)
def test_what_is_not_counts_is_refused(measure, given):
    with pytest.raises(InputError, match="onfusion matri"):
        measure(given)


def test_patients_of_any_kind_are_counted():
    truth, answers = [0, 1, 2, 2], [0, 1, 2, 1]
    expected = grade_scores(truth, answers, [1, 1, 2, 2], NAMES)
    assert expected.num_patients == 2
    for patients in (torch.tensor([1, 1, 2, 2]), np.array([1, 1, 2, 2]), iter([1, 1, 2, 2])):
        assert grade_scores(truth, answers, patients, NAMES) == expected
    one = grade_scores(truth, answers, torch.tensor([1, 1, 1, 1]), NAMES)
    assert one.num_patients == 1
    assert not one.intervals
    for patients, message in ((None, "patients is None"), (["P1", "p1", "P2", "P2"], "patients has 'P1' and 'p1'")):
        with pytest.raises(InputError, match=message):
            grade_scores(truth, answers, patients, NAMES)


@pytest.mark.parametrize("classes", ["abc", 3, None, (), ("a", "a", "b"), (1, 2, 3), {"a", "b", "c"}])
def test_classes_are_different_names(classes):
    with pytest.raises(InputError, match="list the name of each class once"):
        grade_scores([0, 1, 2], [0, 1, 2], ["a", "b", "c"], classes)


@pytest.mark.parametrize("power", [-1000, -531, 0, 531, 1000])
def test_quadratic_kappa_of_tiny_and_huge_weights(power):
    """A factor changes no kappa, to the last digit if it is a power of two; it gave other values and NaN."""
    counts = np.array([[40.0, 3, 1], [5, 30, 6], [0, 4, 20]])
    assert quadratic_kappa(np.ldexp(counts, power)) == quadratic_kappa(counts)
    both = quadratic_kappa(np.stack([counts, np.ldexp(counts, power)]))
    assert both[0] == both[1]


def test_columns_of_pandas_in_different_orders_are_refused():
    pandas = pytest.importorskip("pandas")
    truth = pandas.Series([0, 1, 2, 1], index=list("abcd"))
    people = pandas.Series(["P1", "P1", "P2", "P2"], index=list("abcd"))
    turned = ["d", "c", "b", "a"]
    assert grade_scores(truth, truth, people, ("I", "II", "III"))
    for given in ((truth.loc[turned], people), (truth, people.loc[turned])):
        with pytest.raises(InputError, match=r"have the same labels \(index\) in different orders"):
            grade_scores(truth, *given, ("I", "II", "III"))
