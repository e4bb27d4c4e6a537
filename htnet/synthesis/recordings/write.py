"""Generated recordings as files: videos, what is true of them, and the table that evaluations read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

from htnet.core.errors import InputError, OverwriteError
from htnet.core.files import check_outputs, write_text
from htnet.core.paths import as_path
from htnet.core.recordings import Recording, write_recordings
from htnet.synthesis.recordings.codec import check_codec, write_video
from htnet.synthesis.recordings.config import RecordingConfig
from htnet.synthesis.recordings.identity import mean_points
from htnet.synthesis.recordings.portrait import Portrait
from htnet.synthesis.recordings.recording import GeneratedRecording, generate_recording
from htnet.synthesis.recordings.sets import BENCHMARK_SETS

#: What a recording that goes through no codec is written with: nearly what the sensor gave.
_NEARLY_WHOLE = ("h264", 8)
#: The table of a folder of recordings.
TABLE_NAME = "recordings.csv"
#: Files of the package that have no part in what a recording shows, so the hash leaves them out.
_NOT_DRAWN = frozenset({"__init__.py", "recordings/sources.py", "recordings/write.py"})


def write_recording(
    recording: GeneratedRecording,
    path: str | PathLike[str],
    *,
    codec: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    on_frame: Callable[[int], object] | None = None,
) -> None:
    """Write a recording into an MP4 file, each frame at its time.

    Args:
        recording: what to write.
        path: an .mp4 file; missing folders are made.
        codec: "h264", "mpeg4" or "mjpeg"; None for the recording's own. One without a codec is written as H.264 of
            rate factor 8.
        quality: constant rate factor of H.264 (0 to 51), or quantizer of the others (1 to 31); smaller is better.
        overwrite: replace a file that exists.
        on_frame: called with the number of frames that are done.

    Raises:
        OverwriteError: the file exists and ``overwrite`` is not given.
        MissingExtraError: PyAV is not installed.
        InputError: a codec or quality that cannot be, or the file cannot be written.
    """
    if as_path(path, "path").suffix.lower() != ".mp4":
        raise InputError(f"{path} is not named .mp4; recordings are written as MP4 files.")
    if (codec is None) != (quality is None):
        raise InputError(f"codec is {codec!r} and quality {quality!r}; give both or neither.")
    if codec is None or quality is None:
        codec, quality = (recording.codec, recording.quality) if recording.codec != "none" else _NEARLY_WHOLE
    check_codec(codec, quality)
    if codec == "none":
        raise InputError("codec is 'none'; a file needs one of h264, mpeg4, mjpeg.")
    check_outputs(path, overwrite=overwrite)

    def told() -> Iterator[float]:
        for number, time in enumerate(recording.times):
            yield float(time)
            if on_frame is not None:
                on_frame(number + 1)

    write_video(recording.frames(compress=False), told(), as_path(path, "path"), codec, quality, recording.fps)


def write_truth(recording: GeneratedRecording, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write what is true of a recording, as JSON: `GeneratedRecording.truth` and the generator's hash.

    Raises:
        OverwriteError: the file exists and ``overwrite`` is not given.
        InputError: the file cannot be written.
    """
    check_outputs(path, overwrite=overwrite)
    write_text(path, _truth_text(recording))


