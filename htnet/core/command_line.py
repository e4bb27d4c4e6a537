"""Common parts of the commands, including those of wings."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from htnet.core.errors import HtnetError, cause
from htnet.core.schema import Warned
from htnet.core.types import BIT_DEPTHS, RECIPE_NAMES

#: Adds a command: its name, what runs it, one line of help.
AddCommand = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]


#: Of every command that trains.
RECIPE_HELP = f"{', '.join(RECIPE_NAMES)}, or a .json file (default: %(default)s)"


#: Of every command that makes flow images.
HEAD_MOTION_HELP = (
    "how head motion is removed: nose or eyes subtract the flow of that region, register registers the "
    "apex to the onset first (default: %(default)s)"
)


def adder(commands: Any) -> AddCommand:
    """Function that adds commands to a parser.

    Args:
        commands: from `argparse.ArgumentParser.add_subparsers`.
    """

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        description = text[0].upper() + text[1:] + "."
        # Abbreviated options would change their meaning whenever an option is added.
        command: argparse.ArgumentParser = commands.add_parser(
            name, help=text, description=description, allow_abbrev=False
        )
        command.set_defaults(run=run)
        return command

    return add


def show_warnings(warnings: Iterable[Warned]) -> None:
    """Print the warnings of a result. Call it before the result is printed."""
    for warning in warnings:
        print(f"warning: {warning.code}: {warning.message}")


def show_error(command: str, error: HtnetError | OSError) -> None:
    """Print the error that ends a command."""
    said = str(error) if isinstance(error, HtnetError) else f"{error.filename or 'a file'}: {cause(error)}"
    print(f"{command}: {said}", file=sys.stderr)


def show_probabilities(probabilities: Mapping[str, float], width: int) -> None:
    """Print one line per class, its name filled up to a width, and a bar."""
    for name, value in probabilities.items():
        print(f"  {name:<{width}} {value:.3f}  {'#' * round(40 * value)}")


def can_draw() -> bool:
    """Whether pictures can be drawn; prints a note if not."""
    if find_spec("matplotlib") is not None:
        return True
    print("no pictures: they need matplotlib (pip install 'htnet[plots]')")
    return False


def add_overwrite(command: argparse.ArgumentParser) -> None:
    """The option of every command that writes files."""
    command.add_argument("--overwrite", action="store_true", help="overwrite existing files")


def add_bit_depth(command: argparse.ArgumentParser) -> None:
    """The option of every command that reads frames."""
    command.add_argument(
        "--bit-depth",
        type=int,
        choices=BIT_DEPTHS,
        help="bits of the camera's values in 16-bit frames, which may be fewer; 16 for frames that are dark",
    )


def moment(text: str) -> float:
    """Seconds of a time as players show it: 83.5, 1:23.5 or 0:01:23.5; for argparse."""
    parts = text.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    whole = all(value == int(value) for value in values[:-1]) if all(map(math.isfinite, values)) else False
    if not values or len(values) > 3 or not whole or min(values) < 0 or max(values[1:], default=0) >= 60:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; give seconds (83.5), MM:SS (1:23.5) or H:MM:SS")
    seconds = 0.0
    for value in values:
        seconds = 60 * seconds + value
    return seconds


def add_face_option(command: argparse.ArgumentParser) -> None:
    """Option of every command whose landmarks may come from a detector."""
    command.add_argument(
        "--face",
        metavar="largest|only|N",
        help="which face to take of several: the largest, none unless it is the only one, or the N-th from the image's "
        "left (default: largest, with a warning)",
    )


def add_sample_option(command: argparse.ArgumentParser) -> None:
    """Option of the commands that read one pair or video."""
    command.add_argument(
        "--sample",
        default="",
        metavar="NAME",
        help="name by which a table of landmarks knows this pair or video; frame:N for frame N of a table that "
        "OpenFace or py-feat wrote",
    )
