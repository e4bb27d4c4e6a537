"""Figures of flow and of what models look at."""

import gc
import io
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver

from htnet import Predictor, plots
from htnet.core.errors import InputError, ModelError, OverwriteError
from htnet.core.types import Flow, PreprocessSpec
from htnet.models import (
    AttentionMap,
    AttentionRollout,
    Saliency,
    attention_maps,
    attention_rollout,
    create_model,
    integrated_gradients,
    occlusion,
)
from htnet.pipeline.flow_plots import flow_asymmetry
from htnet.pipeline.overlays import onto_face, region_boxes
from htnet.preprocess import color_wheel
from tests.support.pairs import POINTS, QUICK, face_pair, tiny_model


@pytest.fixture(scope="module")
def answered():
    """A prediction by a model that reads regions, and how its input was made."""
    spec = PreprocessSpec(**{**QUICK.to_dict(), "layout": "anatomical", "region_points": "landmarks"})
    predictor = Predictor(tiny_model(spec))
    return predictor.pair(*face_pair(), POINTS), predictor.spec


@pytest.fixture(scope="module")
def flow(answered):
    return answered[0].input.flow


@pytest.fixture(scope="module")
def face(flow):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (*flow.uv.shape[1:], 3)).astype(np.uint8)


def png(figure):
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=60)
    return out.getvalue()


def test_arrows_and_colors_are_those_of_the_flow(flow, face):
    figure = plots.plot_flow(flow, face, arrows=9)
    left, right, _ = figure.axes
    (quiver,) = [c for c in left.get_children() if isinstance(c, Quiver)]
    columns, rows = quiver.X.astype(int), quiver.Y.astype(int)
    np.testing.assert_allclose(quiver.U, flow.uv[0][rows, columns])
    np.testing.assert_allclose(quiver.V, flow.uv[1][rows, columns])
    assert len(quiver.U) == 81
    step = flow.uv.shape[1] / 9
    assert np.hypot(quiver.U, quiver.V).max() / quiver.scale == pytest.approx(1.5 * step)
    length = np.hypot(*flow.uv)
    shown = np.asarray(right.images[1].get_array())
    np.testing.assert_allclose(shown[..., :3], color_wheel(flow.uv, float(length.max())) / 255)
    np.testing.assert_allclose(shown[..., 3], length / length.max(), atol=1e-6)
    np.testing.assert_allclose(right.images[0].get_array(), face @ np.array([0.299, 0.587, 0.114]))
    assert f"{length.max():.2f} px" in left.get_title()
    bare = plots.plot_flow(flow, max_px=10.0)
    assert (np.asarray(bare.axes[1].images[1].get_array())[..., 3] == 1).all()
    assert "10.00 px" in bare.axes[2].get_title()


def test_a_flow_that_is_even_on_both_sides_has_no_asymmetry(face):
    rng = np.random.default_rng(1)
    half = rng.normal(size=(2, 64, 32)).astype(np.float32)
    mirrored = half[..., ::-1] * np.array([-1, 1], np.float32)[:, None, None]
    even = Flow(np.concatenate([half, mirrored], axis=2), "drawn")
    assert not np.any(flow_asymmetry(even))
    odd = even.uv.copy()
    odd[:, 20, 10] += (3.0, 4.0)
    differs, louder = flow_asymmetry(Flow(odd, "drawn"))
    assert np.argwhere(differs).tolist() == [[20, 10], [20, 53]]
    assert differs[20, 10] == pytest.approx(5, abs=1e-5)
    assert louder[20, 10] == pytest.approx(-louder[20, 53])
    figure = plots.plot_flow_asymmetry(Flow(odd, "drawn"))
    np.testing.assert_allclose(figure.axes[0].images[1].get_array(), differs)
    np.testing.assert_allclose(figure.axes[1].images[1].get_array(), louder)


def test_regions_are_drawn_where_they_were_cut(answered):
    prediction, spec = answered
    figure = plots.plot_regions(prediction.input, spec)
    boxes = [
        (p.get_x() + 0.5, p.get_y() + 0.5, p.get_width()) for p in figure.axes[0].patches if isinstance(p, Rectangle)
    ]
    assert boxes == [tuple(map(float, box)) for box in region_boxes(prediction.input, spec)]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), prediction.input.flow_image[..., ::-1])
    shown = np.asarray(figure.axes[1].images[0].get_array())
    np.testing.assert_array_equal(shown, prediction.input.image[::-1].transpose(1, 2, 0).round().astype(np.uint8))
    with pytest.raises(InputError, match="there are no regions to draw"):
        plots.plot_regions(prediction.input, QUICK if QUICK.layout == "whole" else PreprocessSpec(layout="whole"))


def test_a_map_of_the_input_comes_back_to_the_face(answered):
    """The strain that the network reads, laid back, is the strain of the flow image, where it was read."""
    prediction, spec = answered
    made = prediction.input
    found = onto_face(made.image[0], made, spec)
    seen = np.zeros(found.shape, bool)
    for left, top, side in region_boxes(made, spec):
        seen[top : top + side, left : left + side] = True
    assert np.array_equal(np.isfinite(found), seen)
    np.testing.assert_allclose(found[seen], made.flow_image[..., 0][seen])
    with pytest.raises(InputError, match=r"shape \(3, 3\)"):
        onto_face(np.zeros((3, 3)), made, spec)


