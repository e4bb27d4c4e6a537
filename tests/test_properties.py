"""Properties that hold for all inputs, on inputs that hypothesis chooses; the same in every run."""

import csv
import io
import json
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, f1_score, recall_score

from htnet.core.csv_files import SEPARATORS, open_table
from htnet.core.errors import FlowError, ManifestError
from htnet.core.events import Event
from htnet.core.identity import dataset_key, person, person_key
from htnet.core.limits import parse_json
from htnet.core.megc import write_megc
from htnet.core.recordings import Recording
from htnet.core.types import EMOTIONS, Flow
from htnet.data import Manifest, Sample, read_manifest, read_recordings
from htnet.evaluation.matching import IOU, interval_iou, match_intervals
from htnet.evaluation.metrics import score
from htnet.evaluation.spotting import evaluate_spotting
from htnet.preprocess.depth import stated_white
from htnet.preprocess.flow.compute import flow_image, read_flow_image, write_flow_image
from htnet.preprocess.pictures import file_damage, picture_count, picture_size

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
