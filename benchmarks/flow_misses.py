"""Where TV-L1 misses its bars, and what the misses are made of.

    python -m benchmarks.flow_misses --json benchmarks/results/flow_misses.json

1. The machine code and the plain form differ most at pixels without texture. How much the plain form itself moves there
   is told beside it: its frames are changed by one rounding of a float32, at most.
2. The error of piecewise motion, with one setting at a time off or finer.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.action_units import UNITS, displacement, face_crop
from benchmarks.flow_cases import SIDE, SQUARES, eight_bit, gray_face, moved, piecewise_field
from benchmarks.measure import provenance
from htnet.preprocess import tvl1_flow

LENGTHS = (0.5, 1.0, 1.5, 3.0)
#: Changes of one rounding that are drawn for each pair, and how large they are.
DRAWS, ROUNDING = 3, 1.2e-7
SETTINGS: dict[str, dict[str, float]] = {
    "as published": {},
    "presmoothing 0": {"presmoothing": 0.0},
    "illumination 0": {"illumination": 0},
    "neither": {"presmoothing": 0.0, "illumination": 0},
    "epsilon 0.0025": {"epsilon": 0.0025},
    "10 warps": {"warps": 10},
}
Plane = npt.NDArray[np.float32]


def flow(onset: npt.NDArray[Any], apex: npt.NDArray[Any], backend: str, **settings: float) -> Plane:
    """(2, H, W)."""
    return np.asarray(tvl1_flow(onset, apex, backend=backend, **settings).numpy())


def differences(units: int) -> dict[str, Any]:
    """Largest differences over action units of all lengths, px, and the gradient of the frames where they are."""
    points, face = face_crop()[1], gray_face(0)
    slope = np.hypot(*np.gradient(eight_bit(face).astype(float)))
    rng = np.random.default_rng(0)
    rows = []
    for length in LENGTHS:
        for unit in list(UNITS)[:units]:
            apex = moved(face, displacement(unit, points, face.shape, length))
            pair = [eight_bit(frame).astype(np.float32) / 255 for frame in (face, apex)]
            plain, native = flow(*pair, "eager"), flow(*pair, "numba")
            own = []
            for _ in range(DRAWS):
                shaken = [f * (1 + rng.uniform(-ROUNDING, ROUNDING, f.shape).astype(np.float32)) for f in pair]
                own.append(float(np.hypot(*(flow(*(f.clip(0, 1) for f in shaken), "eager") - plain)).max()))
            apart = np.hypot(*(native - plain))
            y, x = np.unravel_index(int(apart.argmax()), apart.shape)
            near = slope[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].mean()
            over = int((apart > 2e-3).sum())
            rows.append((float(apart.max()), max(own), float(near), over, f"{unit}, {length:g} px"))
    rows.sort(reverse=True)
    names = ("machine_code_px", "one_rounding_px", "gradient_there", "pixels_over_0.002", "pair")
    return {
        "pairs": len(rows),
        "mean_gradient": round(float(slope.mean()), 2),
        "most": {"machine_code_px": round(rows[0][0], 5), "one_rounding_px": round(max(r[1] for r in rows), 5)},
        "worst": [
            dict(zip(names, (round(v, 5) if isinstance(v, float) else v for v in row), strict=True)) for row in rows[:5]
        ],
    }


def piecewise(side: int, seeds: int) -> dict[str, float]:
    """Mean end-point error over the crops of the face, px, by setting."""
    cases = []
    for seed in range(1, seeds + 1):
        rng = np.random.default_rng(seed)
        for square in range(len(SQUARES)):
            face, field = gray_face(square, side), piecewise_field(rng, side / SIDE, side)
            cases.append((eight_bit(face), eight_bit(moved(face, field)), field))
    return {
        name: round(float(np.mean([np.hypot(*(flow(a, b, "numba", **given) - f)).mean() for a, b, f in cases])), 4)
        for name, given in SETTINGS.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one action unit and one seed")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    units, seeds = (1, 1) if args.quick else (len(UNITS), 2)
    told = {
        "provenance": provenance(),
        "differences": differences(units),
        "piecewise_error_px": {str(side): piecewise(side, seeds) for side in (SIDE, 2 * SIDE)},
    }
    print(json.dumps(told, indent=1))
    if args.json is not None:
        args.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
