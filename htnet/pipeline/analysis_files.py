"""The files of an analysis, and the analysis of many recordings into one folder."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from htnet import recordings
from htnet.core.elan import write_elan
from htnet.core.engines import Engine, LocalEngine, make_engine
from htnet.core.errors import HtnetError, InputError, OverwriteError, cause
from htnet.core.events import Event
from htnet.core.fields import checked_fps, flag
from htnet.core.files import check_folder, check_outputs, refuse_same_folder, write_text
from htnet.core.hints import missing as missing_file
from htnet.core.limits import read_json, sha256_of
from htnet.core.megc import write_megc
from htnet.core.parallel import locked
from htnet.core.paths import as_path, real_path
from htnet.core.recordings import Recording, write_recordings
from htnet.core.schema import plain, to_json
from htnet.core.types import DEFAULT_WEIGHTS
from htnet.core.warn import warn_user
from htnet.hub.folder import read_config
from htnet.hub.weights import find_files
from htnet.models.registry import model_code
from htnet.pipeline.analysis import Analysis
from htnet.pipeline.analyzing import Analyzer, Progress, refuse_unused_model
from htnet.pipeline.made_from import differences
from htnet.pipeline.report import write_report
from htnet.preprocess import Video, open_video
from htnet.preprocess.video.readers import PlayerClock, player_clock
from htnet.recordings import KeptProgress, camera_stream, load_detector, write_table

# The event detector that `load_detector` loads without a path.
_SHIPPED = Path(recordings.__file__).parent / "weights" / "detector.safetensors"
#: Endings of the file names: document, events, events in the format of MEGC 2022, ELAN, a table with a row for every
#: frame and face, report.
ENDINGS = (".json", ".csv", ".megc.csv", ".eaf", ".frames.csv", ".html")


def write_analysis(
    found: Analysis,
    folder: str | PathLike[str],
    name: str | None = None,
    *,
    faces: bool = True,
    overwrite: bool = False,
) -> list[Path]:
    """Write all files of an analysis; `ENDINGS` lists them.

    The document is written first. If all files exist, the analysis was written completely.

    Args:
        found: the analysis. The table of frames needs its curves; an analysis that was read from its document has none.
        folder: where to write; created if missing.
        name: name of the files without the ending; by default that of the recording.
        faces: show pictures of faces in the report.
        overwrite: replace files that exist.

    Returns:
        The paths of the files.

    Raises:
        OverwriteError: a file exists and ``overwrite`` is not given.
        InputError: a file cannot be written, or ``found`` is not an analysis.

    Warns:
        UserWarning: the analysis has no curves. The table of frames is left out, and the report shows no curves.
    """
    if not isinstance(found, Analysis):
        raise InputError(f"The analysis is {found!r:.80}; give what htnet.analyze or read_analysis returned.")
    if not isinstance(folder, str | PathLike):
        raise InputError(f"The folder is {folder!r:.80}; give the path of a folder to write into.")
    files = output_files(as_path(folder, "folder"), name or found.sample)
    check_outputs(*files, overwrite=overwrite, inputs=(found.video,))
    if found.curves is None:
        warn_user(
            f"The analysis has no curves, because it was read from its document: {files[4].name} was left out, and "
            "the report shows no curves. To have them, write what htnet.analyze returned."
        )
    return _write(found, files, faces=faces)


def _write(found: Analysis, files: Sequence[Path], *, faces: bool, only: Collection[Path] | None = None) -> list[Path]:
    """Write the files of `output_files`, or only those in ``only``. Returns what was written."""
    document, events, megc, elan, frames, report = files
    video = None if found.video is None else Path(found.video)
    # Damaged frames are numbered but not read, so the last number may exceed the count.
    last = max([found.frames - 1, *(event.offset for event in found.events)])
    recording = Recording(found.sample, found.events, video, fps=_mean_rate(found, last), frames=last + 1)
    writers: dict[Path, Callable[[], object]] = {
        document: lambda: write_text(document, to_json(found.to_dict())),
        events: lambda: write_recordings(events, [recording], overwrite=True),
        megc: lambda: write_megc(megc, {found.sample: found.events}, overwrite=True),
        elan: lambda: _write_elan(found, video, elan),
        report: lambda: write_report(found, report, faces=faces, overwrite=True),
    }
    if (curves := found.curves) is not None:
        writers[frames] = lambda: write_table(curves, frames, overwrite=True)
    written = [file for file in files if file in writers and (only is None or file in only)]
    for file in written:
        writers[file]()
    return written


def _mean_rate(found: Analysis, last: int) -> float | None:
    """Frames per second from frame 0 to frame ``last``: the stated rate, or the mean of a variable one.

    Tables of recordings contain the rate and the number of frames, from which the length follows.
    """
    if not last or not found.duration:
        return found.fps
    mean = last / found.duration
    return found.fps if found.fps is not None and math.isclose(mean, found.fps, rel_tol=0.01) else round(mean, 4)


def _write_elan(found: Analysis, video: Path | None, path: Path) -> None:
    """Write the events by the clock of a player, which ELAN uses.

    Frames are counted from the first one, but a player's clock starts with the sound if that begins earlier; and a
    recording whose frame rate was given, such as slow playback of a high-speed camera, is played at the file's own.
    """
    events, clock = found.events, PlayerClock()
    if video is not None and os.path.isfile(video):
        with suppress(HtnetError):  # a file that was readable and is not any more is linked as it is
            clock = player_clock(video)
    if clock.fps and _by_rate(found) and not math.isclose(clock.fps, found.fps or 0, rel_tol=1e-6):
        events = tuple(
            replace(event, start=event.onset / clock.fps, peak=None, end=event.offset / clock.fps) for event in events
        )
    write_elan(path, events, video, fps=found.fps, media_start=clock.start, overwrite=True)


def _by_rate(found: Analysis) -> bool:
    """Whether the times of all events are frame number / rate, as where the rate was given."""
    fps = found.fps
    return fps is not None and all(abs((event.start or 0.0) - event.onset / fps) < 1e-3 for event in found.events)


def output_files(folder: Path, name: str) -> tuple[Path, ...]:
    """The files of a recording, in the order of `ENDINGS`."""
    return tuple(folder / f"{name}{ending}" for ending in ENDINGS)


@dataclass(frozen=True)
class AnalysisJob:
    """Settings for analyzing recordings into a folder.

    Attributes:
        out: the folder.
        weights: name, folder or repository of the weights.
        emotions: recognize emotions with the model.
        always: predict a class even if there is no expression.
        faces: show pictures of faces in the report.
        fps: frames per second of all recordings; None for what the files state.
        device: where the model runs.
        detector: file of the event detector; None for the shipped one.
        overwrite: analyze finished recordings again, and replace files.

    Raises:
        InputError: a value has another type, or weights or ``always`` are given although ``emotions`` is False.
    """

    out: Path
    weights: str = DEFAULT_WEIGHTS
    emotions: bool = True
    always: bool = False
    faces: bool = True
    fps: float | None = None
    device: str = "cpu"
    detector: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        object.__setattr__(self, "out", as_path(self.out, "out"))
        for name in ("faces", "overwrite"):
            flag().check(name, getattr(self, name))
        object.__setattr__(self, "fps", checked_fps(self.fps))
        refuse_unused_model(self.emotions, weights=self.weights, always=self.always)

    def options(self) -> dict[str, Any]:
        """The settings that change the result."""
        shared = {"fps": self.fps, "detector": self.detector, "faces": self.faces}
        asked = {"weights": self.weights, "always": self.always} if self.emotions else {}
        return {"emotions": self.emotions, **asked, **shared}

    def made_from(self, video: Video) -> dict[str, Any]:
        """The part "made_from" of the document: size and time of the recording, options, detector and weights."""
        read = _state_of(video.paths or (Path(video.source),))
        return {**read, "options": self.options(), **self.known().loaded.to_dict()}

    def known(self) -> KnownJob:
        """The same job with the hashes of weights and detector.

        Raises:
            WeightsError: the weights cannot be found.
            InputError: the file of the detector does not exist.
        """
        named = {field.name: getattr(self, field.name) for field in fields(AnalysisJob)}
        return KnownJob(**named, loaded=Loaded.of(self))

    def analyzer(self) -> Analyzer:
        """Load detector and model. They are cached until their files change."""
        return _analyzer(replace(self.known(), out=Path(), overwrite=False, fps=None))


@dataclass(frozen=True)
class Loaded:
    """Hashes of the files that an analysis loads.

    Attributes:
        detector: SHA-256 of the file of the event detector.
        weights: SHA-256 of the weights file; None if no model is used.
        config: SHA-256 of its ``config.json``; None if no model is used.
        revision: commit of the Hub repository; None for weights on this machine.
        code: SHA-256 of the code of a model that is not part of htnet; "" for htnet's own.
    """

    detector: str
    weights: str | None = None
    config: str | None = None
    revision: str | None = None
    code: str = ""

    @classmethod
    def of(cls, job: AnalysisJob) -> Loaded:
        """Hash what a job loads; see `AnalysisJob.known`."""
        path = _SHIPPED if job.detector is None else as_path(job.detector, "detector")
        if not os.path.exists(path):
            raise InputError(missing_file(path))
        try:
            detector = sha256_of(path)
        except OSError as error:
            raise InputError(f"{path}: {cause(error)}. Check the path.") from error
        if not job.emotions:
            return cls(detector)
        files = find_files(job.weights)
        digests = files.digests()
        return cls(detector, *digests, files.revision, model_code(read_config(files.config)["architecture"]))

    def to_dict(self) -> dict[str, Any]:
        """The entries "weights" and "detector" of the part "made_from"."""
        weights = {"sha256": self.weights, "config_sha256": self.config, "revision": self.revision}
        weights |= {"model_code": self.code} if self.code else {}
        return {"weights": None if self.weights is None else weights, "detector": {"sha256": self.detector}}


@dataclass(frozen=True, kw_only=True)
class KnownJob(AnalysisJob):
    """A job whose weights and detector were looked up once, for all recordings and processes.

    Attributes:
        loaded: hashes of what is loaded.
    """

    loaded: Loaded

    def known(self) -> KnownJob:
        """The job itself."""
        return self


def _state_of(files: Sequence[Path]) -> dict[str, int]:
    """Total size of some files, and the newest time of modification.

    Raises:
        InputError: a file does not exist.
    """
    try:
        stats = [os.stat(path) for path in files]
    except OSError as error:
        raise InputError(f"{error.filename}: {cause(error)}. Check the path.") from error
    return {
        "size_bytes": sum(stat.st_size for stat in stats),
        "modified_ns": max((stat.st_mtime_ns for stat in stats), default=0),
    }


@lru_cache(maxsize=1)
def _analyzer(job: KnownJob) -> Analyzer:
    """Load what `AnalysisJob.analyzer` returns."""
    return Analyzer(
        load_detector(job.detector),
        weights=job.weights,
        emotions=job.emotions,
        always=job.always,
        device=job.device,
        revision=job.loaded.revision,
    )


#: What to fix for a recording that failed. "read": it cannot be read. "overwrite": its files exist but were made from
#: something else, or were edited. "write": its files could not be written.
CURES = ("read", "overwrite", "write")


@dataclass(frozen=True)
class Done:
    """A recording that is done or has failed.

    Attributes:
        source: the recording, as given.
        found: the analysis without curves and pictures; None if it failed.
        kept: the recording was finished before, with the same options, and has not changed.
        fault: why it failed; "" if it did not.
        cure: what to fix, one of `CURES`; "" if it did not fail.
    """

    source: str
    found: Analysis | None = None
    kept: bool = False
    fault: str = ""
    cure: str = ""


def analyze_files(
    sources: Sequence[str],
    job: AnalysisJob,
    *,
    workers: int | None = 1,
    engine: str = "local",
    address: str | None = None,
    progress: Callable[[str, str, float], None] | None = None,
) -> Iterator[Done]:
    """Analyze recordings into a folder. The files of each are named after it.

    A recording fails if it cannot be read, or if its files exist but were made from something else. The others are
    still analyzed. The folder is locked until all are done.

    A finished recording is kept if it has not changed and was made with the same options, weights and detector; only
    its missing files are written. So the same call resumes an interrupted one. With ``overwrite`` all recordings are
    analyzed again.

    Args:
        sources: video files or folders of frames.
        job: the folder and the settings.
        workers: number of processes.
        engine: "local"; or "ray" for the nodes of a Ray cluster, which must have the recordings under the same paths,
            see docs/clusters.md. The resulting files are the same, and only this process writes them.
        address: HOST:PORT of the Ray cluster; None for the one that the variable RAY_ADDRESS names.
        progress: called with the recording, the current stage, and the time that it has reached, s; only with one
            process.

    Returns:
        An iterator over the recordings, each as soon as it is done or has failed. Errors that affect all of them are
        raised before the first one is analyzed.

    Raises:
        InputError: two recordings would be written into one file, a recording is given twice, the folder is also a
            source or cannot be written to, or the file of the detector does not exist.
        WeightsError, ModelError: the model cannot be used.
        RunError: another process is analyzing into the folder, or the Ray cluster cannot be used.
        MissingExtraError: Ray is not installed.
    """
    runs_on = make_engine(engine, address, workers, job.device)
    check_folder(job.out, ())
    _refuse_same_files(sources, job.out)
    refuse_same_folder(job.out, *sources)
    job = job.known()
    with closing(ExitStack()) as stack:
        stack.enter_context(locked(job.out, below=False))
        states = {source: _state(source, job) for source in sources}
        if not all(isinstance(state, Done) for state in states.values()):
            job.analyzer()  # reports wrong options once, before any work
        return _work(states, job, runs_on, progress, stack.pop_all())


def _work(
    states: Mapping[str, Done | tuple[Path, ...]],
    job: AnalysisJob,
    engine: Engine,
    progress: Callable[[str, str, float], None] | None,
    lock: ExitStack,
) -> Iterator[Done]:
    todo = [(source, state) for source, state in states.items() if not isinstance(state, Done)]
    with lock:
        yield from (state for state in states.values() if isinstance(state, Done))
        if engine == LocalEngine(1, job.device):
            for source, wanted in todo:
                yield _analyze(job, source, wanted, None if progress is None else _named(progress, source))
        elif engine.remote:
            yield from _work_elsewhere(dict(todo), job, engine)
        else:
            with closing(engine.run(_analyze, job, todo)) as ran:
                yield from (done for _, done in ran)


def _work_elsewhere(todo: Mapping[str, Collection[Path]], job: AnalysisJob, engine: Engine) -> Iterator[Done]:
    """Analyze recordings on other machines, and write the files here.

    The loaded model and detector are sent to the nodes, which need no files of them.
    """
    if not todo:
        return
    videos = {source: open_video(source, fps=job.fps) for source in todo}
    made = {source: job.made_from(video) for source, video in videos.items()}

    def files(task: tuple[str]) -> tuple[str | Path, ...]:
        return (task[0], *videos[task[0]].paths)

    tasks = [(source,) for source in todo]
    with closing(engine.run(_find, (job.analyzer(), job.fps), tasks, files=files)) as ran:
        for (source,), found in ran:
            kept = _kept(job, source)
            if job.overwrite:  # start from the beginning
                kept.remove()
            if isinstance(found, str):
                yield Done(source, fault=found, cure="read")
            else:
                yield _written(job, source, todo[source], replace(found, made_from=made[source]))


def _find(shared: tuple[Analyzer, float | None], source: str) -> Analysis | str:
    """Analyze a recording. Returns the message of the error if that fails."""
    analyzer, fps = shared
    try:
        return analyzer(source, fps=fps)
    except (HtnetError, OSError) as error:
        return cause(error)


def analyze_camera(
    number: int,
    job: AnalysisJob,
    *,
    seconds: float | None = None,
    on_start: Callable[[], None] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Analysis:
    """Analyze the frames of a camera into files named ``camera_N``, until the stream ends or Ctrl-C is pressed.

    Args:
        number: number of the camera, see `htnet.recordings.camera_stream`.
        job: the folder and the settings.
        seconds: how long to record, s.
        on_start: called when the camera is open.
        on_event: called with each event as soon as it is detected.

    Raises:
        OverwriteError: the folder already holds an analysis of this camera.
        VideoError: there is no such camera.
        WeightsError, ModelError: the model cannot be used.
    """
    name = f"camera_{number}"
    check_folder(job.out, [file.name for file in output_files(job.out, name)], overwrite=job.overwrite)
    analyzer = job.analyzer()
    stream = camera_stream(number, seconds=seconds)
    if on_start is not None:
        on_start()
    found = analyzer(stream, on_event=on_event)
    write_analysis(found, job.out, name, faces=job.faces, overwrite=job.overwrite)
    return found


def recording_name(source: str) -> str:
    """Name of the output files of a recording: its file name without the extension."""
    path = Path(source)
    return path.resolve().name if os.path.isdir(path) else path.stem


def _refuse_same_files(sources: Sequence[str], out: Path) -> None:
    """Raise InputError if two recordings would be written into one file."""
    real: dict[str, str] = {}
    taken: dict[str, str] = {}
    for source in sources:
        if (other := real.setdefault(real_path(source), source)) != source or sources.count(source) > 1:
            same = f"{source} is given twice" if other == source else f"{other} and {source} are the same recording"
            raise InputError(f"{same}. Give it once.")
        for file in output_files(out, recording_name(source)):
            if (other := taken.setdefault(file.name.casefold(), source)) != source:
                raise InputError(
                    f"{other} and {source} would both be written as {file.name}. Rename one, or analyze them into two "
                    "folders."
                )


def _state(source: str, job: AnalysisJob) -> Done | tuple[Path, ...]:
    """State of a recording: `Done` if it is finished or has failed, otherwise the files that are to be written."""
    try:
        made = plain(job.made_from(open_video(source, fps=job.fps)))
    except HtnetError as error:
        return Done(source, fault=str(error), cure="read")
    files = output_files(job.out, recording_name(source))
    try:
        found = _finished(files, made, job)
    except HtnetError as error:
        return Done(source, fault=str(error), cure="overwrite")
    lacking = tuple(file for file in files if not os.path.lexists(file))
    # Two of the files show curves and pictures, which the document does not contain.
    if found is None or {files[4], files[5]} & set(lacking):
        return files if found is None else lacking
    try:
        _write(found, files, faces=job.faces, only=lacking)
    except HtnetError as error:
        return Done(source, fault=str(error), cure="write")
    _kept(job, source).remove()
    return Done(source, found, kept=True)


def _finished(files: Sequence[Path], made: Mapping[str, Any], job: AnalysisJob) -> Analysis | None:
    """The existing analysis; None if there is none, or if it is to be repeated.

    Args:
        files: output files of the recording.
        made: what the part "made_from" of its document would be now.
        job: the settings.

    Raises:
        OverwriteError: the files were made from something else.
        InputError: the document was edited and can no longer be read.
    """
    known = None if job.overwrite else _document(files[0])
    if known is None:
        check_folder(job.out, [file.name for file in files], overwrite=job.overwrite)
        return None
    if other := differences(known, made):
        verb = "differ" if len(other) > 1 or other[0].endswith("s") else "differs"
        raise OverwriteError(
            f"{files[0]} is finished, but {' and '.join(other)} {verb}. Choose another --out, or analyze it again with "
            "--overwrite (in Python overwrite=True)."
        )
    return Analysis.from_dict(known, str(files[0]))


def _document(path: Path) -> Mapping[str, Any] | None:
    """The document of an earlier call; None if there is none."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == "htnet.analysis" else None


