"""A training in several processes comes to the weights of one process with the same batches."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from htnet.cli import main
from htnet.core.errors import InputError
from htnet.data import open_data
from htnet.hub import load_pretrained
from htnet.models import get_entry
from htnet.training import (
    Checkpoint,
    Recipe,
    TrainingJob,
    generated_samples,
    joined_ranks,
    load_flow_set,
    run_job,
    spec_for,
    trainer,
)
from tests.support.flows import write_flow_set

#: One of the processes. They meet in a file, and talk on loopback.
PROCESS = """
import json, os, sys
import torch, torch.distributed as dist
from htnet.errors import HtnetError
from htnet.training import Ranks
from tests.training.test_shared import StoppedError, trained

rank, size, folder, cases = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{size}", rank=rank, world_size=size)
for name, case in cases.items():
    try:
        torch.save(trained(folder, ranks=Ranks(rank, size), **case), f"{folder}/{name}-{rank}.pt")
    except StoppedError:
        os._exit(7)
    except HtnetError as error:
        print(type(error).__name__, error, flush=True)
        break
else:
    dist.destroy_process_group()
"""

#: Trainings by plain gradient descent, through which differences of rounding stay small; Adam makes whole steps of
#: gradients that are zero but for rounding.
CASES = {
    "dropout": {"model": "htnet_tiny", "settings": {"dropout": 0.2}},
    "batch norm": {"model": "ststnet"},
    "generated": {"model": "htnet_tiny", "recipe": {"generated": 7}},
    "points": {"model": "mhssa_gcn", "settings": {"dropout": 0.1}, "recipe": {"epochs": 1}},
    "focal": {"model": "flow_mlp", "settings": {"dropout": 0.5}, "recipe": {"loss": "focal", "ema_decay": 0.0}},
    "adam": {"model": "htnet_tiny", "adam": True},
}
#: Largest difference of a weight, and relative one of a loss. Adam moves a weight by 0.0005 a step; two eigenvalues in
#: mhssa_gcn are nearly equal, and a learning rate changed by a millionth makes as much of a difference there.
CLOSE = {"adam": (2e-3, 1e-4), "points": (2e-2, 2e-2)}


class StoppedError(Exception):
    """Ends a training, as a signal would."""


def trained(folder, model, settings=None, recipe=None, adam=False, stop=None, ranks=None):
    """Weights and learning curve of a training on the set in a folder."""
    folder = Path(folder)
    torch.set_num_threads(1)
    data = load_flow_set(open_data(folder / "set"), spec_for(model), extras=get_entry(model).model_class.extra_inputs)
    chosen = Recipe(**{"name": "quick", "epochs": 3, "batch_size": 8, **(recipe or {})})
    more = {"action_units": generated_samples.ACTION_UNITS} if chosen.generated else {}
    job = TrainingJob(model, chosen, seed=3, settings={"num_classes": 3, **more, **(settings or {})})
    curve = []

    def tell(report, model):
        curve[:] = report.curve
        if report.epoch == stop:
            raise StoppedError

    def descend(parameters, recipe, steps):
        return torch.optim.SGD(parameters, lr=0.02), None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generated_samples, "POOL", 50)
        generated_samples._pool.cache_clear()
        if not adam:
            patch.setattr(trainer, "make_optimizer", descend)
        found, _ = run_job(job, data, None, Checkpoint(folder / f"{model}.kept", 0), (tell,), ranks=ranks)
    generated_samples._pool.cache_clear()
    return found.state_dict(), curve


def together(python, folder, size, cases, status=0):
    """What processes print that share the trainings; each leaves its weights."""
    env = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    words = [size, folder, json.dumps(cases)]
    (folder / f"meet-{size}").unlink(missing_ok=True)
    running = [python.start(PROCESS, rank, *words, env=env) for rank in range(size)]
    ended = [one.end() for one in running]
    assert [one.returncode for one in ended] == [status, *[0] * (size - 1)], "\n".join(one.stderr for one in ended)
    return [one.stdout for one in ended]


def apart(one, other):
    """Largest difference of two sets of weights."""
    return max(float((one[key].double() - other[key].double()).abs().max()) for key in other)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "names"), [(2, list(CASES)), (3, ["batch norm", "generated"])])
def test_several_processes_come_to_the_weights_of_one(tmp_path, warm_python, size, names):
    write_flow_set(tmp_path / "set", 5, 4)  # 20 samples: batches of 8, 8 and 4
    assert together(warm_python, tmp_path, size, {name: CASES[name] for name in names}) == [""] * size
    for name in names:
        alone, curve = trained(tmp_path, **CASES[name])
        (weights, told), *others = (torch.load(tmp_path / f"{name}-{rank}.pt") for rank in range(size))
        weight, loss = CLOSE.get(name, (1e-5, 1e-4))
        print(name, size, apart(weights, alone), max(abs(a[0] / b[0] - 1) for a, b in zip(told, curve, strict=True)))
        assert apart(weights, alone) < weight
        assert [point[0] for point in told] == pytest.approx([point[0] for point in curve], rel=loss)
        assert all(apart(found, weights) == 0 for found, _ in others)


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on(tmp_path, warm_python):
    write_flow_set(tmp_path / "set", 5, 4)
    case = CASES["batch norm"]
    first, other = together(warm_python, tmp_path, 2, {"a": {**case, "stop": 2}}, status=7)
    assert first == ""
    assert other.startswith("RunError Another process of this training has ended")
    assert (tmp_path / "ststnet.kept").is_file()
    assert together(warm_python, tmp_path, 2, {"a": case}) == ["", ""]
    weights, curve = torch.load(tmp_path / "a-0.pt")
    assert len(curve) == 3
    assert not (tmp_path / "ststnet.kept").exists()
    assert apart(weights, trained(tmp_path, **case)[0]) < 1e-5


@pytest.mark.slow
def test_what_several_processes_cannot_do_is_refused(tmp_path, warm_python):
    write_flow_set(tmp_path / "set", 3, 3)
    said = together(warm_python, tmp_path, 2, {"a": {**CASES["dropout"], "recipe": {"batch_size": 1}}})
    assert all(text.startswith("InputError A batch of this training has 1 sample(s)") for text in said)


LAUNCHERS = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


@pytest.mark.parametrize("variable", LAUNCHERS)
def test_other_commands_are_refused(monkeypatch, tmp_path, fail, variable):
    monkeypatch.setenv(variable, "2")
    said = fail("loso", "--data", tmp_path)
    assert f"{variable} is 2" in said
    assert "only htnet train can share work" in said
    assert f"env -u {variable}" in said
    for alone in ("1", ""):
        monkeypatch.setenv(variable, alone)
        assert "launcher" not in fail("loso", "--data", tmp_path)


@pytest.mark.parametrize("variable", LAUNCHERS)
def test_processes_that_do_not_know_each_other_are_told_what_lacks(monkeypatch, variable):
    monkeypatch.setenv(variable, "2")
    with pytest.raises(InputError, match=rf"{variable} is 2.*MASTER_ADDR, MASTER_PORT is not set"), joined_ranks():
        raise AssertionError("never entered")


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch, capsys):
    """`torchrun -m htnet train`, in a network of its own: the processes of torchrun meet at a port."""
    own = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if not (shutil.which("unshare") and shutil.which("ip")) or subprocess.run([*own, "true"], check=False).returncode:
        pytest.skip("no network of its own can be made here (unshare, ip)")
    write_flow_set(tmp_path / "set", 5, 4)
    words = f"train --data {tmp_path}/set --model ststnet --epochs 2 --out".split()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "htnet"]
    env = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [*own, *launch, *words, tmp_path / "two", "--json"], capture_output=True, text=True, env=env, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == [str(tmp_path / "two")], "only the first process tells"
    torch.set_num_threads(1)
    assert main([*words, str(tmp_path / "one")]) == 0
    one, two = (load_pretrained(tmp_path / name) for name in ("one", "two"))
    assert apart(two.state_dict(), one.state_dict()) < 2e-3  # Adam, of 0.0005 a step
    assert {path.name for path in (tmp_path / "one").iterdir()} == {path.name for path in (tmp_path / "two").iterdir()}
    capsys.readouterr()
