"""Linear and kernel methods on the development subjects: the baselines for networks.

``python -m benchmarks.classical svm-std-1-1`` leaves out one subject after the other; the scores replace those of that
name in ``benchmarks/results/recipe_trials.json``. The other trials in that file are of networks; the search is
finished, and its code is in git before issue 12 (benchmarks/recipe_trials).
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.halves import development_manifest, subjects, who
from benchmarks.measure import COMPOSITE, provenance
from benchmarks.results_table import RESULTS
from htnet.core.errors import HtnetError, InputError, did_you_mean
from htnet.core.types import EMOTIONS
from htnet.data import Fold, leave_one_subject_out, open_data
from htnet.evaluation.calibration import apply_temperature, fit_temperature, log_loss
from htnet.evaluation.metrics import score
from htnet.evaluation.store import to_json, write_atomic
from htnet.hub import load_pretrained
from htnet.models import get_entry
from htnet.preprocess import crop_regions
from htnet.synthesis import FlowGenerator
from htnet.training import FlowSet, job_of, load_flow_set, train_on_generated
from htnet.training.augment import mirror, shift

Floats = npt.NDArray[np.float64]
#: Scores (n, 3) of features (n, D).
Scorer = Callable[[Floats], Floats]

OUT = RESULTS / "recipe_trials.json"
_CELL = 4
#: What scores that are not logarithms are multiplied by before the softmax; the log loss is read after a temperature.
_SVM_SCALE, _RIDGE_SCALE = 2.0, 5.0
#: Seed of the generated images, and the number of those that the frozen network is trained on.
_POOL_SEED, _PRETRAINED_ON = 991, 16000


@dataclass(frozen=True)
class Classical:
    """A linear or kernel method on what each view of a face shows; the answers to all views are averaged.

    Attributes:
        what: for readers.
        method: "logistic" regression, "svm" (radial kernel) or "ridge" (kernel ridge regression on the classes).
        features: averages over 4 px cells of strain, v, u, or what the head of an `htnet_small` sees that was trained
            on generated images alone.
        image_standardized: each channel of each image is brought to mean 0 and deviation 1 by itself; for cells.
        penalty: of the squared weights (logistic), of the function (ridge), or C (svm).
        width: factor of the kernel's exponent, in units of 1 / number of features.
        shifts: moves by one pixel besides the face in its place; every view is mirrored too.
        generated: generated images among the training samples.
        generated_weight: their weight.
        everyone: train on the samples of the untouched half too, none of whose subjects is left out.
    """

    what: str
    method: Literal["logistic", "svm", "ridge"] = "logistic"
    features: Literal["cells", "frozen"] = "cells"
    image_standardized: bool = True
    penalty: float = 0.1
    width: float = 1.0
    shifts: tuple[tuple[int, int], ...] = ((1, 0), (-1, 0), (0, 1), (0, -1))
    generated: int = 0
    generated_weight: float = 1.0
    everyone: bool = False

    def settings(self) -> dict[str, Any]:
        """What differs from the defaults, JSON-ready, as it is kept beside the scores."""
        changed = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)[1:]}
        changed = {name: value for name, value in changed.items() if value != getattr(Classical(""), name)}
        return json.loads(json.dumps({"kind": "classical", **changed}))


_FEWER = ((1, 0), (0, 1))
METHODS: dict[str, Classical] = {
    "logistic": Classical("logistic regression on 7 x 7 cells, 10 views", image_standardized=False),
    "logistic-std": Classical("`logistic`, images standardized one by one"),
    "svm": Classical("radial SVM on 7 x 7 cells, 10 views", "svm", image_standardized=False, penalty=1.0),
    "svm-std": Classical("`svm`, images standardized one by one", "svm", penalty=1.0),
    "ridge-std": Classical("kernel ridge regression, standardized, 6 views", "ridge", penalty=3.0, shifts=_FEWER),
    "probe": Classical(
        "logistic regression on what the head of a pretrained `htnet_small` sees", features="frozen", penalty=0.01
    ),
}
for _c, _width in ((1.0, 1.0), (1.0, 0.5), (3.0, 0.5)):
    _svm = Classical(
        f"`svm-std`, 6 views instead of 10, C {_c:g}, width {_width:g}",
        "svm",
        penalty=_c,
        width=_width,
        shifts=_FEWER,
    )
    METHODS[f"svm-std-{_c:g}-{_width:g}"] = _svm
    METHODS[f"all-svm-{_c:g}-{_width:g}"] = dataclasses.replace(
        _svm, what=f"`svm-std-{_c:g}-{_width:g}`, everyone else in training", everyone=True
    )
for _weight in (0.05, 0.5):
    METHODS[f"svm-std-mix-{_weight}"] = dataclasses.replace(
        METHODS["svm-std-1-1"],
        what=f"`svm-std-1-1` with 3,000 generated images, weight {_weight}",
        generated=3000,
        generated_weight=_weight,
    )


@dataclass(frozen=True, eq=False)
class Half:
    """The real samples, and who of them is left out in turn.

    Attributes:
        data: flow images.
        folds: one a subject of the development half.
        sets: (N,) data set of each sample.
    """

    data: FlowSet
    folds: Sequence[Fold]
    sets: npt.NDArray[np.str_]

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
    return Half(
        load_flow_set(manifest, get_entry("htnet_small").spec),
        [fold for fold in leave_one_subject_out(manifest) if who(fold.dataset, fold.subject) in half],
        np.array([sample.dataset for sample in manifest]),
    )


def run_classical(trial: Classical, half: Half, seeds: int, runs: Path) -> dict[int, Floats]:
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
    return {seed: chances[half.tested] for seed, chances in found.items()}


def features(trial: Classical, data: FlowSet, seed: int, runs: Path) -> Floats:
    """Features of every view of every face: (views, N, D)."""
    network: Any = _frozen(seed, runs) if trial.features == "frozen" else None

    def read(images: Tensor) -> Tensor:
        if network is None:
            return cells(images, trial.image_standardized)
        with torch.no_grad():
            seen = network.forward_features(crop_regions(images, data.points, data.spec.layout))
            return network.forward_head(seen, pre_logits=True)

    return np.stack([read(images).double().numpy() for images in _views(trial, data)])


def _frozen(seed: int, runs: Path) -> Any:
    """An `htnet_small` of generated images, trained unless ``runs`` has it."""
    folder = runs / "synthetic" / f"htnet_small-{_PRETRAINED_ON}-seed-{seed}"
    if not (folder / "config.json").is_file():
        train_on_generated(folder, job_of("generated", seed=seed), count=_PRETRAINED_ON)
    return load_pretrained(folder)


def _mirrored(data: FlowSet) -> Tensor:
    """All faces of a set mirrored, (N, 3, S, S)."""
    return mirror(data.images.float(), data.points, torch.ones(len(data), dtype=torch.bool), data.u_channel)[0]


def _views(trial: Classical, data: FlowSet) -> Iterator[Tensor]:
    """Faces and their mirror images, in their place and moved by a pixel."""
    for images in (data.images.float(), _mirrored(data)):
        for dx, dy in ((0, 0), *trial.shifts):
            yield shift(images, torch.full((len(data),), dx), torch.full((len(data),), dy))


def cells(images: Tensor, standardized: bool) -> Tensor:
    """Averages over the cells of images (N, 3, S, S), if asked with each channel of each standardized first: (N, D)."""
    if standardized:
        flat = images.flatten(2)
        images = (images - flat.mean(-1)[..., None, None]) / flat.std(-1)[..., None, None]
    return F.avg_pool2d(images, _CELL).flatten(1)


@functools.cache
def _generated(count: int, standardized: bool) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Cells and labels of generated images."""
    made = FlowGenerator()(count, _POOL_SEED)
    return cells(made.images.float(), standardized).double().numpy(), made.labels.numpy()


