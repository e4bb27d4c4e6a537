"""``htnet loso`` and ``htnet train``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from htnet.core.command_line import RECIPE_HELP, AddCommand, add_overwrite, progress_bar
from htnet.core.errors import InputError, cause
from htnet.core.files import check_folder, check_outputs, refuse_same_folder
from htnet.core.hints import hint, missing
from htnet.core.types import LAYOUTS, REGION_POINTS


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add("loso", _loso, "leave-one-subject-out (or leave-one-database-out) evaluation")
    _add_data_options(command)
    command.add_argument("--out", help="run folder (default: runs/loso-MODEL-RECIPE, or runs/lodo-MODEL-RECIPE)")
    command.add_argument(
        "--leave",
        choices=["subject", "dataset"],
        default="subject",
        help="what each fold leaves out and tests: a subject (default), or a dataset (leave-one-database-out)",
    )
    command.add_argument(
        "--protocol",
        nargs="+",
        default=["last"],
        metavar="P",
        help="last (default), nested, best_on_test (leaks; to compare with papers)",
    )
    command.add_argument("--seeds", type=int, default=1, help="number of seeds (default: %(default)s)")
    command.add_argument("--jobs", type=int, help="processes (default: one a core, at most 8)")
    command.add_argument(
        "--stack", type=int, help="folds trained at once in a process (default: 1 on the CPU, as many as pay on CUDA)"
    )

    command.add_argument("--plot", help="save a reliability diagram of the first protocol")
    add_overwrite(command)
    command.add_argument(
        "--start",
        nargs="+",
        metavar="WEIGHTS",
        help="weights each fold starts from, or one for each seed; not trained on people of this evaluation",
    )
    command.add_argument(
        "--start-is-disjoint", action="store_true", help="your word that they do not, where their card cannot tell"
    )

    command = add("train", _train, "train on a whole manifest into a weights folder")
    _add_data_options(command)
    command.add_argument("--out", required=True, help="weights folder")
    add_overwrite(command)
    command.add_argument("--start", metavar="WEIGHTS", help="weights to start from, such as synthetic")
    command.add_argument("--seed", type=int, default=0, help="seed (default: %(default)s)")
    command.add_argument(
        "--metrics",
        help="summary.json of an htnet loso run with the same recipe: scores for the card, and the temperature",
    )

    command = add("pretrain", _pretrain, "train on generated flow images alone, into a weights folder")
    command.add_argument("--out", required=True, help="weights folder")
    add_overwrite(command)
    command.add_argument("--model", default="htnet_small", help="an HTNet or flow_mlp (default: %(default)s)")
    command.add_argument("--count", type=int, default=16000, help="generated images (default: %(default)s)")
    command.add_argument("--recipe", default="generated", help=RECIPE_HELP)
    command.add_argument("--epochs", type=int, help="overrides the recipe's")
    command.add_argument("--size", type=int, default=28, help="side of the flow image, px: 28, 56 or 112")
    command.add_argument("--seed", type=int, default=0, help="seed (default: %(default)s)")
    command.add_argument("--device", default="cpu")


def _add_data_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, help="manifest CSV, or a folder in a published layout")
    command.add_argument("--model", default="htnet_small", help="model (default: %(default)s)")
    command.add_argument("--recipe", default="default", help=RECIPE_HELP)
    command.add_argument("--epochs", type=int, help="overrides the recipe's")
    command.add_argument("--precision", help="overrides the recipe's: float32, or bfloat16 for faster products")
    command.add_argument("--layout", choices=LAYOUTS, help="regions the model sees (default: the model's)")
    command.add_argument("--region-points", choices=REGION_POINTS, help="where regions are cut")
    command.add_argument(
        "--clip-frames", type=int, metavar="N", help="moments of each clip shown to a model that reads motion, e.g. 16"
    )
    command.add_argument(
        "--au-cooccurrence",
        choices=["model", "training"],
        default="model",
        help="table of action units: the model's own (default), or counted over the training subjects",
    )
    command.add_argument("--landmarks", help="points of the samples: a .csv or .json file, or yunet for frames")
    command.add_argument(
        "--landmarks-size", type=float, help="side of the images a file's points are in, px, if not the flow image's"
    )
    command.add_argument("--device", default="cpu")


def _load(args: argparse.Namespace) -> tuple[Any, Any, Any, Any]:
    """Manifest, recipe, spec and landmarker that the data options name."""
    import dataclasses

    from htnet.core.optional import usable_device
    from htnet.data import open_data
    from htnet.data.prepare import prepared_notes, resolve_spec
    from htnet.models import get_entry
    from htnet.preprocess import PrecomputedLandmarks, make_landmarker
    from htnet.training import get_recipe

    if args.landmarks_size is not None and args.landmarks is None:
        raise InputError("--landmarks-size says in what the points of --landmarks FILE are measured. Give both.")
    usable_device(args.device)
    changed = {"epochs": args.epochs, "precision": args.precision}
    recipe = get_recipe(args.recipe, **{k: v for k, v in changed.items() if v is not None})
    spec = resolve_spec(args.data, get_entry(args.model).spec)
    changes = {"layout": args.layout, "region_points": args.region_points, "clip_frames": args.clip_frames}
    if args.clip_frames and "motion" not in get_entry(args.model).model_class.extra_inputs:
        raise InputError(f"{args.model} reads no motion. Leave --clip-frames out, or train htnet_dual_stream.")
    spec = dataclasses.replace(spec, **{k: v for k, v in changes.items() if v is not None})
    manifest = open_data(args.data)
    for note in prepared_notes(args.data):
        print(f"note: {note}")
    for remark in manifest.remarks:
        print(f"note: {remark}")
    landmarker: Any = None
    if args.landmarks is not None and args.landmarks_size is not None:
        landmarker = PrecomputedLandmarks(args.landmarks, scale=spec.size / args.landmarks_size)
    elif args.landmarks is not None:
        landmarker = make_landmarker(args.landmarks)
    return manifest, recipe, spec, landmarker


def _loso(args: argparse.Namespace) -> None:
    from htnet.evaluation import loso

    refuse_same_folder(args.out, args.data, *(args.start or ()))
    check_outputs(args.plot, overwrite=args.overwrite)
    manifest, recipe, spec, landmarker = _load(args)
    kind = "lodo" if args.leave == "dataset" else "loso"
    result = loso(
        manifest,
        args.model,
        recipe,
        out=args.out or f"runs/{kind}-{args.model}-{recipe.name}",
        leave=args.leave,
        protocols=args.protocol,
        seeds=args.seeds,
        spec=spec,
        landmarker=landmarker,
        jobs=args.jobs,
        stack=args.stack,
        start=args.start[0] if args.start and len(args.start) == 1 else args.start,
        start_is_disjoint=args.start_is_disjoint,
        count_units=args.au_cooccurrence == "training",
        device=args.device,
        overwrite=args.overwrite,
    )
    print(f"UF1 / UAR, mean of {args.seeds} seed(s), {len(manifest)} samples, {len(manifest.subjects)} subjects")
    print(result.table())
    _say_cut(result.regions_at_counts, spec)
    files = [result.root / "summary.json", result.root / "predictions.csv"]
    if args.plot:
        from htnet.pipeline.plots import plot_reliability

        files.append(
            plot_reliability(
                result.reliability(next(iter(result.summary["protocols"]))), args.plot, overwrite=args.overwrite
            )
        )
    print(f"files: {', '.join(map(str, files))}")


def _train(args: argparse.Namespace) -> None:
    from huggingface_hub.utils import tqdm

    from htnet.hub.folder import FILES
    from htnet.models import get_entry
    from htnet.training import StartFrom, counted_units, load_flow_set, train_weights

    refuse_same_folder(args.out, args.data)
    check_folder(args.out, FILES, overwrite=args.overwrite)
    manifest, recipe, spec, landmarker = _load(args)
    start = StartFrom(args.start, manifest.classes) if args.start is not None else None
    settings = counted_units(args.model, manifest) if args.au_cooccurrence == "training" else {}
    training: dict[str, Any] = {}
    temperature, said = 1.0, ""
    if args.metrics is not None:
        summary, training["metrics"] = _read_summary(args.metrics)
        if start is not None and _one_start(summary["run"].get("started_from"), start.digest()) == start.digest():
            start.refuse_known(manifest, disjoint=True)  # the run may be older than the record of people
        temperature, said = _temperature_of(
            args.metrics,
            summary,
            {
                "model": args.model,
                "recipe": recipe,
                "preprocessing": spec,
                "start": start.digest() if start is not None else None,
                "set of classes": list(manifest.classes),
                "kind of folds": "subject",
            },
        )
    extras = get_entry(args.model).model_class.extra_inputs
    data = load_flow_set(manifest, spec, landmarker, lambda s: progress_bar(s, "reading"), extras)
    with tqdm(total=recipe.epochs, desc="training", unit="epoch") as bar:

        def tick(epoch: int, model: Any) -> None:
            bar.n = epoch
            bar.refresh()

        train_weights(
            manifest,
            data,
            args.out,
            model=args.model,
            recipe=recipe,
            seed=args.seed,
            device=args.device,
            settings=settings,
            start=start,
            temperature=temperature,
            training=training,
            on_epoch=tick,
            overwrite=args.overwrite,
        )
    if start is not None:
        print(start.report)
    if said:
        print(said)
    _say_cut(data.regions_at_counts(), spec)
    print(f"weights in {args.out}; use them with: htnet predict onset.png apex.png --weights {args.out}")


def _pretrain(args: argparse.Namespace) -> None:
    from huggingface_hub.utils import tqdm

    from htnet.core.optional import usable_device
    from htnet.synthesis import SynthesisConfig
    from htnet.training import get_recipe, train_on_generated

    usable_device(args.device)
    recipe = get_recipe(args.recipe, **({"epochs": args.epochs} if args.epochs is not None else {}))
    with tqdm(total=recipe.epochs, desc="training", unit="epoch") as bar:

        def tick(epoch: int, model: Any) -> None:
            bar.n = epoch
            bar.refresh()

        train_on_generated(
            args.out,
            model=args.model,
            count=args.count,
            recipe=recipe,
            seed=args.seed,
            device=args.device,
            config=SynthesisConfig(size=args.size),
            on_epoch=tick,
            overwrite=args.overwrite,
        )
    print(f"weights in {args.out}; use them with: htnet predict onset.png apex.png --weights {args.out}")


def _say_cut(counts: dict[str, int], spec: Any) -> None:
    """Say so where samples without landmarks were cut at the template's points."""
    if spec.region_points == "landmarks" and counts.get("template"):
        print(
            f"{counts['template']} of {sum(counts.values())} samples have no landmarks: their regions were cut at the "
            "template's points"
        )


