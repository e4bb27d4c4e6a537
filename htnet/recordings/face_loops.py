"""The computations for every frame of a followed face, as loops that numba compiles.

Only `face_numba` imports this file, and only if there is no cached machine code. The caller allocates all memory.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cfunc, njit, types

from htnet.preprocess.flow.loops import BYTES, DOUBLES, FLOATS, INTS, OPTIONS, at, floats_at, jit

_HALF, _TWO = np.float32(0.5), np.float32(2)
#: Side of the aligned face and of its cells, px; cells along a side.
_FACE, _CELL, _GRID = 112, 8, 14
_PIXELS = _FACE * _FACE
#: Weights of red, green and blue in a gray level, in units of 1 / 32768, as in OpenCV.
_RED, _GREEN, _BLUE, _GRAY_BITS = 9798, 19235, 3735, 15
#: Side of the window whose mean normalizes the light, px; gray levels added to the mean, see `cell_flow`.
_LIGHT, _DARK = 21, 16
#: Number of unknowns of a step of the head: shift in x and y, scale and rotation.
_UNKNOWN = 4
#: 1.5 * 2**23: adding it to a small float32 and subtracting it again rounds to a whole number.
_NO_FRACTIONS = np.float32(12582912)
#: A pixel of which an area covers less than this fraction does not count, as in OpenCV.
_LEAST_SHARE = 1e-3


@jit
def _mirrored(place, length):  # type: ignore[no-untyped-def]
    """The index of a pixel beyond the edge, mirrored about the outermost pixel."""
    if length == 1:
        return 0
    while place < 0 or place >= length:
        place = -place if place < 0 else 2 * length - 2 - place
    return place


@jit
def _line(picture, y, height, width):  # type: ignore[no-untyped-def]
    """A row of a picture."""
    return at(picture, _mirrored(y, height) * width)


@jit
def _blur(picture, height, width, taps, reach, row, out):  # type: ignore[no-untyped-def]
    """Smooth a picture with a symmetric kernel. ``taps`` are its middle and one side.

    Three taps are processed at a time, to save memory accesses; the number of those to the side is a multiple of three.
    """
    inner, middle = at(row, reach), taps[0]
    for y in range(height):
        line = at(picture, y * width)
        for k in range(1, reach + 1, 3):
            first, second, third = taps[k], taps[k + 1], taps[k + 2]
            a, b = _line(picture, y - k, height, width), _line(picture, y + k, height, width)
            c, d = _line(picture, y - k - 1, height, width), _line(picture, y + k + 1, height, width)
            e, f = _line(picture, y - k - 2, height, width), _line(picture, y + k + 2, height, width)
            if k == 1:
                for x in range(width):
                    inner[x] = middle * line[x] + first * (a[x] + b[x]) + second * (c[x] + d[x]) + third * (e[x] + f[x])
            else:
                for x in range(width):
                    inner[x] += first * (a[x] + b[x]) + second * (c[x] + d[x]) + third * (e[x] + f[x])
        for k in range(1, reach + 1):
            row[reach - k] = inner[_mirrored(-k, width)]
            inner[width - 1 + k] = inner[_mirrored(width - 1 + k, width)]
        target = at(out, y * width)
        # From left to right: if pointers moved backward, LLVM's check for overlapping memory would always find one.
        last, end = taps[reach], at(row, 2 * reach)
        for k in range(0, 2 * reach, 6):
            part = at(row, k)
            p, q, r = taps[abs(k - reach)], taps[abs(k + 1 - reach)], taps[abs(k + 2 - reach)]
            s, t, u = taps[abs(k + 3 - reach)], taps[abs(k + 4 - reach)], taps[abs(k + 5 - reach)]
            if k == 0:
                for x in range(width):
                    target[x] = last * end[x]
            for x in range(width):
                target[x] += (
                    p * part[x]
                    + q * part[x + 1]
                    + r * part[x + 2]
                    + s * part[x + 3]
                    + t * part[x + 4]
                    + u * part[x + 5]
                )


@jit
def _gray(pixels, height, width, stride, channels, out):  # type: ignore[no-untyped-def]
    """Gray levels of a picture, whole numbers."""
    for y in range(height):
        line, target = at(pixels, y * stride), at(out, y * width)
        if channels == 1:
            for x in range(width):
                target[x] = line[x]
        else:
            for x in range(width):
                red, green, blue = np.int32(line[3 * x]), np.int32(line[3 * x + 1]), np.int32(line[3 * x + 2])
                level = np.int32(_RED) * red + np.int32(_GREEN) * green + np.int32(_BLUE) * blue
                target[x] = (level + np.int32(1 << (_GRAY_BITS - 1))) >> np.int32(_GRAY_BITS)


@jit
def _sampled(picture, height, width, affine, side, out):  # type: ignore[no-untyped-def]
    """Sample a (side, side) picture at the positions that ``affine`` (2, 3) gives; the edge is repeated."""
    for y in range(side):
        from_x, from_y = affine[1] * y + affine[2], affine[4] * y + affine[5]
        for x in range(side):
            px, py = affine[0] * x + from_x, affine[3] * x + from_y
            # In this order what is not a number becomes 0.
            px, py = px if px > 0 else 0.0, py if py > 0 else 0.0
            px, py = px if px < width - 1 else float(width - 1), py if py < height - 1 else float(height - 1)
            left, top = int(px), int(py)
            right, low = min(left + 1, width - 1), min(top + 1, height - 1)
            across, down = np.float32(px - left), np.float32(py - top)
            a, b = at(picture, top * width), at(picture, low * width)
            upper = a[left] + across * (a[right] - a[left])
            lower = b[left] + across * (b[right] - b[left])
            out[y * side + x] = upper + down * (lower - upper)


@jit
def _even(face, taps, reach, out, memory, wide):  # type: ignore[no-untyped-def]
    """A gray face over its local mean, in percent and smoothed."""
    half = _LIGHT // 2
    length = _FACE + 2 * half
    # Sums of each column; of 2, 4, 8 and 16 neighboring ones.
    column, two, four = at(wide, half), at(wide, length), at(wide, 2 * length)
    eight, sixteen, ratio = at(wide, 3 * length), at(wide, 4 * length), at(memory, _FACE + 2 * reach)
    for x in range(_FACE):
        column[x] = 0
    for y in range(-half, half):
        line = at(face, (y if y >= 0 else -1 - y) * _FACE)
        for x in range(_FACE):
            column[x] += line[x]
    for y in range(_FACE):
        more, less = y + half, y - half - 1
        comes = at(face, (more if more < _FACE else 2 * _FACE - 1 - more) * _FACE)
        for x in range(_FACE):
            column[x] += comes[x]
        if y > 0:
            goes = at(face, (less if less >= 0 else -1 - less) * _FACE)
            for x in range(_FACE):
                column[x] -= goes[x]
        for k in range(half):
            column[-1 - k] = column[k]
            column[_FACE + k] = column[_FACE - 1 - k]
        for x in range(length - 1):
            two[x] = wide[x] + wide[x + 1]
        for x in range(length - 3):
            four[x] = two[x] + two[x + 2]
        for x in range(length - 7):
            eight[x] = four[x] + four[x + 4]
        for x in range(length - 15):
            sixteen[x] = eight[x] + eight[x + 8]
        line, target = at(face, y * _FACE), at(ratio, y * _FACE)
        for x in range(_FACE):
            mean = np.float32((sixteen[x] + four[x + 16] + wide[x + 20]) * (1.0 / (_LIGHT * _LIGHT)))
            target[x] = (line[x] - mean) / (mean + np.float32(_DARK)) * np.float32(100)
    _blur(ratio, _FACE, _FACE, taps, reach, memory, out)


@jit
def _alike(one, other, found):  # type: ignore[no-untyped-def]
    """The sums of squares of two pictures about their means, and the sum of the products."""
    a = b = 0.0
    for k in range(_PIXELS):
        a += one[k]
        b += other[k]
    a, b = a / _PIXELS, b / _PIXELS
    first, second, both = 0.0, 0.0, 0.0
    for k in range(_PIXELS):
        p, q = one[k] - a, other[k] - b
        first += p * p
        second += q * q
        both += p * q
    found[0], found[1], found[2] = first, second, both


@jit
def _halved(face, factor, side, out):  # type: ignore[no-untyped-def]
    """Reduce a face by an integer factor."""
    share = np.float32(1.0 / (factor * factor))
    for y in range(side):
        for x in range(side):
            total = np.float32(0)
            for i in range(factor):
                line = at(face, (y * factor + i) * _FACE + x * factor)
                for j in range(factor):
                    total += line[j]
            out[y * side + x] = total * share


@jit
def _solve(system, right):  # type: ignore[no-untyped-def]
    """Solve a positive definite (4, 4) system by Gaussian elimination; ``right`` is replaced by the solution."""
    for k in range(_UNKNOWN):
        for i in range(k + 1, _UNKNOWN):
            factor = system[i * _UNKNOWN + k] / system[k * _UNKNOWN + k]
            for j in range(k, _UNKNOWN):
                system[i * _UNKNOWN + j] -= factor * system[k * _UNKNOWN + j]
            right[i] -= factor * right[k]
    for step in range(_UNKNOWN):
        k = _UNKNOWN - 1 - step
        for j in range(k + 1, _UNKNOWN):
            right[k] -= system[k * _UNKNOWN + j] * right[j]
        right[k] /= system[k * _UNKNOWN + k]


@jit
def _summed(first, moved, side, weights, row, system, right):  # type: ignore[no-untyped-def]
    """The normal equations of a step from ``first`` to ``moved``."""
    for k in range(_UNKNOWN * _UNKNOWN):
        system[k] = 0
    for k in range(_UNKNOWN):
        right[k] = 0
    middle = np.float32((side - 1) / 2.0)
    gx, gy, grow, turn = row, at(row, side), at(row, 2 * side), at(row, 3 * side)
    change = at(row, 4 * side)
    for y in range(side):
        a, b, weight = at(first, y * side), at(moved, y * side), at(weights, y * side)
        gx[0] = gx[side - 1] = np.float32(0)
        for x in range(1, side - 1):
            gx[x] = _HALF * (_HALF * (a[x + 1] + b[x + 1]) - _HALF * (a[x - 1] + b[x - 1]))
        if 0 < y < side - 1:
            a_up, b_up, a_low, b_low = at(a, -side), at(b, -side), at(a, side), at(b, side)
            for x in range(side):
                gy[x] = _HALF * (_HALF * (a_low[x] + b_low[x]) - _HALF * (a_up[x] + b_up[x]))
        else:
            for x in range(side):
                gy[x] = 0
        down = np.float32(y) - middle
        for x in range(side):
            across = np.float32(x) - middle
            grow[x] = gx[x] * across + gy[x] * down
            turn[x] = gy[x] * across - gx[x] * down
            change[x] = b[x] - a[x]
        for i in range(_UNKNOWN):
            p = at(row, i * side)
            for j in range(i, _UNKNOWN + 1):
                q, total = at(row, j * side), np.float32(0)
                for x in range(side):
                    total += weight[x] * p[x] * q[x]
                if j < _UNKNOWN:
                    system[i * _UNKNOWN + j] += total
                else:
                    right[i] -= total
    for i in range(_UNKNOWN):
        for j in range(i):
            system[i * _UNKNOWN + j] = system[j * _UNKNOWN + i]


@jit
def _head(earlier, now, side, steps, weights, memory, total):  # type: ignore[no-untyped-def]
    """The similarity from the earlier to the current face, (2, 3) in px of the small pictures."""
    size, factor = side * side, _FACE // side
    first, second, moved, row = memory, at(memory, size), at(memory, 2 * size), at(memory, 3 * size)
    system, right = at(total, 6), at(total, 6 + _UNKNOWN * _UNKNOWN)
    _halved(earlier, factor, side, first)
    _halved(now, factor, side, second)
    total[0], total[1], total[2], total[3], total[4], total[5] = 1.0, 0.0, 0.0, 0.0, 1.0, 0.0
    middle = (side - 1) / 2.0
    for step in range(steps):
        if step > 0:
            _sampled(second, side, side, total, side, moved)
        _summed(first, moved if step > 0 else second, side, weights, row, system, right)
        trace = 0.0
        for k in range(_UNKNOWN):
            trace += system[k * _UNKNOWN + k]
        for k in range(_UNKNOWN):
            system[k * _UNKNOWN + k] += 1e-3 * trace / _UNKNOWN + 1e-9
        _solve(system, right)
        grow, turn = 1 + right[2], right[3]
        dx = right[0] + middle - grow * middle + turn * middle
        dy = right[1] + middle - turn * middle - grow * middle
        for k in range(0, 6, 3):
            a, b = total[k], total[k + 1]
            total[k], total[k + 1] = a * grow + b * turn, b * grow - a * turn
            total[k + 2] += a * dx + b * dy


@jit
def _pair(image, gradient, now, now_gradient, rows, out):  # type: ignore[no-untyped-def]
    """Products of the derivatives of two faces, averaged over each cell, (6, cells)."""
    for i in range(_GRID):
        for k in range(6 * _FACE):
            rows[k] = 0
        xx, xy, yy = rows, at(rows, _FACE), at(rows, 2 * _FACE)
        xt, yt, tt = at(rows, 3 * _FACE), at(rows, 4 * _FACE), at(rows, 5 * _FACE)
        for y in range(i * _CELL, (i + 1) * _CELL):
            place = y * _FACE
            a, b = at(image, place), at(now, place)
            ax, bx = at(gradient, place), at(now_gradient, place)
            ay, by = at(gradient, _PIXELS + place), at(now_gradient, _PIXELS + place)
            for x in range(_FACE):
                gx, gy, change = _HALF * (ax[x] + bx[x]), _HALF * (ay[x] + by[x]), b[x] - a[x]
                xx[x] += gx * gx
                xy[x] += gx * gy
                yy[x] += gy * gy
                xt[x] += gx * change
                yt[x] += gy * change
                tt[x] += change * change
        for k in range(6):
            for j in range(_GRID):
                line, total = at(rows, k * _FACE + j * _CELL), np.float32(0)
                for x in range(_CELL):
                    total += line[x]
                out[k * _GRID * _GRID + i * _GRID + j] = total * np.float32(1.0 / (_CELL * _CELL))


@jit
def _share(place, low, high, scale, length):  # type: ignore[no-untyped-def]
    """The weight of a pixel in the mean over the area from ``low`` to ``high``, as in OpenCV."""
    whole = min(scale, length - low)
    if place < low:
        part = place + 1 - low
        return part / whole if part > _LEAST_SHARE else 0.0
    if place + 1 > high:
        part = high - place
        return min(min(part, 1.0), whole) / whole if part > _LEAST_SHARE else 0.0
    return 1.0 / whole


@njit(**(OPTIONS | {"fastmath": {"contract"}}), no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _rounded(level):  # type: ignore[no-untyped-def]
    """Round to the nearest whole number, ties to even. The compiler must not reorder the sum, so no full fastmath."""
    return (level + _NO_FRACTIONS) - _NO_FRACTIONS


@jit
def _shrunk(pixels, height, width, stride, channels, out, rows, columns, memory):  # type: ignore[no-untyped-def]
    """Reduce a picture to (rows, columns, channels) by averaging areas."""
    down, across, length = height / rows, width / columns, width * channels
    most = int(across) + 2
    shares, sums = at(memory, length), at(memory, length + most * columns)
    for x in range(columns):
        low, high = x * across, x * across + across
        for k in range(most):
            place = int(low) + k
            shares[x * most + k] = _share(place, low, high, across, width) if place < min(high, width) else 0.0
    for y in range(rows):
        low, high = y * down, y * down + down
        for x in range(length):
            memory[x] = 0
        for k in range(int(low), min(math.ceil(high), height)):
            weight, line = np.float32(_share(k, low, high, down, height)), at(pixels, k * stride)
            for x in range(length):
                memory[x] += weight * np.float32(line[x])
        for x in range(columns):
            first, share = int(x * across), at(shares, x * most)
            count = min(most, width - first)
            if channels == 3:
                line = at(memory, 3 * first)
                a = b = c = np.float32(0)
                for k in range(count):
                    weight = share[k]
                    a += weight * line[3 * k]
                    b += weight * line[3 * k + 1]
                    c += weight * line[3 * k + 2]
                sums[3 * x], sums[3 * x + 1], sums[3 * x + 2] = a, b, c
            else:
                line, a = at(memory, first), np.float32(0)
                for k in range(count):
                    a += share[k] * line[k]
                sums[x] = a
        target = at(out, y * columns * channels)
        for x in range(columns * channels):
            target[x] = np.int32(_rounded(sums[x]))


@jit
def _place(at_point, reach):  # type: ignore[no-untyped-def]
    """The pixel nearest to a point, ties to even, moved so that its patch lies within the face."""
    found = math.floor(at_point + 0.5)
    if found - at_point == 0.5 and int(found) & 1:
        found -= 1
    return min(max(int(found), reach), _FACE - 1 - reach)


@jit
def _mean(picture, top, left, rows, columns):  # type: ignore[no-untyped-def]
    """The mean of a part of a face."""
    total = 0.0
    for y in range(top, top + rows):
        line = at(picture, y * _FACE + left)
        for x in range(columns):
            total += line[x]
    return total / (rows * columns)


@jit
def _measures(face, across, points, eye_y, eye_x, mouth_y, mouth_x, skin, found):  # type: ignore[no-untyped-def]
    """The measures of the picture of a face, see `measure.picture_measures`.

    The contrast is squared, because numba's square root of a double calls a library.
    """
    edge = _FACE // 8
    side = _FACE - 2 * edge
    level, spread = _mean(face, edge, edge, side, side), 0.0
    for y in range(edge, edge + side):
        line = at(face, y * _FACE + edge)
        for x in range(side):
            spread += (line[x] - level) * (line[x] - level)
    found[0], found[1] = level, spread / (side * side)
    rows, columns = 2 * eye_y + 1, 2 * eye_x + 1
    for eye in range(2):
        top, left = _place(points[2 * eye + 1], eye_y) - eye_y, _place(points[2 * eye], eye_x) - eye_x
        total = 0.0
        for y in range(top, top + rows):
            line = at(across, y * _FACE + left)
            for x in range(columns):
                total += abs(line[x])
        found[2 + eye] = total / (rows * columns)
    rows, columns = 2 * mouth_y + 1, 2 * mouth_x + 1
    top, left = _place(points[5], mouth_y) - mouth_y, _place(points[4], mouth_x) - mouth_x
    above = _mean(face, top, left, skin, columns)
    below = _mean(face, top + rows - skin, left, skin, columns)
    total = 0.0
    for y in range(rows):
        line, shade = at(face, (top + y) * _FACE + left), above + (below - above) * y / (rows - 1)
        for x in range(columns):
            total += abs(line[x] - shade)
    found[4] = total / columns / (level + 1)


@cfunc(
    types.int64(INTS, BYTES, FLOATS, FLOATS, FLOATS, DOUBLES, BYTES, FLOATS, FLOATS, DOUBLES),
    **OPTIONS,
)
def work(counts, pixels, one, other, tables, affine, small, out, memory, wide):  # type: ignore[no-untyped-def]
    """Run one of the computations. `face_numba` shows the arguments of each.

    Args:
        counts: number of the computation, and its integer arguments.
        pixels: pixels of a picture.
        one: a face, or the texture of a face.
        other: a face, or the texture of a face.
        tables: taps of a kernel, or weights.
        affine: a (2, 3) matrix, followed by working memory.
        small: the output picture.
        out: the output values.
        memory: working memory for rows and pictures, float32.
        wide: working memory for rows, or output values, float64.

    Returns:
        0.
    """
    step = counts[0]
    if step == 0:  # a gray face of a picture: height, width, bytes in a row, channels, reach
        height, width, reach = counts[1], counts[2], counts[5]
        smooth, row = at(memory, height * width), at(memory, 2 * height * width)
        _gray(pixels, height, width, counts[3], counts[4], memory)
        _blur(memory, height, width, tables, reach, row, smooth)
        _sampled(smooth, height, width, affine, _FACE, out)
    elif step == 1:  # even light: reach
        _even(one, tables, counts[1], out, memory, wide)
    elif step == 2:  # how alike two faces are
        _alike(one, other, wide)
    elif step == 3:  # the head's step: side, steps
        _head(one, other, counts[1], counts[2], tables, memory, affine)
    elif step == 4:  # sums of pairs: their number, and the addresses of the earlier images and gradients
        for pair in range(counts[1]):
            image, gradient = floats_at(counts[2 + 2 * pair]), floats_at(counts[3 + 2 * pair])
            _pair(image, gradient, one, other, memory, at(out, pair * 6 * _GRID * _GRID))
    elif step == 5:  # measures of the picture: half height and width of the eyes and the mouth, rows of skin
        _measures(one, other, affine, counts[1], counts[2], counts[3], counts[4], counts[5], wide)
    else:  # a smaller picture: height, width, bytes in a row, channels, and the new height and width
        _shrunk(pixels, counts[1], counts[2], counts[3], counts[4], small, counts[5], counts[6], memory)
    return 0
