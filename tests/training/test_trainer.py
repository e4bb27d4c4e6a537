import dataclasses
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import pytest
import torch

from htnet.core.errors import InputError, RecipeError, RunError
from htnet.core.rng import global_rng
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest
from htnet.evaluation import loso
from htnet.hub import load_pretrained
from htnet.models import create_model
from htnet.preprocess import template_points
from htnet.training import (
    Augmentation,
    Checkpoint,
    FlowSet,
    Recipe,
    TrainingJob,
    load_flow_set,
    predict_set,
    train_model,
    train_weights,
)
from htnet.training.rng import RngState
from tests.support.flows import write_flow_set

QUICK = Recipe(epochs=4, batch_size=8)


@pytest.fixture
def data(tmp_path):
    return load_flow_set(write_flow_set(tmp_path / "set", 5, 4), PreprocessSpec())


def random_set(samples=20):
    spec = PreprocessSpec()
    points = template_points(spec)[None].repeat(samples, 1, 1)
    images = torch.randint(0, 256, (samples, 3, 28, 28), dtype=torch.uint8)
    return FlowSet(images, points, torch.randint(0, 3, (samples,)), spec, ("template",) * samples)


def same_state(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_learns_what_can_be_learned(tmp_path):
    train = load_flow_set(write_flow_set(tmp_path / "train", 20, 5, seed=1), PreprocessSpec())
    fresh = load_flow_set(write_flow_set(tmp_path / "fresh", 20, 5, seed=2), PreprocessSpec())
    model, _ = train_model("htnet_tiny", train, Recipe(epochs=12, batch_size=16, lr=2e-3))
    right = predict_set(model, fresh).argmax(1) == fresh.labels
    assert right.float().mean() > 0.9


@pytest.mark.parametrize("name", ["htnet_tiny", "ststnet", "flow_mlp"])
def test_seed_decides_everything(data, name):
    first, _ = train_model(name, data, QUICK, seed=3)
    torch.rand(17)  # what ran before does not matter
    again, _ = train_model(name, data, QUICK, seed=3)
    other, _ = train_model(name, data, QUICK, seed=4)
    assert same_state(first, again)
    assert not same_state(first, other)


@pytest.mark.parametrize("name", ["htnet_tiny", "ststnet", "htnet_dual_stream", "mhssa_gcn_small"])
def test_bfloat16_takes_nearly_the_same_way(data, name):
    recipe = Recipe(epochs=1, batch_size=10, lr=1e-4, schedule="constant", ema_decay=0.0)
    settings = {"dropout": 0.0}
    start, exact, rounded = (
        train_model(name, data, dataclasses.replace(recipe, **changes), settings=settings)[0].state_dict()
        for changes in ({"lr": 1e-12}, {}, {"precision": "bfloat16"})
    )
    assert all(value.dtype == exact[key].dtype for key, value in rounded.items())
    moved = {key: (exact[key] - start[key]).flatten() for key in exact if exact[key].is_floating_point()}
    also = {key: (rounded[key] - start[key]).flatten() for key in moved}
    one, other = torch.cat(list(moved.values())), torch.cat(list(also.values()))
    assert not torch.equal(one, other)
    # Adam's first steps are as long for every weight; where a gradient is near 0, rounding turns its sign.
    assert torch.cosine_similarity(one, other, dim=0) > 0.9


def test_global_generator_is_left_alone(data):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_model("htnet_tiny", data, QUICK)
    assert torch.equal(torch.rand(1), expected)


def in_threads(*tasks):
    """Results of tasks that run in threads of their own and begin together."""
    gate = Barrier(len(tasks))

    def run(task):
        gate.wait(60)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [found.result(120) for found in [pool.submit(run, task) for task in tasks]]


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3}], ids=["plain", "dropout"])
def test_trainings_in_threads_draw_as_if_alone(data, settings):
    def train(seed):
        return train_model("htnet_tiny", data, QUICK, seed=seed, settings=settings)[0]

    alone = [train(seed) for seed in range(3)]
    for _ in range(2):
        together = in_threads(*(partial(train, seed) for seed in range(3)))
        assert all(map(same_state, together, alone))


def test_weights_that_are_loaded_meanwhile_do_not_change_a_training(data):
    alone, ended = train_model("flow_mlp", data, QUICK)[0], Event()

    def train():
        try:
            return train_model("flow_mlp", data, QUICK)[0]
        finally:
            ended.set()

    def load():
        count = 0
        while not ended.is_set():
            load_pretrained("synthetic")
            count += 1
        return count

    trained, loads = in_threads(train, load)
    assert loads
    assert same_state(trained, alone)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_does_not_wait_for_a_training_of_its_parent():
    with ThreadPoolExecutor(1) as pool:
        inside, leave = Event(), Event()

        def hold():
            with RngState(0, torch.device("cpu")).active():
                inside.set()
                leave.wait(60)

        held = pool.submit(hold)
        inside.wait(60)
        child = os.fork()
        if child == 0:
            with global_rng():
                os._exit(0)
        deadline = time.monotonic() + 60
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        if ended[0] == 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        leave.set()
        held.result(60)
    assert ended == (child, 0)


