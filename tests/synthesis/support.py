"""Configs for tests."""

from htnet.synthesis import RecordingConfig, SynthesisConfig, generate_recording

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


#: What moves or changes in a recording besides its events, switched off.
STILL = {
    **dict.fromkeys(
        ("sway_shift", "sway_turn", "pulse", "jitter", "noise", "exposure_steps", "exposure_drift", "light_slope"),
        (0.0, 0.0),
    ),
    **dict.fromkeys(
        (
            *("tonic", "dropped", "repeated", "pause", "flicker", "low_contrast", "focus_hunt", "glasses", "speech"),
            "no_expression",
        ),
        0.0,
    ),
    "focus": (0.0, 0.0),
    "head_rate": (0.0, 0.0),
    "gaze_rate": (0.0, 0.0),
    "codecs": (("none", 0, 1),),
    "layouts": (("single", 1),),
    "rates": ((50.0, 1),),
    "sizes": ((320, 240, 1),),
    "duration": (12.0, 12.0),
}


def still_recording(seed, **changes):
    """A short recording in which only expressions and blinks happen, with other settings as given."""
    return generate_recording(seed, RecordingConfig(**(STILL | changes)))


def first_of(recording, kind, **fields):
    """The first event of a kind; further fields must agree."""
    found = [e for e in recording.events if e.kind == kind and all(getattr(e, k) == v for k, v in fields.items())]
    assert found, [e.kind for e in recording.events]
    return found[0]
