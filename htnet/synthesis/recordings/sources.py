"""Where the constants of the generated recordings come from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_TUNED = "tuned: set by eye"
_BLINKS = "Stern, Walrath and Goldstein, Psychophysiology 21, 1984: an endogenous blink takes 0.1 to 0.4 s"

#: Field of `RecordingConfig` to the origin of its default. "tuned" is set by eye, on drawn faces alone.
RECORDING_SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "face": "see its own table",
        "duration": "chosen: 1 to 3 minutes",
        "rates": (
            "cameras: webcams give 25 or 30; SMIC has 100, CASME II and SAMM 200, CAS(ME)^2 and CAS(ME)^3 30; "
            "weights chosen"
        ),
        "sizes": "cameras: VGA to 720p; weights chosen",
        "face_size": "chosen; no larger than 0.56 of the frame's height",
        "layouts": "weights chosen",
        "no_expression": "chosen, so false alarms can be counted",
        "micro_rate": "chosen: more than in life, so few minutes hold many",
        "micro_weak": "chosen: half of the micro-expressions are hard",
        "micro_weak_px": "chosen",
        "micro_strong_px": "chosen",
        "macro_rate": "chosen, as micro_rate",
        "macro_px": _TUNED,
        "macro_duration": "MEGC: 0.5 to 4 s; Ekman and Friesen, J. Nonverbal Behavior 6, 1982",
        "macro_rise": "rise shorter than fall: Schmidt, Ambadar, Cohn and Reed, J. Nonverbal Behavior 30, 2006; tuned",
        "overlap": "chosen; in CAS(ME)^3, 16 of 60 micro-expressions overlap a blink alone",
        "steepest": "at 1 the skin would fold over; tuned",
        "tonic": _TUNED,
        "blink_rate": "Bentivoglio et al., Movement Disorders 12, 1997: 17 a minute at rest, 26 in conversation",
        "blink_duration": _BLINKS,
        "blink_closing": "lids close faster than they open: Evinger, Manning and Sibony, IOVS 32, 1991; tuned",
        "blink_depth": _TUNED,
        "blink_partial": "chosen",
        "blink_partial_depth": _TUNED,
        "blink_skin": _TUNED,
        "gaze_rate": _TUNED,
        "gaze_angle": "most saccades are below 15 degrees: Bahill, Adler and Stark, IOVS 14, 1975",
        "gaze_hold": _TUNED,
        "speech": "chosen",
        "speech_rate": "chosen",
        "speech_length": "chosen",
        "syllables": "mouths open at 2 to 7 Hz: Chandrasekaran et al., PLoS Computational Biology 5, 2009",
        "mouth_opening": _TUNED,
        "sway_shift": _TUNED,
        "sway_turn": _TUNED,
        "sway_frequency": "posture drifts below 1 Hz; tuned",
        "pulse": "Balakrishnan, Durand and Guttag, CVPR 2013: heads move with the pulse; tuned",
        "head_rate": "chosen",
        "nod": _TUNED,
        "nod_frequency": _TUNED,
        "turn": _TUNED,
        "tilt": _TUNED,
        "lean": _TUNED,
        "shift": _TUNED,
        "head_hold": _TUNED,
        "away_turn": "chosen: beyond what landmark detectors call frontal",
        "away_time": "chosen",
        "dropped": "chosen",
        "dropped_rate": "chosen",
        "repeated": "chosen",
        "repeated_rate": "chosen",
        "pause": "chosen",
        "pause_time": "chosen",
        "jitter": _TUNED,
        "noise": "from a good webcam to a dim room; tuned",
        "noise_grain": _TUNED,
        "exposure": "chosen",
        "flicker": "chosen",
        "flicker_depth": "lamps on mains flicker at twice its frequency, in part; depth tuned",
        "readout": "rolling shutters read most of a frame's time; tuned",
        "exposure_steps": "chosen",
        "exposure_step": _TUNED,
        "exposure_time": _TUNED,
        "exposure_drift": _TUNED,
        "low_contrast": "chosen",
        "contrast": "chosen",
        "focus": _TUNED,
        "focus_hunt": "chosen",
        "codecs": "x264's default is 23; the others span good to poor; weights chosen",
        "glasses": "chosen",
        "beard": "chosen",
        "light_slope": _TUNED,
    }
)
