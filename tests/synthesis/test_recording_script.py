import dataclasses
import itertools
import json

import numpy as np
import pytest

from htnet.core.errors import InputError
from htnet.core.types import EMOTIONS
from htnet.synthesis import (
    BENCHMARK_SETS,
    RECORDING_SOURCES,
    SPLITS,
    RecordingConfig,
    benchmark_recordings,
    generate_recording,
    generator_hash,
)
from htnet.synthesis.recordings.sets import people_of
from tests.support.paths import ROOT
from tests.support.seeds import next_rng
from tests.synthesis.support import STILL, first_of, still_recording

#: Kind, onset, apex, offset and time of the apex for seed 7. A change of it is a change of every recording.
TRUTH = [
    ("blink", 35, 42, 56, 0.750989),
    ("macro", 113, 127, 189, 2.250253),
    ("blink", 189, 193, 205, 3.400518),
    ("head", 194, 206, 220, 3.617405),
    ("gaze", 224, 226, 352, 3.95211),
    ("blink", 254, 262, 276, 4.549811),
    ("speech", 275, 356, 570, 6.167416),
    ("blink", 408, 412, 418, 7.118796),
    ("micro", 624, 633, 651, 10.832524),
    ("speech", 750, 937, 984, 16.001469),
    ("gaze", 875, 878, 969, 15.001929),
    ("blink", 887, 890, 895, 15.199958),
    ("blink", 955, 960, 970, 16.401854),
    ("micro", 977, 988, 1002, 16.88456),
    ("micro", 1058, 1073, 1079, 18.385048),
]


def a_seed():
    return int(next_rng().integers(2**31))


@pytest.fixture(scope="module")
def recordings():
    """Planned, not rendered: events of minutes in a fraction of a second."""
    return [generate_recording(seed, RecordingConfig(duration=(60.0, 90.0))) for seed in range(12)]


def test_configs_survive_json():
    config = RecordingConfig(duration=(5.0, 6.0), layouts=(("away", 1),))
    assert RecordingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": (1.0, 2.0)}, "duration is"),
        ({"duration": (9.0, 5.0)}, "the smaller one first"),
        ({"rates": ((5.0, 1),)}, "a rate of 10 to 500"),
        ({"sizes": ((321, 240, 1),)}, "an even width"),
        ({"layouts": (("crowd", 1),)}, "two_faces"),
        ({"codecs": (("vp9", 30, 1),)}, "one of none, h264"),
        ({"codecs": (("h264", 30, 0),)}, "weight"),
        ({"micro_weak": 1.5}, "micro_weak is 1.5"),
        ({"tonic": float("nan")}, "tonic is nan"),
        ({"lean": (0.9, 1.1)}, "lean is"),
        ({"macro_duration": (0.4, 2.0)}, "above 0.5"),
        ({"face_size": (10.0, 20.0)}, "48 or more"),
        ({"face": None}, "SynthesisConfig"),
    ],
)
def test_impossible_values_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        RecordingConfig(**changes)


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, True])
def test_impossible_seeds_are_refused(seed):
    with pytest.raises(InputError, match="seed is"):
        generate_recording(seed)


def test_a_quality_beyond_the_codec_is_refused():
    with pytest.raises(InputError, match="1 to 31 for mjpeg"):
        generate_recording(0, RecordingConfig(codecs=(("mjpeg", 40, 1),)))


def test_every_constant_has_a_source_and_stands_in_the_docs():
    page = (ROOT / "docs" / "synthesis.md").read_text("utf-8")
    assert set(RECORDING_SOURCES) == {f.name for f in dataclasses.fields(RecordingConfig)}
    for name, source in RECORDING_SOURCES.items():
        assert f"| `{name}` | " in page, name
        assert f" | {source} |" in page, source


def test_the_truth_of_a_seed_stays():
    found = generate_recording(9, RecordingConfig(duration=(20.0, 20.0))).truth()
    events = [tuple(event[name] for name in ("kind", "onset", "apex", "offset")) for event in found["events"]]
    assert events == [row[:4] for row in TRUTH]
    # Processors round the last digits in their own ways.
    assert [event["peak"] for event in found["events"]] == pytest.approx([row[4] for row in TRUTH], abs=1e-4)


