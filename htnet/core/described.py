"""Description of an object for keys of stored work: its settings and, for a user's own objects, the code that runs.

Stored work is reused only if everything that it depends on is unchanged. Versions identify the code of htnet and of
installed libraries. A user's own functions and classes have no version, so their bytecode is hashed, with the functions
and values that they refer to.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import json
import math
import os
import pickle
import re
from collections import defaultdict
from collections.abc import Mapping, Set
from enum import Enum
from pathlib import PurePath
from types import FunctionType, MethodType, ModuleType
from typing import IO, Any

import numpy as np
import torch

from htnet.core.bytecode import code_digest, imported, imports_in, module_of, names_in, source_of, text_or_file
from htnet.core.errors import HtnetError, InputError
from htnet.core.ownership import (
    digest,
    is_ours,
    is_own,
    is_own_module,
    library,
    read_attribute,
    top_of_file,
    version_of,
)

#: Attributes of a class that do not affect what it computes.
_NOT_CODE = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__firstlineno__"}
    | {"__static_attributes__", "__annotate__", "__annotate_func__", "__abstractmethods__", "_abc_impl"}
    | {"__pydantic_core_schema__", "__pydantic_validator__", "__pydantic_serializer__", "__signature__"}
    | {"__parameters__", "__orig_bases__", "_is_protocol", "_is_runtime_protocol", "__dataclass_fields__"}
)
#: Types whose values are described by their content.
_VALUES = (
    *(int, float, complex, str, bytes, bytearray, memoryview, PurePath),
    *(np.ndarray, np.generic, torch.Tensor, torch.Generator),
)
#: Attributes of every PyTorch module: those described separately, and those of training.
_OF_MODULE = frozenset(vars(torch.nn.Module()))
#: Names in code that reads attributes of modules, or globals, which it does not name.
_DYNAMIC = frozenset({"getattr", "vars", "__dict__", "attrgetter", "methodcaller", "eval", "exec"})
_DYNAMIC_GLOBALS = frozenset({"globals", "eval", "exec"})
#: Longest description that is stored as it is, characters of JSON.
_LONGEST = 4096
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")


def describe(thing: Any) -> Any:
    """JSON-ready description of an object: everything that is known about what it computes.

    This is the result of its ``identity``, if it has one. Otherwise it is the type and the settings (public attributes;
    for classes that are not part of a library also private ones), the weights and settings of PyTorch modules, the
    arguments of ``functools.partial``, and, for code that is not part of a library, a hash of the code. Files are
    represented by their content, libraries by their version. A long description is replaced by its hash.

    Args:
        thing: a landmarker, a model class, or another object.

    Raises:
        InputError: it cannot be described, because its values are nested too deeply or raise errors when they are read.
        HtnetError: its ``identity`` raises this.
    """
    try:
        found = _Describer().of(thing)
        text = json.dumps(found, sort_keys=True)
    except HtnetError:
        raise
    except Exception as error:
        name = getattr(thing, "__qualname__", None) if isinstance(thing, type | FunctionType) else None
        raise InputError(
            f"What {name or type(thing).__qualname__} computes cannot be recorded ({type(error).__name__}): a value "
            "that it refers to is nested too deeply, or raises this error when it is read. Give the class of that "
            "value a method identity(self) that returns everything its results depend on, as JSON values."
        ) from error
    return found if len(text) <= _LONGEST else {"sha256": digest(text)}


def own_code(thing: type | FunctionType) -> str:
    """SHA-256 of the code of a class or function that is not part of htnet or another library; "" if it is.

    Raises:
        InputError: see `describe`.
    """
    return digest(json.dumps(describe(thing), sort_keys=True)) if is_own(thing) else ""


class _Describer:
    def __init__(self, seen: dict[int, tuple[int, Any]] | None = None) -> None:
        # Objects described so far: an object that refers to itself is described once. They are kept, so that no other
        # object gets the id of one of them.
        self._seen: dict[int, tuple[int, Any]] = dict(seen or {})

    def of(self, thing: Any) -> Any:
        """Description of an object."""
        # Types are compared, not isinstance: mocks and proxies claim to be of another class.
        kind = type(thing)
        if thing is None or kind is bool or kind is int:
            return thing
        if kind is str:
            return text_or_file(thing)
        if kind is float:
            return thing if math.isfinite(thing) else repr(thing)  # NaN is not equal to itself
        if kind is list or kind is tuple or not issubclass(kind, _VALUES) or issubclass(kind, Enum):
            return self._object(thing, kind)
        found = self._value(thing, kind)
        if kind is not np.ma.MaskedArray and is_own(kind):
            return [found, self.of(kind), self.of(dict(getattr(thing, "__dict__", {})))]
        return found

    def _value(self, thing: Any, kind: type) -> Any:
        if issubclass(kind, str):
            return text_or_file(str.__str__(thing))
        if issubclass(kind, PurePath):
            return text_or_file(str(thing))
        if issubclass(kind, bytes | bytearray | memoryview):
            return {"bytes": hashlib.sha256(thing).hexdigest()}
        if issubclass(kind, np.ma.MaskedArray):
            return [self._array(np.ma.getdata(thing)), self._array(np.ma.getmaskarray(thing))]
        if issubclass(kind, np.ndarray):
            return self._array(thing)
        if issubclass(kind, torch.Tensor):
            return _tensor(thing)
        if issubclass(kind, torch.Generator):
            return ["generator", thing.initial_seed()]
        base = next(base for base in (np.generic, complex, float, int) if issubclass(kind, base))
        return base.__repr__(thing)

    def _array(self, values: np.ndarray[Any, Any]) -> Any:
        if values.dtype.hasobject:
            return [str(values.dtype), list(values.shape), self.of(values.tolist())]
        content = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        return {"shape": list(values.shape), "dtype": str(values.dtype), "sha256": content}

    def _object(self, thing: Any, kind: type) -> Any:
        if id(thing) in self._seen:
            return ["seen", self._seen[id(thing)][0]]
        self._seen[id(thing)] = len(self._seen), thing
        if issubclass(kind, Enum):
            return [thing.name, self.of(thing.value), self.of(kind)]
        if issubclass(kind, ModuleType):
            return module_of(thing)
        content: Any = None
        if issubclass(kind, list | tuple):
            content = [self.of(item) for item in thing]
        elif issubclass(kind, Set):
            # The order of a set differs from run to run, so no item may depend on what was described before it.
            content = [_Describer(self._seen).of(item) for item in thing]
            content.sort(key=lambda found: json.dumps(found, sort_keys=True))
        elif issubclass(kind, Mapping):
            content = [[self.of(name), self.of(value)] for name, value in thing.items()]
            if issubclass(kind, defaultdict):
                content.append(self.of(thing.default_factory))
        if content is None:
            return self._code(thing, kind)
        return [content, *self._instance(thing, kind)] if is_own(kind) else content

    def _code(self, thing: Any, kind: type) -> Any:
        if (is_own(kind) or is_ours(kind)) and _has_identity(kind):
            return self.of(thing.identity())
        if issubclass(kind, functools.partial):
            return ["partial", self.of(thing.func), self.of(thing.args), self.of(thing.keywords)]
        if issubclass(kind, MethodType):
            return ["method", _name(thing.__func__), self.of(thing.__self__), self.of(thing.__func__)]
        if issubclass(kind, staticmethod | classmethod):
            return self.of(thing.__func__)
        if issubclass(kind, property):
            return ["property", *(self.of(part) for part in (thing.fget, thing.fset))]
        if issubclass(kind, functools.cached_property):
            return ["property", self.of(thing.func)]
        if issubclass(kind, type):
            return self._class(thing)
        if issubclass(kind, FunctionType):
            return self._function(thing)
        if issubclass(kind, torch.nn.Module):
            return self._network(thing, kind)
        if issubclass(kind, torch.jit.ScriptFunction):
            return ["script", str(thing.code)]
        if (inner := _vars(thing).get("__wrapped__")) is not None:  # lru_cache
            return ["wrapped", self.of(inner)]
        if not is_own(kind) and not is_ours(kind) and isinstance(read_attribute(thing, "__qualname__"), str):
            owner = read_attribute(thing, "__self__")
            bound = owner is not None and not isinstance(owner, ModuleType)
            return [_name(thing), version_of(thing), *([self.of(owner)] if bound else [])]
        return self._instance(thing, kind)

    def _function(self, thing: FunctionType) -> Any:
        inner = getattr(thing, "__wrapped__", None)
        found = [_name(thing), *([self.of(inner)] if inner is not None else [])]
        if not is_own(thing):
            # A library's decorator is known by its version; what it was given, is in the closure.
            given = [cell.cell_contents for cell in thing.__closure__ or () if not _is_empty(cell)]
            found += [self.of(value) for value in given if _is_followed(value)]
            if isinstance(kinds := getattr(thing, "registry", None), Mapping):  # functools.singledispatch
                found += [[_name(kind), self.of(value)] for kind, value in kinds.items()]
            return [*found, library(top_of_file(thing.__code__.co_filename))]
        code, scope = thing.__code__, thing.__globals__
        names = sorted(set(names_in(code)))
        used = {name: scope[name] for name in names if name in scope and not name.startswith("__")}
        return [
            *found,
            code_digest(code),
            self.of(thing.__defaults__),
            self.of(thing.__kwdefaults__),
            ["empty" if _is_empty(cell) else self.of(cell.cell_contents) for cell in thing.__closure__ or ()],
            [[name, self._used(value, names)] for name, value in used.items()],
            [[name, imported(name)] for name in imports_in(code, str(scope.get("__package__") or ""))],
            self.of({name: value for name, value in vars(thing).items() if name != "__wrapped__"}),
            *([source_of(code.co_filename)] if not _DYNAMIC_GLOBALS.isdisjoint(names) else []),
        ]

    def _used(self, value: Any, names: list[str], inside: tuple[Any, ...] = ()) -> Any:
        """Description of a global that a function refers to; of a module of the user's own, the attributes it uses."""
        if not isinstance(value, ModuleType) or not is_own_module(value):
            return self.of(value)
        if value in inside:  # two modules that import each other
            return value.__name__
        found = {name: vars(value)[name] for name in names if name in vars(value) and not name.startswith("__")}
        parts = [[name, self._used(part, names, (*inside, value))] for name, part in found.items()]
        return [value.__name__, parts, *([module_of(value)] if not _DYNAMIC.isdisjoint(names) else [])]

    def _class(self, thing: type) -> Any:
        if not is_own(thing):
            return [_name(thing), version_of(thing)]
        parts = [[name, self.of(part)] for name, part in sorted(vars(thing).items()) if name not in _NOT_CODE]
        bases = [self.of(base) for base in (*thing.__bases__, type(thing)) if base not in (object, type)]
        return [_name(thing), parts, bases]

    def _instance(self, thing: Any, kind: type) -> list[Any]:
        values = _vars(thing)
        for owner in kind.__mro__:
            slots = vars(owner).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else tuple(slots):
                if not name.startswith("__") and (value := read_attribute(thing, name)) is not None:
                    values[name] = value
        if is_own(kind):
            return [_name(kind), {name: self.of(value) for name, value in values.items()}, self.of(kind)]
        if is_ours(kind):
            return [_name(kind), {name: self.of(value) for name, value in values.items() if name[:1] != "_"}]
        # A table, a fitted model, a session: its content, or what is known of it.
        content: Any = self._pickled(thing)
        if content is None:
            kept = {name: value for name, value in values.items() if _is_file(value) or name[:1] != "_"}
            content = {name: self.of(value) for name, value in kept.items() if _is_followed(value)}
        return [_name(kind), content, version_of(kind)]

    def _network(self, thing: torch.nn.Module, kind: type) -> Any:
        own = is_own(kind)
        values = {
            name: self.of(value)
            for name, value in vars(thing).items()
            if name not in _OF_MODULE and (own or (name[:1] != "_" and _is_followed(value)))
        }
        state: dict[str, Any] = {}
        thing._save_to_state_dict(state, "", True)  # buffers that are not saved are added
        state |= {name: value for name, value in thing._buffers.items() if value is not None}
        hooks = [*thing._forward_pre_hooks.values(), *thing._forward_hooks.values()]
        code = read_attribute(thing, "code")  # of compiled modules
        return [
            self.of(kind),
            _ADDRESS.sub("", thing.extra_repr()),
            values,
            {name: self.of(value) for name, value in state.items()},
            [[name, self.of(part)] for name, part in thing._modules.items()],
            [self.of(hook) for hook in hooks],
            thing.training,
            *([code] if isinstance(code, str) else []),
        ]

    def _pickled(self, thing: Any) -> str | None:
        """SHA-256 of an object's content; None if it cannot be written."""
        found = io.BytesIO()
        try:
            _Pickler(found, self).dump(thing)
        except Exception:  # libraries raise errors of any kind for what they cannot write
            return None
        return hashlib.sha256(found.getvalue()).hexdigest()


