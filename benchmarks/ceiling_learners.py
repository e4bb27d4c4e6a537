"""What the page on the ceiling trains: one call that learns from some samples and answers for others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.measure import COMPOSITE
from htnet.core.types import EMOTIONS
from htnet.data import Manifest, open_data
from htnet.evaluation.metrics import score
from htnet.models import get_entry
from htnet.training import FlowSet, get_recipe, load_flow_set, predict_set, train_model
from htnet.training.augment import mirror, shift

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Strings = npt.NDArray[np.str_]
#: Probabilities (N, 3) of a set.
Answer = Callable[[FlowSet], Floats]

#: Side of the cells that the machine averages over in the leaderboard's row, px.
CELL = 4


@dataclass(frozen=True, eq=False)
class Composite:
    """The composite set in memory.

    Attributes:
        manifest: its samples.
        flows: their images.
        people: (N,) DATASET/SUBJECT of each.
    """

    manifest: Manifest
    flows: FlowSet
    people: Strings

    @property
    def truth(self) -> Ints:
        """(N,) class indexes."""
        return self.flows.labels.numpy()

    @property
    def sets(self) -> Strings:
        """(N,) data set of each sample."""
        return np.array([sample.dataset for sample in self.manifest])

    @property
    def subjects(self) -> list[str]:
        """All people, sorted."""
        return sorted(set(self.people))

    def rows(self, people: Sequence[str]) -> list[int]:
        """Rows of the samples of some people."""
        return np.flatnonzero(np.isin(self.people, list(people))).tolist()


def read_composite() -> Composite:
    """The licensed composite set, as `flow_mlp` and `ststnet` read it: whole faces."""
    manifest = open_data(COMPOSITE)
    people = np.array([f"{sample.dataset}/{sample.subject}" for sample in manifest])
    return Composite(manifest, load_flow_set(manifest, get_entry("ststnet").spec), people)


def svm(flows: FlowSet, seed: int, cell: int = CELL, channels: Sequence[int] = (0, 1, 2)) -> Answer:
    """The radial support vector machine of `benchmarks.svm_row`: C of 1, each image standardized, mirrored views.

    Nothing in it is random.
    """
    from sklearn.svm import SVC

    train = np.concatenate([_cells(view.images, cell, channels) for view in (flows, mirrored(flows))])
    mean, std = train.mean(0), train.std(0) + 1e-6
    machine = SVC(C=1.0, gamma=1 / train.shape[1]).fit((train - mean) / std, np.tile(flows.labels.numpy(), 2))

    def answer(new: FlowSet) -> Floats:
        scores = [
            machine.decision_function((_cells(view.images, cell, channels) - mean) / std)
            for view in (new, mirrored(new))
        ]
        return np.exp(_log_softmax(2 * np.mean(scores, 0)))

    return answer


def svm_of_sets(
    flows: FlowSet, sets: Strings, each: bool = False, between: float = 1.0
) -> Callable[[FlowSet, Strings], Floats]:
    """The machine of `svm` on samples of several data sets, told which set each sample is of.

    Args:
        flows: what is learned from.
        sets: (N,) data set of each sample.
        each: standardize the features of each set by its own mean and deviation, not by those of all.
        between: factor of the kernel between samples of two sets; 1 is the machine of `svm`.

    Returns:
        Probabilities (M, 3) of a set of flow images and the data sets (M,) they are of, all of which were learned from.
    """
    from sklearn.svm import SVC

    views = [_cells(view.images, CELL, (0, 1, 2)) for view in (flows, mirrored(flows))]
    train, own = np.concatenate(views), np.tile(sets, len(views))
    parts = {name: own == name for name in sorted(set(sets))}
    scales = {
        name: (train[rows if each else slice(None)].mean(0), train[rows if each else slice(None)].std(0) + 1e-6)
        for name, rows in parts.items()
    }

    def brought(features: Floats, names: Strings) -> Floats:
        """Standardized features (M, D)."""
        mean, std = (np.stack([scales[name][number] for name in names]) for number in (0, 1))
        return (features - mean) / std

    known = brought(train, own)

    def kernel(features: Floats, names: Strings) -> Floats:
        apart = (features**2).sum(1)[:, None] + (known**2).sum(1) - 2 * features @ known.T
        return np.exp(-apart / known.shape[1]) * np.where(names[:, None] == own, 1.0, between)

    machine = SVC(C=1.0, kernel="precomputed").fit(kernel(known, own), np.tile(flows.labels.numpy(), len(views)))

    def answer(new: FlowSet, names: Strings) -> Floats:
        scores = [
            machine.decision_function(kernel(brought(_cells(view.images, CELL, (0, 1, 2)), names), names))
            for view in (new, mirrored(new))
        ]
        return np.exp(_log_softmax(2 * np.mean(scores, 0)))

    return answer


def network(model: str, recipe: str) -> Callable[[FlowSet, int], Answer]:
    """A registered model by a registered recipe; its regions are cut as its own spec says."""
    spec = get_entry(model).spec

    def learn(flows: FlowSet, seed: int) -> Answer:
        trained, _ = train_model(model, replace(flows, spec=spec), get_recipe(recipe), seed=seed)
        return lambda new: predict_set(trained, replace(new, spec=spec)).double().numpy()

    return learn


#: What is measured by retraining; the rows of the leaderboard that a processor trains in minutes.
LEARNERS: dict[str, Callable[[FlowSet, int], Answer]] = {
    "svm": svm,
    "flow_mlp-mixed": network("flow_mlp", "mixed"),
    "ststnet-default": network("ststnet", "default"),
}


def mirrored(flows: FlowSet) -> FlowSet:
    """All faces mirrored."""
    images, points = mirror(
        flows.images.float(), flows.points, torch.ones(len(flows), dtype=torch.bool), flows.u_channel
    )
    return replace(flows, images=images.round().clamp(0, 255).to(torch.uint8), points=points)


def moved(flows: FlowSet, dx: int, dy: int) -> FlowSet:
    """All faces moved by whole px, right and downward; the border is repeated."""
    count = len(flows)
    images = shift(flows.images, torch.full((count,), dx), torch.full((count,), dy))
    return replace(flows, images=images)


def uf1(truth: npt.ArrayLike, answers: npt.ArrayLike) -> float:
    """UF1 over three classes."""
    return score(truth, answers, len(EMOTIONS)).uf1


def _cells(images: Tensor, cell: int, channels: Sequence[int]) -> Floats:
    """Means over cells of each channel, standardized image by image: (N, D)."""
    chosen = images[:, list(channels)].double()
    flat = chosen.flatten(2)
    chosen = (chosen - flat.mean(-1)[..., None, None]) / flat.std(-1)[..., None, None]
    return torch.nn.functional.avg_pool2d(chosen, cell).flatten(1).numpy()


def _log_softmax(scores: Any) -> Floats:
    return torch.from_numpy(scores).log_softmax(1).numpy()
