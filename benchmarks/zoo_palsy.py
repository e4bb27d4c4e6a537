"""The palsy HTNet against the reference's form, on the CPU: inference and training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import compare, interleave
from benchmarks.palsy_reference import ReferencePalsy
from benchmarks.verify import agree
from htnet.models import HTNetPalsy, create_model, reference_state

BATCH = 32
#: Two models of 152 M parameters with gradients and Adam's two averages take 4.9 GB before the first activation.
TRAINING_BATCH = 8
#: The ROI module's prior is float32 in both, interpolated before or after it is widened to float64.
TOLERANCE = {"outputs": 5e-5, "gradients": 5e-5}


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
    return {
        "device": "cpu",
        "model": name,
        "tolerance": TOLERANCE,
        "largest_relative_difference": agreement,
        "inference_batch_1": _inference(ours, reference, images[:1], rounds),
        f"inference_batch_{BATCH}": _inference(ours, reference, images, rounds),
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
    # Gradients take the place of the parameters, so that the map of parameter names serves for them too.
    for parameter in ours.parameters():
        assert parameter.grad is not None
        parameter.data = parameter.grad
    # Those that have no effect, and so no gradient but rounding: biases before a batch norm, the last positions.
    last = f"layers.{ours.config.num_hierarchies - 1}.0.pos_emb"
    idle = {last, *(f"roi_module.{part}.0.bias" for part in ("roi_detector", "background_suppressor", "roi_refine"))}
    expected = {key: p.grad for key, p in reference.named_parameters() if key not in idle and p.grad is not None}
    found = {key: value for key, value in reference_state(ours).items() if key in expected}
    return agree(found, expected, TOLERANCE["gradients"], "gradients")


def _inference(ours: nn.Module, reference: nn.Module, images: Tensor, rounds: int) -> dict[str, Any]:
    sides = {"reference": reference.eval(), "htnet": ours.eval()}
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
