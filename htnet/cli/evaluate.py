"""``htnet evaluate``, ``htnet report`` and ``htnet embed``."""

from __future__ import annotations

import argparse
from pathlib import Path

from htnet.cli.landmarks import chosen_landmarks
from htnet.core.command_line import (
    AddCommand,
    add_bit_depth,
    add_device,
    add_dtype,
    add_face_option,
    add_overwrite,
    answer,
    answer_done,
    show_terms,
    show_warnings,
)
from htnet.core.files import check_folder, check_outputs, refuse_same_folder
from htnet.core.types import DEFAULT_WEIGHTS
from htnet.core.words import abridged, counted


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add(
        "evaluate",
        _evaluate,
        "score trained weights on labeled samples, and compare two weights",
        "htnet evaluate --data samples-flow --weights synthetic --against synthetic-mlp --out runs/compared",
    )
    _add_data(command)
    command.add_argument("--against", metavar="WEIGHTS", help="weights to compare with, on the same samples")
    command.add_argument("--out", metavar="DIR", help="folder for summary.json and predictions.csv")
    command.add_argument(
        "--allow-trained", action="store_true", help="also score people that the weights were trained on"
    )
    command.add_argument("--plot", metavar="PICTURE", help="save a figure of the confusion matrix")
    add_overwrite(command)

    command = add(
        "report",
        _report,
        "write the report of an evaluation as one HTML page",
        "htnet report runs/loso-htnet_small-default --data samples-flow",
    )
    command.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="run folder of loso, lodo, kfold or holdout, or --out of evaluate; others are compared with the first",
    )
    command.add_argument("--out", metavar="FILE", help="file to write, .html (default: report.html in the first RUN)")
    command.add_argument("--data", help="the samples, to show their flow images (default: the data named in the run)")
    command.add_argument(
        "--worst",
        type=int,
        default=12,
        metavar="N",
        help="number of samples to show, worst first (default: %(default)s)",
    )
    add_overwrite(command)

    command = add(
        "embed",
        _embed,
        "write the features that a model computes before its last layer",
        "htnet embed --data samples-flow --out features.npz",
    )
    _add_data(command)
    command.add_argument("--out", required=True, help="file to write: .npz, or a table (.csv)")
    command.add_argument("--skip-errors", action="store_true", help="leave out samples that cannot be read")
    add_overwrite(command)


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, help="manifest CSV, or a folder in a published layout")
    command.add_argument(
        "--weights", default=DEFAULT_WEIGHTS, help="trained weights: name, folder or owner/repo (default: %(default)s)"
    )
    command.add_argument("--landmarks", help="see predict --landmarks (default: yunet)")
    add_face_option(command)
    add_bit_depth(command)
    add_device(command)
    add_dtype(command)


def _evaluate(args: argparse.Namespace) -> None:
    from htnet.data import open_data
    from htnet.pipeline.scoring import SCORE_FILES, evaluate, score_table

    refuse_same_folder(args.out, args.data, args.weights, args.against)
    if args.out is not None:
        check_folder(args.out, SCORE_FILES, overwrite=args.overwrite)
    check_outputs(pictures=[args.plot], overwrite=args.overwrite)
    manifest = open_data(args.data)
    found = evaluate(
        manifest,
        args.weights,
        against=args.against,
        landmarks=chosen_landmarks(args, manifest),
        device=args.device,
        dtype=args.dtype,
        bit_depth=args.bit_depth,
        allow_trained=args.allow_trained,
    )
    files = () if args.out is None else found.write(args.out, overwrite=args.overwrite)
    if args.plot:
        from htnet.pipeline.plots import plot_confusion

        counts, title = found.scores()["full"].confusion, f"{found.answers.weights}, {counted(len(manifest), 'sample')}"
        plot_confusion(counts, found.classes, args.plot, title, overwrite=args.overwrite)
        files = (*files, Path(args.plot))
    if args.json:
        answer(args, found.to_dict())
        return
    show_warnings(dict.fromkeys((*found.answers.warnings, *(found.against.warnings if found.against else ()))))
    for note in manifest.remarks:
        print(f"note: {abridged(note)}")
    print("\n".join(score_table(found)))
    for answers in (found.answers, *([found.against] if found.against else [])):
        show_terms(answers.weights, answers.model["license"])
    if files:
        print(f"files: {', '.join(map(str, files))}")


def _report(args: argparse.Namespace) -> None:
    from htnet.pipeline.evaluation_report import report

    path = report(args.runs, args.out, data=args.data, worst=args.worst, overwrite=args.overwrite)
    print(f"report: {path}")
    if args.json:
        answer_done(args, path, runs=args.runs)


def _embed(args: argparse.Namespace) -> None:
    from htnet.data import open_data
    from htnet.pipeline.embedding import check_embedding_name, embed

    check_embedding_name(args.out)
    check_outputs(args.out, overwrite=args.overwrite, inputs=(args.data, args.landmarks))
    manifest = open_data(args.data, **({"check_files": False} if args.skip_errors else {}))
    found = embed(
        manifest,
        args.weights,
        landmarks=chosen_landmarks(args, manifest),
        device=args.device,
        dtype=args.dtype,
        bit_depth=args.bit_depth,
        skip_errors=args.skip_errors,
    )
    found.write(args.out, overwrite=args.overwrite)
    for sample, message in found.errors:
        print(f"left out: {sample}: {message}")
    count, width = found.features.shape
    show_terms(found.weights, found.license_expression)
    print(f"{width} features of {count} samples in {args.out}")
    if args.json:
        answer_done(
            args,
            args.out,
            samples=count,
            features=width,
            errors=dict(found.errors),
            weights=found.weights,
            license=found.license_expression,
        )
