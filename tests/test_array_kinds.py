"""Arrays of every kind give the answer of plain arrays, or are refused by name: never another answer, in silence."""

import math
import warnings

import numpy as np
import pytest
import torch

from htnet import calibration, kernels, metrics, preprocess
from htnet.core.errors import CheckpointError, FrameError, HtnetError, InputError, LandmarkError, ModelError
from htnet.evaluation.bootstrap import draw_groups, interval, resampled_confusions
from htnet.models import convert_state, create_model, integrated_gradients, occlusion, reference_state
from htnet.preprocess.align import face_similarity
from htnet.preprocess.geometry import agreement, scale_of
from htnet.recordings import FrameStream, load_detector
from htnet.recordings.measure import FEATURES
from htnet.types import Event, Flow, Frame, Landmarks, Landmarks68, PreprocessSpec, Recording
from tests.support.pairs import POINTS, face_pair, tiny_model

RNG = np.random.default_rng(5)
GRAY = (np.arange(32 * 32).reshape(32, 32) % 250).astype(np.uint8)
MOVED = np.roll(GRAY, 1, 1)
# Numbers that float16 and bfloat16 hold exactly.
FIELD = RNG.integers(-9, 9, (2, 32, 32)).astype(np.float32) / 4
FIVE = np.array(POINTS, np.float64)
SIX_EIGHT = preprocess.estimate_68(Landmarks(FIVE, "array")).points.astype(np.float64)
MATRIX = np.array([[1.0, 0.5, 2.0], [-0.5, 1.0, 3.0]])
TRUTH, SAID = np.array([0, 1, 2, 1, 0, 2]), np.array([0, 1, 1, 1, 2, 2])
COUNTS = np.array([[3, 1], [2, 4]])
CHANCES = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.125, 0.125, 0.75]] * 2)
GROUPS = np.array([3, 3, 1, 1, 2, 2])
SPANS, TOLD = np.array([[0, 9], [20, 40], [50, 51]]), np.array([[1, 9], [22, 40]])
TIMES = np.arange(90) / 32
CURVES = RNG.normal(size=(90, len(FEATURES))).astype(np.float32)
IMAGE = RNG.integers(0, 256, (28, 28, 3), dtype=np.uint8)
INPUT = IMAGE.transpose(2, 0, 1).astype(np.float32)
FRAME, APEX = face_pair()
SPEC, MODEL = PreprocessSpec(), tiny_model()
#: Every public function that takes numbers, as a function of one argument, and a plain array that it takes.
CALLS = {
    "confusion_matrix": (lambda a: metrics.confusion_matrix(a, SAID, 3), TRUTH),
    "confusion_matrix of": (lambda a: metrics.confusion_matrix(TRUTH, a, 3), SAID),
    "score": (lambda a: metrics.score(a, SAID, 3).uf1, TRUTH),
    "class_indexes": (lambda a: metrics.class_indexes(a, 3, "truth"), TRUTH),
    "uf1": (metrics.uf1, COUNTS),
    "uar": (metrics.uar, COUNTS),
    "accuracy": (metrics.accuracy, COUNTS),
    "uf1_of_each": (metrics.uf1_of_each, np.stack([COUNTS, COUNTS.T])),
    "uar_of_each": (metrics.uar_of_each, np.stack([COUNTS, COUNTS.T])),
    "match_intervals": (lambda a: metrics.match_intervals(a, TOLD), SPANS),
    "match_intervals with": (lambda a: metrics.match_intervals(SPANS, a), TOLD),
    "interval_iou": (lambda a: float(metrics.interval_iou(a, (0, 200))), np.array([100, 250])),
    "reliability": (lambda a: metrics_of(calibration.reliability(a, CHANCES)), TRUTH),
    "reliability of": (lambda a: metrics_of(calibration.reliability(TRUTH, a)), CHANCES),
    "log_loss": (lambda a: calibration.log_loss(a, CHANCES), TRUTH),
    "log_loss of": (lambda a: calibration.log_loss(TRUTH, a), CHANCES),
    "expected_calibration_error": (lambda a: calibration.expected_calibration_error(TRUTH, a), CHANCES),
    "fit_temperature": (lambda a: calibration.fit_temperature(TRUTH, a), CHANCES),
    "fit_temperature logits": (lambda a: calibration.fit_temperature(TRUTH, a, logits=True), 4 * CHANCES),
    "apply_temperature": (lambda a: calibration.apply_temperature(a, 2.0), CHANCES),
    "apply_temperature of": (lambda a: calibration.apply_temperature(CHANCES, a), np.arange(1.0, 7.0)),
    "left_out_temperatures": (lambda a: calibration.left_out_temperatures(TRUTH, a, GROUPS), CHANCES),
    "left_out_temperatures by": (lambda a: calibration.left_out_temperatures(TRUTH, CHANCES, a), GROUPS),
    "draw_groups": (lambda a: draw_groups(a, 3)[0], GROUPS),
    "resampled_confusions": (lambda a: resampled_confusions(a, SAID, GROUPS, 3, 4), TRUTH),
    "resampled_confusions of": (lambda a: resampled_confusions(TRUTH, a, GROUPS, 3, 4), SAID),
    "interval": (interval, np.arange(9.0)),
    "tvl1_flow": (lambda a: preprocess.tvl1_flow(a, GRAY).numpy(), MOVED),
    "compute_flow": (lambda a: preprocess.compute_flow(a, GRAY).uv, MOVED),
    "compute_flow farneback": (lambda a: preprocess.compute_flow(GRAY, a, "farneback").uv, MOVED),
    "compute_flow dis": (lambda a: preprocess.compute_flow(GRAY, a, "dis").uv, MOVED),
    "Flow": (lambda a: Flow(a, "array").uv, FIELD),
    "flow_image": (lambda a: preprocess.flow_image(Flow(a, "array")), FIELD),
    "displace": (lambda a: preprocess.displace(a, FIELD / 32), GRAY),
    "displace by": (lambda a: preprocess.displace(GRAY, a), FIELD / 32),
    "color_wheel": (preprocess.color_wheel, FIELD),
    "optical_strain": (preprocess.optical_strain, FIELD),
    "flow_magnitude": (preprocess.flow_magnitude, FIELD),
    "flow_orientation": (preprocess.flow_orientation, FIELD),
    "hoof": (preprocess.hoof, FIELD),
    "hoof in": (lambda a: preprocess.hoof(FIELD, regions=a), np.array([[0, 0, 9, 9], [5, 5, 20, 20]])),
    "remove_head_motion": (lambda a: preprocess.remove_head_motion(a, FIVE / 8), FIELD),
    "remove_head_motion at": (lambda a: preprocess.remove_head_motion(FIELD, a), np.rint(FIVE / 8)),
    "head_boxes": (lambda a: preprocess.head_boxes(a, "eyes", 999, 999), np.rint(FIVE)),
    "face_regions": (lambda a: preprocess.face_regions(128, a), np.rint(FIVE / 2)),
    "is_motionless": (preprocess.is_motionless, IMAGE),
    "clahe": (preprocess.clahe, GRAY),
    "to_gray": (lambda a: preprocess.to_gray(preprocess.read_frame(a)), FRAME),
    "temporal_interpolation": (lambda a: preprocess.temporal_interpolation(a, 3), FIELD),
    "temporal_interpolation at": (
        lambda a: preprocess.temporal_interpolation(FIELD[0], 5, a),
        np.array([*range(31), 200.0]),
    ),
    "encode_motion": (
        lambda a: np.frombuffer(preprocess.encode_motion(a, SPEC), np.uint8),
        RNG.random((16, 64), np.float32),
    ),
    "scale_points": (lambda a: preprocess.scale_points(a, 2), np.rint(FIVE)),
    "transform_points": (lambda a: preprocess.transform_points(MATRIX, a), np.rint(FIVE)),
    "transform_points by": (lambda a: preprocess.transform_points(a, FIVE), MATRIX),
    "similarity": (lambda a: preprocess.similarity(a, FIVE), np.rint(FIVE)),
    "similarity to": (lambda a: preprocess.similarity(FIVE, a), np.rint(FIVE)),
    "face_similarity": (lambda a: face_similarity(a, FIVE, "array"), np.rint(FIVE)),
    "agreement": (lambda a: agreement(a, FIVE), np.rint(FIVE)),
    "scale_of": (scale_of, MATRIX),
    "Landmarks": (lambda a: Landmarks(a, "array").points, np.rint(FIVE)),
    "Landmarks68": (lambda a: Landmarks68(a, "array").points, np.rint(SIX_EIGHT)),
    "fit_alignment to": (
        lambda a: preprocess.fit_alignment(Landmarks(FIVE, "array"), template=a).matrix,
        np.rint(np.array(SPEC.template)),
    ),
    "fit_alignment in": (
        lambda a: preprocess.fit_alignment(Landmarks(FIVE, "array"), box=a).matrix,
        np.array([1.0, 2.0, 26.0, 24.0]),
    ),
    "Alignment.map": (lambda a: preprocess.Alignment(MATRIX, (8, 8)).map(a), np.rint(FIVE)),
    "Alignment.unmap": (lambda a: preprocess.Alignment(MATRIX, (8, 8)).unmap(a), np.rint(FIVE)),
    "TemplateLandmarks": (lambda a: preprocess.TemplateLandmarks(a).template, np.rint(np.array(SPEC.template))),
    "read_frame": (lambda a: preprocess.read_frame(a).pixels, FRAME),
    "read_pair": (lambda a: preprocess.read_pair(FRAME, a)[1].pixels, APEX),
    "published_input": (lambda a: preprocess.published_input(FRAME, a, None).flow_image, APEX),
    "published_input at": (lambda a: preprocess.published_input(FRAME, APEX, a).flow_image, np.rint(FIVE)),
    "FlowPreprocessor": (lambda a: preprocess.FlowPreprocessor()([FRAME], [a], [FIVE]).numpy(), APEX),
    "FlowPreprocessor at": (lambda a: preprocess.FlowPreprocessor()([FRAME], [APEX], [a]).numpy(), np.rint(FIVE)),
    "RegionCropper": (lambda a: preprocess.RegionCropper(points=a).points.numpy(), np.rint(FIVE / 8)),
    "crop_regions at": (
        lambda a: preprocess.crop_regions(torch.from_numpy(INPUT)[None], a, "anatomical").numpy(),
        np.rint(FIVE / 8),
    ),
    "occlusion": (lambda a: occlusion(MODEL, a).values, INPUT),
    "integrated_gradients": (lambda a: integrated_gradients(MODEL, a, steps=2).values, INPUT),
    "candidates_of": (lambda a: found_in(a, CURVES), TIMES),
    "candidates_of in": (lambda a: found_in(TIMES, a), CURVES),
}


