"""What is trained and reported for one left-out subject or data set, under each protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htnet.core.errors import InputError, did_you_mean
from htnet.data import Fold, Manifest, hold_out_subjects
from htnet.evaluation.metrics import score
from htnet.evaluation.store import RunStore
from htnet.models import EmotionModel
from htnet.training import (
    Checkpoint,
    FlowSet,
    Recipe,
    StartFrom,
    Training,
    counted_units,
    num_batches,
    predict_set,
    train_model,
    train_vmapped,
)

#: Protocol names and what each reports.
PROTOCOLS = {
    "last": "the last epoch; nothing is selected",
    "nested": "the epoch with the best UF1 on subjects held out of the training part",
    "best_on_test": "LEAKS: the epoch with the best accuracy on the tested samples, as the published code does",
}
#: Protocols whose epoch is chosen on the tested samples.
LEAKING = frozenset({"best_on_test"})


def check_protocols(protocols: Sequence[str]) -> tuple[str, ...]:
    """The protocols without repetition, in the order of `PROTOCOLS`.

    Raises:
        InputError: an unknown one, or none.
    """
    for name in protocols:
        if name not in PROTOCOLS:
            raise InputError(f"Unknown protocol: {name!r}. {did_you_mean(name, PROTOCOLS)}")
    if not protocols:
        raise InputError(f"No protocol was given. Known: {', '.join(PROTOCOLS)}.")
    return tuple(name for name in PROTOCOLS if name in protocols)


@dataclass(frozen=True, eq=False)
class FoldJob:
    """Everything that all folds of a run share.

    Attributes:
        manifest: the samples.
        data: the same samples as tensors.
        model: registered model name.
        settings: overrides of its config.
        recipe: how to train.
        protocols: what to report.
        held_out: share of the training subjects that "nested" holds out.
        device: where to train.
        checkpoint_every: seconds between two writes of an unfinished training's state.
        store: the run folder.
        starts: weights that trainings start from, by seed; seeds without start from fresh ones.
        count_units: whether each training's co-occurrence of action units is counted over its own samples.
    """

    manifest: Manifest
    data: FlowSet
    model: str
    settings: dict[str, Any]
    recipe: Recipe
    protocols: tuple[str, ...]
    held_out: float
    device: str
    checkpoint_every: float
    store: RunStore
    count_units: bool = False
    starts: Mapping[int, StartFrom] = field(default_factory=dict)

    def settings_for(self, indices: Sequence[int]) -> dict[str, Any]:
        """Overrides of the model's config in a training on the samples at ``indices``."""
        if not self.count_units:
            return self.settings
        return {**self.settings, **counted_units(self.model, [self.manifest.samples[i] for i in indices])}