def _fit(trial: Classical, train: Floats, labels: npt.NDArray[np.int64], mean: Floats, std: Floats) -> Scorer:
    weights = np.ones(len(labels))
    if trial.generated:
        more, their_labels = _generated(trial.generated, trial.image_standardized)
        train, labels = np.concatenate([train, (more - mean) / std]), np.concatenate([labels, their_labels])
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


def summarize(
    seeds: Mapping[int, npt.NDArray[np.float64]], truth: npt.NDArray[np.int64], sets: npt.NDArray[np.str_]
) -> dict[str, Any]:
    """Scores of one readout.

    Args:
        seeds: probabilities (N, 3) of each seed.
        truth: (N,) class indexes.
        sets: (N,) data set of each sample.
    """
    every = list(seeds.values())

    def uf1(chances: npt.NDArray[np.float64], part: npt.NDArray[np.bool_]) -> float:
        return score(truth[part], chances.argmax(1)[part], len(EMOTIONS)).uf1

    everybody = np.ones(len(truth), bool)
    own = [uf1(chances, everybody) for chances in every]
    losses = [log_loss(truth, apply_temperature(c, fit_temperature(truth, c))) for c in every]
    return {
        "uf1": [round(value, 4) for value in own],
        "mean": round(float(np.mean(own)), 4),
        "standard_error": round(float(np.std(own, ddof=1)) / len(own) ** 0.5, 4) if len(own) > 1 else None,
        "sets": {
            name: round(float(np.mean([uf1(chances, sets == name) for chances in every])), 4)
            for name in sorted(set(sets.tolist()))
        },
        "log_loss": round(float(np.mean(losses)), 4),
        "ensemble_uf1": round(uf1(np.mean(every, 0), everybody), 4) if len(every) > 1 else None,
    }


