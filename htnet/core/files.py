"""File output: existing files are overwritten only on request, and files are written atomically.

All overwrite checks and file writes go through this module. `FreshFile` caches files that are read repeatedly.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Generic, TypeVar

from htnet.core.errors import NO_FILES, TOO_MANY_FILES, InputError, OverwriteError, cause
from htnet.core.fields import flag
from htnet.core.limits import sha256_of
from htnet.core.optional import require
from htnet.core.paths import as_path, real_path

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
StrPath = str | PathLike[str]
_FULL = "Free some space there, then run the same again; the files finished before are complete."
#: Cures for errors on writing, by error number, where another folder does not help.
_CURES = {
    errno.ENOSPC: _FULL,
    getattr(errno, "EDQUOT", errno.ENOSPC): _FULL,
    **dict.fromkeys(NO_FILES, TOO_MANY_FILES),
}
#: File name extensions of images, which a reader of a folder of frames or faces would read.
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})


def check_outputs(
    *files: StrPath | None,
    pictures: Iterable[StrPath | None] = (),
    overwrite: bool = False,
    inputs: Iterable[StrPath | None] = (),
) -> None:
    """Refuse to overwrite existing files. Call this before any work is done.

    Args:
        files: output files; None is skipped.
        pictures: output files that matplotlib draws; None is skipped.
        overwrite: whether the user asked to overwrite existing files.
        inputs: input files. They are never overwritten, even with ``overwrite``.

    Raises:
        OverwriteError: a file exists already and ``overwrite`` is False; the message names it.
        InputError: an output is a folder, is also an input, is given twice, or is a picture in a folder whose
            pictures are read; or the ending of one of ``pictures`` is not that of a picture format.
        MissingExtraError: a picture is wanted, but matplotlib is not installed.
    """
    flag().check("overwrite", overwrite)
    drawn = [as_path(path, "The output") for path in pictures if path is not None]
    files = (*files, *drawn)
    read = {real_path(path): path for path in inputs if path is not None}
    folders = {place: path for place, path in read.items() if os.path.isdir(place)}
    taken: dict[str, StrPath] = {}
    for file in files:
        if file is None or _is_stream(file):
            continue
        place = real_path(file, "The output")
        if place in read:
            raise InputError(f"{file} is read by the same call and would be overwritten. Choose another name.")
        inside = next((path for folder, path in folders.items() if place.startswith(folder + os.sep)), None)
        if inside is not None and Path(place).suffix.lower() in IMAGES:
            raise InputError(
                f"{file} lies in {inside}, whose images are read: the next call would read it as one of them. "
                "Choose another folder."
            )
        _refuse_impossible(file)
        if place in taken:
            raise InputError(f"{taken[place]} and {file} are the same file, given for two outputs. Choose two names.")
        taken[place] = file
        if os.path.isdir(file):
            raise InputError(f"{file} is a folder. Give the name of a file to write.")
        if not overwrite and os.path.exists(file):
            raise OverwriteError(_exists(str(file)))
    for path in drawn:
        _refuse_no_picture(path)


def check_folder(folder: StrPath, files: Iterable[str], *, overwrite: bool = False) -> None:
    """Refuse to write files into a folder that already contains one of them; its other files are ignored.

    Args:
        folder: output folder; it need not exist.
        files: names of the files to write.
        overwrite: whether the user asked to overwrite existing files.

    Raises:
        OverwriteError: one of the files exists already and ``overwrite`` is False; the message names it.
        InputError: the folder is a file, or lies below one.
    """
    flag().check("overwrite", overwrite)
    folder = as_path(folder, "folder")
    _refuse_impossible(folder)
    if os.path.isfile(folder):
        raise InputError(f"{folder} is a file. Give a folder to write into.")
    above = next((path for path in folder.parents if os.path.exists(path)), None)
    if above is not None and not os.path.isdir(above):
        raise InputError(f"{folder} cannot be created, because {above} is a file. Give a folder to write into.")
    if overwrite:
        return
    found = [name for name in files if os.path.lexists(folder / name)]
    if found:
        more = f" (and {', '.join(found[1:])} in the same folder)" if len(found) > 1 else ""
        raise OverwriteError(_exists(str(folder / found[0]), more))


def refuse_same_folder(out: StrPath | None, *read: StrPath | None, below: bool = False) -> None:
    """Refuse to write many files into a folder that is read, even if the user asked to overwrite files.

    Args:
        out: output folder; None is ignored.
        read: input folders or files. A file named manifest.csv stands for its folder, whose other files are read too.
        below: also refuse subfolders of the input folders, for inputs whose subfolders are read too.

    Raises:
        InputError: ``out`` is one of the input folders, or inside one if ``below`` is given.
    """
    if out is None:
        return
    place = real_path(out, "out")
    for path in read:
        if path is None or not os.path.exists(path):
            continue
        if not os.path.isdir(path):
            path, name = os.path.split(path)
            if name != "manifest.csv":
                continue
        folder = real_path(path)
        if place == folder or (below and place.startswith(folder + os.sep)):
            where = "the folder" if place == folder else "inside the folder"
            raise InputError(
                f"{out} is {where} {path or '.'}, which is read and would be overwritten or mixed up. Choose another "
                "folder."
            )


@contextmanager
def whole_file(path: StrPath, *, durable: bool = False, mode: int = 0o666, follow: bool = True) -> Iterator[Path]:
    """Context manager that writes a file atomically: a temporary file is renamed when the block ends.

    If the block fails, the temporary file is removed and an existing file is unchanged. Readers see either the old
    file or the new one, never a partial file.

    Args:
        path: the file; missing folders are created. Streams such as /dev/stdout are written directly.
        durable: wait until the file is on the disk (fsync).
        mode: permissions of a new file, before the umask.
        follow: follow a symbolic link and replace its target, for files that the user named. If False, replace the
            link itself, for files that htnet names in a folder that may come from somebody else.

    Yields:
        Path of the temporary file, in the same folder and ending in .tmp.

    Raises:
        InputError: the file cannot be written; the message states the reason.
    """
    path = as_path(path)
    linked = os.path.islink(path)
    real = Path(os.path.realpath(path) if linked and follow else path)
    if _is_stream(path) or (os.path.exists(real) and not os.path.isfile(real) and (follow or not linked)):
        try:
            yield path
        except BrokenPipeError:  # the reader has closed the pipe
            raise
        except OSError as error:
            if error.filename is None or str(error.filename) == str(path):
                raise unwritable(path, error) from error
            raise
        return
    partial = real.with_name(f".{uuid.uuid4().hex[:12]}.tmp")
    held: int | None = None
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        held = _create(partial, mode)
        if os.path.exists(real) and (follow or not linked):
            partial.chmod(stat.S_IMODE(real.stat().st_mode))
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        if held is not None:
            os.close(held)
        raise unwritable(path, error) from error
    replaced = False
    try:
        yield partial
        if durable:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(partial, real)
        replaced = True
    except OSError as error:
        if error.filename is None or str(error.filename) == str(partial):
            raise unwritable(path, error) from error
        raise
    finally:
        if not replaced:
            partial.unlink(missing_ok=True)
        if held is not None:
            os.close(held)


def remove_partial(folder: Path, *, below: bool = True) -> None:
    """Remove temporary files that `whole_file` left in a folder because its process was killed.

    Files that another process is still writing are locked, and are kept. On file systems without locks all files are
    kept; on Windows the caller must ensure that no other process writes into the folder.

    Args:
        folder: the folder; it need not exist.
        below: also remove those in subfolders.
    """
    if not os.path.isdir(folder):
        return
    pattern = f".{'[0-9a-f]' * 12}.tmp"
    for partial in folder.rglob(pattern) if below else folder.glob(pattern):
        with suppress(OSError):
            if fcntl is None:
                partial.unlink()
                continue
            held = os.open(partial, os.O_RDWR)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial.unlink()
            finally:
                os.close(held)


def _refuse_no_picture(path: Path) -> None:
    """Refuse an ending that matplotlib does not know; it would append one, and write to a path that was not checked."""
    kinds = require("matplotlib.backend_bases", "plots", "Drawing").FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in kinds:
        raise InputError(
            f"The ending of {path} is not that of a picture format. Give a name that ends in .png or .pdf."
        )


def _create(partial: Path, mode: int) -> int | None:
    """Create a file and lock it; return the file descriptor that holds the lock until it is closed, None on Windows."""
    while True:
        held = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        if fcntl is None:
            os.close(held)  # Windows cannot rename an open file
            return None
        with suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX)
        if os.fstat(held).st_nlink:
            return held
        os.close(held)  # removed by `remove_partial` before it was locked


def refuse_linked_folders(root: StrPath, names: Iterable[str]) -> None:
    """Refuse subfolders of an output folder that are symbolic links to folders outside it.

    Args:
        root: the output folder.
        names: names of its subfolders; they need not exist.

    Raises:
        InputError: one of them is such a link.
    """
    for name in names:
        place = os.path.join(root, name)
        if os.path.islink(place) and not real_path(place).startswith(real_path(root) + os.sep):
            raise InputError(
                f"{place} is a link to {os.path.realpath(place)}, outside the output folder, and would be written to. "
                "Remove the link, or choose another folder."
            )


def write_text(path: StrPath, text: str, *, durable: bool = False, follow: bool = True) -> None:
    """Write a UTF-8 text file atomically; line ends are not converted.

    Raises:
        InputError: the file cannot be written.
    """
    # Names of files on Linux may have bytes that are no UTF-8; what Python makes of them is escaped, also in JSON.
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable=durable, follow=follow)


def write_bytes(path: StrPath, content: bytes, *, durable: bool = False, follow: bool = True) -> None:
    """Write a file atomically.

    Raises:
        InputError: the file cannot be written.
    """
    with whole_file(path, durable=durable, follow=follow) as place:
        place.write_bytes(content)


class FreshFile(Generic[T]):
    """Cached content of a file; it is read again if the file has changed."""

    #: Seconds within which a second write may not change the file's times, on file systems with coarse time stamps.
    RECENT = 2.5

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self.path = path
        self._read = read
        self._known: tuple[tuple[object, ...] | None, T] | None = None

    def get(self) -> T:
        """The content; errors of the read function are raised."""
        state, known = self._state(), self._known
        if known is None or state is None or known[0] != state:
            known = self._known = (state, self._read(self.path))
        return known[1]

    def _state(self) -> tuple[object, ...] | None:
        """A value that changes when the file's content changes; None if the file cannot be read."""
        try:
            found = os.stat(self.path)
            recent = time.time() - found.st_mtime < self.RECENT
            digest = sha256_of(self.path) if recent else None
        except (OSError, ValueError):
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, digest


def unwritable(path: StrPath, error: OSError) -> InputError:
    """The error for a file or folder that cannot be written."""
    cure = _CURES.get(error.errno or 0, "Choose another place, or check the permissions.")
    return InputError(f"{path} cannot be written ({cause(error)}). {cure}")


def _exists(what: str, more: str = "") -> str:
    return (
        f"{what} already exists{more} and would be overwritten. Choose another name, or ask for it: --overwrite "
        "(in Python overwrite=True)."
    )


def _refuse_impossible(path: StrPath) -> None:
    """Refuse a name that no file can have here, such as one that is too long."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise unwritable(path, error) from error


def _is_stream(file: StrPath) -> bool:
    """Whether the path is a stream such as /dev/stdout, where nothing can be overwritten."""
    return str(file).startswith("/dev/")
