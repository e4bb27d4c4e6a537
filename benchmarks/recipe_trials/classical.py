"""Linear and kernel methods among the development subjects: what a network must beat to be worth its training."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.recipe_trials.finetune import POOL_SEED, Half, Predictions
from benchmarks.recipe_trials.listed import PRETRAININGS
from benchmarks.recipe_trials.networks import mirrored
from benchmarks.recipe_trials.pretrain import pretrained
from benchmarks.recipe_trials.settings import Classical
from htnet.core.types import EMOTIONS
from htnet.preprocess import crop_regions
from htnet.synthesis import FlowGenerator
from htnet.training import FlowSet
from htnet.training.augment import shift

Floats = npt.NDArray[np.float64]
#: Scores (n, 3) of features (n, D).
Scorer = Callable[[Floats], Floats]

_CELL = 4
#: What scores that are no logarithms are multiplied by before the softmax; the log loss is read after a temperature.
_SVM_SCALE, _RIDGE_SCALE = 2.0, 5.0


def run_classical(trial: Classical, half: Half, seeds: int, runs: Path) -> Predictions:
    """Probabilities of every tested sample by the fits that have not seen its subject.

    Nothing is random in these methods: several seeds there are only of the frozen networks.
    """
    found: dict[int, Floats] = {}
    for seed in range(seeds if trial.features == "frozen" else 1):
        views = features(trial, half.data, seed, runs)
        found[seed] = np.zeros((len(half.data), len(EMOTIONS)))
        for fold in half.folds:
            train = views[:, list(fold.train)].reshape(-1, views.shape[-1])
            labels = np.tile(half.truth[list(fold.train)], len(views))
            mean, std = train.mean(0), train.std(0) + 1e-6
            score = _fit(trial, (train - mean) / std, labels, mean, std)
            chances = [score((view[list(fold.test)] - mean) / std) for view in views]
            found[seed][list(fold.test)] = _average(trial, chances)
    return {"views": {seed: chances[half.tested] for seed, chances in found.items()}}


def features(trial: Classical, data: FlowSet, seed: int, runs: Path) -> Floats:
    """Features of every view of every face: (views, N, D)."""
    network: Any = pretrained(PRETRAININGS["pre-small"], seed, runs) if trial.features == "frozen" else None

    def read(images: Tensor) -> Tensor:
        if network is None:
            return cells(images, trial.image_standardised)
        with torch.no_grad():
            seen = network.forward_features(crop_regions(images, data.points, data.spec.layout))
            return network.forward_head(seen, pre_logits=True)

    return np.stack([read(images).double().numpy() for images in _views(trial, data)])


def _views(trial: Classical, data: FlowSet) -> Iterator[Tensor]:
    """Faces and their mirror images, in their place and moved by a pixel."""
    for images in (data.images.float(), mirrored(data)):
        for dx, dy in ((0, 0), *trial.shifts):
            yield shift(images, torch.full((len(data),), dx), torch.full((len(data),), dy))


def cells(images: Tensor, standardised: bool) -> Tensor:
    """Averages over the cells of images (N, 3, S, S), if asked with each channel of each standardised first: (N, D)."""
    if standardised:
        flat = images.flatten(2)
        images = (images - flat.mean(-1)[..., None, None]) / flat.std(-1)[..., None, None]
    return F.avg_pool2d(images, _CELL).flatten(1)


@functools.cache
def _generated(count: int, standardised: bool) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Cells and labels of generated images."""
    made = FlowGenerator()(count, POOL_SEED)
    return cells(made.images.float(), standardised).double().numpy(), made.labels.numpy()


def _fit(trial: Classical, train: Floats, labels: npt.NDArray[np.int64], mean: Floats, std: Floats) -> Scorer:
    weights = np.ones(len(labels))
    if trial.generated:
        more, told = _generated(trial.generated, trial.image_standardised)
        train, labels = np.concatenate([train, (more - mean) / std]), np.concatenate([labels, told])
        weights = np.concatenate([weights, np.full(len(more), trial.generated_weight)])
    return {"logistic": _logistic, "svm": _svm, "ridge": _ridge}[trial.method](trial, train, labels, weights)


def _logistic(trial: Classical, train: Floats, labels: npt.NDArray[np.int64], weights: Floats) -> Scorer:
    """Multinomial logistic regression, mean log loss plus half the penalty times the squared weights."""
    slope = torch.zeros(len(EMOTIONS), train.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(EMOTIONS), dtype=torch.float64, requires_grad=True)
    inputs, truth = torch.from_numpy(train), torch.from_numpy(labels)
    optimizer = torch.optim.LBFGS([slope, bias], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = F.cross_entropy(inputs @ slope.T + bias, truth) + trial.penalty * slope.square().sum() / 2
        total.backward()
        return total

    optimizer.step(loss)
    fitted = slope.detach().numpy(), bias.detach().numpy()
    return lambda new: new @ fitted[0].T + fitted[1]


def _svm(trial: Classical, train: Floats, labels: npt.NDArray[np.int64], weights: Floats) -> Scorer:
    """One-against-one support vector machines with a radial kernel."""
    from sklearn.svm import SVC

    machine = SVC(C=trial.penalty, gamma=trial.width / train.shape[1]).fit(train, labels, sample_weight=weights)
    return lambda new: _SVM_SCALE * machine.decision_function(new)


def _ridge(trial: Classical, train: Floats, labels: npt.NDArray[np.int64], weights: Floats) -> Scorer:
    """Kernel ridge regression on the classes as 0 and 1, about their frequencies."""

    def kernel(new: Floats) -> Floats:
        apart = (new**2).sum(1)[:, None] + (train**2).sum(1) - 2 * new @ train.T
        return np.exp(-trial.width / train.shape[1] * apart)

    classes = np.eye(len(EMOTIONS))[labels]
    often = classes.mean(0)
    solved = np.linalg.solve(kernel(train) + trial.penalty * np.eye(len(train)), classes - often)
    return lambda new: _RIDGE_SCALE * (kernel(new) @ solved + often)


def _average(trial: Classical, scores: list[Floats]) -> Floats:
    """One answer of all views: the mean of probabilities where there are such, else that of the scores."""
    if trial.method == "logistic":
        return np.mean([_softmax(own) for own in scores], 0)
    return _softmax(np.mean(scores, 0))


def _softmax(scores: Floats) -> Floats:
    return torch.from_numpy(scores).softmax(1).numpy()