def metrics_of(found):
    return np.concatenate([found.edges, found.confidence, found.accuracy, found.count])


def found_in(times, features):
    found = load_detector().candidates_of(times, features, 0.0)
    return np.array([(one.start, one.peak, one.end, one.score) for one in found])


class Column:
    """A column of a table as pandas gives it, with an index in another order: ``column[0]`` is not its first value."""

    def __init__(self, values):
        self.values = values
        self.dtype, self.shape, self.ndim = values.dtype, values.shape, values.ndim

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def __getitem__(self, label):
        return self.values[::-1][label]


def some_masked(values):
    """An array of `numpy.ma` whose first value is masked."""
    array = np.ma.masked_array(values)
    array[(0,) * array.ndim] = np.ma.masked
    return array


def mirrored(values):
    """The same values, in memory from the last to the first."""
    return values[(slice(None, None, -1),) * values.ndim].copy()[(slice(None, None, -1),) * values.ndim]


def spread(values):
    """The same values, with others between them in memory."""
    return np.repeat(values, 2, axis=-1)[..., ::2]


def rows_of(values):
    """Rows of `numpy.ma`, the first with a masked value; numbers if there is one axis."""
    return list(some_masked(values))


#: What is given in place of the plain array.
KINDS = {
    "rows with masks": rows_of,
    "rows with masks in a tuple": lambda a: tuple(rows_of(a)),
    "objects with masks": lambda a: np.array([np.ma.masked, *a.ravel().tolist()[1:]], object).reshape(a.shape),
    "complex": lambda a: a + 1j,
    "text": lambda a: a.astype(str),
    "lists of text": lambda a: a.astype(str).tolist(),
    "dates": lambda a: a.astype(np.int64).astype("datetime64[s]"),
    "a complex tensor": lambda a: torch.from_numpy(a + 1j),
    "a sparse tensor": lambda a: torch.from_numpy(a.copy()).to_sparse(),
    "a meta tensor": lambda a: torch.from_numpy(a.copy()).to("meta"),
    "NaN": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 0, np.nan, a),
    "booleans": lambda a: a.astype(bool),
    "one number": lambda a: np.array(a.ravel()[0]),
    "nothing": lambda a: a[:0],
    "no array": lambda a: None,
    "objects": lambda a: a.astype(object),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "from last to first": mirrored,
    "with gaps": spread,
    "column-major": np.asfortranarray,
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "lists": lambda a: a.tolist(),
    "rows": list,
    "an iterator": lambda a: iter(a.tolist()),
    "a table": Column,
    "a tensor": lambda a: torch.from_numpy(a.copy()),
    "a tensor with a gradient": lambda a: torch.from_numpy(a.astype(np.float64)).requires_grad_(),
    "float16": lambda a: a.astype(np.float16),
    "bfloat16": lambda a: torch.from_numpy(a.astype(np.float32)).bfloat16(),
    "uint8": lambda a: a.astype(np.uint8),
    "int16": lambda a: a.astype(np.int16),
    "uint64": lambda a: a.astype(np.uint64),
    "long double": lambda a: a.astype(np.longdouble),
}
#: Kinds that hold no such numbers: all must be refused, but by the functions named for another reason.
REFUSED = list(KINDS)[: list(KINDS).index("objects")]
_GROUPS = {"left_out_temperatures by", "draw_groups"}
_POINTWISE = {"scale_points", "transform_points", "Alignment.map", "Alignment.unmap"}
TAKEN = {
    **dict.fromkeys(("complex", "text", "lists of text", "dates", "a complex tensor"), _GROUPS),  # names of any kind
    "booleans": {*_GROUPS, "temporal_interpolation"},
    "one number": {"apply_temperature of", "interval", "scale_points"},
    "nothing": {*_POINTWISE, "uf1_of_each", "uar_of_each", "match_intervals", "match_intervals with"},
    "no array": {
        *("hoof in", "face_regions", "temporal_interpolation at", "fit_alignment to", "fit_alignment in"),
        *("published_input at", "FlowPreprocessor at", "RegionCropper"),
    },
    # What is not measured stays unknown.
    "NaN": {
        *(*_POINTWISE, "transform_points by", "scale_of", "optical_strain", "flow_magnitude", "flow_orientation"),
        *("temporal_interpolation", "candidates_of in"),
    },
    "a meta tensor": {"temporal_interpolation"},
    "a sparse tensor": {"interval_iou"},  # its two numbers are read one by one
}


