"""Variants of the weights `synthetic`: other networks, views and standardisation, trained on generated images alone."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.recipe_trials.networks import build, shown, statistics
from benchmarks.recipe_trials.settings import Pretraining, described
from htnet.hub import load_pretrained
from htnet.models import create_model
from htnet.synthesis import ACTION_UNITS, SynthesisConfig
from htnet.training import Augmentation, generated_set, train_on_generated
from htnet.training.augment import augment
from htnet.training.loop import average, make_optimizer

#: Images that mean and deviation are taken from.
_MEASURED = 8000


def pretrained(pretraining: Pretraining, seed: int, runs: Path) -> nn.Module:
    """The network of a seed, trained unless ``runs`` has it; in eval mode."""
    if pretraining.library:
        # The folder that benchmarks.synthetic_scores keeps it in too.
        folder = runs / "synthetic" / f"{pretraining.network.model}-{pretraining.count}-seed-{seed}"
        if not (folder / "config.json").is_file():
            train_on_generated(folder, model=pretraining.network.model, count=pretraining.count, seed=seed)
        return load_pretrained(folder)
    key = hashlib.sha256(json.dumps(described(pretraining), sort_keys=True).encode()).hexdigest()[:12]
    path = runs / "recipe_trials" / f"{key}-seed-{seed}.pt"
    channels = 6 if pretraining.network.view == "both" else 3
    if path.is_file():
        network = build(pretraining.network, torch.zeros(channels), torch.full((channels,), 2.0), ACTION_UNITS)
        kept = torch.load(path, weights_only=True)
        network.load_state_dict(kept["state"])
        set_statistics(network, kept["mean"], kept["std"])
        return network.eval()
    network, mean, std = _train(pretraining, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    torch.save({"state": network.state_dict(), "mean": mean, "std": std}, partial)
    os.replace(partial, path)
    return network


def set_statistics(network: nn.Module, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Put the mean and deviation (C,) of a set into a network, unless it standardises each image by itself."""
    buffers = dict(network.named_buffers())
    if "standardize.mean" in buffers:
        buffers["standardize.mean"].copy_(mean.view(1, -1, 1, 1))
        buffers["standardize.std"].copy_(std.view(1, -1, 1, 1))


def _train(pretraining: Pretraining, seed: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    recipe, view = pretraining.recipe, pretraining.network.view
    torch.manual_seed(seed)
    data = generated_set(pretraining.count, seed + 1, SynthesisConfig(size=pretraining.network.size))
    measured = data.subset(range(min(_MEASURED, len(data))))
    mean, std = statistics(measured, view)
    noise_mean, noise_std = mean[:3], std[:3]
    if pretraining.network.perceptron is not None:
        # The figures were made so: noise in the regions' units, and these draws before the network's own.
        noise_mean, noise_std = statistics(measured, "regions")
        create_model("htnet_tiny", action_units=ACTION_UNITS)
    network = build(pretraining.network, mean, std, ACTION_UNITS)
    augmentation, active = recipe.augmentation, data.units
    assert isinstance(augmentation, Augmentation)
    assert active is not None
    averaged = copy.deepcopy(network)
    steps = recipe.epochs * -(-len(data) // recipe.batch_size)
    optimizer, schedule = make_optimizer(network.parameters(), recipe, steps)
    assert schedule is not None
    step = 0
    for _ in range(recipe.epochs):
        for batch in torch.randperm(len(data)).split(recipe.batch_size):
            images, points, more = augment(
                data.images[batch].float(),
                data.points[batch],
                augmentation,
                noise_mean,
                noise_std,
                data.u_channel,
                {"units": active[batch]},
            )
            scores, units = network(shown(images, points, data, view), return_units=True)
            loss = F.cross_entropy(scores, data.labels[batch])
            loss = loss + recipe.units_weight * F.binary_cross_entropy_with_logits(units, more["units"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average(averaged.state_dict(), network.state_dict(), recipe, step)
            step += 1
    return averaged.eval(), mean, std
