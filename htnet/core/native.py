"""Machine code of loops that numba compiles once; it is cached on disk and loaded without numba.

numba's own cache (``cache=True``) is not used. In numba 0.68.1 it does not read from a folder that it cannot write to,
raises if no folder is writable or the disk is full, and can return code for another processor if two processes write at
once. Besides, importing numba and preparing its types takes a second or more in every process; llvmlite alone, which
numba is built on, loads the code in a fifth of that time.

Code that another user could have put into the cache is never run: see `_trusted`.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import stat
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from htnet.core.errors import InputError, RunError
from htnet.core.files import whole_file
from htnet.core.lazy import loading
from htnet.core.optional import require

#: Supported versions of numba: from the first, which is included, to the second, which is not.
NUMBA = ("0.68", "0.69")
#: Systems and processors on which compiled loops have been tested.
TRIED = (("linux", "x86_64"),)
#: The reason given if numba's compiler is disabled.
JIT_OFF = "NUMBA_DISABLE_JIT is set"
#: Seconds that a process waits for another one that compiles the same code.
_PATIENCE = 300.0
#: Length in bytes of the hash in front of the code.
_DIGEST = 32

_lock = threading.RLock()
#: Loaded functions, and the LLVM engines that own their code.
_functions: dict[str, Any] = {}
_engines: list[Any] = []


def _forked() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    # Without this, a process forked while another thread compiles would wait for that thread forever.
    os.register_at_fork(before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(), after_in_child=_forked)


@cache
def _installed() -> str:
    """The installed version of numba; "" if it is not installed."""
    try:
        return version("numba") if find_spec("numba") is not None else ""
    except PackageNotFoundError:
        return ""


@cache
def _unfit(found: str) -> str:
    """The reason why a version of numba is not used; "" if it is used."""
    if not found:
        return "numba is not installed"
    if not _release(NUMBA[0]) <= _release(found) < _release(NUMBA[1]):
        return f"numba {found} is installed; {NUMBA[0]} or newer, before {NUMBA[1]}, is needed"
    return ""


def numba_obstacle() -> str:
    """The reason why loops cannot be compiled here; "" if they can."""
    if why := _unfit(_installed()):
        return why
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return JIT_OFF
    return ""


def untried() -> str:
    """The reason why compiled loops are used here only on request; "" if they are used by default."""
    here = (sys.platform, platform.machine())
    return "" if here in TRIED else f"it has not been tested on {here[0]} with {here[1]}"


def native_loops() -> bool:
    """Whether code with a compiled and a plain version uses the compiled one: numba works and was tested here."""
    return not (numba_obstacle() or untried())


def native_function(module: str, function: str, parts: Sequence[str], arguments: int) -> Callable[..., int]:
    """Machine code of a function that numba compiles; loaded once per process.

    The first process that calls this compiles the code, which takes ten seconds or more; others that call it at the
    same time wait for the first. The code is stored in the first writable one of `folders`, and read from any of them.
    Folders and files that another user can write to are ignored, see `_trusted`. If no folder remains, every process
    compiles the code.

    Args:
        module: the module that contains the function. It is imported, and numba with it, only to compile.
        function: name of the function in the module: a ``numba.cfunc`` that takes pointers and returns an int64.
        parts: other modules whose source the code depends on.
        arguments: number of arguments of the function.

    Returns:
        The function, which takes addresses. It runs without the GIL.

    Raises:
        MissingExtraError: numba is needed and cannot be imported.
        RunError: numba cannot compile the loops here.
    """
    if module not in _functions:
        with _lock:
            if module not in _functions:
                _functions[module] = _load(_code(module, function, parts), arguments)
    found: Callable[..., int] = _functions[module]
    return found


def folders() -> list[Path]:
    """The folders in which code is searched and stored, in this order.

    ``NUMBA_CACHE_DIR`` if it is set, the ``__pycache__`` of htnet, and ``htnet`` in the user's cache folder
    (``XDG_CACHE_HOME``, ``~/.cache``; ``LOCALAPPDATA`` on Windows). An unknown home folder is left out.
    """
    found = [Path(os.environ["NUMBA_CACHE_DIR"]) / "htnet"] if os.environ.get("NUMBA_CACHE_DIR") else []
    found.append(Path(__file__).resolve().parents[1] / "__pycache__")
    name = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    if os.path.isabs(os.environ.get(name, "")):
        return [*found, Path(os.environ[name]) / "htnet"]
    home = os.path.expanduser("~")
    return [*found, Path(home) / ".cache" / "htnet"] if os.path.isabs(home) else found


def _release(text: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split(".")[:2]:
        numbers.append(int("".join(c for c in part if c.isdigit()) or 0))
    return tuple(numbers)


def _llvm() -> Any:
    """The binding of llvmlite, initialized for this processor."""
    llvm = require("llvmlite.binding", "fast", "Compiled optical flow")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def _machine(llvm: Any) -> Any:
    """LLVM's target machine for this processor, created as in numba (numba/core/codegen.py, `JITCPUCodegen`)."""
    target = llvm.Target.from_default_triple()
    model = "static" if target.name.startswith("x86") else "default"
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, reloc=model, codemodel="jitdefault", jit=True
    )


