"""Motion of brows, eyes and mouth in each frame of a clip, with the head's motion removed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from htnet.core.errors import LandmarkError, VideoError
from htnet.core.types import (
    MOTION_REGIONS,
    POINT_NAMES,
    TEMPLATE_28,
    TEMPLATE_SIZE,
    ByteArray,
    Float64Array,
    FloatArray,
    Frame,
    Landmarks,
)
from htnet.preprocess.align import Alignment, fit_alignment
from htnet.preprocess.flow.compute import compute_flow
from htnet.preprocess.frames import to_gray

#: Side of the small face that is tracked, and of the cells over which its flow is averaged, px. Of the methods
#: tried at this size, Farneback's had the smallest bias (1%; DIS and TV-L1 measured 66 to 89% of a motion of
#: 1 px) at 2 ms per pair, and slow changes of light do not affect it.
FACE, CELL = 112, 8
_GRID = FACE // CELL
#: Magnitudes are given in px of a face of this side, as elsewhere in the package.
TOLD_FACE = 224

# Rounds of reweighting, and the residual, in medians, at which a cell's weight has fallen to a quarter.
_ROUNDS, _TURNING_POINT = 8, 1.5
_LEAST_SCALE = 0.01  # px; keeps weights finite where nothing moves
# The size of the face may change by this factor before the face counts as lost.
_GROWTH = 1.5

Complexes = npt.NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """Result of `follow_face`.

    Attributes:
        regions: (N, 3) float32, mean length of the flow in each of `MOTION_REGIONS`, px of a 224 px face.
        heads: (N, 2, 3) float64, similarity from px of the first frame to px of frame n.
        reference: (112, 112) uint8, the first frame's small face.
        cells: (N, 196) float32, mean length of the flow in each cell of 8 px of the small face, row by row, px of a
            224 px face.
        changes: (N,) float64, mean absolute difference of the face's pixels from the frame before, gray levels; 0 for
            the first frame.
    """

    regions: FloatArray
    heads: Float64Array
    cells: FloatArray
    changes: Float64Array
    reference: ByteArray


def follow_face(frames: Iterable[Frame], landmarks: Landmarks) -> FaceMotion:
    """Motion of every frame relative to the first one; one frame is in memory at a time.

    The first frame's points give one similarity to the template; every frame is warped by it after the head's
    motion so far. The Farneback flow from the first face is averaged over cells of 8 px, and the similarity
    that most cells share is the head's motion: an iteratively reweighted least-squares fit (Geman and McClure
    1987), in which brows and mouth, which move on their own, have almost no weight. The rest is the face's own
    motion.

    Args:
        frames: frames of one clip and of one size.
        landmarks: five points in px of the first frame.

    Raises:
        LandmarkError: the points cannot be used, or the face is lost on the way.
        VideoError: there are no frames, or their sizes differ.
    """
    reference: npt.NDArray[np.uint8] | None = None
    alignment: Alignment | None = None
    size = (0, 0)
    moved = np.eye(3)  # motion of the small face from the first frame to this one
    lengths: list[Float64Array] = []
    heads: list[Float64Array] = []
    changes: list[float] = []
    before: npt.NDArray[np.int16] | None = None
    box = (slice(None), slice(None))
    members = [region_cells(name) for name in MOTION_REGIONS]
    for number, frame in enumerate(frames):
        if alignment is None:
            alignment, size = fit_alignment(landmarks, size=FACE, frame=frame.source), frame.size
            there = np.vstack([alignment.matrix, [0.0, 0.0, 1.0]])
            box = _face_box(alignment, size)
        if frame.size != size:
            raise VideoError(
                f"Frame {number} is {frame.size[1]}x{frame.size[0]} px, the first one {size[1]}x{size[0]} px; give "
                "frames of one size.",
                number,
            )
        seen = frame.pixels[box][..., 1].astype(np.int16)
        changes.append(0.0 if before is None else float(np.abs(seen - before).mean()))
        before = seen
        if number and not changes[-1]:  # the same picture again: nothing to measure, and no step of the head
            lengths.append(lengths[-1])
            heads.append(heads[-1])
            continue
        now = Alignment((np.linalg.inv(moved) @ there)[:2], (FACE, FACE))
        face = to_gray(now.warp(frame))
        reference = face if reference is None else reference
        uv = compute_flow(reference, face, "farneback").uv
        cells = uv.reshape(2, _GRID, CELL, _GRID, CELL).mean(axis=(2, 4)).reshape(2, -1).astype(np.float64)
        step, rest = split_head_motion(cells[0] + 1j * cells[1])
        moved = moved @ step
        growth = float(np.hypot(*moved[:2, 0]))
        if not 1 / _GROWTH < growth < _GROWTH:
            raise LandmarkError(
                f"The face of frame 0 is lost at frame {number} ({frame.source}); cut the video to a single view of "
                "one face."
            )
        lengths.append(np.abs(rest) * TOLD_FACE / FACE)
        heads.append((np.linalg.inv(there) @ moved @ there)[:2])
    if reference is None:
        raise VideoError("There are no frames; give a clip.")
    cells = np.stack(lengths)
    regions = np.stack([cells[:, member].mean(axis=1) for member in members], axis=1)
    return FaceMotion(
        regions.astype(np.float32), np.stack(heads), cells.astype(np.float32), np.asarray(changes), reference
    )


def _face_box(alignment: Alignment, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the frame that show the face, subsampled to about as many as the small face has."""
    corners = alignment.unmap([[0, 0], [FACE, 0], [0, FACE], [FACE, FACE]])
    step = max(1, int(1 / alignment.scale))
    spans = []
    for axis, side in ((1, size[0]), (0, size[1])):
        low, high = corners[:, axis].min(), corners[:, axis].max()
        start = min(max(0, int(low)), side - 1)
        spans.append(slice(start, max(start + 1, min(side, int(high))), step))
    return spans[0], spans[1]


