"""Registry of pretrained weights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from htnet.core.assets import ASSETS
from htnet.core.deprecated import renamed_attributes
from htnet.core.errors import UnknownWeightsError, WeightsError, did_you_mean
from htnet.core.hints import how, missing, name_hint
from htnet.core.provenance import GENERATED, RESEARCH_ONLY, Provenance, expression_of
from htnet.core.registry import HUB, WEIGHTS
from htnet.models import EmotionModel
from htnet.models.registry import list_models

#: Environment variable that replaces the namespace of registered Hub repositories.
NAMESPACE_VARIABLE = "HTNET_HUB_NAMESPACE"
DEFAULT_NAMESPACE = "htnet"
_WEIGHTS = ASSETS / "weights"


def owner() -> str:
    """The user or organization on the Hub that registered weights belong to."""
    return os.environ.get(NAMESPACE_VARIABLE) or DEFAULT_NAMESPACE


@renamed_attributes
@dataclass(frozen=True)
class PretrainedSpec:
    """Registered trained weights.

    Attributes:
        name: name for `htnet.load_pretrained`.
        model: registered model.
        description: one line for lists.
        dataset: training data.
        protocol: how the weights were trained and how the metrics were measured.
        license: terms of use of the weights.
        bundled: whether the weights are part of the package; otherwise they are on the Hub.
        revision: Hub revision.
        sha256: SHA-256 of ``model.safetensors``, None for weights not published yet.
        metrics: name to value, measured by ``protocol``.
        commands: shell commands that train and publish the weights.
        source_folder: for weights that are neither in the package nor on the Hub, their folder in the source
            repository and in the source distribution; "" for all others.
        size: bytes of ``model.safetensors``, None for weights that are not trained yet.
        leaking_metrics: scores by ``best_on_test``, which chooses the epoch on the tested subjects, as some published
            code does. They are too high for people who were not tested: compare only published scores with them.
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
    source_folder: str = ""
    size: int | None = None
    leaking_metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def license_expression(self) -> str:
        """Terms of use as an SPDX license expression."""
        return expression_of(self.license)

    @property
    def published(self) -> bool:
        """Whether the weights can be loaded by name."""
        return self.sha256 is not None and not self.source_folder

    @property
    def state(self) -> str:
        """Where the weights are, for lists."""
        if self.source_folder:
            return "in the source repository"
        return "bundled" if self.bundled else "on the Hub" if self.published else "not published yet"

    @property
    def repo_id(self) -> str:
        """Hub repository, ``namespace/repository``."""
        return f"{owner()}/{self.name}"

    def load(self) -> EmotionModel:
        """Load the model, as `htnet.load_pretrained` does."""
        model: EmotionModel = HUB["load_pretrained"](self.name)
        return model

    @property
    def folder(self) -> Path:
        """Folder of bundled weights."""
        return _WEIGHTS / self.name


def _bundled(name: str, description: str, protocol: str) -> PretrainedSpec:
    """Create the entry of a bundled folder: all but two texts come from its ``config.json``."""
    config = json.loads((_WEIGHTS / name / "config.json").read_text("utf-8"))
    provenance, training = Provenance.from_dict(config["provenance"]), config["training"]
    return PretrainedSpec(
        name,
        config["model"],
        description,
        GENERATED if provenance.only_generated else _COMPOSITE,
        protocol,
        license=provenance.license_in_words,
        bundled=True,
        sha256=config["weights"]["sha256"],
        metrics=_of_all(training["metrics"]),
        leaking_metrics=_of_all(training.get("leaking_metrics", {})),
        size=(_WEIGHTS / name / config["weights"]["file"]).stat().st_size,
    )


def _of_all(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores on the whole set: of those by leaving subjects out, which cards give for each data set."""
    found = {}
    for name, value in scores.items():
        protocol, *rest = name.split(", ")
        if not protocol.startswith("LOSO"):
            found[name] = value
        elif rest[0] == "full":
            found[f"{protocol}, Full {rest[1].upper()}"] = round(value, 4)
    return found


_COMPOSITE = "MEGC 2019 composite set: CASME II, SAMM, SMIC; 442 samples, 68 subjects"
_MEASURED = "trained on all samples by the default recipe; metrics by leave-one-subject-out, last epoch"
_MIXED = (
    "trained on all samples, with generated images in every batch, by the recipe mixed; metrics by "
    "leave-one-subject-out, last epoch"
)
_ZERO_SHOT = "trained on 16,000 generated images; metrics on the composite set, none of which was trained on"

#: Bundled folders are created by ``python -m benchmarks.bundle NAME --data COMPOSITE_DIR``.
_SPECS = (
    _bundled(
        "synthetic",
        "HTNet, 64 wide, with action units, trained on generated flow images alone",
        _ZERO_SHOT,
    ),
    _bundled(
        "synthetic-mlp",
        "FlowMLP with action units, trained on generated flow images alone",
        _ZERO_SHOT,
    ),
    _bundled(
        "composite",
        "FlowMLP with action units, on the MEGC 2019 composite set and generated images",
        _MIXED,
    ),
    _bundled(
        "composite-htnet",
        "HTNet, 64 wide, on the MEGC 2019 composite set",
        _MEASURED,
    ),
    _bundled(
        "composite-dual-stream",
        "dual-stream HTNet on the composite set, which has no clips: appearance only",
        _MEASURED,
    ),
    _bundled(
        "composite-ststnet",
        "STSTNet on the composite set",
        _MEASURED,
    ),
    # 11 MB, too large for the package.
    PretrainedSpec(
        name="composite-mhssa",
        model="mhssa_gcn",
        description="MHSSA transformer + GCN on the composite set, its 68 points estimated from five",
        dataset=_COMPOSITE,
        protocol=_MEASURED,
        sha256="3e92733960e49d1736c513b1bc4f097f0a038bb1f56c87366bf523b4d5cdb1cd",
        metrics={"LOSO last, Full UF1": 0.6805, "LOSO last, Full UAR": 0.6775},
        leaking_metrics={"LOSO best_on_test, Full UF1": 0.7771, "LOSO best_on_test, Full UAR": 0.7571},
        commands=("htnet push pretrained/composite-mhssa composite-mhssa",),
        source_folder="pretrained/composite-mhssa",
        size=10_980_816,
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
    """Register weights for `htnet.load_pretrained`.

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
    """All registered weights, sorted by name.

    Args:
        published_only: exclude weights that are not published yet.
    """
    return [s for _, s in sorted(WEIGHTS.items()) if s.published or not published_only]


def find_pretrained(name: str) -> PretrainedSpec | None:
    """The entry of a registered name, or None."""
    return WEIGHTS.get(name) if isinstance(name, str) else None


def unknown_weights(name: str) -> UnknownWeightsError:
    """The error for a name that is neither registered, nor a folder, nor a Hub repository."""
    if Path(name).name != name and not os.path.exists(Path(name)):
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
