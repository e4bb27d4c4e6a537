"""Flow images per second of the generator."""

from __future__ import annotations

from statistics import median
from typing import Any

import torch

from benchmarks.measure import bar, interleave
from benchmarks.verify import DisagreementError
from htnet.synthesis import FlowGenerator, SynthesisConfig
from htnet.synthesis.config import SIZES
from htnet.synthesis.flows import BLOCK


def run(quick: bool) -> dict[str, Any]:
    """Images a second at each size, by the threads that PyTorch has; JSON-ready figures."""
    sizes, blocks, rounds = (SIZES[:1], 1, 2) if quick else (SIZES, 8, 9)
    generators = {size: FlowGenerator(SynthesisConfig(size=size)) for size in sizes}
    for generator in generators.values():
        _same_however_split(generator)
    figures = {}
    for size, generator in generators.items():
        count = BLOCK * blocks

        def make(generator: FlowGenerator = generator, count: int = count) -> None:
            for _ in generator.batches(count, 1):
                pass

        times = interleave({"make": make}, rounds)["make"]
        figures[str(size)] = {
            "images": count,
            "rounds": rounds,
            "images_per_second": {"median": _rate(count, median(times)), "slowest": _rate(count, max(times))},
        }
    got = figures[str(sizes[0])]["images_per_second"]
    wanted = bar(f"generated flow images of {sizes[0]} px a second", 5000, got)
    return {"device": "cpu", "bars": [wanted], "sizes": figures}


def _rate(count: int, milliseconds: float) -> int:
    return round(count / milliseconds * 1e3)


def _same_however_split(generator: FlowGenerator) -> None:
    """Refuse to time a generator whose samples depend on the batch."""
    whole, part = generator(BLOCK + 2, 3), generator(2, 3, first=BLOCK)
    if not torch.equal(whole.images[BLOCK:], part.images):
        raise DisagreementError("Samples of one seed depend on the batch they are asked for in.")
