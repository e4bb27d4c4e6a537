"""Clips on disk, from onset to offset frame, and files of motion features."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from htnet.core.arrays import real_array
from htnet.core.errors import HtnetError, InputError, SpecError, VideoError, cause
from htnet.core.lazy import loading
from htnet.core.limits import check_safetensors, parse_json
from htnet.core.saved_spec import saved_spec
from htnet.core.types import FloatArray, PreprocessSpec
from htnet.preprocess.video.folder_names import file_numbers
from htnet.preprocess.video.open import Video, open_video


def open_clip(source: str | os.PathLike[str], first: str = "", last: str = "", bit_depth: int | None = None) -> Video:
    """Open a clip from the fields of a manifest.

    Args:
        source: a video file or a folder of frames, see `open_video`.
        first: the first frame to read: its number, counted from 0, or the name of its file in a folder; "" for the
            first of all.
        last: the last frame to read, likewise.
        bit_depth: bit depth of the images in a folder, see `open_video`.

    Returns:
        The part from ``first`` to ``last``, both included.

    Raises:
        VideoError: there is no such video or frame, the last one comes before the first, or a number is that of one
            frame and in the name of another.
    """
    video = open_video(source, bit_depth=bit_depth)
    begin, end = _number(video, first), _number(video, last)
    if end is not None and end < (begin or 0):
        raise VideoError(f"{source}: the last frame {last!r} comes before the first, {first!r}. Correct them.")
    return video.between(begin or 0, end)


def _number(video: Video, name: str) -> int | None:
    """Number of the frame that ``name`` denotes."""
    if not name:
        return None
    if name.isascii() and name.isdecimal():
        number = int(name)
        if video.count is not None and number >= video.count:
            raise VideoError(f"{video.source} has {video.count} frames, so none with number {name}; they count from 0.")
        numbers = file_numbers(video.paths)
        if numbers is not None and number in numbers and numbers[number] != number:
            raise VideoError(
                f"{video.source}: the frame {name!r}, counted from 0, is {video.paths[number].name}, but the number is "
                f"in the name of {video.paths[numbers.tolist().index(number)].name}. Give the name of the file."
            )
        return number
    names = [path.name for path in video.paths]
    if name not in names:
        kinds = "the name of a file in it or its number" if video.paths else "its number"
        raise VideoError(f"{video.source} has no frame {name!r}; give {kinds}, counted from 0.")
    return names.index(name)


def motion_settings(spec: PreprocessSpec) -> dict[str, Any]:
    """The settings that motion features depend on, JSON-ready."""
    settings = spec.to_dict()
    return {name: settings[name] for name in spec.part("motion")}


def encode_motion(motion: FloatArray, spec: PreprocessSpec) -> bytes:
    """Encode motion features with their settings as a file.

    Args:
        motion: (clip_frames, 64) float32, see `htnet.preprocess.motion_features`.
        spec: the spec that they were computed with.

    Returns:
        The content of a ``.safetensors`` file.

    Raises:
        InputError: the shape is wrong, or a value is masked, NaN, infinite or not a real number.
    """
    found = real_array(motion, "Motion features", cure="what motion_features returns")
    if found.ndim != 2 or len(found) != spec.clip_frames or not np.isfinite(found).all():
        raise InputError(
            f"Motion features have shape {found.shape}, or values that are not finite; give ({spec.clip_frames}, 64) "
            "as motion_features returns them."
        )
    with loading():
        from safetensors.numpy import save

    return bytes(save({"motion": np.ascontiguousarray(found)}, {"spec": json.dumps(motion_settings(spec))}))


def read_motion(path: str | os.PathLike[str], spec: PreprocessSpec) -> FloatArray:
    """Motion features from a file.

    Args:
        path: written by `htnet.data.prepare.prepare`, from `encode_motion`.
        spec: the spec that they should have been computed with.

    Returns:
        (clip_frames, 64) float32.

    Raises:
        InputError: the file is missing or damaged.
        SpecError: they were computed with other settings.
    """
    with loading():
        from safetensors import safe_open

    try:
        check_safetensors(path)
        with safe_open(os.fspath(path), framework="numpy") as file:
            made = saved_spec(parse_json(file.metadata()["spec"]), spec.part("motion"))
            motion = np.asarray(file.get_tensor("motion"), np.float32)
    except HtnetError as error:
        raise InputError(
            f"The motion features {path} cannot be used ({cause(error)}); prepare the data again."
        ) from error
    except Exception as error:  # safetensors has its own error, in addition to those of damaged content
        raise InputError(
            f"The motion features {path} cannot be read ({cause(error)}); prepare the data again."
        ) from error
    if differ := [f"{name} is {own!r}, not {ours!r}" for name, (own, ours) in made.differences(spec, "motion").items()]:
        raise SpecError(
            f"The motion features {path} were made with other settings: {'; '.join(differ)}. Prepare the data "
            f"again, or request the stored settings (clip_frames {made.clip_frames})."
        )
    if motion.ndim != 2 or len(motion) != spec.clip_frames or not np.isfinite(motion).all():
        raise InputError(f"The motion features {path} are damaged: shape {motion.shape}; prepare again.")
    return motion
