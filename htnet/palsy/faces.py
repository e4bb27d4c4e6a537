"""A manifest of single faces as tensors in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from htnet.core.errors import HtnetError, InputError, ManifestError, RecipeError, about_sample, refuse_unknown
from htnet.core.global_state import usual_settings
from htnet.core.hints import how
from htnet.core.paths import as_path
from htnet.core.types import ByteArray, PreprocessSpec
from htnet.core.words import listed
from htnet.data import Manifest, read_manifest
from htnet.data.prepare import MANIFEST_FILE
from htnet.palsy.face_augment import FaceAugmentation, augment_faces
from htnet.palsy.prepare import face_spec
from htnet.preprocess import read_frame
from htnet.preprocess.opencv import load_opencv
from htnet.training.recipe import AnyAugmentation
from htnet.training.tensors import Progress, TensorSet

#: Number of images that are converted to floats at a time, for statistics.
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class FaceSet(TensorSet):
    """Aligned face images of many samples; a `htnet.training.TrainingSet`.

    Attributes:
        images: (N, 3, S, S) uint8, RGB.
        labels: (N,) int64.
        num_classes: number of classes.
        spec: how faces were aligned; its ``size`` is S.
        names: identifiers of the samples, for messages; empty if unknown.
    """

    images: Tensor
    labels: Tensor
    num_classes: int
    spec: PreprocessSpec
    names: tuple[str, ...] = ()

    def subset(self, indices: Sequence[int]) -> FaceSet:
        """The samples at ``indices``, in that order."""
        chosen = torch.as_tensor(indices, dtype=torch.long).tolist()
        return dataclasses.replace(super().subset(chosen), names=tuple(self.names[i] for i in chosen if self.names))

    def inputs(self) -> Tensor:
        """(N, 3, S, S) float32 network input, 0..255."""
        return self.images.float()

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Per-channel mean and standard deviation of the images."""
        first, second, count = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 0
        for chunk in self.images.cpu().split(_CHUNK):
            levels = chunk.double()
            first += levels.sum((0, 2, 3))
            second += (levels**2).sum((0, 2, 3))
            count += levels[:, 0].numel()
        mean = first / count
        variance = (second - count * mean**2).clamp_min(0) / max(count - 1, 1)
        device = self.images.device
        return mean.float().to(device), variance.sqrt().clamp_min(1e-6).float().to(device)

    @property
    def units(self) -> None:
        """The action units of a single picture are unknown."""

    def extras(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Return an empty dictionary: models of faces have no extra inputs.

        Raises:
            InputError: ``names`` is not empty.
        """
        refuse_unknown(names, (), "extra input of a face image")
        return {}

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
            mean: (C,) per-channel mean of the set; not used.
            std: (C,) per-channel deviation of the set; not used.
            extras: none.

        Returns:
            (B, 3, S, S) float32 network input, targets as in `augment_faces`, and no extras.

        Raises:
            RecipeError: the augmentation is for flow images, which mirrors faces.
        """
        images, labels = self.images[index].float(), self.labels[index]
        if augmentation is None:
            return images, labels, {}
        if not isinstance(augmentation, FaceAugmentation):
            raise RecipeError(
                "The recipe's augmentation is for flow images: it mirrors and does not handle colors. Give the recipe "
                '\'palsy\', or an augmentation for faces ("of": "face" in a .json file).'
            )
        return *augment_faces(images, labels, augmentation, self.num_classes), {}


def resize_face(pixels: ByteArray, size: int) -> Tensor:
    """An aligned face as (3, size, size) uint8: averaged where it shrinks, bilinear where it grows.

    Args:
        pixels: (S, S, 3) uint8, RGB.
        size: new side, px.
    """
    cv2 = load_opencv()
    how = cv2.INTER_AREA if size < pixels.shape[0] else cv2.INTER_LINEAR
    resized = pixels if pixels.shape[:2] == (size, size) else cv2.resize(pixels, (size, size), interpolation=how)
    return torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))


@usual_settings()
def load_face_set(manifest: Manifest, spec: PreprocessSpec, progress: Progress = lambda samples: samples) -> FaceSet:
    """Read a manifest of aligned faces into memory.

    Args:
        manifest: labeled samples with ``image``, as `htnet.palsy.prepare_faces` writes them.
        spec: how the faces were aligned; they are resized to its ``size``.
        progress: wraps the iteration, for a progress bar.

    Returns:
        The set, on the CPU.

    Raises:
        ManifestError: there are no samples, or a sample has no label or image.
        FrameError: an image cannot be read or is not ``spec.face_size`` px; the message names the sample.
    """
    side = spec.face_size
    without = [s.sample for s in manifest if s.image is None]
    if without:
        what = f"{manifest.source}: {listed(without)} without an image of a face. "
        if any(s.flow is not None or s.onset is not None for s in manifest):
            command = f"htnet train --data {manifest.source} --out OUT"
            raise ManifestError(
                f"{what}It contains the motion between two frames, which models of emotions read: "
                f"{how(command, 'htnet.training.train_weights')}"
            )
        command = "htnet palsy prepare SOURCE --out OUT"
        raise ManifestError(f"{what}Prepare the data: {how(command, 'htnet.palsy.prepare_faces')}")
    images = []
    for sample in progress(manifest.samples):
        try:
            face = read_frame(sample.image)  # type: ignore[arg-type]
            if face.size != (side, side):
                raise ManifestError(
                    f"{face.source} is {face.size[1]}x{face.size[0]} px, not {side}x{side}; prepare it."
                )
            images.append(resize_face(face.pixels, spec.size))
        except HtnetError as error:
            raise about_sample(sample.sample, error) from error
    if not images:
        raise ManifestError(f"{manifest.source} contains no samples.")
    labels = torch.from_numpy(manifest.labels())
    names = tuple(sample.sample for sample in manifest)
    return FaceSet(torch.stack(images), labels, len(manifest.classes), spec, names)


@usual_settings()
def load_split(
    folder: str | PathLike[str],
    split: str,
    size: int,
    expected: PreprocessSpec | None = None,
    progress: Progress = lambda samples: samples,
) -> tuple[Manifest, FaceSet]:
    """Load one split of a folder of prepared faces, as a manifest and as tensors.

    Args:
        folder: output folder of `htnet.palsy.prepare_faces`.
        split: "train", "val" or "test".
        size: side of the faces, px; a model's ``image_size``.
        expected: how the model's faces were aligned; None accepts any alignment.
        progress: wraps the iteration, for a progress bar.

    Raises:
        ManifestError: the folder contains no prepared faces, or none in this split.
        InputError: the faces are aligned differently than ``expected``.
    """
    spec = dataclasses.replace(face_spec(folder), size=size)
    if expected is not None and (spec.template, spec.face_size) != (expected.template, expected.face_size):
        raise InputError(f"{folder} contains faces aligned differently than the model's. Prepare them again.")
    manifest = read_manifest(as_path(folder, "folder") / MANIFEST_FILE, need_label=True).split(split)
    return manifest, load_face_set(manifest, spec, progress)
