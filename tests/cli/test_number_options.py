"""Numbers among the options of every command."""

import argparse

import pytest

from htnet.cli import build_parser
from htnet.core.command_line import leaves
from tests.support.flows import write_flow_set

OPTIONS = [
    pytest.param(command, action, id=f"{command.prog} {action.dest}")
    for command in leaves(build_parser())
    for action in command._actions
    if action.type in (int, float)
]


@pytest.mark.parametrize(("command", "action"), OPTIONS)
def test_every_number_that_is_none_is_named_with_the_cure(command, action):
    whole = action.type is int
    for text in ("25,0", "1_0", "", "ten", "1.000,5", *(["25.5", "1e3"] if whole else [])):
        with pytest.raises(argparse.ArgumentError, match="is no (whole )?number; give one") as caught:
            command._get_value(action, text)
        assert repr(text) in str(caught.value)
        if text == "25,0":
            assert str(caught.value).endswith("give one: 25" if whole else "give one, with a decimal point: 25.0")
    assert command._get_value(action, " 25") == 25


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("loso", "--seeds", "0"), "--seeds is 0; give a whole number of 1 or more."),
        (("kfold", "--folds", "0"), "--folds is 0"),
        (("lodo", "--vmap-folds", "-1"), "--vmap-folds is -1"),
        (("holdout", "--protocol", "lost"), "lost"),
    ],
)
def test_impossible_numbers_are_refused_before_the_data_are_read(fail, tmp_path, words, message):
    assert message in fail(*words, "--data", tmp_path / "not there")


def test_no_command_writes_into_the_folder_of_its_manifest(fail, tmp_path):
    write_flow_set(tmp_path / "set")
    for data in (tmp_path / "set", tmp_path / "set" / "manifest.csv"):
        for command in ("loso", "train"):
            assert "which is read" in fail(command, "--data", data, "--out", tmp_path / "set")
    assert "which is read" in fail("prepare", "manifest", "--root", data, "--out", tmp_path / "set")
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["flow", "manifest.csv"]
