"""Properties that hold for all inputs, on inputs that hypothesis chooses; the same in every run."""

import csv
import io
import json
import tempfile
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, f1_score, recall_score

from htnet.core.csv_files import SEPARATORS, open_table
from htnet.core.elan import write_elan
from htnet.core.errors import FlowError, ManifestError
from htnet.core.events import Event
from htnet.core.facs import UnitPrediction
from htnet.core.identity import dataset_key, person, person_key
from htnet.core.limits import parse_json
from htnet.core.megc import write_megc
from htnet.core.recordings import Recording
from htnet.core.schema import named_points
from htnet.core.types import EMOTIONS, LAYOUTS, RESIZES, Flow, Frame, PreprocessSpec
from htnet.data import Manifest, Sample, read_manifest, read_recordings
from htnet.evaluation.bootstrap import resampled_confusions
from htnet.evaluation.calibration import apply_temperature
from htnet.evaluation.matching import IOU, interval_iou, match_intervals
from htnet.evaluation.metrics import confusion_matrix, score
from htnet.evaluation.spotting import evaluate_spotting
from htnet.preprocess.depth import stated_white
from htnet.preprocess.flow.compute import flow_image, read_flow_image, write_flow_image
from htnet.preprocess.geometry import agreement, scale_of, scale_points, similarity, transform_points
from htnet.preprocess.landmarks import PrecomputedLandmarks
from htnet.preprocess.landmarks.files import COLUMNS
from htnet.preprocess.pictures import file_damage, picture_count, picture_size
from htnet.recordings.grid import even_rows
from htnet.recordings.measure import FEATURES
from htnet.recordings.table import read_curves, write_table
from htnet.recordings.track import GAPS, FaceTrack, RecordingCurves
from htnet.training import Augmentation, Recipe
from htnet.training.curves import as_text, write_curve_rows

settings.register_profile("htnet", max_examples=30, deadline=None, derandomize=True, database=None)
settings.load_profile("htnet")

#: What people write: letters of several alphabets, digits, blanks and signs.
WRITTEN = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)
#: What names are made of where they are odd on purpose.
NAMES = st.text(st.sampled_from("0123456789aAbBéÉßıİſØæ²³^._- /#'+()[]\u0430\u0391\u200b\u00a0"), max_size=16)
#: Text of a cell: no line ends, which files of other systems change, and no NUL.
CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12)


@given(st.integers(1, 40).flatmap(lambda side: arrays(np.uint8, (side, side, 3))))
def test_a_flow_image_is_read_as_it_was_written(image):
    with tempfile.TemporaryDirectory() as folder:
        path = write_flow_image(Path(folder) / "flow.png", image)
        try:
            np.testing.assert_array_equal(read_flow_image(path, len(image)), image)
        except FlowError as error:
            if "is not a flow image: " not in str(error):
                raise
            reject()  # a few random values can be alike in all channels, as in a photo


@given(
    arrays(np.float32, (2, 12, 12), elements=st.floats(-20, 20, width=32)),
    st.floats(0.125, 8, width=32),
    st.permutations(["strain", "v", "u"]),
)
def test_a_flow_image_spans_its_range_whatever_the_size_of_the_motion(uv, factor, channels):
    image = flow_image(Flow(uv, "array"), 12, channels=tuple(channels))
    for plane in image.transpose(2, 0, 1):
        assert (int(plane.min()), int(plane.max())) in ((0, 255), (0, 0))
    scaled = flow_image(Flow(uv * np.float32(factor), "array"), 12, channels=tuple(channels))
    assert np.abs(scaled.astype(int) - image).max() <= 1, "an image tells directions and shares, not lengths"


def labels(classes):
    pairs = st.tuples(*[st.integers(0, classes - 1)] * 2)
    return st.tuples(st.just(classes), st.lists(pairs, min_size=1, max_size=40))


@given(st.integers(2, 8).flatmap(labels))
def test_scores_are_those_of_scikit_learn(case):
    classes, pairs = case
    truth, prediction = np.array(pairs).T
    found = score(truth, prediction, classes)
    reference = {"labels": np.unique(truth), "average": "macro", "zero_division": 0}
    assert found.uf1 == pytest.approx(f1_score(truth, prediction, **reference), abs=1e-12)
    assert found.uar == pytest.approx(recall_score(truth, prediction, **reference), abs=1e-12)
    assert found.accuracy == pytest.approx(accuracy_score(truth, prediction), abs=1e-12)


