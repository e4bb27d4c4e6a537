"""Training and testing of one fold under each protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htnet.core.errors import NonFiniteLossError, prefixed
from htnet.core.global_state import usual_settings
from htnet.core.schema import plain
from htnet.data import Fold, Manifest, hold_out_subjects
from htnet.evaluation.metrics import score
from htnet.evaluation.plan import EvaluationPlan
from htnet.evaluation.store import RunStore
from htnet.models import EmotionModel
from htnet.training import (
    Checkpoint,
    FlowSet,
    StartFrom,
    Training,
    TrainingJob,
    counted_units,
    num_batches,
    predict_set,
    run_job,
    train_vmapped,
)


@dataclass(frozen=True, eq=False)
class FoldRun:
    """State shared by all folds of a run.

    Attributes:
        plan: settings of the evaluation.
        manifest: the samples.
        data: the same samples as tensors.
        settings: overrides of the model's config, for these samples.
        store: the run folder, which holds the checkpoints of unfinished trainings; None for no checkpoints.
        starts: starting weights by seed; other seeds start from fresh weights.
    """

    plan: EvaluationPlan
    manifest: Manifest
    data: FlowSet
    settings: dict[str, Any]
    store: RunStore | None
    starts: Mapping[int, StartFrom] = field(default_factory=dict)

    def job(self, fold: Fold, seed: int, indices: Sequence[int]) -> TrainingJob:
        """The training of a fold on the samples at ``indices``."""
        settings = self.settings
        if self.plan.count_units:
            settings = settings | counted_units(self.plan.model, [self.manifest.samples[i] for i in indices])
        return TrainingJob(
            self.plan.model,
            self.plan.recipe,
            fold_seed(seed, fold.name),
            self.plan.device,
            settings,
            self.starts.get(seed),
        )

    def checkpoint(self, seed: int, name: str, stage: str) -> Checkpoint | None:
        """Checkpoint of a training. The caller removes its file once the results are stored."""
        if self.store is None:
            return None
        return Checkpoint(self.store.partial_path(seed, name, stage), self.plan.checkpoint_every, remove=False)


def fold_seed(seed: int, fold: str) -> int:
    """A different seed for each fold, whatever the order of folds."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{fold}".encode()).digest()[:4], "big")


@dataclass(frozen=True, eq=False)
class _Stage:
    """One training of a fold: its samples, the values recorded after each epoch, and their evaluation.

    Attributes:
        name: name of the stage.
        indices: indexes of the training samples.
        watch: called after each epoch; its return value is recorded.
        finish: computes the result of each protocol from the records.
        measured: extracts from the records the values of each epoch that do not depend on tested samples, for the
            learning curve.
        curve: loss and learning rate of each epoch, once the training has ended.
    """

    name: str
    indices: Sequence[int]
    watch: Callable[[int, EmotionModel], Any]
    finish: Callable[[list[Any]], dict[str, Any]]
    measured: Callable[[list[Any]], dict[str, list[float]]] = lambda records: {}
    curve: list[tuple[float, float]] = field(default_factory=list)

    def keep(self, result: dict[str, Any], records: list[Any]) -> None:
        """Add this stage to the result of its fold."""
        result["protocols"] |= self.finish(records)
        loss, lr = ([point[k] for point in self.curve] for k in (0, 1))
        # Nine significant digits restore a float32 exactly; `plain` turns values that are not finite into None.
        numbers = {"loss": loss, "lr": lr, **self.measured(records)}
        result["curves"][self.name] = plain({n: [float(f"{v:.9g}") for v in values] for n, values in numbers.items()})


def _empty(fold: Fold, seed: int) -> dict[str, Any]:
    return {"fold": fold.name, "seed": seed, "protocols": {}, "curves": {}}


@usual_settings(grad=True)
def run_fold(run: FoldRun, fold: Fold, seed: int) -> dict[str, Any]:
    """Train and test one fold under every requested protocol. Returns the content for `RunStore.write_fold`."""
    result = _empty(fold, seed)
    for stage in _stages(run, fold, seed):
        try:
            _, records = run_job(
                run.job(fold, seed, stage.indices),
                run.data.subset(stage.indices),
                stage.watch,
                run.checkpoint(seed, fold.name, stage.name),
                on_curve=stage.curve.extend,
            )
        except NonFiniteLossError as error:
            raise prefixed(f"Fold {fold.title}, seed {seed}", error) from error
        stage.keep(result, records)
    return result


