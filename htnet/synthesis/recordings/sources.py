"""Where the constants of the generated recordings come from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_TUNED = "tuned: set by eye"

#: Field of `RecordingConfig` to the origin of its default. "tuned" is set by eye, on drawn faces alone; "chosen" has no
#: source; every other fact was read where its entry says, "(abstract)" where no more of it was.
RECORDING_SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "face": "see its own table",
        "duration": "chosen: 1 to 3 minutes",
        "rates": (
            "SMIC has 100, CASME II and SAMM 200, "
            "CAS(ME)^2 30: doi.org/10.1007/s11042-019-7434-6; the others and weights chosen"
        ),
        "sizes": "chosen: VGA to 720p",
        "face_size": (
            "from half the size of CASME II's faces, which have about 280 x 340 px "
            "(doi.org/10.1371/journal.pone.0086041, abstract), to more; no larger than 0.56 of the frame's height"
        ),
        "layouts": "weights chosen",
        "no_expression": "chosen, so false alarms can be counted",
        "micro_rate": "chosen: more than in life, so few minutes hold many",
        "micro_weak": "chosen: half of the micro-expressions are hard",
        "micro_weak_px": "chosen",
        "micro_strong_px": "chosen",
        "macro_rate": "chosen, as micro_rate",
        "macro_px": _TUNED,
        "macro_duration": "0.5 to 4 s: Qu et al., CAS(ME)^2, doi.org/10.1007/978-3-319-39513-5_5",
        "macro_rise": "tuned: rises faster than it falls",
        "overlap": "chosen",
        "steepest": "tuned: at 1 the skin would fold over",
        "tonic": _TUNED,
        "blink_rate": (
            "17 a minute at rest, 26 in conversation: Bentivoglio et al., "
            "Analysis of blink rate patterns in normal subjects, Movement Disorders (abstract)"
        ),
        "blink_duration": "0.1 to 0.4 s: Wikipedia, Blinking, which cites Harvard's BioNumbers",
        "blink_closing": (
            "lids close 40 to 47 % faster than they open: doi.org/10.1111/j.1475-1313.2008.00577.x (abstract); tuned"
        ),
        "blink_depth": _TUNED,
        "blink_partial": "chosen",
        "blink_partial_depth": _TUNED,
        "blink_skin": _TUNED,
        "gaze_rate": _TUNED,
        "gaze_angle": (
            "83 % of saccades are below 15 "
            "degrees: Malinov et al., doi.org/10.1016/S0042-6989(00)00063-8 (abstract); tuned"
        ),
        "gaze_hold": _TUNED,
        "speech": "chosen",
        "speech_rate": "chosen",
        "speech_length": "chosen",
        "syllables": (
            "mouths open at 2 to 7 Hz: Chandrasekaran et al., doi.org/10.1371/journal.pcbi.1000436 (abstract); tuned"
        ),
        "mouth_opening": _TUNED,
        "sway_shift": _TUNED,
        "sway_turn": _TUNED,
        "sway_frequency": "tuned: slower than 1 Hz",
        "pulse": (
            "heads move with the pulse: Balakrishnan, Durand and Guttag, Detecting "
            "Pulse from Head Motions in Video, CVPR 2013 (abstract); amplitude tuned"
        ),
        "head_rate": "chosen",
        "nod": _TUNED,
        "nod_frequency": _TUNED,
        "turn": _TUNED,
        "tilt": _TUNED,
        "lean": _TUNED,
        "shift": _TUNED,
        "head_hold": _TUNED,
        "away_turn": "chosen: far from frontal",
        "away_time": "chosen",
        "dropped": "chosen",
        "dropped_rate": "chosen",
        "repeated": "chosen",
        "repeated_rate": "chosen",
        "pause": "chosen",
        "pause_time": "chosen",
        "jitter": _TUNED,
        "noise": "tuned: from little to much",
        "noise_grain": _TUNED,
        "exposure": "chosen",
        "flicker": "chosen",
        "flicker_depth": (
            "many lamps vary at twice the frequency of the mains, some "
            "more than others: photo-spectrum.info, AC line frequency and shutter speed; depth tuned"
        ),
        "readout": "tuned",
        "exposure_steps": "chosen",
        "exposure_step": _TUNED,
        "exposure_time": _TUNED,
        "exposure_drift": _TUNED,
        "low_contrast": "chosen",
        "contrast": "chosen",
        "focus": _TUNED,
        "focus_hunt": "chosen",
        "codecs": "x264's default is 23, as files that it writes say; the others span good to poor; weights chosen",
        "glasses": "chosen",
        "beard": "chosen",
        "light_slope": _TUNED,
    }
)
