"""Names of models and how to build them."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from htnet.core.errors import DuplicateModelError, ModelError, UnknownModelError, did_you_mean, refuse_unknown
from htnet.core.hints import name_hint
from htnet.core.registry import MODELS
from htnet.core.types import PreprocessSpec
from htnet.models.base import EmotionModel

M = TypeVar("M", bound=type[EmotionModel])
#: Preprocessing of models that see the whole face.
WHOLE_FACE = PreprocessSpec(layout="whole")


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


@overload
def register_model(
    name: str,
    model_class: type[EmotionModel],
    *,
    spec: PreprocessSpec | None = None,
    description: str = "",
    **settings: Any,
) -> ModelEntry: ...


@overload
def register_model(
    name: str,
    model_class: None = None,
    *,
    spec: PreprocessSpec | None = None,
    description: str = "",
    **settings: Any,
) -> Callable[[M], M]: ...


def register_model(
    name: str,
    model_class: type[EmotionModel] | None = None,
    *,
    spec: PreprocessSpec | None = None,
    description: str = "",
    **settings: Any,
) -> ModelEntry | Callable[[M], M]:
    """Add a model to the registry; without ``model_class``, a decorator of the class.

    Args:
        name: new name.
        model_class: an `EmotionModel`; its ``config_class`` says which settings it takes.
        spec: preprocessing it is trained with unless told otherwise.
        description: one line for lists.
        **settings: fields of the config that differ from its defaults.

    Returns:
        The new entry, or the decorator.

    Raises:
        DuplicateModelError: the name is taken.
        ModelError: a setting is unknown or impossible.
    """
    if not isinstance(name, str):
        raise ModelError(
            f"register_model needs a name before the class, got {name!r}: write @register_model('my_model')."
        )
    if model_class is None:

        def decorate(decorated: M) -> M:
            register_model(name, decorated, spec=spec, description=description, **settings)
            return decorated

        return decorate
    # A model of a user must not take a name that a wing will register.
    if MODELS.has(name) or (not getattr(model_class, "__module__", "").startswith("htnet.") and name in MODELS):
        raise DuplicateModelError(
            f"A model named {name!r} is registered already ({MODELS[name].model_class.__name__}). Choose another name."
        )
    if not (isinstance(model_class, type) and issubclass(model_class, EmotionModel)):
        raise ModelError(f"{model_class!r} is not a model class; derive it from htnet.models.EmotionModel.")
    entry = ModelEntry(name, model_class, dict(settings), spec or PreprocessSpec(), description)
    _build_config(entry, {})
    MODELS.add(name, entry)
    return entry


def get_entry(name: str) -> ModelEntry:
    """The entry of a registered model.

    Raises:
        UnknownModelError: no such name; the message gives the nearest ones.
    """
    if name not in MODELS:
        raise UnknownModelError(f"Unknown model: {name!r}. {did_you_mean(str(name), MODELS)}{name_hint(str(name))}")
    entry: ModelEntry = MODELS[name]
    return entry


def is_model(name: str) -> bool:
    """Whether a model is registered under that name."""
    return name in MODELS


def list_models(pattern: str = "*") -> list[str]:
    """Names of registered models that match a shell-style pattern, sorted."""
    return sorted(fnmatch.filter(MODELS, pattern))


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
    entries = {entry.model_class.__name__: entry for entry in MODELS.values()}
    if architecture not in entries:
        raise UnknownModelError(
            f"Unknown architecture: {architecture!r}. {did_you_mean(architecture, entries)} "
            "A class of your own must be registered first: htnet.models.register_model."
        )
    model_class = entries[architecture].model_class
    model = model_class(_build_config(ModelEntry(name or architecture, model_class), config))
    model.name = name or model.name
    return model
