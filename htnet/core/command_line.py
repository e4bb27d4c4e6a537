"""Common parts of the commands, including those of wings."""

from __future__ import annotations

import argparse
import codecs
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol, cast

from htnet.core.errors import NO_FILES, TOO_MANY_FILES, HtnetError, InputError, cause, did_you_mean
from htnet.core.fields import optional, seed_number, whole
from htnet.core.official import did_you_mean_set, long_recordings
from htnet.core.optional import ENGINES
from htnet.core.provenance import restriction
from htnet.core.recipe_names import RECIPE_NAMES
from htnet.core.schema import Warned, document, to_json, to_json_line
from htnet.core.types import BIT_DEPTHS


class AddCommand(Protocol):
    """Adds a command: its name, the function that runs it, one line of help, and an example for the end of the help."""

    def __call__(
        self, name: str, run: Callable[[argparse.Namespace], None], text: str, example: str = ""
    ) -> argparse.ArgumentParser:
        """Add the command and return its parser."""


#: Help of ``--recipe``, in every command that trains.
RECIPE_HELP = f"{', '.join(RECIPE_NAMES)}, or a .json file (default: %(default)s)"


#: Help of ``--head-motion``, in every command that computes flow images.
HEAD_MOTION_HELP = (
    "how head motion is removed: nose or eyes subtract the flow of that region, register registers the "
    "apex to the onset first (default: %(default)s)"
)


def adder(commands: Any) -> AddCommand:
    """Return a function that adds commands to a parser.

    Args:
        commands: the object that `argparse.ArgumentParser.add_subparsers` returned.
    """

    def add(
        name: str, run: Callable[[argparse.Namespace], None], text: str, example: str = ""
    ) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(
            name, help=text, **described(text[0].upper() + text[1:] + ".", example)
        )
        command.set_defaults(run=run)
        return command

    return add


def described(text: str, example: str) -> dict[str, Any]:
    """Settings of a parser: its description, and an example at the end of its help."""
    return {
        "description": text,
        "epilog": f"example:\n  {example}" if example else None,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        # Abbreviated options would change their meaning whenever an option is added.
        "allow_abbrev": False,
    }


