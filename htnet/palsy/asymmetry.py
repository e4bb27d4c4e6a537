"""Measures how much lower one side of a face lies than the other, region by region, without any model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.errors import LandmarkError, PoseError
from htnet.core.global_state import usual_settings
from htnet.core.lazy import loading
from htnet.core.schema import document
from htnet.core.types import TEMPLATE_28, Frame, Landmarks, Landmarks68, QualityWarning, file_stem
from htnet.core.types import Float64Array as Matrix
from htnet.palsy.mirror import (
    BROW_ROW,
    EYES_APART,
    EYES_DOWN,
    SIDE,
    UNIT,
    Halves,
    exact_eyes,
    level_head,
    measure_mouth,
    upright,
)
from htnet.palsy.visibility import hidden
from htnet.preprocess.align import face_similarity
from htnet.preprocess.frames import read_frame
from htnet.preprocess.landmarks import Landmarker, finds_68, landmarks_68, verified
from htnet.preprocess.landmarks.base import found_by
from htnet.preprocess.pose import TURNED, check_frontal, face_shape
from htnet.preprocess.preprocessor import FrameSource

REGIONS = ("mouth", "brow", "eye")
#: Meaning of each region's number. A positive number means the subject's left side, a negative one the right side.
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "mouth": "how much lower the outer mouth line lies on the side subject_left than on subject_right",
        "brow": "how much lower the brow lies on the side subject_left than on subject_right, the eyes being level",
        "eye": "how much narrower the opening of the lids is on the side subject_left than on subject_right",
    }
)
UNIT_TEXT = "% of the distance between the eyes"
#: Upper limits of the pose ranges that `NORMAL` distinguishes: distance of the tip of the nose from the middle between
#: eyes and mouth, in distances between the eyes.
TURNS = (0.04, 0.08, TURNED)
# Up to the first turn the head's own level is visible, from the second on not at all. A palsy pulls the nose aside too.
_LEVEL_SEEN = (0.10, 0.18)
#: Normal range: 95 % of healthy, symmetric faces measure at most this, in either direction. One number for each of
#: `TURNS`, never decreasing. Measured by
#: ``python -m benchmarks.asymmetry``, see benchmarks/results/asymmetry.json and docs/palsy.md.
NORMAL: Mapping[str, tuple[float, ...]] = MappingProxyType({"mouth": (3.5, 3.5, 3.6), "brow": (2.7, 2.7, 2.7)})
#: If the sides of the mouth or of the brows agree less than this, they were hardly found and are not measured.
UNCLEAR, UNCLEAR_BROWS = 0.15, 0.5
#: If the eyes agree less than this, the level of the face is uncertain.
UNCLEAR_EYES = 0.3
#: Points of the 68 whose height is compared: image's left side and right side.
_HEIGHTS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = MappingProxyType(
    {"mouth": ((48,), (54,)), "brow": ((17, 18, 19, 20, 21), (22, 23, 24, 25, 26))}
)
#: Upper and lower lid of each eye among the 68, image's left first.
_LIDS = (((37, 41), (38, 40)), ((43, 47), (44, 46)))
#: The corners of each eye among the 68: they move least when lids or brows are paralysed.
_CORNERS = ((36, 39), (42, 45))
#: Smallest turn of the line of the eyes that is reported, degrees; a smaller one would be printed as 0.0.
_TOLD_TURN = 0.05
_NEEDS_68 = "needs 68 measured points of the lids (--landmarks face-alignment)"


@dataclass(frozen=True)
class RegionAsymmetry:
    """Asymmetry of one region; `MEANINGS` explains its number.

    Attributes:
        value: measured in the picture itself by comparing both halves, % of the distance between the eyes; None if it
            cannot be measured.
        normal: 95 % of symmetric faces in such a pose measure at most this, in either direction; None if unknown.
        points: the same, measured from 68 detected points; None without them. Its normal range is unknown, since it
            depends on the landmarker.
        reason: why ``value`` is None; "" if the region was measured in the picture or, for the eye, by the points.
    """

    value: float | None
    normal: float | None
    points: float | None = None
    reason: str = ""

    @property
    def read(self) -> float | None:
        """The number to use: ``value``, or ``points`` if there is no ``value``."""
        return self.points if self.value is None else self.value

    @property
    def side(self) -> str:
        """The lower (of the eye: the narrower) side, "subject_left" or "subject_right"; "" if none is measured."""
        return "" if not self.read else "subject_left" if self.read > 0 else "subject_right"

    @property
    def verdict(self) -> str:
        """Comparison with the normal range: "above", "within", "unknown" (no range) or "not_measured" (no number)."""
        if self.read is None:
            return "not_measured"
        if self.value is None or self.normal is None:
            return "unknown"
        return "above" if abs(self.value) > self.normal else "within"


@dataclass(frozen=True, eq=False)
class FaceAsymmetry:
    """Result of `face_asymmetry`.

    Attributes:
        regions: asymmetry of each of `REGIONS`.
        measured: the points that located the face: "68", "five", or "none" (the template).
        source: the image.
        face: the upright face, with level eyes at equal distances from the left and the right edge.
        eye_distance: distance between the eyes, px of the image.
        roll: angle of the line through the eyes (of the head's level if the eyes are uneven, see `warnings`) in the
            image, degrees, positive clockwise; it has been corrected in ``face``.
        turn: how far the tip of the nose lies from the middle, in distances between the eyes, positive to the image's
            right; None with the template.
        agreement: similarity of the two sides of the mouth, at most 1.
        mouth_line: (2, N, 2) px of ``face``: the line of the mouth, followed on the image's left and right.
        points: (N, 2) float64, the detected points in px of ``face``, None with the template.
        warnings: reasons to doubt the numbers.
    """

    regions: Mapping[str, RegionAsymmetry]
    measured: str
    source: str
    face: Frame
    eye_distance: float
    roll: float
    turn: float | None
    agreement: float
    mouth_line: Matrix
    points: Matrix | None
    warnings: tuple[QualityWarning, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The document "htnet.palsy_asymmetry", see docs/output.md: the numbers with unit and meaning."""
        image = self.source if os.path.isfile(self.source) else None
        content = {
            "sample": file_stem(image),
            "files": {"image": image},
            "unit": UNIT_TEXT,
            "sides": "the subject's own: subject_left is seen at image_right, unless the image is mirrored",
            "pose": {
                "eye_distance_px": round(self.eye_distance, 1),
                "roll_degrees": round(self.roll, 1),
                "turn": None if self.turn is None else round(self.turn, 3),
                "turn_meaning": "tip of the nose from the middle, distances between the eyes; positive to image_right",
            },
            "landmarks_measured": self.measured,
            "mouth_agreement": round(self.agreement, 3),
            "regions": {
                name: {
                    "value": _rounded(region.value),
                    "value_68_points": _rounded(region.points),
                    "meaning": MEANINGS[name],
                    "normal_up_to": region.normal,
                    "verdict": region.verdict,
                    "side": region.side or None,
                    "reason": region.reason or None,
                }
                for name, region in self.regions.items()
            },
        }
        return document("htnet.palsy_asymmetry", content, self.warnings)

    def text(self) -> str:
        """The report as text; sides are the patient's own."""
        whose = {"subject_left": "patient's left", "subject_right": "patient's right", "": "none"}
        verdicts = {
            "above": "above the normal range",
            "within": "within the normal range",
            "unknown": "range not known",
        }
        lines = [
            f"lower side of the face, in % of the distance between the eyes ({self.eye_distance:.0f} px)",
            f"  {'region':<7} {'lower side':<16} {'by':>5}   normal",
        ]
        for name, region in self.regions.items():
            if region.read is None:
                lines.append(f"  {name:<7} not measured: {region.reason}")
                continue
            normal = "-" if region.normal is None else f"up to {region.normal:.1f}"
            side = whose[region.side] + (" (narrower)" if name == "eye" else "")
            lines.append(f"  {name:<7} {side:<16} {abs(region.read):>5.1f}   {normal:<10} {verdicts[region.verdict]}")
            if region.value is not None and region.points is not None:
                also = whose["subject_left" if region.points > 0 else "subject_right"]
                lines.append(f"  {'':<7} by the 68 points: {also} {abs(region.points):.1f}")
        turned = "" if self.turn is None else f", turn {self.turn:+.2f}"
        lines.append(
            f"  pose: tilt {self.roll:+.1f} degrees (corrected){turned}; normal: 95 % of symmetric faces in this pose"
        )
        lines.append(
            "  patient's left is on the right of the picture, unless the picture is mirrored, as selfies often are"
        )
        lines.append("  not a medical device; docs/palsy.md explains what is measured and what is not")
        return "\n".join(lines)


@usual_settings()
def face_asymmetry(
    image: FrameSource,
    landmarks: str | os.PathLike[str] | Landmarker | Landmarks | Landmarks68 = "yunet",
    *,
    size: int = SIDE,
    sample: str = "",
    bit_depth: int | None = None,
) -> FaceAsymmetry:
    """Compare the two halves of a face: which side of the mouth and which brow lies lower, and by how much.

    The points only determine where to look. The eyes are leveled by matching one with the mirror image of the other,
    and everything is measured relative to them. If outline, hairline and nose show that one eye itself lies lower, the
    mouth is measured relative to a line that is turned toward the head's level (warning ``uneven_eyes``). Then the
    pull at the corner of the mouth is estimated and undone, and the rest is measured along the line of the mouth, see
    `htnet.palsy.mirror`. The number is about 0.8 times the drop of the mouth's corner. A region whose sides hardly
    match, or that cannot be seen (see `htnet.palsy.visibility`), is not measured.

    Args:
        image: an image file or an RGB array.
        landmarks: "yunet", "face-alignment", "template" (only for faces that are cropped already), a file of points, a
            landmarker, or points of the face in px of the image. With 68 measured points, the numbers from these points
            and the opening of the lids are reported too.
        size: side of the aligned face that is returned, px; the numbers do not depend on it.
        sample: identifier under which a landmarker looks up points.
        bit_depth: bits of the image's values, where a 16-bit file uses fewer; see `read_frame`.

    Returns:
        The numbers with their normal ranges, and the face that they come from.

    Raises:
        FrameError: the image cannot be read.
        LandmarkError: there is no face, the points are not arranged like a face's, or they are 68 estimated points,
            which come from a symmetric mean face and would make any face symmetric.
        PoseError: the face is turned too far, see `htnet.preprocess.pose`.
    """
    frame = read_frame(image, bit_depth)
    found = _find(frame, landmarks, sample)
    five = found.five() if isinstance(found, Landmarks68) else found
    template = five.source == "template"
    # The template's mouth was not measured.
    mouth_points = None if template else five.points[3:]
    seen_eyes = _eyes(found, frame)
    unseen = hidden(frame, seen_eyes)
    eyes, alike = exact_eyes(frame, seen_eyes, mouth_points)
    row = None if mouth_points is None else float(upright(eyes).map(mouth_points)[:, 1].mean())
    # The brows are compared relative to the eyes, so they come before the turn to the head's level.
    brows = Halves(upright(eyes).warp(frame).pixels).brows()
    turn = None if template else face_shape(np.vstack([eyes, five.points[2:]])).turn
    # In a turned head, the two sides of the outline are different parts of the head.
    seen = 1.0 if turn is None else float(np.interp(abs(turn), _LEVEL_SEEN, (1.0, 0.0)))
    eyes, turned = level_head(frame, eyes, row, seen)
    alignment, shown = upright(eyes), upright(eyes, size)
    row = None if mouth_points is None else float(alignment.map(mouth_points)[:, 1].mean())
    mouth = measure_mouth(alignment.warp(frame).pixels, row)
    pose = 0 if turn is None else int(np.searchsorted(TURNS, abs(turn)))
    points = _of_points(found, eyes) if isinstance(found, Landmarks68) else {}
    # The image's right is the subject's left.
    values: dict[str, float] = {}
    reasons = {} if "eye" in points else {"eye": _NEEDS_68}
    for name, value, agreed, least in (
        ("mouth", -mouth.drop, mouth.agreement, UNCLEAR),
        ("brow", -100 * brows.down / UNIT, brows.agreement, UNCLEAR_BROWS),
    ):
        if agreed >= least and name in unseen:
            reasons[name] = unseen[name]
        elif agreed >= least:
            values[name] = value
        else:
            reasons[name] = f"its two sides hardly match (agreement {agreed:.2f} of 1, at least {least:.2f} is needed)"
    regions = {
        name: RegionAsymmetry(
            values.get(name),
            NORMAL[name][min(pose, len(TURNS) - 1)] if name in NORMAL else None,
            points.get(name),
            reasons.get(name, ""),
        )
        for name in REGIONS
    }
    apart = eyes[1] - eyes[0]
    line = np.stack([shown.map(alignment.unmap(side)) for side in (mouth.left, mouth.right)])
    return FaceAsymmetry(
        regions=regions,
        measured="68" if isinstance(found, Landmarks68) else "none" if template else "five",
        source=frame.source,
        face=shown.warp(frame),
        eye_distance=float(np.hypot(*apart)),
        roll=float(np.degrees(np.arctan2(apart[1], apart[0]))),
        turn=turn,
        agreement=mouth.agreement,
        mouth_line=line,
        points=None if template else shown.map(found.points),
        warnings=(*found.warnings, *_doubts(mouth.agreement, alike, turned), *_not_visible(unseen)),
    )


def _find(
    frame: Frame, landmarks: str | os.PathLike[str] | Landmarker | Landmarks | Landmarks68, sample: str
) -> Landmarks | Landmarks68:
    if isinstance(landmarks, (str, os.PathLike)):
        with loading():
            from htnet.palsy.prepare import PALSY_SPEC, palsy_landmarker

        landmarks = palsy_landmarker(os.fspath(landmarks), PALSY_SPEC)
    if not isinstance(landmarks, (Landmarks, Landmarks68)):
        if not callable(landmarks):
            raise LandmarkError(
                f"landmarks is of type {type(landmarks).__name__}; give 'yunet', 'face-alignment', a "
                "file of points, htnet.types.Landmarks or Landmarks68, or a landmarker."
            )
        if finds_68(landmarks):
            landmarks = landmarks_68(landmarks, frame, sample)
        else:
            landmarks = found_by(landmarks, frame, sample, Landmarks)
    if isinstance(landmarks, Landmarks68) and landmarks.estimated:
        raise LandmarkError(
            f"The 68 points of {frame.source} are {landmarks.source}: a symmetric mean face, which contains no "
            f"asymmetry. Give the five points themselves, or 68 measured ones ('face-alignment')."
        )
    landmarks = verified(landmarks, frame)
    five = landmarks.five() if isinstance(landmarks, Landmarks68) else landmarks
    check_frontal(five, frame.source, "Its asymmetry cannot be measured")
    for warning in landmarks.warnings:
        if warning.code == "face_cut_off":
            raise PoseError(f"{warning.message} Its asymmetry cannot be measured.")
    face_similarity(five.points, TEMPLATE_28, five.source)  # refuses points in a wrong order
    return landmarks


def _eyes(landmarks: Landmarks | Landmarks68, frame: Frame) -> npt.NDArray[Any]:
    """Where to look for the eyes, (2, 2) px."""
    if isinstance(landmarks, Landmarks68):
        return np.stack([landmarks.points[list(corners)].mean(axis=0) for corners in _CORNERS])
    eyes = landmarks.points[:2].astype(np.float64)
    if landmarks.source == "template":
        # The template is not quite symmetric, and its px are counted from the edge: the eyes are centered in the image.
        reach = (eyes[1, 0] - eyes[0, 0]) / 2 * np.array([[-1.0, 0.0], [1.0, 0.0]])
        eyes = np.array([(frame.size[1] - 1) / 2, eyes[:, 1].mean()]) + reach
    return eyes


def _of_points(landmarks: Landmarks68, eyes: npt.NDArray[Any]) -> dict[str, float]:
    """Asymmetry of 68 points, % of the distance between the eyes, relative to the line through the eyes' corners."""
    alignment = upright(np.stack([landmarks.points[list(corners)].mean(axis=0) for corners in _CORNERS]))
    points = alignment.map(landmarks.points)
    scale = 100 / (float(np.hypot(*(eyes[1] - eyes[0]))) * alignment.scale)
    values = {
        name: float(points[list(right), 1].mean() - points[list(left), 1].mean()) * scale
        for name, (left, right) in _HEIGHTS.items()
    }
    openings = [float(np.mean([points[low, 1] - points[high, 1] for high, low in lids])) for lids in _LIDS]
    return {**values, "eye": (openings[0] - openings[1]) * scale}


def _doubts(agreement: float, alike: float, turned: float) -> tuple[QualityWarning, ...]:
    found = []
    if agreement < UNCLEAR:
        text = f"The two sides of the mouth hardly match (agreement {agreement:.2f} of 1): the mouth may be covered or "
        found.append(QualityWarning("unclear_mouth", text + "was not found. It is not measured; check it with --plot."))
    if alike < UNCLEAR_EYES:
        text = f"The two eyes hardly match (agreement {alike:.2f} of 1), so the level of the face is uncertain; "
        found.append(QualityWarning("unclear_eyes", text + "take a picture with both eyes visible and evenly lit."))
    if abs(turned) >= _TOLD_TURN:
        text = f"The line of the eyes was turned by {abs(turned):.1f} degrees to the level of outline, hair and nose; "
        text += "one eye may lie lower. The mouth's number is relative to that level."
        found.append(QualityWarning("uneven_eyes", text))
    return tuple(found)


def _not_visible(unseen: Mapping[str, str]) -> tuple[QualityWarning, ...]:
    """One warning for each reason why regions cannot be seen."""
    found = []
    for reason in dict.fromkeys(unseen.values()):
        names = " and ".join(name for name, why in unseen.items() if why == reason)
        found.append(QualityWarning("not_visible", f"Not measured: {names}; {reason}."))
    return tuple(found)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def region_boxes(size: int = SIDE) -> dict[str, tuple[float, float, float, float]]:
    """(left, top, right, bottom) of the area that is compared for each region, in an upright face of ``size`` px."""
    unit, middle, row = EYES_APART * size, (size - 1) / 2, EYES_DOWN * size
    shares = {
        "mouth": (0.55, 0.70, 1.35),
        "brow": (0.80, -BROW_ROW - 0.15, -BROW_ROW + 0.15),
        "eye": (0.80, -0.16, 0.20),
    }
    return {
        name: (middle - half * unit, row + top * unit, middle + half * unit, row + bottom * unit)
        for name, (half, top, bottom) in shares.items()
    }
