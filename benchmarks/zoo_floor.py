"""Optimized models, `mhssa_gcn` and those of wings, beside their matrix products alone: processor time, one thread.

    python -m benchmarks.zoo_floor mhssa_gcn --json benchmarks/results/zoo_floor.json

Processor time of one thread can be read on a busy machine too; wall times are those of ``python -m benchmarks.run
zoo``. One model a call, whose figures replace its own in the file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

import htnet
from benchmarks.measure import compare, interleave, provenance
from benchmarks.mhssa_reference import ReferenceMHSSAGCN, load_ours
from benchmarks.verify import agree
from benchmarks.zoo_mhssa import smooth_images
from benchmarks.zoo_profile import profile_of
from htnet.core.types import TEMPLATE_SIZE
from htnet.core.wings import installed_wings
from htnet.models import MHSSAGCN, create_model
from htnet.preprocess import MEAN_SHAPE_28

Ways = dict[str, Callable[[], torch.Tensor]]
TOLERANCE = 1e-4


def mhssa(name: str, images: int) -> Ways:
    """The reference's form, which has no equal of the default form's scores, and the optimized default form."""
    same, ours = create_model(name, spatial="reference", scaling="smacof").eval(), create_model(name).eval()
    assert isinstance(same, MHSSAGCN)
    reference = load_ours(ReferenceMHSSAGCN(same.config), same).eval()
    x = smooth_images(images, TEMPLATE_SIZE)
    points = torch.tensor(MEAN_SHAPE_28.tolist()) + torch.randn(images, 68, 2)
    patches, at = same.cut(x, points)
    optimized = htnet.optimize(ours, "float32")
    return {
        "reference": lambda: reference(patches, at),
        "htnet": lambda: ours(x, points),
        "htnet_optimized_float32": lambda: optimized(x, points),
    }


#: By model: what makes the ways, images at once, rounds, and a small model of the kind.
MODELS: dict[str, tuple[Callable[[str, int], Ways], int, int, str]] = {"mhssa_gcn": (mhssa, 32, 9, "mhssa_gcn_small")}
# Those of a wing, which may have left.
for _wing in installed_wings():
    if find_spec(f"benchmarks.zoo_{_wing}") is not None:
        MODELS.update(import_module(f"benchmarks.zoo_{_wing}").FLOORS)


def measure(name: str, quick: bool = False) -> dict[str, Any]:
    """Check that the optimized form agrees with the model's own, then time them and profile the optimized one."""
    make, images, rounds, small = MODELS[name]
    if quick:
        name, images, rounds = small, 2, 2
    torch.manual_seed(0)
    ways = make(name, images)
    with torch.no_grad():
        scores = {key: {"scores": ways[key]()} for key in ("htnet", "htnet_optimized_float32")}
        difference = agree(*reversed(scores.values()), TOLERANCE, name)
        times = compare(interleave(ways, rounds, clock=time.process_time), "reference")
    profiled = profile_of(
        ways["htnet_optimized_float32"], times["ms"]["reference"]["median"], max(2, rounds // 2), time.process_time
    )
    return {
        "provenance": provenance(),
        "model": name,
        "clock": "processor time, one thread",
        "images": images,
        "largest_relative_difference": difference,
        "inference": times,
        "profile": profiled,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(args.model)
    print(json.dumps(found, indent=1))
    if args.json is not None:
        known = json.loads(args.json.read_text("utf-8")) if args.json.is_file() else {}
        args.json.write_text(json.dumps({**known, args.model: found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
