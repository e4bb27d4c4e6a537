"""What samples of a manifest show: whether that is an expression at all, and the motion beside their two frames."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from htnet.core.errors import FrameError, LandmarkError, ManifestError
from htnet.core.identity import differ, shared
from htnet.core.types import ByteArray, FloatArray, Frame, Landmarks, ModelInput, PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.data.manifest import sample_fault
from htnet.data.tables import listed
from htnet.preprocess import Landmarker, motion_features, open_clip, read_frame, read_motion


def degenerate(sample: Sample, made: ModelInput | None = None) -> str:
    """Why a sample cannot show an expression, so that it must not be trained or tested on; "" if it can.

    The one rule of every path: its apex is its onset or lies before it, its clip ends before it begins (by the names
    of the files), its two frames are the same picture, or a channel of its flow image is constant. A reader that took
    the middle frame for an impossible apex has answered the first.

    Args:
        sample: the sample.
        made: what the preprocessor made of it; None where its files are not read yet.
    """
    fault = sample_fault(sample)
    if fault or made is None:
        return fault
    if any(warning.code == "same_frame" for warning in made.warnings):
        return "its onset and its apex are the same picture"
    return "a channel of its flow image is constant, so that it shows no motion" if made.motionless else ""


def refuse_shared_pictures(manifest: Manifest, images: Iterable[ByteArray]) -> None:
    """Refuse one flow image under two people, or two data sets, however it is stored.

    `htnet.core.identity.check_files` sees files of equal bytes; this sees equal pictures in files that differ.

    Args:
        manifest: the samples.
        images: the flow image of each.

    Raises:
        ManifestError: there is such an image; the message names both samples.
    """
    found: dict[bytes, list[Sample]] = {}
    for sample, image in zip(manifest, images, strict=True):
        others = found.setdefault(hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest(), [])
        for other in others:
            if differ(other, sample):
                raise ManifestError(shared(manifest.source, other, sample, "have one flow image, value for value"))
        others.append(sample)


def reads_motion(extras: Sequence[str], spec: PreprocessSpec) -> bool:
    """Whether a model with these ``extra_inputs`` is shown motion: it can read it, and its spec asks for it."""
    return "motion" in extras and spec.clip_frames > 0


def check_motion(manifest: Manifest, spec: PreprocessSpec) -> None:
    """Refuse a manifest in which some samples show no motion.

    A model that learned from both kinds at once could tell data sets apart by whether they come with clips, so there
    is no filling in.

    Raises:
        ManifestError: there are such samples; the message names them.
    """
    without = [s.sample for s in manifest if s.clip is None and s.motion is None]
    if without:
        raise ManifestError(
            f"{manifest.source}: {listed(without)} without clip, but the preprocessing asks for motion (clip_frames "
            f"{spec.clip_frames}). Name the clips in the column 'clip' (a folder that htnet prepare made needs its "
            "--clip-frames), leave these samples out, or go without motion: --clip-frames 0."
        )


def sample_motion(
    sample: Sample,
    spec: PreprocessSpec,
    landmarker: Landmarker | None = None,
    at_onset: Landmarks | None = None,
    bit_depth: int | None = None,
) -> FloatArray:
    """The motion features of a sample: those on file, or else computed from its clip.

    Args:
        sample: with ``motion`` or ``clip``.
        spec: how they are made.
        landmarker: finds the points of the clip's first frame, where ``at_onset`` is not given; without it the
            sample's own file of points is read, if that speaks of its onset frame.
        at_onset: points in px of the sample's onset frame, which the clip's first frame is.
        bit_depth: bits of the values in 16-bit frames, where they are fewer.

    Returns:
        (clip_frames, 64) float32.

    Raises:
        ManifestError: the sample has neither.
        InputError: the clip or the features on file cannot be used.
        LandmarkError: there are no points for the clip's first frame.
    """
    if sample.motion is not None:
        return read_motion(sample.motion, spec)
    if sample.clip is None:
        raise ManifestError(
            f"it names no clip, but motion is asked for (clip_frames {spec.clip_frames}). Name a video or a folder of "
            "frames in the column 'clip'; a pair of frames alone is answered without motion."
        )
    clip = open_clip(sample.clip, sample.clip_first, sample.clip_last, bit_depth if sample.clip.is_dir() else None)
    points: Landmarker | Path
    if at_onset is not None and sample.onset is not None:
        points = partial(_points_of_onset, read_frame(sample.onset, bit_depth), at_onset)
    elif landmarker is not None:
        points = landmarker
    elif sample.landmarks is not None and sample.onset is not None:
        points = sample.landmarks
    else:
        raise LandmarkError(
            f"there are no points of the first frame of its clip {sample.clip}. Have them found (landmarks 'yunet'), "
            "or give onset, apex and landmarks too."
        )
    return motion_features(clip, points, spec, sample=sample.sample)


def _points_of_onset(onset: Frame, points: Landmarks, frame: Frame, sample: str = "") -> Landmarks:
    """Points of the onset frame for the first frame of the clip, which must be of its size."""
    if onset.size != frame.size:
        (height, width), (own_height, own_width) = frame.size, onset.size
        raise FrameError(
            f"The clip's first frame {frame.source} is {width}x{height} px, the onset {onset.source} "
            f"{own_width}x{own_height} px, so that its points do not fit. Give the clip that the onset was taken from, "
            "beginning at that frame (columns 'clip_first' and 'clip_last')."
        )
    return points
