"""``htnet synthesize``: recordings of faces that do not exist."""

from __future__ import annotations

import argparse

from htnet.core.command_line import AddCommand, add_overwrite, adder
from htnet.core.progress import ticker


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add("synthesize", _recordings, "generate recordings whose truth is known")
    add_kind = adder(command.add_subparsers(dest="kind", required=True, metavar="WHAT"))
    kind = add_kind("recordings", _recordings, "videos of drawn faces, with the truth of every event")
    kind.add_argument("--out", required=True, help="folder for videos, truth (.json) and the table recordings.csv")
    kind.add_argument("--count", type=int, required=True, help="how many recordings")
    kind.add_argument("--seed", type=int, default=0, help="seed of the first one (default: %(default)s)")
    kind.add_argument(
        "--seconds",
        type=float,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="shortest and longest recording (default: 60 180)",
    )
    kind.add_argument("--no-expression", action="store_true", help="only blinks, gaze, speech and head movements")
    add_overwrite(kind)


def _recordings(args: argparse.Namespace) -> None:
    from htnet.synthesis import RecordingConfig, synthesize_recordings

    changes: dict[str, object] = {}
    if args.seconds is not None:
        changes["duration"] = tuple(args.seconds)
    if args.no_expression:
        changes["no_expression"] = 1.0
    config = RecordingConfig(**changes)  # type: ignore[arg-type]
    with ticker(args.count, "recordings", "recording") as tick:
        table = synthesize_recordings(
            args.out, args.count, args.seed, config, overwrite=args.overwrite, on_recording=tick
        )
    print(f"{args.count} recordings in {args.out}; their events are in {table}")
