"""A manifest as tensors in memory: flow images, points and labels."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    template_points,
)
from htnet.types import Frame, Landmarks, ModelInput, PreprocessSpec

Progress = Callable[[Iterable[Sample]], Iterable[Sample]]


@dataclass(frozen=True, eq=False)
class FlowSet:
    """Whole-face flow images of many samples.

    Attributes:
        images: (N, 3, S, S) uint8, channel order of ``spec.channels``.
        points: (N, 5, 2) float32, where regions are cut, px of the image.
        labels: (N,) int64.
        spec: how the images were made and how regions are cut.
        cut_at: "landmarks" or "template" for each sample: where its regions are cut. A sample without
            landmarks is cut at the template's points.
    """

    images: Tensor
    points: Tensor
    labels: Tensor
    spec: PreprocessSpec
    cut_at: tuple[str, ...]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    def subset(self, indices: Sequence[int]) -> FlowSet:
        """The samples at ``indices``, in that order."""
        index = torch.as_tensor(indices, dtype=torch.long, device=self.images.device)
        cut_at = tuple(self.cut_at[i] for i in index.tolist())
        return FlowSet(self.images[index], self.points[index], self.labels[index], self.spec, cut_at)

    def to(self, device: str | torch.device) -> FlowSet:
        """The same set on another device."""
        return dataclasses.replace(
            self, images=self.images.to(device), points=self.points.to(device), labels=self.labels.to(device)
        )

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

    def cut_counts(self) -> dict[str, int]:
        """Number of samples whose regions are cut at "landmarks" and at "template"."""
        return dict(sorted(Counter(self.cut_at).items()))

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
        landmarker: finds the five points, in place of the samples' own landmarks files: in px of the onset
            frame, or of the flow image for a sample with a cached one.
        progress: wraps the iteration, for a progress bar.

    Returns:
        The set, on the CPU.

    Raises:
        ManifestError: no samples, or one without label, frames and flow image.
        FrameError, FlowError, LandmarkError: a sample that cannot be read; the message names it.
    """
    preprocessor = Preprocessor(spec, landmarker)
    images, points, cut_at = [], [], []
    template = template_points(spec)
    order = [PUBLISHED_CHANNELS.index(name) for name in spec.channels]
    for sample in progress(manifest.samples):
        made = _read(sample, preprocessor)
        images.append(torch.from_numpy(np.ascontiguousarray(made.flow_image[..., order])).permute(2, 0, 1))
        cut_at.append(made.regions_at)
        known = made.regions_at == "landmarks" and made.points is not None
        points.append(torch.from_numpy(made.points) if known else template)
    if not images:
        raise ManifestError(f"{manifest.source} holds no samples.")
    labels = torch.from_numpy(manifest.labels())
    return FlowSet(torch.stack(images).contiguous(), torch.stack(points), labels, spec, tuple(cut_at))


def _read(sample: Sample, preprocessor: Preprocessor) -> ModelInput:
    landmarker = preprocessor.landmarker
    try:
        if sample.flow is not None:
            points: Landmarks | Path | None = sample.landmarks
            if landmarker is not None and preprocessor.spec.region_points == "landmarks":
                image = read_flow_image(sample.flow, preprocessor.spec.size)
                points = landmarker(Frame(image, str(sample.flow)), sample.sample)
            return preprocessor.flow_picture(sample.flow, points, sample.sample)
        if sample.onset is None or sample.apex is None:
            raise ManifestError("it has neither frames nor a flow image; give one of the two.")
        own = sample.landmarks if landmarker is None else None
        return preprocessor.pair(sample.onset, sample.apex, own, sample.sample)
    except HtnetError as error:
        raise about_sample(sample.sample, error) from error