def synthesize_recordings(
    out: str | PathLike[str],
    count: int,
    seed: int = 0,
    config: RecordingConfig | None = None,
    portrait: Portrait | None = None,
    *,
    overwrite: bool = False,
    on_recording: Callable[[int, str], object] | None = None,
) -> Path:
    """Write recordings, what is true of each, and the table of their events into a folder.

    The recording of seed S is ``recording-S.mp4`` with ``recording-S.json``; ``recordings.csv`` has one row an event,
    as `htnet.data.read_recordings` reads it (shifts of the gaze are in the JSON files only). What an interrupted call
    has written is kept by the next one.

    Args:
        out: the folder; it need not exist.
        count: how many.
        seed: of the first; the others follow.
        config: what they may show.
        portrait: a face to show instead of the first drawn one of each.
        overwrite: replace files of other recordings that lie there.
        on_recording: called with the number of recordings that are done, and the name of the last one.

    Returns:
        The table.

    Raises:
        OverwriteError: other recordings lie there and ``overwrite`` is not given.
        MissingExtraError: PyAV is not installed.
        InputError: a count or seed that cannot be, or a file cannot be written.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InputError(f"count is {count!r}; give a whole number of 1 or more.")
    folder = as_path(out, "out")
    table = folder / TABLE_NAME
    rows = []
    for place in range(count):
        recording = generate_recording(seed + place, config, portrait)
        name = f"recording-{seed + place:07d}"
        video, truth = folder / f"{name}.mp4", folder / f"{name}.json"
        if not (
            os.path.isfile(video) and os.path.isfile(truth) and truth.read_bytes() == _truth_text(recording).encode()
        ):
            if not overwrite and os.path.exists(truth):
                raise OverwriteError(
                    f"{truth} tells of another recording. Choose another folder, or replace it with --overwrite "
                    "(overwrite=True)."
                )
            truth.unlink(missing_ok=True)
            write_recording(recording, video, overwrite=True)
            write_truth(recording, truth)
        rows.append(as_recording(recording, name, video))
        if on_recording is not None:
            on_recording(place + 1, name)
    write_recordings(table, rows, overwrite=True)
    return table


def as_recording(recording: GeneratedRecording, name: str, path: Path | None = None) -> Recording:
    """The recording as evaluations know it; shifts of the gaze are left out."""
    events = tuple(found for event in recording.events if (found := event.as_event()) is not None)
    if len(recording.tracks) == 1:
        events = tuple(dataclasses.replace(event, track=None) for event in events)
    people = {"portrait" if t.person is None else f"drawn{t.person}" for t in recording.tracks}
    return Recording(
        name,
        events,
        path,
        dataset="generated",
        subject="+".join(sorted(people)),
        fps=recording.fps,
        frames=len(recording),
    )


def benchmark_recordings(
    name: str, portrait: Portrait | None = None, config: RecordingConfig | None = None
) -> Iterator[tuple[str, GeneratedRecording]]:
    """The recordings of one of `BENCHMARK_SETS`, each with its name.

    Args:
        name: "development" or "test".
        portrait: the face of every third recording of the test; it must not have been used before.
        config: other lengths or sizes; None for the one that the benchmarks use.

    Raises:
        InputError: an unknown name, or the test without its portrait.
    """
    if name not in BENCHMARK_SETS:
        raise InputError(f"There is no set {name!r}; give one of {', '.join(BENCHMARK_SETS)}.")
    chosen = BENCHMARK_SETS[name]
    if chosen.portrait_every and portrait is None:
        raise InputError(f"The set {name!r} shows a portrait in every third recording; give one.")
    config = config or RecordingConfig()
    for place, seed in enumerate(chosen.seeds):
        shown = portrait if chosen.shows_portrait(place) else None
        own = dataclasses.replace(config, no_expression=1.0 if chosen.is_still(place) else 0.0)
        yield f"{name}-{place:02d}", generate_recording(seed, own, shown)


def generator_hash() -> str:
    """SHA-256 of the generator: the files that draw, the mean face that it starts from, and its default constants.

    Benchmarks store it beside their scores: a detector is only comparable on recordings of the same generator.
    """
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    files = [file for file in package.rglob("*.py") if file.relative_to(package).as_posix() not in _NOT_DRAWN]
    for file in sorted(files, key=lambda path: path.relative_to(package).as_posix()):
        digest.update(file.relative_to(package).as_posix().encode())
        digest.update(file.read_text("utf-8").encode())
    digest.update(json.dumps(mean_points().round(4).tolist()).encode())
    digest.update(json.dumps(RecordingConfig().to_dict(), sort_keys=True).encode())
    return digest.hexdigest()


def _truth_text(recording: GeneratedRecording) -> str:
    return json.dumps({"generator": generator_hash(), **recording.truth()}) + "\n"
