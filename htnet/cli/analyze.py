"""``htnet analyze``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htnet.core.command_line import (
    AddCommand,
    add_device,
    add_engine,
    add_overwrite,
    answer,
    asked_workers,
    show_terms,
    show_warnings,
)
from htnet.core.errors import HtnetError, InputError, RunError
from htnet.core.fields import checked_fps, optional, real, whole
from htnet.core.paths import as_path
from htnet.core.progress import ticker
from htnet.core.types import DEFAULT_WEIGHTS
from htnet.core.words import counted

if TYPE_CHECKING:
    from htnet.core.events import Event
    from htnet.pipeline.analysis import Analysis
    from htnet.pipeline.analysis_files import AnalysisJob, Done

# Maximum number of expressions that are printed per recording.
_PRINTED = 12


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add(
        "analyze",
        _analyze,
        "find micro- and macro-expressions, blinks and speech in recordings of any length",
        "htnet analyze video.mp4 --out out",
    )
    command.add_argument(
        "videos", nargs="*", metavar="VIDEO", help="video files, folders of frames, or folders of either"
    )
    command.add_argument("--camera", type=int, metavar="N", help="analyze a camera live instead, until Ctrl-C")
    command.add_argument("--seconds", type=float, metavar="S", help="with --camera: stop after S seconds")
    command.add_argument("--out", required=True, metavar="DIR", help="folder for the files of each recording")
    command.add_argument("--weights", help=f"trained weights: name, folder or owner/repo (default: {DEFAULT_WEIGHTS})")
    command.add_argument(
        "--no-emotions", action="store_true", help="find events only, without emotions and action units"
    )
    command.add_argument("--always", action="store_true", help="predict a class even if the frames show no expression")
    command.add_argument("--no-faces", action="store_true", help="leave pictures of faces out of the reports")
    command.add_argument(
        "--fps", type=float, help="frames per second, at a constant rate (default: the time stamps of the files)"
    )
    command.add_argument("--detector", metavar="FILE", help="event detector (default: the one included in htnet)")
    add_device(command)
    command.add_argument("--workers", type=int, help="processes, one recording each (default: 1)")
    add_engine(command)
    add_overwrite(command)


def _analyze(args: argparse.Namespace) -> None:
    from htnet.core.parallel import choose_workers
    from htnet.pipeline.analysis_files import AnalysisJob, analyze_files
    from htnet.preprocess import list_videos

    if args.no_emotions and args.always:
        raise InputError("--always requests a class, --no-emotions none. Give only one of them.")
    if args.no_emotions and args.weights is not None:
        raise InputError(f"--weights {args.weights} recognizes emotions, --no-emotions none. Give only one of them.")
    if args.camera is None and not args.videos:
        raise InputError("Give videos or folders of frames, or --camera N.")
    if args.camera is not None and args.videos:
        raise InputError("Give videos or --camera N, not both.")
    checked_fps(args.fps, "--fps")
    asked = asked_workers(args)
    job = AnalysisJob(
        as_path(args.out, "--out"),
        DEFAULT_WEIGHTS if args.weights is None else args.weights,
        emotions=not args.no_emotions,
        always=args.always,
        faces=not args.no_faces,
        fps=args.fps,
        device=args.device,
        detector=args.detector,
        overwrite=args.overwrite,
    )
    if args.camera is not None:
        _watch(args, job)
        return
    videos = list_videos(args.videos)
    if args.seconds is not None:
        raise InputError("--seconds needs --camera; recordings are analyzed to their end.")
    workers = None if args.engine == "ray" else choose_workers(asked or 1, len(videos), args.device)
    failed: list[Done] = []
    terms: dict[str | None, str] = {}
    bar = _Bar(videos, args.fps, alone=workers == 1)
    engine = {"workers": workers, "engine": args.engine, "address": args.address}
    work = analyze_files(videos, job, **engine, progress=bar.told)  # impossible settings are refused here
    with bar:
        for done in work:
            bar.ended(done)
            if done.found is None:
                failed.append(done)
                print(f"{done.source}: not analyzed: {done.fault}", file=sys.stderr)
            elif args.json:
                answer(args, done.found.to_dict(), line=True)
            else:
                show(done.source, done.found, kept=done.kept)
                if done.found.model is not None:  # older documents do not state the terms
                    terms[done.found.model["weights"]] = done.found.model.get("license", "")
    for weights, expression in terms.items():
        show_terms(weights, expression)
    if failed:
        raise RunError(_closing(failed, len(videos)))
    print(f"reports, tables and documents are in {args.out}")


#: Cures for failed recordings, by `htnet.pipeline.analysis_files.CURES`; "{}" stands for their names.
_CURES = {
    "read": "Check {} (the reason is above), or leave {it} out.",
    "overwrite": "For {}, choose another --out, or give {it} alone with --overwrite.",
    "write": "For {}, run the same command again when the folder can be written.",
}


def _closing(failed: Sequence[Done], total: int) -> str:
    """The final message if recordings failed: their names and the cures."""
    named = ", ".join(done.source for done in failed)
    said = [
        f"{named} could not be analyzed." if total == 1 else f"{len(failed)} of {total} recordings failed: {named}."
    ]
    if len(failed) < total:
        said.append("The others are finished.")
    for cure, text in _CURES.items():
        if names := [done.source for done in failed if done.cure == cure]:
            said.append(text.format(", ".join(names), it="it" if len(names) == 1 else "them"))
    return " ".join(said)


def _watch(args: argparse.Namespace, job: AnalysisJob) -> None:
    """Analyze the stream of a camera."""
    from htnet.pipeline.analysis_files import analyze_camera

    if args.fps is not None:
        raise InputError("--fps is for recordings; the frames of a camera are timed when they arrive. Leave it out.")
    if args.workers is not None:
        raise InputError("--workers is for recordings; a camera is analyzed by one process. Leave it out.")
    if args.engine != "local" or args.address is not None:
        raise InputError("--engine and --address are for recordings; a camera is analyzed here. Leave them out.")
    whole(ge=0).check("--camera", args.camera)
    optional(real(gt=0)).check("--seconds", args.seconds)
    found = analyze_camera(
        args.camera,
        job,
        seconds=args.seconds,
        on_start=lambda: print(f"watching camera {args.camera}; Ctrl-C ends it", flush=True),
        on_event=lambda event: print(f"  {describe(event)}", flush=True),
    )
    if args.json:
        answer(args, found.to_dict(), line=True)
        return
    show(found.source, found, kept=False)
    print(f"report, tables and document are in {args.out}")


class _Bar:
    """Progress on standard error: a bar on a terminal, otherwise one line for each finished recording.

    The bar counts the seconds of the recordings, twice because each is read twice. With several processes, or if the
    length of a recording is unknown, it counts recordings.
    """

    def __init__(self, sources: Sequence[str], fps: float | None, *, alone: bool) -> None:
        self._sources, self._fps, self._alone = sources, fps, alone
        self._stack = ExitStack()
        self._tick: Callable[[int, Any], None] | None = None
        self._lengths: dict[str, float] = {}
        self._past = 0.0
        self._count = 0

    def __enter__(self) -> None:
        if not sys.stderr.isatty():
            return
        found = {source: _length(source, self._fps) for source in self._sources} if self._alone else {}
        self._lengths = {source: length for source, length in found.items() if length is not None}
        if len(self._lengths) == len(self._sources):
            bar = ticker(round(2 * sum(self._lengths.values())), "analyzing in two passes", "s")
        else:
            self._lengths = {}
            bar = ticker(len(self._sources), "analyzing", "recording")
        self._tick = self._stack.enter_context(bar)

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def told(self, source: str, stage: str, time: float) -> None:
        """Show that a recording has been read up to ``time``, in s."""
        if self._tick is None:
            return
        now: float = self._count
        if self._lengths:
            length = self._lengths[source]
            now = self._past + min(time, length) + (0.0 if stage == "measuring" else length)
        self._tick(round(now), f"{Path(source).name}, {stage}")

    def ended(self, done: Done) -> None:
        """Show that a recording is finished."""
        name = Path(done.source).name
        if self._tick is None:
            if done.found is None:
                return
            self._count += 1
            print(f"{self._count} of {counted(len(self._sources), 'recording')} done: {name}", file=sys.stderr)
            return
        self._count += 1
        self._past += 2 * self._lengths.get(done.source, 0.0)
        self._tick(round(self._past) if self._lengths else self._count, name)


def _length(source: str, fps: float | None) -> float | None:
    """Length in s that a file states; None if unknown, 0 if the file cannot be opened, which the analysis reports."""
    from htnet.preprocess import open_video
    from htnet.recordings.stream import announced_length

    try:
        return announced_length(open_video(source, fps=fps))
    except HtnetError:
        return 0.0


def show(source: str, found: Analysis, *, kept: bool) -> None:
    """Print a summary of a recording: its length, the number of events of each kind, and the strongest expressions."""
    show_warnings(found.warnings)
    counts = ", ".join(f"{count} {kind}" for kind, count in found.counts().items()) or "no events"
    before = " (finished before)" if kept else ""
    print(f"{source}: {found.duration:.1f} s, {counted(len(found.faces), 'face')}; {counts}{before}")
    strongest = sorted(found.expressions, key=lambda event: -(event.confidence or 0.0))[:_PRINTED]
    for event in sorted(strongest, key=lambda event: event.onset):
        print(f"  {describe(event)}")
    if len(found.expressions) > _PRINTED:
        print(f"  and {len(found.expressions) - _PRINTED} more, with lower confidence")


def describe(event: Event) -> str:
    """Describe an expression in one line: kind, frames, times, confidence, emotion and action units."""
    frames = f"frames {event.onset} to {event.offset}, apex {event.apex}"
    times = "" if event.start is None or event.end is None else f" ({event.start:.2f} to {event.end:.2f} s)"
    parts: list[Any] = [f"{event.kind:<5} {frames}{times}"]
    parts += [] if event.confidence is None else [f"confidence {event.confidence:.2f}"]
    parts += [event.label] if event.label else []
    parts += [f"AU{unit.number}" for unit in event.shown_units]
    parts += [] if event.track is None else [f"face {event.track}"]
    return ", ".join(parts)
