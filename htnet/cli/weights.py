"""``htnet convert``, ``htnet export``, ``htnet push`` and ``htnet list``."""

from __future__ import annotations

import argparse
import fnmatch
from pathlib import Path

from htnet.core.command_line import AddCommand, add_overwrite, answer, answer_done
from htnet.core.errors import InputError
from htnet.core.files import check_folder, check_outputs
from htnet.core.hints import hint
from htnet.core.schema import document
from htnet.core.words import in_bytes


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add(
        "convert",
        _convert,
        "convert a published checkpoint to a weights folder",
        "htnet convert checkpoint.pth weights/converted",
    )
    command.add_argument("checkpoint", help=".pth, .pt, .ckpt or .safetensors file")
    command.add_argument("out", help="weights folder")
    command.add_argument("--heads", type=int, help="number of attention heads, which tensor shapes do not determine")
    add_overwrite(command)
    command.add_argument(
        "--labels", help="classes in the order of the outputs, comma-separated (default: those in the checkpoint)"
    )
    command.add_argument(
        "--key", help="which weights to use if the file contains several, such as ema or state_dict.model"
    )

    command = add(
        "export", _export, "write trained weights as a file for other programs", "htnet export synthetic --out onnx"
    )
    command.add_argument("weights", help="a name from htnet list, a weights folder, or owner/repo")
    command.add_argument(
        "--format", choices=("onnx", "torch", "openvino"), default="onnx", help="file format (default: %(default)s)"
    )
    command.add_argument("--out", required=True, help="folder")
    command.add_argument("--maps", action="store_true", help="also output the model's maps")
    command.add_argument(
        "--optimize", action="store_true", help="write the fused form: smaller and faster, scores within 1e-4"
    )
    add_overwrite(command)

    command = add("push", _push, "publish weights on the Hub", "htnet push weights/mine owner/name --dry-run")
    command.add_argument("folder", nargs="?")
    command.add_argument("repository", nargs="?", help="owner/name, or a registered name such as casme3")
    command.add_argument(
        "--all",
        action="store_true",
        help="push all registered weights that exist locally; HTNET_HUB_NAMESPACE is the owner",
    )
    command.add_argument(
        "--trained",
        metavar="DIR",
        help="with --all: folder that contains the weights folders, each under its name (default: weights)",
    )
    command.add_argument(
        "--private", action="store_true", help="into private repositories only; new ones are created as private"
    )
    command.add_argument("--dry-run", action="store_true", help="print what would be uploaded, but upload nothing")

    command = add("list", _list, "list models and pretrained weights", "htnet list 'synthetic*'")
    command.add_argument("pattern", nargs="?", default="*")


def _convert(args: argparse.Namespace) -> None:
    from htnet.hub import save_pretrained
    from htnet.hub.folder import FILES, check_weights_folder
    from htnet.models import HTNet
    from htnet.models.converters.convert import converted_checkpoint

    check_weights_folder(args.out, overwrite=args.overwrite)
    check_outputs(*(Path(args.out) / name for name in FILES), overwrite=True, inputs=(args.checkpoint,))
    labels = None if args.labels is None else [name.strip() for name in args.labels.split(",")]
    model, told = converted_checkpoint(args.checkpoint, args.heads, args.key, labels)
    save_pretrained(
        model,
        args.out,
        training={"source": f"converted from {Path(args.checkpoint).name}; {told}"},
        overwrite=args.overwrite,
    )
    config = {k: v for k, v in model.config.to_dict().items() if k not in ("mean", "std")}
    print(f"{type(model).__name__} {config}")
    print(told)
    if isinstance(model, HTNet) and model.attention_is_trivial:
        print("one token per block: attention is trivial and the number of heads does not matter")
    print(f"weights in {args.out}")
    if args.json:
        answer_done(args, args.out, architecture=model.name, config=config, checkpoint=told)


