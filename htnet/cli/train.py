"""``htnet loso``, ``htnet lodo``, ``htnet train`` and ``htnet pretrain``."""

from __future__ import annotations

import argparse
import io
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htnet.cli.landmarks import refuse_detector
from htnet.core.command_line import (
    RECIPE_HELP,
    AddCommand,
    add_device,
    add_engine,
    add_overwrite,
    add_precision,
    add_tensorboard,
    answer,
    answer_done,
    asked_workers,
    given,
    seed_option,
)
from htnet.core.errors import InputError, refuse_unknown
from htnet.core.fields import optional, real, whole
from htnet.core.files import check_outputs, refuse_same_folder
from htnet.core.progress import ShownLoss, progress_bar, ticker
from htnet.core.types import LAYOUTS, REGION_POINTS
from htnet.core.words import abridged, counted

if TYPE_CHECKING:
    from htnet.core.types import PreprocessSpec
    from htnet.data import Manifest
    from htnet.preprocess import Landmarker
    from htnet.training import Ranks, Recipe

_EXAMPLE = "htnet {} --data samples-flow --model htnet_small --seeds 3"


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add("loso", _loso, "leave-one-subject-out evaluation", _EXAMPLE.format("loso"))
    _add_evaluation(command)
    command.add_argument(
        "--subjects",
        nargs="+",
        metavar="NAME",
        help="leave out only these: DATASET/SUBJECT, or the name if only one data set has it (default: all subjects)",
    )
    command = add(
        "kfold", _kfold, "cross-validation over folds of several subjects", f"{_EXAMPLE.format('kfold')} --folds 5"
    )
    _add_evaluation(command)
    command.add_argument("--folds", type=int, default=5, metavar="K", help="number of folds (default: %(default)s)")
    command.add_argument(
        "--fold-seed", type=seed_option, default=0, help="seed for the choice of folds (default: %(default)s)"
    )
    text = "train on the samples of split train, test on those of split test"
    _add_evaluation(add("holdout", _holdout, text, _EXAMPLE.format("holdout")))
    _add_evaluation(add("lodo", _lodo, "leave-one-database-out evaluation", _EXAMPLE.format("lodo")))

    command = add(
        "train",
        _train,
        "train on a whole manifest into a weights folder",
        "htnet train --data samples-flow --out weights/mine --start synthetic",
    )
    _add_data_options(command)
    command.add_argument("--out", required=True, help="weights folder")
    add_overwrite(command)
    add_tensorboard(command, "weights folder")
    command.add_argument("--start", metavar="WEIGHTS", help="weights to start from, such as synthetic")
    command.add_argument(
        "--action-units",
        metavar="UNITS",
        help="also learn action units from the manifest's column: their numbers, comma-separated, or all",
    )
    command.add_argument("--seed", type=seed_option, default=0, help="seed (default: %(default)s)")
    command.add_argument(
        "--metrics",
        help="summary.json of an htnet loso run with the same recipe: scores for the card, and the temperature",
    )

    command = add(
        "pretrain",
        _pretrain,
        "train on generated flow images only, into a weights folder",
        "htnet pretrain --out weights/generated --count 4000 --epochs 5",
    )
    command.add_argument("--out", required=True, help="weights folder")
    add_overwrite(command)
    add_tensorboard(command, "weights folder")
    command.add_argument("--model", default="htnet_small", help="an HTNet or flow_mlp (default: %(default)s)")
    command.add_argument("--count", type=int, default=16000, help="generated images (default: %(default)s)")
    command.add_argument("--recipe", default="generated", help=RECIPE_HELP)
    command.add_argument("--epochs", type=int, help="overrides the recipe's")
    add_precision(command)
    command.add_argument("--size", type=int, default=28, help="side of the flow image, px: 28, 56 or 112")
    command.add_argument("--seed", type=seed_option, default=0, help="seed (default: %(default)s)")
    add_device(command)


def _add_evaluation(command: argparse.ArgumentParser) -> None:
    _add_data_options(command)
    command.add_argument("--out", help="run folder (default: runs/COMMAND-MODEL-RECIPE)")
    add_overwrite(command)
    command.add_argument(
        "--protocol",
        nargs="+",
        default=["last"],
        metavar="P",
        help="last (default), nested, best_on_test (leaks; to compare with papers)",
    )
    command.add_argument("--seeds", type=int, default=1, help="number of seeds (default: %(default)s)")
    command.add_argument("--workers", type=int, help="processes (default: one per core, at most 8)")
    add_engine(command)
    command.add_argument(
        "--vmap-folds",
        type=int,
        metavar="N",
        help="folds trained at once in each process (default: 1 on the CPU, as many as fit on CUDA)",
    )
    command.add_argument("--plot", help="save a reliability diagram of the first protocol")
    add_tensorboard(command, "run folder")
    command.add_argument(
        "--start",
        nargs="+",
        metavar="WEIGHTS",
        help="weights that each fold starts from, or one for each seed; not trained on any evaluated subject",
    )
    command.add_argument(
        "--start-is-disjoint",
        action="store_true",
        help="assert that --start was not trained on evaluated subjects, if its model card does not state this",
    )