def _read_summary(path: str) -> tuple[dict[str, Any], dict[str, float]]:
    """A summary of htnet loso, and the UF1 and UAR of its honest protocols, for the card."""
    way = "--metrics takes RUN/summary.json, which htnet loso --data DATA --model MODEL --out RUN writes."
    if not Path(path).exists():
        raise InputError(f"{missing(path)}\n{way}")
    if Path(path).is_dir():
        inside = Path(path) / "summary.json"
        found = f" Give the file in it: --metrics {inside}" if inside.is_file() else hint(path)
        raise InputError(f"{path} is a folder.{found}\n{way}")
    try:
        summary = json.loads(Path(path).read_text("utf-8"))
        kind = {"subject": "LOSO", "dataset": "LODO"}[summary.get("leave", "subject")]
        return summary, {
            f"{kind} {protocol}, {group}, {metric}": scores[metric]
            for protocol, entry in summary["protocols"].items()
            if not entry["leaks"]
            for group, scores in entry["mean"].items()
            for metric in ("uf1", "uar")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f" ({cause(error)})" if isinstance(error, OSError) else ""
        raise InputError(f"{path} is no summary.json of htnet loso{why}.{hint(path)}\n{way}") from error


def _temperature_of(path: str, summary: dict[str, Any], own: dict[str, Any]) -> tuple[float, str]:
    """The temperature that a summary gives to weights of a training, and what is to be said of it.

    Args:
        path: of the summary.
        summary: its content.
        own: what the training is, in the summary's words.
    """
    from htnet.core.types import PreprocessSpec
    from htnet.training import Recipe

    found, run = summary["protocols"].get("last", {}).get("calibration"), summary["run"]
    if found is None:
        return 1.0, f"no temperature is stored: {path} has none for the protocol last"
    of_run = {
        "model": run["model"],
        "recipe": Recipe.from_dict(run["recipe"]),
        "preprocessing": PreprocessSpec.from_dict(run["preprocess"]),
        "start": _one_start(run.get("started_from"), own["start"]),
        "set of classes": summary["classes"],
        "kind of folds": summary.get("leave", "subject"),
    }
    if differ := [what for what, value in of_run.items() if value != own[what]]:
        return 1.0, f"no temperature is stored: {path} is of a run with another {', '.join(differ)}"
    return found["temperature"], f"temperature {found['temperature']:.4g} of {path} is stored with the weights"


def _one_start(started: dict[str, Any] | list[dict[str, Any]] | None, own: str | None) -> str | None:
    """The digest of what a run started from; of several starts, one for each seed, ``own`` if it is among them."""
    digests = [one["sha256"] for one in (started if isinstance(started, list) else [started] if started else [])]
    if not digests:
        return None
    return own if own in digests else digests[0]
