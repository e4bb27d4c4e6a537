"""Analysis of recordings: from the frames to the events."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import torch

from htnet.core.errors import InputError
from htnet.core.events import Event
from htnet.core.fields import checked_fps, flag
from htnet.core.schema import model_part
from htnet.core.types import DEFAULT_WEIGHTS, Frame, QualityWarning
from htnet.models import EmotionModel
from htnet.pipeline.analysis import Analysis, FollowedFace
from htnet.pipeline.detected import Detector, checked_events, short
from htnet.pipeline.event_pairs import EventPair, PairReader, SeenPair, collect_pairs, doubts, plan_pairs
from htnet.pipeline.live import watch
from htnet.pipeline.predictor import Predictor
from htnet.preprocess import Video, open_video
from htnet.recordings import (
    FaceFinder,
    FrameStream,
    KeptProgress,
    RecordingCurves,
    load_detector,
    recording_curves,
    recording_stream,
)

#: Called with the current stage, one of `STAGES`, and the time of the recording that it has reached, s.
Progress = Callable[[str, float], None]
#: A recording is read twice: completely to measure the faces, then up to the last event for onset and apex frames.
STAGES = ("measuring", "recognizing")

# Largest number of event times in a warning.
_NAMED = 5


class Analyzer:
    """Analyze several recordings as `analyze` does, with detector and model loaded once."""

    def __init__(
        self,
        detector: Detector | None = None,
        *,
        weights: str | PathLike[str] | EmotionModel = DEFAULT_WEIGHTS,
        emotions: bool = True,
        pictures: bool = True,
        device: str | torch.device = "cpu",
        always: bool = False,
        finder: FaceFinder | None = None,
        revision: str | None = None,
    ) -> None:
        """Load the model.

        Args:
            detector: see `analyze`.
            weights: see `analyze`.
            emotions: see `analyze`.
            pictures: see `analyze`.
            device: see `analyze`.
            always: see `analyze`.
            finder: see `analyze`.
            revision: branch, tag or commit of the Hub repository that ``weights`` names.

        Raises:
            WeightsError, ModelError: the weights cannot be used; see `Predictor`.
            InputError: the device cannot be used, ``detector`` is not callable, or a setting of the model is given
                although ``emotions`` is False.
        """
        _check_detector(detector)
        refuse_unused_model(emotions, weights=weights, always=always, revision=revision)
        self.detector = load_detector() if detector is None else detector
        self.predictor = Predictor(weights, device=device, always=always, revision=revision) if emotions else None
        self.pictures = pictures
        self.finder = finder

    def __call__(
        self,
        source: str | PathLike[str] | Video | FrameStream,
        *,
        fps: float | None = None,
        progress: Progress | None = None,
        on_event: Callable[[Event], None] | None = None,
        kept: KeptProgress | None = None,
    ) -> Analysis:
        """Analyze a recording, see `analyze`.

        Args:
            source: see `analyze`.
            fps: see `analyze`.
            progress: see `analyze`.
            on_event: see `analyze`.
            kept: stores the progress of measuring, see `htnet.recordings.recording_curves`.
        """
        _check_call(source, fps, progress, on_event)
        if isinstance(source, FrameStream):
            if kept is not None:
                raise InputError("The progress of a stream cannot be stored, because it is read once; leave kept out.")
            return self._watch(source, progress, on_event)
        video = source if isinstance(source, Video) else open_video(source, fps=fps)
        curves = recording_curves(video, self.finder, progress=_told(progress, STAGES[0]), kept=kept)
        events = checked_events(self.detector(curves), curves)
        seen = list(self._seen(video, curves, events, progress))
        found = assemble(curves, events, seen, self.predictor, video=video.source)
        if on_event is not None:
            for event in found.events:
                on_event(event)
        return found

    def _watch(
        self, stream: FrameStream, progress: Progress | None, on_event: Callable[[Event], None] | None
    ) -> Analysis:
        """Analyze a stream, which can be read only once."""
        reader = self._reader()
        tell = _told(progress, STAGES[0])

        def detector(curves: RecordingCurves) -> tuple[Event, ...]:
            return checked_events(self.detector(curves), curves)

        found = watch(stream, detector, reader, self.finder, progress=tell, on_event=on_event)
        events = checked_events(found.events, found.curves)
        return assemble(found.curves, events, found.seen, self.predictor, video=None)

    def _reader(self) -> PairReader | None:
        if self.predictor is None and not self.pictures:
            return None
        return PairReader(self.predictor, pictures=self.pictures)

    def _seen(
        self, video: Video, curves: RecordingCurves, events: Sequence[Event], progress: Progress | None
    ) -> Iterator[SeenPair]:
        """Read onset and apex of each event, and ask the model about them."""
        read = self._reader()
        if read is None:
            return
        planned = list(plan_pairs(curves, events))
        yield from (found for found in planned if isinstance(found, SeenPair))
        pairs = {found.place: found for found in planned if isinstance(found, EventPair)}
        tell = _told(progress, STAGES[1])
        for seen in collect_pairs(_telling(recording_stream(video), tell), pairs.values(), read.spec):
            del pairs[seen.pair.place]
            yield read(seen)
        for pair in pairs.values():
            yield SeenPair(pair.place, pair.event, fault="its frames could not be read a second time")


def analyze(
    source: str | PathLike[str] | Video | FrameStream,
    *,
    detector: Detector | None = None,
    weights: str | PathLike[str] | EmotionModel = DEFAULT_WEIGHTS,
    emotions: bool = True,
    pictures: bool = True,
    fps: float | None = None,
    device: str | torch.device = "cpu",
    always: bool = False,
    finder: FaceFinder | None = None,
    progress: Progress | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Analysis:
    """Find the events in a recording of any length: micro- and macro-expressions, blinks, head movements, speech.

    Faces are found, followed and measured in every frame (`htnet.recordings.recording_curves`). A detector finds events
    in the curves. The model then classifies each micro- and macro-expression from its onset and apex frames, using the
    face that the event belongs to. If the two frames do not differ by an expression, the event keeps its kind and gets
    the label "no expression". The recording is read twice from its beginning, without seeking. Memory holds one frame
    at a time, and for each event that has begun the face at its onset.

    A stream, such as that of a camera (`htnet.recordings.camera_stream`), is read once. Its events are found while it
    runs, some seconds after they end. Memory holds the faces of the last ten seconds, at most 256 MiB. Ctrl-C ends it.

    Args:
        source: a video file, a folder of frames, a `Video`, or a stream.
        detector: finds events in the curves: a function that takes `htnet.recordings.RecordingCurves` and returns a
            list of `htnet.types.Event`. If there are several faces, each event needs the number of its track. Missing
            times of an event are taken from its frames. By default the detector that htnet ships.
        weights: registered weights, a weights folder, a Hub repository or a loaded model.
        emotions: recognize emotions and action units with the model; False for the events alone.
        pictures: keep small pictures of onset, apex and flow of each micro- and macro-expression, about 30 kB an event.
        fps: frames per second at which the recording was made, see `htnet.preprocess.open_video`.
        device: where the model runs.
        always: predict a class even if the frames do not differ by an expression.
        finder: finds faces in a frame; YuNet by default.
        progress: called with the current stage and the time that it has reached, s.
        on_event: called with each event; for a stream, as soon as it is detected.

    Returns:
        The events, the followed faces with the gaps in which they were not measured, and the curves.

    Raises:
        VideoError: the recording cannot be opened, or none of its frames can be decoded.
        InputError: its frames have no times, a setting is impossible or would have no effect, or the detector does not
            return events of the recording.
        WeightsError, ModelError: the weights cannot be used.
    """
    _check_call(source, fps, progress, on_event)
    analyzer = Analyzer(
        detector,
        weights=weights,
        emotions=emotions,
        pictures=pictures,
        device=device,
        always=always,
        finder=finder,
    )
    return analyzer(source, fps=fps, progress=progress, on_event=on_event)


def _check_call(source: object, fps: object, progress: object, on_event: object) -> None:
    """Raise InputError for arguments of the wrong type, before any work."""
    if not isinstance(source, str | PathLike | Video | FrameStream):
        cure = "a video file, a folder of frames, a Video of htnet.preprocess.open_video or a stream"
        if isinstance(source, list | tuple):
            cure += "; to analyze several recordings, call htnet.pipeline.Analyzer for each of them"
        elif isinstance(source, int):
            cure += f"; for a camera give htnet.recordings.camera_stream({source})"
        raise InputError(f"The recording is {short(source)}; give {cure}.")
    if isinstance(source, FrameStream | Video) and fps is not None:
        kind = "stream" if isinstance(source, FrameStream) else "Video"
        raise InputError(
            f"fps is for files and folders; the frames of a {kind} have their own times. Give fps when you open it."
        )
    checked_fps(fps)
    for name, value in (("progress", progress), ("on_event", on_event)):
        if value is not None and not callable(value):
            raise InputError(f"{name} is {short(value)}; give a function, or None.")


def refuse_unused_model(
    emotions: bool,
    *,
    weights: str | PathLike[str] | EmotionModel = DEFAULT_WEIGHTS,
    always: bool = False,
    revision: str | None = None,
) -> None:
    """Refuse settings of a model that is not used.

    Raises:
        InputError: ``emotions`` or ``always`` is neither True nor False; or emotions are not recognized, and weights
            other than the default ones, ``always`` or a revision are given.
    """
    for name, value in (("emotions", emotions), ("always", always)):
        flag().check(name, value)
    if emotions:
        return
    given = {
        "weights": not isinstance(weights, str | PathLike) or os.fspath(weights) != DEFAULT_WEIGHTS,
        "always": always,
        "revision": revision is not None,
    }
    if named := [name for name, is_given in given.items() if is_given]:
        raise InputError(
            f"emotions=False uses no model, so {' and '.join(named)} would have no effect. Leave "
            f"{'it' if len(named) == 1 else 'them'} out, or leave emotions=False out."
        )


def _check_detector(detector: object) -> None:
    if detector is None or callable(detector):
        return
    cure = "a function of RecordingCurves that returns events, or None for the detector that htnet ships"
    if isinstance(detector, str | PathLike):
        cure = f"a loaded detector: htnet.recordings.load_detector({os.fspath(detector)!r})"
    raise InputError(f"detector is {short(detector)}; give {cure}.")


def assemble(
    curves: RecordingCurves,
    events: Sequence[Event],
    seen: Iterable[SeenPair],
    predictor: Predictor | None,
    *,
    video: str | None,
) -> Analysis:
    """Put the results together in an `Analysis`.

    Args:
        curves: curves of the recording.
        events: events that the detector found.
        seen: results of the model for some of the events.
        predictor: the model; None if none was used.
        video: the file or folder; None for a camera.
    """
    by_place = {one.place: one for one in seen}
    told = [by_place[place].event if place in by_place else event for place, event in enumerate(events)]
    if len(curves.tracks) == 1:
        told = [replace(event, track=None) for event in told]
    return Analysis(
        source=curves.source,
        events=tuple(told),
        faces=tuple(FollowedFace.of(track) for track in curves.tracks),
        frames=curves.frames,
        duration=curves.duration,
        size=curves.size,
        fps=curves.fps,
        missing=curves.missing,
        cuts=curves.cuts,
        warnings=(*curves.warnings, *_warnings(curves, by_place.values())),
        model=_model(predictor),
        classes=() if predictor is None else tuple(predictor.model.labels),
        video=video,
        curves=curves,
        pictures={place: one.pictures for place, one in by_place.items() if one.pictures is not None},
    )


def _model(predictor: Predictor | None) -> dict[str, Any] | None:
    if predictor is None:
        return None
    model = predictor.model
    return model_part(predictor.name, model.name, model.temperature, model.license_expression)


def _warnings(curves: RecordingCurves, seen: Iterable[SeenPair]) -> Iterator[QualityWarning]:
    if not curves.tracks and not any(warning.code == "too_short" for warning in curves.warnings):
        text = "No face was found, or none that looks into the camera, so no events are reported."
        yield QualityWarning("no_face", text)
    for code, (message, times) in doubts(seen).items():
        moments = sorted(times)
        named = ", ".join(f"{time:.2f}" for time in moments[:_NAMED]) + (", ..." if len(moments) > _NAMED else "")
        yield QualityWarning(code, f"Event{'s' if len(moments) > 1 else ''} at {named} s: {message}")


def _told(progress: Progress | None, stage: str) -> Callable[[Frame], None] | None:
    if progress is None:
        return None
    return lambda frame: progress(stage, frame.time or 0.0)


def _telling(frames: Iterable[Frame], tell: Callable[[Frame], None] | None) -> Iterator[Frame]:
    for frame in frames:
        if tell is not None:
            tell(frame)
        yield frame
