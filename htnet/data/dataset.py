"""PyTorch data set over the samples of a manifest."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from htnet.core.doubts import warn_doubts
from htnet.core.errors import InputError, ManifestError
from htnet.core.types import PreprocessSpec
from htnet.data.layouts import open_data
from htnet.data.manifest import Manifest
from htnet.data.prepared import resolve_spec
from htnet.data.reader import SampleReader, check_motion, degenerate, extra_inputs, refuse_unused_depth
from htnet.preprocess import Landmarker


class MicroExpressionDataset(Dataset[dict[str, Any]]):
    """Flow images of a manifest, for ``torch.utils.data.DataLoader``; each image is read when it is requested.

    An item is a dictionary that the default collation of the loader accepts: "image", (3, size, size) float32 in
    0..255; "label", the class index, if the samples have labels; the strings "sample", "dataset" and "subject"; and the
    requested extra inputs. If the flow must be computed from frames, prepare the data once (`htnet.prepare`).

    Attributes:
        manifest: the samples.
        spec: the preprocessing settings; for a prepared folder, those that its images were computed with.
        classes: names of the classes, by index.
    """

    def __init__(
        self,
        data: Manifest | str | PathLike[str],
        spec: PreprocessSpec | None = None,
        landmarks: Landmarker | str | PathLike[str] | None = None,
        *,
        extras: Sequence[str] = (),
        transform: Callable[[Tensor], Tensor] | None = None,
        bit_depth: int | None = None,
    ) -> None:
        """Store the settings; no image is read yet.

        Args:
            data: a manifest, its file, or a folder in a published layout (see `htnet.data.open_data`).
            spec: preprocessing settings; by default the published flow image of the whole face.
            landmarks: source of the points of samples without points: a landmarker, or a name or file for
                `htnet.preprocess.make_landmarker`, which each worker creates for itself.
            extras: inputs to read in addition to the image, from `htnet.models.EXTRA_INPUTS`: "points", "points68",
                "motion".
            transform: function applied to each image, such as an augmentation; importable if workers are spawned.
            bit_depth: bits per value of the frames if 16-bit files use fewer; see `htnet.preprocess.read_frame`.

        Raises:
            ManifestError: the data cannot be read, only some of the samples have labels, or motion is requested and a
                sample has no clip.
            InputError: ``extras`` contains an unknown name, or ``bit_depth`` is given although all samples have flow
                images.
        """
        self.manifest = data if isinstance(data, Manifest) else open_data(data)
        refuse_unused_depth(bit_depth, self.manifest)
        self.spec = resolve_spec(self.manifest, spec or PreprocessSpec(layout="whole"))
        self.classes = self.manifest.classes
        self.extras = tuple(extras)
        self.transform = transform
        self._reader = SampleReader(self.spec, landmarks, extras=extras, bit_depth=bit_depth)
        if self._reader.reads_motion:
            check_motion(self.manifest, self.spec)
        labeled = any(sample.label is not None for sample in self.manifest)
        self._labels = self.manifest.labels().tolist() if labeled else None

    @property
    def labels(self) -> list[int]:
        """Class index of every sample, for samplers and splits.

        Raises:
            ManifestError: the samples have no labels.
        """
        return self.manifest.labels().tolist()

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: int) -> dict[str, Any]:
        try:
            operator.index(index)
        except TypeError:
            raise InputError(
                f"The index is {index!r}; give one whole number. For several samples, use "
                "torch.utils.data.Subset(dataset, indices)."
            ) from None
        sample = self.manifest.samples[index]
        made = self._reader(sample)
        if fault := degenerate(sample, made):
            raise ManifestError(f"{self.manifest.source}: sample {sample.sample!r} shows no expression: {fault}.")
        warn_doubts([(f"sample {sample.sample!r}", made.doubts)])
        image = torch.from_numpy(made.image)
        item: dict[str, Any] = {
            "image": image if self.transform is None else self.transform(image),
            **{name: rows[0] for name, rows in extra_inputs([made], self.extras, self.spec).items()},
            **{name: getattr(sample, name) for name in ("sample", "dataset", "subject")},
        }
        return item if self._labels is None else {**item, "label": self._labels[index]}
