"""Frozen dataclasses that carry data from frames to prediction."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import checked_points, real_array
from htnet.core.errors import FlowError, InputError, LandmarkError, SpecError, did_you_mean
from htnet.core.facs import UnitPrediction
from htnet.core.fields import Checked, check_fields, checked, flag, named_numbers, one_of, optional, real, whole
from htnet.core.schema import document, model_part, named_points
from htnet.core.spec_rules import CHANNELS, FIVE_POINTS, MOMENTS, SIDE

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]

#: The default weights for predictions. They were trained without licensed data, so they may be used under the terms of
#: the code.
DEFAULT_WEIGHTS = "synthetic"

#: The three classes of MEGC 2019, in the order of the published labels 0, 1, 2.
EMOTIONS = ("negative", "positive", "surprise")

#: The label of two frames that do not differ by an expression, and the `Prediction.expression` below which it is given.
#: False alarms 0.8 %, none in 320 pairs of heads that turn by up to 2 degrees; misses 11 % at 0.5 px, 2 % at 1 px:
#: docs/input.md.
NO_EXPRESSION, EXPRESSION_THRESHOLD = "no expression", 0.5

#: The five points, in this order everywhere. Left and right are those of the image; the names in JSON documents state
#: this, see `htnet.core.schema.OUTPUT_POINTS`.
POINT_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")

#: Mean positions of the five points in the published composite images, in px of a 28 px image.
TEMPLATE_28 = ((7.7, 8.3), (20.0, 7.8), (14.1, 14.7), (9.1, 20.3), (19.1, 19.9))


@dataclass(frozen=True, eq=False)
class Frame:
    """One video frame.

    Attributes:
        pixels: (H, W, 3) uint8, RGB.
        source: the file it came from, or a description, for messages.
        number: its number in the video, from 0; None for a single frame.
        time: seconds since the first frame of its video; None if unknown.
    """

    pixels: ByteArray
    source: str = "array"
    number: int | None = None
    time: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])


@dataclass(frozen=True)
class QualityWarning:
    """A reason to doubt a result.

    Attributes:
        code: short, stable code for programs: "motionless", "several_faces", ...
        message: one or two sentences for people: what was detected, and what to do.
    """

    code: str
    message: str


#: Warning of a `ModelInput` without motion.
MOTIONLESS = QualityWarning(
    "motionless",
    "A channel of the flow image is constant: the two frames show no motion, or the whole image moves as one. Do not "
    "trust this answer; give the neutral frame and the frame of the strongest expression.",
)


#: Warning of a `ModelInput` whose clip shows no motion.
STILL_CLIP = QualityWarning(
    "still_clip",
    "Nothing moves in the clip: all its motion features are 0. Give the clip from the onset to the offset of the "
    "expression.",
)


# A score of text or True would be written into documents as it is.
_DETECTION = {"score": optional(real()), "faces": optional(whole())}


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Five facial points in the pixels of one frame.

    Attributes:
        points: (5, 2) float32, (x, y), order `POINT_NAMES`.
        source: their source ("yunet", "template", a file name, ...).
        score: detector confidence 0..1; None if there is none.
        warnings: reasons to doubt these points, or the face that they belong to.
        faces: number of faces that the detector accepted in the frame; None if unknown.
        verified: whether they passed `htnet.preprocess.verified`.
    """

    points: FloatArray
    source: str
    score: float | None = None
    warnings: tuple[QualityWarning, ...] = ()
    faces: int | None = None
    verified: bool = False

    def __post_init__(self) -> None:
        """Check shape and values."""
        points = checked_points(
            self.points, 5, self.source, f"five [x, y] points in the order {', '.join(POINT_NAMES)}"
        )
        object.__setattr__(self, "points", points)
        check_fields(self, _DETECTION, f"the landmarks ({self.source})", LandmarkError)

    def to_dict(self, coordinates: str) -> dict[str, Any]:
        """The field "landmarks" of a document; ``coordinates`` states the image that the pixels refer to, such as "px
        of the onset frame".
        """
        points = named_points(self.points)
        return {"source": self.source, "score": self.score, "coordinates": coordinates, "points": points}


