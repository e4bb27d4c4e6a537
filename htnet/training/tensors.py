"""A manifest as tensors in memory: flow images, points and labels."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from htnet.core.deprecated import renamed_attributes
from htnet.core.doubts import warn_doubts
from htnet.core.errors import ManifestError, RecipeError, refuse_type, refuse_unknown
from htnet.core.hints import hint, how, prepare_manifest
from htnet.core.types import EXTRA_INPUTS, Landmarks, ModelInput, PreprocessSpec, QualityWarning
from htnet.core.words import listed
from htnet.data import Manifest, Sample
from htnet.data.degenerate import refuse_degenerate
from htnet.data.manifest import check_manifest
from htnet.data.prepared import resolve_spec
from htnet.data.reader import SampleReader, check_motion, degenerate, extra_inputs, reads_motion
from htnet.preprocess import PUBLISHED_CHANNELS, Landmarker, crop_regions, estimate_68
from htnet.training.annotated_units import unit_targets
from htnet.training.augment import augment
from htnet.training.recipe import AnyAugmentation, Augmentation

Progress = Callable[[Iterable[Sample]], Iterable[Sample]]
Set = TypeVar("Set", bound="TrainingSet")
Own = TypeVar("Own", bound="TensorSet")


class TrainingSet(Protocol):
    """Interface of a set of samples in memory that `train_model` can train on."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64 class indexes."""
        ...

    @property
    def units(self) -> Tensor | None:
        """(N, U, 2) active action units, NaN where unknown; None if the set has none."""
        ...

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def to(self: Set, device: str | torch.device) -> Set:
        """The same set on another device."""
        ...

    def inputs(self) -> Tensor:
        """(N, C, S, S) float32 network input, 0..255, without augmentation."""
        ...

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Per-channel mean and standard deviation of the network input."""
        ...

    def digest(self) -> str:
        """Hash of the content: two equal sets have equal digests."""
        ...

    def extras(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Extra inputs of models, for all samples; names that the set cannot have are refused."""
        ...

    def batch(
        self, index: Tensor, augmentation: Any, mean: Tensor, std: Tensor, extras: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Augmented network input of the samples at ``index``, their targets for the loss, and their extra inputs."""
        ...


class TensorSet:
    """Images and labels of many samples; the first axis of every tensor of a set is the sample.

    Attributes:
        images: (N, 3, S, S) uint8.
        labels: (N,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    def subset(self: Own, indices: Sequence[int]) -> Own:
        """The samples at ``indices``, in that order."""
        index = torch.as_tensor(indices, dtype=torch.long, device=self.images.device)
        return self._map(lambda tensor: tensor[index])

    def to(self: Own, device: str | torch.device) -> Own:
        """The same set on another device."""
        return self._map(lambda tensor: tensor.to(device))

    def _map(self: Own, change: Callable[[Tensor], Tensor]) -> Own:
        """The same set with every tensor changed."""
        changed: dict[str, Any] = {k: change(v) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return dataclasses.replace(self, **changed)  # type: ignore[type-var] # sets are dataclasses

    def _shown(self) -> list[Tensor | None]:
        """All model inputs, and the labels."""
        return [self.images, self.labels]

    def digest(self) -> str:
        """SHA-256 over all model inputs and labels: two equal sets have equal digests."""
        found = hashlib.sha256()
        for tensor in self._shown():
            if tensor is not None:
                found.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
        return found.hexdigest()


@renamed_attributes
@dataclass(frozen=True, eq=False)
class FlowSet(TensorSet):
    """Whole-face flow images of many samples.

    Attributes:
        images: (N, 3, S, S) uint8, channel order of ``spec.channels``.
        points: (N, 5, 2) float32, where regions are cut, px of the image.
        labels: (N,) int64.
        spec: how the images were made and how regions are cut.
        regions_at: "landmarks" or "template" for each sample: where its regions are cut. A sample without
            landmarks is cut at the template's points.
        points68: (N, 68, 2) float32, px of the image, for models that read them; None if not requested.
        points68_from: source of the 68 points of each sample: what detected them, or "estimated from landmarks" or
            "estimated from template".
        motion: (N, T, 64) float32, features of the clips' frames; None without clips.
        units: (N, U, 2) float32, 1 if an action unit is active on the image's left and right side, NaN where unknown,
            for training a head of action units; None if the set has none.
        names: identifiers of the samples, for messages; empty if unknown.
    """

    images: Tensor
    points: Tensor
    labels: Tensor
    spec: PreprocessSpec
    regions_at: tuple[str, ...]
    points68: Tensor | None = None
    points68_from: tuple[str, ...] = ()
    motion: Tensor | None = None
    units: Tensor | None = None
    names: tuple[str, ...] = ()

    def subset(self, indices: Sequence[int]) -> FlowSet:
        """The samples at ``indices``, in that order."""
        chosen = torch.as_tensor(indices, dtype=torch.long).tolist()
        return dataclasses.replace(
            super().subset(chosen),
            regions_at=tuple(self.regions_at[i] for i in chosen),
            points68_from=tuple(self.points68_from[i] for i in chosen if self.points68_from),
            names=tuple(self.names[i] for i in chosen if self.names),
        )

    def inputs(self) -> Tensor:
        """(N, 3, S, S) float32 network input, 0..255, without augmentation."""
        return crop_regions(self.images.float(), self.points, self.spec.layout)

    def batch(
        self,
        index: Tensor,
        augmentation: AnyAugmentation | None,
        mean: Tensor,
        std: Tensor,
        extras: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Some samples for one step of training.

        Args:
            index: (B,) int64.
            augmentation: random changes, or None.
            mean: (C,) per-channel mean of the set.
            std: (C,) per-channel deviation of the set.
            extras: extra inputs of the model for all samples of the set, from `extras`.

        Returns:
            (B, 3, S, S) float32 network input, (B,) labels, and the extra inputs of these samples, including their
            "units" if the set has any.

        Raises:
            RecipeError: the augmentation is for another kind of images.
        """
        images, points = self.images[index].float(), self.points[index]
        more = {name: values[index] for name, values in extras.items()}
        if self.units is not None:
            more["units"] = self.units[index]
        if augmentation is not None:
            if not isinstance(augmentation, Augmentation):
                raise RecipeError(
                    f"The recipe's augmentation is for {augmentation.of} images. Give a recipe for flow images "
                    "('default')."
                )
            images, points, more = augment(images, points, augmentation, mean, std, self.u_channel, more)
        return crop_regions(images, points, self.spec.layout), self.labels[index], more

    def extras(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Extra inputs of a model, see `htnet.models.EXTRA_INPUTS`.

        Args:
            names: ``extra_inputs`` of a model.

        Returns:
            One tensor per name, samples first. "points" are where regions are cut. "points68" are estimated from
            "points" if the set was read without 68 points. "motion" is left out if the set has none.

        Raises:
            InputError: an unknown name.
            LandmarkError: the five points of a sample are not arranged like a face's, so 68 cannot be estimated.
        """
        refuse_unknown(names, EXTRA_INPUTS, "extra input")
        found = {"points": self.points, "points68": self.points68, "motion": self.motion}
        if "points68" in names and self.points68 is None:
            five = [Landmarks(p, at) for p, at in zip(self.points.cpu().numpy(), self.regions_at, strict=True)]
            estimated = np.stack([estimate_68(points).points for points in five])
            found["points68"] = torch.from_numpy(estimated).to(self.images.device)
        return {name: tensor for name in names if (tensor := found[name]) is not None}

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Per-channel mean and standard deviation of the network input."""
        flat = self.inputs().double().transpose(0, 1).flatten(1)
        return flat.mean(1).float(), flat.std(1).clamp_min(1e-6).float()

    @property
    def u_channel(self) -> int:
        """Index of the channel that contains the horizontal flow."""
        return self.spec.channels.index("u")

    def regions_at_counts(self) -> dict[str, int]:
        """Number of samples whose regions are cut at "landmarks" and at "template"."""
        return dict(sorted(Counter(self.regions_at).items()))

    def points68_counts(self) -> dict[str, int]:
        """Number of samples by source of the 68 points (a file by its name); empty if they were not requested."""
        return dict(sorted(Counter(_file_name(source) for source in self.points68_from).items()))

    def _shown(self) -> list[Tensor | None]:
        return [self.images, self.points, self.labels, self.points68, self.motion, self.units]


def load_flow_set(
    manifest: Manifest,
    spec: PreprocessSpec,
    landmarker: Landmarker | None = None,
    progress: Progress = lambda samples: samples,
    extras: Sequence[str] = (),
    units: Sequence[int] = (),
) -> FlowSet:
    """Read a manifest into memory with `htnet.data.reader.SampleReader`; flow is computed if only frames are given.

    Args:
        manifest: labeled samples. A sample's ``flow`` image is used if it has one.
        spec: how flow is computed and regions are cut. For a prepared folder, the settings that its images were made
            with replace those given here: train with, and record, the ``spec`` of the returned set.
        landmarker: finds the five points, which replace those of the samples' landmarks files; in px of the onset
            frame, or of the flow image for a sample with a cached one.
        progress: wraps the iteration, for a progress bar.
        extras: ``extra_inputs`` of the model that the set is for. With "points68", the landmarker's own 68 points
            are kept if it finds 68; otherwise they are estimated from the five. With "motion", and unless
            ``spec.clip_frames`` is 0, the features of the samples' clips are read or computed; the clip of a sample
            with a cached flow image needs the landmarker.
        units: action units whose targets are taken from the samples' ``action_units``, see `unit_targets`; the setting
            ``action_units`` of the model that the set is for.

    Returns:
        The set, on the CPU.

    Raises:
        InputError: an unknown name in ``extras``, or a clip that cannot be read.
        SpecError: the samples' flow images were made in different ways.
        ManifestError: there are no samples, a sample has no label or neither frames nor a flow image, motion is
            requested and a sample has no clip, or samples show no expression (see `htnet.data.reader.degenerate`; all
            are named).
        FrameError, FlowError, LandmarkError: a sample cannot be read; the message names it.

    Warns:
        UserWarning: there are reasons to doubt some samples, such as several faces; one warning for each reason.
    """
    check_manifest(manifest)
    refuse_type("spec", spec, PreprocessSpec, "model.preprocess_spec, or htnet.training.spec_for(model)")
    refuse_unknown(extras, EXTRA_INPUTS, "extra input")
    _refuse_unprepared(manifest, landmarker)
    spec = resolve_spec(manifest, spec)
    if reads_motion(extras, spec):
        check_motion(manifest, spec)
    reader = SampleReader(spec, landmarker, extras=extras, replace_points=True)
    inputs: list[ModelInput] = []
    faults: list[str] = []
    doubts: list[tuple[str, tuple[QualityWarning, ...]]] = []
    for sample in progress(manifest.samples):
        made = reader(sample)
        fault = degenerate(sample, made)
        faults += [f"{sample.sample!r}: {fault}"] if fault else []
        doubts.append((f"sample {sample.sample!r}", made.doubts))
        inputs.append(dataclasses.replace(made, flow=None))  # the flow of all samples would fill the memory
    if not inputs:
        raise ManifestError(f"{manifest.source} contains no samples.")
    cure = "Correct them or take them out of the manifest (htnet prepare lists them and leaves them out)."
    refuse_degenerate(faults, manifest.source, cure)
    warn_doubts(doubts)
    order = [PUBLISHED_CHANNELS.index(name) for name in spec.channels]
    images = torch.from_numpy(np.stack([made.flow_image[..., order] for made in inputs])).permute(0, 3, 1, 2)
    more = extra_inputs(inputs, ("points", *extras), spec)
    return FlowSet(
        images.contiguous(),
        more["points"],
        torch.from_numpy(manifest.labels()),
        spec,
        tuple(made.regions_at for made in inputs),
        more.get("points68"),
        tuple(made.points68.source for made in inputs if made.points68 is not None),
        more.get("motion"),
        unit_targets(manifest.samples, units) if units else None,
        tuple(sample.sample for sample in manifest),
    )


def _file_name(source: str) -> str:
    """A source of points without the row of the sample and without folders."""
    path, row, _ = source.partition(" (")
    return PurePath(path).name if row else source


def _refuse_unprepared(manifest: Manifest, landmarker: Landmarker | None) -> None:
    """Refuse samples that have neither a flow image nor what is needed to compute one."""
    faces = [s.sample for s in manifest if s.image is not None and s.flow is None and s.onset is None]
    if faces:
        raise ManifestError(
            f"{manifest.source}: {listed(faces)} with a single image and neither frames nor a flow image. Models that "
            f"read flow cannot use them.{hint(manifest.source)}"
        )
    empty = [s.sample for s in manifest if s.flow is None and (s.onset is None or s.apex is None)]
    if empty:
        raise ManifestError(
            f"{manifest.source}: {listed(empty)} with neither onset and apex frames nor a flow image. "
            "Give one of the two."
        )
    bare = [s.sample for s in manifest if s.flow is None and s.landmarks is None]
    if bare and landmarker is None:
        raise ManifestError(
            f"{manifest.source}: {listed(bare)} with frames, but no flow images and no landmarks. Prepare them once: "
            f"{how(*prepare_manifest(manifest.source))}. To compute them now, at each call: "
            + how("--landmarks yunet", "load_flow_set(manifest, spec, make_landmarker('yunet'))")
        )
