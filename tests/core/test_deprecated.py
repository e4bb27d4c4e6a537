"""Old names keep working for one release, with a warning that names the new one."""

import argparse
import dataclasses
import importlib
import inspect
import operator
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

import htnet
from htnet import Predictor
from htnet.cli import build_parser
from htnet.core import deprecated
from htnet.core.errors import HtnetError, InputError, RecipeError, WeightsError
from htnet.core.facs import UnitPrediction
from htnet.core.provenance import AS_THE_CODE, GENERATED, RESEARCH_ONLY
from htnet.core.types import Frame, PreprocessSpec
from htnet.evaluation import LosoResult, loso
from htnet.hub import PretrainedSpec, save_pretrained
from htnet.models import EmotionModel
from htnet.preprocess import PrecomputedLandmarks, open_video
from htnet.preprocess.__main__ import build_parser as preprocess_parser
from htnet.training import FlowSet, Recipe, check_wise_ft, job_of, train_on_generated, train_weights
from tests.support.flows import write_flow_set
from tests.support.pairs import save, tiny_model
from tests.support.wings import names_a_missing_wing, with_wings


def of_installed(renamed):
    """Old and new places, but for those in a wing that has left."""
    return sorted(pair for pair in renamed.items() if not names_a_missing_wing(pair[1]))


@pytest.mark.parametrize(("old", "new"), of_installed(deprecated.MODULES))
def test_modules_are_found_under_their_old_paths(old, new, monkeypatch):
    module = importlib.import_module(new)
    monkeypatch.delitem(sys.modules, old, raising=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert importlib.import_module(old) is module
    assert any(w.category is DeprecationWarning and f"use {new}." in str(w.message) for w in caught)
    assert module.__name__ == module.__spec__.name == new


@pytest.mark.parametrize(("old", "new"), of_installed(deprecated.NAMES))
def test_names_are_found_in_their_old_place(old, new):
    where, _, name = old.rpartition(".")
    there, *path = re.split(r"\.(?=[A-Z])|\.(?=[^.]*$)", new.removesuffix("()"))
    today = operator.attrgetter(".".join(path))(importlib.import_module(there))
    with pytest.warns(
        DeprecationWarning, match=re.escape(f"{old} is deprecated and will be removed in the next release: use {new}")
    ):
        assert getattr(importlib.import_module(where), name) is (today() if new.endswith("()") else today)


@pytest.mark.parametrize("statement", ["from htnet.models import HTNetPalsy", "import htnet.models as m\nm.HTNetPalsy"])
def test_an_old_name_warns_once_where_it_is_used(statement):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(statement, "script.py", "exec"), {"__name__": "script"})
    assert [(w.category, w.filename) for w in caught] == [(DeprecationWarning, "script.py")]


def test_an_old_import_statement_warns_where_it_stands():
    code = "import warnings; warnings.simplefilter('error', DeprecationWarning)\nfrom htnet.jobs import cores"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "DeprecationWarning: htnet.jobs is deprecated" in done.stderr


def test_renamed_arguments(monkeypatch):
    def train(ema_decay=0.0):
        return ema_decay

    name = f"{__name__}.{train.__qualname__}"
    monkeypatch.setattr(deprecated, "ARGUMENTS", {name: {"average": "ema_decay"}})
    train = deprecated.renamed_arguments(train)

    with pytest.warns(DeprecationWarning, match="ema_decay"):
        assert train(average=0.5) == 0.5
    assert train(ema_decay=0.25) == 0.25
    with pytest.raises(TypeError, match="both"):
        train(average=0.5, ema_decay=0.5)


def leaves(parser, words):
    """The parsers of all commands that begin with these words."""
    groups = [a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for choices in groups:
        for name in words[:1] or choices:
            yield from leaves(choices[name], words[1:])


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        (command, old, new)
        for command, names in deprecated.OPTIONS.items()
        for old, new in names.items()
        if not names_a_missing_wing(command)
    ],
)
def test_old_options_work_with_a_note(command, old, new, capsys):
    module = command if command.startswith("python") else None
    words = [] if module else command.split()
    assert deprecated.renamed_options([*words, old, "a"], module) == [*words, new, "a"]
    said = command if module else f"htnet {command}"
    use = f"{new} N-1" if old == "--stop" else new
    assert f"{said}: {old} is deprecated and will be removed in the next release: use {use}." in capsys.readouterr().err
    assert deprecated.renamed_options([*words, f"{old}=a", f"{old}-b"], module) == [*words, f"{new}=a", f"{old}-b"]
    assert deprecated.renamed_options(["another", old]) == ["another", old]
    parsers = [preprocess_parser()] if module else list(leaves(build_parser(), words))
    assert parsers
    for parser in parsers:
        assert new in parser._option_string_actions
        assert old not in parser._option_string_actions


