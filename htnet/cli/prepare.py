"""``htnet prepare``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htnet.cli.landmarks import chosen_landmarks
from htnet.core.command_line import (
    HEAD_MOTION_HELP,
    AddCommand,
    add_bit_depth,
    add_engine,
    add_face_option,
    add_overwrite,
    answer,
    asked_workers,
    described,
)
from htnet.core.files import refuse_same_folder
from htnet.core.official import OFFICIAL
from htnet.core.progress import progress_bar
from htnet.core.types import FLOW_METHODS, HEAD_MOTIONS
from htnet.core.words import counted

if TYPE_CHECKING:
    from htnet.data import Manifest

#: Full names of the data sets with an official layout, `htnet.data.DATASETS`.
TITLES = {known.name: known.title for known in OFFICIAL}
#: The data sets in the composite.
PARTS = ("casme2", "samm", "smic")
#: What to do instead of giving an option that does not apply.
_INSTEAD = {
    "--root": "give --casme2, --samm and --smic",
    "--annotation": "composite takes --casme2-annotation, --samm-annotation and --smic-annotation, a manifest none",
    "--classes": "the composite has three classes, and a manifest has the labels written in it",
    "--no-apex": "a manifest states its apex frames",
    "--label": "it is for casme3; other data sets take --classes 3 or --classes own",
    "--keep": "it is for composite",
    **{f"--{name}": "it is for composite; give --root" for name in PARTS},
    **{f"--{name}-annotation": "it is for composite; data sets take --annotation" for name in PARTS},
}


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    example = "htnet prepare {} --root {} --out {}-flow"
    command = add(
        "prepare",
        _prepare,
        "compute the flow images of a data set once",
        example.format("manifest", "samples.csv", "samples"),
    )
    kinds = command.add_subparsers(dest="kind", required=True, metavar="SET")

    def add_kind(name: str, text: str, shown: str) -> argparse.ArgumentParser:
        return kinds.add_parser(name, help=text, **described(f"Compute flow images: {text}.", shown))

    for name, title in TITLES.items():
        kind = add_kind(name, f"{title} in its official layout", example.format(name, name.upper(), name))
        kind.add_argument("--root", required=True, help="folder of the data set")
        kind.add_argument("--annotation", help="annotation sheet, .xlsx, .xls or .csv (default: the one found in ROOT)")
        labels = kind.add_mutually_exclusive_group()
        labels.add_argument(
            "--classes", choices=["3", "own"], help="the 3 of MEGC 2019, or the data set's own (default: 3)"
        )
        if name == "casme3":
            labels.add_argument(
                "--label", choices=["label_for_3", "label_for_7"], help="column of the annotation *edited.csv"
            )
        _add_apex(kind)
        _add_common(
            kind, "--root", "--annotation", "--classes", "--no-apex", *(["--label"] if name == "casme3" else [])
        )

    kind = add_kind(
        "composite",
        "CASME II, SAMM and SMIC as one set, 3 classes (MEGC 2019)",
        "htnet prepare composite --casme2 CASME2 --samm SAMM --smic SMIC --out composite-flow",
    )
    for name in PARTS:
        kind.add_argument(f"--{name}", required=True, metavar="DIR", help=f"folder of {TITLES[name]}")
    for name in PARTS:
        kind.add_argument(f"--{name}-annotation", metavar="FILE", help="its annotation sheet, if not in that folder")
    kind.add_argument(
        "--keep",
        metavar="FILE",
        help="CSV that lists the samples, or the list of MEGC 2019 without a header (default: the 442)",
    )
    _add_apex(kind)
    _add_common(kind, "--keep", "--no-apex", *(f"--{name}{end}" for name in PARTS for end in ("", "-annotation")))

    kind = add_kind(
        "manifest", "your own frames, listed in a manifest", example.format("manifest", "samples.csv", "samples")
    )
    kind.add_argument("--root", required=True, help="manifest CSV, or a folder that contains one")
    _add_common(kind, "--root")


def _add_apex(kind: argparse.ArgumentParser) -> None:
    text = "for samples without an annotated apex: use the middle frame, or leave them out (default: %(default)s)"
    kind.add_argument("--no-apex", choices=["middle", "exclude"], default="middle", help=text)


def _add_common(kind: argparse.ArgumentParser, *fitting: str) -> None:
    """Add the options of all kinds, and refuse options that apply only to other kinds with a specific message."""
    kind.add_argument("--out", required=True, help="folder for flow, landmarks, manifest and report")
    add_overwrite(kind)
    kind.add_argument("--landmarks", default="yunet", help="see predict --landmarks (default: %(default)s)")
    add_face_option(kind)
    add_bit_depth(kind)
    kind.add_argument("--flow", choices=FLOW_METHODS, default="tvl1", help="flow method (default: %(default)s)")
    kind.add_argument("--head-motion", choices=HEAD_MOTIONS, default="none", help=HEAD_MOTION_HELP)
    kind.add_argument("--clahe", action="store_true", help="equalize the contrast of the faces before computing flow")
    kind.add_argument(
        "--clip-frames",
        type=int,
        default=0,
        metavar="N",
        help="also write motion features of each clip at N time points, e.g. 16",
    )
    kind.add_argument("--workers", type=int, help="processes (default: one per core, at most 8)")
    add_engine(kind)
    kind.add_argument(
        "--skip-errors",
        action="store_true",
        help="manifest: list missing and bad samples and continue; data sets always do",
    )
    for option in _INSTEAD:
        if option not in fitting:
            kind.add_argument(option, action=_Misfit)


class _Misfit(argparse.Action):
    """An option of another kind, refused with a message on what to give instead."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(
            option_strings, argparse.SUPPRESS, nargs="?", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        parser.error(f"{option} does not apply here: {_INSTEAD[str(option)]}")


