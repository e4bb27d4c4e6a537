"""Charts and tables for the report of an evaluation, as HTML and SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape

import numpy as np

from htnet.core.types import Float64Array
from htnet.evaluation.calibration import Reliability

# Size of a chart and its margins, in SVG units, about 1 px on the page.
_WIDTH, _HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 36
_Place = Callable[[float], float]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int], main: Sequence[int] = ()) -> str:
    """A table whose cells are HTML.

    Args:
        head: names of the columns, plain text.
        rows: the cells of each row; the first one is the row's head.
        numbers: indexes of right-aligned columns.
        main: indexes of highlighted rows.
    """

    def cell(k: int, content: str, tag: str, scope: str) -> str:
        meter = k and (not content or content.startswith("<svg"))
        return f"<{tag}{scope}{_class('number' if k in numbers else 'meter' if meter else '')}>{content}</{tag}>"

    top = "".join(cell(k, escape(name), "th", ' scope="col"') for k, name in enumerate(head))
    body = "".join(
        f"<tr{_class('main' if k in main else '')}>"
        + cell(0, row[0], "th", ' scope="row"')
        + "".join(cell(i, content, "td", "") for i, content in enumerate(row[1:], 1))
        + "</tr>"
        for k, row in enumerate(rows)
    )
    return f'<div class="wide"><table class="scores"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def range_bar(value: float, bounds: tuple[float, float] | None) -> str:
    """A score between 0 and 1 with its interval."""
    low, high = bounds or (value, value)
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="ground" y="4" '
        f'width="100" height="2"/><rect class="span" x="{100 * low:.2f}" y="2" width="{100 * (high - low):.2f}" '
        f'height="6"/><rect class="at" x="{100 * value - 0.6:.2f}" width="1.2" height="10"/></svg>'
    )


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """A confusion matrix: counts, colored by their share of the true class."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in classes)
    rows = []
    for k, (name, row) in enumerate(zip(classes, counts, strict=True)):
        total = max(sum(row), 1)
        cells = "".join(
            f'<td{_class("right" if i == k else "")} style="--share:{n / total:.3f}">{n}'
            f"<small>{n / total:.0%}</small></td>"
            for i, n in enumerate(row)
        )
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        f'<div class="wide"><table class="confusion"><thead><tr><th>true \\ answered</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def reliability_chart(bins: Reliability, name: str) -> str:
    """Plot the fraction of correct answers against confidence, and below it the share of the samples in each bin."""
    x, y = _scale((0.0, 1.0), (0.0, 1.0))
    share = bins.count / max(int(bins.count.sum()), 1)
    shapes = []
    for k in range(len(bins.count)):
        if not bins.count[k]:
            continue
        left, right = x(float(bins.edges[k])), x(float(bins.edges[k + 1]))
        low = y(float(bins.accuracy[k]))
        title = f"{bins.count[k]} answers, mean confidence {bins.confidence[k]:.2f}, {bins.accuracy[k]:.0%} correct"
        shapes.append(
            f'<rect class="column" x="{left + 1:.1f}" y="{low:.1f}" width="{right - left - 2:.1f}" '
            f'height="{y(0) - low:.1f}"><title>{title}</title></rect>'
            f'<rect class="count" x="{left + 1:.1f}" y="{y(0) - 60 * share[k]:.1f}" width="{right - left - 2:.1f}" '
            f'height="{60 * share[k]:.1f}"/>'
            f'<circle class="point" cx="{x(float(bins.confidence[k])):.1f}" cy="{low:.1f}" r="3.5"/>'
        )
    ideal = f'<path class="ideal" d="M{x(0):.1f} {y(0):.1f}L{x(1):.1f} {y(1):.1f}"/>'
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    label = f"reliability, {name}: fraction of correct answers over the confidence"
    return _chart(label, [*shapes, ideal], ticks, ticks, x, y, "confidence")


def curve_chart(label: str, lines: Sequence[tuple[str, Float64Array]], unit: str = "epoch") -> str:
    """Plot the mean of curves over the epochs, and a band from the 5th to the 95th percentile.

    Args:
        label: accessible name of the chart.
        lines: one or two groups of curves: name and values, (curves, epochs); NaN if a curve has no value.
        unit: label of the horizontal axis.
    """
    values = np.concatenate([part[np.isfinite(part)] for _, part in lines])
    if not len(values):
        return '<p class="said">No finite value was logged.</p>'
    means, ranges = [], []
    for _, part in lines:
        with np.errstate(all="ignore"):
            ranges.append(np.nanquantile(part, (0.05, 0.95), axis=0))
            means.append(np.nanmean(part, axis=0))
    top = float(np.nanmax([r[1] for r in ranges]))
    low = min(0.0, float(np.nanmin([r[0] for r in ranges])))
    ticks_y = _ticks(low, top)
    epochs = lines[0][1].shape[1]
    x, y = _scale((1.0, float(max(epochs, 2))), (ticks_y[0], max(ticks_y[-1], top)))
    shapes = []
    for k, (mean, (below, above)) in enumerate(zip(means, ranges, strict=True)):
        kind = " second" if k else ""
        at = [x(float(epoch)) for epoch in range(1, epochs + 1)]
        if len(lines[k][1]) > 1:
            around = [*zip(at, above.tolist(), strict=True), *reversed(list(zip(at, below.tolist(), strict=True)))]
            points = " ".join(f"{a:.1f},{y(b):.1f}" for a, b in around if np.isfinite(b))
            shapes.append(f'<polygon class="band{kind}" points="{points}"/>')
        points = " ".join(f"{a:.1f},{y(b):.1f}" for a, b in zip(at, mean.tolist(), strict=True) if np.isfinite(b))
        shapes.append(f'<polyline class="line{kind}" points="{points}"/>')
    ticks_x = sorted({float(max(1, round(t))) for t in _ticks(1.0, float(epochs)) if t <= epochs})
    return _chart(label, shapes, ticks_x, ticks_y, x, y, unit)


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _scale(across: tuple[float, float], up: tuple[float, float]) -> tuple[_Place, _Place]:
    """Functions that map values to coordinates in a chart."""

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - across[0]) / (across[1] - across[0])

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (value - up[0]) / max(up[1] - up[0], 1e-12)

    return x, y


def _chart(
    label: str, shapes: Sequence[str], across: Sequence[float], up: Sequence[float], x: _Place, y: _Place, unit: str
) -> str:
    marks = [
        f'<path class="axis" d="M{_LEFT} {y(v):.1f}H{_WIDTH - _RIGHT}"/>'
        f'<text x="{_LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.3g}</text>'
        for v in up
    ]
    marks += [f'<text x="{x(v):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{v:.3g}</text>' for v in across]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    marks.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(unit)}</text>')
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(marks)}{''.join(shapes)}</svg>"
    )


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``."""
    span = max(high - low, 1e-9)
    raw = span / count
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999))
    first = int(np.floor(low / step + 1e-9))
    last = int(np.ceil(high / step - 1e-9))
    return [round(k * step, 12) for k in range(first, last + 1)]
