"""How much the two sides of a face differ, region by region, measured without any model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.errors import LandmarkError
from htnet.preprocess.align import Alignment, face_similarity
from htnet.preprocess.contrast import clahe
from htnet.preprocess.flow import compute_flow
from htnet.preprocess.frames import read_frame, to_gray
from htnet.preprocess.geometry import Matrix, similarity
from htnet.preprocess.landmarks import Landmarker, finds_68, landmarks_68, verified
from htnet.preprocess.mean_shape import MEAN_SHAPE_28, MIRROR_68
from htnet.preprocess.pose import check_frontal
from htnet.preprocess.preprocessor import FrameSource
from htnet.schema import document
from htnet.types import TEMPLATE_28, Flow, Frame, Landmarks, Landmarks68, file_stem

REGIONS = ("brow", "eye", "nose", "mouth")
#: Box of each region: half its width, top and bottom, in distances between the eyes from the point midway between
#: them, downward. Both sides lie in one box, which is its own mirror image.
_BOXES: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {"brow": (0.95, -0.60, -0.12), "eye": (0.95, -0.12, 0.25), "nose": (0.35, 0.25, 0.72), "mouth": (0.6, 0.72, 1.35)}
)
#: Points of each region among the 68, and among the five of `htnet.types.POINT_NAMES`.
_OF_68: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "brow": tuple(range(17, 27)),
        "eye": tuple(range(36, 48)),
        "nose": tuple(range(27, 36)),
        "mouth": tuple(range(48, 68)),
    }
)
_OF_FIVE: Mapping[str, tuple[int, ...]] = MappingProxyType({"nose": (2,), "mouth": (3, 4)})
_MIRROR_FIVE = (1, 0, 2, 4, 3)
#: The corners of each eye among the 68: they move least when lids or brows are paralysed.
_CORNERS = ((36, 39), (42, 45))
#: Weight of TV-L1's data term. The two sides of a face differ in every hair and shade, unlike two frames of a video: at
#: a third of the usual weight, and with the contrast made even, the flow follows the features. On a portrait and drawn
#: faces pulled by a known amount the flow of mouth and brow then grew with it; at the usual settings it did not.
_SMOOTHNESS = 0.05
#: Distance between the eyes, and their height, as shares of the aligned face's side.
_EYES_APART, _EYES_DOWN = 0.36, 0.36


@dataclass(frozen=True)
class RegionAsymmetry:
    """One region; all numbers in % of the distance between the eyes.

    Attributes:
        landmark_distance: mean distance between each point and its partner in the mirrored face; None where no point
            of the region was measured.
        landmark_drop: how much lower the points of the image's left side lie than those of the right; None likewise,
            and for the nose of five points, which is one point.
        flow_difference: mean length of the flow from the face to its mirror image.
        flow_drop: how much lower the image's left side lies than the right, from the same flow.
    """

    landmark_distance: float | None
    landmark_drop: float | None
    flow_difference: float
    flow_drop: float


@dataclass(frozen=True, eq=False)
class FaceAsymmetry:
    """What `face_asymmetry` found.

    Attributes:
        regions: one for each of `REGIONS`.
        measured: what the landmark numbers come from: "68" points, "five" (nose and mouth only), or "none".
        source: the image.
        face: the face, upright, its eyes level and as far from the left edge as from the right one.
        flow: from ``face`` to its mirror image, px; between grey images of even contrast (`htnet.preprocess.clahe`).
        points: (N, 2) float64, the measured points in px of ``face``, None where there are none.
        boxes: (left, top, right, bottom) of each region, px of ``face``; right and bottom are the first outside.
        eye_distance: px of ``face``.
    """

    regions: Mapping[str, RegionAsymmetry]
    measured: str
    source: str
    face: Frame
    flow: Flow
    points: Matrix | None
    boxes: Mapping[str, tuple[int, int, int, int]]
    eye_distance: float

    def to_dict(self) -> dict[str, Any]:
        """The document "htnet.palsy_asymmetry", see docs/output.md: the numbers, without the pictures."""
        image = self.source if os.path.isfile(self.source) else None
        content = {
            "sample": file_stem(image),
            "files": {"image": image},
            "unit": "% of the distance between the eyes",
            "landmarks_measured": self.measured,
            "regions": {
                name: {
                    "landmark_distance": r.landmark_distance,
                    "landmark_drop": r.landmark_drop,
                    "flow_difference": r.flow_difference,
                    "flow_drop": r.flow_drop,
                }
                for name, r in self.regions.items()
            },
        }
        return document("htnet.palsy_asymmetry", content)


def face_asymmetry(
    image: FrameSource,
    landmarks: Landmarker | Landmarks | Landmarks68,
    *,
    size: int = 224,
    sample: str = "",
    bit_depth: int | None = None,
) -> FaceAsymmetry:
    """Compare a face with its mirror image: by its points, and by the optical flow between the two.

    The mirror stands midway between the eyes, whose line is taken for level; of 68 points the corners of the eyes
    count, of five the eyes' centres. So the numbers of the other regions are relative to the eyes. A turned head
    and light from one side make a face look unequal too.

    Args:
        image: an image file or an RGB array.
        landmarks: points of the face in px of the image, or what finds them. 68 measured points tell most. Five tell
            about nose and mouth only. Those of `htnet.preprocess.TemplateLandmarks` were not measured: the middle is
            then that of the image, and the flow alone is reported.
        size: side of the aligned face, px.
        sample: identifier, to look points up by.
        bit_depth: bits of the image's values, where a 16-bit file holds fewer; see `read_frame`.

    Returns:
        The numbers, with the face, the flow and the points they come from.

    Raises:
        FrameError: the image cannot be read.
        LandmarkError: no face, points that do not lie like a face's, or 68 estimated points, which are those of a
            symmetric mean face and would report that any face is even.
    """
    frame = read_frame(image, bit_depth)
    found = _find(frame, landmarks, sample)
    alignment = _upright(found, frame, size)
    face = alignment.warp(frame)
    grey = clahe(to_gray(face))
    there = compute_flow(grey, np.ascontiguousarray(grey[:, ::-1]), "tvl1", {"lambda_": _SMOOTHNESS})
    measured = "68" if isinstance(found, Landmarks68) else "none" if found.source == "template" else "five"
    points = None if measured == "none" else alignment.map(found.points)
    unit = _EYES_APART * size
    boxes = {name: _box(name, size) for name in REGIONS}
    regions = {
        name: RegionAsymmetry(*_of_points(points, name, size, unit), *_of_flow(there.uv, boxes[name], unit))
        for name in REGIONS
    }
    return FaceAsymmetry(regions, measured, frame.source, face, there, points, boxes, unit)


def _find(frame: Frame, landmarks: Landmarker | Landmarks | Landmarks68, sample: str) -> Landmarks | Landmarks68:
    if not isinstance(landmarks, (Landmarks, Landmarks68)):
        landmarks = landmarks_68(landmarks, frame, sample) if finds_68(landmarks) else landmarks(frame, sample)
    if isinstance(landmarks, Landmarks68) and landmarks.estimated:
        raise LandmarkError(
            f"The 68 points of {frame.source} are {landmarks.source}: a symmetric mean face, which says nothing about "
            "asymmetry. Give the five points themselves, or 68 measured ones ('face-alignment')."
        )
    landmarks = verified(landmarks, frame)
    five = landmarks.five() if isinstance(landmarks, Landmarks68) else landmarks
    check_frontal(five, frame.source, "Its asymmetry cannot be measured")
    face_similarity(five.points, TEMPLATE_28, five.source)  # refuses points in a wrong order
    return landmarks


def _upright(landmarks: Landmarks | Landmarks68, frame: Frame, size: int) -> Alignment:
    """The similarity that brings the eyes to level, about the middle column of the face."""
    if isinstance(landmarks, Landmarks68):
        eyes = np.stack([landmarks.points[list(corners)].mean(axis=0) for corners in _CORNERS])
    else:
        eyes = landmarks.points[:2]
    if landmarks.source == "template":
        # The template's sides are not quite the same, and it counts px from the edge; the image has a middle.
        reach = (eyes[1, 0] - eyes[0, 0]) / 2 * np.array([[-1.0, 0.0], [1.0, 0.0]])
        eyes = np.array([(frame.size[1] - 1) / 2, eyes[:, 1].mean()]) + reach
    middle, reach = (size - 1) / 2, _EYES_APART * size / 2
    places = [(middle - reach, _EYES_DOWN * size), (middle + reach, _EYES_DOWN * size)]
    return Alignment(similarity(eyes, places), (size, size))


def _box(region: str, size: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), whole px, its own mirror image."""
    half, top, bottom = (_EYES_APART * size * value for value in _BOXES[region])
    left = max(0, round(size / 2 - half))
    down = _EYES_DOWN * size
    return left, max(0, round(down + top)), size - left, min(size, round(down + bottom))


