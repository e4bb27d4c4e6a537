"""Pretrained weights that htnet knows by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from htnet.core.assets import ASSETS
from htnet.core.deprecated import renamed_attributes
from htnet.core.errors import UnknownWeightsError, WeightsError, did_you_mean
from htnet.core.hints import how, missing, name_hint
from htnet.core.provenance import AS_THE_CODE, GENERATED, RESEARCH_ONLY
from htnet.core.registry import HUB, WEIGHTS
from htnet.models import EmotionModel
from htnet.models.registry import list_models

#: Environment variable that replaces the namespace of registered Hub repositories.
NAMESPACE_VARIABLE = "HTNET_HUB_NAMESPACE"
DEFAULT_NAMESPACE = "htnet"


@renamed_attributes
@dataclass(frozen=True)
class PretrainedSpec:
    """Trained weights under a name.

    Attributes:
        name: what `htnet.load_pretrained` takes.
        model: registered model.
        description: one line for lists.
        dataset: what they were trained on.
        protocol: how they were trained and how the metrics were obtained.
        license: terms of use of the weights.
        bundled: whether they ship inside the package; otherwise they live on the Hub.
        revision: Hub revision.
        sha256: SHA-256 of ``model.safetensors``, None for weights not published yet.
        metrics: name to value, measured by ``protocol``.
        commands: shell commands that train and publish them.
    """

    name: str
    model: str
    description: str
    dataset: str
    protocol: str
    license: str = RESEARCH_ONLY
    bundled: bool = False
    revision: str = "main"
    sha256: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    commands: tuple[str, ...] = ()

    @property
    def published(self) -> bool:
        """Whether they can be loaded today."""
        return self.sha256 is not None

    @property
    def repo_id(self) -> str:
        """Hub repository, ``namespace/repository``."""
        return f"{os.environ.get(NAMESPACE_VARIABLE) or DEFAULT_NAMESPACE}/{self.name}"

    def load(self) -> EmotionModel:
        """The model, as `htnet.load_pretrained` gives it."""
        model: EmotionModel = HUB["load_pretrained"](self.name)
        return model

    @property
    def folder(self) -> Path:
        """Folder of bundled weights."""
        return ASSETS / "weights" / self.name


_COMPOSITE = "MEGC 2019 composite set: CASME II, SAMM, SMIC; 442 samples, 68 subjects"
_MEASURED = "trained on all samples by the default recipe; metrics by leave-one-subject-out, last epoch"
_MIXED = (
    "trained on all samples, with generated images in every batch, by the recipe mixed; metrics by "
    "leave-one-subject-out, last epoch"
)

#: Entries with ``bundled`` are made by ``python -m benchmarks.bundle NAME --data COMPOSITE_DIR``, which prints their
#: ``sha256`` and ``metrics``.
_SPECS = (
    PretrainedSpec(
        name="synthetic",
        model="htnet_small",
        description="HTNet, 64 wide, with action units, trained on generated flow images alone; ships with htnet",
        dataset=GENERATED,
        protocol="trained on 16,000 generated images; metrics on the composite set, none of which was trained on",
        license=AS_THE_CODE,
        bundled=True,
        sha256="202ddf76419c81101022e4dfb75c83b10e58aadacdc87de455a2417294b4857b",
        metrics={
            "zero-shot, Full UF1, mean of 3 seeds": 0.7077,
            "zero-shot, untouched half, UF1, mean of 3 seeds": 0.6714,
            "this seed, zero-shot, Full UF1": 0.6961,
            "this seed, action units, macro F1": 0.4246,
        },
    ),
    PretrainedSpec(
        name="synthetic-mlp",
        model="flow_mlp",
        description="FlowMLP with action units, trained on generated flow images alone; ships with htnet",
        dataset=GENERATED,
        protocol="trained on 16,000 generated images; metrics on the composite set, none of which was trained on",
        license=AS_THE_CODE,
        bundled=True,
        sha256="29164078e604e663a3c1479bf6b3b72a7f1ec3ba58954ec1a60e259eb47a3e6f",
        metrics={
            "zero-shot, Full UF1, mean of 3 seeds": 0.6831,
            "zero-shot, untouched half, UF1, mean of 3 seeds": 0.6285,
            "this seed, zero-shot, Full UF1": 0.6844,
            "this seed, action units, macro F1": 0.4222,
        },
    ),
    PretrainedSpec(
        name="composite",
        model="flow_mlp",
        description="FlowMLP with action units, on the MEGC 2019 composite set and generated images; ships with htnet",
        dataset=_COMPOSITE,
        protocol=_MIXED,
        bundled=True,
        sha256="34a2423f24d467a886d2c8a89454ebe6b852d8fcb8860e528186d5ef101413f0",
        metrics={"LOSO last, Full UF1": 0.7427, "LOSO last, Full UAR": 0.7418},
    ),
    PretrainedSpec(
        name="composite-htnet",
        model="htnet_small",
        description="HTNet, 64 wide, on the MEGC 2019 composite set; ships with htnet",
        dataset=_COMPOSITE,
        protocol=_MEASURED,
        bundled=True,
        sha256="4750bf77bd25d4543cc4d50e26f69edefb55b118d1b7b9d3abac80d1edcb15f8",
        metrics={"LOSO last, Full UF1": 0.7323, "LOSO last, Full UAR": 0.7312},
    ),
    PretrainedSpec(
        name="composite-dual-stream",
        model="htnet_dual_stream",
        description="dual-stream HTNet on the composite set, which has no clips: appearance only; ships with htnet",
        dataset=_COMPOSITE,
        protocol=_MEASURED,
        bundled=True,
        sha256="59b7346fe8f54a1b8e6b8e78c6a1bddc23b3767303b293b82d19b5c01163f757",
        metrics={"LOSO last, Full UF1": 0.5799, "LOSO last, Full UAR": 0.5681},
    ),
    PretrainedSpec(
        name="composite-ststnet",
        model="ststnet",
        description="STSTNet on the composite set; ships with htnet",
        dataset=_COMPOSITE,
        protocol=_MEASURED,
        bundled=True,
        sha256="cce9e07ba3fd0d781aed4d91cf42fad8d636604f86f9a19d05b1f8dffe820463",
        metrics={"LOSO last, Full UF1": 0.6984, "LOSO last, Full UAR": 0.6824},
    ),
    PretrainedSpec(
        name="composite-mhssa",
        model="mhssa_gcn",
        description="MHSSA transformer + GCN on the composite set, its 68 points estimated from five; ships with htnet",
        dataset=_COMPOSITE,
        protocol=_MEASURED,
        bundled=True,
        sha256="3e92733960e49d1736c513b1bc4f097f0a038bb1f56c87366bf523b4d5cdb1cd",
        metrics={"LOSO last, Full UF1": 0.6805, "LOSO last, Full UAR": 0.6775},
    ),
    PretrainedSpec(
        name="casme3",
        model="htnet_small",
        description="HTNet, 64 wide, on CAS(ME)^3 part A",
        dataset="CAS(ME)^3 part A: 687 samples, 87 subjects",
        protocol="trained on all samples by the default recipe",
        commands=(
            "htnet prepare casme3 --root CASME3_DIR --out casme3-flow",
            "htnet train --data casme3-flow --model htnet_small --recipe default --out weights/casme3",
            "htnet push weights/casme3 casme3",
        ),
    ),
)


def register_pretrained(spec: PretrainedSpec) -> PretrainedSpec:
    """Add weights to those that `htnet.load_pretrained` knows by name.

    Raises:
        WeightsError: the name is taken.
    """
    if WEIGHTS.has(spec.name):
        raise WeightsError(f"Weights named {spec.name!r} are registered already. Choose another name.")
    WEIGHTS.add(spec.name, spec)
    return spec


for _spec in _SPECS:
    register_pretrained(_spec)


def list_pretrained(published_only: bool = False) -> list[PretrainedSpec]:
    """All registered weights, in the order of their names.

    Args:
        published_only: leave out those that are not published yet.
    """
    return [s for _, s in sorted(WEIGHTS.items()) if s.published or not published_only]


def find_pretrained(name: str) -> PretrainedSpec | None:
    """The entry of a registered name, None for any other."""
    return WEIGHTS.get(name)


def unknown_weights(name: str) -> UnknownWeightsError:
    """The error for a name that is neither registered, nor a folder, nor a Hub repository."""
    if Path(name).name != name and not Path(name).exists():
        return UnknownWeightsError(
            f"Unknown weights: {name!r}. {missing(name)} Give a folder written by htnet train, a name from "
            "htnet list, or a Hub repository (owner/repo)."
        )
    other = name_hint(name, frozenset(list_models()))
    if name in list_models():
        made = [spec.name for spec in list_pretrained(published_only=True) if spec.model == name]
        call = f"htnet.create_model({name!r}, pretrained={made[0]!r})" if made else ""
        ready = f" Its weights that can be loaded: {', '.join(made)}{how('', f' ({call})')}." if made else ""
        return UnknownWeightsError(f"{name!r} is not the name of any weights.{other}.{ready}")
    return UnknownWeightsError(
        f"Unknown weights: {name!r}. {did_you_mean(name, WEIGHTS)} A folder made by htnet train "
        f"(./weights) or a Hub repository (owner/repo) works too.{other}"
    )