def test_renamed_fields_of_recipes():
    for options, field, value in (({"average": 0.5}, "ema_decay", 0.5), ({"start_share": 0.25}, "wise_ft_alpha", 0.75)):
        ((old, given),) = options.items()
        with pytest.warns(DeprecationWarning, match=field):
            recipe = Recipe(**options)
        assert getattr(recipe, field) == value
        with pytest.warns(DeprecationWarning, match=field):
            assert getattr(recipe, old) == given
        with pytest.raises(TypeError, match="both"):
            Recipe(**options, **{field: value})


def test_recipes_that_were_saved_before_are_read_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe = Recipe.from_dict({"name": "old", "average": 0.9, "start_share": 0.3})
    assert recipe == Recipe(name="old", ema_decay=0.9, wise_ft_alpha=0.7)
    assert Recipe.from_dict(recipe.to_dict()) == recipe


KINDS = {kind.__name__: kind for kind in (EmotionModel, FlowSet, LosoResult, Predictor, PretrainedSpec, UnitPrediction)}


@pytest.mark.parametrize("name", sorted(deprecated.ATTRIBUTES))
def test_attributes_are_reached_by_their_old_names(name):
    kind = KINDS[name]
    for old, new in deprecated.ATTRIBUTES[name].items():
        thing = object.__new__(type("Filled", (kind,), {new: "what it is"}))
        with pytest.warns(DeprecationWarning, match=f"{old} is deprecated .* use {kind.__name__}.{new}"):
            assert getattr(thing, old) == "what it is"


@pytest.mark.parametrize("call", [htnet.predict, htnet.predict_video, Predictor])
def test_weights_may_still_be_called_model(call):
    more = () if call is Predictor else ("a.png", "b.png")[: 1 if call is htnet.predict_video else 2]
    with (
        pytest.warns(DeprecationWarning, match=r"model=\.\.\.\) is deprecated .* use weights="),
        pytest.raises(WeightsError),
    ):
        call(*more, model="no-such-weights")


@pytest.mark.parametrize("words", [["--leave", "dataset", "--data", "x"], ["--data", "x", "--leave=dataset"]])
def test_leaving_out_data_sets_is_a_command_today(words, capsys):
    assert deprecated.renamed_options(["loso", *words]) == ["lodo", "--data", "x"]
    assert (
        "loso: --leave dataset is deprecated and will be removed in the next release: use htnet lodo."
        in capsys.readouterr().err
    )


#: Functions that take a job, and for now what it says as well.
TRAINERS = with_wings("deprecated", "TRAINERS", [train_weights, train_on_generated])


def test_leaving_out_data_sets_is_a_function_today(tmp_path):
    with (
        pytest.warns(DeprecationWarning, match=r"htnet\.evaluation\.lodo"),
        pytest.raises(HtnetError, match="data set"),
    ):
        loso(write_flow_set(tmp_path / "data", subjects=2), out=tmp_path / "run", leave="dataset")
    with pytest.raises(TypeError, match="leave is 'people'"):
        loso(tmp_path / "data", out=tmp_path / "run", leave="people")


@pytest.mark.parametrize("function", TRAINERS)
def test_what_a_job_says_may_stand_alone(function):
    given = {"recipe": "focal", "seed": 7}
    taken = {}

    @deprecated.gathered_arguments("job", job_of, "recipe", "seed")
    def train(out, job=None):
        taken[out] = job

    with pytest.warns(DeprecationWarning, match=r"train\(recipe=\.\.\., seed=\.\.\.\).*job=TrainingJob"):
        train("a", **given)
    assert (taken["a"].recipe.name, taken["a"].seed) == ("focal", 7)
    with pytest.raises(TypeError, match="both"):
        train("a", job=taken["a"], **given)
    with (
        pytest.warns(DeprecationWarning, match=rf"{function.__name__}\(model="),
        pytest.raises((HtnetError, TypeError)),
    ):
        function(model="no_such_model", out="nowhere")


def test_gray_frames_may_still_be_given_by_their_old_name():
    face = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with pytest.warns(DeprecationWarning, match="gray"):
        assert np.array_equal(htnet.preprocess.clahe(grey=face), htnet.preprocess.clahe(face))


def test_fields_are_given_by_their_old_names():
    with pytest.warns(DeprecationWarning, match=r"PretrainedSpec\(licence=\.\.\.\) is deprecated"):
        spec = PretrainedSpec("a", "b", "c", "d", "e", licence="MIT")
    assert spec.license == "MIT"
    assert dataclasses.replace(spec, license="Apache-2.0").license == "Apache-2.0"
    assert str(inspect.signature(PretrainedSpec)).startswith("(name: 'str', model: 'str'")


@pytest.mark.parametrize(
    ("given", "becomes"),
    [("31", "30"), ("1", "0"), ("0", "-1"), ("x", "x"), (31, 30), (True, True), (2.5, 2.5)],
)
def test_the_frame_before(given, becomes):
    assert deprecated.frame_before(given) == becomes
    assert type(deprecated.frame_before(given)) is type(given)


def test_the_last_frame_by_its_old_option(capsys):
    assert deprecated.renamed_options(["spot", "v.mp4", "--stop", "31", "--json"]) == [
        *("spot", "v.mp4", "--to-frame", "30", "--json")
    ]
    assert deprecated.renamed_options(["predict", "--stop=31", "9"]) == ["predict", "--to-frame=30", "9"]
    assert capsys.readouterr().err.count("use --to-frame N-1.") == 2


