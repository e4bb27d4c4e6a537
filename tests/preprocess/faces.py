"""Faces with known motion; see benchmarks/flow_cases.py."""

import numpy as np

from benchmarks.flow_cases import SIDE, SQUARES, eight_bit, gray_face, moved, smooth_field

__all__ = ["SIDE", "SQUARES", "eight_bit", "end_point_error", "gray_face", "moved", "pair", "smooth_field"]


def pair(square, field) -> tuple[np.ndarray, np.ndarray]:
    """8-bit onset and apex."""
    face = gray_face(square)
    return eight_bit(face), eight_bit(moved(face, field))


def end_point_error(flow, truth) -> float:
    return float(np.hypot(*(np.asarray(flow) - truth)).mean())
