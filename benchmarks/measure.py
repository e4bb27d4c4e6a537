"""Times of several implementations, measured in alternation, and a description of the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch

from htnet import __version__

ROOT = Path(__file__).resolve().parents[1]
#: Licensed data and models beside the repository, and the composite set in it.
SHARED = Path(os.environ.get("HTNET_SHARED", ROOT.parent / "shared"))
COMPOSITE = SHARED / "data" / "composite"

Times = dict[str, list[float]]


def interleave(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    repeats: int = 1,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Milliseconds of one call of every side, one figure a round.

    Every round times every side, in turns forward and backward, so a change of the machine's
    pace meets all of them and none always follows the same neighbor.

    Args:
        sides: what to time.
        rounds: figures for each side.
        repeats: calls a figure is the mean of; for calls too short to time singly.
        warmup: rounds that are thrown away.
        clock: seconds; `time.process_time` counts processor time, which other programs change less.
    """
    times: Times = {name: [] for name in sides}
    for number in range(warmup + rounds):
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in order:
            call = sides[name]
            start = clock()
            for _ in range(repeats):
                call()
            elapsed = (clock() - start) / repeats
            if number >= warmup:
                times[name].append(elapsed * 1e3)
    return times


def compare(times: Times, baseline: str) -> dict[str, Any]:
    """Medians, quartiles, and how many times as fast as the baseline each other side is.

    ``times_as_fast`` is the ratio of the medians; its quartiles are those of the rounds' own ratios.
    """
    slow = times[baseline]
    summary: dict[str, Any] = {"rounds": len(slow), "baseline": baseline, "ms": {}, "times_as_fast": {}}
    for name, own in times.items():
        summary["ms"][name] = _spread(own, median(own))
        if name != baseline:
            ratios = [a / b for a, b in zip(slow, own, strict=True)]
            summary["times_as_fast"][name] = _spread(ratios, median(slow) / median(own))
    return summary


def bar(what: str, wanted: float, got: Mapping[str, float] | float, at_most: bool = False) -> dict[str, Any]:
    """A bar and whether it was met; one that was missed stays in the results.

    Args:
        what: what was measured, with its unit.
        wanted: the bar.
        got: the figure, or a summary of `compare`, whose median counts.
        at_most: less is better.
    """
    found = got["median"] if isinstance(got, Mapping) else got
    found = float(f"{found:.4g}")
    return {"what": what, "wanted": wanted, "got": found, "met": found <= wanted if at_most else found >= wanted}


def _spread(values: list[float], middle: float) -> dict[str, float]:
    low, _, high = quantiles(values, n=4, method="inclusive")
    return {key: float(f"{x:.4g}") for key, x in (("median", middle), ("q1", low), ("q3", high))}


def memory_bandwidth(megabytes: int, rounds: int, device: str = "cpu") -> dict[str, float]:
    """GB/s of reading (a sum) and of copying (bytes read plus bytes written) a large array."""
    source = torch.ones(megabytes * 1_000_000 // 4, device=device)
    target = torch.empty_like(source)
    # Taking the sum's value waits for a GPU; so does taking one of the copied ones.
    times = interleave({"read": lambda: source.sum().item(), "copy": lambda: target.copy_(source)[0].item()}, rounds)
    size = source.nbytes / 1e6
    return {"read": round(size / median(times["read"]), 2), "copy": round(2 * size / median(times["copy"]), 2)}


def provenance() -> dict[str, Any]:
    """What a reader needs to judge or repeat a figure: commit, machine, versions, load."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        # Benchmark results themselves do not change what is measured.
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "htnet", "benchmarks/*.py")),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_1min_at_start": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "htnet": __version__,
    }


def code_digest() -> str:
    """SHA-256 of the code that is measured: what `provenance` tells of it is true as a benchmark begins, and processes
    that it starts later import what is there then.
    """
    found = hashlib.sha256()
    for path in sorted([*(ROOT / "htnet").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]):
        found.update(f"{path.relative_to(ROOT).as_posix()}\n".encode() + path.read_bytes())
    return found.hexdigest()


def refuse_changed(before: str) -> None:
    """End a benchmark whose code is not what it was as it began.

    Args:
        before: of `code_digest`, then.
    """
    if code_digest() != before:
        raise SystemExit(
            "The code was changed while it was measured, so the figures belong to no commit and are not written. "
            "Measure in a worktree that is left alone: git worktree add /tmp/measured"
        )


def _git(*arguments: str) -> str | None:
    """Output of git in the repository; None where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    """Model name and numbers; virtual machines hide the name, so the numbers are kept too."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or "unknown"
    facts = dict([part.strip() for part in line.split(":", 1)] for line in lines if ":" in line)
    if "model name" not in facts:
        return platform.processor() or "unknown"
    return f"{facts['model name']} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"