#: Index groups of the 68 points, in the order of iBUG 300-W (Sagonas et al., ICCV Workshops 2013); together they
#: contain every index once. Left and right are those of the image, as in `POINT_NAMES`.
#: Jaw: along the edge of the face, from the ear on the image's left via the chin (8) to the other ear. Brows: left to
#: right. Nose: bridge (27 to 30, the last is the tip) and base (31 to 35, left to right). Eyes: from the left corner
#: along the upper lid to the right corner, and back along the lower lid. Lips: from the left corner along the upper
#: edge to the right corner, and back along the lower edge.
LANDMARK_GROUPS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "jaw": tuple(range(17)),
        "left_brow": tuple(range(17, 22)),
        "right_brow": tuple(range(22, 27)),
        "nose": tuple(range(27, 36)),
        "left_eye": tuple(range(36, 42)),
        "right_eye": tuple(range(42, 48)),
        "outer_lip": tuple(range(48, 60)),
        "inner_lip": tuple(range(60, 68)),
    }
)


@dataclass(frozen=True, eq=False)
class Landmarks68:
    """68 facial points in the pixels of one frame.

    Attributes:
        points: (68, 2) float32, (x, y), order of iBUG 300-W, see `LANDMARK_GROUPS`.
        source: their source ("face-alignment", "estimated from yunet", ...).
        score: detector confidence 0..1, or None if there is none.
        estimated: whether the points come from a mean face fitted to fewer points, instead of being measured.
        warnings: reasons to doubt these points, or the face that they belong to.
        faces: number of faces that the detector accepted in the frame, None if unknown.
        verified: whether they passed `htnet.preprocess.verified`.
    """

    points: FloatArray
    source: str
    score: float | None = None
    estimated: bool = False
    warnings: tuple[QualityWarning, ...] = ()
    faces: int | None = None
    verified: bool = False

    def __post_init__(self) -> None:
        """Check shape and values."""
        points = checked_points(self.points, 68, self.source, "68 [x, y] points in the order of iBUG 300-W")
        object.__setattr__(self, "points", points)
        check_fields(self, _DETECTION, f"the landmarks ({self.source})", LandmarkError)

    def group(self, name: str) -> FloatArray:
        """Points of one group of `LANDMARK_GROUPS`, (N, 2).

        Raises:
            LandmarkError: there is no such group.
        """
        if name not in LANDMARK_GROUPS:
            raise LandmarkError(f"Unknown group of landmarks: {name!r}. {did_you_mean(name, LANDMARK_GROUPS)}")
        return self.points[list(LANDMARK_GROUPS[name])]

    def five(self) -> Landmarks:
        """The five points of `POINT_NAMES`: means of the eyes' points, tip of the nose, corners of the outer lip."""
        eyes = [self.group(name).mean(axis=0) for name in ("left_eye", "right_eye")]
        five = np.stack([*eyes, *self.points[[30, 48, 54]]])
        return Landmarks(five, self.source, self.score, self.warnings, self.faces, self.verified)


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
        uv = real_array(self.uv, f"Numbers of the flow ({self.method})", FlowError, "(2, H, W) = (u, v) in px")
        if uv.ndim != 3 or uv.shape[0] != 2:
            raise FlowError(f"Flow has shape {uv.shape}; give (2, H, W) = (u, v) in px.")
        if not np.isfinite(uv).all():
            bad = int((~np.isfinite(uv)).sum())
            raise FlowError(
                f"Flow ({self.method}) contains {bad} NaN or infinite values; recompute it or replace them first."
            )
        object.__setattr__(self, "uv", uv)

    def to_dict(self) -> dict[str, Any]:
        """The field "flow" of a document: method, face size, and mean and maximum length of the flow vectors."""
        length = np.hypot(*self.uv)
        return {
            "method": self.method,
            "face_size_px": int(self.uv.shape[-1]),
            "mean_px": float(length.mean()),
            "max_px": float(length.max()),
        }


