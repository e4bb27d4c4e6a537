"""The picture of a prediction."""

import dataclasses
import sys

import cv2
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from htnet import Predictor
from htnet.core.errors import InputError, MissingExtraError
from htnet.core.facs import UnitPrediction
from htnet.pipeline.fonts import _fonts_for as fonts_for
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


#: Characters of a plane that no installed font has, and one that all have.
UNKNOWN = "\U000f0a01\U000f0a02"


def write_font(path, chars):
    """A font whose characters are full squares."""
    builder = FontBuilder(1000, isTTF=True)
    names = {char: f"u{ord(char):X}" for char in chars}
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap({ord(char): name for char, name in names.items()})
    pen = TTGlyphPen(None)
    for number, point in enumerate(((50, 0), (50, 800), (850, 800), (850, 0))):
        (pen.lineTo if number else pen.moveTo)(point)
    pen.closePath()
    square = pen.glyph()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), **dict.fromkeys(names.values(), square)})
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (900, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.fixture
def fonts(monkeypatch):
    """Fonts that are installed while figures are drawn; matplotlib's list is as before afterwards."""
    system = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: system)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(font_manager.fontManager.ttflist))
    fonts_for.cache_clear()
    yield system
    fonts_for.cache_clear()
    font_manager.fontManager._findfont_cached.cache_clear()


def test_names_in_any_script_get_a_font_that_was_installed_since(fonts, tmp_path, recwarn):
    fonts.append(write_font(tmp_path / "squares.ttf", UNKNOWN))
    figure = plot_confusion(np.eye(2, dtype=int), [UNKNOWN, "plain"], tmp_path / "c.png", title="\u00e9")
    first, second = figure.axes[0].get_xticklabels()
    assert first.get_fontfamily() == ["sans-serif", "Squares"]
    assert second.get_fontfamily() == figure.axes[0].title.get_fontfamily() == ["sans-serif"]
    assert not [str(one.message) for one in recwarn if "ont" in str(one.message)]


def test_characters_without_a_font_are_told_once_with_the_cure(fonts, tmp_path):
    with pytest.warns(UserWarning, match="No installed font has") as told:
        plot_confusion(np.eye(2, dtype=int), [UNKNOWN, f"a{UNKNOWN[0]}"], tmp_path / "c.png")
    (message,) = [str(one.message) for one in told]
    assert f"No installed font has {UNKNOWN}: " in message
    assert "apt install fonts-noto-cjk" in message
    assert (tmp_path / "c.png").is_file()


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
