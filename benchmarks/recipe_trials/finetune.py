"""Leave-one-subject-out trials among the development subjects, and what can be read out of one training."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.halves import development_manifest, subjects, who
from benchmarks.measure import COMPOSITE
from benchmarks.recipe_trials.listed import PRETRAININGS
from benchmarks.recipe_trials.networks import CoarsePerceptron, build, enlarged, mirrored, shown, statistics
from benchmarks.recipe_trials.pretrain import pretrained, set_statistics
from benchmarks.recipe_trials.settings import Pretraining, Trial, View
from benchmarks.synthetic_scores import annotated_units
from htnet.core.types import EMOTIONS
from htnet.data import Fold, leave_one_subject_out, open_data
from htnet.evaluation.protocols import fold_seed
from htnet.models import get_entry
from htnet.synthesis import SynthesisConfig
from htnet.training import Augmentation, FlowSet, Recipe, generated_set, load_flow_set
from htnet.training.augment import augment
from htnet.training.loop import average, make_optimizer

Floats = npt.NDArray[np.float64]
#: Readout, then seed, to probabilities (N, 3) of all samples.
Predictions = dict[str, dict[int, Floats]]
State = Mapping[str, Tensor]

#: How far from the starting weights towards the averaged ones the blends are.
BLENDS = (0.3, 0.5, 0.7)
#: Generated images that are mixed in, and their seed.
POOL, POOL_SEED = 16000, 991


@dataclass(frozen=True, eq=False)
class Half:
    """The real samples, and who of them is left out in turn.

    Attributes:
        data: flow images.
        folds: one a subject of the development half.
        sets: (N,) data set of each sample.
        known: (N,) whether its action units are annotated.
        active: (N, U) those that are.
    """

    data: FlowSet
    folds: Sequence[Fold]
    sets: npt.NDArray[np.str_]
    known: Tensor
    active: Tensor

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """(N,) class indexes."""
        return self.data.labels.numpy()

    @property
    def tested(self) -> list[int]:
        """Rows of the samples that are ever left out: those of the development half."""
        return sorted(row for fold in self.folds for row in fold.test)


def read_half(everyone: bool = False) -> Half:
    """The development half, from the licensed data.

    Args:
        everyone: with the samples of the untouched half to train on; none of its subjects is left out.
    """
    manifest, half = open_data(COMPOSITE) if everyone else development_manifest(), subjects("development")
    known, active = annotated_units(manifest)
    return Half(
        load_flow_set(manifest, get_entry("htnet_small").spec),
        [fold for fold in leave_one_subject_out(manifest) if who(fold.dataset, fold.subject) in half],
        np.array([sample.dataset for sample in manifest]),
        torch.from_numpy(known),
        torch.from_numpy(active).float(),
    )


def starts_of(trial: Trial, seeds: int, runs: Path) -> Sequence[nn.Module | None]:
    """The network that each seed starts from; None for a fresh one."""
    if trial.start is None:
        return [None] * seeds
    return [pretrained(PRETRAININGS[trial.start], seed if trial.start_each else 0, runs) for seed in range(seeds)]


def zero_shot(pretraining: Pretraining, half: Half, seeds: int, runs: Path) -> Predictions:
    """Probabilities of every sample by networks that were trained on generated images alone."""
    view, data = pretraining.network.view, enlarged(half.data, pretraining.network.size)
    of = [answers(pretrained(pretraining, seed, runs), data, view) for seed in range(seeds)]
    names = ("averaged", "averaged+mirror")
    return {name: {s: own[k].double().numpy() for s, own in enumerate(of)} for k, name in enumerate(names)}


def run_trial(trial: Trial, half: Half, seeds: int, runs: Path) -> Predictions:
    """Probabilities of every tested sample by the networks that have not seen its subject, for every readout."""
    starts = starts_of(trial, seeds, runs)
    half = dataclasses.replace(half, data=enlarged(half.data, trial.network.size))
    pool = generated_set(POOL, POOL_SEED, SynthesisConfig(size=trial.network.size)) if trial.mixed else None
    found: Predictions = {}

    def put(readout: str, seed: int, fold: Fold, network: nn.Module) -> None:
        face, both = answers(network, half.data.subset(fold.test), trial.network.view)
        for name, chances in ((readout, face), (f"{readout}+mirror", both)):
            empty = np.full((len(half.data), len(EMOTIONS)), np.nan)
            found.setdefault(name, {}).setdefault(seed, empty)[list(fold.test)] = chances.double().numpy()

    for fold in half.folds:
        averages = []
        for seed, start in enumerate(starts):
            torch.manual_seed(fold_seed(seed, fold.name))
            data = half.data.subset(fold.train)
            network = _first(trial, start, data)
            first = copy.deepcopy(network.state_dict()) if start is not None else None
            rows = list(fold.train)
            averaged = _train(trial, network, data, half.known[rows], half.active[rows], pool)
            put("plain", seed, fold, network.eval())
            put("averaged", seed, fold, averaged)
            averages.append(averaged.state_dict())
            if first is not None:
                for share in BLENDS:
                    put(f"blend {share}", seed, fold, _with(averaged, blend(first, averages[-1], share)))
        if seeds > 1 and not trial.start_each:
            put(f"soup of {seeds}", 0, fold, _with(averaged, mean_of(averages)))
    return {readout: {seed: rows[half.tested] for seed, rows in of.items()} for readout, of in found.items()}


def answers(network: nn.Module, data: FlowSet, view: View) -> tuple[Tensor, Tensor]:
    """Probabilities (N, 3) of the faces, and their mean with those of the mirrored faces.

    Regions of a mirrored face are cut at the points of the face itself, which are the template's, as of every face.
    """
    with torch.no_grad():
        face, mirror = (
            network(shown(images, data.points, data, view)).softmax(1)
            for images in (data.images.float(), mirrored(data))
        )
    return face, (face + mirror) / 2


def blend(start: State, end: State, share: float) -> State:
    """Weights on the way from ``start`` (0) to ``end`` (1)."""
    return {key: start[key] * (1 - share) + end[key] * share for key in end}


def mean_of(states: Sequence[State]) -> State:
    """The mean of the weights of several networks."""
    return {key: torch.stack([s[key].double() for s in states]).mean(0).float() for key in states[0]}


def _with(network: nn.Module, state: State) -> nn.Module:
    """A copy of a network with other weights."""
    other = copy.deepcopy(network)
    other.load_state_dict(state)
    return other


def _first(trial: Trial, start: nn.Module | None, data: FlowSet) -> nn.Module:
    """The network before training."""
    mean, std = statistics(data, trial.network.view)
    if start is not None:
        network = copy.deepcopy(start)
        if not trial.keep_statistics:
            set_statistics(network, mean, std)
        return network
    network = build(trial.network, mean, std)
    if isinstance(network, CoarsePerceptron) and network.settings.fit_cells:
        network.fit_cells(torch.cat([data.images.float(), mirrored(data)]))
    return network


def _train(
    trial: Trial, network: nn.Module, data: FlowSet, known: Tensor, active: Tensor, pool: FlowSet | None
) -> nn.Module:
    """Train ``network`` in place; returns one with the averaged weights, in eval mode."""
    recipe, view = trial.recipe, trial.network.view
    averaged = copy.deepcopy(network)
    steps = recipe.epochs * math.ceil(len(data) / recipe.batch_size)
    optimizer, schedule = make_optimizer(network.parameters(), recipe, steps)
    assert schedule is not None
    draw = _Draw(recipe, *data.statistics(), view)
    step = 0
    network.train()
    for _ in range(recipe.epochs):
        for batch in _order(trial, data.labels).split(recipe.batch_size):
            if len(batch) < 2:
                continue
            images, targets = draw(data, batch), F.one_hot(data.labels[batch], len(EMOTIONS)).float()
            if trial.mixup:
                images, targets = _mixed_up(images, targets, trial.mixup)
            drawn = torch.randint(len(pool), (trial.mixed,)) if pool is not None else None
            if pool is not None and drawn is not None:
                images = torch.cat([images, draw(pool, drawn)])
            scores, units = network(images, return_units=True) if recipe.units_weight else (network(images), None)
            real, made = scores[: len(batch)], scores[len(batch) :]
            loss = F.cross_entropy(real, targets, label_smoothing=trial.label_smoothing)
            if pool is not None and drawn is not None:
                loss = loss + trial.mixed_weight * F.cross_entropy(made, pool.labels[drawn])
            if units is not None and (seen := known[batch]).any():
                # Sheets do not tell sides: the larger of both is what must be right.
                told = units[: len(batch)].amax(-1)[seen]
                missed = F.binary_cross_entropy_with_logits(told, active[batch][seen])
                loss = loss + recipe.units_weight * missed * seen.float().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average(averaged.state_dict(), network.state_dict(), recipe, step)
            step += 1
    return averaged.eval()


@dataclass(frozen=True, eq=False)
class _Draw:
    """Randomly changed images as the network sees them."""

    recipe: Recipe
    mean: Tensor
    std: Tensor
    view: View

    def __call__(self, data: FlowSet, index: Tensor) -> Tensor:
        changes = self.recipe.augmentation
        assert isinstance(changes, Augmentation)
        images, points = data.images[index].float(), data.points[index]
        images, points, _ = augment(images, points, changes, self.mean, self.std, data.u_channel)
        return shown(images, points, data, self.view)


def _order(trial: Trial, labels: Tensor) -> Tensor:
    """The samples of an epoch."""
    if trial.balance == "none":
        return torch.randperm(len(labels))
    counts = torch.bincount(labels, minlength=len(EMOTIONS)).float()
    weights = 1 / counts if trial.balance == "class" else counts.rsqrt()
    return torch.multinomial((weights / weights.mean())[labels], len(labels), replacement=True)


def _mixed_up(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mixup: each sample with another of the batch, all with one share."""
    share = float(np.random.default_rng(int(torch.randint(2**31, (1,)))).beta(alpha, alpha))
    partner = torch.randperm(len(images))
    return share * images + (1 - share) * images[partner], share * targets + (1 - share) * targets[partner]
