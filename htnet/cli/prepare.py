"""``htnet prepare``."""

from __future__ import annotations

import argparse
from typing import Any

from htnet.cli.options import AddCommand, progress_bar
from htnet.errors import HtnetError


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add("prepare", _prepare, "compute the flow images of a data set once")
    command.add_argument("kind", choices=["casme3", "manifest"], help="layout of the data set")
    command.add_argument("--root", required=True, help="folder of the images, or the manifest CSV")
    command.add_argument("--annotation", help="annotation CSV (default: the one found in ROOT)")
    command.add_argument("--label", default="label_for_3", choices=["label_for_3", "label_for_7"])
    command.add_argument("--out", required=True, help="folder for flow, landmarks and manifest")
    command.add_argument("--landmarks", default="yunet", help="see predict --landmarks (default: %(default)s)")
    command.add_argument("--flow", choices=["tvl1", "farneback", "dis"], default="tvl1")
    command.add_argument("--skip-errors", action="store_true", help="list missing and bad samples and go on")


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
        progress=lambda s: progress_bar(s, "preparing"),
    )
    print(f"{len(done)} samples prepared in {args.out}, {len(failed)} left out")
    for line in failed:
        print(f"  {line}")