def _centers() -> Complexes:
    """Centers of the cells, x + iy in px of the small face."""
    at = (np.arange(_GRID) + 0.5) * CELL - 0.5
    return (at[None, :] + 1j * at[:, None]).ravel()


def region_cells(name: str) -> npt.NDArray[np.bool_]:
    """Which cells, row by row, belong to one of `MOTION_REGIONS`.

    In units of the distance between the eyes: brows and eyes reach 0.45 to each side of the eye's point, brows
    from 0.55 to 0.17 above it, eyes 0.17 above and below. The mouth reaches 0.35 beyond its corners, from
    0.3 above to 0.4 below them.
    """
    template = np.asarray(TEMPLATE_28) * FACE / TEMPLATE_SIZE
    at = dict(zip(POINT_NAMES, template @ [1, 1j], strict=True))
    unit = abs(at["right_eye"] - at["left_eye"])
    centers = _centers()

    def box(left: complex, right: complex, aside: float, above: float, below: float) -> npt.NDArray[np.bool_]:
        x, y, middle = centers.real, centers.imag, (left.imag + right.imag) / 2
        across = (x >= left.real - aside * unit) & (x <= right.real + aside * unit)
        return across & (y >= middle - above * unit) & (y <= middle + below * unit)

    if name == "mouth":
        return box(at["left_mouth"], at["right_mouth"], 0.35, 0.3, 0.4)
    above, below = (0.55, -0.17) if name == "brows" else (0.17, 0.17)
    eyes = (at["left_eye"], at["right_eye"])
    return np.logical_or(*(box(eye, eye, 0.45, above, below) for eye in eyes))


def face_cells() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which cells, row by row, belong to one of `MOTION_REGIONS`, and which to the rest, without the border."""
    inside = np.zeros((_GRID, _GRID), dtype=np.bool_)
    inside[1:-1, 1:-1] = True
    regions = np.logical_or.reduce([region_cells(name) for name in MOTION_REGIONS])
    return regions, inside.ravel() & ~regions


def split_head_motion(flow: Complexes) -> tuple[Float64Array, Complexes]:
    """Split the cells' flow into the similarity that most of them share and the rest.

    Args:
        flow: (cells,) u + iv in px of the small face.

    Returns:
        The head's similarity, (3, 3), and the rest of the flow, (cells,).
    """
    z = _centers() - (FACE - 1) / 2 * (1 + 1j)
    # Cells at the border contain pixels that enter the picture.
    inner = np.zeros((_GRID, _GRID))
    inner[1:-1, 1:-1] = 1
    weight = inner.ravel()
    shift, turn, rest = 0j, 0j, flow
    for _ in range(_ROUNDS):
        total = weight.sum()
        mean_z, mean_flow = (weight * z).sum() / total, (weight * flow).sum() / total
        away = z - mean_z
        turn = complex((weight * away.conj() * (flow - mean_flow)).sum() / (weight * np.abs(away) ** 2).sum())
        shift = complex(mean_flow - turn * mean_z)
        rest = flow - shift - turn * z
        scale = max(_LEAST_SCALE, _TURNING_POINT * float(np.median(np.abs(rest))))
        weight = inner.ravel() / (1 + (np.abs(rest) / scale) ** 2) ** 2
    linear = np.array([[1 + turn.real, -turn.imag], [turn.imag, 1 + turn.real]])
    middle = np.full(2, (FACE - 1) / 2)
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = middle + np.array([shift.real, shift.imag]) - linear @ middle
    return matrix, rest
