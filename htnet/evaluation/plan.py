"""Settings of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch

from htnet.core.errors import InputError, refuse_unknown
from htnet.core.fields import Checked, Rule, checked, flag, optional, real, seed_number, whole
from htnet.core.optional import named_device
from htnet.core.types import PreprocessSpec
from htnet.models import EmotionModel
from htnet.preprocess import Landmarker
from htnet.training import Recipe, refuse_not_vmappable

#: Names of the protocols, and the epoch that each reports.
PROTOCOLS = {
    "last": "the last epoch; no selection",
    "nested": "the epoch with the best UF1 on subjects held out of the training part",
    "best_on_test": "LEAKS: the epoch with the best accuracy on the tested samples, as the published code does",
}
#: Protocols whose epoch is chosen on the tested samples.
LEAKING = frozenset({"best_on_test"})
#: On a CUDA device, as many folds are vmapped as need at most this many bytes for weights, gradients, averages and
#: optimizer states.
VMAPPED_BYTES = 8 * 2**30

_SPEC = Rule(lambda value: isinstance(value, PreprocessSpec), "an htnet.types.PreprocessSpec")
_SETTINGS = Rule(lambda value: isinstance(value, Mapping), "a dictionary of fields of the model's config")

Weights = str | PathLike[str] | EmotionModel


@dataclass(frozen=True, eq=False)
class EvaluationPlan(Checked):
    """Settings of `htnet.evaluation.loso` and `htnet.evaluation.lodo`.

    Attributes:
        model: registered model name.
        recipe: training recipe.
        protocols: any of "last" (no selection), "nested" (epoch chosen on subjects held out of the
            training part), "best_on_test" (leaks; only for comparison with papers).
        seeds: number of seeds, counted from 0, or a list of seeds.
        spec: preprocessing; by default the model's own. For a prepared folder, the settings with which its images were
            made come from the folder, see `htnet.training.load_flow_set`.
        landmarker: detects the landmarks of samples that have none; see `htnet.training.load_flow_set`.
        settings: overrides of the model's config.
        workers: number of processes; None means one per core on the CPU (at most 8). More than one requires the caller
            to be guarded by ``if __name__ == "__main__":``.
        engine: "local" for processes on this machine; "ray" for the nodes of a Ray cluster, where each training takes
            one processor and runs on one thread. The results are byte-identical to those of local processes with one
            thread each, if all nodes have the same kind of processor.
        address: HOST:PORT of the Ray cluster; None for the one that the variable RAY_ADDRESS names.
        vmap_folds: number of folds trained at once in each process, see `htnet.training.train_vmapped`. None means 1 on
            the CPU, where one process per core is faster. On a CUDA device, which one small model does not keep busy,
            None means as many as fit into `VMAPPED_BYTES` if the model can be vmapped, otherwise 1.
        count_units: count the model's ``au_cooccurrence`` in each fold over the annotated action units of its
            training subjects only; see `htnet.data.training_cooccurrence`.
        subjects: subjects to leave out in turn, for `htnet.evaluation.loso`: as DATASET/SUBJECT, or the subject's name
            alone if only one data set has it. None for all. Each fold is the same as in the whole evaluation, but only
            these folds are trained, and the scores are over their samples.
        start: weights from which each fold's training starts, for `htnet.load_pretrained`, or a loaded model; or a list
            of them, one per seed, so that the scores vary with them too. They must not have been trained on any
            evaluated subject.
        start_is_disjoint: assert that they were not, if their record does not show it; the summary states the
            assertion.
        device: device for training; "auto" for a CUDA device if there is one.
        held_out: fraction of the training subjects that "nested" holds out.
        checkpoint_every: minimum time between two checkpoints of a training, s.
        progress: show progress bars.
        tensorboard: also write the learning curve of every fold for TensorBoard, into the folder ``tensorboard`` of
            the run.
    """

    model: str
    recipe: Recipe
    protocols: Sequence[str] = ("last",)
    seeds: int | Sequence[int] = 1
    spec: PreprocessSpec | None = None
    landmarker: Landmarker | None = None
    settings: dict[str, Any] | None = None
    workers: int | None = 1
    engine: str = "local"
    address: str | None = None
    vmap_folds: int | None = checked(None, optional(whole()))
    count_units: bool = checked(False, flag())
    subjects: Sequence[str] | None = None
    start: Weights | Sequence[Weights] | None = None
    start_is_disjoint: bool = checked(False, flag())
    device: str = "cpu"
    held_out: float = checked(0.2, real(gt=0, lt=1))
    checkpoint_every: float = checked(60.0, real(ge=0))
    progress: bool = checked(True, flag())
    tensorboard: bool = checked(False, flag())

    def __post_init__(self) -> None:
        super().__post_init__()
        optional(_SPEC).check("spec", self.spec)
        optional(_SETTINGS).check("settings", self.settings)
        if self.engine == "local":  # the devices of other machines are not known here
            object.__setattr__(self, "device", named_device(self.device))
        chosen = self.protocols
        object.__setattr__(self, "protocols", _listed(chosen))
        refuse_unknown(self.protocols, PROTOCOLS, "protocol")
        if not self.protocols:
            raise InputError(f"protocols is {chosen!r}; give a list of one or more of {', '.join(PROTOCOLS)}.")
        if self.subjects is not None:
            subjects = _listed(self.subjects)
            if not subjects or not all(isinstance(subject, str) for subject in subjects):
                raise InputError(
                    f"subjects is {self.subjects!r}; give a list of names, as DATASET/SUBJECT, or None for all."
                )
            object.__setattr__(self, "subjects", subjects)
        given = self.seeds
        seeds = tuple(range(given)) if isinstance(given, int) and whole().allows(given) else _listed(given)
        if not seeds or not all(map(seed_number().allows, seeds)) or len(set(seeds)) != len(seeds):
            raise InputError(
                f"seeds is {given!r}; give a number of seeds of 1 or more, or distinct seeds of 0 or more."
            )
        object.__setattr__(self, "seeds", given if isinstance(given, int) else seeds)
        if self.start_is_disjoint and self.start is None:
            raise InputError(
                "start_is_disjoint (--start-is-disjoint) is said of the weights that training starts from, but there "
                "is no start (--start). Give both, or leave it out."
            )
        if self.count_units and "au_cooccurrence" in (self.settings or {}):
            raise InputError(
                "count_units computes au_cooccurrence, but settings also contains it. Leave one of them out."
            )
        if self.count_units and self.vmap_folds not in (None, 1):
            raise InputError(
                f"vmap_folds is {self.vmap_folds}, but with count_units each fold has its own table of action units, "
                "so the models cannot be vmapped. Use vmap_folds=1."
            )
        object.__setattr__(self, "protocols", tuple(name for name in PROTOCOLS if name in self.protocols))

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds as a tuple."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds)

    def folds_at_once(self, model: EmotionModel) -> int:
        """Number of folds that are trained at once.

        Args:
            model: a model like those to be trained.

        Raises:
            InputError: ``vmap_folds`` is above 1 and the model cannot be vmapped.
        """
        if self.vmap_folds is not None:
            if self.vmap_folds > 1:
                refuse_not_vmappable(model)
            return self.vmap_folds
        # `train_vmapped` draws no generated samples and uses one table of action units for all models.
        if self.count_units or self.recipe.generated:
            return 1
        if torch.device(self.device).type != "cuda" or not model.cuda_graph_safe:
            return 1
        # Weights, gradients, two averages of the optimizer, the EMA weights.
        bytes_each = 5 * sum(p.numel() * p.element_size() for p in model.parameters())
        return max(1, VMAPPED_BYTES // bytes_each)


def _listed(values: Any) -> tuple[Any, ...]:
    """The values of a list, array, set or iterator as native Python values; an empty tuple for anything else."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) != 1:
        return ()
    return tuple(value.item() if isinstance(value, np.generic) else value for value in values)