def test_the_last_frame_by_its_old_argument(tmp_path, rng):
    for k in range(4):
        save(tmp_path / f"{k}.png", rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    with pytest.warns(DeprecationWarning, match=r"open_video\(stop=\.\.\.\) is deprecated .* use to_frame=N-1\."):
        video = open_video(tmp_path, stop=3)
    assert len(list(video)) == 3
    with pytest.warns(DeprecationWarning, match="stop"), pytest.raises(InputError, match=r"to_frame is -1"):
        open_video(tmp_path, stop=0)


@pytest.mark.parametrize("leave", ["subject", "dataset"])
def test_old_arguments_of_an_evaluation_go_together(tmp_path, leave):
    with (
        pytest.warns(DeprecationWarning, match=r"jobs=.* use workers="),
        pytest.warns(DeprecationWarning, match=r"stack=.* use vmap_folds="),
        pytest.warns(DeprecationWarning, match=r"leave=.* use htnet\.evaluation\.l"),
        pytest.raises(InputError, match=r"vmap_folds is 0"),
    ):
        loso("nowhere", out=tmp_path, leave=leave, jobs=1, stack=0)


def test_old_options_of_an_evaluation_go_together(capsys):
    words = deprecated.renamed_options(["loso", "--leave", "dataset", "--stack", "2", "--jobs=3"])
    assert words == ["lodo", "--vmap-folds", "2", "--workers=3"]
    assert capsys.readouterr().err.count("is deprecated") == 3


def test_whether_training_has_begun():
    recipe = Recipe(wise_ft_alpha=0.5)
    with pytest.warns(DeprecationWarning, match=r"use started="):
        check_wise_ft(recipe, begun=True)
    with pytest.warns(DeprecationWarning, match="begun"), pytest.raises(RecipeError):
        check_wise_ft(recipe, begun=False)


def test_a_mask_by_its_old_value():
    q = torch.randn(1, 1, 9, 4)
    with pytest.warns(DeprecationWarning, match="mask='neighbours' is deprecated .* use mask='neighbors'"):
        old = htnet.kernels.block_attention(q, q, q, mask="neighbours")
    assert torch.equal(old, htnet.kernels.block_attention(q, q, q, mask="neighbors"))


# Objects that were pickled before hold old names; unpickling calls `__setstate__` with them.


def unpickled(kind, state):
    thing = kind.__new__(kind)
    thing.__setstate__(state)
    return thing


def test_recipes_that_were_pickled_before_say_what_they_said():
    state = vars(Recipe())
    state = {name: value for name, value in state.items() if name not in ("ema_decay", "wise_ft_alpha")}
    recipe = unpickled(Recipe, {**state, "average": 0.9, "start_share": 0.3})
    assert recipe == Recipe(ema_decay=0.9, wise_ft_alpha=0.7)
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_sets_that_were_pickled_before_are_whole():
    data = FlowSet(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 2), torch.zeros(2), PreprocessSpec(), ("template",) * 2)
    state = dict(vars(data))
    old = unpickled(FlowSet, {"cut_at": state.pop("regions_at"), **state})
    assert old.subset([1]).regions_at_counts() == {"template": 1}
    assert pickle.loads(pickle.dumps(old)).regions_at == data.regions_at


def test_a_result_that_was_pickled_before_tells_where_regions_were_cut():
    assert LosoResult({"run": {"regions_cut_at": {"template": 3}}}, (), None).regions_at_counts == {"template": 3}


@pytest.mark.parametrize(
    ("texts", "only_generated", "license"),
    [
        ({"trained_on": GENERATED, "licence": AS_THE_CODE}, True, AS_THE_CODE),
        ({"trained_on": "casme2, smic", "licence": RESEARCH_ONLY}, False, RESEARCH_ONLY),
        ({"trained_on": "", "licence": ""}, None, ""),
    ],
)
def test_models_that_were_pickled_before_keep_their_terms(texts, only_generated, license, tmp_path):
    model = tiny_model()
    state = {name: value for name, value in model.__getstate__().items() if name != "provenance"}
    old = unpickled(type(model), {**state, **texts})
    assert (old.trained_on, old.license) == (texts["trained_on"], license)
    assert (old.provenance.only_generated if old.provenance is not None else None) is only_generated
    assert torch.equal(old(torch.ones(1, 3, 28, 28)), model(torch.ones(1, 3, 28, 28)))
    save_pretrained(old, tmp_path / "weights")


def test_points_that_were_pickled_before_are_read_from_their_file(tmp_path):
    (tmp_path / "points.json").write_text("[[1, 1], [9, 1], [5, 5], [2, 8], [8, 8]]")
    points = unpickled(PrecomputedLandmarks, {"path": tmp_path / "points.json", "scale": 2.0, "_peer": None})
    assert points(Frame(np.zeros((32, 32, 3), np.uint8))).points[1].tolist() == [18, 2]
