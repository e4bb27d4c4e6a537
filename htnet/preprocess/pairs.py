"""Warnings about a pair of onset and apex, shared by all code that reads pairs.

A pair is read by `htnet.preprocess.Preprocessor.pair`, or by `htnet.preprocess.published_input` if whole frames are
faces. Both call `pair_warnings`, so `predict`, `prepare`, `train`, `loso` and ``python -m htnet.preprocess`` report the
same.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from htnet.core.errors import FlowError, FrameError
from htnet.core.types import ByteArray, Flow, Frame, QualityWarning
from htnet.preprocess.exposure import exposure_warnings, face_contrast, face_light
from htnet.preprocess.frames import FrameSource, frame_file
from htnet.preprocess.likeness import likeness_warnings
from htnet.preprocess.resaved import saved_again

#: Ratio of the brightness or contrast of two faces from which the answer is doubtful, and from which the two are not
#: frames of one recording: 2 bits of the values, less the effect of rounding. TV-L1 and DIS compare gray levels:
#: between a face and the same face divided by 4, TV-L1 finds motion of 47 px instead of none; divided by 16, 480 px.
CHANGED, IMPOSSIBLE = 1.4, 3.8
#: Largest length of the flow, as a fraction of the face's width: longer flow than the first is not a micro-expression
#: and hardly a wide smile; longer flow than the second (the diagonal) does not end on the face. The bundled pair has
#: 0.007 (1.5 of 224 px). A wide smile moves the corners of the mouth by about 0.15 eye distances, which is 0.07.
LARGE, BEYOND = 0.125, 1.42
# Minimum standard deviation, gray levels: a frame of a single gray level has no ratio.
_LEAST = 0.5


def pair_warnings(
    sources: tuple[FrameSource, FrameSource],
    frames: tuple[Frame, Frame],
    faces: tuple[ByteArray, ByteArray],
    flow: Flow,
) -> tuple[QualityWarning, ...]:
    """Warnings about the motion that was measured between two frames.

    Args:
        sources: onset and apex as given; the names of files show which comes first.
        frames: both frames.
        faces: (H, W) uint8 each, the aligned faces, as recorded.
        flow: the flow between the faces.

    Raises:
        FrameError: the brightness of the faces differs so much that their values must have different scales.
        FlowError: the flow is longer than the face.
    """
    first, second = frames
    # Without flow, as with a frame of a single gray level, light has not caused any: the pair is motionless.
    light = _light_warnings(faces, (first.source, second.source)) if flow.uv.any() else ()
    unlike, long = likeness_warnings(*faces, (first.source, second.source)), _length_warnings(flow)
    # Flow between two unlike pictures is always long, so only the first of these warnings is given.
    found = [*exposure_warnings(faces[0], first.source), *light, *(unlike or long)]
    if np.array_equal(first.pixels, second.pixels) or saved_again(*sources, first, second):
        found.append(_same_frame(first, second))
        return tuple(found)
    files = frame_file(sources[0]), frame_file(sources[1])
    fault = "" if files[0] is None or files[1] is None else pair_fault(Path(files[0]), Path(files[1]))
    return (*found, *order_warnings(fault))


def order_warnings(fault: str) -> tuple[QualityWarning, ...]:
    """A warning with the text of `pair_fault`; none for ""."""
    if not fault:
        return ()
    text = f"According to the file names, {fault}: check that they are in the right order."
    return (QualityWarning("frame_order", text),)


def _light_warnings(faces: tuple[ByteArray, ByteArray], names: tuple[str, str]) -> tuple[QualityWarning, ...]:
    """Compare the illumination of two faces by brightness and contrast."""
    pairs = [(face_light(face), max(face_contrast(face), _LEAST)) for face in faces]
    (light, contrast), (other_light, other_contrast) = pairs
    factor = max((_factor(light, other_light), _factor(contrast, other_contrast)), key=lambda f: abs(np.log(f)))
    times = max(factor, 1 / factor)
    if times < CHANGED:
        return ()
    which = "darker or of less contrast" if factor < 1 else "brighter or of more contrast"
    said = f"The face in {names[1]} is {times:.1f} times {which} than in {names[0]}"
    if times >= IMPOSSIBLE:
        raise FrameError(
            f"{said}, so flow between them shows the change of light. 12-bit values in a 16-bit file next to "
            "true 16-bit values look like this, and so does converting one of the two to another range. Convert both "
            "from the original recording in the same way."
        )
    text = f"{said}: a change of light is measured as motion. Use two frames of one recording under the same light."
    return (QualityWarning("exposure_change", text),)


def _factor(onset: float, apex: float) -> float:
    return max(apex, _LEAST) / max(onset, _LEAST)


def _length_warnings(flow: Flow) -> tuple[QualityWarning, ...]:
    """Compare the longest flow with the face."""
    length = float(np.hypot(*flow.uv).max())
    side = max(flow.uv.shape[1:])
    if length <= LARGE * side:
        return ()
    said = f"The flow is up to {length:.0f} px long on a face of {side} px"
    if length > BEYOND * side:
        raise FlowError(
            f"{said}: it ends outside the face, so nothing was measured. Check that onset and apex are two frames "
            "of one recording, of the same face under the same light."
        )
    text = (
        f"{said}, where an expression moves a face by a few px: light, head or camera changed between the frames, or "
        "they are not from one recording."
    )
    return (QualityWarning("implausible_flow", text),)


def _same_frame(onset: Frame, apex: Frame) -> QualityWarning:
    which = "" if onset.source == apex.source else f" ({onset.source}, {apex.source})"
    return QualityWarning(
        "same_frame",
        f"Onset and apex are the same picture{which}. Give the neutral frame and the strongest expression.",
    )


def pair_fault(onset: Path | None, apex: Path | None, first: str = "", last: str = "") -> str:
    """What is wrong with a pair of files according to their names; "" if nothing is.

    Args:
        onset: the onset frame.
        apex: the apex frame.
        first: where the clip begins: a number, or the name of a frame; "" if unknown.
        last: where it ends.
    """
    if onset is not None and apex is not None:
        if _same_file(onset, apex):
            return f"its onset and its apex are the same file, {onset.name}"
        if onset.parent == apex.parent or onset.parent.resolve() == apex.parent.resolve():
            numbers = _numbers(onset.name, apex.name)
            if numbers is not None and numbers[0] == numbers[1]:
                return f"its onset {onset.name} and its apex {apex.name} are the same frame"
            if numbers is not None and numbers[1] < numbers[0]:
                return f"its apex {apex.name} lies before its onset {onset.name}"
    ends = _numbers(first, last)
    if ends is not None and ends[1] < ends[0]:
        return f"its clip ends at {last}, before it begins at {first}"
    return ""


def _same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same file; links are resolved, which is slow, only if there are any."""
    beside = os.name == "posix" and one.parent == other.parent and one.name != other.name
    if beside and not (os.path.islink(one) or os.path.islink(other)):
        return False
    return one.resolve() == other.resolve()


def _numbers(first: str, second: str) -> tuple[int, int] | None:
    """The frame numbers of two names that differ in nothing else; None if they do."""
    parts = [re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", re.sub(r"\.\w+$", "", name).strip()) for name in (first, second)]
    if parts[0] is None or parts[1] is None:
        return None
    (start, number, end), (other_start, other, other_end) = parts[0].groups(), parts[1].groups()
    alike = (start.casefold(), end.casefold()) == (other_start.casefold(), other_end.casefold())
    return (int(number), int(other)) if alike else None
