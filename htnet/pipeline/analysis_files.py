"""The files of an analysis, and the analysis of many recordings into one folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from htnet._version import __version__
from htnet.core.elan import write_elan
from htnet.core.errors import HtnetError, InputError, OverwriteError
from htnet.core.events import Event
from htnet.core.files import check_folder, check_outputs, refuse_same_folder, write_text
from htnet.core.megc import write_megc
from htnet.core.parallel import run_tasks
from htnet.core.recordings import Recording, write_recordings
from htnet.core.schema import plain, to_json
from htnet.core.types import DEFAULT_WEIGHTS
from htnet.pipeline.analysis import Analysis
from htnet.pipeline.analyzing import Analyzer, Progress
from htnet.pipeline.report import write_report
from htnet.preprocess import Video, open_video
from htnet.recordings import camera_stream, load_detector, write_table

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
        InputError: one cannot be written.
    """
    folder = Path(folder)
    files = output_files(folder, name or found.sample)
    document, events, megc, elan, frames, report = files
    check_outputs(*files, overwrite=overwrite, inputs=(found.video,))
    write_text(document, to_json(found.to_dict()))
    video = None if found.video is None else Path(found.video)
    recording = Recording(found.sample, found.events, video, fps=found.fps, frames=found.frames)
    write_recordings(events, [recording], overwrite=True)
    write_megc(megc, {found.sample: found.events}, overwrite=True)
    write_elan(elan, found.events, video, fps=found.fps, overwrite=True)
    if found.curves is not None:
        write_table(found.curves, frames, overwrite=True)
    write_report(found, report, faces=faces, overwrite=True)
    return [file for file in files if found.curves is not None or file != frames]


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
        overwrite: analyze anew what was analyzed with other options or has changed, and replace files.
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
        """The part "made_from" of the document: size and time of the file, or of a folder's frames, and the options."""
        stats = [os.stat(path) for path in (video.paths or (Path(video.source),))]
        return {
            "size_bytes": sum(stat.st_size for stat in stats),
            "modified_ns": max(stat.st_mtime_ns for stat in stats),
            "options": self.options(),
        }

    def analyzer(self) -> Analyzer:
        """Detector and model, loaded."""
        return _analyzer(replace(self, out=Path(), overwrite=False, fps=None))


@lru_cache(maxsize=1)
def _analyzer(job: AnalysisJob) -> Analyzer:
    return Analyzer(
        load_detector(job.detector),
        weights=job.weights,
        emotions=job.emotions,
        always=job.always,
        device=job.device,
    )


@dataclass(frozen=True)
class Done:
    """One recording that was worked on.

    Attributes:
        source: as given.
        found: the analysis without curves and pictures; None if it failed.
        kept: it was finished before, with these options, and is unchanged.
        fault: why it failed, "" if it did not.
    """

    source: str
    found: Analysis | None = None
    kept: bool = False
    fault: str = ""


def analyze_files(
    sources: Sequence[str],
    job: AnalysisJob,
    *,
    workers: int = 1,
    progress: Callable[[str, str, float], None] | None = None,
) -> Iterator[Done]:
    """Analyze recordings into a folder, each into files of its name. One that cannot be read does not stop the others.

    What is finished, was made with the same options and has not changed since is kept, so an interrupted call is
    resumed by the same call.

    Args:
        sources: video files or folders of frames.
        job: where to and how.
        workers: processes.
        progress: called with the recording, what is done and up to which time; with one process only.

    Yields:
        Each recording when it is done.

    Raises:
        InputError: two recordings would be written into one file, or the folder is one that is read.
        OverwriteError: a recording was analyzed from another file or with other options, and ``overwrite`` is not set.
        WeightsError, ModelError: the model cannot be used.
    """
    taken: dict[str, str] = {}
    for source in sources:
        for file in output_files(job.out, recording_name(source)):
            if (other := taken.setdefault(file.name.casefold(), source)) != source or sources.count(source) > 1:
                raise InputError(
                    f"{other} and {source} would both be written as {file.name}. Rename one, or analyze them into two "
                    "folders."
                )
    refuse_same_folder(job.out, *sources)
    todo = []
    for source in sources:
        state = _state(source, job)
        if isinstance(state, Done):
            yield state
        else:
            todo.append((source,))
    if todo:
        job.analyzer()  # what is wrong with the options is told once, before any work
    if workers == 1:
        for (source,) in todo:
            yield _analyze(job, source, None if progress is None else _named(progress, source))
        return
    yield from (done for _, done in run_tasks(_analyze, job, todo, workers))


def analyze_camera(
    number: int,
    job: AnalysisJob,
    *,
    seconds: float | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Analysis:
    """Analyze what a camera shows into files called ``camera_N``, until it ends or Ctrl-C.

    Args:
        number: of the camera, see `htnet.recordings.camera_stream`.
        job: where to and how.
        seconds: how long it is watched.
        on_event: called with each event as soon as it is known.

    Raises:
        OverwriteError: there is an analysis of this camera in the folder.
        VideoError: there is no such camera.
        WeightsError, ModelError: the model cannot be used.
    """
    name = f"camera_{number}"
    check_folder(job.out, [file.name for file in output_files(job.out, name)], overwrite=job.overwrite)
    analyzer = job.analyzer()
    found = analyzer(camera_stream(number, seconds=seconds), on_event=on_event)
    write_analysis(found, job.out, name, faces=job.faces, overwrite=job.overwrite)
    return found


def recording_name(source: str) -> str:
    """How the files of a recording are called: as its file without the ending."""
    path = Path(source)
    return path.resolve().name if path.is_dir() else path.stem


def _state(source: str, job: AnalysisJob) -> Done | None:
    """A recording that is finished or cannot be opened; None for one that is to be analyzed.

    Raises:
        OverwriteError: its files are those of something else.
    """
    try:
        made = job.made_from(open_video(source, fps=job.fps))
    except HtnetError as error:
        return Done(source, fault=str(error))
    name = recording_name(source)
    files = output_files(job.out, name)
    known = _document(files[0])
    if known is None:
        check_folder(job.out, [file.name for file in files], overwrite=job.overwrite)
        return None
    same = known.get("made_from") == plain(made) and known.get("htnet_version") == __version__
    if same and all(file.is_file() for file in files):
        return Done(source, Analysis.from_dict(known, str(files[0])), kept=True)
    if not same and not job.overwrite:
        raise OverwriteError(
            f"{files[0]} was made from another file, with other options or by another version. Choose another --out, "
            "or analyze anew with --overwrite (in Python overwrite=True)."
        )
    return None


def _document(path: Path) -> Mapping[str, Any] | None:
    """The document of an earlier call; None where there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == "htnet.analysis" else None


def _analyze(job: AnalysisJob, source: str, progress: Progress | None = None) -> Done:
    try:
        video = open_video(source, fps=job.fps)
        made = job.made_from(video)
        found = replace(job.analyzer()(video, progress=progress), made_from=made)
        write_analysis(found, job.out, recording_name(source), faces=job.faces, overwrite=True)
    except HtnetError as error:
        return Done(source, fault=str(error))
    return Done(source, replace(found, curves=None, pictures={}))


def _named(progress: Callable[[str, str, float], None], source: str) -> Progress:
    return lambda stage, time: progress(source, stage, time)
