"""How often the engines and precisions name the class that the model in float64 names, on the composite set.

    python -m benchmarks.engine_labels --json benchmarks/results/engine_labels.json

The set is licensed and lies beside the repository (``HTNET_SHARED``). No weights of `htnet_base` are trained; the two
that are of its design and smaller are asked: one that was trained on generated images alone, and one that was trained
on the set. int8 of onnxruntime is that of its own quantizer: weights and activations.
"""

from __future__ import annotations

import argparse
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

import htnet
from benchmarks.engines import Way, _exported, _in_engine
from benchmarks.measure import COMPOSITE, bar, provenance
from htnet.acceleration.engines import ENGINES, quantized
from htnet.data import open_data
from htnet.models import HTNet
from htnet.training import load_flow_set

WEIGHTS = ("synthetic", "composite-htnet")
WANTED = 0.995
EXACT = "float64"
#: Images at a time; the last of each way is a batch of its own size.
BATCH = 16


def ways_of(model: HTNet) -> dict[str, Way]:
    """The model in float64 first: the reference's form has no input that is standardized, which the weights need."""
    exact = deepcopy(model).double()
    folded = htnet.optimize(model)
    ways: dict[str, Way] = {EXACT: lambda images: exact(images.double()), "htnet_eager": model}
    ways |= {f"htnet_{kind}": htnet.optimize(model, kind) for kind in ("float32", "bfloat16", "int8")}
    ways["htnet_int8_onnxruntime"] = htnet.optimize(model, "int8", backend="onnxruntime")
    for form, net in (("unfolded", model), ("folded", folded)):
        proto = _exported(net)
        ways |= {f"{name}_{form}": _in_engine(make(proto, 1)) for name, make in ENGINES.items()}
        ways[f"onnxruntime_{form}_int8"] = _in_engine(ENGINES["onnxruntime"](quantized(proto), 1))
    return ways


def agreement(weights: str) -> dict[str, Any]:
    """Samples, and the share of them on which each way names the same class as float64."""
    model = htnet.load_pretrained(weights).eval()
    assert isinstance(model, HTNet)
    images = load_flow_set(open_data(COMPOSITE), model.preprocess_spec).images
    pixels = torch.as_tensor(images).float()
    told = {}
    with torch.inference_mode():
        for name, way in ways_of(model).items():
            told[name] = torch.cat([way(part) for part in pixels.split(BATCH)]).argmax(1)
    same = {name: float((labels == told[EXACT]).double().mean()) for name, labels in told.items()}
    return {"model": model.name, "samples": len(pixels), "agreement": {k: round(v, 5) for k, v in same.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {weights: agreement(weights) for weights in WEIGHTS}
    bars = [
        bar(f"{weights}, {name}: share of labels that are those of float64", WANTED, share)
        for weights, row in found.items()
        for name, share in row["agreement"].items()
        if name != EXACT
    ]
    told = {"provenance": provenance(), **found, "bars": bars}
    print(json.dumps(told, indent=1))
    if args.json is not None:
        args.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
