"""Frozen dataclasses that carry data from frames to prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.errors import FlowError, LandmarkError, SpecError, did_you_mean, refuse_unknown

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]

#: The three classes of MEGC 2019, in the order of the published labels 0, 1, 2.
EMOTIONS = ("negative", "positive", "surprise")

#: The five points, in this order everywhere; left and right are those of the image.
POINT_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")

#: Mean places of the five points in the published composite images, in 28 px units.
TEMPLATE_28 = ((7.7, 8.3), (20.0, 7.8), (14.1, 14.7), (9.1, 20.3), (19.1, 19.9))


@dataclass(frozen=True, eq=False)
class Frame:
    """One video frame.

    Attributes:
        pixels: (H, W, 3) uint8, RGB.
        source: the file it came from, or a description; used in messages.
    """

    pixels: ByteArray
    source: str = "array"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Five facial points in the pixels of one frame.

    Attributes:
        points: (5, 2) float32, (x, y), order `POINT_NAMES`.
        source: what found them ("yunet", "template", a file name, ...).
        score: detector confidence 0..1, or None where there is none.
    """

    points: FloatArray
    source: str
    score: float | None = None

    def __post_init__(self) -> None:
        """Check shape and values."""
        points = np.asarray(self.points, dtype=np.float32)
        if points.shape != (5, 2):
            raise LandmarkError(
                f"Landmarks from {self.source} have shape {points.shape}; give five [x, y] points in the "
                f"order {', '.join(POINT_NAMES)}."
            )
        if not np.isfinite(points).all():
            raise LandmarkError(f"Landmarks from {self.source} hold NaN or infinity; give finite pixels.")
        object.__setattr__(self, "points", points)


@dataclass(frozen=True, eq=False)
class Flow:
    """Optical flow from onset to apex.

    Attributes:
        uv: (2, H, W) float32 in px; u is positive to the image's right, v positive downward.
        method: how it was computed ("tvl1", ...).
    """

    uv: FloatArray
    method: str

    def __post_init__(self) -> None:
        """Check shape and values."""
        uv = np.asarray(self.uv, dtype=np.float32)
        if uv.ndim != 3 or uv.shape[0] != 2:
            raise FlowError(f"Flow has shape {uv.shape}; give (2, H, W) = (u, v) in px.")
        if not np.isfinite(uv).all():
            bad = int((~np.isfinite(uv)).sum())
            raise FlowError(
                f"Flow ({self.method}) holds {bad} NaN or infinite values; recompute it or mask them first."
            )
        object.__setattr__(self, "uv", uv)


FLOW_METHODS = ("tvl1", "farneback", "dis")
LAYOUTS = ("anatomical", "reference", "whole")
REGION_POINTS = ("template", "landmarks")
RESIZES = ("linear", "area")
#: Image side of the flow images that the landmarks template is given in.
TEMPLATE_SIZE = 28


@dataclass(frozen=True)
class PreprocessSpec:
    """How two frames become a network input; saved with the weights.

    Attributes:
        layout: regions of the flow image that the network sees: "anatomical" (both eyes over both
            mouth corners), "reference" (the published crop, transposition included) or "whole".
        region_points: where the regions are cut: at the "template" points, or at the face's own
            "landmarks".
        size: side of the flow image, px.
        face_size: side of the aligned face on which flow is computed, px.
        template: five (x, y) in 28 px units to which the face is warped by one similarity.
        flow: "tvl1", "farneback" or "dis".
        flow_parameters: (name, value) pairs that differ from the method's defaults.
        resize: "linear" (the reference: cv2.INTER_LINEAR) or "area".
        channels: channel order of the flow image; the published order is strain, v, u.
    """

    layout: str = "anatomical"
    region_points: str = "template"
    size: int = 28
    face_size: int = 224
    template: tuple[tuple[float, float], ...] = TEMPLATE_28
    flow: str = "tvl1"
    flow_parameters: tuple[tuple[str, float], ...] = ()
    resize: str = "linear"
    channels: tuple[str, ...] = ("strain", "v", "u")

    def __post_init__(self) -> None:
        """Check every field."""
        for name, value, allowed in (
            ("layout", self.layout, LAYOUTS),
            ("region_points", self.region_points, REGION_POINTS),
            ("flow", self.flow, FLOW_METHODS),
            ("resize", self.resize, RESIZES),
        ):
            if value not in allowed:
                raise SpecError(f"PreprocessSpec.{name} is {value!r}. {did_you_mean(str(value), allowed)}")
        for name, side in (("size", self.size), ("face_size", self.face_size)):
            if not isinstance(side, int) or side < 4 or side % 2:
                raise SpecError(f"PreprocessSpec.{name} is {side!r}; give an even whole number of px, 4 or more.")
        if len(self.template) != 5 or any(len(p) != 2 for p in self.template):
            raise SpecError(f"PreprocessSpec.template is {self.template!r}; give five (x, y) in 28 px units.")
        if sorted(self.channels) != ["strain", "u", "v"]:
            raise SpecError(f"PreprocessSpec.channels is {self.channels!r}; give an order of strain, v, u.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, the inverse of `from_dict`."""
        out = dataclasses.asdict(self)
        out["flow_parameters"] = dict(self.flow_parameters)
        out["template"] = [list(p) for p in self.template]
        out["channels"] = list(self.channels)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PreprocessSpec:
        """Rebuild a spec; unknown fields are refused, because they would change the input in silence."""
        refuse_unknown(data, [f.name for f in dataclasses.fields(cls)], "preprocessing field", SpecError)
        values = dict(data)
        if "flow_parameters" in values:
            values["flow_parameters"] = tuple(sorted(dict(values["flow_parameters"]).items()))
        if "template" in values:
            values["template"] = tuple((float(x), float(y)) for x, y in values["template"])
        if "channels" in values:
            values["channels"] = tuple(values["channels"])
        return cls(**values)


@dataclass(frozen=True, eq=False)
class ModelInput:
    """What the preprocessor made of one sample.

    Attributes:
        image: (3, size, size) float32, 0..255, ready for the network.
        flow_image: (size, size, 3) uint8, the whole face in the published convention (BGR =
            strain, v, u).
        regions_at: "template" or "landmarks": where the regions were cut.
        landmarks: the five points in onset pixels, None when only a flow image was given.
        points: the same five points in px of the flow image, (5, 2), None when they are not known.
        flow: flow on the aligned face, None when only a flow image was given.
    """

    image: FloatArray
    flow_image: ByteArray
    regions_at: str
    landmarks: Landmarks | None = None
    points: FloatArray | None = None
    flow: Flow | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer for one sample.

    Attributes:
        label: name of the most probable class.
        probabilities: class name to probability, in the model's class order.
        model: name of the weights that answered.
        sample: identifier of the sample, if it has one.
        input: what the network was shown, with landmarks and flow.
    """

    label: str
    probabilities: Mapping[str, float]
    model: str
    input: ModelInput
    sample: str = ""
    truth: str | None = field(default=None)

    @property
    def landmarks(self) -> Landmarks | None:
        """The five points in onset pixels."""
        return self.input.landmarks

    @property
    def flow(self) -> Flow | None:
        """Flow on the aligned face."""
        return self.input.flow