def test_callbacks_are_told_the_loss(data):
    """With one step an epoch and almost no learning, the loss is the cross-entropy of the fresh model."""
    recipe = Recipe(epochs=2, batch_size=64, lr=1e-12, schedule="constant", ema_decay=0.0, augmentation=None)
    reports = []
    model, _ = train_model(
        "htnet_tiny", data, recipe, settings={"dropout": 0.0}, callbacks=[lambda report, model: reports.append(report)]
    )
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(model(data.inputs().float()), data.labels)
    assert [(report.epoch, report.epochs, len(report.curve)) for report in reports] == [(1, 2, 1), (2, 2, 2)]
    assert [report.loss for report in reports] == pytest.approx([float(expected)] * 2, abs=1e-5)
    assert reports[-1].lr == pytest.approx(1e-12)


def test_callbacks_change_nothing_and_the_curve_goes_on_where_it_was(tmp_path, data):
    curves = []

    def keep(report, model):
        curves.append(report.curve)

    def stop(report, model):
        if report.epoch == 3:
            raise StopError

    watched, _ = train_model("htnet_tiny", data, QUICK, callbacks=[keep])
    assert same_state(watched, train_model("htnet_tiny", data, QUICK)[0])
    checkpoint = Checkpoint(tmp_path / "state.pt", every=0.0)
    with pytest.raises(StopError):
        train_model("htnet_tiny", data, QUICK, callbacks=[stop], checkpoint=checkpoint)
    again, _ = train_model("htnet_tiny", data, QUICK, callbacks=[keep], checkpoint=checkpoint)
    assert same_state(watched, again)
    assert curves[-1] == curves[3], "also of the epochs before"
    assert len(curves) == 4 + 2


class StopError(Exception):
    pass


@pytest.mark.parametrize("name", ["htnet_tiny", "ststnet", "flow_mlp"])
@pytest.mark.parametrize("schedule", ["onecycle", "constant"])
def test_resumed_training_is_the_undisturbed_one(tmp_path, data, name, schedule):
    recipe = Recipe(epochs=5, batch_size=8, schedule=schedule)
    seen = []

    def record(epoch, model):
        seen.append(epoch)
        return predict_set(model, data).tolist()

    expected, records = train_model(name, data, recipe, seed=1, on_epoch=record)
    seen.clear()
    checkpoint = Checkpoint(tmp_path / "state.pt", every=0.0)
    for stop in (2, 4):

        def stopping(epoch, model, stop=stop):
            if epoch == stop:
                raise StopError
            return record(epoch, model)

        with pytest.raises(StopError):
            train_model(name, data, recipe, seed=1, on_epoch=stopping, checkpoint=checkpoint)
        assert checkpoint.path.is_file()
    model, again = train_model(name, data, recipe, seed=1, on_epoch=record, checkpoint=checkpoint)
    assert seen == [1, 2, 3, 4, 5]  # nothing ran twice
    assert same_state(model, expected)
    assert again == records
    assert not checkpoint.path.exists()


def test_a_checkpoint_of_another_training_is_refused(tmp_path, data):
    checkpoint = Checkpoint(tmp_path / "state.pt", every=0.0)

    def stop(epoch, model):
        raise StopError

    def two(epoch, model):
        if epoch == 2:
            raise StopError

    with pytest.raises(StopError):
        train_model("htnet_tiny", data, QUICK, on_epoch=two, checkpoint=checkpoint)
    for changed in ({"seed": 1}, {"recipe": Recipe(epochs=5, batch_size=8)}, {"data": data.subset(range(9))}):
        options = {"data": data, "recipe": QUICK, "seed": 0} | changed
        with pytest.raises(RunError, match=r"state\.pt contains an unfinished training"):
            train_model("htnet_tiny", checkpoint=checkpoint, on_epoch=stop, **options)


def test_a_checkpoint_of_an_earlier_version_is_refused(tmp_path, data):
    path = tmp_path / "state.pt"
    torch.save({"what": "[]", "epoch": 1, "records": [], "model": {}, "averaged": {}}, path)
    with pytest.raises(RunError, match=r"state\.pt .* another version of htnet.* Delete it"):
        train_model("htnet_tiny", data, QUICK, checkpoint=Checkpoint(path))


