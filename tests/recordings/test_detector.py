"""The event detector: its grid, its network, from scores to events, and its file."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from htnet.core.errors import InputError, OverwriteError
from htnet.core.events import EVENT_KINDS, LONGEST_MICRO_S
from htnet.core.types import Frame
from htnet.evaluation.matching import match_intervals
from htnet.recordings import (
    FEATURES,
    DetectorConfig,
    EventDetector,
    FrameStream,
    load_detector,
    recording_curves,
    save_detector,
)
from htnet.recordings import detector as under_test
from htnet.recordings import grid as grid_under_test
from htnet.recordings.grid import (
    INPUTS,
    PATTERNS,
    RATE,
    even_rows,
    input_names,
    make_grid,
    mirrored,
    network_inputs,
    noise_of,
    stretch_motions,
)
from htnet.recordings.measure import COLUMN, DISTANCES
from htnet.recordings.network import EventNetwork
from htnet.recordings.regions import REGIONS
from htnet.synthesis import RecordingConfig, generate_recording, generator_hash


def some_features(rng, count=120, fps=30.0):
    times = np.arange(count) / fps
    return times, rng.normal(0, 0.5, (count, len(FEATURES))).astype(np.float32)


def some_patterns(rng):
    rows = rng.normal(0, 1, (PATTERNS, len(REGIONS), 2)).astype(np.float32)
    exchanged = (name.replace("left", "?").replace("right", "left").replace("?", "right") for name in REGIONS)
    sides = [REGIONS.index(name) for name in exchanged]
    mirror = rows[:, sides] * np.float32([-1, 1])
    return np.concatenate([rows, mirror]).reshape(2 * PATTERNS, -1)


def a_network(seed=3, width=8):
    torch.manual_seed(seed)
    network = EventNetwork(width).eval()
    network.patterns.copy_(torch.from_numpy(some_patterns(np.random.default_rng(seed))))
    return network


def test_memory_does_not_grow_with_the_inputs_of_all_rows(rng):
    """Half an hour is scored in parts: what NumPy holds at once is a share of all that the network reads."""
    import tracemalloc

    times, features = some_features(rng, 20000)
    detector = load_detector()
    detector.candidates_of(times[:100], features[:100])
    tracemalloc.start()
    detector.candidates_of(times, features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(times) * INPUTS * 4


@pytest.mark.parametrize("part", [130, 700])
def test_where_the_parts_end_changes_no_event(rng, monkeypatch, part):
    """Sums in float32 made whiteners, and so scores, differ with the parts: by 3e-5 in half an hour."""
    times, noise = some_features(rng, 1500)
    features = np.cumsum(noise, axis=0, dtype=np.float32) * np.float32(0.2)  # far from 0, as places drift
    detector = load_detector()
    found = {}
    for rows in (part, len(times)):
        monkeypatch.setattr(grid_under_test, "_PART", rows)
        monkeypatch.setattr(under_test, "_PART", rows)
        grid = make_grid(times, features, detector._network.patterns.numpy())
        found[rows] = grid.noise, detector.candidates_of(times, features, 0.02)
    (noise, parts), (whole_noise, whole) = found[part], found[len(times)]
    np.testing.assert_allclose(noise.space, whole_noise.space, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(noise.time, whole_noise.time, rtol=1e-5, atol=1e-6)
    assert len(whole) > 20
    assert [one.kind for one in parts] == [one.kind for one in whole]
    assert [one.score for one in parts] == pytest.approx([one.score for one in whole], abs=2e-6)
    assert [one.peak for one in parts] == pytest.approx([one.peak for one in whole], abs=1e-4)


class TestGrid:
    @pytest.mark.parametrize("fps", [15.0, 25.0, 30.0, 50.0, 200.0])
    def test_a_slow_motion_is_the_same_at_every_rate(self, fps):
        times = np.arange(int(4 * fps)) / fps
        features = np.zeros((len(times), len(FEATURES)), np.float32)
        features[:, COLUMN["left_eye_v_0.2s"]] = np.sin(2 * np.pi * 0.5 * times)
        at, even = even_rows(times, features)
        assert np.diff(at) == pytest.approx(1 / RATE)
        assert at[-1] <= times[-1] + 1e-9
        assert at[-1] > times[-1] - 1 / RATE - 1e-9
        wanted = np.sin(2 * np.pi * 0.5 * at)
        assert even[1:-1, COLUMN["left_eye_v_0.2s"]] == pytest.approx(wanted[1:-1], abs=0.03)

    def test_noise_of_a_fast_camera_is_averaged(self, rng):
        features = rng.normal(0, 1, (800, len(FEATURES))).astype(np.float32)
        _, even = even_rows(np.arange(800) / 200.0, features)
        column = even[:, COLUMN["nose_u_0.04s"]]
        assert column.std() < 0.55

    def test_unknown_features_are_zero_and_inputs_are_finite(self, rng):
        times, features = some_features(rng)
        features[:15] = np.nan
        inputs = make_grid(times, features, some_patterns(rng)).inputs(0, len(times))
        assert inputs.shape == (len(inputs), INPUTS)
        assert inputs.dtype == np.float32
        assert np.isfinite(inputs).all()

    @pytest.mark.parametrize("fps", [15.0, 30.0, 29.97, 50.0, 200.0])
    def test_parts_are_those_of_the_whole(self, rng, fps):
        """A long stretch is worked through in parts: whitening and inputs are those of all rows at once."""
        seconds = 130  # more than two parts of rows, with a pause of half a second
        times = np.arange(int(seconds * fps)) / fps
        times[len(times) // 2 :] += 0.5
        features = rng.normal(0, 1, (len(times), len(FEATURES))).cumsum(axis=0).astype(np.float32) / 30
        features[100:140] = np.nan
        patterns = some_patterns(rng)
        at, even = even_rows(times, features)
        whole = network_inputs(even, noise_of(even), patterns)
        grid = make_grid(times, features, patterns)
        assert (grid.times == at).all()
        np.testing.assert_allclose(grid.noise.space, noise_of(even).space, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(grid.noise.time, noise_of(even).time, rtol=1e-4, atol=1e-5)
        for low, high in ((0, 500), (500, 2500), (1790, 1810), (2500, len(at)), (0, len(at))):
            np.testing.assert_allclose(grid.inputs(low, high), whole[low:high], rtol=1e-4, atol=1e-5)

    def test_one_frame(self, rng):
        times, features = some_features(rng, 1)
        assert make_grid(times, features, some_patterns(rng)).inputs(0, 1).shape == (1, INPUTS)

    def test_a_pause_within_the_grid_keeps_times(self):
        times = np.concatenate([np.arange(30) / 30, 1.2 + np.arange(30) / 30])
        features = np.zeros((60, len(FEATURES)), np.float32)
        features[:, COLUMN["head_x_rate"]] = times
        at, even = even_rows(times, features)
        assert even[:, COLUMN["head_x_rate"]] == pytest.approx(at, abs=1e-4)

    def test_a_mirrored_face_has_its_sides_exchanged(self):
        order, sign = mirrored()
        names = input_names()
        assert (order[order] == np.arange(INPUTS)).all()
        at = names.index("left_mouth_corner_u_0.2s")
        assert names[order[at]] == "right_mouth_corner_u_0.2s"
        assert sign[at] == -1
        at = names.index("left_eye_v_0.5s")
        assert names[order[at]] == "right_eye_v_0.5s"
        assert sign[at] == 1

    def test_a_response_does_not_depend_on_the_noise_of_the_other_regions(self, rng):
        """The same motion over a noise of unit variance gives the same response, however that noise is mixed."""
        patterns = some_patterns(rng)
        at = np.array([COLUMN[f"{region}_{axis}_0.2s"] for region in REGIONS for axis in "uv"])
        even = np.zeros((2000, len(FEATURES)), np.float32)
        turned, _ = np.linalg.qr(rng.normal(0, 1, (len(at), len(at))))
        mix = turned * np.geomspace(0.5, 1.5, len(at))
        even[:, at] = rng.normal(0, 1, (2000, len(at))) @ mix.T
        even[1000, at] = 0.5 * patterns[7]
        told = network_inputs(even, noise_of(even), patterns)[1000]
        names = list(input_names())
        wanted = 0.5 * np.sqrt(patterns[7] @ np.linalg.solve(mix @ mix.T, patterns[7]))
        assert 2 * np.sinh(told[names.index("pattern 7 0.2s")]) == pytest.approx(wanted, rel=0.1)
        assert np.exp(told[names.index("displacement 0.2s")]) - 0.05 == pytest.approx(0.5, rel=0.1)

    def test_what_the_rows_before_predict_is_taken_out(self, rng):
        """Noise that is correlated in time becomes white: the coefficients are those it was made with."""
        at = np.array([COLUMN[f"{region}_{axis}_0.2s"] for region in REGIONS for axis in "uv"])
        even = np.zeros((6000, len(FEATURES)), np.float32)
        path = rng.normal(0, 0.1, (6000, len(at)))
        for row in range(2, len(path)):
            path[row] += 0.9 * path[row - 1] - 0.3 * path[row - 2]
        even[:, at] = path
        noise = noise_of(even)
        distance = DISTANCES.index(0.2)
        assert noise.time[distance, :, 0].mean() == pytest.approx(0.9, abs=0.03)
        assert noise.time[distance, :, 1].mean() == pytest.approx(-0.3, abs=0.03)
        new = noise.innovations(noise.whitened(stretch_motions(even)))[distance][10:]
        assert new.std() == pytest.approx(1, abs=0.05)
        for lag in (1, 2, 3):
            assert abs((new[lag:] * new[:-lag]).mean()) < 0.03
        # Without noise there is nothing to divide by, and nothing becomes infinite.
        still = noise_of(np.zeros_like(even))
        assert np.isfinite(still.space).all()
        assert np.isfinite(still.time).all()

    def test_a_mirrored_face_gives_mirrored_inputs(self, rng):
        patterns, (_, features) = some_patterns(rng), some_features(rng)
        swapped = features.copy()
        for name, column in COLUMN.items():
            other = name.replace("left", "?").replace("right", "left").replace("?", "right")
            sign = -1 if "_u" in name or name.startswith(("head_x", "head_roll")) else 1
            swapped[:, COLUMN[other]] = sign * features[:, column]
        order, sign = mirrored()
        wanted = network_inputs(features, noise_of(features), patterns)[:, order] * sign
        found = network_inputs(swapped, noise_of(swapped), patterns)
        assert np.abs(found - wanted).max() < 2e-3


class TestNetwork:
    def test_padding_changes_nothing(self, rng):
        network, rows = a_network(), torch.from_numpy(rng.normal(0, 1, (1, 90, INPUTS)).astype(np.float32))
        mask = torch.zeros(1, 150)
        mask[:, :90] = 1
        alone = network(rows)
        padded = network(torch.nn.functional.pad(rows, (0, 0, 0, 60)), mask)
        for name in ("core", "inside", "reach", "apex", "top", "level"):
            torch.testing.assert_close(getattr(padded, name)[..., :90], getattr(alone, name), atol=1e-5, rtol=1e-4)

    def test_its_reach_is_the_last_row_that_changes_a_score(self, rng):
        network, rows = a_network(), rng.normal(0, 1, (1, 400, INPUTS)).astype(np.float32)
        changed = rows.copy()
        changed[0, 200] += 1
        differs = (network(torch.from_numpy(rows)).core != network(torch.from_numpy(changed)).core).any(dim=1)[0]
        (places,) = differs.nonzero(as_tuple=True)
        assert 200 + network.reach >= int(places.max()) > 200 + 0.6 * network.reach
        assert 200 - network.reach <= int(places.min()) < 200 - 0.6 * network.reach

    def test_a_long_recording_is_scored_in_parts_with_the_same_result(self, rng, monkeypatch):
        detector = EventDetector(a_network())
        rows = rng.normal(0, 1, (1700, INPUTS)).astype(np.float32)
        grid = SimpleNamespace(times=np.arange(1700) / RATE, inputs=lambda low, high: rows[low:high])
        whole = detector._scores(grid)
        monkeypatch.setattr(under_test, "_PART", 500)
        for one, other in zip(detector._scores(grid), whole, strict=True):
            assert one == pytest.approx(other, rel=1e-4, abs=1e-5)

    def test_threads_get_the_same_answers(self, rng):
        detector = EventDetector(a_network())
        times, features = some_features(rng, 300)
        wanted = detector.candidates_of(times, features, 0.0)
        with ThreadPoolExecutor(4) as pool:
            assert all(
                found == wanted for found in pool.map(lambda _: detector.candidates_of(times, features, 0.0), range(8))
            )


def intervals(kind, score, before, apex, after, least=0.3, looks=None):
    """Events where every row says that onset, apex and offset are so many rows away."""
    times = 10 + np.arange(len(score)) / RATE
    moments = times + np.array([[-before], [apex], [after]]) / RATE
    looks = np.full(len(score), 0.1) if looks is None else looks
    return under_test._intervals(kind, np.float32(score), moments, looks, least, (times[0], times[-1]))


class TestIntervals:
    def test_a_peak_becomes_an_interval(self):
        score = np.zeros(60)
        score[30] = 0.9
        (found,) = intervals("macro", score, 12, 3, 15)
        assert (found.kind, found.score) == ("macro", pytest.approx(0.9))
        assert [found.start, found.end] == pytest.approx([10 + 18 / RATE, 10 + 45 / RATE])
        assert found.peak == pytest.approx(10 + 33 / RATE, abs=0.7 / RATE)

    def test_the_apex_is_the_row_within_the_event_that_looks_most_like_one(self):
        score, looks = np.zeros(60), np.full(60, 0.01)
        score[30] = 0.9
        looks[[5, 26, 27, 28]] = 0.9, 0.3, 0.6, 0.3
        (found,) = intervals("macro", score, 12, 0, 12, looks=looks)
        assert found.peak == pytest.approx(10 + 27 / RATE, abs=0.5 / RATE)

    def test_rows_that_score_nearly_as_high_have_a_say(self):
        score = np.zeros(60)
        score[28:34] = 0.4, 0.9, 0.9, 0.91, 0.9, 0.3
        (found,) = intervals("macro", score, 12, 0, 12)
        assert [found.start, found.end] == pytest.approx([10 + 18.5 / RATE, 10 + 42.5 / RATE], abs=0.01 / RATE)

    def test_of_two_that_overlap_the_better_one_stays(self):
        score = np.zeros(60)
        score[25], score[31], score[50] = 0.6, 0.8, 0.5
        found = intervals("macro", score, 8, 0, 8)
        assert [one.score for one in found] == pytest.approx([0.8, 0.5])

    def test_none_that_is_kept_shares_half_of_another(self, rng):
        found = intervals("macro", rng.uniform(0.3, 1, 300), 6, 0, 9)
        assert len(found) > 10
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        for place, one in enumerate(found):
            for other in found[:place]:
                shared = min(one.end, other.end) - max(one.start, other.start)
                assert shared < 0.5 * min(one.end - one.start, other.end - other.start)

    def test_a_micro_expression_is_not_longer_than_one_may_be(self):
        score = np.zeros(60)
        score[30] = 0.9
        (found,) = intervals("micro", score, 20, 0, 20)
        assert found.end - found.start == pytest.approx(LONGEST_MICRO_S)
        (found,) = intervals("macro", score, 20, 0, 20)
        assert found.end - found.start == pytest.approx(40 / RATE)

    def test_intervals_stay_within_their_stretch(self):
        score = np.zeros(20)
        score[0], score[19] = 0.9, 0.8
        found = intervals("head", score, 50, 30, 50)
        assert found
        for one in found:
            assert 10 <= one.start <= one.peak <= one.end <= 10 + 19 / RATE

    def test_nothing_below_the_least_score(self):
        assert intervals("blink", np.full(30, 0.2), 3, 0, 3) == []


class TestFile:
    def test_a_detector_survives(self, tmp_path, rng):
        config = DetectorConfig((0.2, 0.3, 0.4, 0.5, 0.6), (1.0, 2.0, 3.0, 4.0, 5.0), (0.0, -1.0, 1.0, 0.5, 0.2))
        kept = EventDetector(a_network(), config, {"seed": 3})
        save_detector(kept, tmp_path / "d.safetensors")
        found = load_detector(tmp_path / "d.safetensors")
        assert found.config == config
        assert found.about == {"seed": 3}
        times, features = some_features(rng)
        assert found.candidates_of(times, features, 0.0) == kept.candidates_of(times, features, 0.0)
        with pytest.raises(OverwriteError):
            save_detector(kept, tmp_path / "d.safetensors")

    def test_files_that_are_none_are_refused(self, tmp_path):
        from safetensors.torch import load_file, save_file

        with pytest.raises(InputError, match="does not exist"):
            load_detector(tmp_path / "none.safetensors")
        with pytest.raises(InputError, match="is a folder"):
            load_detector(tmp_path)
        (tmp_path / "text").write_text("text", "utf-8")
        with pytest.raises(InputError, match="cannot be read as a safetensors file"):
            load_detector(tmp_path / "text")
        save_file({"a": torch.zeros(2)}, tmp_path / "other")
        with pytest.raises(InputError, match="not an event detector of this version"):
            load_detector(tmp_path / "other")
        save_detector(EventDetector(a_network()), tmp_path / "d")
        tensors = load_file(tmp_path / "d")
        tensors.pop("mean")
        about = {"form": under_test._FORM, "inputs": json.dumps(list(input_names())), "width": "8"}
        about |= {"config": json.dumps(dataclasses.asdict(DetectorConfig())), "about": "{}"}
        save_file(tensors, tmp_path / "less", about | {"sha256": under_test._digest(tensors, about)})
        with pytest.raises(InputError, match="lacks tensors"):
            load_detector(tmp_path / "less")

    def test_a_flipped_byte_is_refused(self, tmp_path):
        save_detector(EventDetector(a_network()), tmp_path / "d")
        content = bytearray((tmp_path / "d").read_bytes())
        head = 8 + int.from_bytes(content[:8], "little")
        thresholds = content.index(b"0.3")
        assert thresholds < head
        for place in (head, (head + len(content)) // 2, len(content) - 1, thresholds + 2):
            damaged = bytearray(content)
            damaged[place] ^= 1
            (tmp_path / "damaged").write_bytes(damaged)
            with pytest.raises(InputError, match="is damaged: its content does not have the SHA-256"):
                load_detector(tmp_path / "damaged")

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_parameters_that_are_not_finite_are_refused(self, tmp_path, value, monkeypatch):
        detector = EventDetector(a_network())
        detector._network.enter[0].weight[0, 0, 0] = value
        with pytest.raises(InputError, match=r"not finite \(enter.0.weight\).* Train it again"):
            save_detector(detector, tmp_path / "d")
        assert not (tmp_path / "d").exists()
        with monkeypatch.context() as patch:
            patch.setattr(under_test, "_check_finite", lambda *args: None)
            save_detector(detector, tmp_path / "d")
        with pytest.raises(InputError, match=r"not finite \(enter.0.weight\); train it again"):
            load_detector(tmp_path / "d")

    def test_what_is_no_path_and_no_detector_is_refused(self, tmp_path):
        detector = EventDetector(a_network())
        for path in (5, "", ["a"], b"d"):
            with pytest.raises(InputError, match="^path is .*give the name of a file"):
                load_detector(path)
        for path in (None, "", 5):
            with pytest.raises(InputError, match="^path is .*give the name of a file"):
                save_detector(detector, path)
        with pytest.raises(InputError, match="takes an EventDetector first, not None"):
            save_detector(None, tmp_path / "d")
        with pytest.raises(InputError, match="takes the network that training gave, not None"):
            EventDetector(None)
        for curves, said in ((None, "None"), ("a.mp4", "'a.mp4'"), (tmp_path, "Path"), ([], "type list")):
            with pytest.raises(InputError, match=rf"not .*{said}.*recording_curves\(path\)"):
                detector(curves)

    def test_thresholds_that_cannot_be_are_refused(self):
        with pytest.raises(InputError, match="thresholds"):
            DetectorConfig(thresholds=(0.5,) * (len(EVENT_KINDS) - 1))
        with pytest.raises(InputError, match="thresholds"):
            DetectorConfig(thresholds=(1.5,) * len(EVENT_KINDS))


@pytest.fixture(scope="module")
def recording():
    """A person of no split."""
    config = RecordingConfig(
        duration=(14.0, 14.0),
        rates=((25.0, 1),),
        sizes=((480, 360, 1),),
        face_size=(190.0, 200.0),
        layouts=(("single", 1),),
        codecs=(("none", 0, 1),),
        noise=(0.5, 0.6),
        low_contrast=0.0,
        no_expression=0.0,
        macro_rate=(12.0, 12.0),
        micro_rate=(1.0, 1.0),
        blink_rate=(20.0, 20.0),
        blink_partial=0.0,
        speech=0.0,
        head_rate=(0.0, 0.0),
        dropped=0.0,
        repeated=0.0,
        pause=0.0,
    )
    return generate_recording(5_000_001, config)


@pytest.fixture(scope="module")
def curves(recording):
    frames = (Frame(f, f"frame {k}", k, float(recording.times[k])) for k, f in enumerate(recording.frames()))
    return recording_curves(FrameStream("generated", frames, recording.fps))


class TestShipped:
    """The shipped weights on a recording of a person of no split."""

    def test_blinks_and_expressions_are_found(self, recording, curves):
        events = load_detector()(curves)
        assert list(events) == sorted(events, key=lambda event: event.onset)
        for kind in ("blink", "macro"):
            true = [(e.onset, e.offset) for e in recording.events if e.kind == kind]
            said = [(e.onset, e.offset) for e in events if e.kind == kind]
            matched = len(match_intervals(true, said))
            assert matched >= 0.5 * len(true) > 0
            assert len(said) - matched <= 1
        for event in events:
            assert 0 <= event.onset <= event.apex <= event.offset < len(recording)
            assert event.start == pytest.approx(recording.times[event.onset])
            assert event.end == pytest.approx(recording.times[event.offset])
            assert 0 < event.confidence <= 1
            assert event.track is None

    def test_the_weights_were_made_by_this_generator(self):
        assert load_detector().about["generator"] == generator_hash()
