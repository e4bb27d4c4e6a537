"""Digests of code: of a function's bytecode, and of files with all files of the user's own that they import."""

from __future__ import annotations

import dis
import json
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from htnet.core.limits import sha256_of
from htnet.core.ownership import digest, is_own_file, library, version_of


def text_or_file(value: str) -> Any:
    """A text; the hash of the content if it names a file."""
    return {"sha256": sha256_of(value)} if len(value) < 4096 and os.path.isfile(value) else value


def code_digest(code: CodeType) -> str:
    """SHA-256 of the bytecode with its constants and names; comments, positions and file names do not count."""
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    constants = [code_digest(one) if isinstance(one, CodeType) else _constant(one) for one in code.co_consts]
    counts = [code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount]
    handlers = getattr(code, "co_exceptiontable", b"").hex()
    return digest(json.dumps([code.co_code.hex(), counts, names, constants, handlers]))


def _constant(value: Any) -> str:
    if isinstance(value, frozenset):
        return repr(sorted(_constant(one) for one in value))
    if isinstance(value, tuple):
        return repr([_constant(one) for one in value])
    if isinstance(value, str) and isinstance(found := text_or_file(value), dict):  # a file that the code reads
        return repr(found)
    return repr(value)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _nested(one)


def names_in(code: CodeType) -> Iterator[str]:
    """The names of globals and attributes in a function and in the functions inside it."""
    return (name for part in _nested(code) for name in part.co_names)


def imports_in(code: CodeType, package: str) -> list[str]:
    """Modules that code imports when it runs."""
    found = set()
    for part in _nested(code):
        before: list[Any] = [0, ()]
        for step in dis.get_instructions(part):
            if step.opname == "IMPORT_NAME":
                level = before[-2] if isinstance(before[-2], int) else 0
                try:
                    name = resolve_name("." * level + str(step.argval), package or None)
                except ImportError:
                    name = str(step.argval)
                found.add(name)
                found |= {f"{name}.{one}" for one in before[-1] or () if isinstance(one, str)}
            before.append(step.argval)
    return sorted(name for name in found if name)


def _origin(name: str) -> str | None:
    """The file of a module, which is not imported; None if there is none."""
    try:
        spec = find_spec(name)
    except Exception:  # its package is imported, which may raise any error
        return None
    return spec.origin if spec is not None else None


def imported(name: str) -> Any:
    """Content of a module of the user's own, and of what it imports; version of a library."""
    file = _origin(name)
    return source_of(file) if file is not None and is_own_file(file) else library(name.split(".")[0])


def source_of(file: str) -> Any:
    """Content of a file of the user's own, and of all files that it imports."""
    found: dict[str, Any] = {}

    def read(file: str, name: str) -> None:
        if name in found or not os.path.isfile(file):
            return
        found[name] = sha256_of(file)
        try:
            code = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError):
            return
        package = name if Path(file).stem == "__init__" else name.rpartition(".")[0]
        for other in imports_in(code, package):
            origin = _origin(other)
            if origin is not None and is_own_file(origin):
                read(origin, other)
            elif version := library(other.split(".")[0]):
                found[other.split(".")[0]] = version

    names = {getattr(module, "__file__", None): name for name, module in list(sys.modules.items())}
    read(file, names.get(file, Path(file).stem))
    return [[name, found[name]] for name in sorted(found)]


def module_of(thing: ModuleType) -> Any:
    """Content of a module of the user's own; version of a library."""
    file = getattr(thing, "__file__", None)
    if is_own_file(file) and file is not None and os.path.isfile(file):
        return [thing.__name__, source_of(file)]
    return [thing.__name__, version_of(thing)]
