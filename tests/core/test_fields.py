"""Rules of fields and arguments."""

import argparse
import contextlib
import importlib
import json
import math
import pkgutil
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch

import htnet
from htnet.cli import build_parser
from htnet.core.command_line import leaves
from htnet.core.errors import InputError, ModelError, RecipeError, SpecError, WeightsError
from htnet.core.fields import Checked, checked, each, flag, one_of, optional, real, seed_number, whole
from htnet.core.recordings import Recording
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.data import Manifest, Sample, hold_out_subjects, k_folds
from htnet.evaluation import kfold, loso
from htnet.evaluation.bootstrap import draw_groups
from htnet.evaluation.plan import EvaluationPlan
from htnet.evaluation.spotting import evaluate_spotting
from htnet.hub.folder import checked_temperature
from htnet.models import ModelConfig, get_entry, integrated_gradients
from htnet.preprocess import color_wheel, compute_flow, open_video
from htnet.preprocess.flow.tvl1_parameters import TVL1Parameters
from htnet.preprocess.landmarks.base import check_several
from htnet.training import Recipe, TrainingJob
from tests.support.videos import numbered_video

#: Fields that a constructor checks otherwise, and those of `EvaluationPlan`, which checks what it resolves.
WITHOUT_RULE = {
    "PreprocessSpec": {"flow_parameters"},
    "FlowMLPConfig": {"u_channel"},
    "MHSSAGCNConfig": {"au_cooccurrence"},
    "SynthesisConfig": {"expressions"},
    "Checkpoint": {"path"},
}


def _below(kind):
    for found in kind.__subclasses__():
        yield found
        yield from _below(found)