#: Keyword arguments that a model can take in addition to the image, as float32:
#: "points": (B, 5, 2) facial points (x, y) in px of the flow image, at which regions are cropped: the face's own or the
#: template's. "points68": (B, 68, 2) points of iBUG 300-W in the same px, measured or estimated from the five.
#: "motion": (B, T, 64) features of the frames (`htnet.preprocess.hoof`); omitted if there is no clip.
EXTRA_INPUTS = ("points", "points68", "motion")
FLOW_METHODS = ("tvl1", "farneback", "dis")
LAYOUTS = ("anatomical", "reference", "whole")
REGION_POINTS = ("template", "landmarks")
RESIZES = ("linear", "area")
#: Possible numbers of bits per value of a camera; the values may be stored in wider integers.
BIT_DEPTHS = (8, 10, 12, 14, 16)
#: Regions whose flow can be taken as the head's flow, and all methods of removing head motion.
HEAD_REGIONS = ("nose", "eyes")
HEAD_MOTIONS = ("none", *HEAD_REGIONS, "register")
#: Side in px of the flow image in whose pixels the landmark template is given.
TEMPLATE_SIZE = 28


#: The uses of a field of `PreprocessSpec`: it affects the flow image (fixed once images are saved), what the network
#: reads from the image and in addition to it, or the motion features of clips.
SPEC_USES = ("image", "network", "motion")


