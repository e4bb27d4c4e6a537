"""Names of models and how to build them."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from htnet.core.errors import DuplicateModelError, ModelError, UnknownModelError, did_you_mean, refuse_unknown
from htnet.core.hints import name_hint
from htnet.core.types import PreprocessSpec
from htnet.models.base import EmotionModel
from htnet.models.dual_stream import DualStreamHTNet
from htnet.models.enhanced import HTNetEnhanced
from htnet.models.flow_mlp import FlowMLP
from htnet.models.htnet import HTNet
from htnet.models.mhssa_gcn import MHSSAGCN
from htnet.models.palsy import HTNetPalsy
from htnet.models.ststnet import STSTNet


@dataclass(frozen=True)
class ModelEntry:
    """A registered model.

    Attributes:
        name: its name.
        model_class: the architecture.
        settings: fields of its config that differ from the architecture's defaults.
        spec: the preprocessing it is trained with unless told otherwise.
        description: one line for lists.
    """

    name: str
    model_class: type[EmotionModel]
    settings: Mapping[str, Any] = field(default_factory=dict)
    spec: PreprocessSpec = field(default_factory=PreprocessSpec)
    description: str = ""


_REGISTRY: dict[str, ModelEntry] = {}


def register_model(
    name: str,
    model_class: type[EmotionModel],
    *,
    spec: PreprocessSpec | None = None,
    description: str = "",
    **settings: Any,
) -> ModelEntry:
    """Add a model to the registry.

    Args:
        name: new name.
        model_class: an `EmotionModel`; its ``config_class`` says which settings it takes.
        spec: preprocessing it is trained with unless told otherwise.
        description: one line for lists.
        **settings: fields of the config that differ from its defaults.

    Returns:
        The new entry.

    Raises:
        DuplicateModelError: the name is taken.
        ModelError: a setting is unknown or impossible.
    """
    if name in _REGISTRY:
        raise DuplicateModelError(
            f"A model named {name!r} is registered already ({_REGISTRY[name].model_class.__name__}). "
            "Choose another name."
        )
    if not (isinstance(model_class, type) and issubclass(model_class, EmotionModel)):
        raise ModelError(f"{model_class!r} is no model class; derive it from htnet.models.EmotionModel.")
    entry = ModelEntry(name, model_class, dict(settings), spec or PreprocessSpec(), description)
    _build_config(entry, {})
    _REGISTRY[name] = entry
    return entry


def get_entry(name: str) -> ModelEntry:
    """The entry of a registered model.

    Raises:
        UnknownModelError: no such name; the message gives the nearest ones.
    """
    if name not in _REGISTRY:
        raise UnknownModelError(f"Unknown model: {name!r}. {did_you_mean(str(name), _REGISTRY)}{name_hint(str(name))}")
    return _REGISTRY[name]


def list_models(pattern: str = "*") -> list[str]:
    """Names of registered models that match a shell-style pattern, sorted."""
    return sorted(fnmatch.filter(_REGISTRY, pattern))


def _build_config(entry: ModelEntry, overrides: Mapping[str, Any]) -> Any:
    config_class = entry.model_class.config_class
    known = [f.name for f in dataclasses.fields(config_class)]
    refuse_unknown({**entry.settings, **overrides}, known, f"setting of {entry.name}", ModelError)
    return config_class(**{**entry.settings, **overrides})


def create_model(name: str, **overrides: Any) -> EmotionModel:
    """Build a model with fresh weights.

    Args:
        name: a registered name, see `list_models`.
        **overrides: fields of the model's config (``num_classes=5``, ``dim=96``, ...).

    Returns:
        The model, in training mode.

    Raises:
        UnknownModelError: no such name.
        ModelError: an unknown or impossible setting.
    """
    entry = get_entry(name)
    model = entry.model_class(_build_config(entry, overrides))
    model.name = name
    return model


def build_model(architecture: str, config: Mapping[str, Any], name: str | None = None) -> EmotionModel:
    """Rebuild a model from what was saved with its weights.

    Args:
        architecture: class name, as ``type(model).__name__``.
        config: every field of its config.
        name: what the model calls itself.

    Raises:
        UnknownModelError: no registered model has that class.
        ModelError: a field is unknown or impossible.
    """
    entries = {entry.model_class.__name__: entry for entry in _REGISTRY.values()}
    if architecture not in entries:
        raise UnknownModelError(
            f"Unknown architecture: {architecture!r}. {did_you_mean(architecture, entries)} "
            "A class of your own must be registered first: htnet.models.register_model."
        )
    model_class = entries[architecture].model_class
    model = model_class(_build_config(ModelEntry(name or architecture, model_class), config))
    model.name = name or model.name
    return model


_WHOLE = PreprocessSpec(layout="whole")

register_model("htnet_base", HTNet, description="the published setting: 256 wide, (2, 2, 10), 139.6 M parameters")
register_model(
    "htnet_small",
    HTNet,
    dim=64,
    heads=4,
    block_repeats=(1, 1, 2),
    description="64 wide, (1, 1, 2), 2.2 M",
)
register_model(
    "htnet_tiny",
    HTNet,
    dim=32,
    heads=2,
    block_repeats=(1, 1, 1),
    description="32 wide, (1, 1, 1), for tests",
)
register_model("ststnet", STSTNet, spec=_WHOLE, description="three shallow streams over the whole face, 1.7 k")
register_model(
    "flow_mlp", FlowMLP, spec=_WHOLE, description="one hidden layer over 7 x 7 cells of the whole face, 77 k"
)
register_model(
    "htnet_dual_stream",
    DualStreamHTNet,
    # The published composite has no clips: what is trained on it has learned nothing from motion, and must be shown
    # none. Whoever has clips asks for motion: clip_frames=16.
    spec=dataclasses.replace(_WHOLE, clip_frames=0),
    description="appearance and motion streams, 0.26 M; motion from clips",
)
register_model("htnet_palsy", HTNetPalsy, description="House-Brackmann grades of a 224 px face, as published, 151.9 M")
register_model(
    "htnet_palsy_small",
    HTNetPalsy,
    image_size=112,
    # As htnet_small, whose blocks all fit; every level has a second one, as only that compares left with right.
    dim=64,
    heads=4,
    block_repeats=(2, 2, 2),
    description="the same at 112 px, 64 wide, (2, 2, 2), takes the weights of htnet_small",
)
register_model(
    "htnet_palsy_tiny",
    HTNetPalsy,
    image_size=112,
    dim=32,
    heads=2,
    block_repeats=(2, 2, 2),
    description="the same at 112 px, 32 wide, (2, 2, 2)",
)
register_model("htnet_enhanced", HTNetEnhanced, description="House-Brackmann grades, second design at 224 px, 4 heads")
register_model(
    "htnet_enhanced_tiny",
    HTNetEnhanced,
    image_size=112,
    dim=32,
    heads=2,
    block_repeats=(2, 2, 2),
    description="the same at 112 px, 32 wide, (2, 2, 2)",
)
_WHOLE_AT_LANDMARKS = dataclasses.replace(_WHOLE, region_points="landmarks")
register_model(
    "mhssa_gcn",
    MHSSAGCN,
    spec=_WHOLE_AT_LANDMARKS,
    description="patches at 68 points, attention in 6 regions, a graph between them, 2.7 M",
)
register_model(
    "mhssa_gcn_small",
    MHSSAGCN,
    spec=_WHOLE_AT_LANDMARKS,
    dim=64,
    region_dim=16,
    intra_depth=1,
    gcn_layers=2,
    description="the same, 64 wide, 1 + 2 layers",
)