def fold_seed(seed: int, fold: str) -> int:
    """A seed of its own for each fold, whatever order folds run in."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{fold}".encode()).digest()[:4], "big")


@dataclass(frozen=True, eq=False)
class _Stage:
    """One training of a fold: on which samples, what is noted after each epoch, and what is made of the notes."""

    name: str
    indices: Sequence[int]
    watch: Callable[[int, EmotionModel], Any]
    finish: Callable[[list[Any]], dict[str, Any]]


def run_fold(job: FoldJob, fold: Fold, seed: int) -> None:
    """Train and test one fold under every protocol asked for, and store the result."""
    result: dict[str, Any] = {"fold": fold.name, "seed": seed, "protocols": {}}
    for stage in _stages(job, fold, seed):
        _, records = train_model(
            job.model,
            job.data.subset(stage.indices),
            job.recipe,
            seed=fold_seed(seed, fold.name),
            device=job.device,
            settings=job.settings_for(stage.indices),
            start=job.starts.get(seed),
            on_epoch=stage.watch,
            checkpoint=Checkpoint(job.store.partial_path(seed, fold.name, stage.name), job.checkpoint_every),
        )
        result["protocols"] |= stage.finish(records)
    job.store.write_fold(seed, fold.name, result)


def run_together(job: FoldJob, tasks: Sequence[tuple[Fold, int]]) -> None:
    """The same for many folds (with a seed each), those with as many steps an epoch and one start trained at once."""
    stages = [_stages(job, fold, seed) for fold, seed in tasks]
    found: list[dict[str, Any]] = [{} for _ in tasks]
    for number in range(len(stages[0])):
        chosen = [each[number] for each in stages]
        kinds = [
            (num_batches(len(stage.indices), job.recipe), job.starts.get(seed))
            for stage, (_, seed) in zip(chosen, tasks, strict=True)
        ]
        for kind in dict.fromkeys(kinds):
            members = [i for i, own in enumerate(kinds) if own == kind]
            trained = train_vmapped(
                job.model,
                [
                    Training(
                        job.data.subset(chosen[i].indices), fold_seed(tasks[i][1], tasks[i][0].name), chosen[i].watch
                    )
                    for i in members
                ],
                job.recipe,
                device=job.device,
                settings=job.settings,
                start=kind[1],
                checkpoint=Checkpoint(
                    _shared_path(job, [tasks[i] for i in members], chosen[0].name), job.checkpoint_every
                ),
            )
            for i, (_, records) in zip(members, trained, strict=True):
                found[i] |= chosen[i].finish(records)
    for (fold, seed), protocols in zip(tasks, found, strict=True):
        job.store.write_fold(seed, fold.name, {"fold": fold.name, "seed": seed, "protocols": protocols})


def _shared_path(job: FoldJob, tasks: Sequence[tuple[Fold, int]], stage: str) -> Path:
    """Where the state of trainings at once is kept; a name for each set of folds."""
    names = " ".join(f"{seed}/{fold.name}" for fold, seed in tasks)
    return job.store.partial_path(tasks[0][1], f"together-{hashlib.sha256(names.encode()).hexdigest()[:16]}", stage)


def _stages(job: FoldJob, fold: Fold, seed: int) -> list[_Stage]:
    test = job.data.subset(fold.test)
    found = []
    if {"last", "best_on_test"} & set(job.protocols):
        found.append(_all_epochs(job, fold, test))
    if "nested" in job.protocols:
        found.append(_nested(job, fold, seed, test))
    return found


def _entry(job: FoldJob, fold: Fold, epoch: int, probabilities: torch.Tensor) -> dict[str, Any]:
    names = [job.manifest.samples[i].sample for i in fold.test]
    return {"epoch": epoch, "probabilities": dict(zip(names, probabilities.tolist(), strict=True))}


def _all_epochs(job: FoldJob, fold: Fold, test: FlowSet) -> _Stage:
    """One training serves both "last" and "best_on_test": watching the test set changes nothing in it."""
    leaking = "best_on_test" in job.protocols

    def watch(epoch: int, model: EmotionModel) -> list[list[float]] | None:
        if not leaking and epoch < job.recipe.epochs:
            return None
        return predict_set(model, test).tolist()

    def finish(records: list[Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if "last" in job.protocols:
            out["last"] = _entry(job, fold, job.recipe.epochs, torch.tensor(records[-1]))
        if leaking:
            truth = test.labels.cpu()
            right = [int((torch.tensor(r).argmax(1) == truth).sum()) for r in records]
            best_epoch = max(range(len(right)), key=lambda i: (right[i], i))  # ties: the later, as published
            out["best_on_test"] = _entry(job, fold, best_epoch + 1, torch.tensor(records[best_epoch]))
        return out

    return _Stage("all", fold.train, watch, finish)


def _nested(job: FoldJob, fold: Fold, seed: int, test: FlowSet) -> _Stage:
    train, held = hold_out_subjects(job.manifest, fold.train, job.held_out, fold_seed(seed, fold.name))
    validation = job.data.subset(held)
    truth = validation.labels.cpu().numpy()
    classes = len(job.manifest.classes)

    def watch(epoch: int, model: EmotionModel) -> list[Any]:
        seen = predict_set(model, validation)
        quality = score(truth, seen.argmax(1).numpy(), classes).uf1
        loss = -float(np.log(np.maximum(seen.numpy()[np.arange(len(truth)), truth], 1e-12)).mean())
        # The test subject's answers are stored, not looked at: the epoch is chosen on the two numbers.
        return [quality, -loss, predict_set(model, test).tolist()]

    def finish(records: list[Any]) -> dict[str, Any]:
        epoch = max(range(len(records)), key=lambda i: (records[i][0], records[i][1], i))
        return {"nested": _entry(job, fold, epoch + 1, torch.tensor(records[epoch][2]))}

    return _Stage("nested", train, watch, finish)
