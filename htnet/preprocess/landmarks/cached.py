"""Disk cache of points, so that a landmarker runs once per frame."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from htnet.core.errors import (
    InputError,
    LandmarkError,
    LowScoreError,
    MultipleFacesError,
    NoFaceError,
    PoseError,
    cause,
)
from htnet.core.files import write_text
from htnet.core.limits import read_json
from htnet.core.paths import as_path
from htnet.core.types import Frame, Landmarks, Landmarks68, QualityWarning
from htnet.preprocess.landmarks.base import Landmarker, Landmarker68, Points, find_many, found_by

#: Part of every key: when the format of the entries changes, old entries are no longer used.
CACHE_FORMAT = 2
#: Errors that depend on the pixels and the settings alone, and are cached like points.
KEPT_ERRORS: dict[str, type[LandmarkError]] = {
    error.__name__: error for error in (NoFaceError, LowScoreError, MultipleFacesError, PoseError)
}


class CachedLandmarker:
    """Landmarker that calls another one only for frames that are not in its cache.

    An entry's key is the SHA-256 of the frame's pixels and shape and of the landmarker's identity: its kind,
    settings, version and model file. An entry therefore does not depend on the file name, and is never
    used for another landmarker or other settings. Nothing is tracked from frame to frame.

    Each entry is one small JSON file, written atomically: several processes may
    share the folder. An entry that is damaged (truncated, edited, not the one requested) is recomputed.
    Frames without an acceptable face are cached too.
    """

    def __init__(
        self, inner: Landmarker, folder: str | os.PathLike[str], *, identity: Mapping[str, Any] | None = None
    ) -> None:
        """Store the settings; the folder is created with the first entry.

        Args:
            inner: the landmarker; it must depend on the pixels alone, not on the sample's name.
            folder: folder of the entries; landmarkers may share it.
            identity: everything else the points depend on, as JSON values: settings, versions, the model file's hash.
                Required for landmarkers without a method ``identity`` (ours have one); for others, added to theirs.

        Raises:
            InputError: there is no identity, or it is not JSON.
        """
        own = getattr(inner, "identity", None)
        if identity is None and own is None:
            raise InputError(
                f"{type(inner).__name__} does not state what its points depend on, so they cannot be cached safely; "
                "give identity={'landmarker': ..., settings, versions and the model file's hash}. Points from a "
                "file or the template do not need a cache."
            )
        self.inner = inner
        self.folder = as_path(folder, "folder")
        self._given = _as_json(identity)
        self._own: Callable[[], Mapping[str, Any]] | None = own

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """Five points of the face in ``frame``; raises what ``inner`` raises.

        Raises:
            LandmarkError: there is no acceptable face, now or when the entry was cached.
            InputError: the folder cannot be read or written.
        """
        return self._find(frame, Landmarks, lambda: found_by(self.inner, frame, sample, Landmarks))

    def points68(self, frame: Frame, sample: str = "") -> Landmarks68:
        """68 points of the face in ``frame``; raises what ``inner`` raises.

        Raises:
            LandmarkError: ``inner`` does not find 68 points, or no acceptable face.
            InputError: the folder cannot be read or written.
        """
        inner = self.inner
        if not isinstance(inner, Landmarker68):
            raise LandmarkError(
                f"{type(inner).__name__} finds five points, not 68; use 'face-alignment', or estimate_68 of the five."
            )
        return self._find(frame, Landmarks68, lambda: found_by(inner.points68, frame, sample, Landmarks68))

    def many(self, frames: Iterable[Frame], *, missing: str = "raise") -> Iterator[Landmarks | None]:
        """Five points of every frame of a sequence; see `find_many`."""
        return find_many(self, frames, missing=missing)

    def many68(self, frames: Iterable[Frame], *, missing: str = "raise") -> Iterator[Landmarks68 | None]:
        """68 points of every frame of a sequence; see `find_many`."""
        return find_many(self.points68, frames, missing=missing)

    def _find(self, frame: Frame, kind: type[Points], find: Callable[[], Points]) -> Points:
        key = self._key(frame, kind)
        path = self.folder / key[:2] / f"{key}.json"
        entry = _read(path, key)
        if entry is not None:
            found = _from_entry(entry, kind, frame)
            if isinstance(found, LandmarkError):
                raise found
            return found
        try:
            points = find()
        except LandmarkError as error:
            if type(error).__name__ in KEPT_ERRORS:
                _write(path, key, {"error": type(error).__name__, "message": str(error), "frame": frame.source})
            raise
        _write(path, key, _to_entry(points))
        return points

    def _key(self, frame: Frame, kind: type[Landmarks] | type[Landmarks68]) -> str:
        identity = [_as_json(self._own()) if self._own is not None else None, self._given]
        pixels = np.ascontiguousarray(frame.pixels)
        head = [CACHE_FORMAT, kind.__name__, identity, list(pixels.shape), str(pixels.dtype)]
        digest = hashlib.sha256(json.dumps(head).encode() + b"\0")
        digest.update(pixels.data)
        return digest.hexdigest()


def _as_json(identity: Mapping[str, Any] | None) -> str:
    try:
        return json.dumps(identity, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"identity {identity!r} is not JSON ({cause(error)}); give text, numbers, lists.") from error


def _to_entry(points: Landmarks | Landmarks68) -> dict[str, Any]:
    entry: dict[str, Any] = {"points": points.points.tolist(), "source": points.source, "score": points.score}
    entry["warnings"] = [[w.code, w.message] for w in points.warnings]
    entry |= {"faces": points.faces, "verified": points.verified}
    return {**entry, "estimated": points.estimated} if isinstance(points, Landmarks68) else entry


def _from_entry(entry: Mapping[str, Any], kind: type[Points], frame: Frame) -> Points | LandmarkError:
    if "error" in entry:
        message = entry["message"]
        if entry["frame"] != frame.source:
            message = f"{frame.source} has the same pixels as {entry['frame']}, which gave: {message}"
        return KEPT_ERRORS[entry["error"]](message)
    warnings = tuple(QualityWarning(code, message) for code, message in entry["warnings"])
    return kind(**{**entry, "points": np.array(entry["points"], dtype=np.float32), "warnings": warnings})


def _digest(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def _read(path: Path, key: str) -> dict[str, Any] | None:
    """The entry, or None if there is none or it is damaged."""
    try:
        content = read_json(path)
        entry = content["entry"]
        whole = content["key"] == key and content["sha256"] == _digest(entry)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None
    except OSError as error:
        raise InputError(
            f"The landmark cache entry {path} cannot be read ({cause(error)}); check its permissions."
        ) from error
    return entry if whole else None


def _write(path: Path, key: str, entry: Mapping[str, Any]) -> None:
    content = json.dumps({"key": key, "sha256": _digest(entry), "entry": entry})
    try:
        write_text(path, content)
    except InputError as error:
        raise InputError(
            f"The landmark cache {path.parent.parent} cannot be written ({cause(error.__cause__ or error)}); give a "
            "folder with room that you may write to."
        ) from error
