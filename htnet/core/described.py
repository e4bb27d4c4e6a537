"""Description of an object for keys of stored work: its settings and, for a user's own objects, the code that runs.

Stored work is reused only if everything that it depends on is unchanged. Versions identify the code of htnet and of
installed libraries. A user's own functions and classes have no version, so their bytecode is hashed, with the functions
and values that they refer to.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import json
import os
import pickle
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Set
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from htnet.core.limits import sha256_of

_PACKAGE = Path(__file__).parents[1]
#: Folders of installed libraries, by their names in any environment.
_INSTALLED = {"site-packages", "dist-packages"}
#: Attributes of a class that do not affect what it computes.
_NOT_CODE = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__firstlineno__"}
    | {"__static_attributes__", "__annotate__", "__annotate_func__", "__abstractmethods__", "_abc_impl"}
    | {"__parameters__", "__orig_bases__", "_is_protocol", "_is_runtime_protocol", "__dataclass_fields__"}
)
_PLAIN = (bool, int, float, complex, str, bytes, os.PathLike, np.ndarray, np.generic, torch.Tensor)


def describe(thing: Any) -> Any:
    """JSON-ready description of an object: everything that is known about what it computes.

    This is the result of its ``identity``, if it has one. Otherwise it is the type and the settings (public attributes;
    for classes that are not part of a library also private numbers, texts, paths and arrays), the weights of PyTorch
    modules, the arguments of ``functools.partial``, and, for code that is not part of a library, a hash of the code.
    Files are represented by their content, libraries by their version.

    Args:
        thing: a landmarker, a model class, or another object.
    """
    return _Describer().of(thing)


def own_code(thing: type | FunctionType) -> str:
    """SHA-256 of the code of a class or function that is not part of htnet or another library; "" if it is."""
    return _digest(json.dumps(describe(thing), sort_keys=True)) if _is_own(thing) else ""


class _Describer:
    def __init__(self) -> None:
        # Objects described so far: an object that refers to itself is described once. They are kept, so that no other
        # object gets the id of one of them.
        self._seen: dict[int, tuple[int, Any]] = {}

    def of(self, thing: Any) -> Any:
        """Description of an object."""
        if thing is None or isinstance(thing, bool | int | float):
            return thing
        if isinstance(thing, str | os.PathLike):
            return {"sha256": sha256_of(thing)} if os.path.isfile(thing) else str(thing)
        if isinstance(thing, np.generic | complex):
            return repr(thing)
        if isinstance(thing, bytes | bytearray):
            return {"bytes": hashlib.sha256(thing).hexdigest()}
        if isinstance(thing, np.ndarray):
            return _array(thing)
        if isinstance(thing, torch.Tensor):
            return _tensor(thing)
        if id(thing) in self._seen:
            return ["seen", self._seen[id(thing)][0]]
        self._seen[id(thing)] = len(self._seen), thing
        if isinstance(thing, list | tuple):
            return [self.of(item) for item in thing]
        if isinstance(thing, Set):
            return sorted((self.of(item) for item in thing), key=lambda found: json.dumps(found, sort_keys=True))
        if isinstance(thing, Mapping):
            return [[self.of(name), self.of(value)] for name, value in thing.items()]
        if isinstance(thing, ModuleType):
            return _module(thing)
        return self._code(thing)

    def _code(self, thing: Any) -> Any:
        if not isinstance(thing, type) and callable(identity := getattr(thing, "identity", None)):
            return self.of(identity())
        if isinstance(thing, functools.partial):
            return ["partial", self.of(thing.func), self.of(thing.args), self.of(thing.keywords)]
        if isinstance(thing, MethodType):
            return ["method", thing.__func__.__qualname__, self.of(thing.__self__), self.of(thing.__func__)]
        if isinstance(thing, staticmethod | classmethod):
            return self.of(thing.__func__)
        if isinstance(thing, property):
            return ["property", *(self.of(part) for part in (thing.fget, thing.fset))]
        if isinstance(thing, functools.cached_property):
            return ["property", self.of(thing.func)]
        if isinstance(thing, type):
            return self._class(thing)
        if not isinstance(thing, FunctionType) and hasattr(thing, "__wrapped__"):  # lru_cache
            return ["wrapped", self.of(thing.__wrapped__)]
        if isinstance(thing, FunctionType):
            return self._function(thing)
        if hasattr(thing, "__qualname__"):
            return [_name(thing), _library(_top(thing))]
        return self._instance(thing)

    def _function(self, thing: FunctionType) -> Any:
        inner = getattr(thing, "__wrapped__", None)
        found = [_name(thing), *([self.of(inner)] if inner is not None else [])]
        if not _is_own(thing):
            # A library's decorator is known by its version; what it was given, is in the closure.
            return [*found, _library(_top_of_file(thing.__code__.co_filename))]
        code, scope = thing.__code__, thing.__globals__
        names = sorted(set(_names(code)))
        used = {name: scope[name] for name in names if name in scope and not name.startswith("__")}
        return [
            *found,
            _code_digest(code),
            self.of(thing.__defaults__),
            self.of(thing.__kwdefaults__),
            [self._cell(cell) for cell in thing.__closure__ or ()],
            [[name, self._used(value, names)] for name, value in used.items()],
            [[name, _imported(name)] for name in _imports(code, scope)],
            self.of({name: value for name, value in vars(thing).items() if name != "__wrapped__"}),
        ]

    def _cell(self, cell: Any) -> Any:
        try:
            return self.of(cell.cell_contents)
        except ValueError:
            return "empty"

    def _used(self, value: Any, names: list[str]) -> Any:
        """Description of a global that a function refers to; of a module of the user's own, the attributes it uses."""
        if not isinstance(value, ModuleType) or not _is_own_file(getattr(value, "__file__", None)):
            return self.of(value)
        if id(value) in self._seen:
            return ["seen", value.__name__]
        found = {name: vars(value)[name] for name in names if name in vars(value) and not name.startswith("__")}
        return [value.__name__, [[name, self._used(part, names)] for name, part in found.items()]]

    def _class(self, thing: type) -> Any:
        if not _is_own(thing):
            return [_name(thing), _library(_top(thing))]
        parts = [[name, self.of(part)] for name, part in sorted(vars(thing).items()) if name not in _NOT_CODE]
        bases = [self.of(base) for base in thing.__bases__ if base is not object]
        return [_name(thing), parts, bases]

    def _instance(self, thing: Any) -> Any:
        kind, values = type(thing), dict(getattr(thing, "__dict__", {}))
        for owner in kind.__mro__:
            slots = vars(owner).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else tuple(slots):
                if not name.startswith("__") and hasattr(thing, name):
                    values[name] = getattr(thing, name)
        if isinstance(thing, torch.nn.Module):
            weights = {name: _tensor(value) for name, value in thing.state_dict().items()}
            layers = [[name, type(part).__qualname__, part.extra_repr()] for name, part in thing.named_modules()]
            return [self._class(kind), layers, weights, self._layers(thing), thing.training]
        own = _is_own(kind)
        if not own and not _is_ours(kind):  # a table, a fitted model, a session: what it refers to is not followed
            if (content := _pickled(thing)) is not None:
                return [_name(kind), content, _library(_top(kind))]
            values = {name: value for name, value in values.items() if _is_plain(value)}
        public = {name: self.of(value) for name, value in values.items() if name[:1] != "_"}
        private = {name: self.of(v) for name, v in values.items() if own and name[:1] == "_" and isinstance(v, _PLAIN)}
        code = [self._class(kind)] if own else [_library(_top(kind))] if not _is_ours(kind) else []
        return [_name(kind), public, *([private] if private else []), *code]

    def _layers(self, thing: torch.nn.Module) -> Any:
        """The user's own classes among a module's parts."""
        kinds = dict.fromkeys(type(part) for part in thing.modules())
        return [self.of(kind) for kind in kinds if _is_own(kind)]


