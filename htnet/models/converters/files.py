"""Reader of checkpoint files that runs no code named in a pickle."""

from __future__ import annotations

import os
import pickletools
import threading
import warnings
import zipfile
import zlib
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htnet.core.errors import CheckpointError, LimitError, cause, refuse_short_memory
from htnet.core.hints import CHECKPOINTS, hint
from htnet.core.lazy import loading
from htnet.core.limits import check_safetensors

#: First bytes of files that are often mistaken for checkpoints, and the description of each.
_OTHER_FILES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes; htnet converts PyTorch checkpoints"),
    (b"version https://git-lfs", "a Git LFS pointer, not the weights themselves. Get them with: git lfs pull"),
    (b"\x1f\x8b", "packed with gzip. Unpack it first"),
    (b"\xfd7zXZ", "packed with xz. Unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive. Unpack it first"),
    (b"Rar!", "a RAR archive. Unpack it first"),
    (b"\x93NUMPY", "a NumPy array; htnet converts PyTorch checkpoints"),
    (b"<", "a web page, not a checkpoint: the download did not return the file. Download it again"),
)
_GIVE = "Give a .pth, .pt, .ckpt or .safetensors file."
#: Callables that a weights file never needs; a file that names one is refused.
_DANGEROUS_MODULES = frozenset({"os", "posix", "nt", "sys", "subprocess", "shutil", "socket", "importlib", "runpy"})
_DANGEROUS_NAMES = frozenset(f"builtins.{name}" for name in ("eval", "exec", "compile", "open", "__import__"))
#: Type codes of the NumPy arrays and scalars that are read; types that contain Python objects are not.
_NUMPY_CODES = "?bBhHiIlLqQefdFDSUMm"
#: Containers of the standard library, which PyTorch's reader can fill only as their plain base type.
_CONTAINERS: dict[str, type] = {"collections.defaultdict": dict, "collections.Counter": dict, "collections.deque": list}
#: Mark in the first bytes of files of torch.save before PyTorch 1.6.
_OLD_MARK = b"l\xfc\x9cF\xf9 j\xa8P\x19"
#: The same mark in pickle protocol 0, which is text.
_TEXT_MARK = b"L119547037146038801333356L\n"
_PLAIN_CURE = "In the environment it was made in, load it with pickle.load and save its state dict with torch.save."
#: Names that are never the reason why a file cannot be read.
_HARMLESS = ("torch.", "collections.", "numpy.", "_codecs.", "builtins.list", "builtins.dict", "builtins.int")
#: PyTorch has one list of allowed names, shared by all threads.
_LOCK = threading.Lock()


class Unread:
    """Placeholder for an object of a class that is not loaded; nothing of that class is imported or run.

    Attributes:
        kind: the class named in the file, ``module.Class``.
        state: content of the object according to the file.
    """

    kind = "object"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def unread_kind(value: object) -> str | None:
    """Return ``module.Class`` of an object that was not loaded, None for everything else."""
    if isinstance(value, Unread):
        return value.kind
    return getattr(value, _MARK, None) if isinstance(value, OrderedDict) else None


def is_pickled_module(value: object) -> bool:
    """Whether an object that was not loaded is a whole ``torch.nn.Module``."""
    state = value.state if isinstance(value, Unread) else getattr(value, "__dict__", None)
    return unread_kind(value) is not None and isinstance(state, Mapping) and {"_modules", "_parameters"} <= set(state)


def read_checkpoint(path: Path) -> Any:
    """Read a checkpoint file: tensors, containers and plain values.

    The file is a ``.safetensors`` file or a file of ``torch.save``, which is read by PyTorch with
    ``weights_only=True``. Objects of other classes (`argparse.Namespace`, a path, a custom configuration) are returned
    as `Unread`: their classes are neither imported nor called.

    Raises:
        CheckpointError: the file is missing, truncated, damaged or not a checkpoint, names a callable that could do
            harm, or contains objects that cannot be read without running their code.
    """
    head = _head(path)
    for sign, what in _OTHER_FILES:
        if head.lstrip().startswith(sign):
            raise CheckpointError(f"{path} is {what}.")
    if _is_safetensors(head):
        return _read_safetensors(path)
    names = _names_in(path, head)
    _refuse_dangerous(path, names)
    # Two attempts: classes that pickle as dictionaries are rebuilt differently from all others.
    for stand_in in (_as_object, _as_mapping):
        with _LOCK, _allowed(names, stand_in), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # PyTorch raises many types for damaged and for foreign files
                refuse_short_memory(error, path)
                problem = error
    unknown = sorted(name for name in names if not name.startswith(_HARMLESS))
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise CheckpointError(
            f"{path} contains objects ({shown}) that cannot be read without running their code. {resave(path)}"
        ) from problem
    if any(name.endswith("multiarray._reconstruct") for name in names):
        raise CheckpointError(
            f"{path} contains NumPy arrays of Python objects, which are not read. {resave(path)}"
        ) from problem
    raise CheckpointError(
        f"{path} cannot be read as a checkpoint: it is truncated, damaged, or not a PyTorch file. Copy it again."
    ) from problem


