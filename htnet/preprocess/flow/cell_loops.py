"""Cell motion and fits to it as loops compiled by numba; `registration` does the same in NumPy.

Only `cell_numba` imports this file, and only if no machine code of it is cached. The caller provides all memory.
"""

from __future__ import annotations

import numpy as np
from numba import cfunc, types

from htnet.preprocess.flow.loops import DOUBLES, FLOATS, INTS, OPTIONS, at, jit

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
#: Cells across the face; planes whose local means are taken.
_GRID, _PLANES = 28, 9
_CELLS = _GRID * _GRID


@jit
def _clear(values, number):  # type: ignore[no-untyped-def]
    for k in range(number):
        values[k] = 0


@jit
def _windowed(rows, step, y, side, weights, bands, length, sums):  # type: ignore[no-untyped-def]
    """Add four rows at once, weighted, to the sums of the cells around them; adding one at a time takes longer."""
    second, third, fourth = min(y + 1, side - 1), min(y + 2, side - 1), min(y + 3, side - 1)
    p, q, r, s = rows, at(rows, step), at(rows, 2 * step), at(rows, 3 * step)
    for i in range(_GRID):
        if bands[2 * i] < y + 4 and y < bands[2 * i + 1]:
            weight, total = at(weights, i * side), at(sums, i * length)
            # Rows beyond the end of the picture get a weight of 0.
            a, b = weight[y], weight[second] if y + 1 < side else _ZERO
            c, d = weight[third] if y + 2 < side else _ZERO, weight[fourth] if y + 3 < side else _ZERO
            for x in range(length):
                total[x] += a * p[x] + b * q[x] + c * r[x] + d * s[x]


@jit
def _means(sums, planes, side, weights, bands, means):  # type: ignore[no-untyped-def]
    """Sums of rows, (28, planes, side), to those of cells: (28, planes, 28)."""
    for i in range(_GRID * planes):
        line, mean = at(sums, i * side), at(means, i * _GRID)
        for j in range(_GRID):
            weight, total = at(weights, j * side), _ZERO
            for x in range(bands[2 * j], bands[2 * j + 1]):
                total += weight[x] * line[x]
            mean[j] = total


@jit
def _lit(first, second, side, weights, bands, places, shares, sums, rows, means, out):  # type: ignore[no-untyped-def]
    """The second picture with the illumination of the first, see `registration._light_ratio`."""
    _clear(sums, 2 * _GRID * side)
    for y in range(0, side, 4):
        for k in range(4):
            here = min(y + k, side - 1) * side
            a, b, row, other = at(first, here), at(second, here), at(rows, 2 * k * side), at(rows, (2 * k + 1) * side)
            for x in range(side):
                row[x] = a[x]
            for x in range(side):
                other[x] = b[x]
        _windowed(rows, 2 * side, y, side, weights, bands, 2 * side, sums)
    _means(sums, 2, side, weights, bands, means)
    for i in range(_GRID):
        one, two, ratio = at(means, 2 * i * _GRID), at(means, (2 * i + 1) * _GRID), at(sums, i * _GRID)
        for j in range(_GRID):
            ratio[j] = (one[j] + _ONE) / (two[j] + _ONE)
    cells = at(rows, side)
    for y in range(side):
        _clear(cells, _GRID)
        for k in range(4):
            line, share = at(sums, (places[y] + k) * _GRID), shares[k * side + y]
            for j in range(_GRID):
                cells[j] += share * line[j]
        source, target = at(second, y * side), at(out, y * side)
        for x in range(side):
            four = at(cells, places[x])
            rows[x] = (
                four[0] * shares[x]
                + four[1] * shares[side + x]
                + four[2] * shares[2 * side + x]
                + four[3] * shares[3 * side + x]
            )
        for x in range(side):
            target[x] = source[x] * rows[x]


@jit
def _planes(first, second, side, y, row, planes):  # type: ignore[no-untyped-def]
    """A row's gradient and difference and their products, (9, side)."""
    # The picture is mirrored at its outermost pixels, so the gradient is 0 there.
    up, low = (y - 1, y + 1) if 0 < y < side - 1 else (y, y)
    a, b = at(first, y * side), at(second, y * side)
    a_up, b_up, a_low, b_low = (
        at(first, up * side),
        at(second, up * side),
        at(first, low * side),
        at(second, low * side),
    )
    gx, gy, dt = planes, at(planes, side), at(planes, 2 * side)
    for x in range(side):
        row[x] = _HALF * (a[x] + b[x])
    for x in range(side):
        gy[x] = _HALF * (_HALF * (a_low[x] + b_low[x])) - _HALF * (_HALF * (a_up[x] + b_up[x]))
    for x in range(side):
        dt[x] = b[x] - a[x]
    gx[0] = gx[side - 1] = _ZERO
    for x in range(1, side - 1):
        gx[x] = _HALF * row[x + 1] - _HALF * row[x - 1]
    pairs = at(planes, 3 * side)
    for x in range(side):
        pairs[x] = gx[x] * gx[x]
    for x in range(side):
        pairs[side + x] = gx[x] * gy[x]
    for x in range(side):
        pairs[2 * side + x] = gy[x] * gy[x]
    for x in range(side):
        pairs[3 * side + x] = gx[x] * dt[x]
    for x in range(side):
        pairs[4 * side + x] = gy[x] * dt[x]
    for x in range(side):
        pairs[5 * side + x] = dt[x] * dt[x]