@dataclass(frozen=True)
class PreprocessSpec(Checked):
    """Settings of the preprocessing from two frames to a network input; saved with the weights.

    The metadata of each field state its uses, see `SPEC_USES` and `part`.

    Attributes:
        layout: regions of the flow image that the network reads: "anatomical" (both eyes above both
            mouth corners), "reference" (the published crop, including its transposition) or "whole".
        region_points: points at which regions are cropped: the "template" points, or the face's own
            "landmarks".
        size: side of the flow image, px.
        face_size: side of the aligned face on which flow is computed, px.
        template: five (x, y) in px of a 28 px image, to which the face is aligned by a similarity transform.
        flow: flow method: "tvl1", "farneback" or "dis".
        flow_parameters: (name, value) pairs that differ from the method's defaults.
        resize: "linear" (the reference: cv2.INTER_LINEAR) or "area".
        channels: channel order of the flow image; the published order is strain, v, u.
        head_motion: "none"; or the region whose median flow is subtracted from the flow of the aligned face,
            "nose" or "eyes" (see `htnet.preprocess.remove_head_motion`); or "register": the apex face is registered to
            the onset face by its rigid parts before the flow is computed, which removes translation, in-plane rotation
            and scaling (approach of the head).
        clahe: equalize the contrast of the aligned gray faces before the flow is computed (see
            `htnet.preprocess.clahe`).
        clip_frames: number of time points to which a clip is interpolated, for models that read motion (see
            `htnet.preprocess.motion_features`); 0 for a model that was trained without motion, which then gets none.
    """

    layout: str = checked("anatomical", one_of(LAYOUTS), uses=("network",))
    region_points: str = checked("template", one_of(REGION_POINTS), uses=("network", "motion"))
    size: int = checked(28, SIDE, uses=("image",))
    face_size: int = checked(224, SIDE, uses=("image", "motion"))
    template: tuple[tuple[float, float], ...] = checked(TEMPLATE_28, FIVE_POINTS, uses=("image", "motion"))
    flow: str = checked("tvl1", one_of(FLOW_METHODS), uses=("image", "motion"))
    flow_parameters: tuple[tuple[str, float], ...] = field(default=(), metadata={"uses": ("image", "motion")})
    resize: str = checked("linear", one_of(RESIZES), uses=("image",))
    channels: tuple[str, ...] = checked(("strain", "v", "u"), CHANNELS, uses=("network",))
    head_motion: str = checked("none", one_of(HEAD_MOTIONS), uses=("image", "motion"))
    clahe: bool = checked(False, flag(), uses=("image", "motion"))
    clip_frames: int = checked(16, MOMENTS, uses=("network", "motion"))

    _error = SpecError
    _noun = "preprocessing field"
    _prefix = "PreprocessSpec."

    def __post_init__(self) -> None:
        # What each method of flow knows and allows is checked where it is computed.
        pairs = named_numbers(self.flow_parameters, "PreprocessSpec.flow_parameters", SpecError)
        object.__setattr__(self, "flow_parameters", pairs)
        super().__post_init__()

    def part(self, use: str) -> dict[str, Any]:
        """The fields with the given use, one of `SPEC_USES`, by name."""
        one_of(SPEC_USES).check("use", use, SpecError)
        fields = [f.name for f in dataclasses.fields(self) if use in f.metadata["uses"]]
        return {name: getattr(self, name) for name in fields}

    def differences(self, other: PreprocessSpec, use: str) -> dict[str, tuple[Any, Any]]:
        """The fields with the given ``use`` in which two specs differ: (own value, other's value), by name."""
        theirs = other.part(use)
        return {name: (own, theirs[name]) for name, own in self.part(use).items() if own != theirs[name]}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, the inverse of `from_dict`."""
        out = dataclasses.asdict(self)
        out |= {"flow_parameters": dict(self.flow_parameters), "channels": list(self.channels)}
        out["template"] = [list(p) for p in self.template]
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PreprocessSpec:
        """Rebuild a spec; unknown fields are refused, because they would silently change the input."""
        values = dict(data)
        with suppress(KeyError, TypeError, ValueError):  # the field's rule refuses anything but five points
            values["template"] = tuple((float(x), float(y)) for x, y in values["template"])
        return super().from_dict(values)


@dataclass(frozen=True, eq=False)
class ModelInput:
    """The model input computed from one sample.

    Attributes:
        image: (3, size, size) float32, 0..255, the input of the network.
        flow_image: (size, size, 3) uint8, the whole face in the published convention (BGR =
            strain, v, u).
        regions_at: "template" or "landmarks": the points at which regions were cropped.
        landmarks: the five points in px of the onset frame; None if only a flow image was given.
        points: the same five points in px of the flow image, (5, 2); None if unknown.
        flow: flow on the aligned face; None if only a flow image was given.
        motionless: whether a channel of the flow image is constant, which does not occur in the published images: the
            frames are equal, one of them is uniformly gray, or the whole face moves rigidly.
        points68: 68 points in px of the flow image, for models that read them; ``estimated`` states whether they
            were measured or come from the five points or from the template. None if they were not requested.
        motion: (T, 64) float32 features of the clip's frames; None without a clip.
        warnings: reasons to doubt the frames or the flow; those about the points are stored with the points.
        expression: probability that the two frames differ by an expression, see
            `htnet.preprocess.evidence.expression_probability`; None if it was not requested or cannot be determined.
    """

    image: FloatArray
    flow_image: ByteArray
    regions_at: str
    landmarks: Landmarks | None = None
    points: FloatArray | None = None
    flow: Flow | None = None
    motionless: bool = False
    points68: Landmarks68 | None = None
    motion: FloatArray | None = None
    warnings: tuple[QualityWarning, ...] = ()
    expression: float | None = None

    def __post_init__(self) -> None:
        """Add the warnings about missing motion."""
        still = self.motion is not None and not self.motion.any()
        said = {warning.code for warning in self.warnings}
        more = [
            w for w, contains in ((MOTIONLESS, self.motionless), (STILL_CLIP, still)) if contains and w.code not in said
        ]
        object.__setattr__(self, "warnings", (*self.warnings, *more))

    @property
    def doubts(self) -> tuple[QualityWarning, ...]:
        """The warnings about the points, then those about the input itself."""
        return self.warnings if self.landmarks is None else (*self.landmarks.warnings, *self.warnings)


#: Regions whose motion is accumulated from frame to frame to find an expression in a video.
MOTION_REGIONS = ("brows", "eyes", "mouth")


@dataclass(frozen=True, eq=False)
class Spotting:
    """Onset, apex and offset of the expression in a clip.

    Frame numbers are those of the whole video, from 0, even if only a part of it was searched: row k of ``curve``,
    ``regions``, ``heads`` and ``times`` belongs to frame ``first`` + k.

    Attributes:
        onset: last frame before the face moves.
        apex: frame of the strongest expression.
        offset: first frame at rest after the expression, or the clip's last frame.
        confidence: 0..1, see `htnet.preprocess.spot`; 0.5 for a peak of five times the noise; None if there are
            too few frames to distinguish noise from motion.
        curve: (N,) float32, the smoothed magnitude of the motion of each frame relative to the first one, px of a
            224 px face, as the mean of the regions. The apex is its peak.
        regions: (N, 3) float32, the magnitude of each of `MOTION_REGIONS`, px, not smoothed.
        heads: (N, 2, 3) float64, the head's motion: the similarity transform from px of the first frame to px of
            frame n.
        landmarks: the five points in px of the first frame.
        fps: frames per second; None if unknown. For a video with a variable frame rate, the most common rate.
        method: search method for the apex.
        warnings: reasons to doubt the spotted frames.
        source: the video file or the folder of frames; None for frames given as arrays.
        sample: identifier; "" if none was given.
        times: (N,) float64, the time of each frame in s from the start of the whole video, from the time stamps of the
            file if it has them; None if unknown.
        first: number of the first frame that was searched.
    """

    onset: int
    apex: int
    offset: int
    confidence: float | None
    curve: FloatArray
    regions: FloatArray
    heads: Float64Array
    landmarks: Landmarks
    fps: float | None
    method: str
    warnings: tuple[QualityWarning, ...] = ()
    source: str | None = None
    sample: str = ""
    times: Float64Array | None = None
    first: int = 0

    def time(self, number: int) -> float | None:
        """Seconds from the first frame of the video to frame ``number``; None if unknown."""
        return None if self.times is None else float(self.times[self._row(number)])

    def landmarks_at(self, number: int) -> Landmarks:
        """The five points of the first frame, moved with the head to frame ``number``."""
        matrix = self.heads[self._row(number)]
        points = self.landmarks.points @ matrix[:, :2].T + matrix[:, 2]
        return dataclasses.replace(self.landmarks, points=points.astype(np.float32))

    def _row(self, number: int) -> int:
        if not self.first <= number < self.first + len(self.curve):
            last = self.first + len(self.curve) - 1
            raise InputError(f"Frame {number} was not searched; give one from {self.first} to {last}.")
        return number - self.first

    def to_dict(self) -> dict[str, Any]:
        """The document "htnet.spotting", see docs/output.md."""
        names = {"sample": self.sample or file_stem(self.source), "files": {"video": self.source}}
        return document("htnet.spotting", {**names, **self.part()}, (*self.landmarks.warnings, *self.warnings))

    def part(self) -> dict[str, Any]:
        """The field "spotting" of a prediction's document: numbers and times of the frames, and the confidence."""
        numbers = {name: getattr(self, name) for name in ("onset", "apex", "offset")}
        return {
            **{f"{name}_frame": number for name, number in numbers.items()},
            **{f"{name}_time_s": self.time(number) for name, number in numbers.items()},
            "confidence": self.confidence,
            "frame_count": len(self.curve),
            "first_frame": self.first,
            "fps": self.fps,
            "method": self.method,
            "landmarks": self.landmarks.to_dict("px of the first frame searched"),
        }


