"""Reader of a manifest's samples, shared by training, prediction and preparation."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from htnet.core.errors import (
    FrameError,
    HtnetError,
    InputError,
    LandmarkError,
    ManifestError,
    SpecError,
    about_sample,
    refuse_unknown,
)
from htnet.core.hints import how
from htnet.core.identity import differ, shared
from htnet.core.paths import as_path
from htnet.core.types import (
    EXTRA_INPUTS,
    ByteArray,
    FloatArray,
    Frame,
    Landmarks,
    Landmarks68,
    ModelInput,
    PreprocessSpec,
)
from htnet.core.words import listed
from htnet.data.manifest import Manifest, Sample, sample_fault
from htnet.data.prepared import check_unchanged, image_spec
from htnet.preprocess import (
    FrameSource,
    Landmarker,
    LandmarkSource,
    LazyLandmarker,
    Preprocessor,
    motion_features,
    open_clip,
    read_flow_image,
    read_frame,
    read_motion,
    template_points,
)
from htnet.preprocess.depth import check_bit_depth
from htnet.preprocess.landmarks import finds_68, landmarks_68
from htnet.preprocess.landmarks.base import found_by


def refuse_unused_depth(bit_depth: int | None, manifest: Manifest) -> None:
    """Refuse a bit depth if no sample has frames that are read.

    Raises:
        InputError: ``bit_depth`` is given, but each sample has an existing flow image.
    """
    if bit_depth is not None and len(manifest) and all(s.flow is not None and s.clip is None for s in manifest):
        raise InputError(
            f"{how(f'--bit-depth {bit_depth}', f'bit_depth={bit_depth}')} is for 16-bit frames, but each of the "
            f"{len(manifest)} samples has an existing flow image, which is read as it is. Leave "
            f"{how('--bit-depth', 'bit_depth')} out."
        )


class SampleReader:
    """Reads samples of a manifest; precomputed files take precedence.

    If a sample has a flow image, it is read instead of the frames; if it has a file of motion features, this is read
    instead of the clip. Flow images of a prepared folder must match the spec.
    """

    def __init__(
        self,
        spec: PreprocessSpec,
        landmarks: Landmarker | str | PathLike[str] | LazyLandmarker | None = None,
        *,
        extras: Sequence[str] = (),
        replace_points: bool = False,
        evidence: bool = False,
        bit_depth: int | None = None,
    ) -> None:
        """Store the settings; nothing is read or created yet.

        Args:
            spec: settings of the preprocessing.
            landmarks: source of the points of samples without points: a landmarker, or a name or file for
                `htnet.preprocess.make_landmarker`, created on first use and separately in each process.
            extras: inputs to read in addition to the image, from `htnet.models.EXTRA_INPUTS`. "motion" is read only if
                the spec requires it (``clip_frames``).
            replace_points: use the landmarker for all samples instead of their own landmark files. The points are in
                px of the onset frame, or of the flow image for samples that have one.
            evidence: for frames, also compute the probability that they differ by an expression.
            bit_depth: bits per value of the frames if 16-bit files use fewer; see `htnet.preprocess.read_frame`.

        Raises:
            InputError: ``extras`` contains an unknown name, or ``bit_depth`` is impossible.
        """
        refuse_unknown(extras, EXTRA_INPUTS, "extra input")
        check_bit_depth(bit_depth)
        self.spec = spec
        self.landmarks = landmarks if isinstance(landmarks, LazyLandmarker) else LazyLandmarker(landmarks)
        self.reads_motion = reads_motion(extras, spec)
        self.replace_points = replace_points
        self.bit_depth = bit_depth
        self._preprocessor = Preprocessor(spec, points68="points68" in extras, evidence=evidence, bit_depth=bit_depth)

    def __call__(self, sample: Sample) -> ModelInput:
        """Read the model input of a sample.

        Raises:
            SpecError: its flow image is in a prepared folder and was computed with another spec.
            HtnetError: the sample cannot be read; the message names it.
        """
        try:
            return self._with_motion(sample, self._image(sample))
        except HtnetError as error:
            raise about_sample(sample.sample, error) from error

    def from_frames(self, sample: Sample) -> ModelInput:
        """Compute the model input from frames and clip, ignoring stored files.

        Raises:
            HtnetError: the sample has no frames, or they cannot be read. The message does not name the sample.
        """
        if sample.onset is None or sample.apex is None:
            raise ManifestError("it has no onset and apex frames to compute flow from.")
        anew = replace(sample, flow=None, motion=None)
        return self._with_motion(anew, self._image(anew))

    def pair(self, onset: FrameSource, apex: FrameSource, landmarks: LandmarkSource | None, sample: str) -> ModelInput:
        """Input from two frames, see `htnet.preprocess.Preprocessor.pair`; the landmarker is used if no landmarks are
        given.
        """
        if landmarks is None:
            return self._found().pair(onset, apex, None, sample)
        return self._preprocessor.pair(onset, apex, landmarks, sample)

    def flow_picture(self, image: str | PathLike[str] | ByteArray, sample: str) -> ModelInput:
        """Input from a flow image, see `htnet.preprocess.Preprocessor.flow_picture`.

        Raises:
            SpecError: the image is in a prepared folder and was computed with another spec; or the spec requires a
                registered apex, and it is unknown whether the image was computed from one.
        """
        if isinstance(image, (str, PathLike)):
            self._check_prepared(as_path(image, "image"))
        else:
            self._check_registered(image)
        return self._preprocessor.flow_picture(image, sample=sample)

    def _found(self) -> Preprocessor:
        """The preprocessor with its landmarker, which is created on the first call."""
        self._preprocessor.landmarker = self.landmarks.get()
        return self._preprocessor

    def _own_points(self, sample: Sample) -> Path | None:
        return None if self.replace_points and self.landmarks.given is not None else sample.landmarks

    def _image(self, sample: Sample) -> ModelInput:
        own = self._own_points(sample)
        if sample.flow is None:
            if sample.onset is None or sample.apex is None:
                raise ManifestError("it has neither onset and apex frames nor a flow image. Give one of the two.")
            return self.pair(sample.onset, sample.apex, own, sample.sample)
        self._check_prepared(sample.flow)
        points: Landmarks | Landmarks68 | Path | None = own
        if self.spec.region_points == "landmarks":
            if own is not None and sample.onset is not None:
                points = self._preprocessor.on_flow_image(sample.onset, own, sample.sample)
            elif self.replace_points and (finder := self.landmarks.get()) is not None:
                picture = read_flow_image(sample.flow, self.spec.size)
                frame = Frame(picture, str(sample.flow))
                wanted = self._preprocessor.points68 and finds_68(finder)
                if wanted:
                    points = landmarks_68(finder, frame, sample.sample)
                else:
                    points = found_by(finder, frame, sample.sample, Landmarks)
        return self._preprocessor.flow_picture(sample.flow, points, sample.sample)

    def _check_prepared(self, flow: Path) -> None:
        """Refuse a flow image of a prepared folder that was computed with another spec, or has changed."""
        self._check_registered(flow)
        made = image_spec(flow)
        if made is not None and (differences := made.differences(self.spec, "image")):
            said = "; ".join(f"{name} is {own!r}, not {ours!r}" for name, (own, ours) in differences.items())
            raise SpecError(
                f"The flow images in {flow.parent} were computed with other settings than requested: {said}. "
                "Prepare the data again with the requested settings, or use weights that were trained on such images. "
                "For training, htnet.prepare.resolve_spec(manifest, spec) returns the spec with the folder's settings."
            )
        check_unchanged(flow)

    def _check_registered(self, image: str | PathLike[str] | ByteArray) -> None:
        """Refuse a flow image that may show unregistered faces if the spec requires registered ones."""
        if self.spec.head_motion != "register":
            return
        known = image_spec(as_path(image, "image")) if isinstance(image, (str, PathLike)) else None
        if known is None or known.head_motion != "register":
            raise SpecError(
                f"{image if isinstance(image, (str, PathLike)) else 'The flow image'} cannot be used: head_motion is "
                "'register', and the apex cannot be registered to the onset in a flow image. Give the frames, "
                "or compute the flow images with htnet prepare --head-motion register."
            )

    def _with_motion(self, sample: Sample, made: ModelInput) -> ModelInput:
        return replace(made, motion=self._motion(sample, made.landmarks)) if self.reads_motion else made

    def _motion(self, sample: Sample, at_onset: Landmarks | None) -> FloatArray:
        """Motion features from the sample's file, otherwise of its clip, whose first frame is the onset."""
        if sample.motion is not None:
            return read_motion(sample.motion, self.spec)
        if sample.clip is None:
            raise ManifestError(
                f"it has no clip, but motion is requested (clip_frames {self.spec.clip_frames}). Give a video or a "
                "folder of frames in the column 'clip'; a pair of frames alone can be predicted without motion."
            )
        depth = self.bit_depth if os.path.isdir(sample.clip) else None
        clip = open_clip(sample.clip, sample.clip_first, sample.clip_last, depth)
        points: Landmarker | Path | None = self._own_points(sample) if sample.onset is not None else None
        if at_onset is not None and sample.onset is not None:
            points = partial(_points_of_onset, read_frame(sample.onset, self.bit_depth), at_onset)
        points = points or self.landmarks.get()
        if points is None:
            raise LandmarkError(
                f"there are no points for the first frame of its clip {sample.clip}. Detect them (landmarks 'yunet'), "
                f"or also give onset, apex and landmarks."
            )
        return motion_features(clip, points, self.spec, sample=sample.sample)


