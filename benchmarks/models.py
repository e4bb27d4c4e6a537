"""HTNet against the same network in the reference's form, on the CPU."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import bar, compare, interleave, memory_bandwidth
from benchmarks.reference_htnet import ReferenceHTNet
from benchmarks.verify import DisagreementError, agree
from htnet.models import HTNet, create_model, reference_state
from htnet.training.recipe import Recipe, get_recipe
from htnet.training.steps import autocast
from htnet.training.trainer import make_optimizer

BATCH = 128
#: float32 through 14 blocks on inputs of 0..255; relative to the largest magnitude of each tensor.
TOLERANCE = {"outputs": 5e-5, "gradients": 5e-5, "bfloat16_gradients_1_minus_cosine": 0.01}


def run(quick: bool) -> dict[str, Any]:
    """Check outputs and gradients, then time inference and training."""
    name = "htnet_tiny" if quick else "htnet_base"
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    ours = create_model(name)
    assert isinstance(ours, HTNet)
    reference = ReferenceHTNet(ours.config)
    reference.load_state_dict(reference_state(ours))
    side = ours.config.image_size
    images = torch.rand(BATCH, ours.config.channels, side, side, generator=generator) * 255
    labels = torch.randint(ours.config.num_classes, (BATCH,), generator=generator)
    agreement = _verify(ours, reference, images, labels)
    rounds = 3 if quick else 15
    training = _training(ours, reference, images, labels, rounds)
    return {
        "device": "cpu",
        "model": name,
        "bars": [
            bar(f"{name}, {side}, training step, batch {BATCH}: times as fast", wanted, training["times_as_fast"][side])
            for side, wanted in (("htnet", 2.2), ("htnet_bfloat16", 5.0))
        ],
        "tolerance": TOLERANCE,
        "largest_relative_difference": agreement,
        "inference_batch_1": _inference(ours, reference, images[:1], rounds, repeats=2 if quick else 10),
        "inference_batch_1_memory_floor": _memory_floor(ours, megabytes=8 if quick else 1000, rounds=rounds),
        f"inference_batch_{BATCH}": _inference(ours, reference, images, rounds),
        f"training_step_batch_{BATCH}": training,
    }


def _verify(ours: HTNet, reference: ReferenceHTNet, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Largest relative difference of the scores and of every parameter's gradient."""
    truth, scores = ({"one": net(images[:1]), "all": net(images)} for net in (reference, ours))
    outputs = agree(scores, truth, TOLERANCE["outputs"], "outputs")
    for score in (truth["all"], scores["all"]):
        F.cross_entropy(score, labels).backward()
    # Gradients sit in a copy of the model, so the map of parameter names serves for them too.
    holder = copy.deepcopy(ours)
    for slot, parameter in zip(holder.parameters(), ours.parameters(), strict=True):
        slot.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    expected = {key: p.grad for key, p in reference.named_parameters() if p.grad is not None}
    gradients = agree(reference_state(holder), expected, TOLERANCE["gradients"], "gradients")
    alike = _bfloat16_cosine(ours, images, labels)
    for net in (ours, reference):
        net.zero_grad(set_to_none=True)
    return {"outputs": outputs, "gradients": gradients, "bfloat16_gradients_1_minus_cosine": alike}


def _bfloat16_cosine(ours: HTNet, images: Tensor, labels: Tensor) -> float:
    """1 minus the cosine between the gradient in bfloat16 and the one that ``ours`` contains; refuses much."""
    rounded = copy.deepcopy(ours)
    rounded.zero_grad(set_to_none=True)
    with autocast(images.device, get_recipe("reference", precision="bfloat16")):
        scores = rounded(images)
    F.cross_entropy(scores.float(), labels).backward()
    pairs = [(p.grad, q.grad) for p, q in zip(ours.parameters(), rounded.parameters(), strict=True)]
    dots = [[(a * b).sum().item() for a, b in ((x, y), (x, x), (y, y))] for x, y in pairs if x is not None]
    xy, xx, yy = (sum(column) for column in zip(*dots, strict=True))
    distance = 1 - xy / (xx * yy) ** 0.5
    if distance > TOLERANCE["bfloat16_gradients_1_minus_cosine"]:
        raise DisagreementError(f"Gradients in bfloat16 point elsewhere: 1 - cosine is {distance:.3g}.")
    return float(f"{distance:.3g}")


def _inference(ours: HTNet, reference: ReferenceHTNet, images: Tensor, rounds: int, repeats: int = 1) -> dict[str, Any]:
    sides = {"reference": reference.eval(), "htnet": ours.eval()}
    with torch.no_grad():
        times = interleave({name: lambda net=net: net(images) for name, net in sides.items()}, rounds, repeats=repeats)
    return compare(times, "reference")


def _memory_floor(ours: HTNet, megabytes: int, rounds: int) -> dict[str, Any]:
    """Time that reading every weight once takes: no way of computing one image is faster."""
    unread = sum(p.nbytes for key, p in ours.named_parameters() if ours.attention_is_trivial and ".qk." in key)
    weights = sum(p.nbytes for p in ours.parameters())
    bandwidth = memory_bandwidth(megabytes, rounds)
    return {
        "megabytes": {"reference": weights / 1e6, "htnet": (weights - unread) / 1e6},
        "bandwidth_gb_per_s": bandwidth,
        "ms": {
            name: round(size / 1e6 / max(bandwidth.values()), 3)
            for name, size in (("reference", weights), ("htnet", weights - unread))
        },
    }


def _training(ours: HTNet, reference: ReferenceHTNet, images: Tensor, labels: Tensor, rounds: int) -> dict[str, Any]:
    """The reference with PyTorch's default Adam, and with the optimizer of ours; ours, in float32 and in bfloat16."""
    recipe = get_recipe("reference")
    same, rounded = copy.deepcopy(reference), copy.deepcopy(ours)
    half = dataclasses.replace(recipe, precision="bfloat16")
    steps = {
        "reference": _step(reference, torch.optim.Adam(reference.parameters(), lr=recipe.lr), images, labels),
        "reference_with_our_optimizer": _step(
            same, make_optimizer(same.parameters(), recipe, steps=1)[0], images, labels
        ),
        "htnet": _step(ours, make_optimizer(ours.parameters(), recipe, steps=1)[0], images, labels),
        "htnet_bfloat16": _step(rounded, make_optimizer(rounded.parameters(), half, steps=1)[0], images, labels, half),
    }
    return compare(interleave(steps, rounds, warmup=2), "reference")


def _step(
    net: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, recipe: Recipe | None = None
) -> Callable[[], None]:
    net.train()
    recipe = recipe or get_recipe("reference")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(images.device, recipe):
            scores = net(images)
        F.cross_entropy(scores.float(), labels).backward()
        optimizer.step()

    return step
