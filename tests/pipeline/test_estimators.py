"""Estimators for scikit-learn."""

import dataclasses
import enum
import pickle
import sys

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils import estimator_checks

import htnet
from htnet.core.errors import FrameError, HtnetError, InputError, MissingExtraError, WeightsError
from htnet.data import Manifest
from htnet.evaluation.recognition import recognize
from htnet.pipeline import Predictor, embed
from htnet.preprocess import FlowPreprocessor
from htnet.sklearn import FlowCells, FlowImages, HTNetClassifier, HTNetFeatures
from htnet.training import get_recipe, load_flow_set, predict_set, spec_for, train_model
from tests.support.flows import write_flow_set
from tests.support.pairs import QUICK, face_pair

ESTIMATORS = [FlowImages(), FlowCells(), HTNetFeatures(), HTNetClassifier()]


class Emotion(str, enum.Enum):
    """Classes as members of an enumeration."""

    NEGATIVE = "negative"
    POSITIVE = "positive"
    SURPRISE = "surprise"


@pytest.fixture
def data(tmp_path):
    return write_flow_set(tmp_path / "set", 6, 4)


def images_of(data):
    """As the files have them: (28, 28, 3), strain, v, u."""
    import cv2

    return np.stack([cv2.imread(str(s.flow)) for s in data])


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
    ],
)
def test_checks_of_scikit_learn_that_fit_no_table(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


def test_cells_are_averages_of_standardized_channels(rng):
    images = rng.integers(0, 256, (3, 28, 28, 3))
    images[1, :, :, 2] = 90  # a channel without structure
    found = FlowCells(4).fit_transform(images.reshape(3, -1))
    assert found.shape == (3, 48)
    for image, row in zip(images, found, strict=True):
        expected = []
        for channel in range(3):
            plane = image[:, :, channel].astype(float)
            plane = (plane - plane.mean()) / (plane.std() or 1)
            expected += [plane[7 * i : 7 * i + 7, 7 * j : 7 * j + 7].mean() for i in range(4) for j in range(4)]
        np.testing.assert_allclose(row, expected, atol=1e-6)
    for grid in (5, 0, 2.0):
        with pytest.raises(InputError, match="give a divisor of 28"):
            FlowCells(grid).fit(images)
    with pytest.raises(NotFittedError):
        FlowCells().transform(images)


def test_the_classifier_trains_as_the_library_does(data):
    labels = np.array([s.label for s in data])
    found = HTNetClassifier("htnet_tiny", epochs=2, random_state=3).fit(images_of(data).reshape(24, -1), labels)
    assert found.classes_.tolist() == sorted(set(labels))
    ordered = Manifest(data.samples, tuple(found.classes_), data.source)
    flows = load_flow_set(ordered, spec_for("htnet_tiny"))
    model, _ = train_model("htnet_tiny", flows, get_recipe("default", epochs=2), seed=3)
    expected = predict_set(model, flows).numpy()
    np.testing.assert_allclose(found.predict_proba(images_of(data)), expected, atol=1e-6)
    assert found.predict(images_of(data)).tolist() == found.classes_[expected.argmax(1)].tolist()
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict_proba(images_of(data)), found.predict_proba(images_of(data)))
    assert not hasattr(clone(found), "model_")
    numbers = HTNetClassifier("htnet_tiny", epochs=1, random_state=None).fit(images_of(data), np.arange(24) % 2 * 7)
    assert set(numbers.predict(images_of(data))) <= {0, 7}


def test_features_are_those_of_embed(data):
    found = HTNetFeatures("synthetic").fit_transform(images_of(data).astype(float))
    np.testing.assert_allclose(found, embed(data, "synthetic").features, atol=1e-5)


