"""Scores of spotting: published results, hand-worked cases, and what must not matter."""

import json
from fractions import Fraction

import numpy as np
import pytest

from htnet.core.recordings import Recording
from htnet.errors import InputError
from htnet.metrics import ApexErrors, KindScores, SpottingCounts, evaluate_spotting, recognize
from htnet.types import Event


def event(kind, onset, offset, apex=None, label=None, **times):
    return Event(kind, onset, apex, offset, label=label, **times)


def micro(onset, offset, apex=None, label=None):
    return event("micro", onset, offset, apex, label)


def counts(scores):
    return scores.counts.tp, scores.counts.fp, scores.counts.fn


@pytest.mark.parametrize(
    ("predicted", "found", "true", "precision", "recall", "f1"),
    [  # MEGC 2020: CAS(ME)^2 and SAMM Long Videos, micro, macro and total, as its baseline published them
        (5035, 21, 57, 0.004170804369414101, 0.3684210526315789, 0.008248232521602514),
        (1523, 109, 300, 0.07156927117531188, 0.36333333333333334, 0.11958310477235326),
        (6558, 130, 357, 0.01982311680390363, 0.3641456582633053, 0.03759942154736081),
        (1436, 29, 159, 0.0201949860724234, 0.18238993710691823, 0.03636363636363636),
        (356, 22, 343, 0.06179775280898876, 0.0641399416909621, 0.06294706723891273),
        (1792, 51, 502, 0.028459821428571428, 0.10159362549800798, 0.04446381865736704),
    ],
)
def test_published_results_of_megc_2020(predicted, found, true, precision, recall, f1):
    scores = SpottingCounts(found, predicted - found, true - found)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx((precision, recall, f1), rel=1e-12)


@pytest.mark.parametrize(
    ("spotted", "pairs", "f1", "recognition", "strs"),
    [  # MEGC 2025 (arXiv 2506.15298): the baseline on SAMM and CAS(ME)^3
        ((6, 217, 202), [("positive", "positive"), ("negative", "positive")], 0.0278, 0.2222, 0.0062),
        ((3, 115, 34), [("negative", "negative"), ("negative", "surprise")], 0.0387, 0.2222, 0.0086),
    ],
)
def test_published_results_of_megc_2025(spotted, pairs, f1, recognition, strs):
    named = recognize(pairs, ("negative", "positive", "surprise"))
    scores = KindScores(SpottingCounts(*spotted), recognition=named)
    assert round(scores.counts.f1, 4) == f1
    assert round(named.f1, 4) == recognition
    assert round(scores.strs, 4) == strs


def test_published_example_of_the_spot_then_recognize_score():
    """The example of genbing99/STRS-Metric, whose answer is 0.2."""
    clips = [
        ("a", (10, 70, "happiness"), (45, 85, "happiness")), ("b", (100, 170, "others"), (130, 160, "others")),
        ("c", (0, 70, "others"), (20, 75, "others")), ("d", (20, 90, "happiness"), (45, 95, "repression")),
        ("e", (70, 140, "happiness"), (30, 140, "repression")),
    ]  # fmt: skip
    truth = [Recording(name, (micro(a, b, label=label),)) for name, _, (a, b, label) in clips]
    found = evaluate_spotting(truth, {name: [micro(a, b, label=label)] for name, (a, b, label), _ in clips})
    assert counts(found.micro) == (3, 2, 2)
    assert found.micro.recognition.classes == ("happiness", "others", "repression")
    assert found.micro.recognition.f1 == pytest.approx(1 / 3)
    assert found.micro.strs == found.overall.strs == pytest.approx(0.2)
    assert found.macro.recognition is None


def test_the_case_of_emotions_makes_no_difference():
    """Tables of recordings are read in lowercase; weights may have been trained on "Happiness"."""
    truth = [Recording("a", (micro(0, 9, label="happiness"), micro(20, 29, label="sadness")))]
    answers = {"a": [micro(0, 9, label="Happiness"), micro(20, 29, label="SADNESS ")]}
    assert evaluate_spotting(truth, answers).micro.strs == 1.0
    with pytest.raises(InputError, match=r"classes is \('Happiness', 'happiness'\); list each emotion once"):
        evaluate_spotting(truth, answers, classes=["Happiness", "happiness"])
    shown = evaluate_spotting(truth, answers, classes=["Happiness", "Sadness", "Anger"]).micro.recognition
    assert (shown.classes, shown.accuracy) == (("Happiness", "Sadness", "Anger"), 1.0)
    mixed = [Recording("a", (micro(0, 9, label="Happiness"), micro(20, 29, label="happiness")))]
    assert evaluate_spotting(mixed, answers).micro.recognition.classes == ("Happiness",)


def test_mean_recall_is_not_mean_precision():
    """The published program prints the mean precision as UAR: 0.1667 here, where the mean recall is 0.3333."""
    named = recognize([("positive", "positive"), ("negative", "positive")], ("negative", "positive", "surprise"))
    assert (round(named.precision, 4), round(named.recall, 4)) == (0.1667, 0.3333)
    assert named.uar == 0.5, "of the two classes that occur"
    assert named.uf1 == pytest.approx((0 + 2 / 3) / 2)


