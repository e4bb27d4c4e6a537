"""The complete pipeline from frames to a prediction."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from os import PathLike
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.deprecated import renamed_arguments, renamed_attributes
from htnet.core.errors import HtnetError, InputError, ModelError, SpecError, WeightsError
from htnet.core.facs import UnitPrediction, units_by_side
from htnet.core.hints import hint, how, usage_of
from htnet.core.identity import trained_doubts
from htnet.core.optional import usable_device
from htnet.core.parallel import refuse_after_fork
from htnet.core.types import (
    DEFAULT_WEIGHTS,
    NO_EXPRESSION,
    ByteArray,
    FloatArray,
    Landmarks,
    ModelInput,
    Prediction,
    PreprocessSpec,
    QualityWarning,
    SourceFiles,
    Spotting,
)
from htnet.data import Manifest, Sample
from htnet.data.manifest import sample_fault
from htnet.data.reader import SampleReader, extra_inputs
from htnet.hub import load_pretrained
from htnet.hub.weights import local_state
from htnet.models import EmotionModel
from htnet.pipeline.chosen import SpottedVideo, find_expression, is_default, opened
from htnet.preprocess import (
    FrameSource,
    Landmarker,
    Video,
    motion_features,
)
from htnet.preprocess.evidence import answered
from htnet.preprocess.frames import frame_file
from htnet.preprocess.landmarks.detector import MODEL_VARIABLE
from htnet.preprocess.landmarks.factory import LANDMARKERS
from htnet.preprocess.pairs import order_warnings

#: Confidence of spotting below which a prediction for a clip has a warning. The 200 clips of
#: benchmarks/results/spotting_cpu.json have 0.86 or more; clips in which only the head moves 0.06 to 0.11.
LOW_CONFIDENCE = 0.5
#: Warning for a pair whose apex was replaced by the reader; see `htnet.data.Sample`.
MIDDLE_APEX = QualityWarning(
    "middle_apex", "No usable apex is annotated: the frame midway between onset and offset was used instead."
)
#: Five points as an array, or their source: a landmarker, its name, or a file of points.
LandmarkChoice = str | PathLike[str] | Landmarker | Landmarks | npt.ArrayLike

T = TypeVar("T")
#: How many models and predictors `predict` and `predict_video` keep for the next call.
_KEPT = 2
_models: dict[tuple[object, ...], Predictor] = {}
_predictors: dict[tuple[object, ...], Predictor] = {}
_kept_lock = threading.Lock()

#: Called with a sample and its error.
OnError = Callable[[Sample, HtnetError], None]


@dataclass(frozen=True)
class _Question:
    """The model input of one sample."""

    sample: str
    made: ModelInput
    files: SourceFiles = field(default_factory=SourceFiles)
    truth: str | None = None


@renamed_attributes
class Predictor:
    """A model with the preprocessing it was trained with."""

    @renamed_arguments
    def __init__(
        self,
        weights: str | PathLike[str] | EmotionModel = DEFAULT_WEIGHTS,
        *,
        landmarks: str | PathLike[str] | Landmarker = "yunet",
        device: str | torch.device = "cpu",
        bit_depth: int | None = None,
        always: bool = False,
        revision: str | None = None,
    ) -> None:
        """Load the model.

        Args:
            weights: registered weights, a weights folder, a Hub repository, or a loaded model.
            landmarks: source of the points of frames given without points: a landmarker, or a name or file for
                `htnet.preprocess.make_landmarker`. Created only if a frame needs it.
            device: device of the model.
            bit_depth: bits of the frames' values if 16-bit files use fewer; see `htnet.preprocess.read_frame`.
            always: predict a class of the model even if the two frames do not differ by an expression, instead of
                "no expression".
            revision: branch, tag or commit of the Hub repository that ``weights`` names.

        Raises:
            WeightsError: the weights cannot be loaded, or have no preprocessing specification.
            InputError: the device cannot be used, or ``bit_depth`` is impossible.
            ModelError: the model reads faces, not flow images.
        """
        refuse_after_fork()
        self.name = str(weights) if not isinstance(weights, EmotionModel) else weights.name
        if isinstance(weights, EmotionModel) and revision is not None:
            raise WeightsError(f"revision={revision!r} is for weights of the Hub, and a model was given. Leave it out.")
        self.model = weights if isinstance(weights, EmotionModel) else load_pretrained(weights, revision=revision)
        if self.model.input_kind != "flow":
            usage = usage_of(self.model.input_kind)
            raise ModelError(
                f"{self.name} reads a single {self.model.input_kind}, not the flow between two frames. Use "
                f"{how(usage.predict.format(name=self.name), usage.call.format(name=self.name))}."
            )
        self.model = self.model.to(usable_device(device)).eval()
        if self.model.preprocess_spec is None:
            raise WeightsError(
                f"{self.name} has no preprocessing specification. Set model.preprocess_spec to the PreprocessSpec "
                "it was trained with."
            )
        self._set(landmarks, bit_depth, always)

    def _set(self, landmarks: str | PathLike[str] | Landmarker, bit_depth: int | None, always: bool) -> None:
        """Set what does not concern the model."""
        self.bit_depth = bit_depth
        self.always = always
        spec = cast(PreprocessSpec, self.model.preprocess_spec)
        self._reader = SampleReader(spec, landmarks, extras=self.model.extra_inputs, evidence=True, bit_depth=bit_depth)

    @property
    def reads_motion(self) -> bool:
        """Whether the model reads the motion of a clip beside the flow between two frames."""
        return self._reader.reads_motion

    @property
    def spec(self) -> PreprocessSpec:
        """The preprocessing that the model was trained with."""
        return self._reader.spec

    def pair(
        self,
        onset: FrameSource,
        apex: FrameSource,
        landmarks: npt.ArrayLike | Landmarks | PathLike[str] | None = None,
        sample: str = "",
        *,
        motion: FloatArray | None = None,
    ) -> Prediction:
        """Predict from two frames.

        Args:
            onset: the neutral frame: a file or an RGB array.
            apex: the frame of strongest expression, of the same size.
            landmarks: five (x, y) in onset px, or a file of them; detected by the landmarker by default.
            sample: identifier.
            motion: `htnet.preprocess.motion_features` of the clip from the onset on, made with the model's spec, for a
                model that reads motion (`reads_motion`). Without it such a model answers from the two frames alone.

        Raises:
            FrameError, LandmarkError, FlowError: the frames cannot be used.
            InputError: ``motion`` is given to a model that reads none, or has another shape than its spec says.
        """
        refuse_after_fork()
        files = SourceFiles(onset=frame_file(onset), apex=frame_file(apex))
        self._check_motion(motion)
        made = replace(self._reader.pair(onset, apex, landmarks, sample), motion=motion)
        return self._answer([_Question(sample, made, files)])[0]

    def _check_motion(self, motion: FloatArray | None) -> None:
        if motion is None:
            return
        if not self.reads_motion:
            raise InputError(f"{self.name} reads no motion of a clip; leave motion out.")
        if np.ndim(motion) != 2 or len(motion) != self.spec.clip_frames or not np.isfinite(motion).all():
            raise InputError(
                f"The motion has the shape {np.shape(motion)}, and {self.name} reads {self.spec.clip_frames} moments "
                "of finite features. Compute it with its spec: motion_features(clip, landmarks, predictor.spec)."
            )

    def flow_image(self, image: str | PathLike[str] | ByteArray, sample: str = "") -> Prediction:
        """Predict from a flow image in the published convention, without further preprocessing.

        Args:
            image: a file, or (size, size, 3) uint8 BGR = strain, v, u of the whole face.
            sample: identifier.

        Raises:
            FlowError: the image cannot be used.
            SpecError: it belongs to a prepared folder and was made with another specification than the training data.
        """
        files = SourceFiles(flow_image=frame_file(image))
        return self._answer([_Question(sample, self._reader.flow_picture(image, sample), files)])[0]

    def video(
        self,
        source: str | PathLike[str] | Video | Iterable[FrameSource],
        landmarks: npt.ArrayLike | Landmarks | PathLike[str] | None = None,
        sample: str = "",
        *,
        method: str | None = None,
        fps: float | None = None,
        spotting: Spotting | None = None,
    ) -> Prediction:
        """Spot onset and apex of the expression of a clip, or of the most confident one of a recording, and predict.

        Which of the two a video is, `htnet.pipeline.spot_video` tells. In a clip the face's points are detected on the
        first frame and moved with the head to the onset. A model that was trained with motion also reads
        `htnet.preprocess.motion_features` of the frames from onset to offset.

        Args:
            source: a video file, a folder of frames, a `Video`, or frames in order. They are read once and kept in
                memory; a video with more than 1 GiB of frames is read frame by frame, and again for the two frames and
                for motion. Pass ``open_video(path).held()`` to use its frames afterwards.
            landmarks: five (x, y) in px of the first frame, or a file of them; detected by the landmarker unless given.
            sample: identifier.
            method: how to search for the apex of a clip, see `htnet.preprocess.spot`; "peak" unless given.
            fps: frames per second; replaces that of a file.
            spotting: onset, apex and offset in these frames, instead of searching them.

        Returns:
            The prediction; its ``spotting`` contains the frames that were used and the confidence in them.

        Raises:
            VideoError, FrameError, LandmarkError, FlowError: the video cannot be used.
        """
        refuse_after_fork()
        frames = opened(source, fps, self.bit_depth)
        if spotting is not None:
            return self.spotted(SpottedVideo(spotting, frames), sample)
        given = landmarks is not None or not is_default(self._reader.landmarks.given)
        points = cast(Landmarker, self._reader.landmarks.get()) if landmarks is None else landmarks
        found = find_expression(frames, points, given=given, method=method, fps=fps, sample=sample)
        return self.spotted(found, sample)

    def spotted(self, found: SpottedVideo, sample: str = "") -> Prediction:
        """Predict from the onset and apex that `htnet.pipeline.spot_video` found in a video.

        Args:
            found: where the expression lies, and the frames.
            sample: identifier.

        Returns:
            See `video`; of a recording without an expression "no expression", unless ``always`` asks for a class.

        Raises:
            VideoError, FrameError, LandmarkError, FlowError: the frames cannot be used.
        """
        refuse_after_fork()
        spotting = found.spotting
        used = (spotting.onset, spotting.apex)
        taken = found.take(*used)
        at_onset = spotting.landmarks_at(spotting.onset)
        made = self._reader.pair(taken[used[0]], taken[used[1]], at_onset, sample)
        if self.reads_motion and spotting.offset > spotting.onset:
            clip = found.between(spotting.onset, spotting.offset)
            made = replace(made, motion=motion_features(clip, at_onset, self.spec))
        made = replace(made, warnings=(*made.warnings, *_clearness(spotting)))
        onset, apex = (frame_file(taken[number]) for number in used)
        files = SourceFiles(onset, apex, video=found.frames.source if isinstance(found.frames, Video) else None)
        prediction = replace(self._answer([_Question(sample, made, files)])[0], spotting=spotting)
        if found.found or self.always:
            return prediction
        return replace(prediction, label=NO_EXPRESSION, input=replace(prediction.input, expression=None))

    def manifest(
        self, manifest: Manifest | Iterable[Sample], *, batch_size: int = 64, on_error: OnError | None = None
    ) -> Iterator[Prediction]:
        """Predict all samples of a manifest, in its order.

        Samples are read as in training, see `htnet.data.reader.SampleReader`: a sample's flow image is used when it has
        one, its frames otherwise. A model that was trained with motion reads the motion features on file, or the
        sample's clip, too; a sample without is an error.

        Args:
            manifest: the samples; labels are optional and become ``truth``.
                The prediction for a labeled sample of a person that the weights were trained on has the warning
                "trained_on_subject".
            batch_size: number of samples per forward pass.
            on_error: called with each sample that cannot be read, which is then left out; without it
                the first error ends the iteration.

        Yields:
            One prediction per sample.

        Raises:
            SpecError: the samples belong to a prepared folder, whose flow images were made with another specification
                than the model's training data.
            HtnetError: a sample cannot be read; the message names it.
        """
        inputs = self._inputs(iter(manifest), on_error)
        while batch := list(islice(inputs, batch_size)):
            yield from self._answer(batch)

    def _inputs(self, samples: Iterator[Sample], on_error: OnError | None) -> Iterator[_Question]:
        refuse_after_fork()
        for sample in samples:
            read = (None, None, None, sample.flow) if sample.flow is not None else (sample.onset, sample.apex)
            try:
                made = self._reader(sample)
            except SpecError:  # of the whole set, not of this sample
                raise
            except HtnetError as error:
                if on_error is None:
                    raise
                on_error(sample, error)
                continue
            yield _Question(
                sample.sample, self._doubted(sample, made), SourceFiles(*map(frame_file, read)), sample.label
            )

    def _doubted(self, sample: Sample, made: ModelInput) -> ModelInput:
        """The input of a sample with the warnings that follow from its row of the manifest."""
        made = _flagged(made, sample_fault(sample))
        doubts = [MIDDLE_APEX] if sample.apex_source == "middle" else []
        if sample.label is not None:  # a labeled sample is a test
            known = trained_doubts(self.model.trained_people, (), [sample])
            doubts += [doubt for doubt in known if doubt.code == "trained_on_subject"]
        return replace(made, warnings=(*made.warnings, *doubts))

    @torch.no_grad()
    def _answer(self, batch: list[_Question]) -> list[Prediction]:
        refuse_after_fork()
        parameter = next(self.model.parameters())
        stacked = torch.from_numpy(np.stack([asked.made.image for asked in batch]))
        extras = extra_inputs([asked.made for asked in batch], self.model.extra_inputs, self._reader.spec)
        images = stacked.to(device=parameter.device, dtype=parameter.dtype)
        more = {name: values.to(parameter.device) for name, values in extras.items()}
        known = self.model.action_units
        units: list[tuple[UnitPrediction, ...]] = [()] * len(batch)
        if known:
            scores, sides = self.model(images, return_units=True, **more)
            units = [units_by_side(known, found) for found in sides.float().sigmoid().tolist()]
        else:
            scores = self.model(images, **more)
        labels = self.model.labels
        return [
            Prediction(
                label=answered(labels[best], asked.made.expression, self.always),
                probabilities=dict(zip(labels, p, strict=True)),
                model=self.name,
                input=asked.made,
                sample=asked.sample or asked.files.stem,
                truth=asked.truth,
                action_units=active,
                files=asked.files,
                architecture=self.model.name,
                temperature=self.model.temperature,
            )
            # The best score, not the best probability: a high temperature may round two of those to the same.
            for asked, best, p, active in zip(
                batch, scores.argmax(1).tolist(), self.model.probabilities(scores).tolist(), units, strict=True
            )
        ]


def _clearness(spotting: Spotting) -> tuple[QualityWarning, ...]:
    """A warning if the expression hardly exceeds the noise of its clip."""
    sure = spotting.confidence
    if sure is None or sure >= LOW_CONFIDENCE:
        return ()
    text = (
        f"The expression hardly stands out in the clip (confidence {sure:.2f}; clips that show one have "
        f"{LOW_CONFIDENCE:g} or more): onset and apex may be noise, a blink or the head. Look at the curve: "
        "htnet spot --plot."
    )
    return (QualityWarning("low_confidence", text),)


def _flagged(made: ModelInput, fault: str) -> ModelInput:
    """The input with a warning from the row of a manifest, unless its files cause it already."""
    if {warning.code for warning in made.warnings} & {"same_frame", "frame_order"}:
        return made
    return replace(made, warnings=(*made.warnings, *order_warnings(fault)))


@renamed_arguments
def predict(
    onset: FrameSource,
    apex: FrameSource | None = None,
    *,
    weights: str | PathLike[str] | EmotionModel = DEFAULT_WEIGHTS,
    landmarks: LandmarkChoice = "yunet",
    device: str | torch.device = "cpu",
    bit_depth: int | None = None,
    always: bool = False,
) -> Prediction:
    """Recognize the emotion between two frames.

    Args:
        onset: the neutral frame: a file or an (H, W, 3) RGB array.
        apex: the frame of strongest expression, of the same size. Required; for a video use
            `predict_video`.
        weights: registered weights, a weights folder, a Hub repository or a loaded model.
        landmarks: "yunet", "face-alignment", "template" (only for faces cropped as the training images
            are), a file of points, a landmarker, or five (x, y) points in onset px.
        device: where the model runs.
        bit_depth: bits of the frames' values, where 16-bit files use fewer; see `htnet.preprocess.read_frame`.
        always: answer a class also where the frames do not differ by an expression.

    Returns:
        Label ("no expression" if ``expression`` is below 0.5), probabilities, and their sources.

    Raises:
        HtnetError: the frames, the points or the weights cannot be used; the message explains how to fix it.
    """
    if apex is None:
        other = hint(onset) if isinstance(onset, (str, PathLike)) else ""
        raise InputError(f"htnet.predict takes two frames of a face: htnet.predict(onset, apex).{other}")
    if isinstance(landmarks, (str, PathLike)) or (callable(landmarks) and not isinstance(landmarks, np.ndarray)):
        return _warm(weights, landmarks, device, bit_depth, always).pair(onset, apex)
    return _warm(weights, "yunet", device, bit_depth, always).pair(onset, apex, landmarks)


@renamed_arguments
def predict_video(
    source: str | PathLike[str] | Video | Iterable[FrameSource],
    *,
    weights: str | PathLike[str] | EmotionModel = DEFAULT_WEIGHTS,
    landmarks: LandmarkChoice = "yunet",
    method: str | None = None,
    fps: float | None = None,
    device: str | torch.device = "cpu",
    bit_depth: int | None = None,
    always: bool = False,
) -> Prediction:
    """Recognize the emotion in a video: spot onset and apex of its expression, then predict.

    In a recording, a video of more than 10 s, this is the most confident micro- or macro-expression of those that
    `htnet.analyze` finds, and "no expression" where it finds none; see `htnet.pipeline.spot_video`.

    Args:
        source: a video file, a folder of frames, an opened `htnet.preprocess.Video`, or frames in order.
        weights: registered weights, a weights folder, a Hub repository or a loaded model.
        landmarks: as for `predict`; points are those of the first frame. With others than "yunet" the video is
            searched as a clip.
        method: "peak" or "divide_and_conquer", see `htnet.preprocess.spot`: searches the video as a clip. None for
            "peak" in a clip.
        fps: frames per second; replaces that of a file.
        device: where the model runs.
        bit_depth: as for `predict`.
        always: as for `predict`.

    Returns:
        Label, probabilities, and in ``spotting`` the frames that were used and the confidence in them. Warnings name
        the other expressions of a recording (`several_expressions`), or tell that it has none (`no_event`).

    Raises:
        HtnetError: the video, the points or the weights cannot be used; the message says what to do.
    """
    if isinstance(landmarks, (str, PathLike)) or (callable(landmarks) and not isinstance(landmarks, np.ndarray)):
        return _warm(weights, landmarks, device, bit_depth, always).video(source, method=method, fps=fps)
    return _warm(weights, "yunet", device, bit_depth, always).video(source, landmarks, method=method, fps=fps)


def _warm(
    weights: str | PathLike[str] | EmotionModel,
    landmarks: str | PathLike[str] | Landmarker,
    device: str | torch.device,
    bit_depth: int | None,
    always: bool,
) -> Predictor:
    """A predictor that shares with earlier calls what has not changed since: the model, and a named landmarker."""
    state = None if isinstance(weights, EmotionModel) else local_state(weights)
    if state is None:
        return Predictor(weights, landmarks=landmarks, device=device, bit_depth=bit_depth, always=always)
    loaded = (str(weights), state, str(device))
    # What a file of points or a given landmarker says may change unseen.
    named = landmarks if isinstance(landmarks, str) and landmarks in LANDMARKERS else None
    settings = (*loaded, named, os.environ.get(MODEL_VARIABLE), repr(bit_depth), always)
    if named is not None and (found := _predictors.get(settings)) is not None:
        return found
    if (known := _models.get(loaded)) is None:
        made = Predictor(weights, landmarks=landmarks, device=device, bit_depth=bit_depth, always=always)
    else:
        made = copy.copy(known)
        made._set(landmarks, bit_depth, always)
    _keep(_models, loaded, made)
    if named is not None:
        _keep(_predictors, settings, made)
    return made


def _keep(kept: dict[tuple[object, ...], T], key: tuple[object, ...], value: T) -> None:
    """Keep a value, and of the others the newest."""
    with _kept_lock:
        kept[key] = kept.pop(key, value)
        while len(kept) > _KEPT:
            del kept[next(iter(kept))]