def _add_data_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, help="manifest CSV, or a folder in a published layout")
    command.add_argument("--model", default="htnet_small", help="model (default: %(default)s)")
    command.add_argument("--recipe", default="default", help=RECIPE_HELP)
    command.add_argument("--epochs", type=int, help="overrides the recipe's")
    add_precision(command)
    command.add_argument("--layout", choices=LAYOUTS, help="regions that the model reads (default: the model's)")
    command.add_argument("--region-points", choices=REGION_POINTS, help="where regions are cropped")
    command.add_argument(
        "--clip-frames", type=int, metavar="N", help="time points per clip for a model that reads motion, e.g. 16"
    )
    command.add_argument(
        "--au-cooccurrence",
        choices=["model", "training"],
        default="model",
        help="co-occurrence table of action units: the model's own (default), or counted over the training subjects",
    )
    command.add_argument("--landmarks", help="points of the samples: a .csv or .json file, or yunet for frames")
    command.add_argument(
        "--landmarks-size",
        type=float,
        help="side of the images that the file's points refer to, px, if not the flow image's",
    )
    add_device(command)


def _load(args: argparse.Namespace) -> tuple[Manifest, Recipe, PreprocessSpec, Landmarker | None]:
    """The manifest, recipe, spec and landmarker that the data options name."""
    from htnet.core.optional import usable_device
    from htnet.data import open_data
    from htnet.data.prepare import prepared_notes
    from htnet.preprocess import PrecomputedLandmarks, make_landmarker
    from htnet.training import get_recipe, spec_for

    if args.landmarks_size is not None and args.landmarks is None:
        raise InputError("--landmarks-size is the size of the images that --landmarks FILE refers to. Give both.")
    optional(real(gt=0)).check("--landmarks-size", args.landmarks_size)
    if getattr(args, "engine", "local") == "local":  # other machines have other devices
        usable_device(args.device)
    recipe = get_recipe(args.recipe, **given(epochs=args.epochs, precision=args.precision))
    spec = spec_for(args.model, layout=args.layout, region_points=args.region_points, clip_frames=args.clip_frames)
    manifest = open_data(args.data)
    for note in (*prepared_notes(args.data), *manifest.remarks):
        print(f"note: {abridged(note)}")
    if args.landmarks is None:
        return manifest, recipe, spec, None
    if args.landmarks_size is not None:
        return manifest, recipe, spec, PrecomputedLandmarks(args.landmarks, scale=spec.size / args.landmarks_size)
    refuse_detector(args.landmarks, manifest)
    return manifest, recipe, spec, make_landmarker(args.landmarks)


def _loso(args: argparse.Namespace) -> None:
    from htnet.evaluation import loso

    _evaluate(args, partial(loso, subjects=args.subjects))


def _kfold(args: argparse.Namespace) -> None:
    from htnet.evaluation import kfold

    _evaluate(args, partial(kfold, folds=args.folds, fold_seed=args.fold_seed))


def _holdout(args: argparse.Namespace) -> None:
    from htnet.evaluation import holdout

    _evaluate(args, holdout)


def _lodo(args: argparse.Namespace) -> None:
    from htnet.evaluation import lodo

    _evaluate(args, lodo)


def _evaluate(args: argparse.Namespace, evaluate: Any) -> None:
    from htnet.evaluation.plan import PROTOCOLS
    from htnet.evaluation.store import RESULTS

    refuse_same_folder(args.out, args.data, *(args.start or ()))
    check_outputs(pictures=[args.plot], overwrite=args.overwrite)
    for option in ("seeds", "vmap_folds", "folds"):
        if (number := getattr(args, option, None)) is not None:
            whole().check(f"--{option.replace('_', '-')}", number)
    refuse_unknown(args.protocol, PROTOCOLS, "protocol")
    workers = asked_workers(args)
    manifest, recipe, spec, landmarker = _load(args)
    result = evaluate(
        manifest,
        args.model,
        recipe,
        out=args.out or f"runs/{args.command}-{args.model}-{recipe.name}",
        overwrite=args.overwrite,
        protocols=args.protocol,
        seeds=args.seeds,
        spec=spec,
        landmarker=landmarker,
        workers=workers,
        engine=args.engine,
        address=args.address,
        vmap_folds=args.vmap_folds,
        start=args.start[0] if args.start and len(args.start) == 1 else args.start,
        start_is_disjoint=args.start_is_disjoint,
        count_units=args.au_cooccurrence == "training",
        device=args.device,
        tensorboard=args.tensorboard,
        on_fold=_Estimate(),
    )
    summary = result.summary
    print(f"UF1 / UAR, mean of {args.seeds} seed(s), {summary['samples']} samples, {summary['subjects']} subjects")
    print(result.table())
    _say_regions(result.regions_at_counts, spec)
    files = [result.root / name for name in RESULTS]
    if args.plot:
        from htnet.pipeline.plots import plot_reliability

        bins = result.reliability(next(iter(summary["protocols"])))
        plot_reliability(bins, args.plot, overwrite=args.overwrite)
        files.append(Path(args.plot))
    print(f"files: {', '.join(map(str, files))}")
    if args.json:
        answer(args, summary)