@given(st.one_of(NAMES, WRITTEN))
@example("1-11")
@example("6.0")
@example("Sub-01")
def test_the_key_of_a_name_is_its_own_key(name):
    assert person_key(person_key(name)) == person_key(name)
    assert dataset_key(dataset_key(name)) == dataset_key(name)


@given(
    st.one_of(NAMES, WRITTEN), st.sampled_from([str.upper, str.lower, "  {} ".format, "\u200b{}".format, "{}_".format])
)
def test_a_name_keeps_its_key_however_it_is_typed(name, spelling):
    if spelling == "{}_".format and name[-2:-1] == ".":
        return  # "6.0" is a number with decimals, "6.0_" is not
    assert person_key(spelling(name)) == person_key(name)


@given(NAMES, NAMES, NAMES, NAMES)
def test_being_the_same_person_is_symmetric_and_needs_the_same_set(set_a, a, set_b, b):
    same = person(set_a, a) == person(set_b, b)
    assert same == (person(set_b, b) == person(set_a, a))
    if same:
        assert person_key(a) == person_key(b)


@given(
    CELLS.map(str.strip),
    st.lists(
        st.tuples(
            CELLS.map(str.strip).filter(bool),
            st.sampled_from(["", "01", "Müller", "a,b;c"]),
            st.sampled_from([None, *EMOTIONS]),
            st.sampled_from(["", "none", "4+L12"]),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row[0],
    ),
    st.sampled_from([".", "deep"]),
)
def test_a_manifest_is_read_as_it_was_written(dataset, rows, place):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        samples = [
            Sample(name, dataset, subject, label, flow=root / f"flow {i}.png", action_units=units)
            for i, (name, subject, label, units) in enumerate(rows)
        ]
        path = root / place / "list.csv"
        Manifest(tuple(samples), EMOTIONS, "chosen").write(path)
        found = [replace(s, flow=s.flow.resolve()) for s in read_manifest(path, check_files=False)]
    assert found == samples


@given(
    st.sampled_from(sorted(SEPARATORS)),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(2, 5).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5)),
)
def test_a_table_reads_the_same_whatever_separates_its_columns(separator, encoding, end, rows):
    columns = [f"column {k}" for k in range(len(rows[0]))]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([columns, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(text.getvalue().encode(encoding))
        if not any(cell.strip() for row in rows for cell in row):
            with pytest.raises(ManifestError, match="contains no samples"):
                open_table(path)
            return
        table = open_table(path)
    assert (table.separator, table.columns) == (separator, columns)
    written = [dict(zip(columns, row, strict=True)) for row in rows if any(cell.strip() for cell in row)]
    assert [row for _, row in table.rows] == written


HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"BM", b"RIFF0000WEBPVP8", b"GIF89a", b"II*\0", b"MM\0+", b"P5", b"P6 #")


@given(st.sampled_from([b"", *HEADS]), st.binary(max_size=80))
def test_headers_of_pictures_are_read_or_passed_over_whatever_they_hold(head, rest):
    data = head + rest
    size = picture_size(data)
    assert size is None or min(size) >= 0
    assert picture_count(data) >= 1
    assert stated_white(data) is None or stated_white(data) > 0
    assert isinstance(file_damage(data), str)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    )
)
def test_json_is_read_as_it_was_written(content):
    assert parse_json(json.dumps(content)) == content


@given(
    st.sampled_from(["megc2022", "megc2023"]),
    st.lists(
        st.tuples(st.sampled_from(["micro", "macro"]), st.integers(0, 500), st.integers(0, 90)), min_size=1, max_size=6
    ),
    st.integers(0, 3),
)
def test_events_are_read_as_a_challenge_writes_them(form, spans, first):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        write_megc(path, {"s1/0102": made_events(spans)}, form=form, first_frame=first)
        (found,) = read_recordings(path, first_frame=first).recordings
    assert sorted((e.kind, e.onset, e.offset) for e in found.events) == sorted((k, a, a + n) for k, a, n in spans)


def total_iou(truth, predicted, pairs):
    return sum((interval_iou(truth[i], predicted[j]) for i, j in pairs), Fraction(0))


def counted(scores):
    return scores.counts.tp, scores.counts.fp, scores.counts.fn


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 15)).map(lambda s: (s[0], s[0] + s[1])), max_size=8)