def test_a_pipeline_from_frames_to_a_support_vector_machine():
    pairs = [face_pair(label=k % 3, side=64) for k in range(6)]
    flows = FlowImages(landmarks="template", spec=QUICK)
    images = flows.fit_transform(pairs)
    whole = dataclasses.replace(QUICK, layout="whole")
    expected = FlowPreprocessor(whole, "template")([a for a, _ in pairs], [b for _, b in pairs])
    np.testing.assert_array_equal(images.reshape(6, 28, 28, 3), expected.permute(0, 2, 3, 1).numpy())
    labels, groups = [k % 3 for k in range(6)], [k // 3 for k in range(6)]
    pipeline = make_pipeline(flows, HTNetFeatures("synthetic-mlp"), SVC())
    scores = cross_val_score(pipeline, np.array(pairs), labels, groups=groups, cv=GroupKFold(2), error_score="raise")
    assert scores.shape == (2,)
    with pytest.raises(FrameError):
        pipeline.fit([(b"no picture", pairs[0][1])], [0])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 10)), "shape"),
        (np.zeros((0, 2352)), "shape"),
        (np.full((4, 2352), 256), "outside 0 to 255"),
        (np.full((4, 2352), -1.0), "outside 0 to 255"),
        (np.full((4, 2352), np.nan), "outside 0 to 255"),
        (np.full((4, 2352), 200) / 255, "All values of X are from 0 to 0.784314"),
        (np.ones((4, 2352), np.uint8), "All values of X are from 0 to 1"),
    ],
)
def test_what_is_no_flow_image(images, message):
    for estimator in (HTNetClassifier("htnet_tiny"), HTNetFeatures(), FlowCells()):
        with pytest.raises(InputError, match=message):
            estimator.fit(images, np.arange(len(images)))


@pytest.mark.parametrize("estimator", [FlowCells(4), HTNetFeatures("synthetic-mlp")])
def test_columns_have_names(data, estimator):
    images = images_of(data)
    names = estimator.fit(images).get_feature_names_out()
    assert len(names) == estimator.transform(images).shape[1]
    assert names[1] == f"{type(estimator).__name__.lower()}1"
    assert len(FlowImages().get_feature_names_out()) == 2352
    pipeline = make_pipeline(estimator, SVC()).fit(images, np.arange(24) % 2)
    assert pipeline[:-1].get_feature_names_out().tolist() == names.tolist()


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([np.nan, 0.0, 1.0, 1.0], "y has nan, which is not a class"),
        ([None, "a", "b", "b"], "y has None, which is not a class"),
        (np.array(["a", "b", np.nan, "b"]), "y has 'nan', which is not a class"),
        ([0.1, 0.2, 0.3, 0.4], "y has 0.1, which is not a class"),
        (np.array(["a", 1, "a", 1], object), "y mixes names and numbers"),
        (np.eye(2)[[0, 1, 1, 0]], r"y has the shape \(4, 2\)"),
    ],
)
def test_what_is_no_class(classes, message):
    with pytest.raises(InputError, match=message):
        HTNetClassifier("htnet_tiny").fit(np.zeros((4, 2352), np.uint8), classes)


def test_the_classifier_knows_its_classes(data):
    """A recipe's generated images, and the classifier of a start, belong to negative, positive and surprise."""
    images, emotions = images_of(data).reshape(24, -1), np.array([s.label for s in data])
    own = np.array(["anger", "disgust", "joy"])[np.unique(emotions, return_inverse=True)[1]]
    with pytest.raises(InputError, match="the samples are of anger, disgust, joy"):
        HTNetClassifier("flow_mlp", "mixed", epochs=1).fit(images, own)
    start = htnet.load_pretrained("synthetic-mlp")

    def classifier(labels):
        recipe = get_recipe("default", epochs=1, lr=1e-9, ema_decay=0.0)
        found = HTNetClassifier("flow_mlp", recipe, start=start).fit(images, labels)
        return found.model_.classifier.weight, found.model_.labels

    kept, fresh = classifier(emotions), classifier(own)
    assert kept[1] == start.labels
    assert fresh[1] == ("anger", "disgust", "joy")
    torch.testing.assert_close(kept[0], start.classifier.weight, atol=1e-4, rtol=0)
    assert (fresh[0] - start.classifier.weight).abs().max() > 0.01


