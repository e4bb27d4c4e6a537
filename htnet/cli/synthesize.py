"""``htnet synthesize``: recordings of faces that do not exist."""

from __future__ import annotations

import argparse
import re

from htnet.core.command_line import AddCommand, add_overwrite, adder, answer_done
from htnet.core.fields import whole
from htnet.core.progress import ticker

_EXAMPLE = "htnet synthesize recordings --out drawn --count 3 --seconds 10 20"
# Width and height that `RecordingConfig.sizes` accepts, px.
_SIDE = whole(96, 4096, even=True)


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add("synthesize", _recordings, "generate recordings with known ground truth", _EXAMPLE)
    add_kind = adder(command.add_subparsers(dest="kind", required=True, metavar="KIND"))
    kind = add_kind("recordings", _recordings, "videos of drawn faces, with the ground truth of every event", _EXAMPLE)
    kind.add_argument(
        "--out", required=True, help="folder for videos, ground truth (.json) and the table recordings.csv"
    )
    kind.add_argument("--count", type=int, required=True, help="number of recordings")
    kind.add_argument("--seed", type=int, default=0, help="seed of the first one (default: %(default)s)")
    kind.add_argument(
        "--seconds",
        type=float,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="shortest and longest recording (default: 60 180)",
    )
    kind.add_argument(
        "--size",
        type=_size,
        metavar="WxH",
        help="width and height of the picture, px, both even, 96 to 4096, such as 640x480 (default: VGA to 720p, at "
        "random for each)",
    )
    kind.add_argument("--no-expression", action="store_true", help="only blinks, gaze, speech and head movements")
    add_overwrite(kind)


def _size(text: str) -> tuple[int, int]:
    """Parse width and height written as 640x480; an argparse type."""
    found = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text.strip().lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; give width and height in px, such as 640x480")
    size = int(found[1]), int(found[2])
    if not all(map(_SIDE.allows, size)):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be the size of a picture; give width and height, each {_SIDE.wanted}"
        )
    return size


def _recordings(args: argparse.Namespace) -> None:
    from htnet.synthesis import RecordingConfig, synthesize_recordings

    changes: dict[str, object] = {}
    if args.seconds is not None:
        RecordingConfig.check_field("duration", args.seconds, "--seconds")
        changes["duration"] = tuple(args.seconds)
    if args.size is not None:
        changes["sizes"] = ((*args.size, 1.0),)
    if args.no_expression:
        changes["no_expression"] = 1.0
    config = RecordingConfig(**changes)  # type: ignore[arg-type]
    with ticker(args.count, "recordings", "recording") as tick:
        table = synthesize_recordings(
            args.out, args.count, args.seed, config, overwrite=args.overwrite, on_recording=tick
        )
    print(f"{args.count} recordings in {args.out}; their events are in {table}")
    if args.json:
        answer_done(args, table, recordings=args.count)
