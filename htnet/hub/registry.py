"""Pretrained weights that htnet knows by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from htnet.errors import UnknownWeightsError, did_you_mean

#: Environment variable that replaces the namespace of registered Hub repositories.
NAMESPACE_VARIABLE = "HTNET_HUB_NAMESPACE"
DEFAULT_NAMESPACE = "htnet"

RESEARCH_ONLY = "non-commercial research only (trained on licensed research data)"


@dataclass(frozen=True)
class PretrainedSpec:
    """Trained weights under a name.

    Attributes:
        name: what `htnet.load_pretrained` takes.
        model: registered model.
        description: one line for lists.
        dataset: what they were trained on.
        protocol: how they were trained and how the metrics were obtained.
        licence: terms of use of the weights.
        published: whether they can be had today.
        bundled: whether they ship inside the package; otherwise they live on the Hub.
        repository: name of the Hub repository, without namespace.
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
    licence: str = RESEARCH_ONLY
    published: bool = False
    bundled: bool = False
    repository: str = ""
    revision: str = "main"
    sha256: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    commands: tuple[str, ...] = ()

    @property
    def repo_id(self) -> str:
        """Hub repository, ``namespace/repository``."""
        return f"{os.environ.get(NAMESPACE_VARIABLE) or DEFAULT_NAMESPACE}/{self.repository or self.name}"

    @property
    def folder(self) -> Path:
        """Folder of bundled weights."""
        return Path(__file__).parent.parent / "assets" / "weights" / self.name


def _train_commands(name: str, data: str, model: str, *options: str) -> tuple[str, ...]:
    """Train on all samples by the default recipe, and publish."""
    words = ("htnet train --data", data, "--model", model, "--recipe default", *options, "--out", f"weights/{name}")
    return " ".join(words), f"htnet push weights/{name} {name}"


_COMPOSITE = "MEGC 2019 composite set: CASME II, SAMM, SMIC; 442 samples, 68 subjects"
_CASME3 = "CAS(ME)^3 part A: 687 samples, 87 subjects"
_UNMEASURED = "trained on all samples by the default recipe"
_MEASURED = f"{_UNMEASURED}; metrics by leave-one-subject-out, last epoch"
_BY_PALSY_RECIPE = "trained on the training split, patients kept apart, by the palsy recipe"

#: Entries with ``bundled`` are made by ``python -m benchmarks.bundle NAME --data COMPOSITE_DIR``, which prints their
#: ``sha256`` and ``metrics``.
_SPECS = (
    PretrainedSpec(
        name="composite",
        model="htnet_small",
        description="HTNet, 64 wide, on the MEGC 2019 composite set; ships with htnet",
        dataset=_COMPOSITE,
        protocol=_MEASURED,
        published=True,
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
        published=True,
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
        published=True,
        bundled=True,
        sha256="cce9e07ba3fd0d781aed4d91cf42fad8d636604f86f9a19d05b1f8dffe820463",
        metrics={"LOSO last, Full UF1": 0.6984, "LOSO last, Full UAR": 0.6824},
    ),
    PretrainedSpec(
        name="composite-base",
        model="htnet_base",
        description="HTNet in the published size (139.6 M parameters) on the composite set",
        dataset=_COMPOSITE,
        protocol=_UNMEASURED,
        commands=_train_commands("composite-base", "COMPOSITE_DIR", "htnet_base"),
    ),
    PretrainedSpec(
        name="composite-mhssa",
        model="mhssa_gcn",
        description="MHSSA transformer + GCN on the composite set, its 68 points estimated from five",
        dataset=_COMPOSITE,
        protocol=_UNMEASURED,
        commands=_train_commands("composite-mhssa", "COMPOSITE_DIR", "mhssa_gcn"),
    ),
    PretrainedSpec(
        name="casme3",
        model="htnet_small",
        description="HTNet, 64 wide, on CAS(ME)^3 part A",
        dataset=_CASME3,
        protocol=_UNMEASURED,
        commands=(
            "htnet prepare casme3 --root CASME3_DIR --out casme3-flow",
            *_train_commands("casme3", "casme3-flow", "htnet_small"),
        ),
    ),
    PretrainedSpec(
        name="casme3-dual-stream",
        model="htnet_dual_stream",
        description="dual-stream HTNet on CAS(ME)^3 part A, with the motion of its clips",
        dataset=_CASME3,
        protocol=_UNMEASURED,
        commands=(
            "htnet prepare casme3 --root CASME3_DIR --out casme3-motion --clip-frames 16",
            *_train_commands("casme3-dual-stream", "casme3-motion", "htnet_dual_stream", "--clip-frames 16"),
        ),
    ),
    PretrainedSpec(
        name="casme3-mhssa",
        model="mhssa_gcn",
        description="MHSSA transformer + GCN on CAS(ME)^3 part A",
        dataset=_CASME3,
        protocol=_UNMEASURED,
        commands=(
            "htnet prepare casme3 --root CASME3_DIR --out casme3-flow",
            *_train_commands("casme3-mhssa", "casme3-flow", "mhssa_gcn"),
        ),
    ),
    PretrainedSpec(
        name="fnp",
        model="htnet_palsy",
        description="House-Brackmann grades of facial palsy, on FNP",
        dataset="FNP: pictures of patients in folders grade_1 to grade_6",
        protocol=_BY_PALSY_RECIPE,
        commands=(
            "htnet palsy prepare FNP_DIR --out fnp",
            "htnet palsy train --data fnp --model htnet_palsy --out weights/fnp",
            "htnet push weights/fnp fnp",
        ),
    ),
    PretrainedSpec(
        name="ckplus",
        model="htnet_enhanced",
        description="the second palsy design on CK+, grades by a map of your own (CK+ has none)",
        dataset="CK+: last frames of its sequences, graded by the map given with --grade-map",
        protocol=_BY_PALSY_RECIPE,
        commands=(
            "htnet palsy prepare CKPLUS_DIR --out ckplus --grade-map GRADES.csv",
            "htnet palsy train --data ckplus --model htnet_enhanced --out weights/ckplus",
            "htnet push weights/ckplus ckplus",
        ),
    ),
)
_REGISTRY: Mapping[str, PretrainedSpec] = {spec.name: spec for spec in _SPECS}


def list_pretrained(published_only: bool = False) -> list[PretrainedSpec]:
    """All registered weights, in the order of their names.

    Args:
        published_only: leave out those that nobody has published yet.
    """
    return [s for _, s in sorted(_REGISTRY.items()) if s.published or not published_only]


def find_pretrained(name: str) -> PretrainedSpec | None:
    """The entry of a registered name, None for any other."""
    return _REGISTRY.get(name)


def unknown_weights(name: str) -> UnknownWeightsError:
    """The error for a name that is neither registered, nor a folder, nor a Hub repository."""
    return UnknownWeightsError(
        f"Unknown weights: {name!r}. {did_you_mean(name, _REGISTRY)} A folder made by htnet train "
        "(./weights) or a Hub repository (owner/repo) works too."
    )