def test_every_field_has_a_rule():
    for module in pkgutil.walk_packages(htnet.__path__, "htnet."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # of an extra
                importlib.import_module(module.name)
    ours = [kind for kind in _below(Checked) if kind.__module__.startswith("htnet.") and kind is not EvaluationPlan]
    assert len(ours) > 20
    for kind in ours:
        bare = {name for name in kind.field_names() if kind._rule(name) is None}
        assert bare == WITHOUT_RULE.get(kind.__name__, set()), kind


def test_fields_that_took_any_value():
    for name in ("use_micro_attention", "use_roi_module"):
        with pytest.raises(ModelError, match=f"{name} is 'no'; give True or False"):
            htnet.create_model("htnet_palsy_small", **{name: "no"})
    for name in ("use_diagonal_attn", "use_roi"):
        with pytest.raises(ModelError, match=f"{name} is nan; give True or False"):
            htnet.create_model("htnet_enhanced_tiny", **{name: math.nan})
    for value in (True, "none", [], 3):
        with pytest.raises(RecipeError, match="augmentation is .*; give an augmentation, such as"):
            Recipe.from_dict({"augmentation": value})
    with pytest.raises(RecipeError, match="name is 3; give a text"):
        Recipe(name=3)
    points = list(PreprocessSpec().template)
    for wrong in (math.nan, "left", None):
        with pytest.raises(SpecError, match="template is .*; give five"):
            PreprocessSpec(template=[(wrong, 8.3), *points[1:]])
    with pytest.raises(SpecError, match="flow_parameters is ''"):
        PreprocessSpec(flow_parameters="")
    for name in ("size", "face_size", "clip_frames"):
        with pytest.raises(SpecError, match=f"{name} is 1000000.*to 4096"):
            PreprocessSpec(**{name: 10**9})


@pytest.mark.parametrize(
    ("rule", "good", "bad", "wanted"),
    [
        (whole(), (1, 7), (0, -1, 1.0, True, "1", None, np.float32(1)), "a whole number of 1 or more"),
        (whole(0, 2), (0, 2), (-1, 3), "a whole number from 0 to 2"),
        (whole(0, lt=2), (0, 1), (2,), r"a whole number in \[0, 2\)"),
        (whole(4, even=True), (4, 10), (2, 5), "an even whole number of 4 or more"),
        (real(), (-1, 0.5, np.float32(2)), (math.nan, math.inf, "1", None, True), "a number"),
        (real(ge=0), (0, 0.1), (-1e-9, math.nan), "a number of 0 or more"),
        (real(gt=0), (1e-9,), (0, -1), "a number above 0"),
        (real(ge=0, le=0.5), (0, 0.5), (0.51,), "a number from 0 to 0.5"),
        (real(ge=0, lt=1), (0, 0.99), (1,), r"a number in \[0, 1\)"),
        (real(gt=0, le=1), (1, 0.1), (0, 1.1), r"a number in \(0, 1\]"),
        (real(lt=1), (-5,), (1,), r"a number in \(-inf, 1\)"),
        (seed_number(), (0, np.int64(3), 2**64 - 1), (-1, 2**64, 1.0, True, "1", None), "a whole number from 0 to 2"),
        (flag(), (True, False), (0, 1, None, "yes"), "True or False"),
        (optional(whole()), (None, 1), (0,), "a whole number of 1 or more, or None"),
        (each(whole()), ((), (1, 2)), ([1], (0,), 1), "a tuple, each a whole number of 1 or more"),
        (each(real(ge=0), 2), ((0, 1.5),), ((1,), (1, 2, 3), (1, -1)), "a tuple of 2 values, each a number of 0"),
    ],
)
def test_rules(rule, good, bad, wanted):
    for value in good:
        rule.check("it", value)
    for value in bad:
        with pytest.raises(InputError, match=f"it is .*; give {wanted}"):
            rule.check("it", value)


ROWS = Manifest(tuple(Sample(f"s{i}", "d", f"p{i}", "ab"[i % 2]) for i in range(4)), ("a", "b"))


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", None])
@pytest.mark.parametrize(
    "draw",
    [
        lambda seed: k_folds(ROWS, 2, seed),
        lambda seed: hold_out_subjects(ROWS, range(4), 0.5, seed),
        lambda seed: kfold(ROWS, "htnet_tiny", fold_seed=seed, out="none"),
        lambda seed: loso(ROWS, "htnet_tiny", seeds=[seed], out="none"),
        lambda seed: evaluate_spotting([Recording("r", ())], {}, seed=seed),  # one group: there are no draws
        lambda seed: draw_groups(["a", "b"], seed=seed),
        lambda seed: TrainingJob(seed=seed),
    ],
)
def test_seeds_are_checked_in_one_way(draw, seed):
    with pytest.raises(InputError, match=r"seeds? is "):
        draw(seed)


def test_no_command_takes_an_impossible_seed():
    given = [(c, a) for c in leaves(build_parser()) for a in c._actions if a.dest in ("seed", "fold_seed")]
    assert len(given) >= 6
    for command, action in given:
        if "synthesize" in command.prog:  # its seeds end at 2^31, which it checks itself
            continue
        for seed in ("-1", str(2**64), "1.5", "1e3", ""):
            with pytest.raises(argparse.ArgumentError, match="no seed; give a whole number from 0 to 2"):
                command._get_values(action, [seed])


def test_names_are_suggested():
    one_of(("linear", "area")).check("resize", "area")
    for value in (None, 3, [1]):
        with pytest.raises(ModelError, match="Known: area, linear"):
            one_of(("linear", "area")).check("resize", value, ModelError)
    with pytest.raises(SpecError, match=r"PreprocessSpec\.resize is 'lineer'\. Did you mean 'linear'"):
        PreprocessSpec(resize="lineer")


def test_another_default_keeps_the_rule_of_the_class_above():
    @dataclass(frozen=True)
    class Own(ModelConfig):
        image_size: int = 56
        depth: int = checked(2, whole())

    assert Own().image_size == 56
    for wrong in ({"image_size": 0}, {"depth": 1.5}, {"num_classes": -1}):
        with pytest.raises(ModelError, match=next(iter(wrong))):
            Own(**wrong)
    with pytest.raises(ModelError, match="image_size is 0"):
        get_entry("htnet_tiny").model_class.config_class(image_size=0)


def test_lists_become_tuples_and_unknown_fields_are_refused():
    @dataclass(frozen=True)
    class Sizes(Checked):
        sides: tuple[tuple[int, int], ...] = ((1, 2),)

    assert Sizes.from_dict({"sides": [[3, 4]]}) == Sizes(((3, 4),))
    with pytest.raises(InputError, match="Unknown field: 'side'. Did you mean 'sides'"):
        Sizes.from_dict({"side": 1})


def test_numbers_of_numpy_are_stored_as_those_of_python():
    """A grid of settings is often an array; JSON, and arithmetic with small types, need Python's numbers."""
    recipe = Recipe(epochs=np.int64(2), lr=np.float32(0.5), shuffle=np.bool_(False), augmentation=None)
    assert (
        json.loads(json.dumps(recipe.to_dict())) == Recipe(epochs=2, lr=0.5, shuffle=False, augmentation=None).to_dict()
    )
    config = get_entry("htnet_tiny").model_class.config_class(num_classes=np.int64(5), mean=[np.float32(1)] * 3)
    assert json.loads(json.dumps(config.to_dict()))["mean"] == [1.0, 1.0, 1.0]
    assert type(PreprocessSpec(flow_parameters={"nscales": np.int64(4)}).flow_parameters[0][1]) is int
    with pytest.raises(ModelError, match="num_classes is -1; give"):
        ModelConfig(num_classes=np.int64(-1))
    with pytest.raises(RecipeError, match=r"epochs is 2\.5; give a whole number"):
        Recipe(epochs=np.float64(2.5))


def test_arguments_may_be_numbers_of_numpy():
    """Arguments are often entries of an array, or the result of argmax."""
    data = Manifest(tuple(Sample(str(i), "a", f"s{i % 6}", label=EMOTIONS[i % 3]) for i in range(12)))
    assert k_folds(data, np.int64(3), np.int16(1)) == k_folds(data, 3, 1)
    assert hold_out_subjects(data, range(12), np.float32(0.5), np.int8(1)) == hold_out_subjects(data, range(12), 0.5, 1)
    model, images = htnet.create_model("ststnet").eval(), 255 * torch.rand(1, 3, 28, 28)
    plain = integrated_gradients(model, images[0], target=2, steps=4).values
    for target in (np.int64(2), torch.tensor(2), torch.tensor([2])):
        np.testing.assert_array_equal(
            integrated_gradients(model, images[0], target=target, steps=np.int32(4)).values, plain
        )
    face = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    parameters = [{"iterations": number} for number in (2, np.int64(2))]
    first, second = (compute_flow(face, face[::-1].copy(), "farneback", given).uv for given in parameters)
    np.testing.assert_array_equal(first, second)
    check_several(np.int64(2))


@pytest.mark.parametrize("number", [np.float32(25), np.int64(25), Fraction(25)])
def test_rates_may_be_any_real_number(number, tmp_path):
    """A rate is written to JSON with the result."""
    numbered_video(tmp_path / "clip.avi", 6)
    video = open_video(tmp_path / "clip.avi", fps=number, to_frame=np.int64(3))
    assert (type(video.fps), type(video.to_frame)) == (float, int)
    assert type(Recording("r", (), fps=number, frames=np.int32(10)).fps) is float


@pytest.mark.parametrize("seed", [1.0, "1", None, True])
def test_a_seed_of_folds_is_a_whole_number(seed):
    data = Manifest(tuple(Sample(str(i), "a", f"s{i % 6}", label=EMOTIONS[i % 3]) for i in range(12)))
    with pytest.raises(InputError, match="seed is .*; give a whole number"):
        k_folds(data, 3, seed)
    with pytest.raises(InputError, match="seed is .*; give a whole number"):
        hold_out_subjects(data, range(12), 0.5, seed)


@pytest.mark.parametrize("half", [Fraction(1, 2), np.longdouble(0.5), np.float32(0.5)])
def test_fractions_are_stored_as_floats(half):
    """JSON and NumPy have no fractions, and ``item()`` of a long double is a long double."""
    assert json.dumps(Recipe(lr=half).to_dict()) == json.dumps(Recipe(lr=0.5).to_dict())
    assert real().check("it", half) == 0.5
    assert type(real().check("it", half)) is float
    assert PreprocessSpec(flow_parameters={"lambda_": half}) == PreprocessSpec(flow_parameters={"lambda_": 0.5})
    uv = np.random.default_rng(0).normal(size=(2, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(color_wheel(uv, half), color_wheel(uv, 0.5))
    assert checked_temperature(half, "The model") == 0.5
    for wrong in (Fraction(-1, 2), Fraction(10**400), 10**400, np.longdouble("nan"), np.longdouble("inf")):
        with pytest.raises(RecipeError, match="lr is "):
            Recipe(lr=wrong)
        with pytest.raises(InputError, match="max_px is "):
            color_wheel(uv, wrong)
        with pytest.raises(WeightsError, match="has the temperature "):
            checked_temperature(wrong, "The model")


@pytest.mark.parametrize("two", [2.0, np.float32(2), np.int8(2)])
def test_whole_flow_parameters_may_be_floats(two):
    """JSON may give 2.0 for 2."""
    assert TVL1Parameters(warps=two) == TVL1Parameters(warps=2)
    assert type(TVL1Parameters(warps=two).warps) is int
