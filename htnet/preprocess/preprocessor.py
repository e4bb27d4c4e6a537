"""Preprocessor: computes the network's input from two frames, or from a published flow image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.arrays import real_array
from htnet.core.errors import FlowError, LandmarkError
from htnet.core.global_state import usual_settings
from htnet.core.threads import beside
from htnet.core.types import (
    HEAD_REGIONS,
    POINT_NAMES,
    ByteArray,
    Float64Array,
    FloatArray,
    Flow,
    Frame,
    Landmarks,
    Landmarks68,
    ModelInput,
    PreprocessSpec,
    QualityWarning,
)
from htnet.preprocess.align import Alignment, align_pair, fit_alignment, scale_points, transform_points
from htnet.preprocess.contrast import gray_face
from htnet.preprocess.evidence import expression_probability
from htnet.preprocess.flow.compute import compute_flow, flow_image, is_motionless, read_flow_image, refuse_no_flow
from htnet.preprocess.flow.motion import remove_head_motion
from htnet.preprocess.flow.registration import follow, register
from htnet.preprocess.frames import FrameSource, read_frame, read_pair, to_gray
from htnet.preprocess.landmarks import (
    Landmarker,
    estimate_68,
    finds_68,
    flow_image_points,
    landmark_table,
    landmarks_68,
    verified,
)
from htnet.preprocess.landmarks.base import check_call, found_by
from htnet.preprocess.landmarks.files import landmarks_from
from htnet.preprocess.landmarks.verify import check_inside
from htnet.preprocess.pairs import pair_warnings
from htnet.preprocess.pose import check_order
from htnet.preprocess.regions import crop_regions, template_points

LandmarkSource = npt.ArrayLike | Landmarks | Landmarks68 | os.PathLike[str]
#: Probability of an expression, and warnings.
Told = tuple[float | None, tuple[QualityWarning, ...]]

#: Channel order of the flow images that `flow_image` returns and `flow_picture` reads (B, G, R of the files).
PUBLISHED_CHANNELS = ("strain", "v", "u")


class Preprocessor:
    """Computes network inputs according to a `PreprocessSpec`."""

    def __init__(
        self,
        spec: PreprocessSpec,
        landmarker: Landmarker | None = None,
        *,
        points68: bool = False,
        evidence: bool = False,
        bit_depth: int | None = None,
    ) -> None:
        """Store the settings.

        Args:
            spec: how frames become inputs.
            landmarker: detects the points of frames that are given without points.
            points68: return 68 points too: the landmarker's if it detects 68, otherwise `estimate_68`.
            evidence: for two frames, also compute the probability that they differ by an expression.
            bit_depth: bits of the frames' values if 16-bit files use fewer; see `read_frame`.
        """
        if landmarker is not None:
            check_call(landmarker)
        self.spec = spec
        self.landmarker = landmarker
        self.points68 = points68
        self.evidence = evidence
        self.bit_depth = bit_depth

    @usual_settings(device=False)
    def pair(
        self, onset: FrameSource, apex: FrameSource, landmarks: LandmarkSource | None = None, sample: str = ""
    ) -> ModelInput:
        """Input from an onset and an apex frame.

        Args:
            onset: the neutral frame; see `read_frame`.
            apex: the frame of strongest expression, of the same size.
            landmarks: five points in onset px, (5, 2), 68 in the order of iBUG 300-W, (68, 2), or a .csv or .json
                file of either; None to use the landmarker.
            sample: identifier for looking up points.

        Returns:
            The input, with the points, the flow on the aligned face and the flow image.

        Raises:
            FrameError: a frame cannot be used, the sizes differ, or one is much darker than the other.
            LandmarkError: there are no points and no landmarker, none were detected, or they lie far outside
                the frame or are not arranged like a face's.
            PoseError: the face is rotated in the frame, or is a profile.
            FlowError: the flow cannot be computed, or is longer than the face; or the apex cannot be registered.
        """
        first, second = read_pair(onset, apex, self.bit_depth)
        measured = self._measured_68(first, landmarks, sample)
        points = self._landmarks(first, landmarks, sample) if measured is None else measured.five()
        check_inside(points, first.size, first.source)
        # Runs beside the code below: it takes as long as all of it, and needs none of its results.
        with self._expression(first, second, points) as expression:
            points = verified(points, first)
            face, face_apex, matrix = align_pair(first, second, points, self.spec)
            if self.spec.head_motion == "register":
                alignment = Alignment(matrix, face.size)
                face_apex = follow(alignment, register(face, second, alignment)).warp(second)
            before, after = gray_face(face, self.spec), gray_face(face_apex, self.spec)
            measured_flow = flow = compute_flow(before, after, self.spec.flow, dict(self.spec.flow_parameters))
            on_face = transform_points(matrix, points.points)
            if self.spec.head_motion in HEAD_REGIONS:
                flow = Flow(remove_head_motion(flow.uv, on_face, self.spec.head_motion), flow.method)
            picture = flow_image(flow, self.spec.size, self.spec.resize, PUBLISHED_CHANNELS)
            mapped = self._on_image(on_face)
            image, regions_at = self._network_image(picture, mapped)
            if measured is not None:
                moved = self._on_image(transform_points(matrix, measured.points))
                measured = replace(measured, points=moved.astype(np.float32))
            motionless = is_motionless(picture)
            warnings = pair_warnings((onset, apex), (first, second), (to_gray(face), to_gray(face_apex)), measured_flow)
            told, doubts = expression(motionless)
        made = ModelInput(
            image,
            picture,
            regions_at,
            points,
            mapped.astype(np.float32),
            flow,
            motionless,
            expression=told,
            warnings=warnings + doubts,
        )
        return self._with_68(made, measured)

    @usual_settings(device=False)
    def flow_picture(
        self,
        image: str | os.PathLike[str] | ByteArray,
        landmarks: LandmarkSource | None = None,
        sample: str = "",
    ) -> ModelInput:
        """Input from a flow image in the published convention, without further processing.

        Args:
            image: a file, or (size, size, 3) uint8 BGR = strain, v, u.
            landmarks: five or 68 points in px of the flow image, (5, 2) or (68, 2), or a .csv or .json file of either
                (a file whose name ends in ``_224px`` contains px of a 224 px image). Used
                only if the spec cuts regions at "landmarks"; without them the template's points are used, and
                ``regions_at`` states this.
            sample: identifier for looking up points.

        Returns:
            The input, without points in frame px and without flow.

        Raises:
            FlowError: the image has another shape or type, or cannot be read.
            LandmarkError: the points cannot be read or lie far outside the image.
        """
        if isinstance(image, (str, os.PathLike)):
            picture, source = read_flow_image(image, self.spec.size), str(image)
        else:
            picture, source = _check_picture(image, self.spec.size), "flow image"
            refuse_no_flow(picture, "The flow image")
        mapped, measured = None, None
        if landmarks is not None and self.spec.region_points == "landmarks":
            size = (self.spec.size, self.spec.size)
            if isinstance(landmarks, (str, os.PathLike)):
                all_points = flow_image_points(landmarks, Frame(picture, source), sample)
            else:
                all_points = _read_points(landmarks, Frame(picture, source), sample)
            measured = all_points if isinstance(all_points, Landmarks68) else None
            given = _five(all_points)
            check_inside(given, size, source)
            check_order(given.points, given.source, nose=False)
            mapped = given.points
        cut, regions_at = self._network_image(picture, mapped)
        made = ModelInput(
            cut,
            picture,
            regions_at,
            points=mapped,
            motionless=is_motionless(picture),
        )
        return self._with_68(made, measured)

    @usual_settings(device=False)
    def on_flow_image(self, onset: FrameSource, landmarks: LandmarkSource, sample: str = "") -> Landmarks | Landmarks68:
        """Points of an onset frame, in px of the flow image that `pair` computes.

        Args:
            onset: the frame; see `read_frame`.
            landmarks: points in onset px, see `pair`.
            sample: identifier for looking up points.

        Returns:
            The 68 points if they are requested and given, otherwise the five.

        Raises:
            FrameError, LandmarkError: the frame or the points cannot be used.
        """
        frame = read_frame(onset, self.bit_depth)
        measured = self._measured_68(frame, landmarks, sample)
        points = verified(self._landmarks(frame, landmarks, sample) if measured is None else measured.five(), frame)
        alignment = fit_alignment(points, template=self.spec.template, size=self.spec.face_size, frame=frame.source)
        found: Landmarks | Landmarks68 = points if measured is None else measured
        mapped = self._on_image(transform_points(alignment.matrix, found.points))
        return replace(found, points=mapped.astype(np.float32))

    @contextmanager
    def _expression(self, onset: Frame, apex: Frame, points: Landmarks) -> Iterator[Callable[[bool], Told]]:
        """Give a function that returns the probability of an expression, if requested.

        Its argument states whether the frames are motionless.
        """
        if not self.evidence:
            yield lambda motionless: (None, ())
            return
        with beside(partial(_probability, onset, apex, points)) as told:
            yield lambda motionless: (0.0, ()) if motionless else told()

    def _on_image(self, points: npt.ArrayLike) -> Float64Array:
        """Points of the aligned face in px of the flow image."""
        return scale_points(points, self.spec.size / self.spec.face_size)

    def _measured_68(self, frame: Frame, landmarks: LandmarkSource | None, sample: str) -> Landmarks68 | None:
        """68 points of the frame, if they are requested and either given or detected by the landmarker."""
        if not self.points68:
            return None
        if landmarks is not None:
            found = _read_points(landmarks, frame, sample)
            return found if isinstance(found, Landmarks68) else None
        finder = self.landmarker
        return None if finder is None or not finds_68(finder) else landmarks_68(finder, frame, sample)

    def _with_68(self, made: ModelInput, measured: Landmarks68 | None) -> ModelInput:
        """The input with 68 points, if they are requested."""
        if not self.points68:
            return made
        if measured is None or self.spec.region_points == "template":
            known = made.points if made.regions_at == "landmarks" and made.points is not None else None
            five = template_points(self.spec).numpy() if known is None else known
            measured = estimate_68(Landmarks(five, made.regions_at))
        return replace(made, points68=measured)

    def _landmarks(self, frame: Frame, landmarks: LandmarkSource | None, sample: str) -> Landmarks:
        if landmarks is not None:
            return read_landmarks(landmarks, frame, sample)
        if self.landmarker is None:
            raise LandmarkError(
                f"No landmarks for {frame.source}: give five [x, y] points, a .json or .csv file of them, or "
                "build the Preprocessor with a landmarker, e.g. make_landmarker('yunet')."
            )
        return found_by(self.landmarker, frame, sample, Landmarks)

    def _network_image(self, picture: ByteArray, mapped: npt.ArrayLike | None) -> tuple[FloatArray, str]:
        """Order the channels and cut the regions: (3, size, size) float32, and where they were cut."""
        order = [PUBLISHED_CHANNELS.index(name) for name in self.spec.channels]
        channels = torch.from_numpy(np.ascontiguousarray(picture[..., order].transpose(2, 0, 1))).float()
        if self.spec.region_points == "landmarks" and mapped is not None:
            points, regions_at = torch.as_tensor(np.asarray(mapped, dtype=np.float32)), "landmarks"
        else:
            points, regions_at = template_points(self.spec), "template"
        return crop_regions(channels[None], points, self.spec.layout)[0].numpy(), regions_at


def _probability(onset: Frame, apex: Frame, points: Landmarks) -> Told:
    """The probability of an expression, or a warning if it cannot be determined."""
    try:
        return expression_probability(onset, apex, points), ()
    except FlowError as error:
        text = f"Whether there is an expression cannot be determined, so a class is predicted: {error}"
        return None, (QualityWarning("unregistered", text),)


def read_landmarks(landmarks: LandmarkSource, frame: Frame, sample: str) -> Landmarks:
    """The five points of the landmarks that a user gave."""
    return _five(_read_points(landmarks, frame, sample))


def _five(points: Landmarks | Landmarks68) -> Landmarks:
    return points.five() if isinstance(points, Landmarks68) else points


def _read_points(landmarks: LandmarkSource, frame: Frame, sample: str) -> Landmarks | Landmarks68:
    """All points of the landmarks that a user gave."""
    if isinstance(landmarks, (Landmarks, Landmarks68)):
        return landmarks
    if isinstance(landmarks, (str, os.PathLike)):
        table = landmark_table(landmarks)
        return table.points68(frame, sample) if table.has_68 else table(frame, sample)
    order = f"five [x, y] in the order {', '.join(POINT_NAMES)}, or 68 in the order of iBUG 300-W"
    points = real_array(landmarks, f"The landmarks given for {frame.source}", LandmarkError, order)
    return landmarks_from(points, f"the points given for {frame.source}")


def _check_picture(image: Any, size: int) -> ByteArray:
    shape, kind = getattr(image, "shape", None), getattr(image, "dtype", None)
    if not isinstance(image, np.ndarray) or shape != (size, size, 3) or kind != np.uint8:
        raise FlowError(
            f"The flow image is {type(image).__name__} of shape {shape} and type {kind}; give a "
            f"({size}, {size}, 3) uint8 array, BGR = strain, v, u."
        )
    return image
