"""The report of one prediction: one self-contained HTML file that opens offline."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from os import PathLike
from pathlib import Path
from string import Template

import numpy as np

from htnet._version import __version__
from htnet.core.facs import SHOWN_UNITS, UnitPrediction
from htnet.core.files import check_outputs, write_text
from htnet.core.provenance import restriction
from htnet.core.types import EXPRESSION_THRESHOLD, NO_EXPRESSION, Frame, Prediction, PreprocessSpec, Spotting
from htnet.core.words import counted
from htnet.pipeline.event_pairs import encoded, flow_picture, jpeg
from htnet.pipeline.overlays import region_boxes
from htnet.pipeline.page import check_name, class_bars, notes_of_faces, page, part
from htnet.preprocess import FrameSource, read_pair

# Longest side of the pictures of frames, and side of the picture of the flow, px.
_FRAME, _FLOW = 640, 448


def write_prediction_report(
    prediction: Prediction,
    onset: FrameSource,
    apex: FrameSource,
    path: str | PathLike[str],
    *,
    spec: PreprocessSpec | None = None,
    faces: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write the report of a prediction as one HTML file.

    It shows the predicted class and all probabilities, the frames with the landmarks, the flow, the network's input,
    the action units, and for a video the curve in which onset and apex were found.

    Args:
        prediction: the prediction for this pair, or for a video.
        onset: its onset frame.
        apex: its apex frame.
        path: the file, .html; missing folders are created.
        spec: spec of the model (`Predictor.spec`); with it the pictures of the flow show where regions were cropped.
        faces: show pictures of faces. Without them only the flow is shown, and the report says so.
        overwrite: replace a file that exists.

    Returns:
        The path of the file.

    Raises:
        FrameError: the frames cannot be read, or differ in size.
        OverwriteError: the file exists and ``overwrite`` is not given.
        InputError: the name has another ending, or the file cannot be written.
    """
    path = check_name(path)
    check_outputs(path, overwrite=overwrite, inputs=[one for one in (onset, apex) if isinstance(one, str | PathLike)])
    write_text(path, prediction_report_text(prediction, *read_pair(onset, apex), spec=spec, faces=faces))
    return path


def prediction_report_text(
    prediction: Prediction,
    onset: Frame,
    apex: Frame,
    *,
    spec: PreprocessSpec | None = None,
    faces: bool = True,
) -> str:
    """The report as HTML, see `write_prediction_report`."""
    body = Template(part("prediction.html")).substitute(
        label=escape(prediction.label),
        expression=escape(_expression(prediction)),
        bars=class_bars(prediction.probabilities),
        units=_units(prediction.action_units),
        pictures="\n".join(_pictures(prediction, onset, apex, spec, faces)),
        curve="" if prediction.spotting is None else _curve(prediction.spotting),
        numbers="".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in _numbers(prediction)),
    )
    return page(
        prediction.sample or "prediction",
        _facts(prediction, onset),
        body,
        warnings=prediction.warnings,
        notes=notes_of_faces(faces),
        css="prediction.css",
    )


def _facts(prediction: Prediction, onset: Frame) -> str:
    files = prediction.files
    named = [files.video or "", *([] if files.video else [files.onset or "", files.apex or ""]), files.flow_image or ""]
    height, width = onset.size
    said = [", ".join(name for name in named if name), f"{width}x{height} px", f"model {prediction.model}"]
    return " · ".join(part for part in (*said, f"htnet {__version__}") if part)


def _expression(prediction: Prediction) -> str:
    found = prediction.expression
    if found is None:
        return "Whether the two frames differ by an expression is unknown."
    said = f"Probability that the two frames differ by an expression: {found:.3f}."
    if prediction.label == NO_EXPRESSION:
        return f"{said} It is below {EXPRESSION_THRESHOLD:g}; the bars show what the model would predict otherwise."
    return said


def _units(units: Sequence[UnitPrediction]) -> str:
    if not units:
        return "<p>This model was not trained for action units.</p>"
    rows = []
    for unit in units:
        seen = ' class="seen"' if unit.probability >= SHOWN_UNITS else ""
        sides = "".join(
            f'<td>{_bar(value)}</td><td class="number">{value:.2f}</td>'
            for value in (unit.subject_right, unit.subject_left)
        )
        rows.append(f'<tr{seen}><th scope="row">AU{unit.number} {escape(unit.name)}</th>{sides}</tr>')
    head = '<th scope="col">unit</th>' + "".join(
        f'<th scope="col" colspan="2">subject\'s {side}</th>' for side in ("right", "left")
    )
    return f'<table class="units"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _bar(value: float) -> str:
    shape = '<rect class="{}" width="{:.1f}" height="10" rx="3"/>'
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f"{shape.format('ground', 100)}{shape.format('bar', 100 * value)}</svg>"
    )


