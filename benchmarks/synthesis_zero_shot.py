"""Train on generated flow images alone and score the real ones of the development half.

``python -m benchmarks.synthesis_zero_shot --name "what is tried" --change blink=0.5`` appends one entry to
``benchmarks/results/synthesis_search.json``. The other half of the subjects is never read into the score.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.halves import development_manifest
from benchmarks.measure import ROOT, provenance
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.data import Manifest
from htnet.evaluation.metrics import confusion_matrix, uar, uf1
from htnet.evaluation.store import to_json, write_atomic
from htnet.synthesis import SynthesisConfig
from htnet.training import generated_set, get_recipe, load_flow_set, predict_set, train_model

LOG = ROOT / "benchmarks" / "results" / "synthesis_search.json"
WHAT = (
    "Zero-shot scores on the development half (benchmarks/synthesis_halves.json) while the generator was set: each "
    "trial trains on generated images alone. Written by benchmarks/synthesis_zero_shot.py; the trials of the first "
    "session come from a script of the same content, with earlier states of the generator named by 'generator'."
)


def scores(manifest: Manifest, truth: torch.Tensor, probabilities: torch.Tensor) -> dict[str, Any]:
    """UF1 and UAR of all and of each data set, the class-balanced log loss, and the confusion matrix."""
    y, p = truth.numpy(), probabilities.argmax(1).numpy()
    sets = np.array([sample.dataset for sample in manifest])
    parts = {"full": np.ones(len(y), bool), **{name: sets == name for name in sorted(set(sets.tolist()))}}
    loss = [float(-probabilities[truth == k, k].clamp_min(1e-6).log().mean()) for k in range(len(EMOTIONS))]
    counts = {name: confusion_matrix(y[part], p[part], len(EMOTIONS)) for name, part in parts.items()}
    return {
        **{name: {"uf1": round(uf1(own), 4), "uar": round(uar(own), 4)} for name, own in counts.items()},
        "balanced_log_loss": round(float(np.mean(loss)), 4),
        "confusion": counts["full"].tolist(),
    }


def trial(config: SynthesisConfig, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One training on generated images and its score on the development half."""
    start = time.process_time()
    data = generated_set(settings["count"], seed + 1, config)
    recipe = get_recipe("default", epochs=settings["epochs"], lr=settings["lr"], ema_decay=settings["average"])
    model, _ = train_model(settings["model"], data, recipe, seed=seed)
    manifest = development_manifest()
    real = load_flow_set(manifest, PreprocessSpec(size=config.size))
    own = generated_set(1024, seed + 1000, config)
    generated = float((predict_set(model, own).argmax(1) == own.labels).float().mean())
    return {
        "seed": seed,
        "generated_accuracy": round(generated, 4),
        "cpu_seconds": round(time.process_time() - start, 1),
        **scores(manifest, real.labels, predict_set(model, real)),
    }


def changed(config: SynthesisConfig) -> dict[str, Any]:
    """Fields that differ from the defaults."""
    default = SynthesisConfig()
    names = [f.name for f in dataclasses.fields(config)]
    return {name: getattr(config, name) for name in names if getattr(config, name) != getattr(default, name)}


def append(entry: dict[str, Any], path: Path = LOG) -> None:
    """Add one entry to the log of everything that was tried."""
    log = json.loads(path.read_text("utf-8")) if path.is_file() else {"what": WHAT, "trials": []}
    log["trials"].append(entry)
    write_atomic(path, to_json(log))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="what is tried")
    parser.add_argument("--generator", default="4", help="which state of the generator's code, see the log")
    parser.add_argument("--change", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of SynthesisConfig")
    parser.add_argument("--model", default="htnet_small")
    parser.add_argument("--count", type=int, default=9000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--average", type=float, default=0.99)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=LOG)
    args = parser.parse_args(arguments)
    pairs = (change.partition("=") for change in args.change)
    config = SynthesisConfig.from_dict({name: ast.literal_eval(value) for name, _, value in pairs})
    settings = {name: getattr(args, name) for name in ("model", "count", "epochs", "lr", "average")}
    runs = []
    for seed in range(args.seeds):
        runs.append(trial(config, settings, seed))
        print(f"{args.name}, seed {seed}: UF1 {runs[-1]['full']['uf1']:.3f}, UAR {runs[-1]['full']['uar']:.3f}")
    append(
        {
            "name": args.name,
            "generator": args.generator,
            "changes": changed(config),
            "settings": settings,
            "config": config.to_dict(),
            "runs": runs,
            "machine": provenance(),
        },
        args.out,
    )


if __name__ == "__main__":
    main()
