"""Progress of measuring a recording, stored in a file, so that measuring can resume with the same result."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from htnet._version import __version__
from htnet.core.described import describe
from htnet.core.errors import HtnetError, InputError, cause, refuse_short_memory
from htnet.core.files import whole_file
from htnet.core.lazy import loading
from htnet.core.limits import parse_json
from htnet.core.paths import as_path
from htnet.core.warn import warn_user
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.video.open import Video
from htnet.recordings.faces import FaceFinder
from htnet.recordings.track import RecordingCurves
from htnet.recordings.tracks import Tracker

#: Minimum time between two writes, s. Writing takes at most one fiftieth of the time.
EVERY = 20.0
_SHARE = 50
# Version of the file format.
_VERSION = 1
# Number of bytes at the beginning, in the middle and at the end of a recording whose SHA-256 identifies it.
_PIECE = 1 << 20
# Names that a file may contain: classes of this package and of NumPy's arrays. Nothing else is imported, let alone run.
_OWN = "htnet.recordings."
_FOREIGN = {("collections", "deque"), ("htnet.core.types", "QualityWarning")}
_ARRAYS = {"ndarray", "dtype", "scalar", "_reconstruct", "_frombuffer"}
# Largest size of the first line, which contains the key, bytes.
_HEAD = 1 << 16
_DIGEST = hashlib.sha256().digest_size


class KeptProgress:
    """A file that stores the progress of `recording_curves`.

    It holds the measured rows and the state of the followed faces: about 10 MB, and 1 kB per face and frame. It is used
    only for the same recording (size, time of modification, and SHA-256 of beginning, middle and end) and with the same
    code, libraries, frame rate and finder (its settings and, if it is your own, its code). Otherwise it is ignored with
    a warning.

    Attributes:
        path: path of the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Store the path. Nothing is read or written yet.

        Args:
            path: the file, which is written while a recording is measured. The caller removes it with `remove`.
        """
        self.path = as_path(path, "path")
        self._key: dict[str, Any] = {}
        self._due = 0.0
        self._writes = True

    def begin(self, video: Video, finder: FaceFinder) -> Tracker | RecordingCurves | None:
        """Read the stored progress of a recording.

        Args:
            video: the recording.
            finder: finds faces; it is used for the faces that were being followed.

        Returns:
            The curves if the recording was measured completely, the tracker if it was interrupted, and None if nothing
            is stored.

        Warns:
            UserWarning: the file belongs to something else, or is damaged; the recording is measured from its start.
        """
        self._key = recording_key(video, finder)
        self._due = time.monotonic() + EVERY
        if not os.path.isfile(self.path):
            return None
        try:
            return self._read(finder)
        except InputError as error:
            warn_user(f"{error} The recording is measured from its beginning.")
            return None

    def note(self, tracker: Tracker, finder: FaceFinder) -> None:
        """Write the progress if enough time has passed since the last write."""
        now = time.monotonic()
        if now < self._due:
            return
        self._write(tracker, finder)
        done = time.monotonic()
        self._due = done + max(EVERY, _SHARE * (done - now))

    def end(self, curves: RecordingCurves, finder: FaceFinder) -> None:
        """Write the final curves."""
        self._write(curves, finder)

    def remove(self) -> None:
        """Remove the file, once it is no longer needed."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _write(self, state: Tracker | RecordingCurves, finder: FaceFinder) -> None:
        if not self._writes:
            return
        try:
            with whole_file(self.path, follow=False) as place, place.open("wb") as file:
                file.write(json.dumps({"version": _VERSION, "key": self._key}).encode() + b"\n")
                hashed = _Hashed(file)
                _Pickler(hashed, finder).dump(state)
                file.write(hashed.digest)
        except (HtnetError, OSError) as error:
            self._writes = False  # warn only once
            warn_user(f"The progress of measuring the recording cannot be stored ({cause(error)}).")

    def _read(self, finder: FaceFinder) -> Tracker | RecordingCurves:
        with self.path.open("rb") as file:
            try:
                head = parse_json(file.readline(_HEAD), str(self.path))
                version, key = head["version"], head["key"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise InputError(f"{self.path} is not the stored progress of a recording ({cause(error)}).") from error
            known = key if version == _VERSION and isinstance(key, dict) else {}
            if other := [name for name in self._key if known.get(name) != self._key[name]]:
                raise InputError(f"{self.path} is the progress of something else: {', '.join(other)} differ.")
            start = file.tell()
            if not _is_whole(file, start):
                raise InputError(f"{self.path} is damaged.")
            file.seek(start)
            try:
                state = _Unpickler(file, finder).load()
            except Exception as error:
                refuse_short_memory(error, self.path)
                raise InputError(f"{self.path} cannot be read ({cause(error)}).") from error
        if not isinstance(state, Tracker | RecordingCurves):
            raise InputError(f"{self.path} does not contain the progress of a recording.")
        return state


def recording_key(video: Video, finder: FaceFinder) -> dict[str, Any]:
    """Everything that the curves of a recording depend on.

    Args:
        video: the recording.
        finder: finds faces.

    Raises:
        InputError: the recording cannot be read.
    """
    files = video.paths or (Path(video.source),)
    part = (video.from_frame, video.to_frame, video.from_time, video.to_time)
    try:
        stats = [os.stat(path) for path in files]
        content = _content(files)
    except OSError as error:
        raise InputError(f"{error.filename}: {cause(error)}. Check the path.") from error
    return {
        "size": sum(stat.st_size for stat in stats),
        "modified": max(stat.st_mtime_ns for stat in stats),
        "content": content,
        "part": list(part),
        "fps": video.fps,
        "timed": video.timed,
        "reader": video.reader,
        "bit_depth": video.bit_depth,
        "finder": describe(finder),
        "code": _code(),
        "libraries": _libraries(video),
    }


def _content(files: Sequence[Path]) -> str:
    """SHA-256 of all file names, and of the beginning, middle and end of the first, the middle and the last file."""
    found = hashlib.sha256(json.dumps([path.name for path in files]).encode())
    for path in dict.fromkeys((files[0], files[len(files) // 2], files[-1])):
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            for at in (0, max(size // 2 - _PIECE // 2, 0), max(size - _PIECE, 0)):
                file.seek(at)
                found.update(file.read(_PIECE))
    return found.hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    """SHA-256 of the source code that measures."""
    found = hashlib.sha256(__version__.encode())
    package = Path(__file__).parents[1]
    for path in sorted([*(package / "recordings").rglob("*.py"), *(package / "preprocess").rglob("*.py")]):
        found.update(path.read_bytes())
    return found.hexdigest()


def _libraries(video: Video) -> dict[str, str]:
    found = {"numpy": np.__version__, "opencv": load_opencv().__version__, "machine": platform.machine()}
    if video.reader == "pyav":
        with loading():
            import av

        found["av"] = av.__version__
    return found


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._sum = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self._sum.update(content)
        return self._file.write(content)

    @property
    def digest(self) -> bytes:
        return self._sum.digest()


def _is_whole(file: IO[bytes], start: int) -> bool:
    """Whether a file ends with the SHA-256 of its content from ``start`` on."""
    left = file.seek(0, os.SEEK_END) - start - _DIGEST
    file.seek(start)
    found = hashlib.sha256()
    while left > 0:
        content = file.read(min(left, _PIECE))
        if not content:
            return False
        found.update(content)
        left -= len(content)
    return file.read() == found.digest()


class _Pickler(pickle.Pickler):
    """Writes everything except the finder, which may contain a network."""

    def __init__(self, file: Any, finder: FaceFinder) -> None:
        super().__init__(file, 5)
        self._finder = finder

    def persistent_id(self, thing: Any) -> str | None:
        """A name instead of the finder; None for everything else."""
        return "finder" if thing is self._finder else None


class _Unpickler(pickle.Unpickler):
    """Reads what `_Pickler` wrote. Names other than those of this package's plain data raise an error."""

    def __init__(self, file: Any, finder: FaceFinder) -> None:
        super().__init__(file)
        self._finder = finder

    def persistent_load(self, name: Any) -> FaceFinder:
        """The finder."""
        return self._finder

    def find_class(self, module: str, name: str) -> Any:
        """The class of this name, if it is allowed."""
        array = module.split(".")[0] == "numpy" and name in _ARRAYS
        if not (array or (module, name) in _FOREIGN or (module.startswith(_OWN) and name.isidentifier())):
            raise pickle.UnpicklingError(f"{module}.{name}")
        found = super().find_class(module, name)
        if module.startswith(_OWN) and not (isinstance(found, type) and found.__module__ == module):
            raise pickle.UnpicklingError(f"{module}.{name}")
        return found
