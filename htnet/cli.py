"""The ``htnet`` command."""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from htnet import __version__
from htnet.errors import HtnetError, InputError
from htnet.types import LAYOUTS, REGION_POINTS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except (HtnetError, OSError) as error:
        print(f"htnet {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="htnet", description="Facial micro-expression recognition.")
    parser.add_argument("--version", action="version", version=f"htnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        description = text[0].upper() + text[1:] + "."
        # Abbreviated options would change their meaning whenever an option is added.
        command = commands.add_parser(name, help=text, description=description, allow_abbrev=False)
        command.set_defaults(run=run)
        return command

    command = add("predict", _predict, "recognise the emotion of a pair of frames, or of a whole manifest")
    command.add_argument("onset", nargs="?", help="onset frame: the neutral face")
    command.add_argument("apex", nargs="?", help="apex frame: the strongest expression")
    command.add_argument("--manifest", help="CSV of samples, in place of a pair")
    command.add_argument("--out", help="CSV to write, with --manifest")
    command.add_argument("--skip-errors", action="store_true", help="with --manifest: list bad samples and go on")
    _add_predict_options(command)

    command = add("demo", _demo, "recognise the bundled sample pair")
    command.add_argument("--out", default="out/demo", help="folder for the result (default: %(default)s)")

    command = add("loso", _loso, "leave-one-subject-out evaluation")
    _add_data_options(command)
    command.add_argument("--out", help="run folder (default: runs/loso-MODEL-RECIPE)")
    command.add_argument(
        "--protocol",
        nargs="+",
        default=["last"],
        metavar="P",
        help="last (default), nested, best_on_test (leaks; to compare with papers)",
    )
    command.add_argument("--seeds", type=int, default=1, help="number of seeds (default: %(default)s)")
    command.add_argument("--jobs", type=int, help="processes (default: one a core, at most 8)")

    command = add("train", _train, "train on a whole manifest into a weights folder")
    _add_data_options(command)
    command.add_argument("--out", required=True, help="weights folder")
    command.add_argument("--seed", type=int, default=0, help="seed (default: %(default)s)")
    command.add_argument("--metrics", help="summary.json of a LOSO run with the same recipe, for the card")

    command = add("prepare", _prepare, "compute the flow images of a data set once")
    command.add_argument("kind", choices=["casme3", "manifest"], help="layout of the data set")
    command.add_argument("--root", required=True, help="folder of the images, or the manifest CSV")
    command.add_argument("--annotation", help="annotation CSV (default: the one found in ROOT)")
    command.add_argument("--label", default="label_for_3", choices=["label_for_3", "label_for_7"])
    command.add_argument("--out", required=True, help="folder for flow, landmarks and manifest")
    command.add_argument("--landmarks", default="yunet", help="see predict --landmarks (default: %(default)s)")
    command.add_argument("--flow", choices=["tvl1", "farneback", "dis"], default="tvl1")
    command.add_argument("--skip-errors", action="store_true", help="list missing and bad samples and go on")

    command = add("convert", _convert, "turn a published HTNet or STSTNet checkpoint into a weights folder")
    command.add_argument("checkpoint", help=".pth file")
    command.add_argument("out", help="weights folder")
    command.add_argument("--heads", type=int, help="attention heads; tensor shapes do not tell them")

    command = add("push", _push, "publish a weights folder on the Hub")
    command.add_argument("folder")
    command.add_argument("repository", help="owner/name, or a registered name such as casme3")
    command.add_argument("--private", action="store_true")

    command = add("list", _list, "list models and pretrained weights")
    command.add_argument("pattern", nargs="?", default="*")
    return parser


def _add_predict_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model", default="composite", help="weights: name, folder or owner/repo (default: %(default)s)"
    )
    command.add_argument(
        "--landmarks",
        default="yunet",
        help="yunet, yunet:MODEL.onnx, face-alignment, template (faces already cropped), or a .json or .csv "
        "file of points (default: %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--plot", help="save a picture")
    command.add_argument("--device", default="cpu")


def _add_data_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, help="manifest CSV, or a folder in a published layout")
    command.add_argument("--model", default="htnet_small", help="model (default: %(default)s)")
    command.add_argument("--recipe", default="default", help="default, reference, or a .json file")
    command.add_argument("--epochs", type=int, help="overrides the recipe's")
    command.add_argument("--layout", choices=LAYOUTS, help="regions the model sees (default: the model's)")
    command.add_argument("--region-points", choices=REGION_POINTS, help="where regions are cut")
    command.add_argument("--landmarks", help="points of the samples: a .csv or .json file, or yunet for frames")
    command.add_argument(
        "--landmarks-size", type=float, help="side of the images a file's points are in, px, if not the flow image's"
    )
    command.add_argument("--device", default="cpu")