def test_ema_weights_are_the_moving_average(data):
    """One step an epoch: the averages follow from the plain weights after each epoch."""
    plain = Recipe(epochs=5, batch_size=len(data), ema_decay=0.0)
    steps = []
    train_model("ststnet", data, plain, on_epoch=lambda e, m: steps.append({k: v.clone() for k, v in state(m)}))
    start = {k: v.clone() for k, v in state(initial("ststnet", data))}
    for t, weights in enumerate(steps):
        decay = min(0.3, (1 + t) / (10 + t))
        start = {k: decay * v + (1 - decay) * weights[k] for k, v in start.items()}
    model, _ = train_model("ststnet", data, dataclasses.replace(plain, ema_decay=0.3))
    for key, value in state(model):
        torch.testing.assert_close(value, start[key])


def state(model):
    return [(k, v) for k, v in model.state_dict().items() if v.is_floating_point()]


def initial(name, data):
    """The fresh model that `train_model` starts from at seed 0."""
    mean, std = (tuple(x.tolist()) for x in data.statistics())
    torch.manual_seed(0)
    return create_model(name, mean=mean, std=std)


def test_standardisation_uses_the_training_set_only():
    data = random_set()
    model, _ = train_model("htnet_tiny", data, Recipe(epochs=1))
    inputs = data.inputs().double().numpy()
    for channel in range(3):
        assert model.config.mean[channel] == pytest.approx(inputs[:, channel].mean(), rel=1e-5)
        assert model.config.std[channel] == pytest.approx(inputs[:, channel].std(), rel=1e-3)
    plain, _ = train_model("htnet_tiny", data, Recipe(epochs=1, standardize=False))
    assert plain.config.mean == (0, 0, 0)


def test_prediction_does_not_depend_on_the_batch():
    data = random_set(11)
    model, _ = train_model("htnet_tiny", data, Recipe(epochs=1))
    torch.testing.assert_close(predict_set(model, data, batch_size=4), predict_set(model, data))
    torch.testing.assert_close(predict_set(model, data.subset([7]))[0], predict_set(model, data)[7])
    assert not model.training


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told(data):
    """PyTorch's writer tells a RuntimeError of its own."""
    with pytest.raises(InputError, match="/dev/full cannot be written .no space left on device.* Free some space"):
        train_model("htnet_tiny", data, QUICK, checkpoint=Checkpoint(Path("/dev/full"), every=0.0))


def test_settings_of_a_job_are_checked_before_pytorch_reads_them(tmp_path):
    for seed in (-1, 1.5, "a", True, 2**64):
        with pytest.raises(InputError, match=r"^seed is .*; give a whole number from 0 to 2\^64 - 1"):
            TrainingJob("htnet_tiny", QUICK, seed=seed)
    assert type(TrainingJob("htnet_tiny", QUICK, seed=np.int64(3)).seed) is int
    with pytest.raises(RecipeError, match=r"^recipe is of type str, not Recipe; give htnet\.training\.get_recipe"):
        TrainingJob("htnet_tiny", "default")
    with pytest.raises(InputError, match="^The device 'gpu' cannot be used here"):
        train_model("htnet_tiny", random_set(8), QUICK, device="gpu")
    with pytest.raises(InputError, match="^The device 'gpu' cannot be used here"):
        loso(write_flow_set(tmp_path / "set", 2, 2), "htnet_tiny", QUICK, out=tmp_path / "run", device="gpu")
    assert not (tmp_path / "run").exists()


def test_settings_that_would_have_no_effect_or_leave_no_face_are_refused():
    data = random_set(8)
    with pytest.raises(InputError, match=r"settings has mean, but the recipe 'default' computes mean and std"):
        train_model("htnet_tiny", data, QUICK, settings={"mean": (1.0, 2.0, 3.0)})
    plain = dataclasses.replace(QUICK, epochs=1, standardize=False, augmentation=Augmentation(shift=13))
    model, _ = train_model("htnet_tiny", data, plain, settings={"mean": (1.0, 2.0, 3.0)})
    assert model.config.mean == (1.0, 2.0, 3.0)
    with pytest.raises(RecipeError, match="shifts faces by up to 14 px, but the images have 28 px"):
        train_model("htnet_tiny", data, dataclasses.replace(plain, augmentation=Augmentation(shift=14)))


def test_data_of_one_class_are_refused(tmp_path):
    samples = [dataclasses.replace(one, label="positive") for one in write_flow_set(tmp_path / "set", 2, 2)]
    manifest = Manifest(tuple(samples), ("positive",))
    for train in (
        lambda: train_weights(manifest, load_flow_set(manifest, PreprocessSpec()), tmp_path / "w", TrainingJob()),
        lambda: loso(manifest, "htnet_tiny", QUICK, out=tmp_path / "run", progress=False),
    ):
        with pytest.raises(InputError, match=r"have one class \(positive\).*Add samples of another class"):
            train()
    assert not (tmp_path / "w").exists()
