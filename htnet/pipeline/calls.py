"""Functions that predict from frames or a video in one call. They keep the loaded model for the next call."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterable
from os import PathLike
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.deprecated import renamed_arguments
from htnet.core.errors import InputError
from htnet.core.hints import hint
from htnet.core.optional import named_device, named_dtype
from htnet.core.types import DEFAULT_WEIGHTS, Landmarks, Prediction
from htnet.hub.weights import local_state
from htnet.models import EmotionModel
from htnet.models.base import model_of
from htnet.models.registry import own_models
from htnet.pipeline.predictor import Predictor
from htnet.preprocess import FrameSource, Landmarker, Video
from htnet.preprocess.landmarks.detector import MODEL_VARIABLE
from htnet.preprocess.landmarks.factory import LANDMARKERS

#: Five points as an array, or their source: a landmarker, its name, or a file of points.
LandmarkChoice = str | PathLike[str] | Landmarker | Landmarks | npt.ArrayLike

T = TypeVar("T")
#: Number of models and of predictors that `predict` and `predict_video` keep for the next call.
_KEPT = 2
_models: dict[tuple[object, ...], Predictor] = {}
_predictors: dict[tuple[object, ...], Predictor] = {}
_kept_lock = threading.Lock()


@renamed_arguments
def predict(
    onset: FrameSource,
    apex: FrameSource | None = None,
    *,
    weights: str | PathLike[str] | EmotionModel = DEFAULT_WEIGHTS,
    landmarks: LandmarkChoice = "yunet",
    device: str | torch.device = "cpu",
    bit_depth: int | None = None,
    always: bool = False,
    dtype: str | torch.dtype | None = None,
) -> Prediction:
    """Recognize the emotion between two frames.

    Args:
        onset: the neutral frame: a file, its bytes, an open file, an (H, W, 3) RGB array, a tensor or a Pillow image;
            see `htnet.preprocess.read_frame`.
        apex: the frame of strongest expression, of the same size. Required; for a video use `predict_video`.
        weights: registered weights, a weights folder, a Hub repository or a loaded model, compiled or not.
        landmarks: "yunet", "face-alignment", "template" (only for faces cropped as the training images
            are), a file of points, a landmarker, or five (x, y) points in onset px.
        device: where the model runs.
        bit_depth: bits per value, if 16-bit frames use fewer; see `htnet.preprocess.read_frame`.
        always: predict a class even if the frames do not differ by an expression.
        dtype: as for `Predictor`.

    Returns:
        Label ("no expression" if ``expression`` is below 0.5), probabilities, and the input they were computed from.

    Raises:
        HtnetError: the frames, the points or the weights cannot be used; the message explains how to fix it.
    """
    if apex is None:
        other = hint(onset) if isinstance(onset, (str, PathLike)) else ""
        raise InputError(f"htnet.predict takes two frames of a face: htnet.predict(onset, apex).{other}")
    if isinstance(landmarks, (str, PathLike)) or (callable(landmarks) and not isinstance(landmarks, np.ndarray)):
        return _warm(weights, landmarks, device, bit_depth, always, dtype).pair(onset, apex)
    return _warm(weights, "yunet", device, bit_depth, always, dtype).pair(onset, apex, landmarks)


@renamed_arguments
def predict_video(
    source: str | PathLike[str] | Video | Iterable[FrameSource],
    *,
    weights: str | PathLike[str] | EmotionModel = DEFAULT_WEIGHTS,
    landmarks: LandmarkChoice = "yunet",
    method: str | None = None,
    fps: float | None = None,
    device: str | torch.device = "cpu",
    bit_depth: int | None = None,
    always: bool = False,
    dtype: str | torch.dtype | None = None,
) -> Prediction:
    """Recognize the emotion in a video: spot onset and apex of its expression, then predict.

    A video of more than 10 s is treated as a recording: the prediction is for the most confident micro- or
    macro-expression that `htnet.analyze` finds, or "no expression" if it finds none; see `htnet.pipeline.spot_video`.

    Args:
        source: a video file, a folder of frames, an opened `htnet.preprocess.Video`, or frames in order.
        weights: registered weights, a weights folder, a Hub repository or a loaded model, compiled or not.
        landmarks: as for `predict`; points are those of the first frame. With anything but "yunet" the video is
            treated as a clip, whatever its length.
        method: "peak" or "divide_and_conquer", see `htnet.preprocess.spot`. If given, the video is treated as a clip,
            whatever its length. By default "peak" for clips.
        fps: frames per second; overrides that of the file.
        device: where the model runs.
        bit_depth: as for `predict`.
        always: as for `predict`.
        dtype: as for `Predictor`.

    Returns:
        Label, probabilities, and in ``spotting`` the frames that were used and the confidence in them. For a recording,
        a warning lists its other expressions (`several_expressions`) or states that it has none (`no_event`).

    Raises:
        HtnetError: the video, the points or the weights cannot be used; the message explains how to fix it.
    """
    if isinstance(landmarks, (str, PathLike)) or (callable(landmarks) and not isinstance(landmarks, np.ndarray)):
        return _warm(weights, landmarks, device, bit_depth, always, dtype).video(source, method=method, fps=fps)
    return _warm(weights, "yunet", device, bit_depth, always, dtype).video(source, landmarks, method=method, fps=fps)


def _warm(
    weights: str | PathLike[str] | EmotionModel,
    landmarks: str | PathLike[str] | Landmarker,
    device: str | torch.device,
    bit_depth: int | None,
    always: bool,
    dtype: str | torch.dtype | None,
) -> Predictor:
    """A predictor that reuses the model and a named landmarker of earlier calls, if they have not changed."""
    given = model_of(weights) is not None or not isinstance(weights, (str, PathLike))
    state = None if given else local_state(weights)  # type: ignore[arg-type]
    if state is None:
        return Predictor(weights, landmarks=landmarks, device=device, bit_depth=bit_depth, always=always, dtype=dtype)
    loaded = (str(weights), state, str(named_device(device)), named_dtype(dtype), own_models())
    # A points file or a landmarker object may change without notice, so only named landmarkers are reused.
    named = landmarks if isinstance(landmarks, str) and landmarks in LANDMARKERS else None
    settings = (*loaded, named, os.environ.get(MODEL_VARIABLE), repr(bit_depth), always)
    if named is not None and (found := _predictors.get(settings)) is not None:
        return found
    if (known := _models.get(loaded)) is None:
        made = Predictor(weights, landmarks=landmarks, device=device, bit_depth=bit_depth, always=always, dtype=dtype)
    else:
        made = copy.copy(known)
        made._set(landmarks, bit_depth, always)
    _keep(_models, loaded, made)
    if named is not None:
        _keep(_predictors, settings, made)
    return made


def _keep(kept: dict[tuple[object, ...], T], key: tuple[object, ...], value: T) -> None:
    """Keep a value, and drop the oldest of the others."""
    with _kept_lock:
        kept[key] = kept.pop(key, value)
        while len(kept) > _KEPT:
            del kept[next(iter(kept))]
