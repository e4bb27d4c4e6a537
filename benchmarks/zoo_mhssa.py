"""MHSSA + GCN against the reference's form, on the CPU: inference and training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import htnet
from benchmarks.measure import bar, compare, interleave
from benchmarks.mhssa_reference import ReferenceMHSSAGCN, load_ours, scaled
from benchmarks.verify import agree
from benchmarks.zoo_profile import profile_of
from htnet.models import MHSSAGCN, create_model
from htnet.preprocess import MEAN_SHAPE_28

BATCH = 32
#: The scaling stops by a threshold: one step more or less changes the distances by up to this.
TOLERANCE = {"outputs": 1e-3, "htnet_optimized_float32": 1e-4, "htnet_optimized_bfloat16": 0.05}


def run_mhssa(quick: bool) -> dict[str, Any]:
    """Check the published form's outputs, then time it and the default form."""
    name = "mhssa_gcn_small" if quick else "mhssa_gcn"
    torch.manual_seed(0)
    same = create_model(name, spatial="reference", scaling="smacof")
    ours = create_model(name)
    assert isinstance(same, MHSSAGCN)
    assert isinstance(ours, MHSSAGCN)
    reference = load_ours(ReferenceMHSSAGCN(same.config), same)
    images = smooth_images(BATCH, same.config.image_size)
    points = torch.tensor(MEAN_SHAPE_28.tolist()) + torch.randn(BATCH, 68, 2)
    labels = torch.randint(same.config.num_classes, (BATCH,))
    patches, at = same.cut(images, points)
    for net in (same, ours, reference):
        net.eval()
    with torch.no_grad():
        scores, truth = same(images, points), reference(patches, at)
    agreement = agree({"scores": scores}, {"scores": truth}, TOLERANCE["outputs"], "outputs")
    optimized = {f"htnet_optimized_{dtype}": htnet.optimize(ours, dtype) for dtype in ("float32", "bfloat16")}
    fewer_bits = _optimized_agree(ours, optimized, images, points)
    rounds = 3 if quick else 11
    calls: dict[str, tuple[nn.Module, tuple[Tensor, Tensor]]] = {
        "reference": (reference, (patches, at)),  # given its patches ready cut; ours cut them
        "htnet_published_form": (same, (images, points)),
        "htnet": (ours, (images, points)),
    }
    inference = _inference(calls | {key: (net, (images, points)) for key, net in optimized.items()}, rounds)
    return {
        "device": "cpu",
        "model": name,
        "bars": [
            bar(f"mhssa_gcn, {key}, inference, batch {BATCH}: times as fast", 10.0, inference["times_as_fast"][key])
            for key in optimized
        ],
        "tolerance": TOLERANCE,
        "largest_relative_difference": {"outputs": agreement, **fewer_bits},
        f"scaling_batch_{BATCH}": _scaling(same, ours, patches, at, rounds),
        f"inference_batch_{BATCH}": inference,
        f"profile_batch_{BATCH}": profile_of(
            lambda: optimized["htnet_optimized_float32"](images, points), inference["ms"]["reference"]["median"], rounds
        ),
        f"training_step_batch_{BATCH}": _training(calls, labels, rounds),
    }


def _optimized_agree(
    ours: MHSSAGCN, optimized: Mapping[str, nn.Module], images: Tensor, points: Tensor
) -> dict[str, float]:
    """Largest relative difference of the scores of the optimized forms from the default form's."""
    with torch.no_grad():
        truth = {"scores": ours(images, points)}
        return {
            key: agree({"scores": net(images, points)}, truth, TOLERANCE[key], key) for key, net in optimized.items()
        }


def smooth_images(count: int, size: int) -> Tensor:
    """Random images as smooth as flow images, every channel from 0 to 255: regions differ as they do there."""
    images = F.interpolate(torch.randn(count, 3, 5, 5), size=(size, size), mode="bicubic", align_corners=True)
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return (images - low) / (high - low) * 255


def _scaling(same: MHSSAGCN, ours: MHSSAGCN, patches: Tensor, at: Tensor, rounds: int) -> dict[str, Any]:
    """The multidimensional scaling alone, of the same regions' vectors."""
    with torch.no_grad():
        vectors = same.encode(patches, at)
        sides: dict[str, Callable[[], object]] = {
            "reference": lambda: [scaled(sample) for sample in vectors.numpy()],
            "htnet_published_form": lambda: same.manifold_distance(vectors),
            "htnet": lambda: ours.manifold_distance(vectors),
        }
        return compare(interleave(sides, rounds), "reference")


def _inference(calls: dict[str, tuple[nn.Module, tuple[Tensor, Tensor]]], rounds: int) -> dict[str, Any]:
    with torch.no_grad():
        times = interleave({k: lambda net=net, a=a: net(*a) for k, (net, a) in calls.items()}, rounds)
    return compare(times, "reference")


def _training(calls: dict[str, tuple[nn.Module, tuple[Tensor, Tensor]]], labels: Tensor, rounds: int) -> dict[str, Any]:
    """Ours with the fused Adam that htnet trains with, and with gradients through the scaling."""
    steps = {k: training_step(net, a, labels, fused=k != "reference") for k, (net, a) in calls.items()}
    return compare(interleave(steps, rounds), "reference")


def training_step(net: nn.Module, inputs: Sequence[Tensor], labels: Tensor, fused: bool) -> Callable[[], None]:
    """One step of Adam, the fused one that htnet trains with or PyTorch's default."""
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-5, fused=fused)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(*inputs), labels).backward()
        optimizer.step()

    return step