def _export(args: argparse.Namespace) -> None:
    from htnet.acceleration import OptimizedModel, optimize
    from htnet.hub import export_model, load_pretrained
    from htnet.hub.exporting import FORMATS, METADATA_FILE

    check_folder(args.out, (*FORMATS[args.format], METADATA_FILE), overwrite=args.overwrite)
    model = load_pretrained(args.weights)
    if args.optimize and not isinstance(model, OptimizedModel):
        model = optimize(model)
    path = export_model(model, args.out, args.format, maps=args.maps, overwrite=args.overwrite)
    print(f"{model.name} in {path}")
    if model.license:
        print(f"terms: {model.license}")
    if args.json:
        answer_done(args, path, model=model.name, format=args.format)


def _push(args: argparse.Namespace) -> None:
    from htnet.hub import plan_push, push_to_hub

    if args.all:
        _push_all(args)
        return
    if args.folder is None or args.repository is None or args.trained is not None:
        raise InputError(
            "Give a weights folder and its repository: htnet push weights/mine owner/name; or --all, with --trained "
            "DIR if the weights folders are not in the folder weights."
        )
    if args.dry_run:
        plan = plan_push(args.folder, args.repository)
        print("\n".join(["nothing is uploaded; this would be:", *plan.lines()]))
        if args.json:
            answer_done(args, uploads=[plan.to_dict()])
        return
    commit = push_to_hub(args.folder, args.repository, private=args.private or None)
    print(f"published as {args.repository}, commit {commit}")
    if args.json:
        answer_done(args, repository=args.repository, commit=commit)


def _push_all(args: argparse.Namespace) -> None:
    from htnet.hub import find_pretrained, plan_all
    from htnet.hub.publish import carry_out

    if args.folder is not None:
        raise InputError(f"--all publishes all registered weights; leave {args.folder} out.")
    plans = plan_all("weights" if args.trained is None else args.trained)
    here = {name: plan for name, plan in plans.items() if plan is not None}
    absent = [name for name, plan in plans.items() if plan is None]
    commits: dict[str, str] = {}
    if args.dry_run:
        print("\n".join(["nothing is uploaded; this would be:", *(line for p in here.values() for line in p.lines())]))
    else:
        for name, plan in here.items():
            commits[name] = str(carry_out(plan, private=args.private or None).oid)
            print(f"published as {plan.repo_id}, commit {commits[name]}")
    for name in absent:
        spec = find_pretrained(name)
        first = spec.commands[0] if spec is not None and spec.commands else ""
        print(f"not found: {name}" + (f"; to train it, start with: {first}" if first else ""))
    if args.json:
        uploads = [{**plan.to_dict(), "commit": commits.get(name)} for name, plan in here.items()]
        answer_done(args, uploads=uploads, absent=absent)


def _list(args: argparse.Namespace) -> None:
    from htnet.hub import list_pretrained
    from htnet.models import get_entry, list_models

    models = {name: get_entry(name).description for name in list_models(args.pattern)}
    weights = [spec for spec in list_pretrained() if fnmatch.fnmatch(spec.name, args.pattern)]
    if args.json:
        content = {
            "models": [{"architecture": name, "description": text} for name, text in models.items()],
            "weights": [
                {
                    "weights": spec.name,
                    "description": spec.description,
                    "state": spec.state,
                    "architecture": spec.model,
                    "bytes": spec.size,
                    "metrics": dict(spec.metrics),
                    "leaking_metrics": dict(spec.leaking_metrics),
                    "license": spec.license_expression,
                    "terms": spec.license,
                }
                for spec in weights
            ],
        }
        answer(args, document("htnet.list", content))
        return
    if not models and not weights:
        raise InputError(
            f"No model or weights match {args.pattern!r}. htnet list without a pattern lists all; a pattern may "
            f"contain * and ?.{hint(args.pattern)}"
        )
    print("models")
    for name, text in models.items():
        print(f"  {name:<22} {text}")
    print("weights")
    for spec in weights:
        print(f"  {spec.name:<22} {spec.description} [{spec.state}]")
        size = [] if spec.size is None else [in_bytes(spec.size)]
        score = [f"{what} {value:.3f}" for what, value in list(spec.metrics.items())[:1]]
        leaking = [f"{what} {value:.3f} (leaks)" for what, value in list(spec.leaking_metrics.items())[:1]]
        print(" " * 25 + "; ".join((*size, *score, *leaking, spec.license)))
