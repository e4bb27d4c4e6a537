"""Prediction of grades for single images, folders and prepared sets."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from htnet.core.deprecated import renamed_arguments
from htnet.core.errors import FrameError, HtnetError, LandmarkError, ModelError, WeightsError
from htnet.core.global_state import usual_settings
from htnet.core.hints import IMAGES
from htnet.core.parallel import refuse_after_fork
from htnet.core.paths import as_path
from htnet.core.schema import document, model_part
from htnet.core.types import Frame, Landmarks, PreprocessSpec, QualityWarning, file_stem
from htnet.hub.given import given_model
from htnet.models import EmotionModel
from htnet.palsy.faces import FaceSet, resize_face
from htnet.palsy.grades import describe_class
from htnet.palsy.prepare import align_face, palsy_landmarker
from htnet.palsy.sources import images_in
from htnet.palsy.train import check_face_model, face_models
from htnet.pipeline.doubts import unlearned
from htnet.preprocess import FrameSource, Landmarker, read_frame
from htnet.preprocess.depth import check_bit_depth
from htnet.preprocess.landmarks.factory import check_landmarker
from htnet.training import predict_set

#: Number of faces in one batch.
BATCH = 16


@dataclass(frozen=True, eq=False)
class GradePrediction:
    """The prediction for one image.

    Attributes:
        label: name of the most probable class.
        probabilities: class name to probability, in the order of the grades.
        source: the image's file, or a description.
        face: the aligned face that the model saw.
        landmarks: the five points, px of the image.
        sample: identifier; by default the name of the file without its ending.
        model: name of the weights.
        architecture: name of the model's architecture in the registry.
        temperature: the scores were divided by it before the softmax; 1 changes nothing.
        license_expression: terms of use of the weights as an SPDX license expression; "" for a fresh model.
        doubts: reasons to doubt predictions of these weights.
    """

    label: str
    probabilities: Mapping[str, float]
    source: str
    face: Frame
    landmarks: Landmarks
    sample: str = ""
    model: str = ""
    architecture: str = ""
    temperature: float = 1.0
    license_expression: str = ""
    doubts: tuple[QualityWarning, ...] = ()

    @property
    def warnings(self) -> tuple[QualityWarning, ...]:
        """All reasons to doubt this prediction."""
        return (*self.landmarks.warnings, *self.doubts)

    @property
    def grade(self) -> str:
        """The class as text."""
        return describe_class(self.label)

    def to_dict(self) -> dict[str, Any]:
        """The document "htnet.palsy_prediction", see docs/output.md: ready for `json.dumps`."""
        image = self.source if os.path.isfile(self.source) else None
        content = {
            "sample": self.sample or file_stem(image),
            "files": {"image": image},
            "prediction": self.label,
            "grade": self.grade,
            "probabilities": dict(self.probabilities),
            "classes": list(self.probabilities),
            "model": model_part(self.model, self.architecture, self.temperature, self.license_expression),
            "landmarks": self.landmarks.to_dict("px of the image"),
        }
        return document("htnet.palsy_prediction", content, self.warnings)


@dataclass(frozen=True, eq=False)
class FaceMaps:
    """Maps of a model for one face, 0..1, in the model's own grid.

    Attributes:
        prediction: the prediction for the same face.
        roi_maps: (regions, H, W) float32, or None for a model without. The regions are learned and have no names.
        roi_mask: (H, W) float32, how much of each position is used, or None.
        asymmetry: (H, W) float32 for each layer that compares left with right.
    """

    prediction: GradePrediction
    roi_maps: npt.NDArray[np.float32] | None
    roi_mask: npt.NDArray[np.float32] | None
    asymmetry: tuple[npt.NDArray[np.float32], ...]


class GradePredictor:
    """A grading model with the alignment it was trained with.

    Args:
        weights: a weights folder or anything else for `htnet.load_pretrained`, or a loaded model, which may be
            compiled (`torch.compile`).
        landmarks: finds the five points: a landmarker, or its name or a file of points for `palsy_landmarker`.
        device: where the model runs; "auto" for a CUDA device where there is one, otherwise the CPU.
        bit_depth: bits of the images' values, if 16-bit files use fewer; see `htnet.preprocess.read_frame`.
        revision: branch, tag or commit of the Hub repository that ``weights`` names.
        dtype: floating-point type that the model computes in, or its name, such as "bfloat16"; float32 by default.

    Raises:
        WeightsError: the weights cannot be loaded, or do not specify how their input is made.
        InputError: the device cannot be used, ``dtype`` is invalid or given together with a model, or ``bit_depth`` or
            the text of ``landmarks`` is impossible.
        LandmarkError: ``landmarks`` is no landmarker, or the file cannot be used.
        ModelError: the model does not read faces.
    """

    @renamed_arguments
    def __init__(
        self,
        weights: str | PathLike[str] | EmotionModel,
        *,
        landmarks: str | PathLike[str] | Landmarker = "yunet",
        device: str | torch.device = "cpu",
        bit_depth: int | None = None,
        revision: str | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> None:
        refuse_after_fork()
        check_bit_depth(bit_depth)
        check_landmarker(landmarks)
        given = given_model(
            weights,
            check=lambda model, name: check_face_model(model),
            device=device,
            dtype=dtype,
            revision=revision,
        )
        self.name, self.model, self._call = given.name, given.model, given.call
        self.spec, self.bit_depth = _spec(self.model), bit_depth
        named = isinstance(landmarks, (str, PathLike))
        self.landmarker: Landmarker = (
            palsy_landmarker(os.fspath(landmarks), self.spec) if named else landmarks  # type: ignore[arg-type, assignment]
        )

    @usual_settings(device=False)
    def image(self, image: FrameSource, sample: str = "") -> GradePrediction:
        """Grade the face in one image.

        Args:
            image: a file or an (H, W, 3) RGB array.
            sample: identifier under which a landmarker looks up points; by default the file's name without its ending.

        Raises:
            FrameError: the image cannot be read.
            LandmarkError: there is no face in it.
        """
        face, landmarks, source = self._face(image, sample)
        scores = self._call(self._input(face))
        return self._answer(scores, face, landmarks, source, sample)

    def folder(self, folder: str | PathLike[str]) -> Iterator[GradePrediction | tuple[str, HtnetError]]:
        """Grade every image in a folder and its subfolders, in the order of their names.

        Yields:
            The prediction, or the path and the error for an image that cannot be used.

        Raises:
            FrameError: the folder contains no images.
        """
        if not (files := images_in(as_path(folder, "folder"))):
            raise FrameError(f"{folder} contains no images ({', '.join(sorted(IMAGES))}). Check the path.")
        return self._each(files)

    @usual_settings(device=False)
    def maps(self, image: FrameSource, sample: str = "") -> FaceMaps:
        """Grade one image, and return the maps of the model.

        Args:
            image: a file or an (H, W, 3) RGB array.
            sample: identifier under which a landmarker looks up points; by default the file's name without its ending.

        Raises:
            ModelError: the model offers no maps.
            FrameError: the image cannot be read.
            LandmarkError: there is no face in it.
        """
        forward: Any = self.model.forward
        if "return_maps" not in inspect.signature(forward).parameters:
            raise ModelError(f"{self.model.name} offers no maps. Use a model that does: {', '.join(face_models())}.")
        face, landmarks, source = self._face(image, sample)
        found = forward(self._input(face), return_maps=True)
        return FaceMaps(
            self._answer(found.logits, face, landmarks, source, sample),
            _array(found.roi_maps),
            None if (mask := _array(found.roi_mask)) is None else mask.reshape(mask.shape[-2:]),
            tuple(array for m in found.asymmetry if (array := _array(m)) is not None),
        )

    def _each(self, files: Iterable[Path]) -> Iterator[GradePrediction | tuple[str, HtnetError]]:
        for path in files:
            try:
                yield self.image(path)
            except (FrameError, LandmarkError) as error:
                yield str(path), error

    def _face(self, image: FrameSource, sample: str) -> tuple[Frame, Landmarks, str]:
        refuse_after_fork()
        frame = read_frame(image, self.bit_depth)
        sample = sample or (Path(image).stem if isinstance(image, (str, PathLike)) else "")
        face, landmarks = align_face(frame, self.landmarker, self.spec, sample)
        return face, landmarks, frame.source

    def _input(self, face: Frame) -> Tensor:
        at = next(self.model.parameters()).device
        return resize_face(face.pixels, self.spec.size)[None].to(device=at, dtype=self.model.input_dtype)

    def _answer(self, scores: Tensor, face: Frame, landmarks: Landmarks, source: str, sample: str) -> GradePrediction:
        p, labels = self.model.probabilities(scores)[0].tolist(), self.model.labels
        return GradePrediction(
            label=labels[int(scores[0].argmax())],
            probabilities=dict(zip(labels, p, strict=True)),
            source=source,
            face=face,
            landmarks=landmarks,
            sample=sample or file_stem(source if os.path.isfile(source) else None),
            model=self.name,
            architecture=self.model.name,
            temperature=self.model.temperature,
            license_expression=self.model.license_expression,
            doubts=unlearned(self.model),
        )


@usual_settings(device=False)
def predict_faces(model: EmotionModel, data: FaceSet, batch_size: int = BATCH) -> Tensor:
    """Class probabilities (N, num_classes) of a set; only ``batch_size`` faces are in memory as floats at a time."""
    index = torch.arange(len(data)).split(batch_size)
    return torch.cat([predict_set(model, data.subset(chunk.tolist()), batch_size) for chunk in index])


def _spec(model: EmotionModel) -> PreprocessSpec:
    if model.preprocess_spec is None:
        raise WeightsError(
            f"{model.name} does not specify how its faces are aligned. Set model.preprocess_spec to the PreprocessSpec "
            "it was trained with."
        )
    return model.preprocess_spec


def _array(values: Tensor | None) -> npt.NDArray[np.float32] | None:
    """The first sample of a batch of maps."""
    return None if values is None else values[0].detach().float().cpu().numpy()