class _Pickler(pickle.Pickler):
    """Writes an object of a library; a user's own classes and functions in it are described, not only named."""

    def __init__(self, file: IO[bytes], describer: _Describer) -> None:
        super().__init__(file, 5)
        self._describer = describer

    def persistent_id(self, thing: Any) -> Any:
        """Description of a part that pickle names, or writes in another order in each run; None for other parts."""
        kind = type(thing)
        code = kind is FunctionType or issubclass(kind, type)
        if kind in (set, frozenset, torch.Tensor) or (is_own(thing) if code else is_own(kind)):
            return self._describer.of(thing)
        return None


def _vars(thing: Any) -> dict[str, Any]:
    found = read_attribute(thing, "__dict__")
    return dict(found) if isinstance(found, Mapping) else {}


def _has_identity(kind: type) -> bool:
    """Whether the instances of a class have a method ``identity`` that needs no argument."""
    found = getattr(kind, "identity", None)
    try:
        return callable(found) and inspect.signature(found).bind(None) is not None
    except (TypeError, ValueError):
        return False


def _is_empty(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return True
    return False


def _is_followed(value: Any) -> bool:
    """Whether an attribute of a library's object is described: plain values, functions, networks, and own objects."""
    kind = type(value)
    if value is None or issubclass(kind, (*_VALUES, FunctionType, MethodType, functools.partial, torch.nn.Module)):
        return True
    if kind in (list, tuple):
        return all(map(_is_followed, value))
    return is_own(value) if issubclass(kind, type) else is_own(kind)


def _is_file(value: Any) -> bool:
    return isinstance(value, bytes) or (isinstance(value, str | PurePath) and os.path.isfile(value))


def _name(thing: Any) -> str:
    qualified = read_attribute(thing, "__qualname__") or type(thing).__qualname__
    return f"{read_attribute(thing, '__module__') or ''}.{qualified}"


def _tensor(values: torch.Tensor) -> Any:
    if isinstance(values, torch.nn.UninitializedParameter | torch.nn.UninitializedBuffer):
        return {"shape": "unknown", "dtype": str(values.dtype)}
    if values.device.type == "meta":
        return {"shape": list(values.shape), "dtype": str(values.dtype)}
    plain = values.detach().cpu()
    try:
        plain = plain.resolve_conj().resolve_neg().contiguous()
        content = plain.flatten().view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    except RuntimeError:  # sparse, nested and quantized tensors have no plain memory
        return {"shape": list(plain.shape) if not plain.is_nested else None, "parts": list(map(_tensor, _parts(plain)))}
    return {"shape": list(plain.shape), "dtype": str(plain.dtype), "sha256": hashlib.sha256(content).hexdigest()}


def _parts(values: torch.Tensor) -> list[torch.Tensor]:
    """Plain tensors that a sparse, nested or quantized tensor consists of."""
    if values.is_nested:
        return list(values.unbind())
    if values.is_quantized:
        return [values.dequantize()]
    if values.layout is torch.sparse_coo:
        return [values.coalesce().indices(), values.coalesce().values()]
    if values.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [values.crow_indices(), values.col_indices(), values.values()]
    return [values.ccol_indices(), values.row_indices(), values.values()]
