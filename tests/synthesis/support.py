"""Configs for tests."""

from htnet.synthesis import SynthesisConfig

#: All that varies or hides the motion of the units, switched off.
OFF = (
    *("identity_shift", "identity", "distractor", "strength_spread", "unit_spread", "one_sided", "side_spread"),
    *("place_jitter", "radius_spread", "size_spread", "turn", "gain_spread", "head_shift", "head_affine"),
    *("head_turn", "blink", "gaze", "noise", "blind", "cheeks", "fade", "head_spread", "stairs", "speckle", "ridges"),
)


def plain(*units, **changes):
    """A config of these units alone, each sample the same."""
    pairs = ("identity_shift", "identity")
    still = {name: (0.0, 0.0) if name in pairs else 0.0 for name in OFF}
    return SynthesisConfig(
        **(still | {"expressions": tuple((e, units, 1.0) for e in ("negative", "positive", "surprise"))} | changes)
    )
