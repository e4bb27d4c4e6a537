"""Intervals matched one to one: hand-worked cases, every matching of small random cases, and what must not matter."""

from fractions import Fraction

import pytest

from htnet.errors import InputError
from htnet.metrics import IOU, interval_iou, match_intervals


def best_of_all(truth, predicted, least):
    """Most pairs and largest sum over every one-to-one matching, by trying all of them."""

    def tried(i, used, pairs, total):
        if i == len(truth):
            yield pairs, total
            return
        yield from tried(i + 1, used, pairs, total)
        for j, span in enumerate(predicted):
            value = interval_iou(truth[i], span)
            if j not in used and value >= least:
                yield from tried(i + 1, used | {j}, pairs + 1, total + value)

    return max(tried(0, frozenset(), 0, Fraction(0)))


def total(truth, predicted, pairs):
    return sum((interval_iou(truth[i], predicted[j]) for i, j in pairs), Fraction(0))


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ((10, 19), (10, 19), Fraction(1)),
        ((10, 19), (15, 24), Fraction(5, 15)),
        ((10, 19), (20, 29), Fraction(0)),
        ((10, 19), (19, 28), Fraction(1, 19)),
        ((0, 2), (0, 5), Fraction(1, 2)),
        ((7, 7), (7, 7), Fraction(1)),
        ((0, 70), (20, 75), Fraction(51, 76)),
    ],
)
def test_intersection_over_union_counts_both_ends(one, other, value):
    assert interval_iou(one, other) == interval_iou(other, one) == value
    frames = [set(range(a, b + 1)) for a, b in (one, other)]
    assert value == Fraction(len(frames[0] & frames[1]), len(frames[0] | frames[1]))


def test_exactly_half_is_enough_and_a_frame_less_is_not():
    assert match_intervals([(0, 2)], [(0, 5)]) == ((0, 0),)
    assert match_intervals([(0, 2)], [(0, 6)]) == ()
    # 500 of 1000 ms, and 499.
    assert match_intervals([(0, 999)], [(0, 499)]) == ((0, 0),)
    assert match_intervals([(0, 999)], [(0, 498)]) == ()


def test_thresholds_are_what_they_are_written_as():
    # 3 of 10 frames: as binary numbers, 0.1 + 0.2 and 0.3 are not equal.
    assert match_intervals([(0, 9)], [(0, 2)], 0.3) == match_intervals([(0, 9)], [(0, 2)], "3/10") == ((0, 0),)
    for wrong in (0, 1.1, "a", "1/0", float("nan"), -0.5):
        with pytest.raises(InputError, match="intersection over union"):
            match_intervals([(0, 9)], [(0, 2)], wrong)


def test_several_predictions_of_one_truth_find_it_once():
    assert match_intervals([(0, 9)], [(0, 7), (1, 9), (0, 9)]) == ((0, 2),)


def test_one_prediction_of_two_truths_finds_one_of_them():
    """Both published programs count two true positives here, of one prediction."""
    truth, predicted = [(1926, 2067), (1965, 2072)], [(1926, 2072)]  # truths of SAMM Long Videos, 014_3
    assert all(interval_iou(span, predicted[0]) >= IOU for span in truth)
    assert match_intervals(truth, predicted) == ((0, 0),)


def test_greedy_matching_finds_fewer():
    """The first prediction fits both truths; taking it for the first one leaves the second alone."""
    truth, predicted = [(0, 9), (3, 12)], [(2, 11), (0, 8)]
    assert [[interval_iou(t, p) >= IOU for p in predicted] for t in truth] == [[True, True], [True, False]]
    assert match_intervals(truth, predicted) == ((0, 1), (1, 0))


def test_nothing_to_match():
    assert match_intervals([], []) == match_intervals([(0, 3)], []) == match_intervals([], [(0, 3)]) == ()
    with pytest.raises(InputError, match="A predicted interval ends at 2, before it begins at 3"):
        match_intervals([(0, 3)], [(3, 2)])


def random_spans(rng, most=5):
    first = rng.integers(12, size=rng.integers(most + 1))
    return [(int(a), int(a + length)) for a, length in zip(first, rng.integers(8, size=len(first)), strict=True)]


@pytest.mark.parametrize("least", [Fraction(1, 2), Fraction(1, 4), Fraction(9, 10)])
def test_no_other_matching_is_better(rng, least):
    sizes = set()
    for _ in range(400):
        truth, predicted = random_spans(rng), random_spans(rng)
        pairs = match_intervals(truth, predicted, least)
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
        assert all(interval_iou(truth[i], predicted[j]) >= least for i, j in pairs)
        assert (len(pairs), total(truth, predicted, pairs)) == best_of_all(truth, predicted, least)
        sizes.add(len(pairs))
    assert len(sizes) > 2
