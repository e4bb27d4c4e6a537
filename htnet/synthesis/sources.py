"""Where each constant of the generator comes from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_TUNED = "tuned"
_STATISTICS = "tuned; compared with the statistics of the development half"

#: Field of `SynthesisConfig` to the origin of its default. "tuned" is set by eye and by the zero-shot score on the
#: development half (`benchmarks/synthesis_halves.json`), never by other subjects.
SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "size": "the published flow images: 28 px",
        "template": "htnet.types.TEMPLATE_28, to which htnet aligns faces",
        "identity": _STATISTICS,
        "identity_shift": _STATISTICS,
        "shares": "between equal shares and the published counts of MEGC 2019 (250, 109, 83); tuned",
        "expressions": (
            "combinations: EMFACS prototypes (Ekman and Friesen); the objective classes of Davison, Merghani and Yap, "
            "arXiv 1708.07549; the criteria of CASME II, Yan et al., PLoS ONE 9(1), 2014. Weights: tuned"
        ),
        "distractor": _TUNED,
        "distractor_strength": _TUNED,
        "strength": (
            "micro-expressions are of low intensity, mostly A to C of FACS; the px are tuned, and matter only "
            "relative to the noise, because images are scaled to their range"
        ),
        "strength_spread": _TUNED,
        "unit_spread": _TUNED,
        "one_sided": "sheets code many units with L or R; the rate is tuned",
        "other_side": _TUNED,
        "side_spread": _TUNED,
        "place_jitter": _TUNED,
        "radius_spread": _TUNED,
        "size_spread": _TUNED,
        "turn": _TUNED,
        "gain_spread": _TUNED,
        "edge": "TV-L1's flat patches with steep edges; exponents tuned",
        "head_shift": _STATISTICS,
        "head_affine": _STATISTICS,
        "head_turn": _STATISTICS,
        "head_spread": _TUNED,
        "blink": _TUNED,
        "blink_strength": _TUNED,
        "gaze": _TUNED,
        "gaze_strength": _TUNED,
        "noise": _STATISTICS,
        "noise_spread": _STATISTICS,
        "noise_scales": _STATISTICS,
        "blind": "the aperture problem: no texture, no flow; the share is tuned",
        "cheeks": "the same for the cheeks, which have the least texture; the rate is tuned",
        "fade": "what moves in from outside the picture cannot be matched; the share is tuned",
        "stairs": "the staircase effect of total variation; the amount is tuned",
        "stair_height": _STATISTICS,
        "speckle": "strain is taken at 224 px and then sampled; the amount is tuned",
        "ridges": "strain is taken at 224 px, where TV-L1's edges are a pixel wide; the power is tuned",
        "rise": "onset to apex at most 0.26 s: Yan et al., Journal of Nonverbal Behavior 37, 2013; shortest: tuned",
        "duration": "at most 0.5 s, at least 0.17 s: Yan et al. 2013",
        "rest": _TUNED,
        "sensor_noise": _TUNED,
        "light": _TUNED,
        "shading": _TUNED,
    }
)