@usual_settings(grad=True)
def run_vmapped(run: FoldRun, tasks: Sequence[tuple[Fold, int]]) -> tuple[list[dict[str, Any]], list[Path]]:
    """Do the same as `run_fold` for many folds, each with a seed.

    Folds with the same number of steps per epoch and the same start are trained at once.

    Returns:
        The results, and the checkpoint files, which the caller removes once the results are stored.
    """
    stages = [_stages(run, fold, seed) for fold, seed in tasks]
    results = [_empty(fold, seed) for fold, seed in tasks]
    kept = []
    for number in range(len(stages[0])):
        chosen = [each[number] for each in stages]
        kinds = [
            (num_batches(len(stage.indices), run.plan.recipe), run.starts.get(seed))
            for stage, (_, seed) in zip(chosen, tasks, strict=True)
        ]
        for kind in dict.fromkeys(kinds):
            members = [i for i, own in enumerate(kinds) if own == kind]
            names = " ".join(f"{tasks[i][1]}/{tasks[i][0].name}" for i in members)
            name = f"vmapped-{hashlib.sha256(names.encode()).hexdigest()[:16]}"
            kept.append(run.checkpoint(tasks[members[0]][1], name, chosen[0].name))
            trained = train_vmapped(
                run.plan.model,
                [
                    Training(
                        run.data.subset(chosen[i].indices),
                        fold_seed(tasks[i][1], tasks[i][0].name),
                        chosen[i].watch,
                        chosen[i].curve.extend,
                    )
                    for i in members
                ],
                run.plan.recipe,
                device=run.plan.device,
                settings=run.settings,
                start=kind[1],
                checkpoint=kept[-1],
            )
            for i, (_, records) in zip(members, trained, strict=True):
                chosen[i].keep(results[i], records)
    return results, [checkpoint.path for checkpoint in kept if checkpoint is not None]


def _stages(run: FoldRun, fold: Fold, seed: int) -> list[_Stage]:
    test = run.data.subset(fold.test)
    stages = []
    if {"last", "best_on_test"} & set(run.plan.protocols):
        stages.append(_all_epochs(run, fold, test))
    if "nested" in run.plan.protocols:
        stages.append(_nested(run, fold, seed, test))
    return stages


def _entry(run: FoldRun, fold: Fold, epoch: int, probabilities: torch.Tensor) -> dict[str, Any]:
    names = [run.manifest.samples[i].sample for i in fold.test]
    return {"epoch": epoch, "probabilities": dict(zip(names, probabilities.tolist(), strict=True))}


def _all_epochs(run: FoldRun, fold: Fold, test: FlowSet) -> _Stage:
    """The training for both "last" and "best_on_test". Recording test scores does not affect it."""
    leaking = "best_on_test" in run.plan.protocols

    def watch(epoch: int, model: EmotionModel) -> list[list[float]] | None:
        if not leaking and epoch < run.plan.recipe.epochs:
            return None
        return predict_set(model, test).tolist()

    def finish(records: list[Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if "last" in run.plan.protocols:
            out["last"] = _entry(run, fold, run.plan.recipe.epochs, torch.tensor(records[-1], dtype=torch.float32))
        if leaking:
            truth = test.labels.cpu()
            right = [int((torch.tensor(r, dtype=torch.float32).argmax(1) == truth).sum()) for r in records]
            best_epoch = max(range(len(right)), key=lambda i: (right[i], i))  # ties: the later, as published
            out["best_on_test"] = _entry(
                run, fold, best_epoch + 1, torch.tensor(records[best_epoch], dtype=torch.float32)
            )
        return out

    return _Stage("all", fold.train, watch, finish)


def _nested(run: FoldRun, fold: Fold, seed: int, test: FlowSet) -> _Stage:
    train, held = hold_out_subjects(run.manifest, fold.train, run.plan.held_out, fold_seed(seed, fold.name))
    validation = run.data.subset(held)
    truth = validation.labels.cpu().numpy()
    classes = len(run.manifest.classes)

    def watch(epoch: int, model: EmotionModel) -> list[Any]:
        seen = predict_set(model, validation)
        quality = score(truth, seen.argmax(1).numpy(), classes).uf1
        loss = -float(np.log(np.maximum(seen.numpy()[np.arange(len(truth)), truth], 1e-12)).mean())
        # The predictions for the test subject are only recorded. The epoch is chosen by the first two values.
        return [quality, -loss, predict_set(model, test).tolist()]

    def finish(records: list[Any]) -> dict[str, Any]:
        epoch = max(range(len(records)), key=lambda i: (records[i][0], records[i][1], i))
        return {"nested": _entry(run, fold, epoch + 1, torch.tensor(records[epoch][2], dtype=torch.float32))}

    def measured(records: list[Any]) -> dict[str, list[float]]:
        return {"held_out_uf1": [record[0] for record in records], "held_out_loss": [-record[1] for record in records]}

    return _Stage("nested", train, watch, finish, measured)