def _points_of_onset(onset: Frame, points: Landmarks, frame: Frame, sample: str = "") -> Landmarks:
    """The onset frame's points for the first frame of the clip, which must have the same size."""
    if onset.size != frame.size:
        (height, width), (own_height, own_width) = frame.size, onset.size
        raise FrameError(
            f"The clip's first frame {frame.source} is {width}x{height} px, but the onset {onset.source} is "
            f"{own_width}x{own_height} px, so its points do not fit. Give the clip that the onset was taken from, "
            "starting at that frame (columns 'clip_first' and 'clip_last')."
        )
    return points


def extra_inputs(inputs: Sequence[ModelInput], names: Sequence[str], spec: PreprocessSpec) -> dict[str, torch.Tensor]:
    """The additional inputs of a model, one row per sample; see `htnet.models.EXTRA_INPUTS`.

    Args:
        inputs: results of a `SampleReader` or a `Preprocessor`, with ``points68`` if ``names`` contains it.
        names: ``extra_inputs`` of the model.
        spec: the spec that the inputs were computed with.

    Returns:
        float32 tensors on the CPU. "motion" is left out if no sample has it; if only some have it, the rows of the
        others are 0, as for a clip without motion.

    Raises:
        InputError: a name is unknown, an input lacks the 68 points, or the clips have different lengths.
    """
    refuse_unknown(names, EXTRA_INPUTS, "extra input")
    out: dict[str, torch.Tensor] = {}
    if "points" in names:
        template = template_points(spec)
        known = [made.points if made.regions_at == "landmarks" else None for made in inputs]
        out["points"] = torch.stack([template if p is None else torch.from_numpy(p) for p in known])
    if "points68" in names:
        found = [made.points68 for made in inputs if made.points68 is not None]
        if len(found) < len(inputs):
            raise InputError("An input lacks the 68 points; compute it with Preprocessor(spec, points68=True).")
        out["points68"] = torch.from_numpy(np.stack([points.points for points in found]))
    moves = [made.motion for made in inputs if made.motion is not None]
    if "motion" in names and moves:
        if len(shapes := {m.shape for m in moves}) > 1:
            raise InputError(f"Motion features have the shapes {sorted(shapes)}; give clips of equal length.")
        still = np.zeros_like(moves[0])
        rows = [still if made.motion is None else made.motion for made in inputs]
        out["motion"] = torch.from_numpy(np.stack(rows))
    return out


