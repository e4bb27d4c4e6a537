"""Registry of models by name."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from htnet.core.described import own_code
from htnet.core.errors import (
    DuplicateModelError,
    InputError,
    ModelError,
    UnknownModelError,
    UnknownWeightsError,
    did_you_mean,
    refuse_unknown,
)
from htnet.core.fields import whole
from htnet.core.hints import how, name_hint
from htnet.core.ownership import is_ours
from htnet.core.registry import MODELS, WEIGHTS
from htnet.core.types import PreprocessSpec
from htnet.models.base import EmotionModel, with_settings

M = TypeVar("M", bound=type[EmotionModel])
#: Preprocessing of models that read the whole face.
WHOLE_FACE = PreprocessSpec(layout="whole")


@dataclass(frozen=True)
class ModelEntry:
    """A registered model.

    Attributes:
        name: its name.
        model_class: the architecture.
        settings: fields of its config that differ from the architecture's defaults.
        spec: the preprocessing it is trained with unless stated otherwise.
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
    """Add a model to the registry; without ``model_class``, a class decorator.

    Args:
        name: new name.
        model_class: an `EmotionModel`; its ``config_class`` defines its settings.
        spec: preprocessing it is trained with unless stated otherwise.
        description: one line for lists.
        **settings: fields of the config that differ from its defaults.

    Returns:
        The new entry, or the decorator.

    Raises:
        DuplicateModelError: the name, or the name of the class, is already registered. A class that is
            defined again, as in a notebook, replaces itself.
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
    if not (isinstance(model_class, type) and issubclass(model_class, EmotionModel)):
        raise ModelError(f"{model_class!r} is not a model class; derive it from htnet.models.EmotionModel.")
    if not is_ours(model_class):
        _refuse_taken(name, model_class)
    elif MODELS.has(name):
        raise DuplicateModelError(f"A model named {name!r} is registered already. Choose another name.")
    entry = ModelEntry(name, model_class, dict(settings), spec or PreprocessSpec(), description)
    _build_config(entry, {})
    MODELS.add(name, entry)
    return entry


def _refuse_taken(name: str, model_class: type[EmotionModel]) -> None:
    """Refuse a name, or the name of a class, that another class has; a class that is defined again replaces itself.

    All models are loaded for this, because a user's model must not take a name that a wing registers later.
    """
    for entry in MODELS.values():
        other = entry.model_class
        same = (other.__module__, other.__qualname__) == (model_class.__module__, model_class.__qualname__)
        if entry.name == name and (other is model_class or not same):
            raise DuplicateModelError(
                f"A model named {name!r} is registered already ({other.__name__}). Choose another name."
            )
        if other.__name__ == model_class.__name__ and not same:
            raise DuplicateModelError(
                f"{other.__name__} is already the class of {entry.name!r}, and saved weights name their class. Give "
                "your class another name."
            )


def get_entry(name: str) -> ModelEntry:
    """The entry of a registered model.

    Raises:
        UnknownModelError: no such name; the message gives the nearest ones.
    """
    if not isinstance(name, str):
        raise UnknownModelError(
            f"The model is of type {type(name).__name__}; give the name of a registered model, such as 'htnet_small'. "
            "A model of your own gets a name with htnet.register_model."
        )
    if name not in MODELS:
        raise UnknownModelError(
            f"Unknown model: {name!r}. {did_you_mean(name, MODELS)}{name_hint(str(name)) or _own_hint()}"
        )
    entry: ModelEntry = MODELS[name]
    return entry


def is_model(name: str) -> bool:
    """Whether a model is registered under that name."""
    return isinstance(name, str) and name in MODELS


def list_models(pattern: str = "*", *, pretrained: bool = False) -> list[str]:
    """Names of registered models, sorted.

    Args:
        pattern: shell-style pattern of the names.
        pretrained: only models with weights that `create_model` can load.

    Raises:
        InputError: the pattern is not a text.
    """
    if not isinstance(pattern, str):
        raise InputError(f"The pattern is {pattern!r}; give a text such as 'htnet_*', or leave it out for all models.")
    ready = {spec.model for spec in WEIGHTS.values() if spec.published} if pretrained else MODELS
    return sorted(name for name in fnmatch.filter(MODELS, pattern) if name in ready)


def _build_config(entry: ModelEntry, overrides: Mapping[str, Any]) -> Any:
    config_class = entry.model_class.config_class
    known = [f.name for f in dataclasses.fields(config_class)]
    given = {**entry.settings, **overrides}
    refuse_unknown(given, known, f"setting of {entry.name}", ModelError)
    channels = given.get("channels", config_class.channels)
    whole().check("channels", channels, ModelError)
    for name in ("mean", "std"):
        # A default that is the same for all channels applies to any number of channels.
        default = getattr(config_class, name)
        if name not in given and channels != len(default) and len(set(default)) == 1:
            given[name] = default[:1] * channels
    return config_class(**given)


def create_model(
    name: str, pretrained: bool | str | None = False, *, in_chans: int | None = None, **overrides: Any
) -> EmotionModel:
    """Build a model.

    Args:
        name: a registered name, see `list_models`.
        pretrained: load trained weights: their name, see `htnet.list_pretrained`, or True for the first
            registered for the model; None means False. With another ``num_classes`` the classifier is fresh.
        in_chans: channels of the input, the config's ``channels``.
        **overrides: fields of the model's config (``num_classes=5``, ``dim=96``, ...).

    Returns:
        The model, in training mode.

    Raises:
        UnknownModelError: no such name.
        UnknownWeightsError: there are no such weights of the model.
        ModelError: a setting is unknown or impossible, or does not fit the trained weights.
    """
    entry = get_entry(name)
    if in_chans is not None and overrides.setdefault("channels", in_chans) != in_chans:
        raise ModelError(f"in_chans={in_chans} and channels={overrides['channels']} differ. Give one of them.")
    if pretrained is not None and not isinstance(pretrained, (bool, str)):
        raise ModelError(
            f"pretrained is {pretrained!r}; give True, False or the name of weights. Weights in a folder are loaded by "
            "htnet.load_pretrained(folder)."
        )
    if pretrained or pretrained == "":
        return with_settings(_weights_of(name, pretrained).load(), overrides).train()
    model = entry.model_class(_build_config(entry, overrides))
    model.name = name
    return model


def _weights_of(name: str, tag: bool | str) -> Any:
    """The registered weights of a model that ``pretrained`` selects."""
    ready = {key: spec for key, spec in WEIGHTS.items() if spec.model == name and spec.published}
    if isinstance(tag, str):
        if tag in WEIGHTS and WEIGHTS[tag].model == name:
            return WEIGHTS[tag]
        if tag in WEIGHTS:
            other = WEIGHTS[tag].model
            why = f" They belong to {other}: create_model({other!r}, pretrained={tag!r})."
        else:
            why = f" {did_you_mean(tag, ready)} Folders and owner/repo are loaded by htnet.load_pretrained({tag!r})."
        raise UnknownWeightsError(f"{name} has no weights {tag!r}.{why}")
    if not ready:
        raise UnknownWeightsError(
            f"{name} has no published weights. Models with weights: {', '.join(list_models(pretrained=True))}."
        )
    return next(iter(ready.values()))


def _own_hint() -> str:
    """A sentence, after a blank, on models that are not part of htnet."""
    return " " + how(
        "If it is your own, start the command from a Python script that imports the module which registers it (see "
        '"Your own model" in docs/models.md).',
        "If it is your own, first import the module that registers it with @htnet.register_model.",
    )


def _by_class(models: Mapping[str, ModelEntry]) -> dict[str, ModelEntry]:
    return {entry.model_class.__name__: entry for entry in models.values()}


def defining_module(architecture: str) -> str:
    """The module that defines the class of a registered model; "" if it is part of htnet, or not registered.

    Args:
        architecture: class name, as ``type(model).__name__``.
    """
    entry = _by_class(MODELS.added()).get(architecture)
    return "" if entry is None or is_ours(entry.model_class) else entry.model_class.__module__


def own_models() -> frozenset[type[EmotionModel]]:
    """The registered classes that are not part of htnet. A class that is defined again is another one."""
    classes = {entry.model_class for entry in MODELS.added().values()}
    return frozenset(found for found in classes if not is_ours(found))


def model_code(architecture: str) -> str:
    """SHA-256 of the code of a registered class that is not part of htnet; "" for other classes.

    Args:
        architecture: class name, as ``type(model).__name__``.
    """
    return next((own_code(found) for found in own_models() if found.__name__ == architecture), "")


def build_model(architecture: str, config: Mapping[str, Any], name: str | None = None) -> EmotionModel:
    """Rebuild a model from the data saved with its weights.

    Args:
        architecture: class name, as ``type(model).__name__``.
        config: every field of its config.
        name: name of the model.

    Raises:
        UnknownModelError: no registered model has that class.
        ModelError: a field is unknown or impossible.
    """
    entries = _by_class(MODELS.added())
    if architecture not in entries:  # a wing may register it; importing the wings takes a while
        entries = _by_class(MODELS)
    if architecture not in entries:
        raise UnknownModelError(
            f"Unknown architecture: {architecture!r}. {did_you_mean(architecture, entries)}{_own_hint()}"
        )
    model_class = entries[architecture].model_class
    model = model_class(_build_config(ModelEntry(name or architecture, model_class), config))
    model.name = name or model.name
    return model
