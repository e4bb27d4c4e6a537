import csv
import dataclasses
import sys

import pytest
import torch

from htnet import cli
from htnet.core.errors import MissingExtraError, OverwriteError
from htnet.training import Checkpoint, Recipe, TensorBoard, Training, train_model, train_vmapped
from htnet.training.curves import LearningCurves, write_tensorboard
from tests.support.boards import scalars_of
from tests.support.flows import write_flow_set
from tests.training.test_vmapped import random_set

QUICK = Recipe(epochs=4, batch_size=8)


class StopError(Exception):
    pass


def test_losses_are_means_over_the_steps():
    curves = LearningCurves([[], []])
    curves.add(torch.tensor([3.0, 6.0]), 3, 0.1)
    curves.add(torch.tensor([1.0, 2.0]), 4, 0.2)
    assert curves.read() == curves.read() == [[(1.0, 0.1), (0.25, 0.2)], [(2.0, 0.1), (0.5, 0.2)]]


@pytest.mark.slow
def test_vmapped_trainings_have_the_curves_that_each_has_alone():
    """Of 20 and 18 samples, the last batch of one is filled up with samples that count nothing."""
    given, curves, alone = [(random_set(20), 1), (random_set(18), 2)], [[], []], [[], []]
    train_vmapped(
        "htnet_tiny", [Training(d, s, on_curve=c.extend) for (d, s), c in zip(given, curves, strict=True)], QUICK
    )
    for (data, seed), curve in zip(given, alone, strict=True):
        train_model("htnet_tiny", data, QUICK, seed=seed, callbacks=[lambda r, m, c=curve: c.append((r.loss, r.lr))])
    assert abs(curves[0][0][0] - curves[1][0][0]) > 0.01, "two trainings, two curves"
    for one, other in zip(curves, alone, strict=True):
        assert len(one) == 4
        for point, expected in zip(one, other, strict=True):
            assert point == pytest.approx(expected, rel=2e-3)


def test_a_resumed_training_has_one_file_with_every_epoch_once(tmp_path):
    data, told = random_set(20), []

    def stop(report, model):
        told.append((report.loss, report.lr))
        if report.epoch == 3:
            raise StopError

    state = Checkpoint(tmp_path / "state.pt", every=0)
    with pytest.raises(StopError):
        train_model("htnet_tiny", data, QUICK, checkpoint=state, callbacks=[TensorBoard(tmp_path / "b"), stop])
    assert len(scalars_of(tmp_path / "b")["loss"]) == 3, "written while it runs"
    with pytest.raises(OverwriteError, match=r"tfevents.* already exists.*overwrite=True"):
        TensorBoard(tmp_path / "b")
    rest = []
    board = TensorBoard(tmp_path / "b", overwrite=True)
    train_model(
        "htnet_tiny", data, QUICK, checkpoint=state, callbacks=[board, lambda report, model: rest.append(report.curve)]
    )
    found, curve = scalars_of(tmp_path / "b"), rest[-1]
    assert set(found) == {"loss", "lr"}
    for k, name in enumerate(("loss", "lr")):
        assert [step for step, _ in found[name]] == [1, 2, 3, 4]
        assert [value for _, value in found[name]] == pytest.approx([point[k] for point in curve], rel=1e-6)
    assert [point[0] for point in curve[:3]] == [loss for loss, _ in told]


def test_numbers_that_are_not_there_are_left_out(tmp_path):
    write_tensorboard(tmp_path, [{"loss": 2.0, "held_out_uf1": None}, {"loss": None, "held_out_uf1": 0.5}])
    assert scalars_of(tmp_path) == {"loss": [(1, 2.0)], "held_out_uf1": [(2, 0.5)]}


def test_without_the_package_nothing_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[tensorboard\]'"):
        TensorBoard(tmp_path / "b")
    write_flow_set(tmp_path / "data", subjects=2, per_subject=2)
    data = ["--data", str(tmp_path / "data"), "--model", "htnet_tiny", "--epochs", "1", "--tensorboard"]
    for command in ("train", "loso"):
        assert cli.main([command, *data, "--out", str(tmp_path / command)]) == 2
        assert "htnet[tensorboard]" in capsys.readouterr().err
        assert not (tmp_path / command).exists()


def test_train_writes_both(tmp_path, capsys):
    write_flow_set(tmp_path / "data", subjects=2, per_subject=3)
    words = ["train", "--data", str(tmp_path / "data"), "--model", "htnet_tiny", "--epochs", "2", "--tensorboard"]
    assert cli.main([*words, "--out", str(tmp_path / "w")]) == 0
    with (tmp_path / "w" / "training.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = scalars_of(tmp_path / "w" / "tensorboard")
    for name in ("loss", "lr"):
        assert [value for _, value in found[name]] == pytest.approx([float(row[name]) for row in rows], rel=1e-6)
    assert cli.main([*words, "--out", str(tmp_path / "w"), "--overwrite"]) == 0
    assert len(scalars_of(tmp_path / "w" / "tensorboard")["loss"]) == 2, "of the new training alone"


def test_a_state_without_curves_is_resumed(tmp_path):
    """As one that was written before there were curves of each training."""
    data = random_set(20)

    def stop(report, model):
        if report.epoch == 3:
            raise StopError

    state = Checkpoint(tmp_path / "state.pt", every=0)
    with pytest.raises(StopError):
        train_model("htnet_tiny", data, QUICK, checkpoint=state, callbacks=[stop])
    kept = torch.load(state.path, weights_only=True)
    del kept["curves"]
    torch.save(kept, state.path)
    curves = []
    train_model(
        "htnet_tiny", data, QUICK, checkpoint=state, callbacks=[lambda report, model: curves.append(report.curve)]
    )
    assert len(curves[-1]) == 4
    assert all(loss != loss for loss, _ in curves[-1][:2])
    assert curves[-1][-1][0] > 0


@pytest.mark.slow
def test_recipes_of_one_step_keep_each_epochs_loss():
    recipe = dataclasses.replace(QUICK, batch_size=64)
    curve = []
    train_model("htnet_tiny", random_set(20), recipe, callbacks=[lambda report, model: curve.append(report.curve)])
    assert [len(c) for c in curve] == [1, 2, 3, 4]
    assert [c[0] for c in curve] == [curve[-1][0]] * 4