def test_answers_that_are_no_class_are_wrong_and_other_truths_are_left_out():
    named = recognize([("a", "a"), ("a", None), ("b", "no expression"), ("others", "a"), (None, "a")], ("a", "b"))
    assert (named.pairs, named.left_out) == (3, 2)
    assert (named.precision, named.recall) == (0.5, 0.25)
    assert (named.accuracy, named.uar) == (pytest.approx(1 / 3), 0.25)
    none = recognize([("others", "a")], ("a",))
    assert (none.f1, none.uf1, none.accuracy) == (0.0, None, None)
    for wrong in ((), ("a", "a")):
        with pytest.raises(InputError, match="each emotion to be scored once"):
            recognize([("a", "a")], wrong)


def test_a_perfect_answer_of_one_class_is_perfect():
    assert recognize([("a", "a"), ("a", "a")], ("a",)).f1 == 1.0
    assert recognize(np.array([["a", "a"], ["a", "a"]]), ("a",)).f1 == 1.0


TRUTH = (
    Recording("one", (micro(10, 19, 14), event("macro", 100, 159, 120), event("blink", 200, 205)), subject="a",
              fps=30, frames=1800),
    Recording("two", (micro(10, 19, 14),), subject="b", fps=30, frames=900),
    Recording("rest", (), subject="c", fps=30, frames=900),
)  # fmt: skip
PREDICTED = {
    # found; the same once more; a macro-expression taken for a micro-expression; a blink taken for one
    "one": [micro(10, 19, 16), micro(11, 20), micro(100, 159, 120), micro(201, 205)],
    "two": [micro(30, 39), event("macro", 12, 21, 13)],
    "rest": [micro(5, 9)],
}


def test_a_case_worked_by_hand():
    found = evaluate_spotting(TRUTH, PREDICTED)
    assert counts(found.micro) == (1, 5, 1)
    assert counts(found.macro) == (0, 1, 1)
    assert counts(found.overall) == (1, 6, 2)
    assert counts(found.kinds["blink"]) == (0, 0, 1)
    assert found.overall.counts.f1 == pytest.approx(2 / 10)
    assert found.minutes == pytest.approx(2.0)
    assert found.micro.false_per_minute == pytest.approx(2.5)
    assert found.confusion == {
        "micro": {"micro": 1, "macro": 1, "blink": 0, "none": 0},
        "macro": {"micro": 1, "macro": 0, "blink": 0, "none": 0},
        "blink": {"micro": 1, "macro": 0, "blink": 0, "none": 0},
        "none": {"micro": 3, "macro": 0, "blink": 0, "none": 0},
    }
    assert found.micro.apex.frames == (2,)
    assert found.micro.apex.ms == pytest.approx((200 / 3,))
    assert [r.overall.tp for r in found.recordings] == [1, 0, 0]
    assert [r.overall.f1 for r in found.recordings] == [pytest.approx(2 / 6), 0.0, 0.0]
    assert found.groups == "subjects"
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_every_event_stands_once_in_the_confusion():
    found = evaluate_spotting(TRUTH, PREDICTED)
    events = [e.kind for recording in TRUTH for e in recording.events]
    answers = [e.kind for group in PREDICTED.values() for e in group]
    for kind in ("micro", "macro", "blink"):
        assert sum(found.confusion[kind].values()) == events.count(kind)
        assert sum(row[kind] for row in found.confusion.values()) == answers.count(kind)


@pytest.mark.parametrize(
    ("truth", "predicted", "precision", "recall", "f1"),
    [((), (), None, None, None), ((micro(0, 9),), (), 0.0, 0.0, 0.0), ((), (micro(0, 9),), 0.0, 0.0, 0.0),
     ((micro(0, 9),), (micro(0, 9),), 1.0, 1.0, 1.0)],
)  # fmt: skip
def test_nothing_true_or_nothing_predicted(truth, predicted, precision, recall, f1):
    scores = evaluate_spotting([Recording("r", truth)], {"r": predicted}).micro.counts
    assert (scores.precision, scores.recall, scores.f1) == (precision, recall, f1)


@pytest.mark.slow  # importing scikit-learn
def test_scores_are_those_of_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    for tp, fp, fn in rng.integers(0, 4, (40, 3)).tolist():
        true, answer = [1] * (tp + fn) + [0] * fp, [1] * tp + [0] * fn + [1] * fp
        if true:
            scores = SpottingCounts(tp, fp, fn)
            expected = metrics.precision_recall_fscore_support(true, answer, average="binary", zero_division=0)[:3]
            assert (scores.precision, scores.recall, scores.f1) == pytest.approx(expected)