class _Estimate:
    """Prints once, after the first fold, how long the others will take; on a terminal, the progress bar shows it."""

    def __init__(self) -> None:
        self._told = sys.stderr.isatty()

    def __call__(self, done: int, total: int, left: float) -> None:
        if self._told or done == total:
            return
        self._told = True
        minutes = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
        print(f"{done} of {total} folds done, about {minutes} left", file=sys.stderr, flush=True)


def _train(args: argparse.Namespace) -> None:
    """Train, alone or as one of the processes that torchrun started."""
    from htnet.training import joined_ranks

    with joined_ranks() as ranks:
        if ranks is None or ranks.writes:
            _train_here(args, ranks)
            return
        args.stdout = io.StringIO()  # only the first process prints
        with redirect_stdout(args.stdout):
            _train_here(args, ranks)


def _train_here(args: argparse.Namespace, ranks: Ranks | None) -> None:
    from htnet.evaluation import CardScores, read_summary
    from htnet.hub.folder import check_weights_folder
    from htnet.models import get_entry
    from htnet.training import (
        StartFrom,
        TrainingJob,
        annotated_units,
        counted_units,
        load_flow_set,
        train_weights,
        units_to_learn,
    )
    from htnet.training.curves import boards_of
    from htnet.training.ranks import only_first

    refuse_same_folder(args.out, args.data)
    only_first(ranks, lambda: check_weights_folder(args.out, overwrite=args.overwrite))
    first = ranks is None or ranks.writes
    boards = boards_of(args.out, args.tensorboard and first)
    manifest, recipe, spec, landmarker = _load(args)
    start = StartFrom(args.start, manifest.classes) if args.start is not None else None
    settings = counted_units(args.model, manifest) if args.au_cooccurrence == "training" else {}
    units = () if args.action_units is None else units_to_learn(args.model, manifest, _named_units(args.action_units))
    settings |= {"action_units": units} if units else {}
    job = TrainingJob(args.model, recipe, args.seed, args.device, settings, start)
    summary = read_summary(args.metrics) if args.metrics is not None else None
    extras = get_entry(args.model).model_class.extra_inputs
    data = load_flow_set(
        manifest, spec, landmarker, lambda each: progress_bar(each, "reading", show=first), extras, units
    )
    scores = summary.for_weights(job, data.spec, manifest) if summary is not None else CardScores()
    with ticker(recipe.epochs, "training", "epoch", show=first) as tick:
        train_weights(
            manifest,
            data,
            args.out,
            job,
            temperature=scores.temperature,
            training=scores.card,
            callbacks=[shown := ShownLoss(tick), *boards],
            ranks=ranks,
            overwrite=args.overwrite,
        )
    if start is not None:
        print(start.report)
    print(shown.text())
    if units:
        counts = annotated_units(manifest)
        print("action units learned: " + ", ".join(f"AU{k} (active in {counted(counts[k], 'sample')})" for k in units))
    if scores.note:
        print(scores.note)
    _say_regions(data.regions_at_counts(), spec)
    _say_weights(args)


def _named_units(text: str) -> list[int] | None:
    """The numbers in ``--action-units``; None for all."""
    if text.strip() == "all":
        return None
    units = [int(name) for name in map(str.strip, text.split(",")) if name.isdecimal()]
    if len(units) != len(text.split(",")) or len(set(units)) != len(units):
        raise InputError(f"--action-units is {text!r}. Give FACS numbers separated by commas, each once, or all.")
    return units


def _pretrain(args: argparse.Namespace) -> None:
    from htnet.core.optional import usable_device
    from htnet.synthesis import SynthesisConfig
    from htnet.training import TrainingJob, get_recipe, train_on_generated
    from htnet.training.curves import boards_of

    usable_device(args.device)
    boards = boards_of(args.out, args.tensorboard)
    recipe = get_recipe(args.recipe, **given(epochs=args.epochs, precision=args.precision))
    with ticker(recipe.epochs, "training", "epoch") as tick:
        train_on_generated(
            args.out,
            TrainingJob(args.model, recipe, args.seed, args.device),
            count=args.count,
            config=SynthesisConfig(size=args.size),
            callbacks=[shown := ShownLoss(tick), *boards],
            overwrite=args.overwrite,
        )
    print(shown.text())
    _say_weights(args)


def _say_weights(args: argparse.Namespace) -> None:
    print(f"weights in {args.out}; use them with: htnet predict onset.png apex.png --weights {args.out}")
    if args.json:
        answer_done(args, args.out, architecture=args.model, seed=args.seed)


def _say_regions(counts: dict[str, int], spec: PreprocessSpec) -> None:
    """Print how many samples without landmarks were cropped at the template's points."""
    if spec.region_points == "landmarks" and counts.get("template"):
        print(
            f"{counts['template']} of {sum(counts.values())} samples have no landmarks: their regions were cropped at "
            "the template's points"
        )
