"""Run a family: ``python -m benchmarks.trust kills``; its counts are printed and written to ``trust_NAME.json``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from benchmarks.measure import provenance
from benchmarks.run import RESULTS
from htnet.evaluation.store import to_json, write_atomic

#: What each family does.
FAMILIES = {
    "disk": "commands that meet a full disk",
    "files": "mutated files for every reader",
    "hub": "weights from a Hub whose answers are wrong, late, cut or refused",
    "kills": "commands that are killed at random moments",
    "load": "many clients of one predictor, of a service and of the web page, and many pairs",
    "numbers": "losses that are none, orders and processes, stored scores",
    "system": "no open files, processes, folder to itself, home, cache or clock",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit status is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trust", description=__doc__)
    parser.add_argument("family", choices=FAMILIES, help="; ".join(f"{k}: {v}" for k, v in FAMILIES.items()))
    parser.add_argument("--quick", action="store_true", help="a small share, for a look; nothing is written")
    parser.add_argument("--only", nargs="+", default=(), help="some of the family's parts; nothing is written")
    parser.add_argument("--out", type=Path, help=f"folder for the result; {RESULTS} unless --quick or --only")
    parser.add_argument("--kept", type=Path, help="with files: keeps what was done, to go on after an interruption")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    more = {"kept": args.kept} if args.family == "files" else {}
    figures = importlib.import_module(f"benchmarks.trust.{args.family}").run(args.quick, args.only, **more)
    text = to_json({"benchmark": f"trust_{args.family}", "quick": args.quick, **provenance(), **figures})
    out = args.out or (None if args.quick or args.only else RESULTS)
    if out is not None:
        write_atomic(out / f"trust_{args.family}.json", text)
    print(text, end="")
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
