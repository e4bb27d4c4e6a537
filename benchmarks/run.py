"""Run benchmarks: ``python -m benchmarks.run models``, or ``--all cpu``.

Each writes ``NAME_DEVICE.json`` with the figures, the commit, the machine and the versions. The
machine must have nothing else to do meanwhile.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import ROOT, provenance
from benchmarks.registry import BENCHMARKS, Benchmark, get_benchmark
from htnet.core.errors import HtnetError
from htnet.evaluation.store import to_json, write_atomic

RESULTS = ROOT / "benchmarks" / "results"


def run_benchmark(benchmark: Benchmark, quick: bool, out: Path | None) -> str:
    """Run one and return its JSON text, which is also written into ``out`` unless that is None."""
    about = {"benchmark": benchmark.name, "quick": quick, **provenance()}
    figures = benchmark.run(quick)
    text = to_json({**about, **figures})
    if out is not None:
        write_atomic(out / f"{benchmark.name}_{figures['device']}.json", text)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to run; see --list")
    parser.add_argument("--all", choices=("cpu", "gpu"), help="run all benchmarks of the CPU, or of a CUDA device")
    parser.add_argument("--list", action="store_true", help="show the benchmarks")
    parser.add_argument("--quick", action="store_true", help="small model, few rounds; to test that it runs")
    parser.add_argument("--out", type=Path, help=f"folder for the results; {RESULTS} unless --quick")
    args = parser.parse_args(arguments)
    if args.list:
        for benchmark in BENCHMARKS.values():
            print(f"{benchmark.name:<12} {benchmark.description}")
        return 0
    names = args.names + [name for name in BENCHMARKS if args.all and name.endswith("_gpu") == (args.all == "gpu")]
    if not names:
        parser.error("give the name of a benchmark, --all or --list")
    # Quick figures say nothing about speed and must not overwrite real ones.
    out = args.out or (None if args.quick else RESULTS)
    try:
        for benchmark in [get_benchmark(name) for name in names]:
            print(run_benchmark(benchmark, args.quick, out), end="")
    except HtnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
