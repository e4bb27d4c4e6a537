"""Batch preprocessing for other models: frames to flow images, and flow images to regions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from htnet.core.arrays import real_array
from htnet.core.doubts import warn_doubts
from htnet.core.errors import HtnetError, InputError, prefixed
from htnet.core.global_state import usual_settings
from htnet.core.types import ModelInput, PreprocessSpec
from htnet.preprocess.frames import FrameSource
from htnet.preprocess.landmarks import Landmarker, LazyLandmarker
from htnet.preprocess.preprocessor import LandmarkSource, Preprocessor
from htnet.preprocess.regions import crop_regions, template_points

#: Frames of a batch: a list of files or arrays, one per pair, or one tensor.
Frames = Sequence[FrameSource] | Tensor
#: Five points of each pair.
Points = Sequence[LandmarkSource] | Tensor


class FlowPreprocessor:
    """Computes flow images of batches of frame pairs; picklable for the workers of a data loader.

    The output is the input of a network with the same spec: the whole flow image unless the spec cuts regions.
    """

    def __init__(
        self,
        spec: PreprocessSpec | None = None,
        landmarks: Landmarker | str | os.PathLike[str] | None = "yunet",
        *,
        bit_depth: int | None = None,
    ) -> None:
        """Store the settings; the landmarker is created when first needed.

        Args:
            spec: how frames become images; by default the published flow image of the whole face.
            landmarks: source of the points of pairs given without: a landmarker, or a name or file for
                `htnet.preprocess.make_landmarker`; None for no source.
            bit_depth: bits of the frames' values if 16-bit files use fewer; see `read_frame`.
        """
        self.spec = spec or PreprocessSpec(layout="whole")
        self._landmarks = LazyLandmarker(landmarks)
        self._bit_depth = bit_depth

    @usual_settings(device=False)
    def __call__(
        self, onsets: Frames, apexes: Frames, landmarks: Sequence[LandmarkSource] | Tensor | None = None
    ) -> Tensor:
        """Compute the flow images of a batch.

        Args:
            onsets: B neutral frames: files, (H, W, 3) RGB arrays, or a tensor (B, 3, H, W), uint8 or float in 0..1.
            apexes: B frames of strongest expression, in the same form, each of the size of its onset.
            landmarks: B times five (x, y) in px of the onset, or a tensor (B, 5, 2); detected by the landmarker by
                default.

        Returns:
            (B, 3, size, size) float32, 0..255, channels as the spec orders them: strain, v, u.

        Raises:
            InputError: the numbers of onsets, apexes and landmarks differ, or a tensor has another shape.
            FrameError, LandmarkError, FlowError: a pair cannot be used; the message names it.

        Warns:
            UserWarning: there are reasons to doubt some images, such as two frames without motion between them; one
                warning for each reason, with the pairs, counted from 0. `inputs` gives those of each pair.
        """
        found = [(torch.from_numpy(one.image), one.doubts) for one in self.inputs(onsets, apexes, landmarks)]
        warn_doubts((f"pair {number}", doubts) for number, (_, doubts) in enumerate(found))
        made = [image for image, _ in found]
        side = self.spec.size
        return torch.stack(made) if made else torch.zeros(0, 3, side, side, dtype=torch.float32)

    def inputs(self, onsets: Frames, apexes: Frames, landmarks: Points | None = None) -> Iterator[ModelInput]:
        """As a call, but one by one, with points, flow and warnings; see `htnet.types.ModelInput`."""
        first, second = _frames(onsets, "onsets"), _frames(apexes, "apexes")
        points = [None] * len(first) if landmarks is None else _points(landmarks)
        if not len(first) == len(second) == len(points):
            raise InputError(
                f"There are {len(first)} onsets, {len(second)} apexes and {len(points)} landmarks; give one of each "
                "for every pair."
            )
        preprocessor = Preprocessor(self.spec, bit_depth=self._bit_depth)
        for number, (onset, apex, given) in enumerate(zip(first, second, points, strict=True)):
            if given is None:
                preprocessor.landmarker = self._landmarks.get()
            try:
                yield preprocessor.pair(onset, apex, given)
            except HtnetError as error:
                raise prefixed(f"Pair {number} (counted from 0)", error) from error


class RegionCropper(nn.Module):
    """Cuts flow images into the mosaic of face regions that a network reads; see `crop_regions`.

    A module without parameters, so that it is moved, exported and pickled together with the network.
    """

    points: Tensor

    def __init__(
        self, layout: str = "anatomical", points: Sequence[Sequence[float]] | Tensor | None = None, size: int = 28
    ) -> None:
        """Store the layout and the default points.

        Args:
            layout: one of `htnet.types.LAYOUTS`.
            points: five (x, y) in px of the flow image at which regions are cut by default; by default
                the template's.
            size: side of the flow images, px, for the template's points.

        Raises:
            InputError: an unknown layout, or points of another shape.
        """
        super().__init__()
        self.layout = layout
        spec = PreprocessSpec(layout=layout, size=size)
        given = template_points(spec)
        if points is not None:
            place = points.device if isinstance(points, Tensor) else given.device
            given = torch.from_numpy(real_array(points, "Points", cure="five (x, y)").copy()).to(place)
        self.register_buffer("points", given, persistent=False)
        crop_regions(torch.zeros(1, 1, size, size), self.points, layout)  # refuses what cannot be cut

    def forward(self, images: Tensor, points: Tensor | None = None) -> Tensor:
        """Cut regions.

        Args:
            images: (B, C, S, S) flow images.
            points: (B, 5, 2), or (5, 2) for all images; by default those of the module.

        Returns:
            (B, C, S, S), same type and device.
        """
        return crop_regions(images, self.points if points is None else points, self.layout)

    def extra_repr(self) -> str:
        """What printing the module shows."""
        return f"layout={self.layout!r}"


def _frames(frames: Frames, name: str) -> Sequence[FrameSource]:
    """Frames one by one; those of a tensor as (3, H, W) tensors."""
    if not isinstance(frames, Tensor):
        if isinstance(frames, (str, os.PathLike)):
            raise InputError(f"{name} is {frames!r}; give a list of frames, one per pair.")
        return frames
    if frames.ndim != 4 or frames.shape[1] != 3:
        raise InputError(f"{name} is a tensor of shape {tuple(frames.shape)}; give (B, 3, H, W), RGB.")
    return list(frames)


def _points(landmarks: Points) -> Sequence[LandmarkSource | None]:
    return list(landmarks.detach().cpu().numpy()) if isinstance(landmarks, Tensor) else list(landmarks)
