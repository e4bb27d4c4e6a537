"""The ``htnet`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout

from htnet._version import __version__
from htnet.cli import analyze, doctor, evaluate, predict, prepare, recordings, spot, synthesize, train, weights
from htnet.core.command_line import (
    add_json,
    adder,
    answer_done,
    described,
    read_numbers_strictly,
    refuse_unknown_command,
    show_error,
)
from htnet.core.deprecated import renamed_options
from htnet.core.errors import HtnetError, InputError
from htnet.core.hints import as_command
from htnet.core.optional import several_processes
from htnet.core.wings import wing_modules

#: One module per group of commands; each adds its own commands. The modules of the wings follow.
GROUPS = (predict, spot, analyze, recordings, evaluate, train, prepare, weights, synthesize, doctor)

#: Commands whose work the processes of a launcher can share. With any other command, all of them would do the same work
#: and write the same files.
SHARED = ("train",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0 on success, 2 if the input was refused, 130 after Ctrl-C, 141 if the reader of the output
        closed it. argparse itself ends the process, with 0 for ``--help`` and 2 for unknown options.
    """
    _print_any_character()
    parser = build_parser()
    words = renamed_options(sys.argv[1:] if argv is None else argv)
    refuse_unknown_command(parser, words)
    args = parser.parse_args(words)
    args.stdout, args.parser = sys.stdout, parser
    try:
        if (told := several_processes()) and args.command not in SHARED:
            raise InputError(
                f"{told} is {os.environ[told]}: a launcher started several processes, but only htnet "
                f"{' and '.join(SHARED)} can share work among them. Start this command once, without torchrun, srun or "
                f"mpirun. If each process is to work alone, in its own folder, remove the variable: env -u {told} "
                "htnet ..."
            )
        with as_command(), redirect_stdout(sys.stderr) if args.json else nullcontext():
            args.run(args)
        if args.json and not args.answered:
            answer_done(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output, such as head, has closed it. Python would print another error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (HtnetError, OSError) as error:
        show_error(f"htnet {args.command}", error)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to resume", file=sys.stderr)
        return 130
    return 0


def _print_any_character() -> None:
    """Escape what standard output cannot encode, as Python does on standard error: a name of a file, for example."""
    if getattr(sys.stdout, "errors", "") == "strict" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="htnet", **described("Facial micro-expression recognition.", "htnet predict onset.png apex.png")
    )
    parser.add_argument("--version", action="version", version=f"htnet {__version__}")
    add = adder(parser.add_subparsers(dest="command", required=True, metavar="COMMAND"))
    for group in (*GROUPS, *wing_modules("cli")):
        group.add_commands(add)
    add_json(parser)
    read_numbers_strictly(parser)
    return parser
