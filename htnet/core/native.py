"""Machine code of loops that numba compiles once; it is kept on disk and loaded without numba.

numba's own cache (``cache=True``) is not used. In numba 0.68.1 it does not read from a folder that it cannot write,
raises where no folder can be written or the disk is full, and can hand out the code of another processor where two
processes write at once; and importing numba and preparing its types takes a second or more in every process. llvmlite
alone, which numba is built on, loads the code in a fifth of that.

Code that another user could have put there is never run: see `_trusted`.
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

#: Versions of numba from which this was run, and up to which.
NUMBA = ("0.68", "0.69")
#: Where compiled loops have been run: system and processor.
TRIED = (("linux", "x86_64"),)
#: Why nothing is compiled where numba is told not to.
JIT_OFF = "NUMBA_DISABLE_JIT is set"
#: Seconds that a process waits for another one to compile the same.
_PATIENCE = 300.0
#: Length of the hash before the code.
_DIGEST = 32

_lock = threading.RLock()
#: What was loaded: the functions, and the engines that own their code.
_functions: dict[str, Any] = {}
_engines: list[Any] = []


def _forked() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    # A process forked while another thread compiles would wait for that thread forever.
    os.register_at_fork(before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(), after_in_child=_forked)


@cache
def _installed() -> str:
    """The version of numba that is installed, empty without one."""
    try:
        return version("numba") if find_spec("numba") is not None else ""
    except PackageNotFoundError:
        return ""


@cache
def _unfit(found: str) -> str:
    """Why a version of numba is not used; empty if it is."""
    if not found:
        return "numba is not installed"
    if not _release(NUMBA[0]) <= _release(found) < _release(NUMBA[1]):
        return f"numba {found} is installed; it was made for {NUMBA[0]} or newer, before {NUMBA[1]}"
    return ""


def numba_obstacle() -> str:
    """Why loops cannot be compiled here; empty if they can."""
    if why := _unfit(_installed()):
        return why
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return JIT_OFF
    return ""


def untried() -> str:
    """Why compiled loops are used here only if they are asked for; empty if they are used."""
    here = (sys.platform, platform.machine())
    return "" if here in TRIED else f"it has not been tried on {here[0]} with {here[1]}"


def native_loops() -> bool:
    """Whether what has a compiled and a plain form uses the compiled one: numba is there, and was tried here."""
    return not (numba_obstacle() or untried())


def native_function(module: str, function: str, parts: Sequence[str], arguments: int) -> Callable[..., int]:
    """Machine code of a function that numba compiles, loaded once in a process.

    The first process that asks compiles, which takes ten seconds or more; others that ask at the same time wait for it.
    The code is kept in the first of `folders` that can be written, and read from any of them. Folders and files that
    another user can write are left alone, see `_trusted`. Where no folder is left, every process compiles.

    Args:
        module: the module that holds the function; imported, and numba with it, only to compile.
        function: its name there, a ``numba.cfunc`` of pointers that returns an int64.
        parts: other modules that decide the code.
        arguments: number of its arguments.

    Returns:
        The function of addresses. It runs without the interpreter's lock.

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
    """Where code is looked for and kept, in this order.

    ``NUMBA_CACHE_DIR`` if it is set, the folder of htnet's own compiled Python files, and ``htnet`` in the user's cache
    folder (``XDG_CACHE_HOME``, ``~/.cache``; ``LOCALAPPDATA`` on Windows). A home that is not known is left out.
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
    """The binding of llvmlite, ready for this processor."""
    llvm = require("llvmlite.binding", "fast", "Compiled optical flow")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def _machine(llvm: Any) -> Any:
    """LLVM's description of this processor, as numba makes it (numba/core/codegen.py, `JITCPUCodegen`)."""
    target = llvm.Target.from_default_triple()
    model = "static" if target.name.startswith("x86") else "default"
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, reloc=model, codemodel="jitdefault", jit=True
    )


