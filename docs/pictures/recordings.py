"""The picture of generated recordings on the page on synthesis: ``python docs/pictures/recordings.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from htnet.core.types import ByteArray
from htnet.synthesis import GeneratedRecording, RecordingConfig, generate_recording

OUT = Path(__file__).parent / "synthesis" / "recordings.png"
#: Width and height of a panel, px.
PANEL = (150, 190)
#: One person a recording, little noise.
CALM = RecordingConfig(
    duration=(20.0, 20.0),
    rates=((50.0, 1),),
    sizes=((320, 320, 1),),
    face_size=(112.0, 112.0),
    layouts=(("away", 1),),
    no_expression=0.0,
    speech=1.0,
    low_contrast=0.0,
    noise=(0.0, 0.0),
    focus=(0.0, 0.0),
    focus_hunt=0.0,
    codecs=(("none", 0, 1),),
)


def panel(recording: GeneratedRecording, number: int) -> ByteArray:
    """The face of a frame, cut out."""
    found = recording.face_box(number)
    if found is None:
        raise ValueError(f"no face in frame {number}")
    left, top, width, height = found
    x = int(np.clip(left + width / 2 - PANEL[0] / 2, 0, recording.width - PANEL[0]))
    y = int(np.clip(top + 0.42 * height - PANEL[1] / 2, 0, recording.height - PANEL[1]))
    return recording.frame(number)[y : y + PANEL[1], x : x + PANEL[0]]


def moments(recording: GeneratedRecording) -> list[int] | None:
    """Frames at rest, with closing eyes, in speech, at a macro-expression, looking aside, turned away, if there are."""
    away = next(event for event in recording.events if event.detail == "away")
    calm = [event for event in recording.events if event.end < away.start or event.start > away.end]
    kinds = {event.kind: event for event in reversed(calm)}
    if not {"blink", "speech", "macro", "gaze"} <= kinds.keys():
        return None
    blink, largest = kinds["blink"], max(calm, key=lambda event: event.displacement or 0.0)
    return [
        blink.onset,
        (blink.onset + blink.apex) // 2,
        blink.apex,
        kinds["speech"].apex,
        largest.apex,
        kinds["gaze"].apex,
        away.apex,
    ]


def main() -> None:
    """Write the picture."""
    rows, seed = [], 0
    while len(rows) < 5:
        recording = generate_recording(seed, CALM)
        seed += 1
        numbers = moments(recording)
        if numbers is not None:
            rows.append(np.hstack([panel(recording, number) for number in numbers]))
    picture = Image.fromarray(np.vstack(rows)).resize((7 * 110, 5 * 139), Image.Resampling.LANCZOS)
    picture.quantize(64, dither=Image.Dither.NONE).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
