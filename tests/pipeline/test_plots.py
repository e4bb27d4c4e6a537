"""The picture of a prediction."""

import dataclasses
import sys

import cv2
import numpy as np
import pytest

from htnet import Predictor
from htnet.core.errors import InputError, MissingExtraError
from htnet.core.facs import UnitPrediction
from htnet.pipeline.plots import plot_confusion, plot_prediction, save_figure
from tests.support.pairs import face_pair, tiny_model


@pytest.fixture(scope="module")
def pair():
    return face_pair()


@pytest.fixture(scope="module")
def predictor():
    return Predictor(tiny_model(), landmarks="template")


def test_picture_shows_the_pair(predictor, pair, tmp_path):
    prediction = predictor.pair(*pair)
    path = tmp_path / "new" / "p.png"
    plot_prediction(prediction, *pair, path)
    image = cv2.imread(str(path))
    assert image.shape[0] > 200
    assert image.shape[1] > 2 * image.shape[0]
    other = cv2.imread(str(save_figure(plot_prediction(prediction, pair[1], 255 - pair[0]), tmp_path / "q.png")))
    differs = np.abs(image.astype(int) - other).max(axis=(0, 2)) > 0
    assert differs[: len(differs) // 3].any(), "the frames are at the left"
    assert not differs[len(differs) // 2 :].any(), "flow and answer are those of the prediction"


@pytest.mark.slow
def test_picture_shows_action_units(predictor, pair, tmp_path):
    prediction = predictor.pair(*pair)
    plain = cv2.imread(str(save_figure(plot_prediction(prediction, *pair), tmp_path / "plain.png")))
    pictures = []
    for left, right in ((0.9, 0.1), (0.1, 0.9)):
        told = dataclasses.replace(prediction, action_units=(UnitPrediction(12, left, right),))
        pictures.append(
            cv2.imread(str(save_figure(plot_prediction(told, *pair), tmp_path / f"{left}.png"))).astype(int)
        )
    left, right = pictures
    assert left.shape[1] > plain.shape[1]
    differs = np.flatnonzero(np.abs(left - right).max(axis=(0, 2)))
    assert differs.min() > 0.8 * left.shape[1], "units are at the right, and nothing else changed"
    blue = (left[..., 0] > 200) & (left[..., 2] < 60)  # BGR of what is sure
    where = np.flatnonzero(blue[:, differs.min() :].any(axis=0)) + differs.min()
    assert where.mean() > (differs.min() + differs.max()) / 2, "the subject's left is at the right, as one looks at it"


@pytest.mark.slow
def test_picture_without_frames_known_to_the_prediction(predictor, pair, tmp_path):
    from_flow = predictor.flow_image(predictor.pair(*pair).input.flow_image)
    assert save_figure(plot_prediction(from_flow, *pair), tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")


def test_unknown_kind_of_picture(predictor, pair, tmp_path):
    with pytest.raises(InputError, match=r"p.xyz.*ends in .png"):
        plot_prediction(predictor.pair(*pair), *pair, tmp_path / "p.xyz")


def test_without_matplotlib(predictor, pair, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"Drawing needs matplotlib.*pip install 'htnet\[plots\]'"):
        plot_prediction(predictor.pair(*pair), *pair, tmp_path / "p.png")


def test_names_with_dollars_are_shown_as_they_are(tmp_path):
    """matplotlib would read them as formulas, and refuse those that are none."""
    names = [r"$\frac{x$", "cost $5 and $6", "plain"]
    figure = plot_confusion(np.eye(3, dtype=int), names, tmp_path / "c.png", title="$a$")
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == names
    assert not any(text.get_parse_math() for text in figure.findobj(type(axis.title)))
    assert (tmp_path / "c.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("counts", "names"),
    [(np.ones((3, 2)), "abc"), (np.ones((2, 2)), "a"), (-np.eye(2), "ab"), (np.full((2, 2), np.nan), "ab")],
)
def test_a_confusion_of_other_classes_is_refused(counts, names):
    with pytest.raises(InputError, match=r"give \(C, C\) counts"):
        plot_confusion(counts, list(names))