def test_events_keep_their_order_and_times(recordings):
    for recording in recordings:
        assert (np.diff(recording.times) > 0).all()
        assert recording.times[0] == 0
        for event in recording.events:
            assert 0 <= event.onset < event.apex <= event.offset < len(recording)
            assert (event.start, event.peak, event.end) == tuple(
                recording.times[[event.onset, event.apex, event.offset]]
            )


def test_expressions_are_as_long_and_as_strong_as_they_say(recordings):
    micro = [(r, e) for r in recordings for e in r.events if e.kind == "micro"]
    macro = [(r, e) for r in recordings for e in r.events if e.kind == "macro"]
    assert len(micro) > 30
    assert len(macro) > 20
    for recording, event in micro:
        assert (event.offset - event.onset + 1) / recording.fps <= 0.5 + 1e-9
        assert event.end - event.start <= 0.5 + 0.6 / recording.fps
        assert 0.3 - 1e-6 <= event.displacement <= 3.0 + 1e-6
        assert event.apex < event.offset
    for recording, event in macro:
        assert 0.5 < event.end - event.start <= 4.0 + 1.6 / recording.fps
        assert event.displacement >= 2.0 - 1e-6
    for _, event in micro + macro:
        assert event.emotion in EMOTIONS
        assert event.units
    weak = np.mean([event.displacement <= 1 for _, event in micro])
    assert 0.35 < weak < 0.65


def test_expressions_of_a_kind_do_not_overlap(recordings):
    for recording in recordings:
        for track in recording.tracks:
            for kind, apart in (("micro", 0.3), ("macro", 0.3), ("blink", 0.3), ("speech", 0.4), ("head", 0.0)):
                own = [e for e in recording.events if e.kind == kind and e.track == track.number]
                for before, after in itertools.pairwise(own):
                    assert after.start - before.end >= apart, (before, after)


def test_expressions_at_once_move_different_parts_of_the_face(recordings):
    parts = ({1, 2, 4}, {5, 6, 7}, {9, 10, 12, 14, 15, 17, 20, 24, 25})
    met = 0
    for recording in recordings:
        shown = [e for e in recording.events if e.kind in ("micro", "macro")]
        for one in shown:
            for two in shown:
                kinds = (one.kind, two.kind, one.track == two.track)
                if kinds == ("micro", "macro", True) and one.start < two.end and two.start < one.end:
                    met += 1
                    units = [{u for u, _, _ in e.units} for e in (one, two)]
                    assert not any(p & units[0] and p & units[1] for p in parts)
    assert met > 0


def test_expressions_leave_the_mouth_to_speech_and_do_not_happen_out_of_sight():
    config = RecordingConfig(speech=1.0, no_expression=0.0, duration=(60.0, 60.0), layouts=(("away", 1), ("leave", 1)))
    met = 0
    for seed in range(6):
        recording = generate_recording(seed, config)
        gone = [e for e in recording.events if e.detail in ("away", "leave")]
        assert gone
        for event in recording.events:
            if event.kind not in ("micro", "macro"):
                continue
            assert not any(event.start < e.end and e.start < event.end for e in gone)
            if any(e.kind == "speech" and event.start < e.end and e.start < event.end for e in recording.events):
                met += 1
                assert {u for u, _, _ in event.units} <= {1, 2, 4, 5, 6, 7}
    assert met > 0


def test_recordings_without_expressions():
    recording = still_recording(a_seed(), no_expression=1.0, duration=(60.0, 60.0), gaze_rate=(9.0, 9.0))
    kinds = {event.kind for event in recording.events}
    assert kinds == {"blink", "gaze"}


def test_blinks_come_as_often_as_people_blink(recordings):
    alone = [r for r in recordings if len(r.tracks) == 1]
    rates = [sum(e.kind == "blink" for e in r.events) / (r.duration / 60) for r in alone]
    assert 8 < np.mean(rates) < 27
    for recording in alone:
        for event in recording.events:
            if event.kind == "blink":
                assert 0.05 < event.end - event.start <= 0.4 + 2 / recording.fps
                assert event.apex - event.onset <= event.offset - event.apex + 1