@jit
def _motion(sums, uv, information, rest):  # type: ignore[no-untyped-def]
    """Motion of each cell, its texture, and the squared difference that remains, see `registration._cell_motion`."""
    ridge = 1e-3
    for i in range(_GRID):
        for j in range(_GRID):
            told, cell = at(sums, i * _PLANES * _GRID + j), i * _GRID + j
            mx, my, mt = np.float64(told[0]), np.float64(told[_GRID]), np.float64(told[2 * _GRID])
            xx, xy = np.float64(told[3 * _GRID]) - mx * mx, np.float64(told[4 * _GRID]) - mx * my
            yy, bx = np.float64(told[5 * _GRID]) - my * my, mx * mt - np.float64(told[6 * _GRID])
            by, tt = my * mt - np.float64(told[7 * _GRID]), np.float64(told[8 * _GRID]) - mt * mt
            det = (xx + ridge) * (yy + ridge) - xy * xy
            u, v = ((yy + ridge) * bx - xy * by) / det, ((xx + ridge) * by - xy * bx) / det
            uv[2 * cell], uv[2 * cell + 1] = u, v
            full = at(information, 4 * cell)
            full[0], full[1], full[2], full[3] = xx, xy, xy, yy
            left = tt - u * bx - v * by
            rest[cell] = left if left > 0 else 0.0


