"""Features of generated recordings, computed once and kept, for training and scoring what finds events in them.

    python -m benchmarks.recordings_data train --out /tmp/recordings --count 160 --shard 0/2
    python -m benchmarks.recordings_data development --out /tmp/recordings
    python -m benchmarks.recordings_data test2 --out /tmp/recordings

"test" scored the detector before this one and is used up; "test2" has other seeds and people. Frames go from the
generator through their codec straight into `htnet.recordings.recording_curves`; no video is kept.
A recording that is there already is left out, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from htnet.core.types import Frame
from htnet.preprocess import YuNetLandmarker
from htnet.preprocess.geometry import transform_points
from htnet.recordings import DISTANCES, RecordingCurves, recorder, recording_curves
from htnet.recordings.faces import overlap
from htnet.recordings.follow import PLACES
from htnet.recordings.stream import FrameStream
from htnet.synthesis import (
    BenchmarkSet,
    Portrait,
    RecordingConfig,
    benchmark_recordings,
    generate_recording,
    generator_hash,
)
from htnet.synthesis.recordings.recording import GeneratedRecording

#: Recordings to train on: many events, and frames as small as the faces allow, so that minutes are drawn in minutes.
#: The aligned face that is measured has 112 px whatever the frame.
TRAINING = RecordingConfig(
    duration=(45.0, 75.0),
    rates=((25.0, 4), (30.0, 5), (50.0, 1), (60.0, 1), (100.0, 0.25), (200.0, 0.1)),
    sizes=((400, 300, 3), (480, 360, 3), (640, 480, 2)),
    face_size=(125.0, 268.0),
    micro_rate=(6.0, 14.0),
    macro_rate=(3.0, 8.0),
    no_expression=0.15,
)


#: Minutes are drawn in minutes: the recordings to choose on are as short as the shortest ones of the test.
LENGTHS = {
    "development": RecordingConfig(duration=(60.0, 75.0)),
    "test": RecordingConfig(duration=(60.0, 75.0)),
}
#: A second test, made like the first ("test" of `htnet.synthesis.BENCHMARK_SETS`), whose scores are known.
SECOND_TEST = BenchmarkSet(range(2_000_060, 2_000_120), portrait_every=3, still_every=5)
#: Distance in time of the cells' motion that is kept, s: as long as a micro-expression rises.
CELLS_AFTER = 0.2


@dataclass(frozen=True)
class TrackFeatures:
    """What `recording_curves` measured of one face, and which true face it is (None: none of them).

    ``cells`` is (N, 3, 14, 14): motion within `CELLS_AFTER` and its strain, which the published methods read.
    """

    truth: int | None
    frames: np.ndarray
    times: np.ndarray
    segments: np.ndarray
    features: np.ndarray
    cells: np.ndarray


class Cells:
    """The motion of all cells, caught where the curves are computed, which themselves keep regions only."""

    def __init__(self) -> None:
        self.rows: dict[float, list[tuple[np.ndarray, np.ndarray]]] = {}
        self._inner = recorder.feature_rows
        self._pair = DISTANCES.index(CELLS_AFTER)

    def __enter__(self) -> Cells:
        recorder.feature_rows = self._catch
        return self

    def __exit__(self, *_: object) -> None:
        recorder.feature_rows = self._inner

    def _catch(self, rows, motions, *others):
        cells = motions.cells.reshape(len(rows.times), len(DISTANCES) + 1, 3, 14, 14)[:, self._pair]
        scale = (CELLS_AFTER / rows.spans[:, self._pair]).astype(np.float32)
        for time_, matrix, values in zip(rows.times, rows.matrices, cells * scale[:, None, None, None], strict=True):
            self.rows.setdefault(float(time_), []).append((matrix, values.astype(np.float16)))
        return self._inner(rows, motions, *others)

    def of(self, track) -> np.ndarray:
        """(N, 3, 14, 14) of a track; NaN where it was not measured. Of several faces the one in place counts."""
        found = np.full((len(track), 3, 14, 14), np.nan, np.float16)
        for row, (time_, gap) in enumerate(zip(track.times, track.gaps, strict=True)):
            entries = self.rows.get(float(time_), [])
            if gap or not entries:
                continue
            away = [np.abs(transform_points(matrix, track.points[row]) - PLACES).mean() for matrix, _ in entries]
            found[row] = entries[int(np.argmin(away))][1]
        return found


def portrait() -> Portrait:
    """The free face of the test: the NASA portrait of scikit-image."""
    from skimage.data import astronaut

    picture = astronaut()
    return Portrait(picture, YuNetLandmarker()(Frame(picture, "the portrait")))


def stream_of(recording: GeneratedRecording) -> FrameStream:
    """A generated recording as a stream, its frames never in a file."""

    def frames() -> Iterator[Frame]:
        for number, pixels in enumerate(recording.frames()):
            yield Frame(pixels, f"frame {number}", number, float(recording.times[number]))

    return FrameStream(f"generated {recording.seed}", frames(), recording.fps)


def true_track(recording: GeneratedRecording, track) -> int | None:
    """The true face whose box a followed face overlaps most, over a sample of its frames."""
    votes = np.zeros(len(recording.tracks))
    rows = np.flatnonzero(track.gaps == 0)
    for row in rows[:: max(1, len(rows) // 12)]:
        for number in range(len(recording.tracks)):
            box = recording.face_box(int(track.frames[row]), number)
            if box is not None:
                votes[number] += overlap(box, track.boxes[row])
    return int(votes.argmax()) if votes.max() > 0 else None


def save(
    path: Path, recording: GeneratedRecording, curves: RecordingCurves, cells: Cells, seconds: dict[str, float]
) -> None:
    """Keep features and truth in one file."""
    arrays: dict[str, np.ndarray] = {}
    for number, track in enumerate(curves.tracks):
        arrays |= {
            f"frames{number}": track.frames,
            f"times{number}": track.times,
            f"segments{number}": np.array(track.segments, np.int64).reshape(-1, 2),
            f"features{number}": track.features,
            f"cells{number}": cells.of(track),
        }
    levels = {}
    for number in range(len(recording.tracks)):
        truth = recording.curves(number)
        levels |= {
            f"levels{number}": np.stack([truth.micro, truth.macro], axis=1),
            f"visible{number}": truth.visible,
        }
    about = {
        "generator": generator_hash(),
        "seconds": seconds,
        "truth": recording.truth(),
        "tracks": [true_track(recording, track) for track in curves.tracks],
        "cuts": list(curves.cuts),
        "missing": [asdict(gap) for gap in curves.missing],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, about=np.array(json.dumps(about)), **arrays, **levels)
    part.replace(path)


def kept_files(data: Path, split: str) -> list[Path]:
    """The files of a set by name; one that an interrupted run has not written to its end is left out."""
    return [path for path in sorted(data.glob(f"{split}-*.npz")) if not path.name.endswith(".part.npz")]


def load(path: Path) -> tuple[dict, list[TrackFeatures], dict[str, np.ndarray]]:
    """The truth and all that was kept of a recording: tracks, and arrays of the truth by name."""
    with np.load(path) as kept:
        about = json.loads(str(kept["about"]))
        if about["generator"] != generator_hash():
            raise SystemExit(f"{path} was made by another generator; remove it.")
        tracks = [
            TrackFeatures(
                truth,
                kept[f"frames{number}"],
                kept[f"times{number}"],
                kept[f"segments{number}"],
                kept[f"features{number}"],
                kept[f"cells{number}"],
            )
            for number, truth in enumerate(about["tracks"])
        ]
        truth = {name: kept[name] for name in kept.files if name.startswith(("levels", "visible"))}
    return about, tracks, truth


def recordings_of(split: str, count: int, shard: int, shards: int) -> Iterator[tuple[str, GeneratedRecording]]:
    """The recordings of a set, those of one shard."""
    if split == "train":
        for seed in range(count):
            if seed % shards == shard:
                yield f"train-{seed:04d}", generate_recording(seed, TRAINING)
        return
    if split == "test2":
        shown = portrait()
        for place, seed in enumerate(SECOND_TEST.seeds):
            if place % shards == shard:
                config = replace(LENGTHS["test"], no_expression=float(SECOND_TEST.is_still(place)))
                face = shown if SECOND_TEST.shows_portrait(place) else None
                yield f"test2-{place:02d}", generate_recording(seed, config, face)
        return
    shown = portrait() if split == "test" else None
    for place, (name, recording) in enumerate(benchmark_recordings(split, shown, LENGTHS[split])):
        if place % shards == shard:
            yield name, recording


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", choices=("train", "development", "test", "test2"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=160, help="recordings to train on")
    parser.add_argument("--shard", default="0/1", help="K/N: only every N-th recording, from the K-th")
    args = parser.parse_args()
    cv2.setNumThreads(1)  # one process a core does more than threads that wait for each other
    shard, shards = (int(part) for part in args.shard.split("/"))
    for name, recording in recordings_of(args.split, args.count, shard, shards):
        path = args.out / f"{name}.npz"
        if path.exists():
            continue
        before, begun = time.process_time(), time.perf_counter()
        with Cells() as cells:
            curves = recording_curves(stream_of(recording))
        seconds = {"cpu": time.process_time() - before, "wall": time.perf_counter() - begun}
        save(path, recording, curves, cells, seconds)
        print(
            f"{name}: {len(recording)} frames, {len(recording) / seconds['wall']:.0f} a second, "
            f"{len(curves.tracks)} faces followed of {len(recording.tracks)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