def test_saliency_is_drawn_as_it_is_and_on_the_face(answered):
    prediction, spec = answered
    image = prediction.input.image
    found = integrated_gradients(tiny_model(spec), image, steps=4)
    figure = plots.plot_saliency(found, image, made=prediction.input, spec=spec)
    np.testing.assert_allclose(figure.axes[1].images[1].get_array(), found.map)
    placed = onto_face(found.map, prediction.input, spec)
    np.testing.assert_allclose(figure.axes[2].images[1].get_array(), np.nan_to_num(placed))
    assert figure.axes[1].images[1].get_clim() == (-np.abs(found.map).max(), np.abs(found.map).max())
    assert len(plots.plot_saliency(found, image).axes) == 3, "two pictures and the key"
    with pytest.raises(InputError, match="made and spec go together"):
        plots.plot_saliency(found, image, spec=spec)
    with pytest.raises(InputError, match=r"shape \(28, 28\), but the image has \(14, 14\)"):
        plots.plot_saliency(found, image[:, :14, :14])


def test_attention_is_drawn_in_its_places(rng):
    torch.manual_seed(0)
    model, x = create_model("htnet_tiny", image_size=56), rng.uniform(0, 255, (3, 56, 56)).astype(np.float32)
    maps, rollout = attention_maps(model, x), attention_rollout(model, x)
    figure = plots.plot_attention(maps, x)
    for axis, one in zip(figure.axes[1:], maps, strict=False):
        shown = np.asarray(axis.images[1].get_array())
        np.testing.assert_allclose(shown.ravel(), one.received * one.side**2)
        assert one.name in axis.get_title()
    shown = np.asarray(plots.plot_rollout(rollout, x).axes[1].images[1].get_array())
    np.testing.assert_allclose(shown.ravel(), rollout.relevance * 64)
    points = rng.uniform(4, 24, (43, 2))
    at_points = AttentionMap("layer 1", np.full((2, 43, 43), 1 / 43), points, None)
    (dots,) = [
        c
        for c in plots.plot_attention([at_points], x[:, :28, :28]).axes[1].collections
        if isinstance(c, PathCollection)
    ]
    np.testing.assert_allclose(dots.get_offsets(), points)
    np.testing.assert_allclose(dots.get_array(), 1)
    with pytest.raises(InputError, match="no attention maps"):
        plots.plot_attention([], x)
    with pytest.raises(InputError, match=r"shape \(1, 3, 56, 56\)"):
        plots.plot_rollout(rollout, x[None])
    faces = plots.plot_rollout(rollout, x, kind="face")
    np.testing.assert_array_equal(faces.axes[0].images[0].get_array(), x.transpose(1, 2, 0).round().astype(np.uint8))


def drawn(answered, flow, face):
    """Every function once, as something to call."""
    prediction, spec = answered
    x = np.full((3, 28, 28), 100.0)
    one = AttentionMap("layer", np.full((1, 4, 4), 0.25), np.zeros((4, 2)), 2)
    pair = face_pair()
    saliency = Saliency(np.ones((1, 28, 28)), "occlusion", "positive", 1.0, 0.0)
    return {
        "plot_prediction": lambda **k: plots.plot_prediction(prediction, *pair, **k),
        "plot_confusion": lambda **k: plots.plot_confusion([[3, 1], [0, 2]], ("a", "b"), **k),
        "plot_flow": lambda **k: plots.plot_flow(flow, face, **k),
        "plot_flow_asymmetry": lambda **k: plots.plot_flow_asymmetry(flow, face, **k),
        "plot_regions": lambda **k: plots.plot_regions(prediction.input, spec, face, **k),
        "plot_attention": lambda **k: plots.plot_attention([one], x, **k),
        "plot_rollout": lambda **k: plots.plot_rollout(AttentionRollout(np.full(4, 0.25), np.zeros((4, 2)), 2), x, **k),
        "plot_saliency": lambda **k: plots.plot_saliency(saliency, x, **k),
    }


def test_every_function_returns_a_figure_that_nothing_keeps(answered, flow, face):
    import sys

    already = "matplotlib.pyplot" in sys.modules
    for name, draw in drawn(answered, flow, face).items():
        figure = draw()
        assert isinstance(figure, Figure), name
        kept = weakref.ref(figure)
        del figure
        gc.collect()
        assert kept() is None, name
    assert ("matplotlib.pyplot" in sys.modules) == already
    own = {name for name in plots.__all__ if name.startswith("plot_")}
    assert own - set(drawn(answered, flow, face)) == {"plot_reliability", "plot_spotting"}, (
        "tested beside their numbers"
    )


