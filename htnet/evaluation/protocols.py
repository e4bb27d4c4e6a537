"""What is trained and reported for one left-out subject, under each protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from htnet.data import Fold, Manifest, hold_out_subjects
from htnet.errors import InputError, did_you_mean
from htnet.evaluation.store import RunStore
from htnet.metrics import score
from htnet.models import EmotionModel
from htnet.training import Checkpoint, FlowSet, Recipe, predict_set, train_model

#: Protocol names and what each reports.
PROTOCOLS = {
    "last": "the last epoch; nothing is selected",
    "nested": "the epoch with the best UF1 on subjects held out of the training part",
    "best_on_test": "LEAKS: the epoch with the best accuracy on the test subject, as the published code does",
}
#: Protocols whose epoch is chosen on the test subject.
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


def fold_seed(seed: int, fold: str) -> int:
    """A seed of its own for each fold, whatever order folds run in."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{fold}".encode()).digest()[:4], "big")


def run_fold(job: FoldJob, fold: Fold, seed: int) -> None:
    """Train and test one fold under every protocol asked for, and store the result."""
    result: dict[str, Any] = {"fold": fold.name, "seed": seed, "protocols": {}}
    test = job.data.subset(fold.test)
    if {"last", "best_on_test"} & set(job.protocols):
        result["protocols"] |= _run_all_epochs(job, fold, seed, test)
    if "nested" in job.protocols:
        result["protocols"]["nested"] = _run_nested(job, fold, seed, test)
    job.store.write_fold(seed, fold.name, result)


def _train(job: FoldJob, fold: Fold, seed: int, stage: str, indices: Sequence[int], on_epoch: Any) -> Any:
    checkpoint = Checkpoint(job.store.partial_path(seed, fold.name, stage), job.checkpoint_every)
    return train_model(
        job.model,
        job.data.subset(indices),
        job.recipe,
        seed=fold_seed(seed, fold.name),
        device=job.device,
        settings=job.settings,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
    )


def _entry(job: FoldJob, fold: Fold, epoch: int, probabilities: torch.Tensor) -> dict[str, Any]:
    names = [job.manifest.samples[i].sample for i in fold.test]
    return {"epoch": epoch, "probabilities": dict(zip(names, probabilities.tolist(), strict=True))}


def _run_all_epochs(job: FoldJob, fold: Fold, seed: int, test: FlowSet) -> dict[str, Any]:
    """One training serves both "last" and "best_on_test": watching the test set changes nothing in it."""
    leaking = "best_on_test" in job.protocols

    def watch(epoch: int, model: EmotionModel) -> list[list[float]] | None:
        if not leaking and epoch < job.recipe.epochs:
            return None
        return predict_set(model, test).tolist()

    _, records = _train(job, fold, seed, "all", fold.train, watch)
    out: dict[str, Any] = {}
    if "last" in job.protocols:
        out["last"] = _entry(job, fold, job.recipe.epochs, torch.tensor(records[-1]))
    if leaking:
        truth = test.labels.cpu()
        right = [int((torch.tensor(r).argmax(1) == truth).sum()) for r in records]
        best_epoch = max(range(len(right)), key=lambda i: (right[i], i))  # ties: the later, as published
        out["best_on_test"] = _entry(job, fold, best_epoch + 1, torch.tensor(records[best_epoch]))
    return out


def _run_nested(job: FoldJob, fold: Fold, seed: int, test: FlowSet) -> dict[str, Any]:
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

    _, records = _train(job, fold, seed, "nested", train, watch)
    epoch = max(range(len(records)), key=lambda i: (records[i][0], records[i][1], i))
    return _entry(job, fold, epoch + 1, torch.tensor(records[epoch][2]))