def _of_points(points: Matrix | None, region: str, size: int, unit: float) -> tuple[float | None, float | None]:
    """Distance to the mirrored partners, and drop of the left side, % of ``unit``."""
    if points is None:
        return None, None
    of, partners = (_OF_68, MIRROR_68) if len(points) == 68 else (_OF_FIVE, _MIRROR_FIVE)
    index = np.array(of.get(region, ()), dtype=int)
    if not index.size:
        return None, None
    partner = np.array(partners)[index]
    mirrored = np.stack([size - 1 - points[partner, 0], points[partner, 1]], axis=1)
    distance = float(np.hypot(*(points[index] - mirrored).T).mean())
    mean_face = MEAN_SHAPE_28 if len(points) == 68 else np.array(TEMPLATE_28)
    left = mean_face[index, 0] < mean_face[partner, 0]  # points on the midline are their own partners
    drop = float((points[index, 1] - points[partner, 1])[left].mean()) if left.any() else None
    return 100 * distance / unit, None if drop is None else 100 * drop / unit


def _of_flow(uv: npt.NDArray[np.float32], box: tuple[int, int, int, int], unit: float) -> tuple[float, float]:
    """Mean length, and drop of the left side, % of ``unit``."""
    left, top, right, bottom = box
    inside = uv[:, top:bottom, left:right].astype(np.float64)
    middle = inside.shape[2] // 2
    # What is lower on the left is higher in the mirror: there the flow points up, and down on the other side.
    drop = (inside[1, :, -middle:].mean() - inside[1, :, :middle].mean()) / 2
    return float(100 * np.hypot(*inside).mean() / unit), float(100 * drop / unit)
