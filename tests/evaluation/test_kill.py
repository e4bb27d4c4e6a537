"""A run killed at random moments ends in the files of an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time

from tests.support.flows import write_flow_set

KILLS = 10


def command(folder, out):
    return [
        *(sys.executable, "-m", "htnet", "loso", "--data", str(folder), "--model", "htnet_tiny"),
        *("--epochs", "14", "--seeds", "2", "--protocol", "last", "nested", "--workers", "2", "--out", str(out)),
    ]


def files(out):
    return [(out / name).read_bytes() for name in ("predictions.csv", "summary.json")]


def fold_times(out):
    return {p: p.stat().st_mtime_ns for p in out.glob("folds/*/*.json")}


def test_killed_ten_times(tmp_path):
    write_flow_set(tmp_path / "set", 6, 6, datasets=("a", "b"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.monotonic()
    subprocess.run(command(tmp_path / "set", tmp_path / "calm"), check=True, capture_output=True, env=environment)
    duration = time.monotonic() - start
    kills = rounds = 0
    while kills < KILLS:  # a run may end before it is killed: then its files are compared, and a new one begins
        out, kept, finished = tmp_path / f"killed-{rounds}", {}, False
        rounds += 1
        while not finished:
            process = subprocess.Popen(
                command(tmp_path / "set", out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
            )
            try:
                limit = random.uniform(0.1, 0.7) * duration if kills < KILLS else None
                assert process.wait(limit) == 0
                finished = True
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
            now = fold_times(out)
            assert kept.items() <= now.items()  # nothing lost, nothing run twice
            kept = now
        assert files(out) == files(tmp_path / "calm")
        assert not list(out.glob("partial/*.pt"))
        assert not list(out.rglob("*.tmp"))
    assert kills == KILLS