def _predict(args: argparse.Namespace) -> None:
    from htnet.export import prediction_to_dict
    from htnet.pipeline import Predictor

    if args.manifest is not None:
        if args.onset is not None or args.out is None:
            raise InputError("Give either two frames, or --manifest M.csv with --out P.csv.")
        if args.plot or args.json:
            raise InputError("--plot and --json go with two frames; --manifest writes a CSV.")
        _predict_manifest(args)
        return
    if args.onset is None or args.apex is None:
        raise InputError("Give an onset and an apex frame: htnet predict onset.png apex.png")
    if args.out is not None or args.skip_errors:
        raise InputError("--out and --skip-errors go with --manifest; for two frames use --json and --plot.")
    predictor = Predictor(args.model, landmarks=args.landmarks, device=args.device)
    prediction = predictor.pair(args.onset, args.apex)
    if args.plot:
        from htnet.plots import plot_prediction

        plot_prediction(prediction, args.onset, args.apex, args.plot)
    if args.json:
        print(json.dumps(prediction_to_dict(prediction), indent=1))
        return
    _show(prediction)
    if args.plot:
        print(f"  picture: {args.plot}")


def _show(prediction: Any) -> None:
    from htnet.export import prediction_to_dict

    found = prediction_to_dict(prediction)
    print(f"{prediction.label}  ({prediction.model})")
    for name, value in prediction.probabilities.items():
        print(f"  {name:<12} {value:.3f}  {'#' * round(40 * value)}")
    if "flow" in found:
        flow = found["flow"]
        sizes = f"mean {flow['mean_px']:.2f} px, largest {flow['max_px']:.2f} px"
        print(f"  flow on the {flow['face_size']} px face: {sizes}")


def _predict_manifest(args: argparse.Namespace) -> None:
    from htnet.data import read_manifest
    from htnet.export import write_predictions
    from htnet.pipeline import Predictor

    predictor = Predictor(args.model, landmarks=args.landmarks, device=args.device)
    if Path(args.out).resolve() == Path(args.manifest).resolve():
        raise InputError(f"--out {args.out} is the manifest itself. Choose another file.")
    manifest = read_manifest(args.manifest, check_files=not args.skip_errors)
    errors: list[tuple[str, str]] = []

    def note(sample: Any, error: HtnetError) -> None:
        errors.append((sample.sample, str(error)))

    predictions = predictor.manifest(manifest, on_error=note if args.skip_errors else None)
    bar = _bar(predictions, "predicting", len(manifest))
    count = write_predictions(args.out, bar, predictor.model.labels, errors)
    print(f"{count} predictions in {args.out}" + (f", {len(errors)} samples with errors" if errors else ""))


def _demo(args: argparse.Namespace) -> None:
    from htnet.export import prediction_to_dict
    from htnet.pipeline import Predictor

    sample = Path(__file__).parent / "assets" / "sample"
    onset, apex = sample / "onset.png", sample / "apex.png"
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    prediction = Predictor("composite").pair(onset, apex, sample / "landmarks.json", sample="demo")
    (out / "prediction.json").write_text(json.dumps(prediction_to_dict(prediction), indent=1) + "\n", "utf-8")
    _show(prediction)
    print(f"  result: {out / 'prediction.json'}")
    if find_spec("matplotlib") is None:
        print("  no picture: that needs matplotlib (pip install 'htnet[plots]')")
        return
    from htnet.plots import plot_prediction

    print(f"  picture: {plot_prediction(prediction, onset, apex, out / 'prediction.png')}")


def _load(args: argparse.Namespace) -> tuple[Any, Any, Any, Any]:
    """Manifest, recipe, spec and landmarker that the data options name."""
    import dataclasses

    from htnet.data import open_data
    from htnet.models import get_entry
    from htnet.optional import usable_device
    from htnet.prepare import resolve_spec
    from htnet.preprocess import PrecomputedLandmarks, make_landmarker
    from htnet.training import get_recipe

    if args.landmarks_size is not None and args.landmarks is None:
        raise InputError("--landmarks-size says in what the points of --landmarks FILE are measured. Give both.")
    usable_device(args.device)
    recipe = get_recipe(args.recipe, **({"epochs": args.epochs} if args.epochs is not None else {}))
    spec = resolve_spec(args.data, get_entry(args.model).spec)
    changes = {"layout": args.layout, "region_points": args.region_points}
    spec = dataclasses.replace(spec, **{k: v for k, v in changes.items() if v is not None})
    manifest = open_data(args.data)
    landmarker: Any = None
    if args.landmarks is not None and args.landmarks_size is not None:
        landmarker = PrecomputedLandmarks(args.landmarks, scale=spec.size / args.landmarks_size)
    elif args.landmarks is not None:
        landmarker = make_landmarker(args.landmarks)
    return manifest, recipe, spec, landmarker