def _pickled(thing: Any) -> str | None:
    """SHA-256 of an object's content; None if it cannot be written."""
    try:
        return hashlib.sha256(pickle.dumps(thing, 5)).hexdigest()
    except Exception:
        return None


def _is_plain(value: Any) -> bool:
    return (
        value is None or isinstance(value, _PLAIN) or (isinstance(value, list | tuple) and all(map(_is_plain, value)))
    )


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _array(values: np.ndarray[Any, Any]) -> Any:
    if values.dtype.hasobject:
        return [str(values.dtype), values.tolist()]
    content = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
    return {"shape": list(values.shape), "dtype": str(values.dtype), "sha256": content}


def _tensor(values: torch.Tensor) -> Any:
    plain = values.detach().cpu().contiguous()
    content = hashlib.sha256(plain.flatten().view(torch.uint8).numpy().tobytes()).hexdigest() if plain.numel() else ""
    return {"shape": list(plain.shape), "dtype": str(plain.dtype), "sha256": content}


def _code_digest(code: CodeType) -> str:
    """SHA-256 of the bytecode with its constants and names; comments, positions and file names do not count."""
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    constants = [_code_digest(one) if isinstance(one, CodeType) else _constant(one) for one in code.co_consts]
    return _digest(json.dumps([code.co_code.hex(), code.co_flags, names, constants]))


