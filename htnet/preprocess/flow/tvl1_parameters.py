"""The settings of TV-L1."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from htnet.core.errors import InputError, refuse_unknown


@dataclass(frozen=True)
class TVL1Parameters:
    """Settings of TV-L1 under their published names, with the published defaults.

    Attributes:
        tau: step of the dual ascent; it converges up to 0.25.
        lambda_: weight of the data term, for gray levels 0..255; smaller is smoother.
        theta: tightness of the link between data term and smoothness.
        nscales: most scales of the pyramid; fewer where one would be under `MIN_SIDE`.
        zfactor: size of a scale relative to the next finer one.
        warps: warps of the apex per scale.
        epsilon: a warp's iterations stop once the root mean square change of the flow is below
            this, px; 0 always runs all of them.
        iterations: most iterations per warp; few warps need as many.
        median: 1 to pass the flow through a 3x3 median before each warp (Wedel et al. 2009), 0 not
            to. On 8-bit faces it took the error from 0.100 to 0.097 px.
        presmoothing: Gaussian blur of both frames, px (IPOL: 0.8); 0 for none.
        illumination: 1 to give the warped apex the light of the onset before each warp's iterations
            (one gain and offset, and slow changes over the frame; our addition), 0 not to.
    """

    tau: float = 0.25
    lambda_: float = 0.15
    theta: float = 0.3
    nscales: int = 5
    zfactor: float = 0.5
    warps: int = 5
    epsilon: float = 0.01
    iterations: int = 300
    median: int = 1
    presmoothing: float = 0.8
    illumination: int = 1

    def __post_init__(self) -> None:
        """Check every value."""
        for name, low, high, whole in (
            ("tau", 1e-6, 0.25, False),
            ("lambda_", 1e-6, 1e3, False),
            ("theta", 1e-6, 1e3, False),
            ("nscales", 1, 32, True),
            ("zfactor", 0.1, 0.95, False),
            ("warps", 1, 1000, True),
            ("epsilon", 0, 1e3, False),
            ("iterations", 1, 100_000, True),
            ("median", 0, 1, True),
            ("presmoothing", 0, 20, False),
            ("illumination", 0, 1, True),
        ):
            value = getattr(self, name)
            valid = isinstance(value, (int, float)) and low <= value <= high
            if not valid or (whole and value != int(value)):
                kind = "a whole number" if whole else "a number"
                raise InputError(f"TV-L1 parameter {name} is {value!r}; give {kind} from {low:g} to {high:g}.")
            # Settings that went through JSON come back as 5.0.
            object.__setattr__(self, name, int(value) if whole else float(value))

    @classmethod
    def from_names(cls, **parameters: Any) -> TVL1Parameters:
        """Build from keywords; an unknown name raises `InputError` with the nearest known ones."""
        refuse_unknown(parameters, [f.name for f in dataclasses.fields(cls)], "TV-L1 parameter", InputError)
        return cls(**parameters)