@dataclass(frozen=True)
class SourceFiles:
    """Input files of a result; None for inputs that are not files.

    Attributes:
        onset: the onset frame.
        apex: the apex frame.
        video: the video file or the folder of frames.
        flow_image: a flow image given instead of frames.
    """

    onset: str | None = None
    apex: str | None = None
    video: str | None = None
    flow_image: str | None = None

    @property
    def stem(self) -> str:
        """Name of the first of these files, without extension; "" if there are none."""
        return file_stem(self.video or self.onset or self.apex or self.flow_image)


def file_stem(path: str | None) -> str:
    """Name of a file, without extension, or of a folder; "" for None."""
    if path is None:
        return ""
    return Path(path).name if os.path.isdir(Path(path)) else Path(path).stem


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction for one sample.

    Attributes:
        label: name of the most probable class; `NO_EXPRESSION` if ``expression`` is below
            `EXPRESSION_THRESHOLD`, unless the caller asked for a class in every case. Documents and CSV files call it
            "prediction".
        probabilities: class name to probability, in the model's class order.
        model: name of the weights.
        input: the model input, with landmarks and flow.
        sample: identifier of the sample; by default the name of its first file without extension.
        truth: the annotated class of the sample; None if unknown.
        spotting: the spotted onset, apex and offset, for a video.
        action_units: predictions of all action units of the model; empty for a model without action units.
        files: the input files.
        architecture: name of the model's architecture in the registry.
        temperature: divisor of the scores before the softmax; 1 changes nothing.
        license_expression: terms of use of the weights as an SPDX license expression; "" for an untrained model.
    """

    label: str
    probabilities: Mapping[str, float]
    model: str
    input: ModelInput
    sample: str = ""
    truth: str | None = field(default=None)
    spotting: Spotting | None = None
    action_units: tuple[UnitPrediction, ...] = ()
    files: SourceFiles = field(default_factory=SourceFiles)
    architecture: str = ""
    temperature: float = 1.0
    license_expression: str = ""

    @property
    def landmarks(self) -> Landmarks | None:
        """The five points in px of the onset frame."""
        return self.input.landmarks

    @property
    def flow(self) -> Flow | None:
        """Flow on the aligned face."""
        return self.input.flow

    @property
    def expression(self) -> float | None:
        """Probability that the two frames differ by an expression, assuming that half of all pairs do.

        It is computed from the motion in px, before the network's input is scaled, and does not depend on the kind of
        expression. None for a flow image, which does not contain the magnitude of the motion, and if the faces cannot
        be registered.
        """
        return self.input.expression

    @property
    def motionless(self) -> bool:
        """Whether a channel of the flow image is constant, so that the label is unreliable; see `ModelInput`."""
        return self.input.motionless

    @property
    def warnings(self) -> tuple[QualityWarning, ...]:
        """All warnings about this prediction: points, frames, flow and spotting; each once."""
        found = [*(self.landmarks.warnings if self.landmarks is not None else ()), *self.input.warnings]
        told = {warning.code for warning in found}
        # The onset's face is usually as dark or hazy as that of the first frame.
        found += [w for w in (self.spotting.warnings if self.spotting is not None else ()) if w.code not in told]
        return tuple(dict.fromkeys(found))

    def to_dict(self) -> dict[str, Any]:
        """The document "htnet.prediction", see docs/output.md: ready for `json.dumps`."""
        points68 = self.input.points68
        content = {
            "sample": self.sample or self.files.stem,
            "files": dataclasses.asdict(self.files),
            "prediction": self.label,
            "expression": self.expression,
            "truth": self.truth,
            "probabilities": dict(self.probabilities),
            "classes": list(self.probabilities),
            "model": model_part(self.model, self.architecture, self.temperature, self.license_expression),
            "motionless": self.motionless,
            "action_units": [unit.to_dict() for unit in self.action_units],
            "regions_at": self.input.regions_at,
            "landmarks": None if self.landmarks is None else self.landmarks.to_dict("px of the onset frame"),
            "points68": None if points68 is None else {"source": points68.source, "estimated": points68.estimated},
            "flow": None if self.flow is None else self.flow.to_dict(),
            "spotting": None if self.spotting is None else self.spotting.part(),
        }
        return document("htnet.prediction", content, self.warnings)
