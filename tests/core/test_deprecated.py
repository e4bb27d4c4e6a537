"""Old names keep working for one release, with a warning that names the new one."""

import argparse
import importlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

import htnet
from htnet import Predictor
from htnet.cli import build_parser
from htnet.core import deprecated
from htnet.core.errors import HtnetError, WeightsError
from htnet.evaluation import LosoResult, loso
from htnet.palsy import train_palsy
from htnet.preprocess.__main__ import build_parser as preprocess_parser
from htnet.training import FlowSet, Recipe, job_of, train_on_generated, train_weights
from tests.support.flows import write_flow_set


@pytest.mark.parametrize(("old", "new"), sorted(deprecated.MODULES.items()))
def test_modules_are_found_under_their_old_paths(old, new, monkeypatch):
    module = importlib.import_module(new)
    monkeypatch.delitem(sys.modules, old, raising=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert importlib.import_module(old) is module
    assert any(w.category is DeprecationWarning and f"use {new}." in str(w.message) for w in caught)
    assert module.__name__ == module.__spec__.name == new


@pytest.mark.parametrize(("old", "new"), sorted(deprecated.NAMES.items()))
def test_names_are_found_in_their_old_place(old, new):
    where, _, name = old.rpartition(".")
    there, _, today = new.rpartition(".")
    with pytest.warns(DeprecationWarning, match=new):
        assert getattr(importlib.import_module(where), name) is getattr(importlib.import_module(there), today)


def test_an_old_import_statement_warns_where_it_stands():
    code = "import warnings; warnings.simplefilter('error', DeprecationWarning)\nfrom htnet.jobs import cores"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "DeprecationWarning: htnet.jobs is deprecated" in done.stderr


def test_renamed_arguments():
    @deprecated.renamed_arguments(average="ema_decay")
    def train(ema_decay=0.0):
        return ema_decay

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
    ("command", "old", "new"), [(c, old, new) for c, names in deprecated.OPTIONS.items() for old, new in names.items()]
)
def test_old_options_work_with_a_note(command, old, new, capsys):
    module = command if command.startswith("python") else None
    words = [] if module else command.split()
    assert deprecated.renamed_options([*words, old, "a"], module) == [*words, new, "a"]
    said = command if module else f"htnet {command}"
    assert f"{said}: {old} is deprecated and goes in the next release: use {new}." in capsys.readouterr().err
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


@pytest.mark.parametrize("kind", [FlowSet, LosoResult, Predictor])
def test_attributes_are_reached_by_their_old_names(kind):
    for old, new in deprecated.ATTRIBUTES[kind.__name__].items():
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
        "loso: --leave dataset is deprecated and goes in the next release: use htnet lodo." in capsys.readouterr().err
    )


def test_leaving_out_data_sets_is_a_function_today(tmp_path):
    with (
        pytest.warns(DeprecationWarning, match=r"htnet\.evaluation\.lodo"),
        pytest.raises(HtnetError, match="data set"),
    ):
        loso(write_flow_set(tmp_path / "data", subjects=2), out=tmp_path / "run", leave="dataset")
    with pytest.raises(TypeError, match="leave is 'people'"):
        loso(tmp_path / "data", out=tmp_path / "run", leave="people")


@pytest.mark.parametrize("function", [train_weights, train_on_generated, train_palsy])
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
