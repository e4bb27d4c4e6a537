"""Optical flow between two frames, its strain, and the flow image that networks read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from htnet.core.arrays import plain_array, refuse_masked
from htnet.core.errors import FlowError, FrameError, InputError, refuse_type, refuse_unknown
from htnet.core.fields import native, whole
from htnet.core.files import check_outputs, write_bytes
from htnet.core.paths import as_path
from htnet.core.types import RESIZES, ByteArray, FloatArray, Flow
from htnet.preprocess.flow.tvl1 import tvl1_flow
from htnet.preprocess.flow.tvl1_parameters import MIN_SIDE
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.picture_reader import FLOW_IMAGE, decode_picture, picture_bytes

ArrayOrTensor = TypeVar("ArrayOrTensor", FloatArray, torch.Tensor)

#: Settings of the two OpenCV methods under OpenCV's names: (default, least, most). The limits are ours:
#: beyond them OpenCV silently returns zero, NaN or another preset.
FARNEBACK_SETTINGS: Mapping[str, tuple[float, float, float]] = {
    "pyr_scale": (0.5, 0.1, 0.95),
    "levels": (3, 1, 20),
    "winsize": (15, 2, 500),
    "iterations": (3, 1, 1000),
    "poly_n": (5, 1, 31),
    "poly_sigma": (1.2, 0.1, 20.0),
}
#: Standard deviation in gray levels to which frames of lower contrast are scaled before Farneback's flow.
FARNEBACK_CONTRAST = 40.0
#: preset: 0 ultrafast, 1 fast, 2 medium. finest_scale: 0 is full resolution.
DIS_SETTINGS: Mapping[str, tuple[float, float, float]] = {"preset": (2, 0, 2), "finest_scale": (1, 0, 8)}

#: A channel that spans less than this share of its largest value is constant up to rounding.
_CONSTANT = 1e-6


def _check_gray(frame: ByteArray, name: str) -> ByteArray:
    frame = plain_array(frame, f"The {name} has", FrameError)
    if frame.ndim != 2 or frame.dtype != np.uint8:
        raise FrameError(f"The {name} has shape {frame.shape}, type {frame.dtype}; give a gray frame, (H, W) uint8.")
    if min(frame.shape) < MIN_SIDE:
        raise FrameError(f"The {name} has shape {frame.shape}; give a frame of {MIN_SIDE}x{MIN_SIDE} px or more.")
    return np.ascontiguousarray(frame)


def _settings(given: Mapping[str, float], known: Mapping[str, tuple[float, float, float]], what: str) -> dict[str, Any]:
    """Defaults overridden by ``given``; integers where the default is one."""
    refuse_unknown(given, known, f"{what} parameter", InputError)
    settings: dict[str, Any] = {name: default for name, (default, _, _) in known.items()}
    for name, value in given.items():
        (default, low, high), value = known[name], native(value)
        whole = isinstance(default, int)
        valid = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        if not valid or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            raise InputError(f"{what} parameter {name} is {value!r}; give {kind} from {low:g} to {high:g}.")
        settings[name] = int(value) if whole else float(value)
    return settings


def _tvl1(onset: ByteArray, apex: ByteArray, parameters: Mapping[str, float]) -> FloatArray:
    return tvl1_flow(onset, apex, **dict[str, Any](parameters)).numpy()


def _farneback(onset: ByteArray, apex: ByteArray, parameters: Mapping[str, float]) -> FloatArray:
    cv2 = load_opencv()
    p = _settings(parameters, FARNEBACK_SETTINGS, "Farneback")
    # OpenCV adds a constant to the determinant it divides by, so its flow shrinks with the square of the contrast.
    # Multiplying both frames by one factor corrects this. The products are floats, because they are not integers; a
    # factor of 1 changes no bit.
    gain = max(1.0, FARNEBACK_CONTRAST / max(float(onset.std()), 1e-6))
    first, second = (frame.astype(np.float32) * np.float32(gain) for frame in (onset, apex))
    try:
        # The keywords are OpenCV's names; flags=0 selects the box window.
        flow = cv2.calcOpticalFlowFarneback(first, second, None, **p, flags=0)
    except cv2.error as error:
        raise InputError(f"Farneback refuses the parameters {p}. Give values closer to the defaults.") from error
    return np.ascontiguousarray(flow.transpose(2, 0, 1))


def _dis(onset: ByteArray, apex: ByteArray, parameters: Mapping[str, float]) -> FloatArray:
    cv2 = load_opencv()
    p = _settings(parameters, DIS_SETTINGS, "DIS")
    try:
        solver = cv2.DISOpticalFlow.create(p["preset"])
        solver.setFinestScale(p["finest_scale"])
        flow = solver.calc(onset, apex, None)
    except cv2.error as error:
        raise InputError(f"DIS refuses the parameters {p} on frames of this size; give larger frames.") from error
    return np.ascontiguousarray(flow.transpose(2, 0, 1))


_METHODS: Mapping[str, Callable[[ByteArray, ByteArray, Mapping[str, float]], FloatArray]] = {
    "tvl1": _tvl1,
    "farneback": _farneback,
    "dis": _dis,
}


def compute_flow(
    onset: ByteArray,
    apex: ByteArray,
    method: str = "tvl1",
    parameters: Mapping[str, float] | Iterable[tuple[str, float]] = (),
) -> Flow:
    """Optical flow from onset to apex.

    The flow is 0 if there is nothing to measure: between equal frames, and if a frame has a single gray level.

    Args:
        onset: (H, W) uint8, gray.
        apex: (H, W) uint8, gray.
        method: "tvl1" (see `htnet.preprocess.flow.tvl1.tvl1_flow`), "farneback" (Farneback 2003) or
            "dis" (Kroeger et al. 2016), the last two by OpenCV. Before "farneback" both frames are multiplied by one
            factor if the onset's standard deviation is below `FARNEBACK_CONTRAST` gray levels.
        parameters: settings that differ from the method's defaults, as (name, value) pairs or a
            mapping: fields of `TVL1Parameters`, keys of `FARNEBACK_SETTINGS` or of `DIS_SETTINGS`.

    Returns:
        The flow in px: u positive to the right, v positive downward.

    Raises:
        FrameError: a frame is not gray uint8 of 16 px or more.
        FlowError: the frames differ in size, or the flow is not finite.
        InputError: the method or a parameter is unknown, or a value is impossible.
    """
    refuse_unknown([method], _METHODS, "flow method")
    onset, apex = _check_gray(onset, "onset"), _check_gray(apex, "apex")
    if onset.shape != apex.shape:
        raise FlowError(f"Onset {onset.shape} and apex {apex.shape} differ in size; give two equal sizes.")
    uv = _METHODS[method](onset, apex, dict(parameters))
    if np.array_equal(onset, apex) or onset.min() == onset.max() or apex.min() == apex.max():
        # Farneback returns 0.6 px between two equal faces, and any flow in a frame of one gray level is an artifact.
        uv = np.zeros_like(uv)
    return Flow(uv, method)


def check_flow(flow: Flow | FloatArray, method: str = "array") -> Flow:
    """Wrap a (2, H, W) field as `Flow`, refusing a wrong shape, NaN and infinity with `FlowError`."""
    return flow if isinstance(flow, Flow) else Flow(flow, method)


def float_field(uv: ArrayOrTensor) -> ArrayOrTensor:
    """Check a flow field of any float type.

    Args:
        uv: (..., 2, H, W) float array or tensor, px.

    Returns:
        The field; an array without a mask and in the machine's byte order.

    Raises:
        FlowError: it is neither an array nor a dense tensor, the shape is wrong, the type is not float, or a value is
            masked.
    """
    refuse_masked(uv, "Flow has", FlowError)
    if isinstance(uv, np.ndarray):
        uv = plain_array(uv, "Flow has", FlowError)
    elif not isinstance(uv, torch.Tensor):
        raise FlowError(
            f"Flow is of type {type(uv).__name__}; give a float array or tensor (..., 2, H, W) in px, such as flow.uv."
        )
    elif uv.layout != torch.strided or uv.is_meta:
        kind = "on the device meta" if uv.is_meta else f"of the layout {uv.layout}"
        raise FlowError(f"Flow is a tensor {kind}; give a dense tensor with values (..., 2, H, W) in px.")
    floating = uv.is_floating_point() if isinstance(uv, torch.Tensor) else np.issubdtype(uv.dtype, np.floating)
    if uv.ndim < 3 or uv.shape[-3] != 2 or min(uv.shape[-2:]) < 1 or not floating:
        raise FlowError(f"Flow has shape {tuple(uv.shape)}, type {uv.dtype}; give float (..., 2, H, W) = (u, v) in px.")
    return uv


def wide_field(uv: ArrayOrTensor) -> ArrayOrTensor:
    """A field of half precision in float32: float16 has no squares of numbers under 2e-4 px, nor over 255 px."""
    if isinstance(uv, torch.Tensor):
        return uv.float() if uv.element_size() < 4 else uv
    return uv.astype(np.float32) if uv.dtype.itemsize < 4 else uv


def optical_strain(uv: ArrayOrTensor) -> ArrayOrTensor:
    """Optical strain: ``sqrt(ux^2 + vy^2 + (uy + vx)^2 / 2)``.

    The Frobenius norm of the symmetric part of the flow's gradient (Shreve et al. 2011), so a
    translation or a small rotation has none. Derivatives are central differences, one-sided at the border.

    Args:
        uv: (..., 2, H, W) float array or tensor, px.

    Returns:
        (..., H, W) of the same kind, px per px; float32 for types of less than 32 bits.

    Raises:
        FlowError: the shape is wrong, the type is not float, a side is under 2 px, or a value is masked.
    """
    uv = wide_field(float_field(uv))
    if min(uv.shape[-2:]) < 2:
        raise FlowError(f"Flow has shape {tuple(uv.shape)}; give (..., 2, H, W) = (u, v) of 2x2 px or more.")
    if isinstance(uv, torch.Tensor):
        dy, dx = torch.gradient(uv, dim=(-2, -1))
    else:
        dy, dx = np.gradient(uv, axis=(-2, -1))
    ux, vx = dx[..., 0, :, :], dx[..., 1, :, :]
    uy, vy = dy[..., 0, :, :], dy[..., 1, :, :]
    strain: ArrayOrTensor = (ux**2 + vy**2 + (uy + vx) ** 2 / 2) ** 0.5
    return strain


def flow_image(
    flow: Flow, size: int = 28, resize: str = "linear", channels: tuple[str, ...] = ("strain", "v", "u")
) -> ByteArray:
    """The published network input: strain, v and u, each scaled to 0..255 within the image.

    Strain is taken at full resolution; then each channel is resized, scaled from its own minimum
    and maximum to 0..255 and rounded. A constant channel becomes 0. In the default order
    ``cv2.imwrite`` gives the published PNG, whose RGB is (u, v, strain).

    Args:
        flow: flow in px.
        size: side of the result, px.
        resize: "linear" (cv2.INTER_LINEAR, the reference) or "area" (cv2.INTER_AREA).
        channels: an order of "strain", "v" and "u".

    Returns:
        (size, size, 3) uint8.

    Raises:
        FlowError: the flow is smaller than 2x2 px.
        InputError: ``size``, ``resize`` or ``channels`` is none of those above.
    """
    cv2 = load_opencv()
    refuse_type("flow", flow, Flow, "the Flow of compute_flow, or Flow(array, 'method')", FlowError)
    if not all(isinstance(name, str) for name in channels) or sorted(channels) != ["strain", "u", "v"]:
        raise InputError(f"channels is {channels!r}; give an order of 'strain', 'v', 'u'.")
    refuse_unknown([resize], RESIZES, "resize")
    whole().check("size", size)
    planes = {"strain": optical_strain(flow.uv), "u": flow.uv[0], "v": flow.uv[1]}
    interpolation = cv2.INTER_LINEAR if resize == "linear" else cv2.INTER_AREA
    image = np.zeros((size, size, 3), dtype=np.uint8)
    for k, name in enumerate(channels):
        plane = cv2.resize(np.ascontiguousarray(planes[name]), (size, size), interpolation=interpolation)
        low, high = float(plane.min()), float(plane.max())
        if high - low > _CONSTANT * max(abs(low), abs(high)):
            image[..., k] = np.rint((plane.astype(np.float64) - low) * (255 / (high - low)))
    return image


def is_motionless(image: ByteArray) -> bool:
    """Whether a channel of a flow image is constant. In the published images, every channel contains 0 and 255.

    Args:
        image: (H, W, 3) uint8, see `flow_image`.

    Raises:
        FlowError: it is not an image (H, W, 3), or a value is masked.
    """
    image = plain_array(image, "The flow image has", FlowError)
    if image.ndim != 3 or not image.size or image.dtype != np.uint8:
        raise FlowError(f"The flow image has shape {image.shape}, type {image.dtype}; give (H, W, 3) uint8.")
    flat = image.reshape(-1, image.shape[-1])
    return bool((flat.min(axis=0) == flat.max(axis=0)).any())


def write_flow_image(path: str | os.PathLike[str], image: ByteArray, *, overwrite: bool = False) -> Path:
    """Write a flow image so that `read_flow_image` and OpenCV read it back byte for byte.

    Args:
        path: a file that ends in .png; missing folders are created.
        image: (H, W, 3) uint8 in BGR order = (strain, v, u), so the file's RGB is (u, v, strain).
        overwrite: replace a file that exists.

    Returns:
        The path.

    Raises:
        FlowError: the image has another shape or type.
        OverwriteError: the file exists and ``overwrite`` is not given.
        InputError: the name does not end in .png (other formats would change the values).
    """
    cv2 = load_opencv()
    path = as_path(path, "path")
    if path.suffix.lower() != ".png":
        raise InputError(f"A flow image cannot be written as {path.name!r}; give a name that ends in .png.")
    image = plain_array(image, "The flow image has", FlowError)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise FlowError(f"The flow image has shape {image.shape}, type {image.dtype}; give (H, W, 3) uint8.")
    check_outputs(path, overwrite=overwrite)
    write_bytes(path, cv2.imencode(".png", image)[1].tobytes())
    return path


#: If all channels correlate by at least this, the picture is not a flow image: the 1768 published ones reach 0.61.
_CHANNELS_ALIKE = 0.95
#: If the strain channel correlates with the strain of the two others by at most this, the picture is inverted: the
#: published ones have 0.34 to 0.95.
_INVERTED = -0.3


def refuse_no_flow(image: ByteArray, source: str) -> None:
    """Refuse a picture that cannot be a flow image: a photo, three equal channels, an inverted strain channel.

    Args:
        image: (H, W, 3) in BGR order = (strain, v, u).
        source: its origin, for the message.

    Raises:
        FlowError: it cannot be a flow image.
    """
    channels = image.reshape(-1, 3).T.astype(np.float64)
    if (channels.std(axis=1) < 1).any():
        return  # no motion; handled by the code that reads the image
    why = ""
    if np.corrcoef(channels).min() >= _CHANNELS_ALIKE:
        why = "its three channels are alike, as in a photo"
    else:
        strain, v, u = (channel.reshape(image.shape[:2]) for channel in channels)
        (u_y, u_x), (v_y, v_x) = np.gradient(u), np.gradient(v)
        own = np.sqrt(u_x**2 + v_y**2 + 0.5 * (u_y + v_x) ** 2)
        if own.std() > 0 and np.corrcoef(own.ravel(), strain.ravel())[0, 1] <= _INVERTED:
            why = "its strain is low where the motion changes and high where it does not, as in an inverted image"
    if why:
        raise FlowError(
            f"{source} is not a flow image: {why}. Give RGB = (u, v, strain), as htnet prepare computes it from frames."
        )


def read_flow_image(path: str | os.PathLike[str], size: int = 28) -> ByteArray:
    """Read a flow image, such as the published PNGs.

    Args:
        path: an image file with three 8-bit channels; its RGB is (u, v, strain).
        size: expected side, px.

    Returns:
        (size, size, 3) uint8 in BGR order = (strain, v, u).

    Raises:
        FlowError: the file is missing, empty, truncated, damaged, not an image, of another size or kind, or cannot be a
            flow image.
    """
    path = as_path(path, "path")
    image = decode_picture(picture_bytes(path, FLOW_IMAGE), path, FLOW_IMAGE)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        channels = 1 if image.ndim == 2 else image.shape[2]
        raise FlowError(
            f"Flow image {path} has {channels} channels of {image.dtype}; give three of uint8, RGB = (u, v, strain)."
        )
    if image.shape[:2] != (size, size):
        raise FlowError(
            f"Flow image {path} is {image.shape[0]}x{image.shape[1]} px, expected {size}x{size}; "
            "compute it at that size."
        )
    refuse_no_flow(image, f"Flow image {path}")
    return image
