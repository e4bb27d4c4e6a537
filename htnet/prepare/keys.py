"""What a prepared sample was made from, in one number that changes when any of it changes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from htnet import __version__
from htnet.data import Sample
from htnet.errors import VideoError
from htnet.prepare.spec import baked_fields
from htnet.preprocess import open_clip
from htnet.preprocess.clip_files import MOTION_FIELDS
from htnet.preprocess.video_readers import make_reader
from htnet.types import PreprocessSpec


def sha256(content: bytes) -> str:
    """Hash of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def source_key(
    sample: Sample, spec: PreprocessSpec, landmarker: Any, motion: bool = False, bit_depth: int | None = None
) -> str | None:
    """Hash of all that a sample's files depend on; None if a file that it is made from cannot be read.

    That is the content of both frames and of the sample's landmarks file or else the landmarker's settings,
    the sample's name (points are looked up by it), the spec and the version of htnet; with motion the content of the
    clip's files too. Contents, not times: a data set that was copied or moved is not prepared again.

    Args:
        sample: the sample.
        spec: how flow is made.
        landmarker: what `describe` says of that which finds the points of samples without landmarks file.
        motion: whether motion features are made too.
        bit_depth: bits of the frames' values, None where the files tell.
    """
    try:
        made_from = {
            "htnet": __version__,
            "spec": baked_fields(spec),
            "sample": sample.sample,
            "frames": [None if p is None else sha256(p.read_bytes()) for p in (sample.onset, sample.apex)],
            "points": describe(sample.landmarks) if sample.landmarks is not None else landmarker,
        }
        if bit_depth is not None:
            made_from["bit_depth"] = bit_depth
        if motion and sample.clip is not None:
            made_from["clip"] = _describe_clip(sample, sample.clip, spec, bit_depth)
    except (OSError, VideoError):
        return None
    return sha256(json.dumps(made_from, sort_keys=True).encode())


def _describe_clip(sample: Sample, clip: Path, spec: PreprocessSpec, bit_depth: int | None) -> Any:
    """What motion features are made from, besides the points."""
    part = open_clip(clip, sample.clip_first, sample.clip_last, bit_depth if clip.is_dir() else None)
    fields = spec.to_dict()
    return {
        "spec": {name: fields[name] for name in MOTION_FIELDS},
        "files": [sha256(file.read_bytes()) for file in part.files],
        "frames": [part.from_frame, part.to_frame],
        "reader": make_reader(part.reader).version() if part.reader else "",
    }


def describe(thing: Any) -> Any:
    """JSON-ready form of a landmarker: what its ``identity`` says, or its type and public settings.

    For files that settings name, their content counts.
    """
    if thing is None or isinstance(thing, (bool, int, float)):
        return thing
    if isinstance(thing, (str, os.PathLike)):
        return {"sha256": sha256(Path(thing).read_bytes())} if os.path.isfile(thing) else str(thing)
    if isinstance(thing, (list, tuple)):
        return [describe(item) for item in thing]
    if isinstance(thing, Mapping):
        return [[describe(name), describe(value)] for name, value in thing.items()]
    if isinstance(thing, np.ndarray):
        return thing.tolist()
    if callable(identity := getattr(thing, "identity", None)):
        return describe(identity())
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    settings = {name: describe(value) for name, value in getattr(thing, "__dict__", {}).items() if name[:1] != "_"}
    return [f"{kind.__module__}.{kind.__qualname__}", settings]
