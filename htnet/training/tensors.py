"""A manifest as tensors in memory: flow images, points and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from htnet.data import Manifest, Sample
from htnet.errors import HtnetError, ManifestError, about_sample
from htnet.preprocess import (
    PUBLISHED_CHANNELS,
    Landmarker,
    Preprocessor,
    crop_regions,
    read_flow_image,
    read_points_json,
    template_points,
)
from htnet.types import ByteArray, FloatArray, Frame, PreprocessSpec

Progress = Callable[[Iterable[Sample]], Iterable[Sample]]


@dataclass(frozen=True, eq=False)
class FlowSet:
    """Whole-face flow images of many samples.

    Attributes:
        images: (N, 3, S, S) uint8, channel order of ``spec.channels``.
        points: (N, 5, 2) float32, where regions are cut, px of the image.
        labels: (N,) int64.
        spec: how the images were made and how regions are cut.
    """

    images: Tensor
    points: Tensor
    labels: Tensor
    spec: PreprocessSpec

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    def subset(self, indices: Sequence[int]) -> FlowSet:
        """The samples at ``indices``, in that order."""
        index = torch.as_tensor(indices, dtype=torch.long, device=self.images.device)
        return FlowSet(self.images[index], self.points[index], self.labels[index], self.spec)

    def to(self, device: str | torch.device) -> FlowSet:
        """The same set on another device."""
        return FlowSet(self.images.to(device), self.points.to(device), self.labels.to(device), self.spec)

    def inputs(self) -> Tensor:
        """(N, 3, S, S) float32 network input, 0..255, without augmentation."""
        return crop_regions(self.images.float(), self.points, self.spec.layout)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Per-channel mean and standard deviation of the network input."""
        flat = self.inputs().double().transpose(0, 1).flatten(1)
        return flat.mean(1).float(), flat.std(1).clamp_min(1e-6).float()

    @property
    def u_channel(self) -> int:
        """Index of the channel that holds the horizontal flow."""
        return self.spec.channels.index("u")

    def digest(self) -> str:
        """SHA-256 over images, points and labels: two equal sets have equal digests."""
        found = hashlib.sha256()
        for tensor in (self.images, self.points, self.labels):
            found.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
        return found.hexdigest()


def load_flow_set(
    manifest: Manifest,
    spec: PreprocessSpec,
    landmarker: Landmarker | None = None,
    progress: Progress = lambda samples: samples,
) -> FlowSet:
    """Read a manifest into memory; flow is computed where only frames are given.

    Args:
        manifest: labelled samples. A sample's cached ``flow`` image is used when there is one.
        spec: how flow is made and regions are cut.
        landmarker: finds the five points of samples without a landmarks file: in px of the onset frame,
            or of the flow image for samples that have no frames.
        progress: wraps the iteration, for a progress bar.

    Returns:
        The set, on the CPU.

    Raises:
        ManifestError: a sample without landmarks where the spec cuts at landmarks.
        FrameError, FlowError, LandmarkError: a sample that cannot be read; the message names it.
    """
    preprocessor = Preprocessor(spec, landmarker)
    images, places = [], []
    for sample in progress(manifest.samples):
        image, place = _read(sample, preprocessor)
        order = [PUBLISHED_CHANNELS.index(name) for name in spec.channels]
        images.append(torch.from_numpy(np.ascontiguousarray(image[..., order])).permute(2, 0, 1))
        places.append(template_points(spec) if place is None else torch.from_numpy(place))
    if not images:
        raise ManifestError(f"{manifest.source} holds no samples.")
    return FlowSet(torch.stack(images).contiguous(), torch.stack(places), torch.from_numpy(manifest.labels()), spec)


def _read(sample: Sample, preprocessor: Preprocessor) -> tuple[ByteArray, FloatArray | None]:
    """Flow image of a sample in the published order; its points in px of that image, None for the template's."""
    try:
        if sample.flow is not None:
            image = read_flow_image(sample.flow, preprocessor.spec.size)
            return image, _flow_points(sample, image, preprocessor)
        if sample.onset is None or sample.apex is None:
            raise ManifestError("it has neither frames nor a flow image; give one of the two.")
        made = preprocessor.pair(sample.onset, sample.apex, sample.landmarks, sample.sample)
    except HtnetError as error:
        raise about_sample(sample.sample, error) from error
    return made.flow_image, made.points if preprocessor.spec.region_points == "landmarks" else None


def _flow_points(sample: Sample, image: ByteArray, preprocessor: Preprocessor) -> FloatArray | None:
    if preprocessor.spec.region_points == "template":
        return None
    if sample.landmarks is not None:
        return read_points_json(sample.landmarks).points
    if preprocessor.landmarker is None:
        raise ManifestError(
            "it has no landmarks, but regions are to be cut at landmarks. Give a landmarks file, or cut at the "
            "template: --region-points template."
        )
    return preprocessor.landmarker(Frame(image, str(sample.flow)), sample.sample).points