def refuse_unknown_command(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Exit as argparse does if the first word is not a command of the parser, but suggest similar names."""
    kinds = next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)
    if kinds is None or not words or words[0].startswith("-"):
        return
    if words[0] not in kinds.choices:
        noun = str(kinds.metavar or "command").lower()
        elsewhere = long_recordings(words[0]) if noun == "set" else ""
        near = (did_you_mean_set if noun == "set" else did_you_mean)(words[0], kinds.choices)
        parser.error(elsewhere or f"there is no {noun} {words[0]!r}. {near}")
    refuse_unknown_command(kinds.choices[words[0]], words[1:])


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all commands; for a command with subcommands, such as ``prepare``, those of the subcommands."""
    kinds = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not kinds:
        yield parser
    for action in kinds:
        for inner in dict.fromkeys(action.choices.values()):
            yield from leaves(inner)


def read_numbers_strictly(parser: argparse.ArgumentParser) -> None:
    """Let every option with a number refuse what is none by its value and with the cure, as `number_option` does."""
    for command in leaves(parser):
        command.register("type", float, partial(number_option, float))
        command.register("type", int, partial(number_option, int))


def number_option(kind: type[int] | type[float], text: str) -> float:
    """Parse a number; an argparse type. Python reads 1_0 as 10, which nobody means."""
    with suppress(ValueError):
        if "_" not in text:
            return kind(text)
    wanted, cure = "whole number" if kind is int else "number", ""
    if parts := re.fullmatch(r"\s*([+-]?\d+)[.,](\d+)\s*", text):
        if kind is float:
            cure = f", with a decimal point: {parts[1]}.{parts[2]}"
        elif not parts[2].strip("0"):
            cure = f": {parts[1]}"
    raise argparse.ArgumentTypeError(f"{text!r} is no {wanted}; give one{cure}")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json`` to every command; `answer` or `answer_done` prints the document."""
    parser.set_defaults(answered=False)
    for command in leaves(parser):
        command.add_argument("--json", action="store_true", help="print JSON, and nothing else on standard output")


def answer(args: argparse.Namespace, content: Mapping[str, Any], *, line: bool = False) -> None:
    """Print the document that ``--json`` asks for.

    Args:
        args: arguments of the command. The document is printed to ``args.stdout``; everything else that the command
            prints goes to standard error.
        content: the document.
        line: print it on one line, for commands that print several documents.
    """
    args.answered = True
    text = to_json_line(content) if line else to_json(content)
    if codecs.lookup(getattr(args.stdout, "encoding", None) or "utf-8").name != "utf-8":
        # JSON is UTF-8, or ASCII with escapes. On Windows, a pipe has the encoding of the system.
        text = re.sub(r"[^\x00-\x7f]+", lambda part: json.dumps(part.group())[1:-1], text)
    print(text, end="", file=args.stdout, flush=True)


def answer_done(args: argparse.Namespace, *files: object, **values: Any) -> None:
    """`answer` for a command whose result is the files that it wrote.

    Args:
        args: arguments of the command.
        files: the files that it wrote, or their folder.
        values: the field "values" of the document.
    """
    name = " ".join([args.command, *([args.kind] if getattr(args, "kind", None) else [])])
    content = {"command": name, "files": [str(file) for file in files], "values": values}
    answer(args, document("htnet.command", content))


def show_warnings(warnings: Iterable[Warned]) -> None:
    """Print the warnings of a result. Call it before the result is printed."""
    for warning in warnings:
        print(f"warning: {warning.code}: {warning.message}")


def show_terms(weights: str | None, expression: str) -> None:
    """Print the terms of use of weights if they allow research only; ``htnet list`` and the card show other terms.

    Args:
        weights: name of the weights.
        expression: SPDX license expression of their terms.
    """
    if words := restriction(expression):
        print(f"terms of {weights}: {words}")


def show_error(command: str, error: HtnetError | OSError) -> None:
    """Print the error that ends a command."""
    if isinstance(error, HtnetError):
        said = str(error)
    else:
        cure = f". {TOO_MANY_FILES}" if error.errno in NO_FILES else ""
        said = f"{error.filename or 'a file'}: {cause(error)}{cure}"
    print(f"{command}: {said}", file=sys.stderr)


def show_probabilities(probabilities: Mapping[str, float], width: int) -> None:
    """Print one line per class: its name padded to ``width``, its probability, and a bar."""
    for name, value in probabilities.items():
        print(f"  {name:<{width}} {value:.3f}  {'#' * round(40 * value)}")


def can_draw() -> bool:
    """Whether figures can be drawn; prints a note if not."""
    if find_spec("matplotlib") is not None:
        return True
    print("no pictures: drawing needs matplotlib (pip install 'htnet[plots]')")
    return False


def add_overwrite(command: argparse.ArgumentParser) -> None:
    """Add ``--overwrite``, for commands that write files."""
    command.add_argument("--overwrite", action="store_true", help="overwrite existing files")


def add_device(command: argparse.ArgumentParser) -> None:
    """Add ``--device``, for commands that run a model."""
    command.add_argument(
        "--device", default="cpu", help="where the model runs: cpu, cuda, cuda:1, or auto: cuda if available"
    )


def add_engine(command: argparse.ArgumentParser) -> None:
    """Add ``--engine`` and ``--address``, for commands whose tasks can run on a cluster."""
    command.add_argument(
        "--engine", choices=ENGINES, default="local", help="where tasks run: local (default), or ray for a Ray cluster"
    )
    command.add_argument(
        "--address", metavar="HOST:PORT", help="with --engine ray: address of the cluster (default: RAY_ADDRESS)"
    )


def asked_workers(args: argparse.Namespace) -> int | None:
    """The value of ``--workers``; None if it was not given.

    Raises:
        InputError: it is no whole number of 1 or more, or is given for a cluster, which has its own number of CPUs.
    """
    optional(whole()).check("--workers", args.workers)
    if args.workers is not None and args.engine != "local":
        raise InputError(
            f"--workers {args.workers} is for this machine; with --engine {args.engine}, as many tasks run as the "
            "cluster has CPUs. Leave --workers out."
        )
    return cast("int | None", args.workers)


def add_dtype(command: argparse.ArgumentParser) -> None:
    """Add ``--dtype``, for commands that run trained weights."""
    command.add_argument("--dtype", help="data type for the model: float32 (default), bfloat16 or float16")


def given(**options: Any) -> dict[str, Any]:
    """The options that the user gave: those that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def add_precision(command: argparse.ArgumentParser) -> None:
    """Add ``--precision``, for commands that train."""
    command.add_argument("--precision", help="overrides the recipe's: float32, or bfloat16 for faster matrix products")


def add_tensorboard(command: argparse.ArgumentParser, where: str) -> None:
    """Add ``--tensorboard``, for commands that write learning curves; ``where`` names what their folder belongs to."""
    command.add_argument(
        "--tensorboard",
        action="store_true",
        help=f"also write the learning curve for TensorBoard, into the folder tensorboard of the {where}",
    )


def add_bit_depth(command: argparse.ArgumentParser) -> None:
    """Add ``--bit-depth``, for commands that read frames."""
    command.add_argument(
        "--bit-depth",
        type=int,
        choices=BIT_DEPTHS,
        help="bits per value that the camera recorded in 16-bit frames, such as 12; give 16 for frames that are dark",
    )


def moment(text: str) -> float:
    """Parse a time as video players show it (83.5, 1:23.5 or 0:01:23.5) to seconds; an argparse type."""
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


def seed_option(text: str) -> int:
    """Parse a seed; an argparse type, so that an impossible one is refused before anything is read."""
    try:
        return int(seed_number().check("the seed", int(text)))
    except (ValueError, HtnetError):
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; give {seed_number().wanted}") from None


def add_face_option(command: argparse.ArgumentParser) -> None:
    """Add ``--face``, for commands whose landmarks may come from a detector."""
    command.add_argument(
        "--face",
        metavar="largest|only|N",
        help="which face to use if there are several: the largest, only (an error if there are several), or the N-th "
        "from the image's left (default: largest, with a warning)",
    )


def add_sample_option(command: argparse.ArgumentParser) -> None:
    """Add ``--sample``, for commands that read one pair or video."""
    command.add_argument(
        "--sample",
        default="",
        metavar="NAME",
        help="name of this pair or video in a table of landmarks; frame:N for frame N of a table written by "
        "OpenFace or py-feat",
    )