def test_dropped_repeated_and_paused_frames():
    plain = still_recording(5)
    lossy = still_recording(
        5,
        dropped=1.0,
        dropped_rate=(0.05, 0.05),
        repeated=1.0,
        repeated_rate=(0.05, 0.05),
        pause=1.0,
        jitter=(0.05, 0.05),
    )
    assert not plain.repeated.any()
    assert len(lossy) < len(plain)
    assert 0.01 < lossy.repeated.mean() < 0.1
    steps = np.diff(lossy.times)
    assert steps.min() > 0
    assert (steps > 0.5).sum() == 1
    assert ((steps > 1.5 / 50) & (steps < 0.5)).sum() > 5
    number = int(np.flatnonzero(lossy.repeated)[0])
    np.testing.assert_array_equal(lossy.landmarks(number), lossy.landmarks(number - 1))
    for event in lossy.events:
        if event.kind in ("micro", "macro"):
            assert lossy.curves().micro[event.apex] + lossy.curves().macro[event.apex] == pytest.approx(
                event.displacement, rel=1e-3
            )


def test_curves_reach_what_the_events_say(recordings):
    closed = []
    for recording in recordings[:6]:
        for event in recording.events:
            curves = recording.curves(event.track)
            if event.kind == "blink":
                closed.append(float(curves.eyes[event.apex].max()))
            elif event.kind in ("micro", "macro"):
                assert getattr(curves, event.kind)[event.apex] == pytest.approx(event.displacement, rel=0.01)
                assert getattr(curves, event.kind)[event.onset] == pytest.approx(0, abs=1e-6)
    # Some blinks do not close the eye.
    assert max(closed) < 0.8
    assert 0.75 < np.mean(np.array(closed) < 0.25) < 0.97


def test_answers_know_the_subjects_sides():
    recording = still_recording(3, face=dataclasses.replace(RecordingConfig().face, one_sided=1.0, other_side=0.0))
    event = first_of(recording, "macro")
    units = {unit.number: unit for unit in event.as_event().action_units}
    for number, left, right in event.units:
        assert units[number].subject_left == (right > 0.05)
        assert units[number].subject_right == (left > 0.05)


def test_no_person_is_in_two_splits():
    for name, split in SPLITS.items():
        for other, another in SPLITS.items():
            if name < other:
                assert not set(split.seeds) & set(another.seeds)
                assert not set(split.people) & set(another.people)
    config = RecordingConfig(**STILL | {"layouts": (("two_faces", 1),)})
    for name, split in SPLITS.items():
        for seed in (split.seeds[0], split.seeds[-1]):
            people = {track.person for track in generate_recording(seed, config).tracks}
            assert people <= set(split.people), name
    assert not any(set(people_of(5_000_000)) & set(split.people) for split in SPLITS.values())


def test_benchmark_sets_are_60_and_40_recordings_of_their_splits():
    assert {name: len(s.seeds) for name, s in BENCHMARK_SETS.items()} == {"development": 40, "test": 60}
    for name, chosen in BENCHMARK_SETS.items():
        assert set(chosen.seeds) <= set(SPLITS[name].seeds)
    test = BENCHMARK_SETS["test"]
    assert sum(test.shows_portrait(k) for k in range(60)) == 20
    assert sum(test.is_still(k) for k in range(60)) == 12
    assert not any(BENCHMARK_SETS["development"].shows_portrait(k) for k in range(40))
    with pytest.raises(InputError, match="shows a portrait"):
        next(benchmark_recordings("test"))
    with pytest.raises(InputError, match="no set 'train'"):
        next(benchmark_recordings("train"))
    made = list(
        zip(range(5), benchmark_recordings("development", config=RecordingConfig(duration=(8.0, 8.0))), strict=False)
    )
    kinds = {e.kind for e in made[4][1][1].events}
    assert not kinds & {"micro", "macro"}


def test_the_generators_hash_is_the_same_for_everybody():
    assert len(generator_hash()) == 64
    assert generator_hash() == generator_hash()