def test_milliseconds_compare_what_was_seen_at_two_rates():
    truth = Recording("r", (event("micro", 0, 9, start=0.0, end=0.3),), fps=30)
    at_200 = event("micro", 0, 60, start=0.0, end=0.3)
    assert counts(evaluate_spotting([truth], {"r": [at_200]}).micro) == (0, 1, 1)
    assert counts(evaluate_spotting([truth], {"r": [at_200]}, unit="ms").micro) == (1, 0, 0)
    with pytest.raises(InputError, match="has no time, and the recording has no frame rate"):
        evaluate_spotting([Recording("r", (micro(0, 9),))], {"r": [at_200]}, unit="ms")
    with pytest.raises(InputError, match=r"unit is 'second'"):
        evaluate_spotting([truth], {}, unit="second")


def test_times_of_a_variable_rate_are_not_computed_from_its_mean():
    """At 30, then 15 frames per second, the mean rate puts frame 20 half a second too late."""
    true = event("micro", 20, 40, 30, start=0.667, peak=1.067, end=1.733)
    truth = Recording("r", (true,), fps=17.06, frames=120)
    untimed = micro(20, 40, 30)
    found = evaluate_spotting([truth], {"r": [untimed]}).micro
    assert (counts(found), found.apex.frames, found.apex.ms) == ((1, 0, 0), (0,), ())
    with pytest.raises(
        InputError, match=r"\(frames 20 to 40\) has no time, and the recording has a variable frame rate"
    ):
        evaluate_spotting([truth], {"r": [untimed]}, unit="ms")
    assert counts(evaluate_spotting([truth], {"r": [true]}, unit="ms").micro) == (1, 0, 0)


def test_apexes_within_two_frames_of_25_a_second_are_near():
    truth = Recording("r", tuple(micro(100 * k, 100 * k + 9, 100 * k + 4) for k in range(6)), fps=25)
    found = [micro(100 * k, 100 * k + 9, 100 * k + 4 + k) for k in range(5)] + [micro(500, 509)]
    apex = evaluate_spotting([truth], {"r": found}).micro.apex
    assert apex.frames == (0, 1, 2, 3, 4)
    assert apex.near == 0.6
    assert apex.to_dict()["median_ms"] == pytest.approx(80)
    assert ApexErrors((1,)).near is None


def test_names_of_recordings():
    with pytest.raises(InputError, match="occurs twice"):
        evaluate_spotting([Recording("r"), Recording("r")], {})
    with pytest.raises(InputError, match="predictions for 'rr', which is not one of the annotated recordings"):
        evaluate_spotting([Recording("r")], {"rr": []})
    with pytest.raises(InputError, match="no recordings to score"):
        evaluate_spotting([], {})
    found = evaluate_spotting(TRUTH, {"one": PREDICTED["one"]})
    assert [warning.code for warning in found.warnings] == ["no_predictions"]
    assert "2 of 3 recordings" in found.warnings[0].message
    assert found.micro.counts.fn == 1


def test_predicted_emotions_under_other_names_are_told():
    def emotion(name):
        return Event("micro", 0, 4, 9, label=name)

    truth = [Recording("r", (emotion("happiness"),)), Recording("q", (emotion("Surprise"),))]
    found = evaluate_spotting(truth, {"r": [emotion("positive")], "q": [emotion("surprise")]})
    (warning,) = found.warnings
    assert warning.code == "other_emotions"
    assert "emotion positive (1), so these count as wrong. The true ones are Surprise, happiness." in warning.message
    for names in (("Happiness", "surprise"), (None, None)):
        told = evaluate_spotting(truth, dict(zip("rq", ([emotion(name)] for name in names), strict=True))).warnings
        assert told == ()
    with_class = evaluate_spotting(
        truth, {"r": [emotion("positive")], "q": []}, classes=["positive", "happiness", "surprise"]
    )
    assert with_class.warnings == ()


def test_intervals_hold_the_score_and_need_two_people():
    people = [Recording(f"r{k}", (micro(0, 9), micro(50, 59)), subject=f"p{k}") for k in range(12)]
    answers = {f"r{k}": [micro(0, 9), micro(70, 79)][: 1 + k % 2] for k in range(12)}
    found = evaluate_spotting(people, answers).micro
    low, high = found.f1_interval
    assert 0 < low < found.counts.f1 < high < 1
    assert evaluate_spotting(people, answers).micro.f1_interval == (low, high), "seeded"
    alone = [Recording(f"r{k}", (micro(0, 9),), subject="p") for k in range(3)]
    assert evaluate_spotting(alone, {}).micro.f1_interval is None
    unknown = [Recording(f"r{k}", (micro(0, 9),)) for k in range(3)]
    assert evaluate_spotting(unknown, {}).groups == "recordings"
    same = [Recording(f"r{k}", (micro(0, 9),), subject=name) for k, name in enumerate(("01", "1", "2"))]
    with pytest.raises(InputError, match=r"The recordings have .*'01'.* and .*'1'.*, which differ only in spelling"):
        evaluate_spotting(same, {})


def test_a_stricter_threshold_finds_less():
    truth, predicted = [Recording("r", (micro(0, 9),))], {"r": [micro(0, 6)]}
    assert counts(evaluate_spotting(truth, predicted, iou=0.7).micro) == (1, 0, 0)
    found = evaluate_spotting(truth, predicted, iou="71/100")
    assert counts(found.micro) == (0, 1, 1)
    assert found.iou == Fraction(71, 100)
