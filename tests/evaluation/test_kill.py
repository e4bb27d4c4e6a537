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
        *("--epochs", "14", "--seeds", "2", "--protocol", "last", "nested", "--jobs", "2", "--out", str(out)),
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
    out, interrupted, kept = tmp_path / "killed", 0, {}
    for _ in range(KILLS):
        process = subprocess.Popen(
            command(tmp_path / "set", out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        try:
            process.wait(random.uniform(0.2, 0.6) * duration)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            interrupted += 1
        now = fold_times(out)
        assert kept.items() <= now.items()  # nothing lost, nothing run twice
        kept = now
    final = subprocess.run(command(tmp_path / "set", out), check=True, capture_output=True, text=True, env=environment)
    assert "UF1 / UAR" in final.stdout
    assert interrupted >= 1
    assert files(out) == files(tmp_path / "calm")
    assert not list(out.glob("partial/*.pt"))
    assert not list(out.rglob("*.tmp"))
