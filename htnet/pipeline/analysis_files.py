"""The files of an analysis, and the analysis of many recordings into one folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from htnet import recordings
from htnet._version import __version__
from htnet.core.elan import write_elan
from htnet.core.engines import Engine, LocalEngine, make_engine
from htnet.core.errors import HtnetError, InputError, OverwriteError, cause
from htnet.core.events import Event
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
from htnet.hub.weights import find_files
from htnet.pipeline.analysis import Analysis
from htnet.pipeline.analyzing import Analyzer, Progress
from htnet.pipeline.report import write_report
from htnet.preprocess import Video, open_video
from htnet.recordings import KeptProgress, camera_stream, load_detector, write_table

# The event detector that `load_detector` gives without a path.
_SHIPPED = Path(recordings.__file__).parent / "weights" / "detector.safetensors"
#: What the name of each file ends in: document, events, events in the form of MEGC 2022, ELAN, a row for every frame
#: and face, report.
ENDINGS = (".json", ".csv", ".megc.csv", ".eaf", ".frames.csv", ".html")


def write_analysis(
    found: Analysis,
    folder: str | PathLike[str],
    name: str | None = None,
    *,
    faces: bool = True,
    overwrite: bool = False,
) -> list[Path]:
    """Write all files of an analysis, `ENDINGS`.

    The document comes first; of a recording whose files are all there nothing is missing.

    Args:
        found: with curves, for the table of frames; one that was read from its document has none, and no such table.
        folder: where to write; made if need be.
        name: of the files, without ending; that of the recording unless given.
        faces: show pictures of faces in the report.
        overwrite: replace files that exist.

    Returns:
        The files.

    Raises:
        OverwriteError: one exists and ``overwrite`` is not given.
        InputError: one cannot be written, or ``found`` is no analysis.

    Warns:
        UserWarning: the analysis has no curves: the table of frames is left out, and the report has none.
    """
    if not isinstance(found, Analysis):
        raise InputError(f"The analysis is {found!r:.80}; give what htnet.analyze or read_analysis returned.")
    if not isinstance(folder, str | PathLike):
        raise InputError(f"The folder is {folder!r:.80}; give the path of a folder to write into.")
    files = output_files(as_path(folder, "folder"), name or found.sample)
    check_outputs(*files, overwrite=overwrite, inputs=(found.video,))
    if found.curves is None:
        warn_user(
            f"The analysis has no curves, as one that was read from its document: {files[4].name} was left out, and "
            "the report shows no curves. Write what htnet.analyze returned to have them."
        )
    return _write(found, files, faces=faces)


def _write(found: Analysis, files: Sequence[Path], *, faces: bool, only: Collection[Path] | None = None) -> list[Path]:
    """Write the files of `output_files`, or of them those in ``only``; returns what was written."""
    document, events, megc, elan, frames, report = files
    video = None if found.video is None else Path(found.video)
    # Numbers of frames go on over damaged ones, which are not read.
    last = max([found.frames - 1, *(event.offset for event in found.events)])
    recording = Recording(found.sample, found.events, video, fps=found.fps, frames=last + 1)
    writers: dict[Path, Callable[[], object]] = {
        document: lambda: write_text(document, to_json(found.to_dict())),
        events: lambda: write_recordings(events, [recording], overwrite=True),
        megc: lambda: write_megc(megc, {found.sample: found.events}, overwrite=True),
        elan: lambda: write_elan(elan, found.events, video, fps=found.fps, overwrite=True),
        report: lambda: write_report(found, report, faces=faces, overwrite=True),
    }
    if (curves := found.curves) is not None:
        writers[frames] = lambda: write_table(curves, frames, overwrite=True)
    written = [file for file in files if file in writers and (only is None or file in only)]
    for file in written:
        writers[file]()
    return written


def output_files(folder: Path, name: str) -> tuple[Path, ...]:
    """The files of a recording, in the order of `ENDINGS`."""
    return tuple(folder / f"{name}{ending}" for ending in ENDINGS)


@dataclass(frozen=True)
class AnalysisJob:
    """How recordings are analyzed into a folder.

    Attributes:
        out: the folder.
        weights: name, folder or repository.
        emotions: ask the model.
        always: answer a class also where there is no expression.
        faces: show pictures of faces in the report.
        fps: frames per second, of all recordings; None for what the files say.
        device: where the model runs.
        detector: file of the event detector; None for the shipped one.
        overwrite: analyze anew also what is finished, and replace files.
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

    def options(self) -> dict[str, Any]:
        """What changes the answer."""
        shared = {"fps": self.fps, "detector": self.detector, "faces": self.faces}
        asked = {"weights": self.weights, "always": self.always} if self.emotions else {}
        return {"emotions": self.emotions, **asked, **shared}

    def made_from(self, video: Video) -> dict[str, Any]:
        """The part "made_from" of the document: size and time of the recording, the options, and what was loaded."""
        read = _state_of(video.paths or (Path(video.source),))
        return {**read, "options": self.options(), **self.known().loaded.to_dict()}

    def known(self) -> KnownJob:
        """The same with the identity of weights and detector.

        Raises:
            WeightsError: the weights cannot be found.
            InputError: the file of the detector is not there.
        """
        named = {field.name: getattr(self, field.name) for field in fields(AnalysisJob)}
        return KnownJob(**named, loaded=Loaded.of(self))

    def analyzer(self) -> Analyzer:
        """Detector and model, loaded; anew where their files have changed."""
        return _analyzer(replace(self.known(), out=Path(), overwrite=False, fps=None))


