"""The report of one prediction."""

import base64
import dataclasses
import re

import cv2
import numpy as np
import pytest

from htnet.core.errors import InputError, OverwriteError
from htnet.core.types import NO_EXPRESSION, Frame, PreprocessSpec, QualityWarning, Spotting
from htnet.export import write_prediction_report
from htnet.pipeline import Predictor
from htnet.pipeline.overlays import region_boxes
from htnet.pipeline.prediction_report import prediction_report_text
from tests.support.pairs import POINTS, QUICK, face_pair, tiny_model


def answered(layout="anatomical", points="landmarks"):
    spec = PreprocessSpec(**{**QUICK.to_dict(), "layout": layout, "region_points": points})
    predictor = Predictor(tiny_model(spec))
    frames = [Frame(pixels, name) for pixels, name in zip(face_pair(), ("onset", "apex"), strict=True)]
    return predictor.pair(*frames, POINTS), frames, predictor.spec


def pictures(text):
    found = re.findall(r'aria-label="([^"]*)"><image [^>]*href="data:image/(\w+);base64,([^"]*)"', text)
    return {
        name: (kind, cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR))
        for name, kind, data in found
    }


def test_it_shows_the_answer():
    prediction, frames, spec = answered()
    text = prediction_report_text(prediction, *frames, spec=spec)
    assert f'<p class="label">{prediction.label}</p>' in text
    for name, value in prediction.probabilities.items():
        assert f"<span>{name}</span>" in text
        assert f"<span>{value:.2f}</span>" in text
    shown = pictures(text)
    assert [name.split()[0].strip(",:") for name in shown] == ["onset", "apex", "flow", "flow", "what"]
    kind, image = next(value for name, value in shown.items() if name.startswith("flow image"))
    assert kind == "png"
    np.testing.assert_array_equal(image, prediction.input.flow_image)  # without loss
    assert text.count("<circle") == 5
    assert text.count('<rect class="region"') == 8
    assert "This model was not trained for action units" in text
    assert not re.search(r"https?://(?!www\.w3\.org)", text)


@pytest.mark.parametrize("layout", ["anatomical", "reference"])
@pytest.mark.parametrize("points", ["landmarks", "template"])
def test_regions_are_where_the_network_input_was_cut(layout, points):
    prediction, _, spec = answered(layout, points)
    made, half = prediction.input, spec.size // 2
    parts = []
    for left, top, side in region_boxes(prediction.input, spec):
        assert side == half
        parts.append(made.flow_image[top : top + side, left : left + side])
    mosaic = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])
    np.testing.assert_array_equal(mosaic, made.image.transpose(1, 2, 0))


def test_a_whole_face_has_no_regions():
    prediction, frames, spec = answered("whole")
    text = prediction_report_text(prediction, *frames, spec=spec)
    assert "region" not in text.split("</style>")[1]
    assert not [name for name in pictures(text) if name.startswith("what")]


def test_faces_can_be_left_out():
    prediction, frames, spec = answered()
    text = prediction_report_text(prediction, *frames, spec=spec, faces=False)
    assert "Pictures of faces were left out" in text
    assert not [name for name in pictures(text) if name.startswith(("onset", "apex"))]


def test_texts_are_escaped_and_no_expression_is_told():
    prediction, frames, _ = answered()
    bad = "<script>alert(1)</script>"
    changed = dataclasses.replace(
        prediction,
        label=NO_EXPRESSION,
        sample=bad,
        model=bad,
        probabilities={bad: 1.0},
        input=dataclasses.replace(prediction.input, expression=0.125, warnings=(QualityWarning("code", bad),)),
    )
    text = prediction_report_text(changed, *frames)
    assert bad not in text
    assert text.count("&lt;script&gt;") >= 4
    assert "0.125. It is below 0.5" in text


def test_the_curve_of_a_video():
    prediction, frames, _ = answered()
    curve = np.float32([0, 0, 1, 2, 1])
    spotting = Spotting(
        2, 3, 4, 0.75, curve, np.zeros((5, 3), np.float32), np.zeros((5, 2, 3)), prediction.landmarks, 25.0, "peak",
        times=np.arange(5) / 25,
    )  # fmt: skip
    text = prediction_report_text(dataclasses.replace(prediction, spotting=spotting), *frames)
    path = np.array([pair.split() for pair in re.search(r'<path d="M([^"]*)"', text)[1].split(" L")], float)
    assert len(path) == 5
    assert path[:, 1].argmin() == 3  # the peak is at the top
    line = re.search(r'<line x1="([\d.]+)"', text)
    assert float(line[1]) == path[3, 0]
    assert "confidence 0.75" in text
    assert "<th>apex</th><td>frame 3, 0.12 s</td>" in text


def test_it_is_written(tmp_path):
    prediction, frames, _ = answered()
    path = write_prediction_report(prediction, *frames, tmp_path / "new" / "a.html")
    assert path.read_text("utf-8").startswith("<!doctype html>")
    with pytest.raises(OverwriteError):
        write_prediction_report(prediction, *frames, path)
    with pytest.raises(InputError, match=r"ends in \.html"):
        write_prediction_report(prediction, *frames, tmp_path / "a.pdf")
