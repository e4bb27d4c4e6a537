"""Folds per hour of a LOSO: sequential, in several processes, and vmapped in one process."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import COMPOSITE, bar, compare
from benchmarks.reference_htnet import ReferenceHTNet
from benchmarks.verify import agree
from htnet.core.errors import InputError
from htnet.core.parallel import cores, run_tasks
from htnet.core.types import PreprocessSpec
from htnet.data import open_data
from htnet.evaluation import loso
from htnet.models import create_model
from htnet.preprocess import template_points
from htnet.training import (
    FlowSet,
    Recipe,
    Training,
    get_recipe,
    num_batches,
    predict_set,
    recipe_loss,
    train_model,
    train_vmapped,
)

#: As many samples as a fold of the composite set trains on.
SAMPLES = 436
FOLDS = 8
#: Probabilities of two ways to train the same model, after a short training; rounding grows from step to step.
TOLERANCE = {"probabilities": 5e-3}


def run(quick: bool) -> dict[str, Any]:
    """Check that all ways train the same models, then time them."""
    name, epochs, rounds = ("htnet_tiny", 1, 2) if quick else ("htnet_small", 6, 5)
    folds = 2 if quick else FOLDS
    data = random_set(40 if quick else SAMPLES)
    recipe = get_recipe("default", epochs=epochs)
    agreement = _verify(name, data, get_recipe("default", epochs=1, lr=1e-4))
    ways = ("one_after_the_other", "reference_form", "processes", "vmapped")
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        times["reference_form"].append(_reference_loop(name, data, recipe, folds))
        times["one_after_the_other"].append(_one_by_one(name, data, recipe, folds))
        times["processes"].append(_in_processes(name, data, recipe, folds))
        times["vmapped"].append(_vmapped(name, data, recipe, folds))
    compared = compare(times, "one_after_the_other")
    by_reference = compare(times, "reference_form")["times_as_fast"]["processes"]
    what = f"{name}, folds of a LOSO an hour beside the plain loop of"
    bars = [
        bar(f"{what} htnet: times as many", 1.5, compared["times_as_fast"]["processes"]),
        bar(f"{what} the reference's form: times as many", 1.5, by_reference),
    ]
    return {
        "device": "cpu",
        "model": name,
        "bars": bars,
        "epochs": epochs,
        "folds": folds,
        "samples": len(data),
        "processes": cores(),
        "tolerance": TOLERANCE,
        "largest_relative_difference": agreement,
        f"{folds}_folds": compared,
    }


def random_set(samples: int) -> FlowSet:
    """Samples without structure, for times."""
    spec = PreprocessSpec()
    images = torch.randint(0, 256, (samples, 3, spec.size, spec.size), dtype=torch.uint8)
    points = template_points(spec)[None].repeat(samples, 1, 1)
    return FlowSet(images, points, torch.randint(0, 3, (samples,)), spec, ("template",) * samples)


def _verify(name: str, data: FlowSet, recipe: Recipe) -> dict[str, float]:
    seeds = range(2)
    alone = torch.stack([predict_set(train_model(name, data, recipe, seed=s)[0], data) for s in seeds])
    vmapped = train_vmapped(name, [Training(data, s) for s in seeds], recipe)
    elsewhere = dict(run_tasks(_predict, (name, data, recipe), [(s,) for s in seeds], workers=2))
    found = {
        "vmapped": torch.stack([predict_set(model, data) for model, _ in vmapped]),
        "processes": torch.stack([elsewhere[(s,)] for s in seeds]),
    }
    limit = TOLERANCE["probabilities"]
    return {key: agree({key: value}, {key: alone}, limit, "probabilities") for key, value in found.items()}


def _predict(shared: tuple[str, FlowSet, Recipe], seed: int) -> Tensor:
    name, data, recipe = shared
    return predict_set(train_model(name, data, recipe, seed=seed)[0], data)


def _train(shared: tuple[str, FlowSet, Recipe], seed: int) -> tuple[float, float]:
    name, data, recipe = shared
    start = time.time()
    train_model(name, data, recipe, seed=seed)
    return start, time.time()


def _one_by_one(name: str, data: FlowSet, recipe: Recipe, folds: int) -> float:
    start = time.perf_counter()
    for seed in range(folds):
        train_model(name, data, recipe, seed=seed)
    return (time.perf_counter() - start) * 1e3


def _in_processes(name: str, data: FlowSet, recipe: Recipe, folds: int) -> float:
    """From the first start of a fold to the last end, after a fold in each process: a LOSO starts them once."""
    tasks = [(seed,) for seed in range(folds + cores())]
    spans = sorted(span for _, span in run_tasks(_train, (name, data, recipe), tasks, cores()))[cores() :]
    return (max(end for _, end in spans) - min(start for start, _ in spans)) * 1e3


def _reference_loop(name: str, data: FlowSet, recipe: Recipe, folds: int) -> float:
    """The network in the reference's form under the same recipe, in a loop as anybody writes it."""
    mean, std = data.statistics()
    start = time.perf_counter()
    for seed in range(folds):
        torch.manual_seed(seed)
        net = ReferenceHTNet(create_model(name).config)
        averaged = copy.deepcopy(net)
        optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
        steps = recipe.epochs * num_batches(len(data), recipe)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)
        for _ in range(recipe.epochs):
            for index in torch.randperm(len(data)).split(recipe.batch_size):
                images, targets, _ = data.batch(index, recipe.augmentation, mean, std)
                images = (images - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)
                loss = recipe_loss(recipe, net(images), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                with torch.no_grad():
                    for own, new in zip(averaged.parameters(), net.parameters(), strict=True):
                        own.lerp_(new, 1 - recipe.ema_decay)
    return (time.perf_counter() - start) * 1e3


def _vmapped(name: str, data: FlowSet, recipe: Recipe, folds: int) -> float:
    start = time.perf_counter()
    train_vmapped(name, [Training(data, seed) for seed in range(folds)], recipe)
    return (time.perf_counter() - start) * 1e3


def run_gpu(quick: bool) -> dict[str, Any]:
    """The whole published LOSO on a CUDA device, timed, with its scores; the reference's form by a sample.

    The run folder ``runs/published-loso`` is taken up where an earlier call was stopped; seconds add up there.
    """
    if not torch.cuda.is_available():
        raise InputError("The benchmark training_gpu needs a CUDA device; there is none here.")
    recipe = get_recipe("reference", precision="bfloat16", **({"epochs": 5} if quick else {}))
    name = "htnet_small" if quick else "htnet_base"
    root = Path("runs") / ("published-loso-quick" if quick else "published-loso")
    clock = root / "seconds.txt"
    before = float(clock.read_text()) if clock.is_file() else 0.0
    start = time.perf_counter()
    try:
        result = loso(open_data(COMPOSITE), name, recipe, out=root, protocols=("last", "best_on_test"), device="cuda")
    finally:
        root.mkdir(parents=True, exist_ok=True)
        clock.write_text(str(before + time.perf_counter() - start))
    return {
        "device": "cuda",
        "gpu": torch.cuda.get_device_name(),
        "model": name,
        "recipe": recipe.to_dict(),
        "minutes": round(float(clock.read_text()) / 60, 2),
        "scores": {key: entry["mean"] for key, entry in result.summary["protocols"].items()},
        "reference_form_minutes_estimated": _reference_minutes(name, recipe, 68, 2),
    }


def _reference_minutes(name: str, recipe: Recipe, folds: int, steps: int) -> float:
    """Steps of the reference's form in float32, sampled, times those of the whole LOSO."""
    net = ReferenceHTNet(create_model(name).config).cuda()
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr)
    images = torch.rand(SAMPLES // steps, 3, 28, 28, device="cuda") * 255
    labels = torch.randint(3, (len(images),), device="cuda")
    spent = []
    for _ in range(30):
        torch.cuda.synchronize()
        start = time.perf_counter()
        optimizer.zero_grad()
        recipe_loss(recipe, net(images), labels).backward()
        optimizer.step()
        torch.cuda.synchronize()
        spent.append(time.perf_counter() - start)
    return round(sorted(spent)[len(spent) // 2] * steps * recipe.epochs * folds / 60, 1)
