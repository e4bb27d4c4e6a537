"""A training that is killed at any moment is finished by the same command, with the same files."""

import errno
import os
import signal

import pytest

from htnet.core.errors import InputError, OverwriteError, RunError, WeightsError
from htnet.core.parallel import LOCK_FILE, locked
from htnet.hub import load_pretrained, save_pretrained
from htnet.hub.folder import FILES
from htnet.models import create_model
from htnet.training import Recipe, TrainingJob, load_flow_set, train_weights
from htnet.types import PreprocessSpec
from tests.support.flows import write_flow_set

#: Trains, tells each file that is put in its place, and is killed just before or after the one of a number.
CHILD = """
import os, signal, sys
from htnet.cli import main
from htnet.training import state

when, number, *words = sys.argv[1:]
state.Checkpoint.__init__.__defaults__ = (0.0, True)  # kept after every epoch
replace, count = os.replace, 0


def kill(now):
    if now == when and count == int(number):
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def put(partial, place):
    global count
    kill("before")
    replace(partial, place)
    print(os.path.basename(place))
    kill("after")
    count += 1


os.replace = put
sys.exit(main([*words]))
"""
#: What is written by two epochs: curve and state of each, then the weights.
ORDER = ["training.csv", ".training.pt"] * 2 + [".saving", "README.md", "config.json", "model.safetensors"]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK_FILE}


@pytest.fixture(scope="module")
def train(tmp_path_factory, warm_python):
    """Runs the command; returns its status and the files that it wrote."""
    data = tmp_path_factory.mktemp("data") / "set"
    write_flow_set(data, 3, 4)

    def run(out, *more, when="never", number=0):
        words = ["train", "--data", data, "--model", "htnet_tiny", "--epochs", 2, "--out", out, *more]
        done = warm_python.run(CHILD, when, number, *words)
        return done.returncode, [line for line in done.stdout.splitlines() if line in ORDER]

    return run


@pytest.fixture(scope="module")
def calm(train, tmp_path_factory):
    out = tmp_path_factory.mktemp("calm") / "weights"
    assert train(out) == (0, ORDER)
    return content(out)


def test_nothing_but_the_weights_is_left(calm):
    assert sorted(calm) == sorted([*FILES, "training.csv"])


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_same_command_finishes_it(train, calm, tmp_path, when):
    for number, name in enumerate(ORDER):
        out = tmp_path / str(number)
        status, written = train(out, when=when, number=number)
        assert status == -signal.SIGKILL
        assert written == ORDER[: number + (when == "after")]
        half = [path.name for path in out.iterdir() if path.suffix == ".tmp"]
        assert half or when == "after", "what was half written lies there"
        status, again = train(out)
        if (when, name) == ("after", ORDER[-1]):
            assert status == 2, "it was finished"
            assert calm.items() <= content(out).items()
            continue
        assert status == 0
        assert content(out) == calm
        kept = written.count(".training.pt")
        assert again == ORDER[2 * kept :], "no epoch that was kept is run again"


def test_weights_that_are_replaced_when_it_is_killed(train, calm, tmp_path):
    out = tmp_path / "weights"
    other = create_model("htnet_tiny")
    other.preprocess_spec = PreprocessSpec()
    save_pretrained(other, out)
    before = content(out)
    status, _ = train(out, "--overwrite", when="before", number=ORDER.index("README.md"))
    assert status == -signal.SIGKILL
    assert before.items() <= content(out).items(), "all are replaced or none"
    load_pretrained(out)
    with pytest.raises(OverwriteError):
        save_pretrained(other, out)
    status, written = train(out, "--overwrite", when="after", number=2)
    assert (status, written) == (-signal.SIGKILL, [".saving", "README.md", "config.json"]), "both epochs were kept"
    with pytest.raises(WeightsError, match="was killed: run the same training again"):
        load_pretrained(out)
    assert train(out, "--overwrite")[0] == 0
    assert content(out) == calm


def test_a_folder_that_cannot_be_looked_at_is_told(tmp_path, monkeypatch):
    """Without free descriptors the listing of the folder was an error of Python."""

    def full(*given, **options):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(tmp_path))

    monkeypatch.setattr("htnet.core.parallel.remove_partial", full)
    with pytest.raises(InputError, match="cannot be written .*too many open files"), locked(tmp_path / "out"):
        pass


def test_the_folder_is_locked(tmp_path):
    data = write_flow_set(tmp_path / "set", 2, 3)
    flows = load_flow_set(data, PreprocessSpec())
    job = TrainingJob("htnet_tiny", Recipe(epochs=1))
    with locked(tmp_path / "out"), pytest.raises(RunError, match=r"Another process is running in .*out"):
        train_weights(data, flows, tmp_path / "out", job)
    train_weights(data, flows, tmp_path / "out", job)
