"""Every constant of the generated recordings, with where it comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from htnet.core.fields import Checked, Rule, checked, each, real, whole
from htnet.synthesis.config import SynthesisConfig

#: What a recording may show besides one face throughout.
LAYOUTS = ("single", "two_faces", "cut_face", "cut_shot", "leave", "away")
#: Codecs that a recording can go through; "none" leaves the frames as the sensor gave them.
CODECS = ("none", "h264", "mpeg4", "mjpeg")

Range = tuple[float, float]
_FACE = SynthesisConfig()


_SHARE, _AMOUNT = real(ge=0, le=1), real(ge=0)


def _range(ge: float = 0.0, gt: float | None = None, le: float | None = None) -> Rule:
    """Two numbers within bounds, the smaller one first."""
    both = each(real(ge=ge if gt is None else None, gt=gt, le=le), 2)
    return Rule(lambda value: both.allows(value) and value[0] <= value[1], f"{both.wanted}, the smaller one first")


def _weighted(fits: Callable[[tuple[Any, ...]], bool], what: str) -> Rule:
    """Choices with their weights, which are not all 0."""

    def allows(rows: Any) -> bool:
        if not isinstance(rows, tuple) or not all(isinstance(row, tuple) and len(row) > 1 for row in rows):
            return False
        return all(_AMOUNT.allows(row[-1]) and fits(row[:-1]) for row in rows) and sum(row[-1] for row in rows) > 0

    return Rule(allows, f"tuples of {what} and a weight, which are not all 0")


_RANGE, _DURATION, _LEAN = _range(), _range(ge=4, le=7200), _range(ge=1)
_FACE_SIZE, _MACRO = _range(ge=48), _range(gt=0.5)
_FACE_CONFIG = Rule(lambda value: isinstance(value, SynthesisConfig), "a SynthesisConfig")
_RATE, _SIDE, _QUALITY = real(ge=10, le=500), whole(96, 4096, even=True), whole(0, 51)
_RATES = _weighted(lambda row: len(row) == 1 and _RATE.allows(row[0]), "a rate of 10 to 500 frames per second")
_SIZES = _weighted(
    lambda row: len(row) == 2 and all(map(_SIDE.allows, row)), "an even width and height of 96 to 4096 px"
)
_LAYOUTS = _weighted(lambda row: len(row) == 1 and row[0] in LAYOUTS, f"one of {', '.join(LAYOUTS)}")
_CODECS = _weighted(
    lambda row: len(row) == 2 and row[0] in CODECS and _QUALITY.allows(row[1]),
    f"one of {', '.join(CODECS)}, a quality of 0 to 51",
)


@dataclass(frozen=True)
class RecordingConfig(Checked):
    """What a generated recording shows, and how strongly recordings vary.

    Two numbers are the smallest and the largest value, drawn evenly for each recording or event. Displacements are
    in px of a face of 224 px, as in `SynthesisConfig`. Weighted choices are pairs of a value and its weight.
    `RECORDING_SOURCES` tells where each constant comes from.

    Attributes:
        face: what an expression is made of, and the times of micro-expressions (``rise``, ``duration``).
        duration: length, s.
        rates: frames per second.
        sizes: width and height, px.
        face_size: side of the face that would be 224 px wide when aligned, px; drawn by its logarithm.
        layouts: one of `LAYOUTS`.
        no_expression: share of recordings without any micro- or macro-expression.
        micro_rate: micro-expressions a minute.
        micro_weak: share of micro-expressions whose peak is in ``micro_weak_px``; the others': ``micro_strong_px``.
        micro_weak_px: see ``micro_weak``.
        micro_strong_px: see ``micro_weak``.
        macro_rate: macro-expressions a minute.
        macro_px: peak of a macro-expression, px.
        macro_duration: from onset to offset, s.
        macro_rise: from onset to apex, share of the duration.
        overlap: probability that an expression may overlap another, speech, or a head movement; else it is placed
            where none is.
        steepest: largest change of the skin's displacement from one px to the next; stronger events are made weaker.
        tonic: standard deviation of the resting face's slow change, px.
        blink_rate: blinks a minute.
        blink_duration: s.
        blink_closing: time from onset to closed, share of the duration.
        blink_depth: share of the opening that is closed.
        blink_partial: share of blinks that do not close the eye.
        blink_partial_depth: share of the opening that those close.
        blink_skin: how far the skin above the lid follows, px.
        gaze_rate: shifts of the gaze a minute.
        gaze_angle: degrees.
        gaze_hold: until the gaze returns, s.
        speech: share of recordings with speech.
        speech_rate: bursts of speech a minute.
        speech_length: of a burst, s.
        syllables: a second.
        mouth_opening: of a syllable, px.
        sway_shift: standard deviation of the head's drift, px.
        sway_turn: the same of its three angles, degrees.
        sway_frequency: lowest and highest frequency of the drift, Hz.
        pulse: amplitude of the head's motion with the heart beat, px.
        head_rate: movements of the head a minute: nods, shakes, turns, tilts, leaning in, shifts.
        nod: angle, degrees.
        nod_frequency: nods and shakes a second.
        turn: angle of a turn aside, degrees.
        tilt: angle, degrees.
        lean: factor of the face's size.
        shift: share of the face's size.
        head_hold: until the head returns, s.
        away_turn: angle of a turn beyond frontal, degrees.
        away_time: how long the face is turned away or out of the picture, s.
        dropped: share of recordings that drop frames.
        dropped_rate: share of the frames that are dropped.
        repeated: share of recordings that show a frame twice instead of the next.
        repeated_rate: share of the frames that are.
        pause: share of recordings that pause.
        pause_time: s without a frame.
        jitter: standard deviation of the time stamps, share of a frame's time.
        noise: standard deviation of a pixel's noise, gray levels.
        noise_grain: the same after ``noise_blur``: noise that the camera's own processing has smoothed.
        exposure: share of a frame's time that the shutter is open.
        flicker: share of recordings under lamps that flicker at twice the mains' 50 or 60 Hz.
        flicker_depth: amplitude of the lamps' brightness, relative, before the exposure averages it.
        readout: share of a frame's time that the shutter rolls from the first to the last row.
        exposure_steps: steps of the auto-exposure a minute.
        exposure_step: size of a step, relative.
        exposure_time: time that a step takes, s.
        exposure_drift: standard deviation of the slow change of brightness, relative.
        low_contrast: share of recordings of low contrast.
        contrast: factor of the contrast of those.
        focus: standard deviation of the lens's blur, px.
        focus_hunt: share of recordings in which the focus is lost for a moment.
        codecs: codec, quality and weight. Quality is the constant rate factor of H.264 and the quantizer of the others.
        glasses: share of drawn faces with glasses.
        beard: share with a beard, a moustache or stubble.
        light_slope: strength of the light from one side.
    """

    face: SynthesisConfig = checked(_FACE, _FACE_CONFIG)  # noqa: RUF009
    duration: tuple[float, float] = checked((60.0, 180.0), _DURATION)
    rates: tuple[tuple[float, float], ...] = checked(
        ((25.0, 4), (30.0, 5), (50.0, 1), (60.0, 1), (100.0, 0.5), (200.0, 0.5)), _RATES
    )
    sizes: tuple[tuple[int, int, float], ...] = checked(
        ((640, 480, 6), (800, 600, 1), (960, 540, 1), (1280, 720, 2)), _SIZES
    )
    face_size: tuple[float, float] = checked((140.0, 400.0), _FACE_SIZE)
    layouts: tuple[tuple[str, float], ...] = checked(
        (
            ("single", 6),
            ("two_faces", 1),
            ("cut_face", 1),
            ("cut_shot", 1),
            ("leave", 1),
            ("away", 2),
        ),
        _LAYOUTS,
    )
    no_expression: float = checked(0.2, _SHARE)
    micro_rate: tuple[float, float] = checked((3.0, 8.0), _RANGE)
    micro_weak: float = checked(0.5, _SHARE)
    micro_weak_px: tuple[float, float] = checked((0.3, 1.0), _RANGE)
    micro_strong_px: tuple[float, float] = checked((1.0, 3.0), _RANGE)
    macro_rate: tuple[float, float] = checked((2.0, 5.0), _RANGE)
    macro_px: tuple[float, float] = checked((2.0, 9.0), _RANGE)
    macro_duration: tuple[float, float] = checked((0.6, 4.0), _MACRO)
    macro_rise: tuple[float, float] = checked((0.15, 0.4), _RANGE)
    overlap: float = checked(0.3, _SHARE)
    steepest: float = checked(0.45, _SHARE)
    tonic: float = checked(0.25, _AMOUNT)
    blink_rate: tuple[float, float] = checked((10.0, 25.0), _RANGE)
    blink_duration: tuple[float, float] = checked((0.12, 0.4), _RANGE)
    blink_closing: tuple[float, float] = checked((0.28, 0.42), _RANGE)
    blink_depth: tuple[float, float] = checked((0.88, 1.0), _RANGE)
    blink_partial: float = checked(0.15, _SHARE)
    blink_partial_depth: tuple[float, float] = checked((0.35, 0.8), _RANGE)
    blink_skin: tuple[float, float] = checked((0.3, 1.2), _RANGE)
    gaze_rate: tuple[float, float] = checked((4.0, 14.0), _RANGE)
    gaze_angle: tuple[float, float] = checked((4.0, 18.0), _RANGE)
    gaze_hold: tuple[float, float] = checked((0.3, 2.5), _RANGE)
    speech: float = checked(0.5, _SHARE)
    speech_rate: tuple[float, float] = checked((2.0, 5.0), _RANGE)
    speech_length: tuple[float, float] = checked((1.0, 6.0), _RANGE)
    syllables: tuple[float, float] = checked((3.0, 6.0), _RANGE)
    mouth_opening: tuple[float, float] = checked((2.5, 12.0), _RANGE)
    sway_shift: tuple[float, float] = checked((0.5, 4.0), _RANGE)
    sway_turn: tuple[float, float] = checked((0.2, 1.5), _RANGE)
    sway_frequency: tuple[float, float] = checked((0.03, 0.8), _RANGE)
    pulse: tuple[float, float] = checked((0.02, 0.12), _RANGE)
    head_rate: tuple[float, float] = checked((2.0, 6.0), _RANGE)
    nod: tuple[float, float] = checked((2.0, 9.0), _RANGE)
    nod_frequency: tuple[float, float] = checked((0.8, 2.5), _RANGE)
    turn: tuple[float, float] = checked((8.0, 28.0), _RANGE)
    tilt: tuple[float, float] = checked((4.0, 14.0), _RANGE)
    lean: tuple[float, float] = checked((1.06, 1.3), _LEAN)
    shift: tuple[float, float] = checked((0.03, 0.2), _RANGE)
    head_hold: tuple[float, float] = checked((0.2, 3.0), _RANGE)
    away_turn: tuple[float, float] = checked((50.0, 80.0), _RANGE)
    away_time: tuple[float, float] = checked((1.0, 4.0), _RANGE)
    dropped: float = checked(0.3, _SHARE)
    dropped_rate: tuple[float, float] = checked((0.001, 0.02), _RANGE)
    repeated: float = checked(0.2, _SHARE)
    repeated_rate: tuple[float, float] = checked((0.001, 0.02), _RANGE)
    pause: float = checked(0.1, _SHARE)
    pause_time: tuple[float, float] = checked((0.5, 4.0), _RANGE)
    jitter: tuple[float, float] = checked((0.0, 0.06), _RANGE)
    noise: tuple[float, float] = checked((0.4, 2.5), _RANGE)
    noise_grain: tuple[float, float] = checked((0.0, 1.2), _RANGE)
    exposure: tuple[float, float] = checked((0.2, 0.9), _RANGE)
    flicker: float = checked(0.4, _SHARE)
    flicker_depth: tuple[float, float] = checked((0.01, 0.12), _RANGE)
    readout: tuple[float, float] = checked((0.3, 0.9), _RANGE)
    exposure_steps: tuple[float, float] = checked((0.0, 2.0), _RANGE)
    exposure_step: tuple[float, float] = checked((0.02, 0.15), _RANGE)
    exposure_time: tuple[float, float] = checked((0.05, 1.0), _RANGE)
    exposure_drift: tuple[float, float] = checked((0.002, 0.02), _RANGE)
    low_contrast: float = checked(0.15, _SHARE)
    contrast: tuple[float, float] = checked((0.3, 0.6), _RANGE)
    focus: tuple[float, float] = checked((0.0, 1.0), _RANGE)
    focus_hunt: float = checked(0.15, _SHARE)
    codecs: tuple[tuple[str, int, float], ...] = checked(
        (
            *(("none", 0, 2), ("h264", 18, 2), ("h264", 23, 2), ("h264", 30, 1), ("mpeg4", 3, 1)),
            *(("mpeg4", 8, 0.5), ("mjpeg", 3, 1), ("mjpeg", 9, 0.5)),
        ),
        _CODECS,
    )
    glasses: float = checked(0.22, _SHARE)
    beard: float = checked(0.35, _SHARE)
    light_slope: tuple[float, float] = checked((0.0, 0.35), _RANGE)

    _noun = "field of a recording"
    _prefix = "RecordingConfig."

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, the inverse of `from_dict`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RecordingConfig:
        """Rebuild a config, from JSON too; unknown fields are refused."""
        face = data.get("face")
        nested = {"face": SynthesisConfig.from_dict(face)} if isinstance(face, Mapping) else {}
        return super().from_dict({**data, **nested})
