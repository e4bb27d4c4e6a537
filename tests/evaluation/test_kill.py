"""A run killed at random moments ends in the files of an undisturbed run."""

import math
import random
import signal
import time

import pytest

from htnet.evaluation import loso
from htnet.evaluation.store import RunStore
from htnet.training import Recipe
from tests.support.flows import write_flow_set
from tests.support.warm import FORKING

#: Processes of the command, and how often it is killed; more processes take long to start.
KILLS = {1: 4, 2: 1}


def command(folder, out, workers):
    words = f"loso --data {folder} --model htnet_tiny --epochs 3 --seeds 2 --protocol last nested --workers {workers}"
    return [*words.split(), "--out", str(out)]


def files(out):
    return [(out / name).read_bytes() for name in ("predictions.csv", "summary.json")]


def fold_times(out):
    return {p: p.stat().st_mtime_ns for p in out.glob("folds/*/*.json")}


@pytest.mark.slow
def test_killed_five_times(tmp_path, warm_python):
    write_flow_set(tmp_path / "set", 3, 4, datasets=("a", "b"))

    def run(*words, **options):
        return warm_python.run(FORKING, *words, **options).returncode

    durations = {}
    for workers in KILLS:
        start = time.monotonic()
        assert run(*command(tmp_path / "set", tmp_path / f"calm-{workers}", workers)) == 0
        durations[workers] = time.monotonic() - start
    calm = files(tmp_path / "calm-1")
    assert files(tmp_path / "calm-2") == calm
    for workers, wanted in KILLS.items():
        kills = rounds = 0
        while kills < wanted:  # a run may end before it is killed: then its files are compared, and a new one begins
            out, kept, status = tmp_path / f"killed-{workers}-{rounds}", {}, -signal.SIGKILL
            rounds += 1
            while status == -signal.SIGKILL:
                limit = random.uniform(0.1, 0.7) * durations[workers] if kills < wanted else math.inf
                status = run(*command(tmp_path / "set", out, workers), limit=limit)
                assert status in (-signal.SIGKILL, 0)
                kills += status != 0
                now = fold_times(out)
                assert kept.items() <= now.items()  # nothing lost, nothing run twice
                kept = now
            assert files(out) == calm
            assert not list(out.glob("partial/*.pt"))
            assert not list(out.rglob("*.tmp"))
        assert kills == wanted


def test_what_a_killed_run_was_writing_is_removed(tmp_path):
    store = RunStore(tmp_path / "run")
    for name in (".0123456789ab.tmp", "folds/seed-0/.0123456789ab.tmp"):
        (store.root / name).parent.mkdir(parents=True, exist_ok=True)
        (store.root / name).write_bytes(b"half")
    kept = store.root / "folds" / "seed-0" / "a.json"
    kept.write_text("{}", "utf-8")
    notes = store.root / ".mine.tmp"
    notes.write_text("of the user", "utf-8")
    with store.locked():
        assert {path for path in store.root.rglob("*") if path.is_file() and path.name != ".lock"} == {kept, notes}


def test_a_training_is_kept_until_its_fold_is_stored(tmp_path, monkeypatch):
    data = write_flow_set(tmp_path / "set", 2, 3)
    options = {"recipe": Recipe(epochs=1), "out": tmp_path / "run", "checkpoint_every": 0.0, "workers": 1}
    monkeypatch.setattr(RunStore, "write_fold", lambda *told: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        loso(data, "htnet_tiny", **options)
    assert len(list((tmp_path / "run" / "partial").iterdir())) == 1
    monkeypatch.undo()
    left = tmp_path / "run" / "partial" / "seed-0-of-a-stored-fold-all.pt"
    left.write_bytes(b"the process was killed when the fold was stored")
    loso(data, "htnet_tiny", **options)
    assert not list((tmp_path / "run" / "partial").iterdir())