@given(SPANS, SPANS, st.integers(-1000, 1000), st.randoms())
def test_matching_does_not_depend_on_shift_or_order(truth, predicted, shift, random):
    pairs = match_intervals(truth, predicted)
    moved = [[(a + shift, b + shift) for a, b in spans] for spans in (truth, predicted)]
    assert match_intervals(*moved) == pairs
    mixed = [random.sample(spans, len(spans)) for spans in (truth, predicted)]
    again = match_intervals(*mixed)
    assert len(again) == len(pairs)
    assert total_iou(*mixed, again) == total_iou(truth, predicted, pairs)
    assert len(match_intervals(predicted, truth)) == len(pairs)


@given(SPANS, SPANS)
def test_matching_is_the_published_count_where_no_prediction_fits_two_truths(truth, predicted):
    fits = [[interval_iou(t, p) >= IOU for t in truth] for p in predicted]
    found = sum(map(any, zip(*fits, strict=True))) if fits else 0
    pairs = match_intervals(truth, predicted)
    assert len(pairs) <= min(found, len(predicted))
    if all(sum(row) <= 1 for row in fits):
        assert len(pairs) == found


KINDS = st.sampled_from(["micro", "macro", "blink", "head"])
EVENT_SPANS = st.lists(st.tuples(KINDS, st.integers(0, 60), st.integers(0, 20)), max_size=7)


def made_events(spans, shift=0):
    return [Event(kind, onset + shift, None, onset + shift + length) for kind, onset, length in spans]


@given(st.lists(st.tuples(EVENT_SPANS, EVENT_SPANS), min_size=1, max_size=4), st.integers(0, 500), st.randoms())
def test_spotting_scores_do_not_depend_on_shift_order_or_grouping(cases, shift, random):
    def scored(shift, mix):
        order = list(enumerate(cases))
        mix(order)
        truth, answers = [], {}
        for k, (true, predicted) in order:
            one, other = made_events(true, shift), made_events(predicted, shift)
            mix(one)
            mix(other)
            truth.append(Recording(str(k), tuple(one)))
            answers[str(k)] = other
        found = evaluate_spotting(truth, answers, resamples=5)
        return {kind: counted(scores) for kind, scores in found.kinds.items()}, counted(found.overall)

    kinds, overall = scored(0, lambda items: None)
    assert scored(shift, random.shuffle) == (kinds, overall)
    assert overall == tuple(a + b for a, b in zip(kinds["micro"], kinds["macro"], strict=True))
    # Pooled counts are those of one long recording in which the recordings follow each other.
    joined = [Recording("all", tuple(e for k, (true, _) in enumerate(cases) for e in made_events(true, 1000 * k)))]
    answers = {"all": [e for k, (_, predicted) in enumerate(cases) for e in made_events(predicted, 1000 * k)]}
    again = evaluate_spotting(joined, answers, resamples=5)
    assert {kind: counted(scores) for kind, scores in again.kinds.items()} == kinds


@given(EVENT_SPANS)
def test_true_events_find_themselves(spans):
    events = made_events(spans)
    found = evaluate_spotting([Recording("r", tuple(events))], {"r": events}, resamples=5)
    assert all(scores.counts.fp == scores.counts.fn == 0 for scores in found.kinds.values())


SHARES = st.floats(0, 1, allow_subnormal=False)
FRAMES = st.integers(0, 5000)


@st.composite
def full_events(draw):
    """Events with all that a document can hold."""
    onset, apex, offset = sorted(draw(st.tuples(FRAMES, FRAMES, FRAMES)))
    times = sorted(draw(st.tuples(*[st.floats(0, 1e4)] * 3)))
    names = draw(st.lists(CELLS.filter(bool), max_size=3, unique=True))
    units = draw(st.lists(st.sampled_from([1, 2, 4, 6, 12, 25]), max_size=3, unique=True))
    return Event(
        draw(st.sampled_from(["micro", "macro"])),
        onset,
        draw(st.sampled_from([None, apex])),
        offset,
        *draw(st.sampled_from([times, [None] * 3])),
        draw(st.none() | SHARES),
        draw(st.none() | CELLS),
        {name: draw(SHARES) for name in names},
        tuple(UnitPrediction(unit, draw(SHARES), draw(SHARES)) for unit in units),
        draw(st.none() | st.integers(0, 9)),
        draw(st.none() | SHARES),
    )


@given(full_events())
def test_an_event_is_read_as_it_was_written(event):
    assert Event.from_dict(json.loads(json.dumps(event.to_dict()))) == event