def resave(path: Path, what: str = 'content["state_dict"]') -> str:
    """Text with two lines of Python that save only the weights of a checkpoint.

    Args:
        path: the file.
        what: Python expression for its weights, in terms of ``content``.
    """
    named = "" if what != 'content["state_dict"]' else "; if they have another name, list(content) shows it"
    return (
        "Save its weights alone, in the environment it was trained in (the first line runs code that the file names, "
        f"so do this only with a file that you trust{named}):\n"
        f"  import torch; content = torch.load({path.name!r}, map_location='cpu', weights_only=False)\n"
        f"  torch.save({what}, 'weights.pth')"
    )


def _head(path: Path) -> bytes:
    """The first bytes of a file."""
    if os.path.isdir(path):
        inside = sorted(
            p.name for p in path.iterdir() if p.suffix.lower() in (".pth", ".pt", ".ckpt", ".bin", ".safetensors")
        )
        raise CheckpointError(
            f"{path} is a folder. Give a checkpoint file"
            + (f" in it: {', '.join(inside[:5])}." if inside else f"; this folder has none.{hint(path)}")
        )
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError:
        raise CheckpointError(f"No checkpoint at {path}. Give the path of a .pth file.{hint(path)}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({cause(error)}). Check its permissions.") from error
    if not head:
        raise CheckpointError(f"{path} is empty (0 bytes). Copy or download it again.")
    return head


def _is_safetensors(head: bytes) -> bool:
    """Whether a file begins like a safetensors file: the length of a JSON header, and the header."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000


def _read_safetensors(path: Path) -> dict[str, Any]:
    """Read the tensors, and the metadata in the file's header."""
    with loading():
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import load_file

    try:
        check_safetensors(path)
        with safe_open(str(path), "pt") as file:
            said = file.metadata() or {}
        return {**said, **load_file(str(path))}
    except LimitError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        refuse_short_memory(error, path)
        raise CheckpointError(
            f"{path} begins like a safetensors file, but is truncated or damaged. Copy or download it again."
        ) from error


def _names_in(path: Path, head: bytes) -> set[str]:
    """All classes and functions named by the pickle in a file, as ``module.name``.

    Raises:
        CheckpointError: it is not such a file, or it is incomplete.
    """
    if head.startswith(b"PK"):
        return _names_in_archive(path)
    if head.startswith(_TEXT_MARK):
        _refuse_protocol(path, 0)
    if not head.startswith(b"\x80") and _is_old_pickle(path, head):
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: it is a plain pickle of protocol 0 or 1, which can be read only "
            f"by running the code it names. {_PLAIN_CURE}"
        )
    if not head.startswith(b"\x80"):
        other = "" if path.suffix.lower() in CHECKPOINTS else hint(path)  # for these, the hint is this same command
        raise CheckpointError(f"{path} cannot be read as a checkpoint: torch.save did not write it. {_GIVE}{other}")
    if _OLD_MARK not in head:
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: it is a plain pickle, which can be read only by running the code "
            f"it names. {_PLAIN_CURE}"
        )
    found: set[str] = set()
    protocol = 0
    try:
        with path.open("rb") as file:
            for _ in range(4):  # the magic number, a version, system information, and the content
                protocol, names = _scan(file)
                found |= names
    except Exception as error:  # pickletools raises many types for a file that is not a pickle
        raise CheckpointError(f"{path} is truncated or damaged. Copy or download it again.") from error
    _refuse_protocol(path, protocol)
    return found


def _is_old_pickle(path: Path, head: bytes) -> bool:
    """Whether a file is a pickle of protocol 0 or 1, which have no signature."""
    if not head.startswith((b"(", b"}", b"]", b"c")):
        return False
    try:
        with path.open("rb") as file:
            return len([code for code, _, _ in pickletools.genops(file)]) > 2
    except Exception:  # pickletools raises many types for a file that is not a pickle
        return False


def _names_in_archive(path: Path) -> set[str]:
    broken = f"{path} is truncated or damaged: it begins like a file of torch.save, but is incomplete. Copy it again."
    if not zipfile.is_zipfile(path):
        raise CheckpointError(broken)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            if any("/code/" in name for name in members) and any(name.endswith("constants.pkl") for name in members):
                raise CheckpointError(
                    f"{path} is a TorchScript program, not a state dict. Save its weights alone:\n"
                    f"  import torch; model = torch.jit.load({path.name!r}, map_location='cpu')\n"
                    "  torch.save(model.state_dict(), 'weights.pth')"
                )
            pickle = next((name for name in members if name.endswith("data.pkl")), None)
            if pickle is None:
                if any(name.endswith(".npy") for name in members):
                    raise CheckpointError(
                        f"{path} is an archive of NumPy arrays (.npz), not a file of torch.save. Write it as one:\n"
                        f"  import numpy, torch; arrays = dict(numpy.load({path.name!r}))\n"
                        "  torch.save({k: torch.from_numpy(v) for k, v in arrays.items() if v.dtype.kind in 'fiu'}, "
                        "'weights.pth')"
                    )
                raise CheckpointError(
                    f"{path} is an archive of other files, not a file of torch.save. Unpack it. {_GIVE}"
                )
            _refuse_damaged(path, archive)
            with archive.open(pickle) as file:
                protocol, names = _scan(file)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile and pickletools raise many types for damaged files
        raise CheckpointError(broken) from error
    _refuse_protocol(path, protocol)
    return names