def _source(module: str) -> bytes:
    """A module's own file, also from an archive."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return b""
    read = getattr(spec.loader, "get_data", None)
    return bytes(read(spec.origin)) if read else b""


def _name(module: str, parts: Sequence[str]) -> str:
    """Name of the file of code: it differs with the sources, the versions and the processor."""
    llvm = _llvm()
    decides = hashlib.sha256()
    for part in (__name__, module, *parts):
        decides.update(_source(part))
    machine = (platform.machine(), sys.platform, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    for text in (version("numba"), version("llvmlite"), *machine):
        decides.update(text.encode() + b"\0")
    return f"{module.rpartition('.')[2]}-{decides.hexdigest()[:32]}.o"


def _owners() -> set[int]:
    """Users whose files this process runs: its own and root."""
    return {0, os.geteuid()}


def _only_ours(found: os.stat_result) -> bool:
    """Whether nobody but this user and root can write it."""
    return found.st_uid in _owners() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _trusted(folder: Path) -> bool:
    """Whether nobody but this user and root can put code into an existing folder.

    It must belong to one of them, and no group and no other user may write there. Nor may everybody be able to rename
    it: a folder above that all may write must be sticky, as /tmp is. An access list shows in the group's mode.
    Windows has no such modes; there only a folder that was given by ``NUMBA_CACHE_DIR`` can be open to others, and it
    is taken as it is.
    """
    if os.name != "posix":
        return os.path.isdir(folder)
    real = Path(os.path.realpath(folder))
    above = (place.stat().st_mode for place in real.parents)
    return _only_ours(real.stat()) and not any(mode & stat.S_IWOTH and not mode & stat.S_ISVTX for mode in above)


def _bytes(file: Path) -> bytes:
    """The content of a file that only this user and root can write, and a link only to one; empty otherwise."""
    real = Path(os.path.realpath(file))
    if not (_trusted(file.parent) and _trusted(real.parent) and os.path.isfile(real)):
        return b""
    with real.open("rb") as opened:
        # Of what was opened: the name could mean another file by now.
        safe = os.name != "posix" or _only_ours(os.fstat(opened.fileno()))
        return opened.read() if safe else b""


def _read(name: str) -> bytes | None:
    """The code in that file, None if there is none, it is damaged, or another user can write it."""
    for folder in folders():
        with suppress(OSError):
            content = _bytes(folder / name)
            if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
                return content[_DIGEST:]
    return None


def _writable() -> Path | None:
    """The first folder that can be written, and only by this user or root; made if needed."""
    for folder in folders():
        with suppress(OSError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o755, exist_ok=True)  # not for the group, whatever the umask
            if not _trusted(folder):
                continue
            trial = folder / f".{os.getpid()}-{threading.get_ident()}"
            trial.touch()
            trial.unlink()
            return folder
    return None


def _keep(file: Path, code: bytes) -> None:
    """Write code with its hash; not even for a moment may the group write there, whatever the umask."""
    with suppress(OSError, InputError):  # a full disk: the next process compiles again
        file.unlink(missing_ok=True)  # an old one could be a link, or open to others
        with whole_file(file, mode=0o644) as place:
            place.write_bytes(hashlib.sha256(code).digest() + code)


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of that name in the folder; without one where the disk has no locks, or after some minutes."""
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
        code = _read(name)  # another process may have made it meanwhile
        if code is None:
            code = _compile(module, function)
            _keep(folder / name, code)
    return code


def _compile(module: str, function: str) -> bytes:
    """Machine code of numba's function, under the name ``htnet_entry``."""
    require("numba", "fast", "Compiled optical flow")
    llvm = _llvm()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = getattr(__import__(module, fromlist=[function]), function)
        whole = llvm.parse_assembly(compiled.inspect_llvm())
        entry = whole.get_function(compiled.native_name)
        # What only Python would call goes, and with it all that asks for the interpreter.
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
        f"numba {_installed()} could not compile the loops of the flow here. Repair it with: pip install "
        "--force-reinstall 'htnet[fast]'. Without numba (pip uninstall numba) PyTorch and NumPy compute it."
    )


def _load(code: bytes, arguments: int) -> Callable[..., int]:
    llvm = _llvm()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(llvm))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * arguments)
    return kind(engine.get_function_address("htnet_entry"))