def _analyze(job: AnalysisJob, source: str, wanted: Collection[Path], progress: Progress | None = None) -> Done:
    kept = _kept(job, source)
    if job.overwrite:  # start from the beginning
        kept.remove()
    try:
        video = open_video(source, fps=job.fps)
        made = job.made_from(video)
        found = replace(job.analyzer()(video, progress=progress, kept=kept), made_from=made)
    except (HtnetError, OSError) as error:
        return Done(source, fault=cause(error), cure="read")
    return _written(job, source, wanted, found)


def _written(job: AnalysisJob, source: str, wanted: Collection[Path], found: Analysis) -> Done:
    """Write the files of an analysis."""
    files = output_files(job.out, recording_name(source))
    try:
        check_outputs(*wanted, overwrite=job.overwrite, inputs=(source,))
        if job.overwrite:
            # If writing is interrupted, old files beside a new document would look finished.
            for file in files:
                file.unlink(missing_ok=True)
        _write(found, files, faces=job.faces, only=wanted)
    except (HtnetError, OSError) as error:
        return Done(source, fault=cause(error), cure="write")
    _kept(job, source).remove()
    return Done(source, replace(found, curves=None, pictures={}))


def _kept(job: AnalysisJob, source: str) -> KeptProgress:
    """The file that stores the progress of measuring a recording, until the recording is finished."""
    return KeptProgress(job.out / f".{recording_name(source)}.part")


def _named(progress: Callable[[str, str, float], None], source: str) -> Progress:
    return lambda stage, time: progress(source, stage, time)
