"""The complete pipeline from frames to a prediction: a model that is loaded once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from htnet.core.deprecated import renamed_arguments, renamed_attributes
from htnet.core.engines import Engine, LocalEngine, in_order, make_engine
from htnet.core.errors import HtnetError, InputError, ModelError, SpecError, WeightsError, prefixed
from htnet.core.facs import UnitPrediction, units_by_side
from htnet.core.fields import flag, function, optional, whole
from htnet.core.global_state import usual_settings
from htnet.core.hints import how, usage_of
from htnet.core.identity import trained_doubts
from htnet.core.lazy import loading
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
    SourceFiles,
    Spotting,
    file_stem,
)
from htnet.data import Manifest, Sample
from htnet.data.manifest import files_of, sample_fault
from htnet.data.reader import SampleReader, extra_inputs
from htnet.hub.given import given_model
from htnet.models import EmotionModel
from htnet.models.input_range import refuse_bad_output
from htnet.pipeline.batches import GivenPair, blocks, checked_pairs, checked_samples
from htnet.pipeline.doubts import MIDDLE_APEX, clearness, flagged, unlearned
from htnet.preprocess import (
    FrameSource,
    Landmarker,
    Video,
    list_videos,
    motion_features,
)
from htnet.preprocess.evidence import answered
from htnet.preprocess.frames import frame_file

if TYPE_CHECKING:
    from htnet.pipeline.chosen import SpottedVideo

# The default engine, which reads samples in this process.
_HERE = LocalEngine()
#: Called with a sample and its error.
OnError = Callable[[Sample, HtnetError], None]


@dataclass(frozen=True)
class _Question:
    """The model input of one sample, with its name, files and true class."""

    sample: str
    made: ModelInput
    files: SourceFiles = field(default_factory=SourceFiles)
    truth: str | None = None


@renamed_attributes
class Predictor:
    """A model together with the preprocessing that it was trained with."""

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
        dtype: str | torch.dtype | None = None,
    ) -> None:
        """Load the model.

        Args:
            weights: registered weights, a weights folder, a Hub repository, or a loaded model, which may have been
                passed through `torch.compile`.
            landmarks: source of landmarks for frames that come without them: a landmarker, or a name or file for
                `htnet.preprocess.make_landmarker`. It is created only if a frame needs it.
            device: device of the model; "auto" for a CUDA device if there is one, otherwise the CPU.
            bit_depth: bits per value, if 16-bit frames use fewer; see `htnet.preprocess.read_frame`.
            always: predict a class of the model even if the two frames do not differ by an expression, instead of
                "no expression".
            revision: branch, tag or commit of the Hub repository that ``weights`` names.
            dtype: floating-point type of the model, or its name, such as "bfloat16"; float32 by default. Flow is always
                computed in float32.

        Raises:
            WeightsError: the weights cannot be loaded, or have no preprocessing specification.
            InputError: the device cannot be used, or ``bit_depth`` or ``dtype`` is impossible.
            ModelError: the model reads faces, not flow images.
        """
        refuse_after_fork()
        given = given_model(weights, check=check_reads_flow, device=device, dtype=dtype, revision=revision)
        self.name, self.model, self._call = given.name, given.model, given.call
        if self.model.preprocess_spec is None:
            raise WeightsError(
                f"{self.name} has no preprocessing specification. Set model.preprocess_spec to the PreprocessSpec "
                "it was trained with."
            )
        self._set(landmarks, bit_depth, always)

    def _set(self, landmarks: str | PathLike[str] | Landmarker, bit_depth: int | None, always: bool) -> None:
        """Set everything but the model."""
        self.bit_depth = bit_depth
        flag().check("always", always)
        self.always = always
        spec = cast(PreprocessSpec, self.model.preprocess_spec)
        self._reader = SampleReader(spec, landmarks, extras=self.model.extra_inputs, evidence=True, bit_depth=bit_depth)

    @property
    def reads_motion(self) -> bool:
        """Whether the model reads the motion of a clip in addition to the flow between two frames."""
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
            onset: the neutral frame: a file, its bytes, an open file, an RGB array, a tensor or a Pillow image.
            apex: the frame of strongest expression, of the same size.
            landmarks: five (x, y) in onset px, or a file of them; detected by the landmarker by default.
            sample: identifier.
            motion: `htnet.preprocess.motion_features` of the clip from the onset on, made with the model's spec, for a
                model that reads motion (`reads_motion`). Without it such a model predicts from the two frames alone.

        Raises:
            FrameError, LandmarkError, FlowError: the frames cannot be used.
            InputError: ``motion`` is given to a model that does not read it, or its shape does not fit the spec.
        """
        refuse_after_fork()
        files = SourceFiles(onset=frame_file(onset), apex=frame_file(apex))
        self._check_motion(motion)
        made = replace(self._reader.pair(onset, apex, landmarks, sample), motion=motion)
        return self._answer([_Question(sample, made, files)])[0]

    def pairs(
        self,
        pairs: Iterable[tuple[FrameSource, FrameSource]],
        landmarks: Sequence[npt.ArrayLike | Landmarks | PathLike[str] | None] | None = None,
        samples: Sequence[str] | None = None,
        *,
        batch_size: int = 64,
        on_error: Callable[[int, HtnetError], None] | None = None,
    ) -> list[Prediction]:
        """Predict from many pairs of frames, which the model reads in batches.

        Each prediction holds the flow of its pair, 0.4 MB with the default preprocessing. For a very large number of
        pairs use `iter_pairs`.

        Args:
            pairs: onset and apex of each pair, see `pair`.
            landmarks: five points of each pair, or None for a pair whose landmarks are to be detected.
            samples: identifier of each pair.
            batch_size: number of pairs read at a time: one forward pass on a GPU; the CPU computes 16 at a time.
            on_error: called with the number of a pair that cannot be used, from 0, and its error; the pair is then
                left out. Without it the first error ends the call.

        Returns:
            One prediction per pair, in their order.

        Raises:
            InputError: ``pairs`` is not a list of pairs, or ``landmarks`` or ``samples`` has another length.
            FrameError, LandmarkError, FlowError: the frames of a pair cannot be used; the message gives its number.
        """
        return list(self.iter_pairs(pairs, landmarks, samples, batch_size=batch_size, on_error=on_error))

    def iter_pairs(
        self,
        pairs: Iterable[tuple[FrameSource, FrameSource]],
        landmarks: Sequence[npt.ArrayLike | Landmarks | PathLike[str] | None] | None = None,
        samples: Sequence[str] | None = None,
        *,
        batch_size: int = 64,
        on_error: Callable[[int, HtnetError], None] | None = None,
    ) -> Iterator[Prediction]:
        """Do what `pairs` does, but yield one prediction after the other. Only one batch is in memory at a time.

        Args:
            pairs: as for `pairs`, or a generator of any length.
            landmarks: as for `pairs`.
            samples: as for `pairs`.
            batch_size: as for `pairs`; also the number of pairs in memory.
            on_error: as for `pairs`.

        Yields:
            One prediction per pair, in their order.

        Raises:
            InputError: as for `pairs`; for a generator, raised when the wrong entry is reached.
            FrameError, LandmarkError, FlowError: as for `pairs`.
        """
        refuse_after_fork()
        whole().check("batch_size", batch_size)
        optional(function()).check("on_error", on_error)
        return self._each_pair(checked_pairs(pairs, landmarks, samples), batch_size, on_error)

    def _each_pair(
        self, given: Iterable[GivenPair], batch_size: int, on_error: Callable[[int, HtnetError], None] | None
    ) -> Iterator[Prediction]:
        asked: list[_Question] = []
        for number, (onset, apex, points, sample) in enumerate(given):
            files = SourceFiles(onset=frame_file(onset), apex=frame_file(apex))
            try:
                asked.append(_Question(sample, self._reader.pair(onset, apex, points, sample), files))
            except HtnetError as error:
                if on_error is None:
                    raise prefixed(f"pair {number}", error) from error
                on_error(number, error)
            if len(asked) == batch_size:
                yield from self._answers(asked)
                asked = []
        yield from self._answers(asked)

    def _check_motion(self, motion: FloatArray | None) -> None:
        if motion is None:
            return
        if not self.reads_motion:
            raise InputError(f"{self.name} does not read the motion of a clip; leave motion out.")
        if np.ndim(motion) != 2 or len(motion) != self.spec.clip_frames or not np.isfinite(motion).all():
            raise InputError(
                f"motion has the shape {np.shape(motion)}, but {self.name} reads {self.spec.clip_frames} rows of "
                "finite features. Compute it with its spec: motion_features(clip, landmarks, predictor.spec)."
            )

    def flow_image(self, image: str | PathLike[str] | ByteArray, sample: str = "") -> Prediction:
        """Predict from a flow image in the published convention, without further preprocessing.

        Args:
            image: a file, or (size, size, 3) uint8 BGR = strain, v, u of the whole face.
            sample: identifier.

        Raises:
            FlowError: the image cannot be used.
            SpecError: it belongs to a prepared folder and was made with a different specification from that of the
                training data.
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

        `htnet.pipeline.spot_video` describes which videos are clips and which are recordings. In a clip the landmarks
        are detected in the first frame and moved with the head to the onset. A model that was trained with motion also
        reads `htnet.preprocess.motion_features` of the frames from onset to offset.

        Args:
            source: a video file, a folder of frames, a `Video`, or frames in order. They are read once and kept in
                memory; a video with more than 1 GiB of frames is read frame by frame, and again for the two frames and
                for motion. Pass ``open_video(path).held()`` to use its frames afterwards.
            landmarks: five (x, y) in px of the first frame, or a file of them; detected by the landmarker by default.
            sample: identifier.
            method: how to find the apex of a clip, see `htnet.preprocess.spot`; "peak" by default.
            fps: frames per second; overrides that of the file.
            spotting: onset, apex and offset in these frames; if given, they are not searched.

        Returns:
            The prediction; its ``spotting`` contains the frames that were used and the confidence in them.

        Raises:
            VideoError, FrameError, LandmarkError, FlowError: the video cannot be used.
        """
        # Imported here so that a prediction from two frames need not load the code for recordings.
        with loading():
            from htnet.pipeline.chosen import SpottedVideo, find_expression, is_default, opened

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
            found: the position of the expression, and the frames.
            sample: identifier.

        Returns:
            See `video`. For a recording without an expression the label is "no expression", unless ``always`` is set.

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
        made = replace(made, warnings=(*made.warnings, *clearness(spotting)))
        onset, apex = (frame_file(taken[number]) for number in used)
        files = SourceFiles(onset, apex, video=found.frames.source if isinstance(found.frames, Video) else None)
        prediction = replace(self._answer([_Question(sample, made, files)])[0], spotting=spotting)
        if found.found or self.always:
            return prediction
        return replace(prediction, label=NO_EXPRESSION, input=replace(prediction.input, expression=None))

    def videos(
        self,
        sources: Iterable[str | PathLike[str]],
        *,
        method: str | None = None,
        fps: float | None = None,
        on_error: Callable[[str, HtnetError], None] | None = None,
        engine: str = "local",
        address: str | None = None,
    ) -> Iterator[Prediction]:
        """Predict from many videos, one after the other; see `video`.

        Args:
            sources: video files, folders of frames, and folders of either (`htnet.preprocess.list_videos`).
            method: how to find the apex of a clip.
            fps: frames per second of all videos; overrides that of the files.
            on_error: called with the path of a video that cannot be used, and its error; the video is then left out.
                Without it the first error ends the iteration.
            engine: "local"; or "ray" for the nodes of a Ray cluster, which must have the videos under the same paths.
                Predictions come in the same order.
            address: HOST:PORT of the Ray cluster; None for the one that the variable RAY_ADDRESS names.

        Yields:
            One prediction per video. It is named after the file or folder, or by the whole path if several have the
            same name.

        Raises:
            InputError: one video is given twice.
            VideoError, FrameError, LandmarkError, FlowError: a video cannot be used.
            MissingExtraError, RunError: Ray is not installed, or the cluster cannot be used.
        """
        runs_on = make_engine(engine, address, device=next(self.model.parameters()).device.type)
        if runs_on.remote and self._call is not self.model:
            raise InputError("A compiled model cannot be sent to other machines. Give the weights, or engine='local'.")
        optional(function()).check("on_error", on_error)
        found = list_videos(sources)
        names = Counter(file_stem(source) for source in found)
        tasks = []
        for source in found:
            name = file_stem(source)
            tasks.append((source, name if names[name] == 1 else source, method, fps))
        with closing(in_order(runs_on, _predict_video, self, tasks, lambda task: (task[0],))) as ran:
            for (source, *_), answer in ran:
                if isinstance(answer, Prediction):
                    yield answer
                elif on_error is None:
                    raise answer
                else:
                    on_error(source, answer)

    def manifest(
        self,
        manifest: Manifest | Iterable[Sample],
        *,
        batch_size: int = 64,
        on_error: OnError | None = None,
        engine: str = "local",
        address: str | None = None,
    ) -> Iterator[Prediction]:
        """Predict all samples of a manifest, in its order.

        Samples are read as in training, see `htnet.data.reader.SampleReader`: a sample's flow image is used if it has
        one, otherwise its frames. A model that was trained with motion also reads the stored motion features or the
        clip of each sample; a sample without either is an error.

        Args:
            manifest: the samples; labels are optional and become ``truth``.
                The prediction for a labeled sample of a person that the weights were trained on has the warning
                "trained_on_subject".
            batch_size: number of samples read at a time: one forward pass on a GPU; the CPU computes 16 at a time.
            on_error: called with each sample that cannot be read, which is then left out; without it
                the first error ends the iteration.
            engine: "local"; or "ray": samples are read, and their flow is computed, on the nodes of a Ray cluster,
                which must have the files under the same paths. The model runs here, so batches are the same.
            address: HOST:PORT of the Ray cluster; None for the one that the variable RAY_ADDRESS names.

        Yields:
            One prediction per sample.

        Raises:
            SpecError: the samples belong to a prepared folder whose flow images were made with a different
                specification from that of the model's training data.
            InputError: ``manifest`` holds no samples, or ``batch_size`` is impossible.
            HtnetError: a sample cannot be read; the message names it.
            MissingExtraError, RunError: Ray is not installed, or the cluster cannot be used.
        """
        whole().check("batch_size", batch_size)
        optional(function()).check("on_error", on_error)
        inputs = self._inputs(checked_samples(manifest), on_error, make_engine(engine, address))
        while batch := list(islice(inputs, batch_size)):
            yield from self._answers(batch)

    def _inputs(
        self, samples: Iterator[Sample], on_error: OnError | None, engine: Engine = _HERE
    ) -> Iterator[_Question]:
        refuse_after_fork()
        finder = self._reader.landmarks
        tasks = ((sample,) for sample in samples)
        files = finder.files() if engine.remote else []
        reading = in_order(engine, _read, self._reader, tasks, lambda task: (*files_of(task[0]), *files))
        with closing(reading) as ran:
            for (sample,), made in ran:
                read = (None, None, None, sample.flow) if sample.flow is not None else (sample.onset, sample.apex)
                if not isinstance(made, ModelInput):
                    if on_error is None or isinstance(made, SpecError):  # affects all samples, not only this one
                        raise made
                    on_error(sample, made)
                    continue
                yield _Question(
                    sample.sample, self._doubted(sample, made), SourceFiles(*map(frame_file, read)), sample.label
                )

    def _doubted(self, sample: Sample, made: ModelInput) -> ModelInput:
        """The input of a sample with the warnings that follow from its row in the manifest."""
        made = flagged(made, sample_fault(sample))
        doubts = [MIDDLE_APEX] if sample.apex_source == "middle" else []
        if sample.label is not None:  # a labeled sample is a test
            known = trained_doubts(self.model.trained_people, (), [sample])
            doubts += [doubt for doubt in known if doubt.code == "trained_on_subject"]
        return replace(made, warnings=(*made.warnings, *doubts))

    def embed(
        self, manifest: Manifest | Iterable[Sample], *, batch_size: int = 64, on_error: OnError | None = None
    ) -> Iterator[tuple[Sample, FloatArray]]:
        """Compute the features of samples, the input of the model's last layer, for your own classifiers.

        Args:
            manifest: the samples, read as in `manifest`; labels are not used.
            batch_size: number of samples read at a time: one forward pass on a GPU; the CPU computes 16 at a time.
            on_error: as for `manifest`.

        Yields:
            Each sample with its features, (num_features,) float32.

        Raises:
            SpecError, InputError, HtnetError: as for `manifest`.
        """
        whole().check("batch_size", batch_size)
        read: list[Sample] = []

        def noted(samples: Iterable[Sample]) -> Iterator[Sample]:
            for sample in samples:
                read.append(sample)
                yield sample

        def left_out(sample: Sample, error: HtnetError) -> None:
            read.pop()
            cast(OnError, on_error)(sample, error)

        optional(function()).check("on_error", on_error)
        inputs = self._inputs(noted(checked_samples(manifest)), None if on_error is None else left_out)
        while batch := list(islice(inputs, batch_size)):
            features = self._features(batch)
            of = [read.pop(0) for _ in batch]
            yield from zip(of, features, strict=True)

    def _answers(self, batch: list[_Question]) -> Iterator[Prediction]:
        """Predictions that do not depend on the other samples of a batch."""
        for part, count in blocks(batch, next(self.model.parameters()).device):
            yield from self._answer(part)[:count]

    def _features(self, batch: list[_Question]) -> Iterator[FloatArray]:
        for part, count in blocks(batch, next(self.model.parameters()).device):
            yield from self._features_of(part)[:count]

    @usual_settings(device=False)
    def _features_of(self, batch: list[_Question]) -> FloatArray:
        images, more = self._tensors(batch)
        features = self.model.forward_features(self.model.check_image(images), **more)
        found = self.model.forward_head(features, pre_logits=True)
        refuse_bad_output(self.name, "features", found, found.dtype)
        return np.asarray(found.float().cpu().numpy(), dtype=np.float32)

    def _tensors(self, batch: list[_Question]) -> tuple[Tensor, dict[str, Tensor]]:
        """Images and extra inputs of a batch, on the model's device."""
        parameter = next(self.model.parameters())
        stacked = torch.from_numpy(np.stack([asked.made.image for asked in batch]))
        extras = extra_inputs([asked.made for asked in batch], self.model.extra_inputs, self._reader.spec)
        images = stacked.to(device=parameter.device, dtype=parameter.dtype)
        return images, {name: values.to(parameter.device) for name, values in extras.items()}

    @usual_settings(device=False)
    def _answer(self, batch: list[_Question]) -> list[Prediction]:
        refuse_after_fork()
        images, more = self._tensors(batch)
        known = self.model.action_units
        units: list[tuple[UnitPrediction, ...]] = [()] * len(batch)
        if known:
            scores, sides = self._call(images, return_units=True, **more)
            refuse_bad_output(self.name, "action units", sides, sides.dtype)
            units = [units_by_side(known, found) for found in sides.float().sigmoid().tolist()]
        else:
            scores = self._call(images, **more)
        labels, more_doubts = self.model.labels, unlearned(self.model)
        return [
            Prediction(
                label=answered(labels[best], asked.made.expression, self.always),
                probabilities=dict(zip(labels, p, strict=True)),
                model=self.name,
                input=replace(asked.made, warnings=(*asked.made.warnings, *more_doubts)),
                sample=asked.sample or asked.files.stem,
                truth=asked.truth,
                action_units=active,
                files=asked.files,
                architecture=self.model.name,
                temperature=self.model.temperature,
                license_expression=self.model.license_expression,
            )
            # The best score, not the best probability: a high temperature may round two probabilities to one value.
            for asked, best, p, active in zip(
                batch, scores.argmax(1).tolist(), self.model.probabilities(scores).tolist(), units, strict=True
            )
        ]


def _read(reader: SampleReader, sample: Sample) -> ModelInput | HtnetError:
    try:
        return reader(sample)
    except HtnetError as error:
        return error


def _predict_video(
    predictor: Predictor, source: str, sample: str, method: str | None, fps: float | None
) -> Prediction | HtnetError:
    try:
        return predictor.video(source, sample=sample, method=method, fps=fps)
    except HtnetError as error:
        return error


def check_reads_flow(model: EmotionModel, name: str) -> None:
    """Check that a model reads flow images.

    Raises:
        ModelError: it reads another kind of image; the message names what to use.
    """
    if model.input_kind != "flow":
        usage = usage_of(model.input_kind)
        raise ModelError(
            f"{name} reads a single {model.input_kind}, not the flow between two frames. Use "
            f"{how(usage.predict.format(name=name), usage.call.format(name=name))}."
        )
