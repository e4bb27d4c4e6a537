"""The settings of TV-L1, and code that its backends share."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from htnet.core.fields import Checked, checked, native, real, whole

#: No scale of the pyramid is smaller than this, px; nor may a frame be.
MIN_SIDE = 16
#: Below this squared gradient (gray levels per px, squared) a pixel contains no information about motion.
FLAT = 1e-6
#: Blur before halving that the IPOL article fits to SIFT's scale space, px at zfactor 1/sqrt(2).
ZOOM_SIGMA = 0.6
#: Cells per side for slow changes of light, and reweighting steps for the frame's gain and offset. More cells
#: would follow motion as well as light: 6 per side raised the error of smooth motion from 0.076 to 0.080 px.
LIGHT_CELLS = 4
LIGHT_STEPS = 4
#: Gains outside this range are not treated as a change of light.
GAINS = (0.5, 2.0)


def blur_weights(sigma: float) -> list[float]:
    """Weights of a Gaussian blur of this width, px, from its middle outward."""
    radius = max(1, math.ceil(3 * sigma))
    weights = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(radius + 1)]
    total = sum(weights[:0:-1]) + sum(weights)
    return [weight / total for weight in weights]


@dataclass(frozen=True)
class TVL1Parameters(Checked):
    """Settings of TV-L1 under their published names, with the published defaults.

    Attributes:
        tau: step of the dual ascent; it converges up to 0.25.
        lambda_: weight of the data term, for gray levels 0..255; smaller is smoother.
        theta: tightness of the link between data term and smoothness.
        nscales: maximum number of scales of the pyramid; fewer where one would be under `MIN_SIDE`.
        zfactor: size of a scale relative to the next finer one.
        warps: warps of the apex per scale.
        epsilon: a warp's iterations stop once the root mean square change of the flow is below
            this, px; 0 always runs all of them.
        iterations: maximum number of iterations per warp; few warps need that many.
        median: 1 to pass the flow through a 3x3 median before each warp (Wedel et al. 2009), 0 not
            to. On 8-bit faces it reduced the error from 0.100 to 0.097 px.
        presmoothing: Gaussian blur of both frames, px (IPOL: 0.8); 0 for none.
        illumination: 1 to match the illumination of the warped apex to the onset before each warp's iterations
            (one gain and offset, and slow changes over the frame; our addition), 0 not to.
    """

    tau: float = checked(0.25, real(ge=1e-6, le=0.25))
    lambda_: float = checked(0.15, real(ge=1e-6, le=1e3))
    theta: float = checked(0.3, real(ge=1e-6, le=1e3))
    nscales: int = checked(5, whole(1, 32))
    zfactor: float = checked(0.5, real(ge=0.1, le=0.95))
    warps: int = checked(5, whole(1, 1000))
    epsilon: float = checked(0.01, real(ge=0, le=1e3))
    iterations: int = checked(300, whole(1, 100_000))
    median: int = checked(1, whole(0, 1))
    presmoothing: float = checked(0.8, real(ge=0, le=20))
    illumination: int = checked(1, whole(0, 1))

    _noun = "TV-L1 parameter"
    _prefix = "TV-L1 parameter "

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = native(getattr(self, field.name))
            # Integers that went through JSON may come back as 5.0.
            if isinstance(value, float) and isinstance(field.default, int) and value.is_integer():
                object.__setattr__(self, field.name, int(value))
        super().__post_init__()

    @classmethod
    def from_names(cls, **parameters: Any) -> TVL1Parameters:
        """Build from keywords; an unknown name raises `InputError` with the nearest known ones."""
        try:
            return _from_names(cast(Any, cls), **parameters)  # mypy takes the class for unhashable like its objects
        except TypeError:  # unhashable values: refused with a message
            return cls.from_dict(parameters)

    @property
    def zoom_sigma(self) -> float:
        """Blur before a scale is made from the next finer one, px."""
        return ZOOM_SIGMA * math.sqrt(self.zfactor**-2 - 1)

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Height and width of each scale, from the finest."""
        found = [(height, width)]
        while len(found) < self.nscales:
            smaller = round(found[-1][0] * self.zfactor), round(found[-1][1] * self.zfactor)
            if min(smaller) < MIN_SIDE:
                break
            found.append(smaller)
        return found


@lru_cache(maxsize=64, typed=True)
def _from_names(kind: type[TVL1Parameters], **parameters: Any) -> TVL1Parameters:
    """Cached, because the checks take more than a tenth of the time of the flow."""
    return kind.from_dict(parameters)