def _prepare(args: argparse.Namespace) -> None:
    from htnet.core.types import PreprocessSpec
    from htnet.data.prepare import REPORT_FILE, prepare, read_report

    workers = asked_workers(args)
    motion: dict[str, Any] = {"clip_frames": args.clip_frames} if args.clip_frames else {}
    spec = PreprocessSpec(flow=args.flow, head_motion=args.head_motion, clahe=args.clahe, **motion)
    roots = [getattr(args, name) for name in PARTS] if args.kind == "composite" else [args.root]
    refuse_same_folder(args.out, *roots)
    manifest = _read(args)
    prepare(
        manifest,
        args.out,
        spec,
        chosen_landmarks(args, manifest),
        motion=bool(motion),
        workers=workers,
        engine=args.engine,
        address=args.address,
        bit_depth=args.bit_depth,
        # The report lists the errors.
        on_error=None if args.kind == "manifest" and not args.skip_errors else lambda sample, error: None,
        progress=lambda samples: progress_bar(samples, "preparing", total=len(manifest)),
        overwrite=args.overwrite,
    )
    report = read_report(args.out)
    print(f"{counted(report.prepared, 'sample')} prepared in {args.out}, {report.left_out} left out")
    counts = ", ".join(f"{name} {count}" for name, count in report.classes.items())
    print(f"  {counts}; {report.subjects} subjects")
    if notes := report.text():
        print(notes)
    print(f"  report: {Path(args.out) / REPORT_FILE}")
    if args.json:
        answer(args, report.to_dict())


def _read(args: argparse.Namespace) -> Manifest:
    from htnet.data import merge_composite, open_data, read_casme3, read_dataset

    if args.kind == "manifest":
        lenient = {"check_files": False, "degenerate": "skip"} if args.skip_errors else {}
        return open_data(args.root, **lenient)
    if args.kind == "composite":
        options = vars(args)
        casme2, samm, smic = (
            read_dataset(
                name, options[name], annotation=options[f"{name}_annotation"], missing="skip", no_apex=args.no_apex
            )
            for name in PARTS
        )
        return merge_composite(casme2, samm, smic, keep=args.keep)
    if args.kind == "casme3" and args.label is not None:
        return read_casme3(args.annotation, args.root, label=args.label, missing="skip", no_apex=args.no_apex)
    return read_dataset(
        args.kind,
        args.root,
        annotation=args.annotation,
        classes=args.classes or "3",
        missing="skip",
        no_apex=args.no_apex,
    )