def test_other_refusals():
    images = np.zeros((4, 2352), np.uint8)
    with pytest.raises(InputError, match="y has 3 classes"):
        HTNetClassifier("htnet_tiny").fit(images, [0, 1, 1])
    with pytest.raises(InputError, match="only the class"):
        HTNetClassifier("htnet_tiny").fit(images, ["a"] * 4)
    with pytest.raises(htnet.errors.UnknownModelError, match="htnet_tiny"):
        HTNetClassifier("htnet_tinny").fit(images, [0, 1, 1, 0])
    for estimator in (HTNetClassifier(), HTNetFeatures()):
        with pytest.raises(NotFittedError):
            (getattr(estimator, "predict", None) or estimator.transform)(images)
    with pytest.raises(InputError, match="two frames"):
        FlowImages().transform([("a.png",)])
    with pytest.raises(InputError, match="estimators read 28 px"):
        FlowImages(spec=htnet.types.PreprocessSpec(size=56)).fit([])
    for size in (0, -1, 1.5, "4", None):
        with pytest.raises(InputError, match="batch_size is"):
            HTNetFeatures(batch_size=size).fit(images)


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "htnet.pipeline.estimators")
    monkeypatch.delitem(sys.modules, "htnet.sklearn")
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[sklearn\]'"):
        __import__("htnet.sklearn")


def test_rows_of_pandas_in_another_order_are_refused(data):
    pandas = pytest.importorskip("pandas")
    images = images_of(data)
    rows = pandas.DataFrame(images.reshape(len(images), -1))
    labels = pandas.Series([sample.label for sample in data])
    with pytest.raises(InputError, match="in different orders"):
        HTNetClassifier().fit(rows, labels.iloc[::-1])
    with pytest.raises(InputError, match="which is not a class"):
        HTNetClassifier().fit(rows, labels.astype("string").where(labels.index != 0))


def test_the_score_is_the_accuracy(data):
    images, labels = images_of(data), np.array([s.label[0] for s in data])  # n, p, s
    classifier = HTNetClassifier("ststnet", epochs=1).fit(images, labels)
    right = classifier.predict(images) == labels
    assert classifier.score(images, labels) == right.mean()
    weights = np.arange(24) + 1
    assert classifier.score(images, labels, weights) == pytest.approx((right * weights).sum() / weights.sum())
    for scale in (1e308, 5e-324):  # their sum is infinite, or not exact
        assert classifier.score(images, labels, np.full(24, scale)) == pytest.approx(right.mean())
    absent = np.where(np.arange(24) < 20, "d", labels)  # a class that the training lacked
    assert classifier.score(images, absent) == right[20:].sum() / 24
    for other, message in (
        (labels[:5], "24 images, but y has 5 classes"),
        ([k % 3 for k in range(24)], "y has none of the classes .* 'n', 'p', 's', but for example 0"),
        (np.where(labels == "n", "N", labels), "'N' and 'n', which differ only in case"),
        ([None] * 24, "None, which is not a class"),
    ):
        with pytest.raises(InputError, match=message):
            classifier.score(images, other)
    with pytest.warns(UserWarning, match="y has none of the classes .* but for example 'd'"):
        assert classifier.score(images, ["d"] * 24) == 0
    for given in (np.ones(3), -np.ones(24), np.zeros(24), ["a"] * 24):
        with pytest.raises(InputError, match="sample_weight"):
            classifier.score(images, labels, given)


def test_members_of_an_enumeration_in_a_list_are_their_values(data):
    """NumPy takes what they print, cut to the length of the longest value, so that classes may become one."""
    images, members = images_of(data), [Emotion(sample.label) for sample in data]
    assert len(set(np.asarray(members).tolist())) < 3
    for given in (members, [plain(member) for member in members]):
        classifier = HTNetClassifier("ststnet", epochs=1).fit(images, given)
        assert classifier.model_.labels == ("negative", "positive", "surprise")
        assert set(classifier.predict(images)) <= {"negative", "positive", "surprise"}
        assert classifier.score(images, given) == classifier.score(images, [member.value for member in members])