def numbers(answer):
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().double().numpy()
    return np.asarray(answer, np.float64)


def told(call, given):
    """The answer, None if it was refused by htnet; warnings of other libraries are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return call(given)
        except HtnetError:
            return None


@pytest.mark.parametrize("name", CALLS)
def test_other_kinds_of_arrays(name):
    call, plain = CALLS[name]
    wanted = numbers(call(plain))
    for kind, make in KINDS.items():
        given = make(plain)
        held = given.detach().double().numpy() if kind == "bfloat16" else given
        if kind in ("float16", "bfloat16", "uint8", "int16", "uint64") and not np.array_equal(held, plain):
            continue  # other numbers
        found = told(call, given)
        if kind in REFUSED:
            assert found is None or name in TAKEN.get(kind, ()), kind
            continue
        if found is not None:
            np.testing.assert_allclose(numbers(found), wanted, rtol=8e-3, atol=1e-6, err_msg=kind)  # as bfloat16


def test_unknown_numbers_stay_unknown():
    """Functions that take NaN give NaN."""
    for name in TAKEN["NaN"] - {"candidates_of in"}:
        call, plain = CALLS[name]
        assert np.isnan(numbers(call(KINDS["NaN"](plain)))).any(), name


def test_plain_kinds_are_taken():
    """Most kinds that hold the numbers are taken by most functions; a test of refusals alone could not see that."""
    for kind in ("big-endian", "from last to first", "with gaps", "column-major", "read-only"):
        refused = [name for name, (call, plain) in CALLS.items() if told(call, KINDS[kind](plain)) is None]
        assert not refused, kind


@pytest.mark.parametrize("kind", [np.float16, torch.float16, torch.bfloat16])
def test_strain_of_half_precision_is_computed_in_float32(kind):
    """In float16, the squares of a strain of 1e-4 px per px are 0, those of 300 infinite."""
    for size in (1e-4, 300.0):
        field = np.zeros((2, 8, 8), np.float32)
        field[0] = np.arange(8) * size
        given = field.astype(kind) if kind is np.float16 else torch.from_numpy(field).to(kind)
        found = numbers(preprocess.optical_strain(given))
        np.testing.assert_allclose(found, numbers(preprocess.optical_strain(field)), rtol=0.05)


@pytest.mark.parametrize("what", ["infinite", "falling", "twice", "not a time", "milliseconds"])
def test_stretches_that_cannot_be_searched(what):
    """NaN and falling times gave no events, and infinite features a warning of NumPy."""
    times, features = np.arange(60) / 30, np.zeros((60, len(FEATURES)), np.float32)
    says = {
        "infinite": rf"^{FEATURES[7]} is inf in row 3 of the features",
        "falling": r"^times\[1\] is 1.93\d*, not after the 1.96",
        "twice": r"^times\[9\] is .*, not after the",
        "not a time": r"^times\[5\] is nan",
        "milliseconds": "longer than a week; give seconds",
    }[what]
    if what == "infinite":
        features[3, 7] = np.inf
    elif what == "falling":
        times = times[::-1]
    elif what == "twice":
        times[9] = times[8]
    elif what == "not a time":
        times[5] = np.nan
    else:
        times = times * 1e6
    with pytest.raises(InputError, match=says):
        load_detector().candidates_of(times, features)


def test_a_detector_takes_faces_and_scores_from_0_to_1():
    detector = load_detector()
    with pytest.raises(InputError, match="track is of type list, not FaceTrack"):
        detector.candidates([])
    with pytest.raises(InputError, match="least is nan; give a number from 0 to 1"):
        detector.candidates_of(TIMES, CURVES, np.nan)


@pytest.mark.parametrize("times", [(0.0, np.nan), (0.0, 0.1, 0.1), (1.0, 0.5), (0.0, np.inf)])
def test_frames_of_a_stream_have_rising_times(times):
    stream = FrameStream("camera", [Frame(FRAME, number=k, time=at) for k, at in enumerate(times)])
    with pytest.raises(InputError, match=r"^Frame \d of camera has the time .*; give rising times"):
        list(stream)


def test_masked_points_of_regions_are_refused():
    masked = some_masked(FIVE / 8)
    images = torch.from_numpy(INPUT)[None]
    for points in (masked, masked[None], list(masked)):
        with pytest.raises(LandmarkError, match="^Points have masked values"):
            preprocess.crop_regions(images, points, "anatomical")
    with pytest.raises(InputError, match=r"^Flow images are of type ndarray; give a tensor"):
        preprocess.crop_regions(INPUT[None], FIVE, "anatomical")


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        (np.ma.masked_array(GROUPS, GROUPS == 1), "groups has masked values"),
        ([3, 3, np.ma.masked, 1, 2, 2], "groups has masked values"),
        (["a", None, "b", "b", "a", "a"], r"groups\[1\] is None; give a name or a number"),
        (np.array([1, np.nan, 2, 2, 1, 1]), r"groups\[1\] is nan"),
        ("aabbcc", "groups is 'aabbcc'; give the group of each sample"),
        (["a", 1, "b", "b", "a", "a"], "groups mixes int and str"),
        ([["a"]] * 6, r"groups\[0\] is \['a'\]"),
        (7, "groups is 7; give the group of each sample"),
        ({"a", "b", "c", "d", "e", "f"}, "groups is {.*give the group of each sample, as a list"),
        (np.array(["a", np.nan, "b", "b", "a", "a"]), r"groups\[1\] is 'nan'"),
        ([("casme2", "a"), ("casme2", math.nan), *[("samm", "b")] * 4], r"groups\[1\] is \('casme2', nan\)"),
        ([("casme2", "a"), ("casme2", 1), *[("samm", "b")] * 4], "groups mixes int and str"),
    ],
)
def test_groups_are_names_or_numbers(groups, says):
    for call in (lambda: calibration.left_out_temperatures(TRUTH, CHANCES, groups), lambda: draw_groups(groups)):
        with pytest.raises(InputError, match=f"^{says}"):
            call()


def test_groups_of_any_form_are_the_same():
    wanted = calibration.left_out_temperatures(TRUTH, CHANCES, GROUPS.tolist())
    tensors = list(torch.from_numpy(GROUPS))  # as batches of a data loader, whose items are equal only to themselves
    for groups in (torch.from_numpy(GROUPS), tensors, Column(GROUPS), iter(GROUPS.tolist()), GROUPS.astype(np.uint8)):
        assert (calibration.left_out_temperatures(TRUTH, CHANCES, groups) == wanted).all()


def test_small_integers_do_not_wrap_around():
    """Differences of uint8 did: 10 - 200 was 66."""
    spans = np.array([[10, 200], [220, 255]], np.uint8)
    assert metrics.match_intervals(spans, spans) == ((0, 0), (1, 1))
    assert metrics.interval_iou(spans[0], spans[1]) == 0
    assert metrics.interval_iou(np.array([0, 255], np.uint8), (0, 255)) == 1
    with pytest.raises(InputError, match="not increasing|increasing"):
        preprocess.temporal_interpolation(FIELD, 3, np.array([5, 2], np.uint8))


@pytest.mark.parametrize("spans", [[(0.5, 3)], [(0, np.nan)], [3], [("a", "b")], ["ab"], [(0, 1, 2)], 3])
def test_intervals_are_whole_numbers(spans):
    with pytest.raises(InputError, match=r"give (a list of )?\(onset, offset\)"):
        metrics.match_intervals(spans, [(0, 3)])


def test_classes_are_read_once():
    """Each kind of event is scored over the same classes: an iterator was empty for the second."""
    events = tuple(Event(kind, 0, 3, 9, label="happy") for kind in ("micro", "macro"))
    truth, told_ = [Recording("a", events)], {"a": [Event(k, 0, 3, 9, label="happy") for k in ("micro", "macro")]}
    wanted = metrics.evaluate_spotting(truth, told_, classes=["happy", "sad"], resamples=2)
    assert metrics.evaluate_spotting(truth, told_, classes=iter(["happy", "sad"]), resamples=2) == wanted
    for classes in ("happy", [], ["happy", "happy"], [1, 2], None):
        with pytest.raises(InputError, match="list each emotion to be scored once"):
            metrics.recognize([("happy", "happy")], classes)


@pytest.mark.parametrize("matrix", [np.eye(2) * -1, np.eye(2) * np.nan, np.zeros((2, 2)), np.ones((2, 3)), np.ones(2)])
def test_matrices_of_draws_are_counts(matrix):
    for score in (metrics.uf1_of_each, metrics.uar_of_each):
        with pytest.raises(InputError, match=r"^(A c|C)onfusion matri"):
            score(matrix)


@pytest.mark.parametrize("count", [True, "3", 2.0, None])
def test_the_number_of_classes_is_whole(count):
    with pytest.raises(InputError, match=r"^num_classes is "):
        metrics.class_indexes([0, 1], count, "truth")


def test_frames_of_other_types_are_not_taken_for_bytes():
    """Values over 255 wrapped around."""
    for pixels in (FRAME.astype(np.uint16) * 257, FRAME.astype(np.float32), FRAME[..., 0]):
        with pytest.raises(FrameError, match=r"give \(H, W, 3\) uint8"):
            preprocess.to_gray(Frame(pixels, "a"))
        with pytest.raises(FrameError, match=r"give \(H, W, 3\) uint8"):
            preprocess.Alignment(MATRIX, (16, 16)).warp(Frame(pixels, "a"))
    with pytest.raises(FrameError, match=r"^The frame has shape .* type uint16"):
        preprocess.clahe(GRAY.astype(np.uint16) * 257)
    with pytest.raises(FrameError, match="^frame is of type ndarray, not Frame"):
        preprocess.to_gray(FRAME)


def test_indexes_of_stages_are_read_once():
    x = torch.from_numpy(INPUT)[None]
    _, wanted = MODEL.forward_intermediates(x, indices=[0])
    _, found = MODEL.forward_intermediates(x, indices=iter([0]))
    assert len(found) == 1
    torch.testing.assert_close(found, wanted)
    _, last = MODEL.forward_intermediates(x, indices=np.int64(1))
    assert len(last) == 1
    for wrong in (True, "a", 1.5, ["a"]):
        with pytest.raises(ModelError, match=r"^indices is "):
            MODEL.forward_intermediates(x, indices=wrong)


NUMBERS = {
    "text": (lambda a: a.astype(str), "not an array of numbers"),
    "complex": (lambda a: a + 1j, "not an array of numbers"),
    "booleans": (lambda a: a.astype(bool), "not an array of numbers"),
    "masked": (some_masked, "masked values"),
    "masked rows": (rows_of, "masked values"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_figures_are_drawn_of_real_numbers(kind):
    pytest.importorskip("matplotlib")
    from htnet.plots import plot_confusion, plot_saliency

    make, says = NUMBERS[kind]
    with pytest.raises(InputError, match=f"^confusion .*{says}"):
        plot_confusion(make(COUNTS), ["a", "b"])
    found = occlusion(MODEL, INPUT)
    with pytest.raises(InputError, match=f"^image .*{says}"):
        plot_saliency(found, make(INPUT))
    with pytest.raises(InputError, match="^image has NaN"):
        plot_saliency(found, INPUT * np.nan)


@pytest.mark.parametrize("kind", ["complex", "booleans", "list", "array", "one sample", "more classes"])
def test_probabilities_are_computed_of_scores(kind):
    scores = torch.ones(2, 3)
    given = {
        "complex": scores + 1j,
        "booleans": scores.bool(),
        "list": scores.tolist(),
        "array": scores.numpy(),
        "one sample": scores[0],
        "more classes": torch.ones(2, 5),
    }[kind]
    with pytest.raises(ModelError, match=r"got scores "):
        MODEL.probabilities(given)


def test_attention_takes_tensors_and_numbers():
    q = torch.ones(1, 1, 4, 8)
    for given, says in (
        ({"q": q.tolist()}, "q is of type list"),
        ({"bias": np.zeros((4, 4), np.float32)}, "bias is of type ndarray"),
        ({"mask": np.ones((4, 4), bool)}, "mask is of type ndarray"),
        ({"scale": "0.5"}, "scale is nan"),
        ({"scale": 1j}, "scale is nan"),
        ({"scale": np.ma.masked}, "scale is nan"),
    ):
        with pytest.raises(InputError, match=f"^{says}; give a"):
            kernels.block_attention(**{"q": q, "k": q, "v": q, **given})
    for side in (2.5, 0, -1, "2", True):
        with pytest.raises(InputError, match=r"^side is "):
            kernels.neighbor_mask(side)


def test_checkpoints_hold_real_numbers_without_masks():
    model = create_model("htnet_tiny", num_classes=3)
    state, heads = reference_state(model), model.config.heads
    name = next(key for key in state if key.endswith("weight"))
    values = state[name].numpy()
    plain = convert_state(state, heads)
    for kind in (">f4", np.longdouble):
        found = convert_state({**state, name: values.astype(kind)}, heads)
        assert all(torch.equal(a, b) for a, b in zip(found.parameters(), plain.parameters(), strict=True))
    for wrong, says in ((some_masked(values), "masked values"), (torch.from_numpy(values + 1j), "has complex numbers")):
        with pytest.raises(CheckpointError, match=says):
            convert_state({**state, name: wrong}, heads)


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.ma.masked_array([0, 1, 1], [0, 0, 1]), "masked values"),
        ([0, 1, np.ma.masked], "masked values"),
        (np.array([0, 1, 1]) + 1j, "complex numbers"),
    ],
)
def test_classes_of_estimators_are_known(y, says):
    pytest.importorskip("sklearn")
    from htnet.sklearn import HTNetClassifier

    with pytest.raises(InputError, match=f"^y has {says}"):
        HTNetClassifier("ststnet", epochs=1).fit(np.stack([IMAGE] * 3), y)