def _refuse_protocol(path: Path, protocol: int) -> None:
    if protocol != 2:
        raise CheckpointError(
            f"{path} was saved with pickle protocol {protocol}, which PyTorch reads only by running code. "
            + resave(path)
        )


def _refuse_damaged(path: Path, archive: zipfile.ZipFile) -> None:
    """Compare checksums, which PyTorch's own reader does not do.

    Raises:
        CheckpointError: the checksum of a part of the file is wrong.
    """
    wrong, parts = [], [info for info in archive.infolist() if info.file_size]
    for info in parts:
        try:
            with archive.open(info) as file:
                while file.read(1 << 20):
                    pass
        except (zipfile.BadZipFile, zlib.error, EOFError):
            wrong.append(info.filename)
    # Files saved with torch.serialization.set_crc32_options(False) have no valid checksum at all.
    if wrong and len(wrong) < len(parts):
        raise CheckpointError(
            f"{path} is damaged: the checksum of {wrong[0]} is wrong ({len(wrong)} of {len(parts)} parts). Copy or "
            "download it again."
        )


def _scan(file: Any) -> tuple[int, set[str]]:
    """Protocol and named globals of one pickle, which is only parsed: nothing is built or called."""
    protocol, names = 0, set()
    strings: list[str] = []
    for code, argument, _ in pickletools.genops(file):
        if code.name == "PROTO":
            protocol = int(str(argument))
        elif code.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
            names.add(f"{module}.{name}")
        elif code.name == "STACK_GLOBAL":
            names.add(".".join(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    return protocol, names


def _refuse_dangerous(path: Path, names: set[str]) -> None:
    for name in sorted(names):
        if name.partition(".")[0] in _DANGEROUS_MODULES or name in _DANGEROUS_NAMES:
            raise CheckpointError(
                f"{path} names {name}, which a weights file does not need: pickle would run it. It was "
                "not loaded. Do not trust this file; get the weights from their authors again."
            )


_MARK = "_htnet_unread"


def _as_object(name: str) -> Any:
    if name in _CONTAINERS:
        return _as_container(name, _CONTAINERS[name])
    module, _, own = name.rpartition(".")
    return type(own, (Unread,), {"__module__": module, "kind": name})


def _as_mapping(name: str) -> Any:
    """Stand-in for a class that pickles as a dictionary: an OrderedDict, which PyTorch's reader can fill."""
    if name in _CONTAINERS:
        return _as_container(name, _CONTAINERS[name])
    module, _, own = name.rpartition(".")

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        made: OrderedDict[Any, Any] = OrderedDict()
        setattr(made, _MARK, name)
        return made

    return type(own, (), {"__module__": module, "__new__": new})


def _as_container(name: str, kind: type) -> Any:
    """Stand-in for a container of the standard library: a plain container of the kind, with the same content."""
    module, _, own = name.rpartition(".")
    return type(own, (), {"__module__": module, "__new__": lambda cls, *args, **kwargs: kind()})


@contextmanager
def _allowed(names: set[str], stand_in: Any) -> Iterator[None]:
    """Allow ``names`` in PyTorch's reader: NumPy arrays and scalars as they are, all others as stand-ins."""
    known, types = _numpy_names(), {type(np.dtype(code)) for code in _NUMPY_CODES}
    others = names - set(known) - {f"{kind.__module__}.{kind.__qualname__}" for kind in types}
    before = list(torch.serialization.get_safe_globals())  # a copy: PyTorch 2.5 returns its own list
    torch.serialization.add_safe_globals([*map(stand_in, sorted(others)), *known.values(), *types])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _numpy_names() -> dict[str, Any]:
    """Functions that rebuild arrays and scalars, under their names in NumPy 1 and 2."""
    # np.array(1).__reduce__() gives the function that rebuilds an array, in any version.
    functions = {"_reconstruct": np.array(1).__reduce__()[0], "scalar": np.float64(1).__reduce__()[0]}
    found: dict[str, Any] = {"numpy.ndarray": np.ndarray, "numpy.dtype": np.dtype}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        for name, function in functions.items():
            found[f"{module}.{name}"] = _under(module, name, function)
    return found


def _under(module: str, name: str, function: Any) -> Any:
    def call(*args: Any) -> Any:
        return function(*args)

    call.__module__, call.__name__, call.__qualname__ = module, name, name
    return call
