"""The palsy HTNet against the reference's form, on the CPU: inference and training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import htnet
from benchmarks.measure import bar, compare, interleave
from benchmarks.palsy_reference import ReferencePalsy
from benchmarks.verify import agree
from benchmarks.zoo_profile import profile_of
from htnet.models import create_model, reference_state
from htnet.palsy import HTNetPalsy

BATCH = 32
#: Two models of 152 M parameters with gradients and Adam's two averages take 4.9 GB before the first activation.
TRAINING_BATCH = 8
#: The ROI module's prior is float32 in both, interpolated before or after it is widened to float64.
TOLERANCE = {"outputs": 5e-5, "gradients": 5e-5, "htnet_optimized_float32": 1e-4, "htnet_optimized_bfloat16": 0.05}


def run_palsy(quick: bool) -> dict[str, Any]:
    """Check outputs and gradients, then time inference and training."""
    name = "htnet_palsy_tiny" if quick else "htnet_palsy"
    torch.manual_seed(0)
    ours = create_model(name)
    assert isinstance(ours, HTNetPalsy)
    reference = ReferencePalsy(ours.config)
    reference.load_state_dict(reference_state(ours))
    side = ours.config.image_size
    images = torch.randn(BATCH, 3, side, side)
    labels = torch.randint(ours.config.num_classes, (TRAINING_BATCH,))
    with torch.no_grad():
        scores = [{"scores": net.eval()(images[:2])} for net in (ours, reference)]
    agreement = {
        "outputs": agree(*scores, TOLERANCE["outputs"], "outputs"),
        "gradients": _gradients_agree(name, images[:2].double(), labels[:2]),
    }
    rounds = 2 if quick else 7
    sides = {"reference": reference.eval(), "htnet": ours.eval()}
    sides |= {f"htnet_optimized_{dtype}": htnet.optimize(ours, dtype) for dtype in ("float32", "bfloat16")}
    for key in ("htnet_optimized_float32", "htnet_optimized_bfloat16"):
        with torch.no_grad():
            agreement[key] = agree({"scores": sides[key](images[:2])}, scores[0], TOLERANCE[key], key)
    inference = {count: _inference(sides, images[:count], rounds) for count in (1, BATCH)}
    return {
        "device": "cpu",
        "model": name,
        "bars": [
            bar(f"{name}, {key}, inference, batch {BATCH}: times as fast", 1.5, inference[BATCH]["times_as_fast"][key])
            for key in sides
            if key != "reference"
        ],
        "tolerance": TOLERANCE,
        "largest_relative_difference": agreement,
        **{f"inference_batch_{count}": found for count, found in inference.items()},
        f"profile_batch_{BATCH}": profile_of(
            lambda: sides["htnet_optimized_float32"](images), inference[BATCH]["ms"]["reference"]["median"], rounds // 2
        ),
        f"training_step_batch_{TRAINING_BATCH}": _training(ours, reference, images[:TRAINING_BATCH], labels, rounds),
    }


def _gradients_agree(name: str, images: Tensor, labels: Tensor) -> float:
    """Largest relative difference of any parameter's gradient, for a narrow model of the same depth in float64.

    In float32 rounding now and then decides which of two nearly equal values a max pooling takes: one such choice in
    262,144 changed the full model's gradients by 0.4 %.
    """
    ours = create_model(name, dim=32).double()
    assert isinstance(ours, HTNetPalsy)
    reference = ReferencePalsy(ours.config).double()
    reference.load_state_dict(reference_state(ours))
    for net in (ours, reference):
        F.cross_entropy(net(images), labels).backward()
    # Gradients take the place of the parameters, so the map of parameter names serves for them too.
    for parameter in ours.parameters():
        assert parameter.grad is not None
        parameter.data = parameter.grad
    # Those that have no effect, and so no gradient but rounding: biases before a batch norm, the last positions.
    last = f"layers.{ours.config.num_hierarchies - 1}.0.pos_emb"
    idle = {last, *(f"roi_module.{part}.0.bias" for part in ("roi_detector", "background_suppressor", "roi_refine"))}
    expected = {key: p.grad for key, p in reference.named_parameters() if key not in idle and p.grad is not None}
    found = {key: value for key, value in reference_state(ours).items() if key in expected}
    return agree(found, expected, TOLERANCE["gradients"], "gradients")


def _inference(sides: Mapping[str, nn.Module], images: Tensor, rounds: int) -> dict[str, Any]:
    with torch.no_grad():
        times = interleave({name: lambda net=net: net(images) for name, net in sides.items()}, rounds)
    return compare(times, "reference")


def _training(ours: nn.Module, reference: nn.Module, images: Tensor, labels: Tensor, rounds: int) -> dict[str, Any]:
    """Ours with the fused Adam that htnet trains with, the reference with PyTorch's default."""
    sides = {
        "reference": _step(reference, torch.optim.Adam(reference.parameters()), images, labels),
        "htnet": _step(ours, torch.optim.Adam(ours.parameters(), fused=True), images, labels),
    }
    return compare(interleave(sides, rounds), "reference")


def _step(net: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> Callable[[], None]:
    net.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return step


def floor_ways(name: str, images: int) -> dict[str, Callable[[], Tensor]]:
    """The reference's form, the model and the optimized one, which all compute the same."""
    ours = create_model(name).eval()
    assert isinstance(ours, HTNetPalsy)
    reference = ReferencePalsy(ours.config).eval()
    reference.load_state_dict(reference_state(ours))
    optimized = htnet.optimize(ours, "float32")
    x = torch.randn(images, 3, ours.config.image_size, ours.config.image_size)
    return {
        "reference": lambda: reference(x),
        "htnet": lambda: ours(x),
        "htnet_optimized_float32": lambda: optimized(x),
    }


#: See `benchmarks.zoo_floor.MODELS`.
FLOORS = {"htnet_palsy": (floor_ways, 8, 3, "htnet_palsy_tiny")}
SECTIONS = {"htnet_palsy": run_palsy}
