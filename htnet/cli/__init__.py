"""The ``htnet`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from htnet._version import __version__
from htnet.cli import analyze, predict, prepare, recordings, spot, synthesize, train, weights
from htnet.core.command_line import adder, show_error
from htnet.core.deprecated import renamed_options
from htnet.core.errors import HtnetError
from htnet.core.hints import as_command
from htnet.core.wings import wing_modules

#: One module a group of commands; each adds its own. Those of the wings follow.
GROUPS = (predict, spot, analyze, recordings, train, prepare, weights, synthesize)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(renamed_options(sys.argv[1:] if argv is None else argv))
    try:
        with as_command():
            args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has had enough, as head has. Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (HtnetError, OSError) as error:
        show_error(f"htnet {args.command}", error)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to resume", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="htnet", description="Facial micro-expression recognition.")
    parser.add_argument("--version", action="version", version=f"htnet {__version__}")
    add = adder(parser.add_subparsers(dest="command", required=True, metavar="COMMAND"))
    for group in (*GROUPS, *wing_modules("cli")):
        group.add_commands(add)
    return parser
