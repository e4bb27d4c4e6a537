"""What the event detector is trained on and compared with: expressions added to features, targets, baselines."""

import numpy as np
import pytest

from benchmarks.recordings_augment import Adder, draw_patterns
from benchmarks.recordings_baselines import STEP, Cut, mdmd_curve, mdmd_intervals, softnet_intervals, softnet_labels
from benchmarks.recordings_data import kept_files
from benchmarks.recordings_train import Stretch, targets, train
from htnet.core.events import EVENT_KINDS
from htnet.recordings import DISTANCES, FEATURES
from htnet.recordings.grid import RATE, noise_of


@pytest.fixture(scope="module")
def adder():
    return Adder(draw_patterns(12, 0))


def test_added_expressions_are_motion_that_agrees_over_all_distances(adder, rng):
    still = np.zeros((450, len(FEATURES)), np.float32)
    even, events, level = adder.add(still, [], rng, 4)
    assert events
    assert not still.any()
    for kind, onset, apex, offset in events:
        assert 0 <= onset < apex < offset <= 15
        assert level[("micro", "macro").index(kind), round(apex * RATE)] > 0.25
    for k, distance in enumerate(DISTANCES):
        rows = np.arange(30, 450)
        back = rows - distance * RATE
        low = np.floor(back).astype(int)
        share = (back - low)[:, None, None]
        before = even[low][:, adder.place] * (1 - share) + even[low + 1][:, adder.place] * share
        # Between rows the course is not a straight line.
        near = 1e-4 if (distance * RATE).is_integer() else 0.25
        assert even[rows][:, adder.back[k]] == pytest.approx(even[rows][:, adder.place] - before, abs=near)


def test_added_expressions_keep_apart_from_others(adder, rng):
    taken = [("macro", 2.0, 3.0, 12.0)]
    _, events, _ = adder.add(np.zeros((450, len(FEATURES)), np.float32), taken, rng, 20)
    for kind, onset, _, offset in events[1:]:
        assert offset < 2.0 - 0.39 or onset > 12.0 + 0.39, kind


def test_disturbed_features_agree_over_all_distances(adder, rng):
    nuisance = np.zeros((1, 14, 2))
    nuisance[0, 6, 0] = 1
    even = adder.disturb(np.zeros((90, len(FEATURES)), np.float32), nuisance, rng)
    place, back = even[:, adder.place], even[:, adder.back[2]]
    step = round(0.2 * RATE)
    assert back[step:] == pytest.approx(place[step:] - place[:-step], abs=1e-5)


def test_targets_lie_in_the_middle_of_events():
    said = targets(300, [("micro", 2.0, 2.2, 2.4), ("macro", 5.0, 5.5, 8.0), ("gaze", 1.0, 1.1, 1.5)])
    micro, macro = EVENT_KINDS.index("micro"), EVENT_KINDS.index("macro")
    assert said["core"][micro].sum() > 0
    assert said["share"].sum(1)[micro] == pytest.approx(1)
    (rows,) = np.nonzero(said["core"][macro])
    assert rows.min() >= 5.0 * RATE
    assert rows.max() <= 8.0 * RATE
    row = rows[0]
    assert np.exp(said["reach"][macro, 0, row]) == pytest.approx(row - 5.0 * RATE, abs=1e-3)
    assert said["apex"][macro, row] == pytest.approx(5.5 * RATE - row, abs=1e-3)
    # Rows at the edge of an event are neither one nor the other.
    assert said["told"][macro, round(5.6 * RATE)] == 0
    assert (said["told"] >= said["core"]).all()
    assert not said["core"][[k for k in range(len(EVENT_KINDS)) if k not in (micro, macro)]].any()


def a_cut(at, rise=6):
    """A face whose brow rises in 0.2 s and falls again."""
    place = np.zeros(120)
    place[at - rise : at + 1] = np.linspace(0, 1, rise + 1)
    place[at : at + rise + 1] = np.linspace(1, 0, rise + 1)
    cells = np.zeros((120, 3, 14, 14), np.float32)
    cells[STEP:, 1, 1:3, 2:12] = (place[STEP:] - place[:-STEP])[:, None, None]
    return Cut(np.arange(120) / RATE, cells)


def test_mdmd_is_greatest_where_a_motion_turns_back():
    cut = a_cut(60)
    curve = mdmd_curve(cut, 1)
    assert abs(int(curve.argmax()) - 60) <= 1
    ((start, peak, end, _),) = mdmd_intervals([(cut, curve)], 0.3, 2, (0.1, 0.6))
    assert start <= 2.0 <= end
    assert peak == pytest.approx(2.0, abs=0.04)
    assert list(mdmd_intervals([(cut, curve)], 0.3, 2, (2.0, 3.0))) == []
    assert not mdmd_curve(Cut(np.arange(20) / RATE, np.zeros((20, 3, 14, 14), np.float32)), 4).any()


def test_softnet_takes_peaks_that_are_apart():
    curve = np.zeros(120)
    curve[[40, 44, 90]] = 1.0, 0.8, 0.9
    cut = Cut(np.arange(120) / RATE, np.zeros((120, 3, 14, 14), np.float32))
    found = list(softnet_intervals([(cut, curve)], 0.5, 0.5))
    assert [round(score, 1) for *_, score in found] == [1.0, 0.9]
    assert all(end - start == pytest.approx(0.5) for start, _, end, _ in found)
    labels = softnet_labels(cut, [{"kind": "micro", "start": 1.0, "end": 1.3}, {"kind": "blink", "start": 2, "end": 3}])
    assert labels[:, 1].sum() == 0
    assert labels[round(1.1 * RATE), 0] == 1


@pytest.mark.slow
def test_the_order_of_the_recordings_changes_no_weight(rng, monkeypatch):
    monkeypatch.setattr("benchmarks.recordings_train.PATTERNS", 120)
    monkeypatch.setattr("benchmarks.recordings_train.BATCH", 2)
    items = []
    for name, face, start in (
        ("train-0001", 0, 0.0),
        ("train-0001", 0, 7.0),
        ("train-0001", 1, 0.0),
        ("train-0002", 0, 0.0),
    ):
        even = rng.normal(0, 0.2, (500, len(FEATURES))).astype(np.float32)
        items.append(Stretch(name, face, start, even, noise_of(even), [], np.zeros((2, 500), np.float32)))
    settings = {"width": 8, "dropout": 0.1, "decay": 0.0, "epochs": 1, "rate": 1e-3, "seed": 0, "mixed": 0.5}
    trained = [train(order, **settings, note=lambda *_, **__: None)[0] for order in (items, items[::-1])]
    for name, value in trained[0].state_dict().items():
        assert (trained[1].state_dict()[name] == value).all(), name


def test_files_that_are_not_written_to_their_end_are_not_read(tmp_path):
    for name in ("train-0010", "train-0002", "train-0003.part", "development-0001"):
        (tmp_path / f"{name}.npz").touch()
    assert [path.stem for path in kept_files(tmp_path, "train")] == ["train-0002", "train-0010"]