def _constant(value: Any) -> str:
    if isinstance(value, frozenset):
        return repr(sorted(_constant(one) for one in value))
    if isinstance(value, tuple):
        return repr([_constant(one) for one in value])
    return repr(value)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _nested(one)


def _names(code: CodeType) -> Iterator[str]:
    """The names of globals and attributes in a function and in the functions inside it."""
    return (name for part in _nested(code) for name in part.co_names)


def _imports(code: CodeType, scope: Mapping[str, Any]) -> list[str]:
    """Modules that a function imports when it runs."""
    package, found = str(scope.get("__package__") or ""), set()
    for part in _nested(code):
        before: list[Any] = []
        for step in dis.get_instructions(part):
            if step.opname == "IMPORT_NAME":
                level = before[-2] if len(before) > 1 and isinstance(before[-2], int) else 0
                name = "." * level + str(step.argval)
                with_package = resolve_name(name, package) if level and package else name.lstrip(".")
                if with_package:
                    found.add(with_package)
            before.append(step.argval)
    return sorted(found)


def _origin(name: str) -> str | None:
    """The file of a module, which is not imported; None if there is none."""
    try:
        spec = find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    return spec.origin if spec is not None else None


def _imported(name: str) -> Any:
    """Content of a module of the user's own; version of a library."""
    file = _origin(name)
    return {"sha256": sha256_of(file)} if file is not None and _is_own_file(file) else _library(name.split(".")[0])


def _module(thing: ModuleType) -> Any:
    file = getattr(thing, "__file__", None)
    if _is_own_file(file) and file is not None and os.path.isfile(file):
        return [thing.__name__, {"sha256": sha256_of(file)}]
    return [thing.__name__, _library(thing.__name__.split(".")[0])]


def _top(thing: Any) -> str:
    return str(getattr(thing, "__module__", "") or "").split(".")[0]


def _is_ours(kind: type) -> bool:
    return _top(kind) == "htnet"


def _is_own(thing: Any) -> bool:
    """Whether a class or function is neither part of htnet, of Python, nor of an installed library."""
    if isinstance(thing, FunctionType):
        return _is_own_file(thing.__code__.co_filename)
    if _top(thing) in sys.stdlib_module_names:
        return False
    module = sys.modules.get(getattr(thing, "__module__", ""))
    if module is None or thing.__module__ == "__main__":
        return True
    return _is_own_file(getattr(module, "__file__", None))


@cache
def _is_own_file(file: str | None) -> bool:
    if file is None:
        return False
    if file.startswith("<"):  # typed in, or made by exec
        return not file.startswith("<frozen")
    path = Path(file)
    if _INSTALLED & set(path.parts) or path.suffix in (".so", ".pyd") or path.is_relative_to(_PACKAGE):
        return False
    return not any(path.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))


def _top_of_file(file: str) -> str:
    """Name of the library that a file belongs to; "" if it is part of Python."""
    parts = Path(file).parts
    at = [number for number, part in enumerate(parts) if part in _INSTALLED]
    if at and at[-1] + 1 < len(parts):
        return Path(parts[at[-1] + 1]).stem
    return "htnet" if Path(file).is_relative_to(_PACKAGE) else ""


def _named(top: str) -> list[Distribution]:
    """The distribution that has the same name as its package, as most have; reading the files of all takes long."""
    try:
        one = distribution(top)
    except (PackageNotFoundError, ValueError):
        return []
    return [one] if f"\n{top}/" in "\n" + (one.read_text("RECORD") or "") else []


@cache
def _library(top: str) -> str:
    """Version of a library, with a hash of its Python files: some are reinstalled with changes under one version."""
    if not top or top in sys.stdlib_module_names or top == "htnet":
        return ""
    found = set()
    for one in _named(top) or distributions():
        record = "\n" + (one.read_text("RECORD") or "")
        if f"\n{top}/" in record or f"\n{top}.py," in record:
            files = sorted(line for line in record.splitlines() if ".py,sha256" in line)
            found.add(" ".join((one.name, one.version, *([_digest("\n".join(files))[:16]] if files else []))))
    return ", ".join(sorted(found))
