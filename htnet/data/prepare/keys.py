"""Keys of prepared samples: a record of each sample's inputs, part by part, so that changes can be reported."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from htnet._version import __version__
from htnet.core.described import describe
from htnet.core.errors import VideoError
from htnet.core.limits import sha256_of
from htnet.core.native import native_loops
from htnet.core.types import PreprocessSpec
from htnet.data import Sample
from htnet.preprocess import open_clip
from htnet.preprocess.flow.tvl1_routing import choose_tvl1
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.video.clip_files import motion_settings
from htnet.preprocess.video.readers import make_reader


def sha256(content: bytes) -> str:
    """SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


Parts = dict[str, Any]
#: Libraries whose versions affect the bytes of prepared files, with their names for users. OpenCV decodes, warps and
#: resizes (4.10 and 4.13 give equal results, 5.0 differs), numba or PyTorch computes TV-L1 flow, numba or NumPy
#: registers heads, and PyAV, if installed, decodes video. The version of NumPy does not matter: 1.26 and 2.4 gave the
#: same bytes (measured with every flow method).
TITLES = {"htnet": "htnet", "opencv": "OpenCV", "torch": "PyTorch", "numba": "numba", "av": "PyAV"}
#: Library that computes TV-L1 flow on the CPU, by backend.
_TVL1 = {"numba": "numba"}
#: Descriptions of changes, by part of the key; for libraries, both versions are stated instead.
_CHANGED = {
    "spec": "made with other settings",
    "sample": "the sample has another name",
    "onset": "frames changed",
    "apex": "frames changed",
    "image": "the image changed",
    "points": "landmarks changed, or what finds them",
    "bit_depth": "another bit depth was given",
    "clip": "the clip changed",
}


def libraries(*names: str) -> dict[str, str]:
    """Versions of htnet, OpenCV and the named libraries; libraries that are not installed are left out."""
    found = {"htnet": __version__, "opencv": str(load_opencv().__version__)}
    return found | {name: text for name in names if (text := _version(name))}


@cache
def _version(name: str) -> str:
    """Version of a package; "" if it is not installed. Cached, because a lookup takes 1 ms and is needed per sample."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def source_key(
    sample: Sample, spec: PreprocessSpec, landmarker: Any, motion: bool = False, bit_depth: int | None = None
) -> Parts | None:
    """Everything that a sample's prepared files depend on, part by part; None if one of its input files cannot be read.

    This is the content of both frames and of the sample's landmark file (without one, the description of the
    landmarker), the sample's name (by which points are looked up), the spec, and the versions of htnet and of the
    libraries that affect results; with motion, also the content of the clip's files. File times do not count, so a data
    set that was copied or moved is not prepared again.

    Args:
        sample: the sample.
        spec: settings of the preprocessing.
        landmarker: `htnet.core.described.describe` of the landmarker that is used for samples without a landmark file.
        motion: whether motion features are computed too.
        bit_depth: bits per value of the frames; None if the files state it.
    """
    names = [_TVL1.get(choose_tvl1("cpu"), "torch")] if spec.flow == "tvl1" else []
    names += ["numba"] if spec.head_motion == "register" and native_loops() else []
    try:
        made_from: Parts = {
            "spec": spec.part("image"),
            "sample": sample.sample,
            "onset": None if sample.onset is None else sha256_of(sample.onset),
            "apex": None if sample.apex is None else sha256_of(sample.apex),
            "points": describe(sample.landmarks) if sample.landmarks is not None else landmarker,
        }
        if bit_depth is not None:
            made_from["bit_depth"] = bit_depth
        if motion and sample.clip is not None:
            made_from["clip"] = _describe_clip(sample, sample.clip, spec, bit_depth)
            names += ["av"] if os.path.isfile(sample.clip) else []
    except (OSError, VideoError):
        return None
    return as_json({**made_from, "libraries": libraries(*names)})


def as_json(parts: Mapping[str, Any]) -> Parts:
    """The parts in the form in which they are read back from a JSON file, for comparison."""
    found: Parts = json.loads(json.dumps(parts, sort_keys=True))
    return found


def changes(before: Any, now: Parts) -> list[str]:
    """Why files computed from ``before`` would differ from files computed from ``now``; empty if they would not.

    Args:
        before: the recorded inputs of the existing files.
        now: the current inputs.
    """
    if not isinstance(before, dict) or not isinstance(before.get("libraries"), dict):
        return ["made by an older htnet, which did not record library versions"]
    old, new = before["libraries"], now["libraries"]
    found = [
        f"made with {TITLES.get(name, name)} {old.get(name, 'none')}, now {new.get(name, 'none')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    for name in sorted(({*before, *now}) - {"libraries"}):
        one, other = before.get(name), now.get(name)
        if name == "points" and old != new:  # a detector's description repeats the version of OpenCV
            one, other = _without_version(one), _without_version(other)
        if one != other:
            found.append(_CHANGED.get(name, f"{name} changed"))
    return list(dict.fromkeys(found))


def _without_version(points: Any) -> Any:
    if not isinstance(points, list):
        return points
    return [_without_version(part) for part in points if not (isinstance(part, list) and part[:1] == ["opencv"])]


def _describe_clip(sample: Sample, clip: Path, spec: PreprocessSpec, bit_depth: int | None) -> Any:
    """The inputs of motion features other than the points."""
    part = open_clip(clip, sample.clip_first, sample.clip_last, bit_depth if os.path.isdir(clip) else None)
    return {
        "spec": motion_settings(spec),
        "files": [sha256_of(file) for file in part.files],
        "frames": [part.from_frame, part.to_frame],
        "reader": make_reader(part.reader).version() if part.reader else "",
    }
