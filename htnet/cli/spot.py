"""``htnet spot``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from htnet.cli.landmarks import chosen_landmarks
from htnet.core.command_line import (
    AddCommand,
    add_bit_depth,
    add_face_option,
    add_overwrite,
    add_sample_option,
    answer,
    moment,
    show_warnings,
)
from htnet.core.errors import InputError
from htnet.core.files import check_outputs

if TYPE_CHECKING:
    from htnet.core.types import Spotting
    from htnet.preprocess import Video

#: Not imported from htnet.preprocess, so that the command starts quickly.
METHODS = ("peak", "divide_and_conquer")
#: Warning for a recording in which no expression was found.
NO_EVENT = "no_event"


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add(
        "spot",
        _spot,
        "find onset, apex and offset of the expression with the highest confidence in a video",
        "htnet spot clip.mp4 --plot curve.png",
    )
    command.add_argument("video", help="video file, or folder of frames")
    command.add_argument("--landmarks", default="yunet", help="see predict --landmarks (default: %(default)s)")
    add_bit_depth(command)
    add_face_option(command)
    add_sample_option(command)
    add_video_options(command)
    command.add_argument("--plot", help="save a figure of the curve")
    command.add_argument("--csv", help="save the curve: frame, time_s, magnitude and each region")
    add_overwrite(command)


def add_video_options(command: argparse.ArgumentParser) -> None:
    """Add the options of every command that reads a video."""
    command.add_argument("--method", choices=METHODS, help="search method for the apex (default: peak)")
    command.add_argument(
        "--fps", type=float, help="frames per second, at a constant rate (default: the time stamps of the file)"
    )
    first, last = "start of the part of the video to search", "end of this part, inclusive"
    command.add_argument("--from-time", type=moment, metavar="T", help=f"{first}: seconds or MM:SS")
    command.add_argument("--to-time", type=moment, metavar="T", help=f"{last}: seconds or MM:SS")
    command.add_argument("--from-frame", type=int, metavar="N", help=f"{first}: number of a frame, from 0")
    command.add_argument("--to-frame", type=int, metavar="N", help=f"{last}: number of a frame, from 0")


#: Options of `add_video_options`, for commands that must refuse them for other inputs.
VIDEO_OPTIONS = ("method", "fps", "from_time", "to_time", "from_frame", "to_frame")


def asked_video(source: str, args: argparse.Namespace) -> Video:
    """Open a video, or the part of it that the options name."""
    from htnet.preprocess import open_video

    part = {
        "from_time": args.from_time,
        "to_time": args.to_time,
        "from_frame": args.from_frame,
        "to_frame": args.to_frame,
    }
    return open_video(source, fps=args.fps, bit_depth=args.bit_depth, **part)


def asked_method(args: argparse.Namespace) -> str | None:
    """The search method for a clip.

    None if neither a method nor a part of the video was given; a long video is then analyzed as a recording.
    """
    part = any(getattr(args, name) is not None for name in VIDEO_OPTIONS if name not in ("fps", "method"))
    return args.method or (METHODS[0] if part else None)


def _spot(args: argparse.Namespace) -> None:
    from htnet.pipeline.chosen import spot_video
    from htnet.pipeline.export import write_curve

    check_outputs(args.csv, pictures=[args.plot], overwrite=args.overwrite, inputs=(args.video, args.landmarks))
    video = asked_video(args.video, args)
    found = spot_video(video, chosen_landmarks(args), method=asked_method(args), sample=args.sample)
    spotting = found.spotting
    if not found.found:
        said = next(warning.message for warning in spotting.warnings if warning.code == NO_EVENT)
        raise InputError(f"{said} To search a part of it, give --from-time and --to-time.")
    if args.csv:
        write_curve(args.csv, spotting, overwrite=args.overwrite)
    if args.plot:
        from htnet.pipeline.plots import plot_spotting

        plot_spotting(spotting, args.plot, overwrite=args.overwrite)
    if args.json:
        answer(args, spotting.to_dict())
        return
    show_warnings((*spotting.landmarks.warnings, *spotting.warnings))
    begin = f", from frame {spotting.first}" if spotting.first else ""
    rate = f", {spotting.fps:g} per second" if spotting.fps else ""
    print(f"{args.video}: {len(spotting.curve)} frames{begin}{rate}")
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
    sure = "unknown: too few frames" if spotting.confidence is None else f"{spotting.confidence:.2f}"
    print(f"  {'confidence':<12} {sure}")
