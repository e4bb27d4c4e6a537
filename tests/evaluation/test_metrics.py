import json

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.metrics import confusion_matrix as sk_confusion

from htnet.core.errors import InputError
from htnet.evaluation.bootstrap import resampled_confusions
from htnet.evaluation.calibration import fit_temperature, left_out_temperatures, log_loss, reliability
from htnet.evaluation.metrics import accuracy, confusion_matrix, score, uar, uar_of_each, uf1, uf1_of_each


def random_case(seed, absent):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 8))
    allowed = rng.permutation(classes)[: int(rng.integers(1, classes))] if absent else np.arange(classes)
    count = int(rng.integers(1, 60))
    return rng.choice(allowed, count), rng.integers(0, classes, count), classes


@pytest.mark.parametrize("absent", [False, True])
def test_scores_equal_scikit_learn(absent):
    first = int(torch.randint(2**31, ()))
    for seed in range(first, first + 60):
        truth, prediction, classes = random_case(seed, absent)
        found = score(truth, prediction, classes)
        present = np.unique(truth)
        reference = {"labels": present, "average": "macro", "zero_division": 0}
        assert found.uf1 == pytest.approx(f1_score(truth, prediction, **reference), abs=1e-12), seed
        assert found.uar == pytest.approx(recall_score(truth, prediction, **reference), abs=1e-12), seed
        assert found.accuracy == pytest.approx(accuracy_score(truth, prediction), abs=1e-12), seed
        expected = sk_confusion(truth, prediction, labels=range(classes))
        assert np.array_equal(confusion_matrix(truth, prediction, classes), expected), seed
        assert np.array_equal(found.confusion, expected), seed
        assert found.num_samples == len(truth), seed


def test_scores_by_hand():
    # Class 1 is absent from the truth; the prediction of it still costs class 0 a recall.
    found = score([0, 0, 2], [0, 1, 2], 3)
    assert found.uf1 == pytest.approx((2 / 3 + 1) / 2)
    assert found.uar == pytest.approx((1 / 2 + 1) / 2)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.confusion == ((1, 1, 0), (0, 0, 0), (0, 0, 1))


def test_counts_may_be_weighted(rng):
    """Shares of all samples, and samples of small weight, as of whole counts; scikit-learn weights in the same way."""
    counts = confusion_matrix([0, 0, 2, 2, 2], [0, 1, 2, 0, 2], 4)
    for shares in (counts / counts.sum(), counts * 1e-9):
        assert uf1_of_each(shares) == pytest.approx(uf1(counts))
        assert uar_of_each(shares) == pytest.approx(uar(counts))
    truth, prediction, weights = rng.integers(0, 3, 40), rng.integers(0, 3, 40), rng.uniform(1e-4, 0.02, 40)
    weighted = np.zeros((3, 3))
    np.add.at(weighted, (truth, prediction), weights)
    options = {"average": "macro", "sample_weight": weights}
    assert uf1_of_each(weighted) == pytest.approx(f1_score(truth, prediction, **options))
    assert uar_of_each(weighted) == pytest.approx(recall_score(truth, prediction, **options))


def test_dictionary_is_json():
    found = score([0, 1, 1], [0, 1, 0], 2)
    assert json.loads(json.dumps(found.to_dict())) == {
        "uf1": pytest.approx(2 / 3),
        "uar": pytest.approx(0.75),
        "accuracy": pytest.approx(2 / 3),
        "confusion": [[1, 0], [1, 1]],
        "num_samples": 3,
    }


@pytest.mark.parametrize(
    ("truth", "prediction", "classes", "says"),
    [
        ([], [], 3, "truth is empty"),
        ([0, 1], [0], 3, "truth has 2 samples, prediction 1"),
        ([0, 3], [0, 1], 3, "truth contains 3"),
        ([0, 1], [0, -1], 3, "prediction contains -1"),
        ([0.0, 1.0], [0, 1], 3, "truth contains float64"),
        ([[0, 1]], [0, 1], 3, r"shape \(1, 2\)"),
        ([0], [0], 0, "num_classes is 0"),
    ],
)
def test_unusable_labels_are_refused(truth, prediction, classes, says):
    with pytest.raises(InputError, match=says):
        score(truth, prediction, classes)


@pytest.mark.parametrize("metric", [uf1, uar, accuracy])
@pytest.mark.parametrize("confusion", [[[0, 0], [0, 0]], [[1, 2]], [[1, -1], [0, 2]], [[0.5, 0.5], [0, 1]]])
def test_unusable_matrices_are_refused(metric, confusion):
    with pytest.raises(InputError, match="confusion matrix"):
        metric(confusion)


def test_columns_of_pandas_in_different_orders_are_refused():
    """pandas would match the rows by label, NumPy matches them by position: one of the two is not what was meant."""
    pandas = pytest.importorskip("pandas")
    truth = pandas.Series([0, 1, 2, 1], index=list("abcd"))
    prediction = pandas.Series([0, 1, 2, 1], index=list("abcd"))
    people = pandas.Series(list("xxyy"), index=list("abcd"))
    chances = pandas.DataFrame(np.eye(3)[truth], index=truth.index)
    turned = ["d", "c", "b", "a"]
    assert score(truth, prediction, 3).uf1 == 1.0
    for call in (
        lambda: confusion_matrix(truth, prediction.loc[turned], 3),
        lambda: resampled_confusions(truth, prediction, people.loc[turned], 3, 10),
        lambda: log_loss(truth, chances.loc[turned]),
        lambda: reliability(truth, chances.loc[turned]),
        lambda: fit_temperature(truth, chances.loc[turned]),
        lambda: left_out_temperatures(truth, chances, people.loc[turned]),
    ):
        with pytest.raises(InputError, match="have the same labels \\(index\\) in different orders"):
            call()
    # Other labels say nothing on the order.
    assert confusion_matrix(truth, prediction.reset_index(drop=True), 3).trace() == 4
    assert confusion_matrix(truth, prediction.loc[turned].to_numpy(), 3).trace() == 0


def test_missing_values_of_pandas_are_refused():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InputError, match=r"^truth contains .*; give .*whole class index"):
        confusion_matrix(pandas.Series([0, None, 2], dtype="Int64"), [0, 1, 2], 3)
    with pytest.raises(InputError, match=r"groups\[1\] is <NA>; give a name"):
        resampled_confusions([0, 1], [0, 1], pandas.Series(["x", None], dtype="string").array, 3, 10)


def test_tables_of_pandas_as_confusion_matrices():
    """`pandas.crosstab` leaves out classes that do not occur, on each side by itself."""
    pandas = pytest.importorskip("pandas")
    truth, prediction = pandas.Series([0, 0, 1, 1, 2, 2]), pandas.Series([0, 3, 1, 1, 3, 0])
    with pytest.raises(InputError, match=r"rows of the confusion matrix are \[0, 1, 2\], its columns \[0, 1, 3\]"):
        uf1_of_each(pandas.crosstab(truth, prediction))
    full = pandas.crosstab(truth, truth)
    np.testing.assert_allclose(uf1_of_each(full), 1.0)
    with pytest.raises(InputError, match="without margins"):
        uf1_of_each(pandas.crosstab(truth, truth, margins=True))


def test_spellings_of_one_person_are_not_two_groups_left_out():
    chances = np.full((4, 3), 1 / 3)
    with pytest.raises(InputError, match="s1"):
        left_out_temperatures([0, 1, 2, 0], chances, ["s1", "S1", "s2", "s2"])
