"""``python -m benchmarks.bundle NAME --data COMPOSITE_DIR``: train registered weights into the repository.

The model of the entry is trained on all samples by its recipe, in the precision of the committed leave-one-subject-out
run of the same model and recipe, ``benchmarks/results/loso_MODEL_RECIPE.json``, whose scores its card gets. All but
"composite" are trained by the default recipe. The registry reads the folder's ``config.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results_table import RESULTS
from htnet import cli
from htnet.core.errors import HtnetError, InputError, did_you_mean
from htnet.core.types import PreprocessSpec
from htnet.evaluation import read_summary
from htnet.hub import PretrainedSpec, find_pretrained, list_pretrained, read_config
from htnet.hub.card import model_card
from htnet.training import Recipe

#: Recipes of entries that are not trained by the default one.
RECIPE_OF = {"composite": "mixed"}
ROOT = Path(__file__).resolve().parents[1]
#: Entries whose weights are in this repository.
KEPT = tuple(spec for spec in list_pretrained() if spec.bundled or spec.source_folder)
#: What the committed runs were evaluated on.
ON = next(spec.dataset for spec in list_pretrained() if spec.name == "composite")


def committed_run(spec: PretrainedSpec) -> Path:
    """The leave-one-subject-out run whose scores the entry's weights have."""
    return RESULTS / f"loso_{spec.model}_{recipe_of(spec)}.json"


def folder_of(spec: PretrainedSpec) -> Path:
    """The weights folder of an entry in this repository: in the package or beside it."""
    return ROOT / spec.source_folder if spec.source_folder else spec.folder


def recipe_of(spec: PretrainedSpec) -> str:
    """The recipe that the entry's weights are trained by."""
    return RECIPE_OF.get(spec.name, "default")


def check_same_training(config: dict[str, Any], run: dict[str, Any]) -> None:
    """Refuse scores of another model, recipe or preprocessing than those of the weights.

    A field that was added since has its default in both.
    """
    pairs = {
        "model": (config["model"], run["run"]["model"]),
        "recipe": (Recipe.from_dict(config["recipe"]), Recipe.from_dict(run["run"]["recipe"])),
        "preprocessing": tuple(PreprocessSpec.from_dict(of["preprocess"]) for of in (config, run["run"])),
    }
    for what, (own, other) in pairs.items():
        if own != other:
            raise InputError(f"The committed run has another {what} ({other}) than the weights ({own}). Run it again.")


def bundle(name: str, data: str, out: str | None = None, epochs: int | None = None) -> dict[str, Any]:
    """Train an entry's weights and return their ``config.json``, which the registry reads.

    Args:
        name: a registered name.
        data: the composite set.
        out: weights folder; the entry's own unless given.
        epochs: overrides the recipe's, for tests; scores are then not checked.
    """
    spec = find_pretrained(name)
    if spec is None:
        raise InputError(
            f"No weights are registered as {name!r}. {did_you_mean(name, [s.name for s in list_pretrained()])}"
        )
    if spec.dataset != ON:
        raise InputError(f"{name} is of {spec.dataset}; the committed runs are of {ON}. Give an entry of that set.")
    source = committed_run(spec)
    if not source.is_file():
        raise InputError(f"{source} does not exist: commit the summary.json of htnet loso --model {spec.model} first.")
    run, folder = json.loads(source.read_text("utf-8")), Path(out or folder_of(spec))
    words = ["train", "--data", data, "--model", spec.model, "--recipe", recipe_of(spec), "--out", folder]
    words += ["--metrics", source]
    words += ["--overwrite"] if out is None else []  # Git keeps the former weights
    words += ["--precision", Recipe.from_dict(run["run"]["recipe"]).precision]
    words += [] if epochs is None else ["--epochs", epochs]
    if cli.main([str(word) for word in words]):
        raise InputError(f"{spec.model} could not be trained on {data}; see above.")
    config = read_config(folder / "config.json")
    if epochs is None:
        check_same_training(config, run)
    return config


def renew_card(spec: PretrainedSpec) -> None:
    """Write the card of an entry again, with the scores of the committed run; nothing is trained."""
    folder = folder_of(spec)
    config = read_config(folder / "config.json")
    # Older folders lack the temperature, which is 1 then.
    first = [(name, config[name]) for name in list(config)[: list(config).index("labels") + 1]]
    config = {**dict(first), "temperature": 1.0, **config}
    if spec.dataset == ON:
        path = committed_run(spec)
        check_same_training(config, json.loads(path.read_text("utf-8")))
        scores = read_summary(path)
        config["training"] |= {"metrics": scores.metrics, "leaking_metrics": scores.leaking}
    (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8")
    (folder / "README.md").write_text(model_card(config), "utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bundle", description=__doc__, allow_abbrev=False)
    parser.add_argument("name", nargs="?", help="registered name, such as composite-ststnet")
    parser.add_argument("--data", help="folder of the composite set")
    parser.add_argument("--out", help="weights folder (default: the entry's own)")
    parser.add_argument("--epochs", type=int, help="fewer epochs, for a trial; scores are then not checked")
    parser.add_argument("--cards", action="store_true", help="write all cards again, and train nothing")
    args = parser.parse_args(argv)
    if not args.cards and (args.name is None or args.data is None):
        parser.error("give a name and --data, or --cards")
    try:
        if args.cards:
            for spec in KEPT:
                renew_card(spec)
            return 0
        found = bundle(args.name, args.data, args.out, args.epochs)
    except (HtnetError, OSError) as error:
        print(f"benchmarks.bundle: {error}", file=sys.stderr)
        return 2
    print(f"{args.name}: sha256 {found['weights']['sha256']}")
    for name, value in found["training"]["metrics"].items():
        print(f"  {name}: {value:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
