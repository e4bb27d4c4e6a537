"""How fast recordings are analyzed, and how much memory that takes, beside `htnet spot` of an earlier commit.

    git worktree add /tmp/earlier 570cf1a
    python -m benchmarks.recordings_speed --earlier /tmp/earlier --json benchmarks/results/recordings_speed.json

That commit fetches its face detector; HTNET_YUNET_MODEL may name the file that htnet ships now.

Every figure is of a whole process in its own interpreter, imports included and told apart; the sides take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.measure import ROOT, bar, code_digest, provenance, refuse_changed

#: Run in each process: does the work and prints frames, seconds without imports and peak memory.
PEAK = """
def peak():  # of this program alone: what getrusage says includes the one that started it
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
"""
NEW = """
import json, sys, time
from htnet.recordings import load_detector, recording_curves
detector = load_detector()
import cv2, av
begun, used = time.perf_counter(), time.process_time()
curves = recording_curves(sys.argv[1])
events = detector(curves)
print(json.dumps({"frames": curves.frames, "seconds": time.perf_counter() - begun,
    "cpu": time.process_time() - used, "events": len(events), "faces": len(curves.tracks),
    "mb": peak()}))
"""
OLD = """
import json, sys, time
from htnet import cli
import cv2
begun, used = time.perf_counter(), time.process_time()
status = cli.main(["spot", sys.argv[1], "--json"])
sys.stdout.flush()
import htnet.preprocess
print()
print(json.dumps({"frames": int(sys.argv[2]), "seconds": time.perf_counter() - begun, "cpu": time.process_time() - used,
    "status": status, "mb": peak()}))
"""
FPS = 30.0


def make_video(path: Path, seconds: float, size: tuple[int, int], face: float) -> int:
    """A generated recording as H.264; the number of its frames. It is played forward and back to the length."""
    from htnet.synthesis import RecordingConfig, generate_recording
    from htnet.synthesis.recordings.codec import write_video

    config = RecordingConfig(
        duration=(20.0, 20.0),
        rates=((FPS, 1),),
        sizes=((*size, 1),),
        face_size=(face, face),
        layouts=(("single", 1),),
        dropped=0.0,
        repeated=0.0,
        pause=0.0,
        codecs=(("none", 0, 1),),
    )
    recording = generate_recording(2_050_000, config)
    frames = list(recording.frames())
    count = int(seconds * FPS)
    turn = 2 * len(frames) - 2

    def played():
        for number in range(count):
            place = number % turn
            yield frames[place if place < len(frames) else turn - place]

    write_video(played(), (number / FPS for number in range(count)), path, "h264", 23, FPS)
    return count


def run(code: str, folder: Path, *arguments: str) -> dict[str, float]:
    """What a process printed last."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", PEAK + code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.strip().splitlines()[-1])
    if told.get("status", 0):
        raise SystemExit(f"The earlier commit failed: {done.stderr.strip()[-300:]}")
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--earlier", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=30, help="length of the long recording, 1080p")
    parser.add_argument("--skip-memory", action="store_true", help="leave the long recording out")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    told: dict[str, object] = {"provenance": provenance()}
    code = code_digest()
    with tempfile.TemporaryDirectory() as name:
        video = Path(name) / "720p.mp4"
        frames = make_video(video, 20, (1280, 720), 300)
        sides = {"analyze": [], "spot, earlier": []}
        for _ in range(args.rounds):
            sides["analyze"].append(run(NEW, ROOT, str(video)))
            if args.earlier is not None:
                sides["spot, earlier"].append(run(OLD, args.earlier, str(video), str(frames)))
        rates = {side: [row["frames"] / row["seconds"] for row in rows] for side, rows in sides.items() if rows}
        middle = {side: median(values) for side, values in rates.items()}
        told["720p"] = {"frames_per_second": rates, "median": middle, "runs": sides}
        bars = [bar("720p, times real time at 30 frames a second", 4, middle["analyze"] / FPS)]
        if args.earlier is not None:
            ratio = middle["analyze"] / middle["spot, earlier"]
            bars.append(bar("times as many frames a second as spot of the earlier commit", 3, ratio))
        memory = {}
        for minutes in () if args.skip_memory else (1.0, args.minutes):
            video = Path(name) / "1080p.mp4"
            video.unlink(missing_ok=True)
            make_video(video, 60 * minutes, (1920, 1080), 420)
            memory[f"{minutes:g} minutes"] = run(NEW, ROOT, str(video))
        if not args.skip_memory:
            first, last = (row["mb"] for row in memory.values())
            told["1080p"] = memory
            bars.append(
                bar(f"peak memory of {args.minutes:g} minutes over that of one", 1.2, last / first, at_most=True)
            )
    refuse_changed(code)
    told["bars"] = bars
    print(json.dumps(told, indent=1))
    if args.json is not None:
        args.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
