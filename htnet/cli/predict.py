"""``htnet predict`` and ``htnet demo``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htnet.cli.landmarks import chosen_landmarks
from htnet.cli.spot import VIDEO_OPTIONS, add_video_options, asked_method, asked_video, show_spotting
from htnet.core.assets import ASSETS
from htnet.core.command_line import (
    AddCommand,
    add_bit_depth,
    add_device,
    add_dtype,
    add_engine,
    add_face_option,
    add_overwrite,
    add_sample_option,
    answer,
    answer_done,
    can_draw,
    show_probabilities,
    show_terms,
    show_warnings,
)
from htnet.core.errors import HtnetError, InputError
from htnet.core.facs import SHOWN_UNITS
from htnet.core.files import check_outputs, write_text
from htnet.core.hints import hint
from htnet.core.limits import read_json
from htnet.core.paths import as_path
from htnet.core.progress import progress_bar
from htnet.core.schema import to_json
from htnet.core.types import DEFAULT_WEIGHTS, EXPRESSION_THRESHOLD, NO_EXPRESSION

#: Printed names of the sides of an action unit.
SIDES = {"subject_left": "subject's left", "subject_right": "subject's right", "both": "both"}

if TYPE_CHECKING:
    from htnet.core.types import Frame, Prediction
    from htnet.data import Manifest
    from htnet.pipeline.predictor import Predictor

    #: Returns the onset and apex frames of a prediction.
    Pair = Callable[[], tuple[Frame, Frame]]

#: Name of the bundled sample in the result of the demo.
DEMO = "demo"


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add(
        "predict",
        _predict,
        "recognize the emotion of a pair of frames, of a video, or of a whole manifest",
        "htnet predict onset.png apex.png --plot answer.png",
    )
    command.add_argument(
        "onset", nargs="?", help="onset frame: the neutral face; or, alone, a video or folder of frames"
    )
    command.add_argument("apex", nargs="?", help="apex frame: the strongest expression")
    command.add_argument("--manifest", help="CSV of samples, instead of a pair")
    command.add_argument(
        "--videos", nargs="+", metavar="VIDEO", help="video files, folders of frames, or folders of either"
    )
    command.add_argument(
        "--out", help="file to write, with --manifest or --videos: a table (.csv) or JSON lines (.jsonl)"
    )
    command.add_argument(
        "--skip-errors", action="store_true", help="with --manifest or --videos: list what cannot be read and continue"
    )
    _add_predict_options(command)
    add_video_options(command)
    add_engine(command)
    add_overwrite(command)

    command = add(
        "demo", _demo, "predict the bundled sample pair with the default weights", "htnet demo --out out/demo"
    )
    command.add_argument("--out", default="out/demo", help="folder for the result (default: %(default)s)")
    add_overwrite(command)


def _add_predict_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--weights", default=DEFAULT_WEIGHTS, help="trained weights: name, folder or owner/repo (default: %(default)s)"
    )
    command.add_argument(
        "--landmarks",
        help="yunet, yunet:MODEL.onnx, face-alignment, template (faces already cropped), or a .json or .csv "
        "file of points (default: yunet)",
    )
    add_bit_depth(command)
    add_face_option(command)
    add_sample_option(command)
    command.add_argument("--always", action="store_true", help="predict a class even if the frames show no expression")
    command.add_argument("--plot", help="save a figure of the prediction")
    command.add_argument("--report", metavar="FILE", help="write a self-contained HTML page")
    add_device(command)
    add_dtype(command)


def _predict(args: argparse.Namespace) -> None:
    from htnet.preprocess.video.open import FRAME_ENDINGS

    if args.manifest is not None or args.videos is not None:
        _predict_many(args)
        return
    alone = args.onset is not None and args.apex is None
    image = alone and as_path(args.onset).suffix.lower() in FRAME_ENDINGS and not os.path.isdir(args.onset)
    if args.onset is None or image:
        raise InputError(
            "Give an onset and an apex frame: htnet predict onset.png apex.png; or one video or folder of frames."
            + (hint(args.onset) if image else "")
        )
    if args.out is not None or args.skip_errors:
        raise InputError("--out and --skip-errors need --manifest or --videos; for two frames use --json and --plot.")
    if args.engine != "local" or args.address is not None:
        raise InputError("--engine and --address need --manifest or --videos.")
    inputs = (args.onset, args.apex, args.landmarks)
    check_outputs(args.report, pictures=[args.plot], overwrite=args.overwrite, inputs=inputs)
    if args.report is not None:
        from htnet.pipeline.page import check_name

        check_name(args.report)
    if not alone:
        _refuse_video_options(args)
    predictor = _predictor(args)
    prediction, frames = (_of_video if alone else _of_pair)(args, predictor)
    if args.plot:
        from htnet.pipeline.plots import plot_prediction

        plot_prediction(prediction, *frames(), args.plot, overwrite=args.overwrite)
    if args.report:
        from htnet.pipeline.prediction_report import write_prediction_report

        write_prediction_report(prediction, *frames(), args.report, spec=predictor.spec, overwrite=args.overwrite)
    if args.json:
        answer(args, prediction.to_dict())
        return
    _show(prediction)
    show_terms(prediction.model, prediction.license_expression)
    if args.plot:
        print(f"  picture: {args.plot}")
    if args.report:
        print(f"  report: {args.report}")


def _predictor(args: argparse.Namespace, manifest: Manifest | None = None) -> Predictor:
    from htnet.pipeline.predictor import Predictor

    landmarks = chosen_landmarks(args, manifest)
    return Predictor(
        args.weights,
        landmarks=landmarks,
        device=args.device,
        bit_depth=args.bit_depth,
        always=args.always,
        dtype=args.dtype,
    )


def _of_pair(args: argparse.Namespace, predictor: Predictor) -> tuple[Prediction, Pair]:
    from htnet.preprocess import read_pair

    frames = read_pair(args.onset, args.apex, args.bit_depth)
    return predictor.pair(*frames, sample=args.sample), lambda: frames


def _of_video(args: argparse.Namespace, predictor: Predictor) -> tuple[Prediction, Pair]:
    from htnet.pipeline.chosen import spot_video

    video = asked_video(args.onset, args)
    found = spot_video(video, chosen_landmarks(args), method=asked_method(args), sample=args.sample)

    def frames() -> tuple[Frame, Frame]:
        used = found.spotting.onset, found.spotting.apex
        taken = found.take(*used)
        return taken[used[0]], taken[used[1]]

    return predictor.spotted(found, args.sample), frames


def _refuse_video_options(args: argparse.Namespace, taken: Sequence[str] = ()) -> None:
    for name in VIDEO_OPTIONS:
        if getattr(args, name) is not None and name not in taken:
            raise InputError(f"--{name.replace('_', '-')} needs a single video or folder of frames.")


def _show(prediction: Prediction) -> None:
    show_warnings(prediction.warnings)
    print(f"{prediction.label}  ({prediction.model})")
    if prediction.expression is not None:
        below = f"  (below {EXPRESSION_THRESHOLD}: {NO_EXPRESSION})"
        print(f"  expression   {prediction.expression:.3f}{below}")
    show_probabilities(prediction.probabilities, 12)
    seen = [u for u in prediction.action_units if u.probability >= SHOWN_UNITS]
    for unit in sorted(seen, key=lambda u: -u.probability):
        print(f"  AU{unit.number:<3} {unit.name:<22} {unit.probability:.2f}  {SIDES[unit.side]}")
    if prediction.flow is not None:
        flow = prediction.flow.to_dict()
        sizes = f"mean {flow['mean_px']:.2f} px, largest {flow['max_px']:.2f} px"
        print(f"  flow on the {flow['face_size_px']} px face: {sizes}")
    if prediction.spotting is not None:
        show_spotting(prediction.spotting)


def _predict_many(args: argparse.Namespace) -> None:
    """Predict the samples of ``--manifest`` or the videos of ``--videos``."""
    from htnet.pipeline.export import check_table_name

    option = "--manifest" if args.videos is None else "--videos"
    if args.manifest is not None and args.videos is not None:
        raise InputError("Give either --manifest or --videos, not both.")
    if args.onset is not None or (args.out is None and not args.json):
        example = "--manifest M.csv" if args.videos is None else "--videos VIDEO VIDEO"
        raise InputError(f"Give either two frames, or {example} with --out P.csv, or with --json.")
    if args.plot is not None or args.report is not None:
        name = "--report" if args.plot is None else "--plot"
        raise InputError(f"{name} needs two frames or one video; {option} writes --out P.csv or P.jsonl.")
    if args.sample:
        raise InputError(f"--sample names a single pair or video; those of {option} have their own names.")
    _refuse_video_options(args, () if args.videos is None else ("method", "fps"))
    if args.out is not None:
        check_table_name(args.out)
    check_outputs(args.out, overwrite=args.overwrite, inputs=(args.manifest, *(args.videos or ()), args.landmarks))
    if args.videos is None:
        _predict_manifest(args)
    else:
        _predict_videos(args)


def _predict_videos(args: argparse.Namespace) -> None:
    from htnet.preprocess import list_videos

    errors: list[tuple[str, str]] = []

    def note(source: str, error: HtnetError) -> None:
        errors.append((source, str(error)))

    found, predictor = list_videos(args.videos), _predictor(args)
    predictions = predictor.videos(
        found,
        method=args.method,
        fps=args.fps,
        on_error=note if args.skip_errors else None,
        engine=args.engine,
        address=args.address,
    )
    _give(args, predictor, predictions, len(found), errors)


def _predict_manifest(args: argparse.Namespace) -> None:
    from htnet.core.identity import trained_doubts
    from htnet.data import read_manifest

    # Degenerate pairs get a prediction with a warning, as with a single pair.
    manifest = read_manifest(args.manifest, check_files=not args.skip_errors, degenerate="keep")
    predictor = _predictor(args, manifest)
    errors: list[tuple[str, str]] = []

    def note(sample: Any, error: HtnetError) -> None:
        errors.append((sample.sample, str(error)))

    model = predictor.model
    predictions = predictor.manifest(
        manifest, on_error=note if args.skip_errors else None, engine=args.engine, address=args.address
    )
    tested = [sample for sample in manifest if sample.label is not None]
    doubts = trained_doubts(model.trained_people, model.trained_datasets, tested) if tested else ()
    # Warnings about the whole set; those about single samples are stored with the samples.
    unknown = [f"{doubt.code}: {doubt.message}" for doubt in doubts if doubt.code == "trained_people_unknown"]
    _give(args, predictor, predictions, len(manifest), errors, unknown)


def _give(
    args: argparse.Namespace,
    predictor: Predictor,
    predictions: Iterable[Prediction],
    total: int,
    errors: list[tuple[str, str]],
    doubts: Sequence[str] = (),
) -> None:
    """Write many predictions to ``--out``, or print each on one line with ``--json`` and without a file."""
    from htnet.core.words import listed
    from htnet.pipeline.export import error_document, write_predictions

    doubted: dict[str, list[str]] = {}

    def seen(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        for prediction in predictions:
            for code in dict.fromkeys(warning.code for warning in prediction.warnings):
                doubted.setdefault(code, []).append(prediction.sample)
            yield prediction

    bar, model = progress_bar(seen(predictions), "predicting", total), predictor.model
    if args.out is None:
        count = 0
        for prediction in bar:
            answer(args, prediction.to_dict(), line=True)
            count += 1
        for sample, message in errors:
            answer(args, error_document(sample, message), line=True)
        args.answered = True  # even if there are no predictions
        _refuse_none_read(count, errors)
        return
    count = write_predictions(args.out, bar, model.labels, errors, units=model.action_units, overwrite=args.overwrite)
    _refuse_none_read(count, errors)
    for code, samples in sorted(doubted.items()):
        print(f"warning: {code}: {listed(samples)}; see the warnings in {args.out}")
    for doubt in doubts:
        print(f"warning: {doubt}")
    show_terms(predictor.name, model.license_expression)
    print(f"{count} predictions in {args.out}" + (f", {len(errors)} samples with errors" if errors else ""))
    if args.json:
        answer_done(args, args.out, predictions=count, errors=len(errors))


def _refuse_none_read(count: int, errors: Sequence[tuple[str, str]]) -> None:
    """Refuse input of which nothing could be read: a script that checks the exit status would go on without answers."""
    from htnet.core.words import counted

    if errors and not count:
        raise InputError(f"None of {counted(len(errors), 'sample')} could be read. The first: {errors[0][1]}")


def _demo(args: argparse.Namespace) -> None:
    from htnet.pipeline.predictor import Predictor

    sample = ASSETS / "sample"
    onset, apex = sample / "onset.png", sample / "apex.png"
    out = as_path(args.out, "--out")
    result, picture = out / "prediction.json", out / "prediction.png"
    # The output of an earlier demo is replaced.
    check_outputs(result, picture, overwrite=args.overwrite or _is_of_demo(result))
    prediction = Predictor().pair(onset, apex, sample / "landmarks.json", sample=DEMO)
    write_text(result, to_json(prediction.to_dict()))
    _show(prediction)
    print(f"  result: {result}")
    if can_draw():
        from htnet.pipeline.plots import plot_prediction

        plot_prediction(prediction, onset, apex, picture, overwrite=True)
        print(f"  picture: {picture}")
    if args.json:
        answer(args, prediction.to_dict())


def _is_of_demo(result: Path) -> bool:
    """Whether a file is the result of an earlier demo."""
    try:
        return bool(read_json(result)["sample"] == DEMO)
    except (OSError, ValueError, KeyError, TypeError):
        return False