@pytest.mark.slow
def test_threads_draw_what_one_draws(answered, flow, face):
    every = drawn(answered, flow, face)
    draws = [every[name] for name in ("plot_flow", "plot_saliency", "plot_confusion")]
    alone = [png(draw()) for draw in draws]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda draw: png(draw()), draws * 2)) == alone * 2


def test_a_path_saves_it_too_and_nothing_is_overwritten(answered, flow, face, tmp_path):
    every, path = drawn(answered, flow, face), tmp_path / "new" / "a.png"
    assert isinstance(every["plot_confusion"](path=path), Figure)
    before = path.read_bytes()
    assert before.startswith(b"\x89PNG")
    for draw in every.values():
        with pytest.raises(OverwriteError, match="a.png already exists"):
            draw(path=path)
    assert path.read_bytes() == before


def test_faces_that_do_not_fit_are_refused(flow, face):
    with pytest.raises(InputError, match="align_pair"):
        plots.plot_flow(flow, face[:-1])
    with pytest.raises(InputError, match="give .H, W, 3. uint8, RGB"):
        plots.plot_flow_asymmetry(flow, face.astype(float))
    with pytest.raises(InputError, match="arrows is 0"):
        plots.plot_flow(flow, arrows=0)
    with pytest.raises(InputError, match="max_px is -1"):
        plots.plot_flow(flow, max_px=-1)


def other_things(answered):
    """Each function of htnet.plots with something else than it draws, and what its message names."""
    prediction, spec = answered
    found = integrated_gradients(tiny_model(spec), prediction.input.image, steps=1)
    uv, image = prediction.input.flow.uv, prediction.input.image
    return {
        "plot_flow": [((uv,), "flow is of type ndarray, not Flow; give .*prediction.input.flow"), ((None,), "is None")],
        "plot_flow_asymmetry": [((uv,), "flow is of type ndarray, not Flow"), ((None,), "flow is None, not Flow")],
        "plot_regions": [
            ((prediction, spec), "made is of type Prediction, not ModelInput; give .*prediction.input"),
            ((prediction.input, None), "spec is None, not PreprocessSpec; give .*Predictor.spec"),
        ],
        "plot_spotting": [((None,), "spotting is None"), ((prediction,), "spotting is of type Prediction")],
        "plot_prediction": [((None, uv, uv), "prediction is None"), ((found, uv, uv), "of type Saliency")],
        "plot_attention": [
            ((found, image), "maps is of type Saliency"),
            (([found], image), r"maps\[0\] is of type Saliency, not AttentionMap"),
            ((None, image), "maps is None"),
        ],
        "plot_rollout": [
            ((found, image), "rollout is of type Saliency, not AttentionRollout"),
            ((None, image), "is None"),
        ],
        "plot_saliency": [
            ((None, image), "found is None"),
            ((image, image), "found is of type ndarray, not Saliency"),
            ((found, "image.png"), "image is not an array of numbers, but of type str"),
            ((found, None), "image is not an array of numbers, but of type NoneType"),
        ],
        "plot_reliability": [
            ((None,), "found is None"),
            (({"a": [1]},), r"found\['a'\] is of type list, not Reliability"),
        ],
        "plot_confusion": [
            (([[1], [2, 3]], "ab"), "confusion is not an array of numbers"),
            ((np.eye(2), None), "classes is None"),
            ((None, "ab"), "confusion is not an array of numbers, but of type NoneType"),
            (([[np.inf, 1], [0, 1]], "ab"), "infinite"),
            (([[0.7, 0.3], [0.4, 0.6]], "ab"), "contains fractions"),
        ],
        "save_figure": [((None, "x.png"), "figure is None"), ((image, "x.png"), "figure is of type ndarray")],
    }


def test_other_things_than_a_function_draws_are_refused_by_name(answered):
    cases = other_things(answered)
    assert set(cases) == set(plots.__all__), "every function"
    for name, each in cases.items():
        for given, message in each:
            with pytest.raises(InputError, match=message):
                getattr(plots, name)(*given)


@pytest.mark.parametrize("ask", [integrated_gradients, occlusion, attention_maps, attention_rollout])
def test_other_things_than_a_model_are_refused_by_name(ask):
    predictor, image = Predictor(tiny_model()), np.zeros((3, 28, 28), np.float32)
    with pytest.raises(ModelError, match="model is of type Predictor, not EmotionModel; give its attribute model"):
        ask(predictor, image)
    with pytest.raises(ModelError, match="model is of type str, .*load_pretrained"):
        ask("composite", image)
    with pytest.raises(ModelError, match="got image as str; give a tensor or an array"):
        ask(create_model("htnet_tiny", image_size=56), "image.png")


def test_what_was_compiled_is_looked_into():
    model = create_model("htnet_tiny", image_size=56)
    image = np.random.default_rng(0).uniform(0, 255, (3, 56, 56)).astype(np.float32)
    compiled = torch.compile(model, backend="eager")
    assert np.array_equal(attention_maps(compiled, image)[0].weights, attention_maps(model, image)[0].weights)
    assert integrated_gradients(compiled, image, steps=2).score == integrated_gradients(model, image, steps=2).score
