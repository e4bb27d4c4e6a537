"""Fine-tuning from weights of generated data, tried on the development half of the subjects only.

``python -m benchmarks.synthetic_finetune --name "gentler" --recipe '{"epochs": 15, "lr": 2e-4}'`` leaves one subject
out after the other *among the 34 of the development half* and appends the scores to
``benchmarks/results/synthetic_finetune.json``: everything that was tried, over every seed. The recipe that is chosen
is then run over all 68 subjects by ``htnet loso --start synthetic``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.halves import development_manifest
from benchmarks.measure import provenance
from benchmarks.results_table import RESULTS
from htnet.evaluation import loso
from htnet.evaluation.store import to_json, write_atomic
from htnet.training import Recipe, get_recipe

LOG = RESULTS / "synthetic_finetune.json"
WHAT = (
    "LOSO among the 34 subjects of the development half, protocol last; UF1 and UAR, mean and deviation over seeds. "
    "Nothing here has seen the other half."
)


def trial(model: str, recipe: Recipe, start: str | None, seeds: int, jobs: int | None) -> dict[str, Any]:
    """Scores of one setting."""
    with tempfile.TemporaryDirectory() as out:
        found = loso(development_manifest(), model, recipe, out=Path(out) / "run", seeds=seeds, start=start, jobs=jobs)
    last = found.summary["protocols"]["last"]
    return {
        "mean": last["mean"],
        "std": last["std"]["full"],
        "uf1_of_seeds": [last["seeds"][str(seed)]["full"]["uf1"] for seed in range(seeds)],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="what is tried")
    parser.add_argument("--recipe", type=json.loads, default={}, help="fields of the recipe that differ, as JSON")
    parser.add_argument("--model", default="htnet_small")
    parser.add_argument("--start", default="synthetic", help="weights to start from; '' for fresh ones")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--out", type=Path, default=LOG)
    args = parser.parse_args(arguments)
    recipe = Recipe.from_dict({**get_recipe("default").to_dict(), "name": args.name, **args.recipe})
    found = trial(args.model, recipe, args.start or None, args.seeds, args.jobs)
    log = json.loads(args.out.read_text("utf-8")) if args.out.is_file() else {"what": WHAT, "trials": []}
    log["trials"].append(
        {
            "name": args.name,
            "model": args.model,
            "start": args.start or None,
            "recipe": recipe.to_dict(),
            "seeds": args.seeds,
            **found,
            "machine": provenance(),
        }
    )
    write_atomic(args.out, to_json(log))
    print(args.name, {group: round(scores["uf1"], 4) for group, scores in found["mean"].items()}, found["uf1_of_seeds"])


if __name__ == "__main__":
    main()
