"""Seconds that a subject of a leave-one-subject-out run takes, for each network of the field, on one thread.

``python -m benchmarks.field_seconds`` trains each on two batches of random images for a few epochs, takes the fastest
epoch in processor time, and multiplies by the batches of 435 samples (442 less a subject's share) and by the epochs. It
writes ``benchmarks/results/field_seconds.json``; the licensed data are not needed.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from benchmarks.measure import provenance
from benchmarks.results_table import RESULTS
from htnet.evaluation.store import to_json, write_atomic
from htnet.models import create_model, get_entry
from htnet.preprocess import template_points
from htnet.training import FlowSet, Recipe, get_recipe, num_batches, train_model

OUT = RESULTS / "field_seconds.json"
SUBJECTS, SAMPLES = 68, 435
#: Model to the recipe of its paper.
FIELD = {
    "off_apexnet": "off_apexnet",
    "dual_inception": "dual_inception",
    **{f"rcn_{kind}": "rcn" for kind in "aswf"},
    "capsulenet": "capsulenet",
    "featref": "featref",
    "mier_cvt": "mier_cvt",
}


def seconds(model: str, recipe: Recipe, epochs: int = 3) -> float:
    """Processor seconds of a whole training on `SAMPLES` samples."""
    count = 2 * recipe.batch_size
    spec = get_entry(model).spec
    images = torch.randint(0, 256, (count, 3, spec.size, spec.size), dtype=torch.uint8)
    labels = torch.arange(count) % create_model("ststnet").config.num_classes
    data = FlowSet(images, template_points(spec)[None].repeat(count, 1, 1), labels, spec, ("template",) * count)
    ends: list[float] = []
    train_model(
        model,
        data,
        dataclasses.replace(recipe, epochs=epochs),
        callbacks=[lambda *_: ends.append(time.process_time())],
    )
    fastest = min(after - before for before, after in pairwise(ends))
    return fastest / 2 * num_batches(SAMPLES, recipe) * recipe.epochs


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all, or the models that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=list(FIELD))
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for model in args.models:
        found[model] = {}
        for name in (FIELD[model], "default"):
            recipe = get_recipe(name)
            own = seconds(model, recipe)
            hours = round(own * SUBJECTS / 3600, 2)
            found[model][name] = {"epochs": recipe.epochs, "seconds_per_subject": round(own, 1), "hours": hours}
            print(f"{model} {name}: {own:.1f} s a subject, {hours} h for {SUBJECTS}", flush=True)
    write_atomic(OUT, to_json({"threads": 1, "samples": SAMPLES, "models": found, "machine": provenance()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