def _pictures(
    prediction: Prediction, onset: Frame, apex: Frame, spec: PreprocessSpec | None, faces: bool
) -> Iterator[str]:
    made = prediction.input
    if faces:
        height, width = onset.size
        points = [] if made.landmarks is None else made.landmarks.points.tolist()
        radius = max(width, height) / 80
        dots = "".join(
            f'<circle class="point" cx="{x + 0.5:.2f}" cy="{y + 0.5:.2f}" r="{radius:.2f}" '
            f'stroke-width="{radius / 3:.2f}"/>'
            for x, y in points
        )
        text = f"onset, with {counted(len(points), 'point')}" if points else "onset"
        yield _figure(text, jpeg(onset.pixels, _FRAME), "jpeg", (width, height), dots)
        yield _figure("apex", jpeg(apex.pixels, _FRAME), "jpeg", (width, height))
    boxes = region_boxes(prediction.input, spec)
    side = made.flow_image.shape[0]
    told = f"; {counted(len(boxes), 'region')}" if boxes else ""
    if made.flow is not None:
        longest = float(np.hypot(*made.flow.uv).max())
        picture = flow_picture(made.flow, _FLOW)
        text = f"flow on the aligned face, longest {longest:.2f} px{told}"
        yield _figure(text, picture, "jpeg", (_FLOW, _FLOW), _rectangles(boxes, _FLOW / side))
    # BGR = strain, v, u; shown as the published RGB = u, v, strain, without loss.
    text = f"flow image: u, v, strain as red, green, blue{told}"
    image = encoded(made.flow_image, ".png")
    yield _figure(text, image, "png", (side, side), _rectangles(boxes, 1), "pixels")
    regions = np.ascontiguousarray(made.image.transpose(1, 2, 0).round().clip(0, 255).astype(np.uint8))
    if not np.array_equal(regions, made.flow_image):
        text = (
            "what the network reads, cropped at the "
            f"{'face' if made.regions_at == 'landmarks' else 'template'}'s points"
        )
        yield _figure(text, encoded(regions, ".png"), "png", (side, side), kind="pixels")


def _figure(text: str, picture: bytes, form: str, size: tuple[int, int], over: str = "", kind: str = "smooth") -> str:
    """A picture with shapes drawn over it; their coordinates are those of a picture of size (width, height)."""
    width, height = size
    data = f"data:image/{form};base64,{base64.b64encode(picture).decode()}"
    return (
        f'<figure><svg class="{kind}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(text)}">'
        f'<image width="{width}" height="{height}" href="{data}"/>'
        f"{over}</svg><figcaption>{escape(text)}</figcaption></figure>"
    )


def _rectangles(boxes: Sequence[tuple[int, int, int]], scale: float) -> str:
    width = max(0.2, scale / 8)
    return "".join(
        f'<rect class="region" x="{x * scale:.1f}" y="{y * scale:.1f}" width="{side * scale:.1f}" '
        f'height="{side * scale:.1f}" stroke-width="{width:.2f}"/>'
        for x, y, side in boxes
    )


def _curve(spotting: Spotting) -> str:
    """The motion of the clip, with onset, apex and offset."""
    width, height, left = 900, 170, 6
    at = spotting.first + np.arange(len(spotting.curve)) if spotting.times is None else spotting.times
    span, most = max(float(at[-1] - at[0]), 1e-6), max(float(spotting.curve.max()), 1e-6)
    x = left + (width - 2 * left) * (np.asarray(at, float) - float(at[0])) / span
    y = 140 - 118 * spotting.curve / most
    path = "M" + " L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    lines = []
    for name, row in (("onset", 14), ("apex", 28), ("offset", 42)):
        number = getattr(spotting, name)
        place = float(x[number - spotting.first])
        kind = "" if name == "apex" else ' class="side"'
        anchor, shift = ("end", -4) if place > 0.8 * width else ("start", 4)
        lines.append(f'<line{kind} x1="{place:.1f}" x2="{place:.1f}" y1="4" y2="140"/>')
        lines.append(f'<text x="{place + shift:.1f}" y="{row}" text-anchor="{anchor}">{name} {number}</text>')
    unit = "frame" if spotting.times is None else "s"
    ends = (
        f'<text x="{left}" y="160">{float(at[0]):.2f} {unit}</text>'
        f'<text x="{width - left}" y="160" text-anchor="end">{float(at[-1]):.2f} {unit}</text>'
    )
    sure = "unknown" if spotting.confidence is None else f"{spotting.confidence:.2f}"
    text = f"motion of the face in the video, up to {most:.2f} px of a 224 px face; confidence {sure}"
    return (
        f'<h2>Motion</h2><figure class="box verdict spotted"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{text}"><path d="{path}"/>{"".join(lines)}{ends}</svg><figcaption>{text}</figcaption></figure>'
    )


def _numbers(prediction: Prediction) -> Iterator[tuple[str, str]]:
    made = prediction.input
    yield "model", f"{prediction.model} ({prediction.architecture}), temperature {prediction.temperature:g}"
    if prediction.license_expression:
        yield "terms of the model", restriction(prediction.license_expression) or prediction.license_expression
    if made.landmarks is not None:
        score = "" if made.landmarks.score is None else f", score {made.landmarks.score:.2f}"
        yield "points", f"{made.landmarks.source}{score}"
    if made.flow is not None:
        flow = made.flow.to_dict()
        yield "flow", f"{flow['method']}, mean {flow['mean_px']:.2f} px, largest {flow['max_px']:.2f} px"
        yield "aligned face", f"{flow['face_size_px']} px"
    if (found := prediction.spotting) is not None:
        for name in ("onset", "apex", "offset"):
            number = getattr(found, name)
            time = found.time(number)
            yield name, f"frame {number}" + ("" if time is None else f", {time:.2f} s")