@jit
def _weighted_median(values, weights, number):  # type: ignore[no-untyped-def]
    """The lower weighted median; reorders both arrays (Hoare's quickselect, 1961)."""
    half, below = 0.0, 0.0
    for k in range(number):
        half += weights[k]
    half /= 2
    low, high, pivot = 0, number - 1, values[number - 1]
    while low < high:
        first, middle, last = values[low], values[(low + high) // 2], values[high]
        pivot = max(min(first, middle), min(max(first, middle), last))
        i, k = low, high
        while i <= k:
            while values[i] < pivot:
                i += 1
            while values[k] > pivot:
                k -= 1
            if i <= k:
                value, weight = values[i], weights[i]
                values[i], weights[i] = values[k], weights[k]
                values[k], weights[k] = value, weight
                i += 1
                k -= 1
        # Nothing left of i is above the pivot, nothing right of k is below it, and only the pivot is between them.
        left = below
        for j in range(low, k + 1):
            left += weights[j]
        if left >= half and k >= low:
            high = k
            continue
        for j in range(k + 1, i):
            left += weights[j]
        if left >= half:
            return pivot
        below, low = left, i
    return values[low] if low == high else pivot


@jit
def _solve(normal, numbers, count):  # type: ignore[no-untyped-def]
    """Gaussian elimination with partial pivoting of `count` equations in rows of `count` + 1."""
    wide = count + 1
    for k in range(count):
        best = k
        for i in range(k + 1, count):
            if abs(normal[i * wide + k]) > abs(normal[best * wide + k]):
                best = i
        for j in range(k, wide):
            kept = normal[k * wide + j]
            normal[k * wide + j] = normal[best * wide + j]
            normal[best * wide + j] = kept
        for i in range(k + 1, count):
            factor = normal[i * wide + k] / normal[k * wide + k]
            for j in range(k + 1, wide):
                normal[i * wide + j] -= factor * normal[k * wide + j]
    for step in range(count):
        k = count - 1 - step
        found = normal[k * wide + count]
        for j in range(k + 1, count):
            found -= normal[k * wide + j] * numbers[j]
        numbers[k] = found / normal[k * wide + k]


@jit
def _fit(uv, information, design, prior, count, rounds, wobble, least, turning, numbers, memory):  # type: ignore[no-untyped-def]
    """Iteratively reweighted least squares, see `registration.robust_fit`."""
    # Values of the cells that count, one plane each: design right and down, these times the information, and others.
    right, down = memory, at(memory, count * _CELLS)
    told_right, told_down = at(memory, 2 * count * _CELLS), at(memory, 3 * count * _CELLS)
    own = at(memory, 4 * count * _CELLS)
    u, v, xx, xy, yy = own, at(own, _CELLS), at(own, 2 * _CELLS), at(own, 3 * _CELLS), at(own, 4 * _CELLS)
    share, weight, length, told = at(own, 5 * _CELLS), at(own, 6 * _CELLS), at(own, 7 * _CELLS), at(own, 8 * _CELLS)
    weighted, normal = at(own, 9 * _CELLS), at(own, 11 * _CELLS)
    n = 0
    for cell in range(_CELLS):
        if prior[cell] != 0:
            full = at(information, 4 * cell)
            more = wobble * (full[0] * full[3] - full[1] * full[1])
            det = 1 + wobble * (full[0] + full[3] + more)
            xx[n], xy[n], yy[n] = (full[0] + more) / det, full[1] / det, (full[3] + more) / det
            u[n], v[n], share[n], weight[n] = uv[2 * cell], uv[2 * cell + 1], prior[cell], prior[cell]
            parts = at(design, 2 * count * cell)
            for k in range(count):
                a, b = parts[k], parts[count + k]
                right[k * _CELLS + n], down[k * _CELLS + n] = a, b
                told_right[k * _CELLS + n] = xx[n] * a + xy[n] * b
                told_down[k * _CELLS + n] = xy[n] * a + yy[n] * b
            n += 1
    wide = count + 1
    _clear(numbers, count)
    for _ in range(rounds):
        trace = 0.0
        for i in range(count):
            a, b, wa, wb = at(told_right, i * _CELLS), at(told_down, i * _CELLS), weighted, at(weighted, _CELLS)
            for c in range(n):
                wa[c] = a[c] * weight[c]
            for c in range(n):
                wb[c] = b[c] * weight[c]
            for j in range(i, wide):
                p, q = (at(right, j * _CELLS), at(down, j * _CELLS)) if j < count else (u, v)
                total = 0.0
                for c in range(n):
                    total += wa[c] * p[c] + wb[c] * q[c]
                normal[i * wide + j] = total
                if j < count:
                    normal[j * wide + i] = total
            trace += normal[i * wide + i]
        for i in range(count):
            normal[i * wide + i] += 1e-6 * trace + 1e-9
        _solve(normal, numbers, count)
        left_u, left_v = weighted, at(weighted, _CELLS)
        for c in range(n):
            left_u[c] = u[c]
        for c in range(n):
            left_v[c] = v[c]
        for k in range(count):
            number, a, b = numbers[k], at(right, k * _CELLS), at(down, k * _CELLS)
            for c in range(n):
                left_u[c] -= number * a[c]
            for c in range(n):
                left_v[c] -= number * b[c]
        for c in range(n):
            squared = xx[c] * left_u[c] * left_u[c] + 2 * xy[c] * left_u[c] * left_v[c] + yy[c] * left_v[c] * left_v[c]
            length[c] = max(squared, 0.0) * wobble
        for c in range(n):
            left_u[c] = length[c]
        for c in range(n):
            told[c] = share[c] * (xx[c] + yy[c])
        # Squares are used throughout, because numba's square root of a double calls a library.
        scale = max(least * least, turning * turning * _weighted_median(left_u, told, n))
        for c in range(n):
            over = 1 + length[c] / scale
            weight[c] = share[c] / (over * over)


@cfunc(
    types.int64(
        FLOATS, FLOATS, FLOATS, INTS, DOUBLES, DOUBLES, DOUBLES, DOUBLES, DOUBLES, INTS, DOUBLES, FLOATS, DOUBLES
    ),
    **OPTIONS,
)
def solve(first, second, tables, places, uv, information, rest, design, prior, counts, settings, pictures, memory):  # type: ignore[no-untyped-def]
    """Motion of the cells between two pictures, or a fit to it.

    Args:
        first: (side, side), smoothed.
        second: the same.
        tables: weights of the cells' windows and of the illumination windows, (28, side) each, and for each pixel the
            interpolation weights of four cells, (4, side).
        places: start and end of each cell's windows, (28, 2) each, and for each pixel the first of its four cells,
            (side,).
        uv: (28, 28, 2), px of the picture; output, or input of a fit.
        information: (28, 28, 2, 2); output (the texture), or input of a fit.
        rest: (28, 28), output: the squared difference that remains; for a fit, its coefficients.
        design: (28, 28, 2, P).
        prior: (28, 28).
        counts: side, P, rounds of reweighting. P = 0 computes motion.
        settings: settings of a fit, see `registration.robust_fit`: wobble, least, turning point.
        pictures: memory, see `cell_numba`.
        memory: likewise.

    Returns:
        0.
    """
    side, count = counts[0], counts[1]
    if count > 0:
        _fit(uv, information, design, prior, count, counts[2], settings[0], settings[1], settings[2], rest, memory)
        return 0
    light, shares = at(tables, _GRID * side), at(tables, 2 * _GRID * side)
    bands, light_bands, quads = places, at(places, 2 * _GRID), at(places, 4 * _GRID)
    sums = at(pictures, side * side)
    rows = at(sums, _GRID * _PLANES * side)
    means, row = at(rows, 4 * _PLANES * side), at(rows, 4 * _PLANES * side + _PLANES * _CELLS)
    _lit(first, second, side, light, light_bands, quads, shares, sums, rows, means, pictures)
    _clear(sums, _GRID * _PLANES * side)
    for y in range(0, side, 4):
        for k in range(min(4, side - y)):
            _planes(first, pictures, side, y + k, row, at(rows, k * _PLANES * side))
        _windowed(rows, _PLANES * side, y, side, tables, bands, _PLANES * side, sums)
    _means(sums, _PLANES, side, tables, bands, means)
    _motion(means, uv, information, rest)
    return 0
