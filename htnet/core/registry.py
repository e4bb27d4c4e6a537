"""Registries of named objects. The modules that fill a registry are imported when it is first read."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from htnet.core.lazy import loading
from htnet.core.wings import load_wings

K = TypeVar("K")
V = TypeVar("V")


class Registry(Mapping[K, V]):
    """Entries in the order of registration.

    Looking up a key that is not registered yet, or listing all keys, imports the modules that fill the registry, and
    the wings. Adding imports nothing, so these modules can add their entries while they are imported.
    """

    def __init__(self, *homes: str) -> None:
        self._homes = homes
        self._entries: dict[K, V] = {}

    def add(self, key: K, value: V) -> None:
        """Add an entry, or replace one."""
        self._entries[key] = value

    def has(self, key: K) -> bool:
        """Whether an entry has been added so far, without importing anything."""
        return key in self._entries

    def added(self) -> dict[K, V]:
        """The entries so far, without importing anything."""
        return dict(self._entries)

    def _read(self) -> dict[K, V]:
        with loading():
            for module in self._homes:
                importlib.import_module(module)
        load_wings()
        return self._entries

    def __getitem__(self, key: K) -> V:
        return self._entries[key] if key in self._entries else self._read()[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


#: Models by name: `htnet.models.ModelEntry`. Defined here so that every package can name models in messages.
MODELS: Registry[str, Any] = Registry("htnet.models")
#: Trained weights by name: `htnet.hub.PretrainedSpec`.
WEIGHTS: Registry[str, Any] = Registry("htnet.hub.registry")

#: Functions of `htnet.hub` that models call, by name; models may not import that package.
HUB: Registry[str, Callable[..., Any]] = Registry("htnet.hub")


def input_kind(name: str) -> str:
    """Kind of images that a model reads; ``name`` is that of a registered model or of registered weights."""
    model = WEIGHTS[name].model if name in WEIGHTS else name
    return str(MODELS[model].model_class.input_kind)
