"""The published flow image of two frames in one call."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.errors import InputError, SpecError, refuse_unknown
from htnet.core.types import Landmarks, ModelInput, PreprocessSpec
from htnet.preprocess.contrast import gray_face
from htnet.preprocess.flow.compute import compute_flow, flow_image
from htnet.preprocess.frames import FrameSource, read_pair, to_gray
from htnet.preprocess.landmarks import Landmarker, make_landmarker
from htnet.preprocess.pairs import pair_warnings
from htnet.preprocess.preprocessor import Preprocessor


def published_input(
    onset: FrameSource,
    apex: FrameSource,
    landmarks: str | os.PathLike[str] | Landmarker | Landmarks | npt.ArrayLike | None = "yunet",
    bit_depth: int | None = None,
    **settings: Any,
) -> ModelInput:
    """Compute the published 28x28 image (u, v, strain) of two frames, with its inputs.

    ``flow_image`` of the result is (28, 28, 3) uint8 in OpenCV's order, BGR = (strain, v, u), each channel scaled
    from its own minimum and maximum to 0..255; `write_flow_image` writes it as the published PNG, whose RGB is
    (u, v, strain). ``flow`` is the flow before that; ``motionless`` is true if the frames show no motion.

    Args:
        onset: the neutral frame: a file or an RGB array.
        apex: the frame of strongest expression, of the same size.
        landmarks: to warp the face to the template: a name or file for `make_landmarker`, a landmarker, or five
            (x, y) in onset px. None uses the frames as they are, for faces already cropped.
        bit_depth: bits of the frames' values, if 16-bit files use fewer; see `read_frame`.
        **settings: fields of `PreprocessSpec` that the image depends on, such as ``flow="farneback"``.

    Returns:
        The input; ``image`` is the flow image as float (3, 28, 28).

    Raises:
        FrameError, LandmarkError, FlowError: the frames cannot be used.
        SpecError: a setting is unknown or impossible.
        InputError: head motion is to be removed, but there are no landmarks.
    """
    refuse_unknown(settings, PreprocessSpec().part("image"), "setting of the published image", SpecError)
    spec = PreprocessSpec(layout="whole", **settings)
    if landmarks is None:
        return _of_whole_frames(onset, apex, spec, bit_depth)
    if isinstance(landmarks, (str, os.PathLike)):
        return Preprocessor(spec, make_landmarker(str(landmarks)), bit_depth=bit_depth).pair(onset, apex)
    if callable(landmarks) and not isinstance(landmarks, np.ndarray):
        return Preprocessor(spec, landmarks, bit_depth=bit_depth).pair(onset, apex)
    return Preprocessor(spec, bit_depth=bit_depth).pair(onset, apex, landmarks)


def _of_whole_frames(onset: FrameSource, apex: FrameSource, spec: PreprocessSpec, bit_depth: int | None) -> ModelInput:
    """The input from frames that are faces already: no warp, flow at their own size."""
    if spec.head_motion != "none":
        raise InputError(
            f"head_motion is {spec.head_motion!r}, but there are no landmarks to locate it; give landmarks."
        )
    first, second = read_pair(onset, apex, bit_depth)
    before, after = gray_face(first, spec), gray_face(second, spec)
    flow = compute_flow(before, after, spec.flow, dict(spec.flow_parameters))
    made = Preprocessor(spec).flow_picture(flow_image(flow, spec.size, spec.resize))
    doubts = pair_warnings((onset, apex), (first, second), (to_gray(first), to_gray(second)), flow)
    return dataclasses.replace(made, flow=flow, warnings=(*made.warnings, *doubts))
