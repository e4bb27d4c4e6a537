"""What is true of a generated recording."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.events import Event
from htnet.core.facs import UnitPrediction
from htnet.core.types import FloatArray


@dataclass(frozen=True)
class TrueEvent:
    """What happens to a face in a generated recording.

    Attributes:
        kind: one of `TRUE_KINDS`: "micro", "macro", "blink", "head", "speech", "gaze".
        track: number of the face.
        onset: last frame before anything moves.
        apex: frame of the strongest motion.
        offset: first frame at which it is over.
        start: time of the onset, s.
        peak: time of the apex, s.
        end: time of the offset, s.
        emotion: one of `htnet.types.EMOTIONS`, of micro and macro.
        units: number of each action unit with its displacement on the image's left and right side, px of a face of
            224 px; of micro and macro.
        displacement: of micro and macro, the farthest that the skin moves at the apex, px of a face of 224 px.
        detail: of a head movement: nod, shake, turn, tilt, lean, shift, away (beyond frontal) or leave.
    """

    kind: str
    track: int
    onset: int
    apex: int
    offset: int
    start: float
    peak: float
    end: float
    emotion: str | None = None
    units: tuple[tuple[int, float, float], ...] = ()
    displacement: float | None = None
    detail: str = ""

    def as_event(self) -> Event | None:
        """The same as htnet's answers tell it; None for the gaze, which they do not."""
        if self.kind == "gaze":
            return None
        # The image's left is the subject's right.
        units = tuple(UnitPrediction(n, float(right > 0.05), float(left > 0.05)) for n, left, right in self.units)
        frames, times = (self.onset, self.apex, self.offset), (self.start, self.peak, self.end)
        return Event(self.kind, *frames, *times, label=self.emotion, action_units=units, track=self.track)


@dataclass(frozen=True)
class GeneratedTrack:
    """One face of a recording, in one shot.

    Attributes:
        number: counts from 0.
        person: number of the drawn person, or None for a given portrait.
        shot: number of the shot.
        start: first frame of the shot.
        stop: the frame after its last.
        size: side of the face at rest, px; it would be 224 px wide when aligned.
    """

    number: int
    person: int | None
    shot: int
    start: int
    stop: int
    size: float


@dataclass(frozen=True, eq=False)
class TruthCurves:
    """A face in each of the F frames; where its track has no frame, NaN.

    Attributes:
        units: (F, 15, 2) float32, displacement of each unit of `ACTION_UNITS` on the image's left and right side, px of
            a face of 224 px.
        micro: (F,) float32, the farthest displacement of the skin by micro-expressions, px.
        macro: (F,) float32, the same of macro-expressions.
        eyes: (F, 2) float32, opening of the image-left and image-right eye, 1 at rest.
        gaze: (F, 2) float32, displacement of the irises, px of a face of 224 px.
        mouth: (F,) float32, how far the lips part, px of a face of 224 px; the jaw's own motion opens them further.
        pose: (F, 3) float32, yaw (to the image's right), pitch (downward) and roll (clockwise), degrees.
        scale: (F,) float32, factor of the face's size.
        visible: (F,) bool, whether the face's box lies in the picture and the face is not turned beyond frontal.
    """

    units: FloatArray
    micro: FloatArray
    macro: FloatArray
    eyes: FloatArray
    gaze: FloatArray
    mouth: FloatArray
    pose: FloatArray
    scale: FloatArray
    visible: npt.NDArray[np.bool_]


def plain_event(event: TrueEvent) -> dict[str, Any]:
    """An event with numbers rounded to what matters: 0.001 px, a microsecond."""
    entry = dataclasses.asdict(event)
    for name in ("start", "peak", "end"):
        entry[name] = round(entry[name], 6)
    if entry["displacement"] is not None:
        entry["displacement"] = round(entry["displacement"], 3)
    entry["units"] = [
        {"unit": unit, "image_left_px": round(left, 3), "image_right_px": round(right, 3)}
        for unit, left, right in event.units
    ]
    return entry