def _source(module: str) -> bytes:
    """The content of a module's source file, which may be in an archive."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return b""
    read = getattr(spec.loader, "get_data", None)
    return bytes(read(spec.origin)) if read else b""


def _name(module: str, parts: Sequence[str]) -> str:
    """Name of the file with the code; it depends on the sources, the versions and the processor."""
    llvm = _llvm()
    decides = hashlib.sha256()
    for part in (__name__, module, *parts):
        decides.update(_source(part))
    machine = (platform.machine(), sys.platform, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    for text in (version("numba"), version("llvmlite"), *machine):
        decides.update(text.encode() + b"\0")
    return f"{module.rpartition('.')[2]}-{decides.hexdigest()[:32]}.o"


def _owners() -> set[int]:
    """Users whose code this process runs: its own user and root."""
    return {0, os.geteuid()}


def _only_ours(found: os.stat_result) -> bool:
    """Whether only this user and root can write to a file or folder."""
    return found.st_uid in _owners() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _trusted(folder: Path) -> bool:
    """Whether only this user and root can put code into an existing folder.

    The folder must belong to one of them, and neither its group nor other users may write to it. Other users must not
    be able to rename it: a parent folder that everybody can write to must have the sticky bit, as /tmp does. Access
    control lists show in the group's mode. Windows has no such modes; there, only a folder named by
    ``NUMBA_CACHE_DIR`` can be writable by others, and it is trusted.
    """
    if os.name != "posix":
        return os.path.isdir(folder)
    real = Path(os.path.realpath(folder))
    above = (place.stat().st_mode for place in real.parents)
    return _only_ours(real.stat()) and not any(mode & stat.S_IWOTH and not mode & stat.S_ISVTX for mode in above)


def _bytes(file: Path) -> bytes:
    """The content of a file, or of a link's target, that only this user and root can write to; otherwise b""."""
    real = Path(os.path.realpath(file))
    if not (_trusted(file.parent) and _trusted(real.parent) and os.path.isfile(real)):
        return b""
    with real.open("rb") as opened:
        # Check the opened file: by now the name could refer to another one.
        safe = os.name != "posix" or _only_ours(os.fstat(opened.fileno()))
        return opened.read() if safe else b""


def _read(name: str) -> bytes | None:
    """The code in the file of that name; None if it is missing or damaged, or if another user can write to it."""
    for folder in folders():
        with suppress(OSError):
            content = _bytes(folder / name)
            if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
                return content[_DIGEST:]
    return None


def _writable() -> Path | None:
    """The first folder that is writable, and only by this user or root; it is created if needed."""
    for folder in folders():
        with suppress(OSError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o755, exist_ok=True)  # not group-writable, whatever the umask
            if not _trusted(folder):
                continue
            trial = folder / f".{os.getpid()}-{threading.get_ident()}"
            trial.touch()
            trial.unlink()
            return folder
    return None


def _keep(file: Path, code: bytes) -> None:
    """Write code with its hash to a file that is never writable by the group, whatever the umask."""
    with suppress(OSError, InputError):  # a full disk: the next process compiles again
        file.unlink(missing_ok=True)  # an old file could be a link, or writable by others
        with whole_file(file, mode=0o644) as place:
            place.write_bytes(hashlib.sha256(code).digest() + code)


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of that name in a folder; continue without it if the disk has no locks, or after `_PATIENCE`."""
    with loading():
        from filelock import FileLock, Timeout

    lock = FileLock(folder / f"{name}.lock", timeout=_PATIENCE)
    held = False
    with suppress(OSError, NotImplementedError, Timeout):
        lock.acquire()
        held = True
    try:
        yield
    finally:
        if held:
            with suppress(OSError):
                lock.release()


def _code(module: str, function: str, parts: Sequence[str]) -> bytes:
    name = _name(module, parts)
    code = _read(name)
    if code is not None:
        return code
    folder = _writable()
    if folder is None:
        return _compile(module, function)
    with _alone(folder, name):
        code = _read(name)  # another process may have written it meanwhile
        if code is None:
            code = _compile(module, function)
            _keep(folder / name, code)
    return code


def _compile(module: str, function: str) -> bytes:
    """Machine code of the function that numba compiled, under the name ``htnet_entry``."""
    require("numba", "fast", "Compiled optical flow")
    llvm = _llvm()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = getattr(__import__(module, fromlist=[function]), function)
        whole = llvm.parse_assembly(compiled.inspect_llvm())
        entry = whole.get_function(compiled.native_name)
        # Functions that only Python would call are removed, and with them all uses of the interpreter.
        for other in whole.functions:
            if not other.is_declaration and other.name != entry.name:
                other.linkage = "internal"
        entry.name = "htnet_entry"
        machine = _machine(llvm)
        passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
        passes.getModulePassManager().run(whole, passes)
        needs = [f.name for f in whole.functions if f.is_declaration and not f.name.startswith("llvm.")]
        code = b"" if needs else bytes(machine.emit_object(whole))
    except Exception as error:
        raise RunError(_failed()) from error
    if needs:
        raise RunError(_failed())
    return code


def _failed() -> str:
    return (
        f"numba {_installed()} could not compile the loops of the optical flow here. Repair it with: pip install "
        "--force-reinstall 'htnet[fast]'. Without numba (pip uninstall numba), PyTorch and NumPy compute the flow."
    )


def _load(code: bytes, arguments: int) -> Callable[..., int]:
    llvm = _llvm()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(llvm))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * arguments)
    return kind(engine.get_function_address("htnet_entry"))
