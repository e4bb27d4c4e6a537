"""The table of speed bars in docs/speed.md, from the results of the benchmarks.

``python -m benchmarks.speed_table`` rewrites the part between the markers; ``--check`` only looks and exits with 1 if
the page is not up to date. A row is a bar that a benchmark was given; a bar that was missed stays.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.registry import BENCHMARKS
from benchmarks.results_table import RESULTS, fill
from htnet.evaluation.store import write_atomic

PAGE = ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"
GPU = "_gpu"


def table(folder: Path = RESULTS) -> str:
    """Markdown of all bars, and of the benchmarks that were never run."""
    rows = ["| what | wanted | got | met | machine |", "| --- | --- | --- | --- | --- |"]
    missing = []
    for name in BENCHMARKS:
        path = folder / (f"{name}_cuda.json" if name.endswith(GPU) else f"{name}_cpu.json")
        if path.is_file():
            rows += [_row(bar, found) for found in [json.loads(path.read_text("utf-8"))] for bar in _bars(found)]
        elif name.endswith(GPU):
            missing.append(f"`python -m benchmarks.run {name}`")
    notes = [f"Not yet measured, for want of a GPU: {', '.join(missing)}."] if missing else []
    return "\n".join([*rows, "", *notes]).rstrip()


def _bars(found: dict[str, Any]) -> list[dict[str, Any]]:
    own = list(found.get("bars", []))
    for section in found.get("models", {}).values():
        own += section.get("bars", []) if isinstance(section, dict) else []
    return own


def _row(bar: dict[str, Any], found: dict[str, Any]) -> str:
    machine = found.get("gpu") or f"{found['cores']} cores, {found['cpu']}"
    met = "yes" if bar["met"] else "**missed**"
    return f"| {bar['what']} | {bar['wanted']:g} | {bar['got']:g} | {met} | {machine} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args(arguments)
    old = PAGE.read_text("utf-8")
    new = fill(old, table(), str(PAGE), BEGIN, END)
    if args.check:
        return int(new != old)
    write_atomic(PAGE, new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
