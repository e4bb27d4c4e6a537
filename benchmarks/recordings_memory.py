"""How much memory the analysis of a long recording takes, beside that of one minute.

    python -m benchmarks.recordings_memory --json benchmarks/results/recordings_memory.json

A generated recording of 1080p is encoded once, forward and back, and its packets are written again and again: half an
hour of video in a minute. Each length is analyzed by `htnet.analyze` in a process of its own: events, emotions and
pictures. What is told is the peak of the memory of that process (VmHWM) up to minutes of the recording, after the first
reading, and at the end. What else the machine does changes nothing but the time, a quarter of an hour on two idle
cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, bar, code_digest, provenance, refuse_changed
from benchmarks.recordings_speed import FPS, PEAK, make_video

#: Size of the frames and of the face in them, px.
SIZE, FACE = (1920, 1080), 420
#: Frames of the recording that is looped: the generator's 20 s forward and back, less the frame at each turn.
PERIOD = 2 * int(20 * FPS) - 2
#: Minutes of the recording at which the peak is told.
MARKS = (1, 5, 10, 20, 30)
#: Run in each process.
CODE = """
import json, sys
import htnet
marks = json.loads(sys.argv[2])
told, line = {}, []
def progress(stage, time):
    if stage not in line:
        line.append(stage)
    if len(line) == 1:
        while marks and time is not None and time >= 60 * marks[0] - 1:
            told[f"{marks.pop(0)} minutes read"] = peak()
            print(told, file=sys.stderr, flush=True)
    elif "read once" not in told:
        told["read once"] = peak()
found = htnet.analyze(sys.argv[1], progress=progress)
told["end"] = peak()
print(json.dumps({"mb": told, "frames": found.frames, "events": len(found.events), "faces": len(found.faces)}))
"""


def loop(source: Path, target: Path, frames: int) -> None:
    """A video of so many frames from the packets of a shorter one, over and over."""
    import av

    with av.open(str(source)) as short, av.open(str(target), "w") as long:
        shown = short.streams.video[0]
        packets = [packet for packet in short.demux(shown) if packet.size]
        kept = [(bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in packets]
        stream = long.add_stream_from_template(shown)
        last = sum(part[3] for part in kept)
        for number in range(frames):
            turn, place = divmod(number, len(kept))
            content, pts, dts, duration, key = kept[place]
            packet = av.Packet(content)
            packet.pts, packet.dts, packet.duration = pts + turn * last, dts + turn * last, duration
            packet.time_base, packet.is_keyframe, packet.stream = shown.time_base, key, stream
            long.mux(packet)


def measure(video: Path, minutes: float) -> dict[str, Any]:
    """The peaks of one process, MB."""
    marks = [mark for mark in MARKS if mark <= minutes]
    done = subprocess.run(
        [sys.executable, "-c", PEAK + CODE, str(video), json.dumps(marks)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="length of the long recording")
    parser.add_argument("--period", type=Path, help="a video to be repeated, in place of a generated one")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    told: dict[str, Any] = {"provenance": provenance(), "fps": FPS, "size": SIZE}
    code = code_digest()
    with tempfile.TemporaryDirectory() as name:
        short = args.period or Path(name) / "period.mp4"
        if args.period is None:
            make_video(short, PERIOD / FPS, SIZE, FACE)
        told["sha256 of the video"] = hashlib.sha256(short.read_bytes()).hexdigest()
        # The first process compiles loops, which takes more memory than a minute of video.
        warm = Path(name) / "warm.mp4"
        loop(short, warm, int(2 * FPS))
        measure(warm, 0)
        for minutes in (1.0, args.minutes):
            video = Path(name) / f"{minutes:g}.mp4"
            loop(short, video, int(60 * minutes * FPS))
            told[f"{minutes:g} minutes"] = measure(video, minutes)
    refuse_changed(code)
    first, last = (told[f"{minutes:g} minutes"]["mb"]["end"] for minutes in (1.0, args.minutes))
    told["bars"] = [bar(f"peak memory of {args.minutes:g} minutes over that of one", 1.2, last / first, at_most=True)]
    print(json.dumps(told, indent=1))
    if args.json is not None:
        args.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