def degenerate(sample: Sample, made: ModelInput | None = None) -> str:
    """Why a sample cannot show an expression, so that it must not be used for training or testing; "" if it can.

    The rule is the same everywhere: the apex is the onset or a frame before it, the clip ends before it begins
    (according to file names), the two frames are the same picture, a channel of the flow image is constant, or nothing
    moves in the clip. The first case does not occur if a reader has replaced the impossible apex by the middle frame.

    Args:
        sample: the sample.
        made: the preprocessor's result; None if the files have not been read yet.
    """
    fault = sample_fault(sample)
    if fault or made is None:
        return fault
    codes = {warning.code for warning in made.warnings}
    if "same_frame" in codes:
        return "its onset and its apex are the same picture"
    if made.motionless:
        return "a channel of its flow image is constant, so it shows no motion"
    return "nothing moves in its clip: all its motion features are 0" if "still_clip" in codes else ""


def refuse_shared_pictures(manifest: Manifest, images: Iterable[ByteArray]) -> None:
    """Refuse the same flow image under two people or two data sets.

    `htnet.core.identity.check_files` detects files with equal bytes; this detects equal pictures in different files.

    Args:
        manifest: the samples.
        images: the flow image of each sample.

    Raises:
        ManifestError: there is such an image; the message names both samples.
    """
    found: dict[bytes, list[Sample]] = {}
    for sample, image in zip(manifest, images, strict=True):
        others = found.setdefault(hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest(), [])
        for other in others:
            if differ(other, sample):
                raise ManifestError(shared(manifest.source, other, sample, "have the same flow image, value for value"))
        others.append(sample)


def reads_motion(extras: Sequence[str], spec: PreprocessSpec) -> bool:
    """Whether a model with these ``extra_inputs`` reads motion: it has the input, and its spec requires it."""
    return "motion" in extras and spec.clip_frames > 0


def check_motion(manifest: Manifest, spec: PreprocessSpec) -> None:
    """Refuse a manifest in which some samples have no motion.

    Missing motion is not replaced by zeros, because a model trained on such data could distinguish data sets by whether
    they have clips.

    Raises:
        ManifestError: some samples have no motion; the message names them.
    """
    without = [s.sample for s in manifest if s.clip is None and s.motion is None]
    if without:
        raise ManifestError(
            f"{manifest.source}: {listed(without)} without clip, but the preprocessing requests motion (clip_frames "
            f"{spec.clip_frames}). Give the clips in the column 'clip' (for a folder written by htnet prepare, use its "
            "--clip-frames), leave these samples out, or train without motion: --clip-frames 0."
        )