def read(path: Path = OUT) -> dict[str, Any]:
    """What the file contains; nothing if there is none."""
    return json.loads(path.read_text("utf-8")) if path.is_file() else {"what": "", "trials": {}}


def merge(name: str, scored: Mapping[str, Any], path: Path = OUT) -> None:
    """Put the scores of a method instead of earlier ones of that name."""
    kept = read(path)
    write_atomic(path, to_json({**kept, "trials": dict(sorted({**kept["trials"], name: scored}.items()))}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classical", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="methods; all if none is given")
    parser.add_argument("--list", action="store_true", help="show the methods")
    parser.add_argument("--seeds", type=int, default=3, help="pretrainings of the frozen network (default 3)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for weights of the frozen network")
    parser.add_argument("--out", type=Path, default=OUT, help="file of scores")
    args = parser.parse_args(arguments)
    if args.list:
        print(*(f"{name:<20} {method.what}" for name, method in METHODS.items()), sep="\n")
        return 0
    # Sums of another number of threads round otherwise, and the kept scores were made with one.
    torch.set_num_threads(1)
    try:
        run(args.names or list(METHODS), args.seeds, args.runs, args.out)
    except HtnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run(names: Sequence[str], seeds: int, runs: Path, out: Path) -> None:
    """Run methods and keep their scores.

    Raises:
        InputError: an unknown name, or fewer than 1 seed.
    """
    if seeds < 1:
        raise InputError(f"--seeds is {seeds}; give 1 or more.")
    for name in names:
        if name not in METHODS:
            raise InputError(f"Unknown method: {name!r}. {did_you_mean(name, METHODS)}")
    halves: dict[bool, Half] = {}
    for name in names:
        method, start = METHODS[name], time.perf_counter()
        if method.everyone not in halves:
            halves[method.everyone] = read_half(method.everyone)
        half = halves[method.everyone]
        chances = run_classical(method, half, seeds, runs)
        scores = summarize(chances, half.truth[half.tested], half.sets[half.tested])
        kept = {"settings": method.settings(), "seeds": len(chances), "readouts": {"views": scores}}
        merge(name, {**kept, "seconds": round(time.perf_counter() - start), "machine": provenance()}, out)
        print(f"{name} ({len(chances)} seeds): UF1 {scores['mean']}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