def _loso(args: argparse.Namespace) -> None:
    from htnet.evaluation import loso

    manifest, recipe, spec, landmarker = _load(args)
    result = loso(
        manifest,
        args.model,
        recipe,
        out=args.out or f"runs/loso-{args.model}-{recipe.name}",
        protocols=args.protocol,
        seeds=args.seeds,
        spec=spec,
        landmarker=landmarker,
        jobs=args.jobs,
        device=args.device,
    )
    print(f"UF1 / UAR, mean of {args.seeds} seed(s), {len(manifest)} samples, {len(manifest.subjects)} subjects")
    print(result.table())
    _say_cut(result.cut_counts, spec)
    print(f"files: {result.root / 'summary.json'}, {result.root / 'predictions.csv'}")


def _train(args: argparse.Namespace) -> None:
    from huggingface_hub.utils import tqdm

    from htnet.training import load_flow_set, train_weights

    manifest, recipe, spec, landmarker = _load(args)
    training: dict[str, Any] = {}
    if args.metrics is not None:
        training["metrics"] = _read_metrics(args.metrics)
    data = load_flow_set(manifest, spec, landmarker, lambda s: _bar(s, "reading"))
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
            training=training,
            on_epoch=tick,
        )
    _say_cut(data.cut_counts(), spec)
    print(f"weights in {args.out}; use them with: htnet predict onset.png apex.png --model {args.out}")


def _say_cut(counts: dict[str, int], spec: Any) -> None:
    """Say so where samples without landmarks were cut at the template's points."""
    if spec.region_points == "landmarks" and counts.get("template"):
        print(
            f"{counts['template']} of {sum(counts.values())} samples have no landmarks: their regions were cut at the "
            "template's points"
        )


def _read_metrics(path: str) -> dict[str, float]:
    """UF1 and UAR of the honest protocols in a LOSO summary, for the card."""
    try:
        summary = json.loads(Path(path).read_text("utf-8"))
        return {
            f"LOSO {protocol}, {group}, {metric}": scores[metric]
            for protocol, entry in summary["protocols"].items()
            if not entry["leaks"]
            for group, scores in entry["mean"].items()
            for metric in ("uf1", "uar")
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no summary.json of htnet loso ({error!r}).") from error


def _prepare(args: argparse.Namespace) -> None:
    from htnet.data import open_data, read_casme3
    from htnet.prepare import prepare
    from htnet.preprocess import make_landmarker
    from htnet.types import PreprocessSpec

    if args.kind == "casme3":
        missing = "skip" if args.skip_errors else "raise"
        manifest = read_casme3(args.annotation, args.root, label=args.label, missing=missing)
    else:
        manifest = open_data(args.root, check_files=not args.skip_errors)
    failed: list[str] = [f"{name}: files missing" for name in manifest.skipped]

    def note(sample: Any, error: HtnetError) -> None:
        failed.append(str(error))

    done = prepare(
        manifest,
        args.out,
        PreprocessSpec(flow=args.flow),
        make_landmarker(args.landmarks),
        on_error=note if args.skip_errors else None,
        progress=lambda s: _bar(s, "preparing"),
    )
    print(f"{len(done)} samples prepared in {args.out}, {len(failed)} left out")
    for line in failed:
        print(f"  {line}")


def _convert(args: argparse.Namespace) -> None:
    from htnet.hub import save_pretrained
    from htnet.models import HTNet, convert_checkpoint
    from htnet.types import PreprocessSpec

    model = convert_checkpoint(args.checkpoint, heads=args.heads)
    if isinstance(model, HTNet):
        size = model.config.image_size
        model.preprocess_spec = PreprocessSpec(layout="reference", region_points="landmarks", size=size)
    else:
        model.preprocess_spec = PreprocessSpec(layout="whole", size=model.config.image_size)
    save_pretrained(
        model, args.out, training={"source": f"converted from {Path(args.checkpoint).name}", "licence": "not stated"}
    )
    config = {k: v for k, v in model.config.to_dict().items() if k not in ("mean", "std")}
    print(f"{type(model).__name__} {config}")
    if isinstance(model, HTNet) and model.attention_is_trivial:
        print("one token a block: attention is trivial and the number of heads does not matter")
    print(f"weights in {args.out}")


def _push(args: argparse.Namespace) -> None:
    from htnet.hub import push_to_hub

    commit = push_to_hub(args.folder, args.repository, private=args.private)
    print(f"published as {args.repository}, commit {commit}")


def _list(args: argparse.Namespace) -> None:
    from htnet.hub import list_pretrained
    from htnet.models import get_entry, list_models

    print("models")
    for name in list_models(args.pattern):
        print(f"  {name:<16} {get_entry(name).description}")
    print("weights")
    for spec in [s for s in list_pretrained() if fnmatch.fnmatch(s.name, args.pattern)]:
        state = "bundled" if spec.bundled else "on the Hub" if spec.published else "not published yet"
        print(f"  {spec.name:<16} {spec.description} [{state}]")


def _bar(items: Iterable[Any], text: str, total: int | None = None) -> Iterable[Any]:
    from huggingface_hub.utils import tqdm

    return tqdm(items, desc=text, unit="sample", total=total)


if __name__ == "__main__":
    sys.exit(main())
