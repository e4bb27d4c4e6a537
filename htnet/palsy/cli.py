"""``htnet palsy``: prepare, train, evaluate, predict, visualize, asymmetry."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htnet.core.command_line import (
    AddCommand,
    add_bit_depth,
    add_device,
    add_dtype,
    add_face_option,
    add_overwrite,
    add_precision,
    add_tensorboard,
    adder,
    answer,
    answer_done,
    can_draw,
    given,
    seed_option,
    show_probabilities,
    show_terms,
    show_warnings,
)
from htnet.core.errors import InputError
from htnet.core.files import check_folder, check_outputs, refuse_same_folder
from htnet.core.limits import read_json
from htnet.core.paths import as_path
from htnet.core.progress import ShownLoss, progress_bar, ticker

if TYPE_CHECKING:
    from htnet.palsy import GradePrediction, GradePredictor
    from htnet.preprocess import Landmarker

# Functions import htnet.palsy when they run, so the command starts quickly.


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add("palsy", _prepare, "grade facial palsy from single images", "htnet palsy asymmetry face.png")
    add_kind = adder(command.add_subparsers(dest="kind", required=True, metavar="TASK"))

    kind = add_kind(
        "prepare",
        _prepare,
        "align the faces of a data set and split it by patient",
        "htnet palsy prepare FNP --out palsy-faces",
    )
    kind.add_argument(
        "source", help="folder of grade_1 ... grade_6, .csv of image_path and grade, or folder in the CK+ layout"
    )
    kind.add_argument("--out", required=True, help="folder for faces, manifest and report")
    add_overwrite(kind)
    kind.add_argument(
        "--classes", type=int, choices=[6, 3], default=6, help="grades, or I-II, III-IV, V-VI (default 6)"
    )
    kind.add_argument("--grade-map", help="CK+: .csv of sequence and grade, or of emotion and grade")
    kind.add_argument(
        "--patients",
        metavar="PLACE",
        default="auto",
        help="where to find a patient's name: file (its name up to the first _), folder (one per patient), a regular "
        "expression whose group is the patient, such as '_(P[0-9]+)', or auto: the file if its name begins like a "
        "patient's (P07) and nothing indicates otherwise (default: %(default)s)",
    )
    _add_points(kind)
    kind.add_argument(
        "--test", type=float, default=0.2, help="fraction of the images to test on (default: %(default)s)"
    )
    kind.add_argument("--val", type=float, default=0.0, help="fraction to validate on (default: %(default)s)")
    kind.add_argument("--seed", type=seed_option, default=0, help="seed of the splits (default: %(default)s)")
    kind.add_argument("--workers", type=int, help="processes (default: one per core, at most 8)")

    kind = add_kind(
        "train",
        _train,
        "train on the training split into a weights folder",
        "htnet palsy train --data palsy-faces --out weights/palsy",
    )
    kind.add_argument("--data", required=True, help="output folder of htnet palsy prepare")
    kind.add_argument("--out", required=True, help="weights folder")
    add_overwrite(kind)
    kind.add_argument("--model", default="htnet_palsy_tiny", help="model (default: %(default)s)")
    kind.add_argument(
        "--recipe",
        default="palsy",
        help="palsy, reference, or a .json file (default: %(default)s)",
    )
    kind.add_argument("--epochs", type=int, help="number of epochs (default: the recipe's)")
    add_precision(kind)
    kind.add_argument("--start", metavar="WEIGHTS", help="weights to start from, such as composite-htnet")
    kind.add_argument("--seed", type=seed_option, default=0, help="seed (default: %(default)s)")
    add_tensorboard(kind, "weights folder")
    add_device(kind)

    kind = add_kind(
        "evaluate",
        _evaluate,
        "score a model on a split",
        "htnet palsy evaluate --data palsy-faces --weights weights/palsy --out runs/palsy",
    )
    kind.add_argument("--data", required=True, help="output folder of htnet palsy prepare")
    _add_weights(kind)
    kind.add_argument("--split", default="test", help="train, val or test (default: %(default)s)")
    kind.add_argument("--out", required=True, help="folder for predictions.csv, summary.json and confusion.png")
    kind.add_argument(
        "--allow-trained",
        action="store_true",
        help="score people the weights were trained on, or other people with the same names; recorded in the result "
        "(implied by --split train)",
    )
    add_overwrite(kind)

    kind = add_kind(
        "predict",
        _predict,
        "grade an image, or every image in a folder",
        "htnet palsy predict face.png --weights weights/palsy",
    )
    kind.add_argument("image", help="image or folder")
    _add_weights(kind)
    _add_points(kind)
    kind.add_argument("--plot", help="save a picture; one image only")
    kind.add_argument("--out", help="if image is a folder: folder for predictions.csv and pictures")
    add_overwrite(kind)

    kind = add_kind(
        "visualize",
        _visualize,
        "draw the region and asymmetry maps of a model over a face",
        "htnet palsy visualize face.png --weights weights/palsy --out maps.png",
    )
    kind.add_argument("image")
    _add_weights(kind)
    _add_points(kind)
    kind.add_argument("--out", required=True, help="picture to save")
    add_overwrite(kind)

    kind = add_kind(
        "asymmetry",
        _asymmetry,
        "measure how much the sides of a face differ, without a model",
        "htnet palsy asymmetry face.png --plot asymmetry.png",
    )
    kind.add_argument("image")
    _add_points(kind)
    kind.add_argument("--plot", help="save a picture")
    add_overwrite(kind)


def _add_points(kind: argparse.ArgumentParser) -> None:
    kind.add_argument(
        "--landmarks",
        default="yunet",
        help="yunet, yunet:MODEL.onnx, face-alignment, template (faces already cropped), or a .json or .csv file "
        "(default: %(default)s)",
    )
    add_face_option(kind)
    add_bit_depth(kind)


def _add_weights(kind: argparse.ArgumentParser) -> None:
    kind.add_argument("--weights", help="trained weights: folder, name or owner/repo (required)")
    add_device(kind)
    add_dtype(kind)


def _check_weights(args: argparse.Namespace) -> None:
    """Check ``--weights`` here, not in argparse, so that a wrong kind of file is reported before a missing option."""
    if args.weights is None:
        raise InputError(
            "Give the weights: --weights FOLDER, from htnet palsy train; a registered name or owner/repo works too."
        )


def _landmarks(args: argparse.Namespace) -> str | Landmarker:
    """The text of ``--landmarks`` or, with ``--face``, a landmarker that uses this face."""
    from htnet.preprocess import make_landmarker

    return str(args.landmarks) if args.face is None else make_landmarker(args.landmarks, face=args.face)


def _predictor(args: argparse.Namespace) -> GradePredictor:
    from htnet.palsy import GradePredictor

    options = {"device": args.device, "dtype": args.dtype, "bit_depth": args.bit_depth}
    return GradePredictor(args.weights, landmarks=_landmarks(args), **options)


def _check_image(args: argparse.Namespace) -> None:
    """Check the image first, so that its errors are reported before those of the model."""
    from htnet.preprocess import read_frame

    read_frame(args.image, args.bit_depth)


def _prepare(args: argparse.Namespace) -> None:
    from htnet.data.prepare import REPORT_FILE, read_report
    from htnet.palsy import gaps, prepare_faces, read_palsy, split_table
    from htnet.palsy.splits import check_split

    refuse_same_folder(args.out, args.source)
    check_split(args.test, args.val, args.seed)
    manifest = read_palsy(args.source, classes=args.classes, grade_map=args.grade_map, patients=args.patients)

    prepared = prepare_faces(
        manifest,
        args.out,
        _landmarks(args),
        test=args.test,
        val=args.val,
        seed=args.seed,
        workers=args.workers,
        bit_depth=args.bit_depth,
        progress=_bar("aligning", len(manifest)),
        overwrite=args.overwrite,
    )
    report = read_report(args.out)
    print(f"{len(prepared)} faces prepared in {args.out}, {report.left_out} left out")
    for name, row in split_table(prepared).items():
        counts = ", ".join(f"{c} {row[c]}" for c in prepared.classes)
        print(f"  {name:<6} {row['images']} images of {row['patients']} patients: {counts}")
    for line in gaps(prepared):
        print(f"  {line}")
    if notes := report.text():
        print(notes)
    print(f"  report: {Path(args.out) / REPORT_FILE}")
    if args.json:
        answer(args, report.to_dict())


def _train(args: argparse.Namespace) -> None:
    from htnet.core.optional import usable_device
    from htnet.hub.folder import check_weights_folder
    from htnet.models import create_model
    from htnet.palsy import check_face_model, load_split, train_palsy
    from htnet.training import TrainingJob, get_recipe
    from htnet.training.curves import boards_of

    refuse_same_folder(args.out, args.data)
    check_weights_folder(args.out, overwrite=args.overwrite)
    usable_device(args.device)
    boards = boards_of(args.out, args.tensorboard)
    recipe = get_recipe(args.recipe, **given(epochs=args.epochs, precision=args.precision))
    fresh = create_model(args.model)
    check_face_model(fresh)
    manifest, data = load_split(args.data, "train", fresh.config.image_size, progress=_bar("reading"))
    job = TrainingJob(args.model, recipe, args.seed, args.device, start=args.start)
    with ticker(recipe.epochs, "training", "epoch") as tick:
        shown = ShownLoss(tick)
        _, report = train_palsy(manifest, data, args.out, job, callbacks=[shown, *boards], overwrite=args.overwrite)
    if report is not None:
        print(report)
    print(shown.text())
    print(f"weights in {args.out}; use them with: htnet palsy predict face.png --weights {args.out}")
    if args.json:
        answer_done(args, args.out, architecture=args.model, seed=args.seed)


def _evaluate(args: argparse.Namespace) -> None:
    from htnet.hub import load_pretrained
    from htnet.palsy import check_face_model, evaluate_palsy, load_split, score_table
    from htnet.palsy.evaluate import RESULTS
    from htnet.pipeline.doubts import doubts_of_weights

    refuse_same_folder(args.out, args.data, args.weights)
    check_folder(args.out, (*RESULTS, "confusion.png"), overwrite=args.overwrite)
    _check_weights(args)
    model = load_pretrained(args.weights, device=args.device, dtype=args.dtype)
    check_face_model(model)
    manifest, data = load_split(
        args.data, args.split, model.config.image_size, model.preprocess_spec, progress=_bar("reading")
    )
    scores = evaluate_palsy(
        model,
        manifest,
        data,
        args.out,
        described={"weights": str(args.weights), "split": args.split},
        overwrite=args.overwrite,
        allow_trained=args.allow_trained or args.split == "train",
    )
    show_warnings(doubts_of_weights(model, manifest))
    print(score_table(scores))
    out = Path(args.out)
    files = [out / "summary.json", out / "predictions.csv"]
    if can_draw():
        from htnet.pipeline.plots import plot_confusion

        title = f"{args.split}: {scores.num_samples} images of {scores.num_patients} patients"
        picture = out / "confusion.png"
        options = {"what": "grade", "overwrite": args.overwrite}
        plot_confusion(scores.confusion, manifest.classes, picture, title, **options)
        files.append(picture)
    print(f"files: {', '.join(map(str, files))}")
    if args.json:
        answer(args, read_json(out / "summary.json"))


def _predict(args: argparse.Namespace) -> None:
    from htnet.palsy import predict_folder
    from htnet.palsy.folder import PICTURES, TABLE

    folder = os.path.isdir(as_path(args.image))
    if folder and (args.out is None or args.plot is not None):
        raise InputError(f"{args.image} is a folder: give --out FOLDER; --plot is for a single image.")
    if not folder and args.out is not None:
        raise InputError("--out is for a folder of images; for one image use --json and --plot.")
    if folder:
        refuse_same_folder(args.out, args.image, below=True)
        check_folder(args.out, (TABLE, PICTURES), overwrite=args.overwrite)
    check_outputs(pictures=[args.plot], overwrite=args.overwrite, inputs=(args.image, args.landmarks))
    if not folder:
        _check_image(args)
    _check_weights(args)
    predictor = _predictor(args)
    if folder:
        done = predict_folder(
            predictor,
            args.image,
            args.out,
            pictures=can_draw(),
            overwrite=args.overwrite,
            progress=_bar("grading"),
        )
        if done.doubted:
            print(f"warning: {done.doubted} of {done.images} images have warnings; see the column 'warnings'")
        errors = f", {done.errors} with errors" if done.errors else ""
        show_terms(predictor.name, predictor.model.license_expression)
        print(f"{done.images - done.errors} predictions in {done.table}{errors}")
        if args.json:
            answer_done(args, done.table, images=done.images, errors=done.errors, doubted=done.doubted)
        return
    prediction = predictor.image(args.image)
    if args.plot:
        from htnet.palsy.plots import plot_grade
        from htnet.preprocess import read_frame

        plot_grade(prediction, read_frame(args.image, args.bit_depth), args.plot, overwrite=args.overwrite)
    if args.json:
        answer(args, prediction.to_dict())
        return
    _show(prediction)
    if args.plot:
        print(f"  picture: {args.plot}")


def _show(prediction: GradePrediction) -> None:
    show_warnings(prediction.warnings)
    print(prediction.grade)
    show_probabilities(prediction.probabilities, 8)
    show_terms(prediction.model, prediction.license_expression)


def _visualize(args: argparse.Namespace) -> None:
    from htnet.palsy.plots import plot_maps

    check_outputs(pictures=[args.out], overwrite=args.overwrite, inputs=(args.image, args.landmarks))
    _check_image(args)
    _check_weights(args)
    predictor = _predictor(args)
    maps = predictor.maps(args.image)
    show_warnings(maps.prediction.warnings)
    print(maps.prediction.grade)
    plot_maps(maps, args.out, overwrite=args.overwrite)
    print(f"  picture: {args.out}")
    if args.json:
        answer_done(args, args.out, prediction=maps.prediction.to_dict())


def _asymmetry(args: argparse.Namespace) -> None:
    from htnet.palsy import PALSY_SPEC, face_asymmetry, palsy_landmarker

    check_outputs(pictures=[args.plot], overwrite=args.overwrite, inputs=(args.image, args.landmarks))
    landmarker = palsy_landmarker(args.landmarks, PALSY_SPEC, face=args.face)
    report = face_asymmetry(args.image, landmarker, sample=Path(args.image).stem, bit_depth=args.bit_depth)
    if args.plot:
        from htnet.palsy.plots import plot_asymmetry

        plot_asymmetry(report, args.plot, overwrite=args.overwrite)
    if args.json:
        answer(args, report.to_dict())
        return
    show_warnings(report.warnings)
    print(report.text())
    if args.plot:
        print(f"  picture: {args.plot}")


def _bar(text: str, total: int | None = None) -> Callable[[Iterable[Any]], Iterable[Any]]:
    return lambda items: progress_bar(items, text, total)
