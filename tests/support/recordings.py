"""A short generated recording of two faces, and a detector that knows what happens in it."""

import dataclasses

import numpy as np

from htnet.synthesis import RecordingConfig, generate_recording, write_recording

#: Six seconds in which both faces show a micro- and a macro-expression.
QUICK_RECORDING = RecordingConfig(
    duration=(6.0, 6.5),
    rates=((25.0, 1),),
    sizes=((480, 270, 1),),
    face_size=(100.0, 120.0),
    layouts=(("two_faces", 1),),
    micro_rate=(20.0, 24.0),
    macro_rate=(10.0, 12.0),
    micro_weak=0.0,
    blink_rate=(15.0, 18.0),
    speech=0.0,
    codecs=(("h264", 16, 1),),
    dropped=0.0,
    repeated=0.0,
    pause=0.0,
    no_expression=0.0,
    head_rate=(0.0, 1.0),
    low_contrast=0.0,
    focus_hunt=0.0,
)
SEED = 34


def two_faces(folder):
    """The recording, written as ``two.mp4``."""
    recording = generate_recording(SEED, QUICK_RECORDING)
    write_recording(recording, folder / "two.mp4")
    return recording


@dataclasses.dataclass(frozen=True)
class TrueEvents:
    """A detector that finds what is true: of every kind, or of those named."""

    recording: object
    kinds: tuple = ("micro", "macro", "blink", "head", "speech")

    def __call__(self, curves):
        found = []
        for true in self.recording.events:
            event = true.as_event()
            if event is None or event.kind not in self.kinds:
                continue
            box = np.array(self.recording.face_box(true.apex, true.track))
            near = min(curves.tracks, key=lambda track: away(track, true.apex, box))
            plain = {"label": None, "action_units": (), "confidence": 0.9, "track": near.number}
            found.append(dataclasses.replace(event, **plain))
        return found


def away(track, frame, box):
    """How far a followed face is from a box in a frame, px."""
    row = int(np.searchsorted(track.frames, frame))
    if row >= len(track) or track.frames[row] != frame or track.gaps[row]:
        return np.inf
    own = track.boxes[row]
    return float(np.hypot(*(own[:2] + own[2:] / 2 - box[:2] - box[2:] / 2)))
