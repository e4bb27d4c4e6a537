"""``htnet spot``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from htnet.cli.options import AddCommand, add_overwrite, show_warnings
from htnet.overwrite import check_outputs
from htnet.schema import to_json

if TYPE_CHECKING:
    from htnet.types import Spotting

#: Not imported from htnet.preprocess, so that the command starts quickly.
METHODS = ("peak", "divide_and_conquer")


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add("spot", _spot, "find onset, apex and offset of the expression in a video")
    command.add_argument("video", help="video file, or folder of frames")
    command.add_argument("--landmarks", default="yunet", help="see predict --landmarks (default: %(default)s)")
    add_video_options(command)
    command.add_argument("--plot", help="save a picture of the curve")
    command.add_argument("--csv", help="save the curve: frame, time_s, magnitude and each region")
    command.add_argument("--json", action="store_true", help="print JSON")
    add_overwrite(command)


def add_video_options(command: argparse.ArgumentParser) -> None:
    """Options of every command that reads a video."""
    command.add_argument("--method", choices=METHODS, help="how to search for the apex (default: peak)")
    command.add_argument("--fps", type=float, help="frames a second (default: that of the file)")
    command.add_argument("--stop", type=int, help="read only the frames before this number, e.g. a damaged one")


def _spot(args: argparse.Namespace) -> None:
    from htnet.export import write_curve
    from htnet.preprocess import open_video, spot

    check_outputs(args.csv, args.plot, overwrite=args.overwrite, inputs=(args.video, args.landmarks))
    video = open_video(args.video, fps=args.fps, stop=args.stop)
    spotting = spot(video, args.landmarks, method=args.method or METHODS[0])
    if args.csv:
        write_curve(args.csv, spotting, overwrite=args.overwrite)
    if args.plot:
        from htnet.plots import plot_spotting

        plot_spotting(spotting, args.plot, overwrite=args.overwrite)
    if args.json:
        print(to_json(spotting.to_dict()), end="")
        return
    show_warnings((*spotting.landmarks.warnings, *spotting.warnings))
    print(f"{args.video}: {len(spotting.curve)} frames" + (f", {spotting.fps:g} a second" if spotting.fps else ""))
    show_spotting(spotting)
    for name, path in (("curve", args.csv), ("picture", args.plot)):
        if path:
            print(f"  {name}: {path}")


def show_spotting(spotting: Spotting) -> None:
    """Print frame numbers, times and confidence."""
    for name in ("onset", "apex", "offset"):
        number = getattr(spotting, name)
        time = spotting.time(number)
        print(f"  {name:<12} frame {number}" + ("" if time is None else f" ({time:.3f} s)"))
    print(f"  {'confidence':<12} {spotting.confidence:.2f}")
