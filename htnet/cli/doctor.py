"""``htnet doctor`` and ``htnet completion``."""

from __future__ import annotations

import argparse

from htnet.core.command_line import AddCommand, answer, answer_done, leaves
from htnet.core.errors import RunError
from htnet.core.optional import require
from htnet.core.words import counted

#: Shells for which shtab writes completion scripts.
SHELLS = ("bash", "zsh", "tcsh")


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    add("doctor", _doctor, "check the installation: versions, devices, caches, weights, extras", "htnet doctor")
    text = "print a script that completes commands in a shell"
    command = add("completion", _completion, text, "htnet completion bash")
    command.add_argument(
        "shell",
        choices=SHELLS,
        help="bash: write the output into ~/.local/share/bash-completion/completions/htnet; zsh: into _htnet in a "
        "folder of fpath; tcsh: into a file that ~/.tcshrc sources",
    )


def _doctor(args: argparse.Namespace) -> None:
    from htnet.pipeline.doctor import diagnose

    found = diagnose()
    if args.json:
        answer(args, found.to_dict())
    else:
        topic = ""
        for one in found.findings:
            if one.topic != topic:
                topic = one.topic
                print(topic)
            mark = {"ok": " ", "note": "-", "fault": "!"}[one.state]
            print(f"{mark} {one.name:<22} {one.text}" + (f": {one.cure}" if one.cure else ""))
    if found.faults:
        raise RunError(f"{counted(len(found.faults), 'fault')}: {', '.join(one.name for one in found.faults)}.")


def _completion(args: argparse.Namespace) -> None:
    shtab = require("shtab", "completion", "Completing commands")
    for command in leaves(args.parser):
        for action in command._actions:
            # Values that are neither numbers nor choices are files, or may be files, such as weights.
            if action.nargs != 0 and action.type is None and not action.choices:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    script = shtab.complete(args.parser, shell=args.shell)
    if args.json:
        answer_done(args, shell=args.shell, script=script)
    else:
        print(script)
