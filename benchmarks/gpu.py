"""All that is to be measured on a CUDA device, in one command of ten minutes, the most valuable figures first.

``python -m benchmarks.gpu --out FOLDER``. Each step is a process with a limit of its own, and each figure is a line of
``STEP.jsonl`` as soon as it is known: what is stopped or fails loses only what was not measured yet. ``--quick``
rehearses every step with small models; without a CUDA device, on the CPU and in Triton's interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import attention_models, flow, inference
from benchmarks.measure import COMPOSITE, ROOT, provenance
from benchmarks.training import SAMPLES, random_set
from htnet.data import open_data
from htnet.evaluation import loso
from htnet.training import get_recipe, train_model

Figures = Iterator[dict[str, Any]]
#: Folds of the published LOSO.
SUBJECTS = 68


@dataclass(frozen=True)
class Step:
    """One topic.

    Attributes:
        run: yields figures; takes the device and ``quick``.
        seconds: limit.
    """

    run: Callable[[str, bool], Figures]
    seconds: int


def _attention(device: str, quick: bool) -> Figures:
    """The attention of the models against PyTorch's and flex attention: errors, and on a GPU times."""
    return attention_models.cases(device, quick)


def _base(device: str, quick: bool) -> Figures:
    """``htnet_base`` at batches 1 and 1024: the reference's form, `htnet.optimize` and CUDA graphs."""
    name, batches = ("htnet_tiny", (1, 8)) if quick else ("htnet_base", (1, 1024))
    for batch in batches:
        setting = inference.Setting(device, name, (batch,), 3 if quick else 30, 8 if quick else 4000, "eager")
        yield inference.one_batch(setting)


def _flow(device: str, quick: bool) -> Figures:
    """TV-L1: pairs a second."""
    yield flow.run_gpu(quick) if device == "cuda" else {"not measured": "needs a CUDA device"}


def _loso(device: str, quick: bool) -> Figures:
    """The whole LOSO of ``htnet_small``, with its scores."""
    if not COMPOSITE.is_dir():
        yield {"not measured": f"needs the composite set in {COMPOSITE}"}
        return
    name, recipe = ("htnet_tiny", get_recipe("default", epochs=1)) if quick else ("htnet_small", get_recipe("default"))
    out, start = Path("runs") / f"gpu-loso-{name}-{os.getpid()}", time.perf_counter()
    result = loso(open_data(COMPOSITE), name, recipe, out=out, device=device, progress=False)
    minutes = round((time.perf_counter() - start) / 60, 3)
    scores = {protocol: entry["mean"] for protocol, entry in result.summary["protocols"].items()}
    yield {"model": name, "recipe": recipe.to_dict(), "minutes": minutes, "scores": scores}


def _published(device: str, quick: bool) -> Figures:
    """A share of the published LOSO: seconds of an epoch of one fold, from which the whole is estimated."""
    name, counts = ("htnet_tiny", (1, 5)) if quick else ("htnet_base", (2, 12))
    data = random_set(SAMPLES // 8 if quick else SAMPLES)
    for precision in ("float32", "bfloat16"):
        recipe = get_recipe("reference", precision=precision)
        seconds = []
        train_model(name, data, get_recipe("reference", precision=precision, epochs=1), device=device)
        for epochs in counts:
            start = time.perf_counter()
            train_model(name, data, get_recipe("reference", precision=precision, epochs=epochs), device=device)
            seconds.append(time.perf_counter() - start)
        # The difference leaves out what a fold needs once.
        epoch = (seconds[1] - seconds[0]) / (counts[1] - counts[0])
        hours = epoch * recipe.epochs * SUBJECTS / 3600
        told = {"seconds_an_epoch": float(f"{epoch:.4g}"), "hours_of_the_whole_estimated": float(f"{hours:.4g}")}
        yield {"model": name, "precision": precision, "epochs_measured": counts, **told}


STEPS = {
    "attention": Step(_attention, 170),
    "base": Step(_base, 120),
    "flow": Step(_flow, 70),
    "loso": Step(_loso, 130),
    "published": Step(_published, 90),
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns 0 if every step ended by itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--quick", action="store_true", help="rehearse: small models, few rounds")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all steps together (default: %(default)s)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.step:
        return _one(args.step, args.out, args.quick)
    if not (torch.cuda.is_available() or args.quick):
        print("error: needs a CUDA device; --quick rehearses without one.", file=sys.stderr)
        return 2
    end, told = time.monotonic() + 60 * args.minutes, {}
    for name, step in STEPS.items():
        told[name] = _run(name, args.out, args.quick, min(step.seconds, end - time.monotonic()))
        _write(args.out / "steps.json", {**provenance(), "quick": args.quick, "steps": told})
        print(name, told[name], flush=True)
    return 0 if all(state == "done" for state in told.values()) else 1


def _run(name: str, out: Path, quick: bool, seconds: float) -> str:
    """Run one step in a process of its own; returns how it ended."""
    if seconds < 5:
        return "not started: no time left"
    command = [sys.executable, "-m", "benchmarks.gpu", "--out", str(out.resolve()), "--step", name]
    # Triton is told when it is imported whether to interpret.
    interpreted = {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
    with (out / "log.txt").open("a") as log:
        try:
            done = subprocess.run(
                [*command, *(["--quick"] if quick else [])],
                cwd=ROOT, env={**os.environ, **interpreted}, stdout=log, stderr=log, timeout=seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"stopped after {seconds:.0f} s"
    return "done" if done.returncode == 0 else f"failed with status {done.returncode}, see log.txt"


def _one(name: str, out: Path, quick: bool) -> int:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start = time.monotonic()
    with (out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for figures in STEPS[name].run(device, quick):
            file.write(json.dumps({"after_s": round(time.monotonic() - start, 1), **figures}) + "\n")
            file.flush()
    return 0


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