def plain(member):
    """The same member of an enumeration that is no text."""
    return enum.Enum("Plain", {m.name: m.value for m in Emotion})[member.name]


def test_scores_of_pandas_rows_in_another_order_are_refused(data):
    pandas = pytest.importorskip("pandas")
    images = images_of(data)
    rows = pandas.DataFrame(images.reshape(len(images), -1))
    labels = pandas.Series([sample.label for sample in data])
    classifier = HTNetClassifier("ststnet", epochs=1).fit(rows, labels)
    for x, y, weights in (
        (rows, labels.iloc[::-1], None),
        (rows.iloc[::-1], labels, None),
        (rows, labels, labels[::-1]),
    ):
        with pytest.raises(InputError, match="in different orders"):
            classifier.score(x, y, weights)


@pytest.mark.parametrize("named", ["", "flowimages"])
def test_columns_in_another_order_are_refused(data, named):
    pandas = pytest.importorskip("pandas")
    images = images_of(data).reshape(24, -1)
    rows = pandas.DataFrame(images, columns=[f"{named}{k}" for k in range(2352)])
    np.testing.assert_array_equal(FlowCells().fit_transform(rows), FlowCells().fit_transform(images))
    as_text = rows[sorted(rows.columns)]  # 0, 1, 10, 100, 1000, ...
    for estimator in (FlowCells(), HTNetFeatures("synthetic-mlp"), HTNetClassifier("ststnet", epochs=1)):
        with pytest.raises(InputError, match=f"'{named}101' is after '{named}1009'. Sort them by the numbers"):
            estimator.fit(as_text, [s.label for s in data])
        estimator.fit(rows, [s.label for s in data])
        with pytest.raises(InputError, match="not in the order of the flow image"):
            (getattr(estimator, "transform", None) or estimator.predict)(rows[rows.columns[::-1]])


def test_spellings_of_one_class_are_refused(data):
    labels = [sample.label for sample in data]
    labels[0] = labels[0].upper()
    with pytest.raises(InputError, match="differ only in case or blanks"):
        HTNetClassifier().fit(images_of(data), labels)


def test_settings_may_come_from_a_grid_of_numpy(data):
    """`numpy.arange` is the usual way to write a grid; small types must not overflow."""
    images, labels = images_of(data), np.arange(24) % 2
    search = GridSearchCV(
        HTNetClassifier("htnet_tiny"), {"epochs": np.arange(1, 3), "random_state": np.arange(1)}, cv=2
    )
    assert np.isfinite(search.fit(images.reshape(24, -1), labels).cv_results_["mean_test_score"]).all()
    cells = FlowCells(np.uint8(14)).fit(images)
    assert cells.transform(images).shape == (24, 3 * 14 * 14)
    assert len(cells.get_feature_names_out()) == 3 * 14 * 14
    features = HTNetFeatures("synthetic", batch_size=np.int64(5)).fit_transform(images)
    np.testing.assert_allclose(features, HTNetFeatures("synthetic").fit_transform(images), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"random_state": 1.5}, r"^random_state is 1\.5; give a whole number of 0 or more"),
        ({"random_state": "one"}, "^random_state is 'one'; give"),
        ({"random_state": -1}, "^random_state is -1; give"),
        ({"random_state": True}, "^random_state is True; give"),
        ({"random_state": np.random.default_rng(0)}, "^random_state is Generator"),
        ({"device": "gpu"}, "^The device 'gpu' cannot be used here"),
    ],
)
def test_settings_that_other_libraries_would_refuse(data, settings, message):
    with pytest.raises(InputError, match=message):
        HTNetClassifier("htnet_tiny", epochs=1, **settings).fit(images_of(data), np.arange(24) % 2)