@dataclass(frozen=True)
class Loaded:
    """What an analysis is made by, by its content.

    Attributes:
        detector: SHA-256 of the file of the event detector.
        weights: SHA-256 of the file of the weights; None where no model is asked.
        config: likewise of their ``config.json``.
        revision: commit of the Hub repository; None for weights of this machine.
    """

    detector: str
    weights: str | None = None
    config: str | None = None
    revision: str | None = None

    @classmethod
    def of(cls, job: AnalysisJob) -> Loaded:
        """What a job says to load; see `AnalysisJob.known`."""
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
        return cls(detector, *files.digests(), files.revision)

    def to_dict(self) -> dict[str, Any]:
        """The entries "weights" and "detector" of the part "made_from"."""
        weights = {"sha256": self.weights, "config_sha256": self.config, "revision": self.revision}
        return {"weights": None if self.weights is None else weights, "detector": {"sha256": self.detector}}


@dataclass(frozen=True, kw_only=True)
class KnownJob(AnalysisJob):
    """A job whose weights and detector are looked up once, for all recordings and processes.

    Attributes:
        loaded: what is loaded.
    """

    loaded: Loaded

    def known(self) -> KnownJob:
        """The job itself."""
        return self


def _state_of(files: Sequence[Path]) -> dict[str, int]:
    """Size of some files, and when one of them was last changed.

    Raises:
        InputError: one of them is not there.
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
    """What `AnalysisJob.analyzer` loads."""
    return Analyzer(
        load_detector(job.detector),
        weights=job.weights,
        emotions=job.emotions,
        always=job.always,
        device=job.device,
        revision=job.loaded.revision,
    )


#: What helps a recording that failed: it cannot be read; its files are of something else, or were edited; its files
#: could not be written.
CURES = ("read", "overwrite", "write")


@dataclass(frozen=True)
class Done:
    """One recording that was worked on.

    Attributes:
        source: as given.
        found: the analysis without curves and pictures; None if it failed.
        kept: it was finished before, with these options, and is unchanged.
        fault: why it failed, "" if it did not.
        cure: what helps, one of `CURES`; "" where nothing failed.
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
    """Analyze recordings into a folder, each into files of its name.

    One that cannot be read, or whose files are there already and were made from something else, fails and does not stop
    the others. The folder is locked until all are done.

    What is finished, was made with the same options, weights and detector and has not changed since is kept, so an
    interrupted call is resumed by the same call; of its files only those are written that are missing. With
    ``overwrite`` all are analyzed anew.

    Args:
        sources: video files or folders of frames.
        job: where to and how.
        workers: processes.
        engine: "local"; or "ray" for the nodes of a Ray cluster, which must have the recordings under the same paths,
            see docs/clusters.md. The files are the same, and written by this process alone.
        address: HOST:PORT of the Ray cluster; None for what the variable RAY_ADDRESS names.
        progress: called with the recording, what is done and up to which time; with one process only.

    Returns:
        Each recording when it is done or has failed. What cannot be for any of them is refused before the first one.

    Raises:
        InputError: two recordings would be written into one file, one is given twice, the folder is one that is read
            or cannot be written, or the file of the detector is not there.
        WeightsError, ModelError: the model cannot be used.
        RunError: another process analyzes into the folder, or the Ray cluster cannot be used.
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
            job.analyzer()  # what is wrong with the options is told once, before any work
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

    What is loaded is sent, so weights and detector need not be on the nodes.
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
            if job.overwrite:  # all is asked for anew
                kept.remove()
            if isinstance(found, str):
                yield Done(source, fault=found, cure="read")
            else:
                yield _written(job, source, todo[source], replace(found, made_from=made[source]))


def _find(shared: tuple[Analyzer, float | None], source: str) -> Analysis | str:
    """The analysis of a recording, or what is wrong with it."""
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
    """Analyze what a camera shows into files called ``camera_N``, until it ends or Ctrl-C.

    Args:
        number: of the camera, see `htnet.recordings.camera_stream`.
        job: where to and how.
        seconds: how long it is watched.
        on_start: called when the camera is open.
        on_event: called with each event as soon as it is known.

    Raises:
        OverwriteError: there is an analysis of this camera in the folder.
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
    """How the files of a recording are called: as its file without the ending."""
    path = Path(source)
    return path.resolve().name if os.path.isdir(path) else path.stem