@given(st.lists(st.tuples(KINDS, FRAMES, st.integers(0, 300), st.none() | SHARES), max_size=8), st.floats(1, 1000))
def test_annotations_for_elan_are_those_of_the_events(rows, fps):
    events = [Event(kind, onset, None, onset + length, confidence=sure) for kind, onset, length, sure in rows]
    with tempfile.TemporaryDirectory() as folder:
        write_elan(Path(folder) / "e.eaf", events, fps=fps)
        root = ElementTree.parse(Path(folder) / "e.eaf").getroot()
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    found = []
    for tier in root.iter("TIER"):
        spans = [
            (slots[a.get("TIME_SLOT_REF1")], slots[a.get("TIME_SLOT_REF2")]) for a in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        assert all(end <= start for (_, end), (start, _) in pairwise(spans)), "annotations of a tier do not overlap"
        found += spans
    assert len(found) == len(events)
    for event, (start, end) in zip(
        sorted(events, key=lambda e: (e.onset, e.offset)), sorted(found, key=lambda s: s), strict=True
    ):
        assert abs(start - event.onset / fps * 1000) <= 0.5
        assert end == start + 1 or abs(end - event.offset / fps * 1000) <= 0.5
        assert end > start


POINTS_5 = arrays(np.float32, (5, 2), elements=st.floats(-4000, 4000, width=32))


@given(
    st.dictionaries(CELLS.map(str.strip).filter(bool), POINTS_5, min_size=1, max_size=4),
    st.sampled_from(["csv", "json", "named"]),
    st.sampled_from([1.0, 0.5, 8.0]),
)
def test_points_are_read_as_they_were_written(points, form, scale):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"points.{'csv' if form == 'csv' else 'json'}"
        if form == "csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, quoting=csv.QUOTE_ALL)
                writer.writerow(["sample", *COLUMNS])
                writer.writerows([name, *map(repr, map(float, each.ravel()))] for name, each in points.items())
        else:
            written = {n: named_points(p) if form == "named" else p.astype(float).tolist() for n, p in points.items()}
            path.write_text(json.dumps(written), "utf-8")
        table = PrecomputedLandmarks(path, scale=scale)
        frame = Frame(np.zeros((16, 16, 3), np.uint8))
        for name, each in points.items():
            found = table(frame, name).points
            rounded = 0.0051 * scale if form == "named" else 1e-6  # documents have two decimals
            np.testing.assert_allclose(found, scale_points(each, scale), rtol=1e-6, atol=rounded)


@given(
    arrays(np.float64, (6, 2), elements=st.floats(-500, 500), unique=True),
    st.floats(0.1, 10),
    st.floats(-3.1, 3.1),
    st.tuples(*[st.floats(-500, 500)] * 2),
)
def test_a_similarity_is_found_again_and_undone(points, scale, angle, shift):
    spread = np.abs(points - points.mean(0)).max()
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = points @ turn.T + shift
    matrix = similarity(points, moved)
    tolerance = 1e-7 * (1 + scale * 1000) * max(1, 100 / spread)
    np.testing.assert_allclose(transform_points(matrix, points), moved, atol=tolerance)
    assert scale_of(matrix) == pytest.approx(scale, rel=1e-6)
    assert agreement(points, moved) == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(
        transform_points(similarity(moved, points), moved), points, atol=tolerance / min(1, scale)
    )


@given(
    st.builds(
        dict,
        layout=st.sampled_from(LAYOUTS),
        size=st.sampled_from([28, 56]),
        flow=st.just("dis"),
        resize=st.sampled_from(RESIZES),
        channels=st.permutations(["strain", "v", "u"]).map(tuple),
        clahe=st.booleans(),
        template=st.tuples(*[st.tuples(*[st.floats(0, 28)] * 2)] * 5),
    ),
    st.builds(
        dict,
        lr=st.floats(1e-6, 1),
        weight_decay=SHARES,
        epochs=st.integers(1, 500),
        ema_decay=st.floats(0, 0.999),
        shuffle=st.booleans(),
        augmentation=st.none() | st.builds(Augmentation, mirror=SHARES, shift=st.integers(0, 9)),
    ),
)
def test_settings_are_read_as_they_were_written(spec, recipe):
    made, trained = PreprocessSpec(**spec), Recipe(**recipe)
    assert PreprocessSpec.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert Recipe.from_dict(json.loads(json.dumps(trained.to_dict()))) == trained


@given(st.integers(2, 6).flatmap(labels), st.randoms(), st.integers(2, 4))
def test_scores_do_not_depend_on_order_names_or_copies(case, random, copies):
    classes, pairs = case
    found = score(*np.array(pairs).T, classes)
    mixed, names = random.sample(pairs, len(pairs)), random.sample(range(classes), classes)
    for others in (mixed, pairs * copies, [(names[t], names[p]) for t, p in pairs]):
        again = score(*np.array(others).T, classes)
        for name in ("uf1", "uar", "accuracy"):
            assert getattr(again, name) == pytest.approx(getattr(found, name), abs=1e-12)
    counts = confusion_matrix(*np.array(pairs).T, classes)
    assert counts.sum() == len(pairs)
    # Each draw of people keeps the number of people, so the counts of as many single answers.
    drawn = resampled_confusions(*np.array(pairs).T, list(range(len(pairs))), classes, 20)
    assert (drawn.sum(axis=(1, 2)) == len(pairs)).all()


@given(
    arrays(np.float64, (4, 3), elements=st.floats(1e-6, 1)).map(lambda rows: rows / rows.sum(1, keepdims=True)),
    st.floats(0.05, 20),
    st.floats(0.05, 20),
)
def test_temperatures_keep_the_answer_and_can_be_undone(probabilities, one, other):
    warm = apply_temperature(probabilities, one)
    np.testing.assert_allclose(warm.sum(1), 1, atol=1e-9)
    ranks = np.argsort(probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(warm, ranks, 1)
    assert (np.diff(ordered, axis=1) >= -1e-12).all()
    if min(warm.min(), apply_temperature(warm, other).min()) > 1e-9:  # smaller ones are all alike
        np.testing.assert_allclose(apply_temperature(warm, 1 / one), probabilities, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(
            apply_temperature(warm, other), apply_temperature(probabilities, one * other), atol=1e-9
        )


@given(st.lists(st.tuples(*[st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)] * 2), max_size=6))
def test_learning_curves_keep_every_digit(points):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "curve.csv"
        write_curve_rows(path, ["epoch", "loss", "lr"], ([k, *as_text(point)] for k, point in enumerate(points)))
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
    back = [tuple(None if cell == "" else np.float32(cell) for cell in row[1:]) for row in rows]
    assert back == [tuple(None if value is None else np.float32(value) for value in point) for point in points]


@st.composite
def recordings_curves(draw):
    """What was seen of one face, with any numbers."""
    count = draw(st.integers(2, 6))
    numbers = st.floats(-1e4, 1e4, width=32) | st.just(np.nan)
    rows = {
        "points": (count, 5, 2),
        "boxes": (count, 4),
        "poses": (count, 3),
        "quality": (count,),
        "features": (count, len(FEATURES)),
    }
    value = {name: np.full(shape, draw(numbers), np.float32) for name, shape in rows.items()}
    frames = draw(st.lists(st.integers(0, 900), min_size=count, max_size=count, unique=True).map(sorted))
    track = FaceTrack(
        0,
        np.array(frames, np.int64),
        np.array(frames, np.float64) / 30,
        gaps=np.array(draw(st.lists(st.integers(0, len(GAPS) - 1), min_size=count, max_size=count)), np.uint8),
        segments=((0, count - 1),),
        **value,
    )
    return RecordingCurves(
        draw(CELLS), draw(st.sampled_from([None, 30.0, 29.97])), (48, 64), 901, 30.0, (track,), cuts=(3,)
    )


@given(recordings_curves())
def test_curves_of_a_recording_are_read_as_they_were_written(curves):
    with tempfile.TemporaryDirectory() as folder:
        again = read_curves(write_table(curves, Path(folder) / "curves.npz"))
    for name in ("source", "fps", "size", "frames", "duration", "missing", "cuts", "warnings"):
        assert getattr(again, name) == getattr(curves, name)
    (one,), (other,) = again.tracks, curves.tracks
    assert one.segments == other.segments
    for name in ("frames", "times", "points", "boxes", "poses", "quality", "gaps", "features"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(st.lists(st.floats(0.01, 0.08), min_size=12, max_size=40), st.floats(-5, 5), st.floats(-3, 3))
def test_features_on_the_grid_are_those_of_the_frames(steps, level, slope):
    """Rows come later and later, and hold no motion that no frame has."""
    times = np.cumsum(steps)
    features = np.tile((level + slope * times)[:, None], (1, len(FEATURES))).astype(np.float32)
    at, rows = even_rows(times, features)
    assert np.isfinite(rows).all()
    assert (np.diff(at) > 0).all()
    one = rows[:, 0]  # a motion, which has no unit to be divided by
    assert features[:, 0].min() - 1e-3 <= one.min() <= one.max() <= features[:, 0].max() + 1e-3
