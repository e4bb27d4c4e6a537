"""Draws of people, against scores of the drawn samples one by one."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from htnet.core.errors import InputError
from htnet.evaluation.bootstrap import draw_groups, interval, resampled_confusions
from htnet.evaluation.metrics import uar_of_each, uf1_of_each


def test_whole_groups_are_drawn(rng):
    groups = [*rng.choice(["x", "y", "z", "w"], 40).tolist(), "v"]
    members, times = draw_groups(groups, 50)
    names = sorted(set(groups))
    assert [names[m] for m in members] == groups
    assert times.shape == (50, len(names))
    assert (times.sum(1) == len(names)).all()
    assert times.max() > 1
    # With replacement, each as often as any other; 5000 draws of 5: the mean of one group's count is 1 +- 0.06.
    assert np.abs(draw_groups(groups, 5000)[1].mean(0) - 1).max() < 0.06


def test_draws_are_those_of_the_seed_and_the_number_of_groups():
    one, other = draw_groups(list("abc"), 20), draw_groups([7, 9, 9, 8], 20)
    assert (one[1] == other[1]).all()
    assert (draw_groups(list("abc"), 20, seed=1)[1] != one[1]).any()


def test_confusions_and_scores_are_those_of_the_drawn_samples(rng):
    truth, answers = rng.integers(0, 3, (2, 70))
    groups = rng.integers(0, 9, 70).tolist()
    found = resampled_confusions(truth, answers, groups, 4, resamples=30, seed=5)
    members, times = draw_groups(groups, 30, seed=5)
    for matrix, drawn, f1, recall in zip(found, times, uf1_of_each(found), uar_of_each(found), strict=True):
        rows = np.repeat(np.arange(70), drawn[members])
        assert (matrix == confusion_matrix(truth[rows], answers[rows], labels=range(4))).all()
        present = np.unique(truth[rows])
        assert f1 == pytest.approx(f1_score(truth[rows], answers[rows], labels=present, average="macro"))
        assert recall == pytest.approx(recall_score(truth[rows], answers[rows], labels=present, average="macro"))


def test_one_draw_is_enough(rng):
    truth, answers = rng.integers(0, 3, (2, 30))
    groups = rng.integers(0, 4, 30).tolist()
    members, times = draw_groups(groups, 1)
    assert times.shape == (1, 4)
    assert times.sum() == 4
    (matrix,) = resampled_confusions(truth, answers, groups, 3, resamples=1)
    rows = np.repeat(np.arange(30), times[0][members])
    assert (matrix == confusion_matrix(truth[rows], answers[rows], labels=range(3))).all()
    assert interval([0.25]) == (0.25, 0.25)


def test_interval_holds_95_percent(rng):
    values = rng.permutation(1001) / 1000
    assert interval(values) == pytest.approx((0.025, 0.975))


def test_bad_input_is_named():
    with pytest.raises(InputError, match="groups is empty"):
        draw_groups([])
    with pytest.raises(InputError, match="resamples is 0"):
        draw_groups(["a"], 0)
    with pytest.raises(InputError, match="2, 2 and 1 entries"):
        resampled_confusions([0, 1], [0, 1], ["a"], 2)


@pytest.mark.parametrize("name", ["NaN", "None", "<NA>", "N/A", "", "?", "unknown", b"nan", ("casme2", "NaN")])
def test_samples_of_nobody_are_not_one_person(name):
    """Placeholders for missing subjects were one person, who was drawn or left out as a whole."""
    other = {tuple: ("casme2", "s1"), bytes: b"s1", str: "s1"}[type(name)]
    for call in (
        lambda groups: draw_groups(groups, 10),
        lambda groups: resampled_confusions([0, 1, 0], [0, 1, 1], groups, 3, 10),
    ):
        with pytest.raises(InputError, match=r"names nobody|give a name"):
            call([other, name, other])