def _refuse_same_files(sources: Sequence[str], out: Path) -> None:
    """Refuse recordings that would be written into one file."""
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
    """A recording that is finished or has failed, or the files to be written of one that is to be analyzed."""
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
    # The document has no curves and pictures, which two of the files show.
    if found is None or {files[4], files[5]} & set(lacking):
        return files if found is None else lacking
    try:
        _write(found, files, faces=job.faces, only=lacking)
    except HtnetError as error:
        return Done(source, fault=str(error), cure="write")
    _kept(job, source).remove()
    return Done(source, found, kept=True)


def _finished(files: Sequence[Path], made: Mapping[str, Any], job: AnalysisJob) -> Analysis | None:
    """The analysis that is there already; None where there is none, or it is to be made anew.

    Args:
        files: of the recording.
        made: what the part "made_from" of its document would be now.
        job: how it is analyzed.

    Raises:
        OverwriteError: the files are those of something else.
        InputError: the document was edited, and cannot be read any more.
    """
    known = None if job.overwrite else _document(files[0])
    if known is None:
        check_folder(job.out, [file.name for file in files], overwrite=job.overwrite)
        return None
    if other := _differences(known, made):
        verb = "differ" if len(other) > 1 or other[0].endswith("s") else "differs"
        raise OverwriteError(
            f"{files[0]} is finished, but {' and '.join(other)} {verb}. Choose another --out, or analyze anew with "
            "--overwrite (in Python overwrite=True)."
        )
    return Analysis.from_dict(known, str(files[0]))


def _differences(known: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """What a finished document was made from that differs now, in words; nothing if all is the same.

    Args:
        known: the document.
        made: what its part "made_from" would be now.
    """
    before = known.get("made_from")
    if not isinstance(before, Mapping) or not isinstance(before.get("options"), Mapping):
        return ["what it was made from"]
    old, new = before["options"], made["options"]
    named = [name for name in new if name not in ("weights", "detector") and name in old and old[name] != new[name]]
    others = old.keys() ^ new.keys() if old.get("emotions") == new["emotions"] else ()
    told = {
        "the recording": any(before.get(name) != made[name] for name in ("size_bytes", "modified_ns")),
        "the options": bool(others),
        f"an option ({', '.join(f'{name} was {old[name]}, is {new[name]}' for name in named)})": bool(named),
        "the weights": "weights" in old
        and "weights" in new
        and _content(before, "weights") != _content(made, "weights"),
        "the detector": _content(before, "detector") != _content(made, "detector"),
        f"the version of htnet (was {known.get('htnet_version')}, is {__version__})": known.get("htnet_version")
        != __version__,
    }
    return [name for name, differs in told.items() if differs]


def _content(made: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The SHA-256 of weights or detector in a part "made_from"; a commit of the same content is no other one."""
    said = made.get(name)
    return {key: value for key, value in said.items() if key != "revision"} if isinstance(said, Mapping) else {}


def _document(path: Path) -> Mapping[str, Any] | None:
    """The document of an earlier call; None where there is none."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == "htnet.analysis" else None


def _analyze(job: AnalysisJob, source: str, wanted: Collection[Path], progress: Progress | None = None) -> Done:
    kept = _kept(job, source)
    if job.overwrite:  # all is asked for anew
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
            # Were the writing interrupted, old files beside the new document would pass for finished.
            for file in files:
                file.unlink(missing_ok=True)
        _write(found, files, faces=job.faces, only=wanted)
    except (HtnetError, OSError) as error:
        return Done(source, fault=cause(error), cure="write")
    _kept(job, source).remove()
    return Done(source, replace(found, curves=None, pictures={}))


def _kept(job: AnalysisJob, source: str) -> KeptProgress:
    """The file that keeps how far a recording is measured, until it is finished."""
    return KeptProgress(job.out / f".{recording_name(source)}.part")


def _named(progress: Callable[[str, str, float], None], source: str) -> Progress:
    return lambda stage, time: progress(source, stage, time)