def test_images_that_need_a_conversion(data):
    rows = images_of(data).reshape(24, -1).astype(np.float32)
    fitted = FlowCells().fit(rows)
    with_gradient = torch.from_numpy(rows).requires_grad_()
    np.testing.assert_array_equal(fitted.transform(with_gradient), fitted.transform(rows))
    with pytest.raises(InputError, match=r"^X is a sparse matrix; give X\.toarray"):
        fitted.transform(scipy.sparse.csr_matrix(rows))
    with pytest.raises(InputError, match="^y has only the class 'calm';"):
        HTNetClassifier("htnet_tiny").fit(rows, ["calm"] * 24)


def test_a_table_of_pairs_is_refused_with_the_cure():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"onset": ["a.png"], "apex": ["b.png"]})
    for given in (table, {"onset": ["a.png"], "apex": ["b.png"]}, ("a.png", "b.png")):
        with pytest.raises(InputError, match=r"not a pair of two frames\. Give list\(zip\(onsets, apexes\)\)"):
            FlowImages("template").transform(given)


@pytest.mark.parametrize("function", ["FlowImages", "pairs", "iter_pairs", "recognize"])
def test_two_lists_in_place_of_pairs_are_refused(function):
    """Two onsets and two apexes would be read as a pair of onsets and one of apexes."""
    call = {
        "FlowImages": FlowImages("template").transform,
        "pairs": Predictor(htnet.load_pretrained("synthetic"), landmarks="template").pairs,
        "iter_pairs": Predictor(htnet.load_pretrained("synthetic"), landmarks="template").iter_pairs,
        "recognize": lambda pairs: recognize(pairs, ("a", "b")),
    }[function]
    with pytest.raises(InputError, match=r"may be .* and .* or two pairs\. Give list\(zip\("):
        call((["a", "b"], ["b", "a"]))


@pytest.mark.parametrize("change", [{}, {"recipe": "none of ours"}, {"device": "cuda:99"}], ids=str)
def test_a_fit_that_fails_leaves_the_former_model_and_its_classes(data, change):
    images = images_of(data)
    names = np.array([s.label for s in data])
    classifier = HTNetClassifier("ststnet", epochs=1).fit(images, names)
    before = classifier.predict(images)
    other = np.array([f"other {name}" for name in names]) if change else np.zeros(len(names))
    with pytest.raises(HtnetError):
        classifier.set_params(**change).fit(images, other)
    assert set(classifier.classes_) == set(names)
    assert (classifier.predict(images) == before).all()


def test_names_of_classes_in_the_model_are_plain(data):
    images, names = images_of(data), [s.label for s in data]
    order = sorted(set(names))
    given = {
        "bytes": np.array([name.encode() for name in names]),
        "members": np.array([Emotion(name) for name in names], dtype=object),
    }
    for y in given.values():
        assert HTNetClassifier("ststnet", epochs=1).fit(images, y).model_.labels == tuple(order)
    numbers = np.array([float(order.index(name)) for name in names])
    found = HTNetClassifier("ststnet", epochs=1).fit(images, numbers).model_.labels
    assert found == tuple(map(str, range(len(order))))
    with pytest.raises(InputError, match="differ only in case or blanks"):
        HTNetClassifier("ststnet", epochs=1).fit(images, np.array([b"a", b"A"] * (len(names) // 2)))


def test_images_that_were_scaled_with_a_rounding_error_are_refused(data):
    images = images_of(data).reshape(len(data), -1) / 255
    with pytest.raises(InputError, match="divided by 255 or scaled"):
        FlowCells().fit(images / images.max() * (1 + 1e-15))


def test_settings_changed_after_fit(data):
    images = images_of(data).reshape(len(data), -1)
    cells = FlowCells(7).set_output(transform="pandas").fit(images).set_params(grid=4)
    assert cells.transform(images).shape == (len(images), 48)
    assert len(cells.get_feature_names_out()) == 48
    with pytest.raises(InputError, match="batch_size is 0"):
        HTNetFeatures().fit(images).set_params(batch_size=0).transform(images)


def test_a_start_that_is_none_is_refused(data):
    with pytest.raises(WeightsError, match="start is of type int"):
        HTNetClassifier("ststnet", epochs=1, start=5).fit(images_of(data), [s.label for s in data])
