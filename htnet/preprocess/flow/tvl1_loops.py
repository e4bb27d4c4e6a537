"""The steps of TV-L1 as loops over rows, for one pair: what `tvl1_solver` does in plain PyTorch, compiled by numba.

Only `tvl1_numba` imports this file, and only if no machine code of it is cached, because it imports numba. The caller
provides all memory. Each loop writes one row, or two: then LLVM can check at its start that they do not overlap the
rows that it reads, and computes 8 or 16 pixels at once.
"""

# ruff: noqa: N803  (H and W are sizes)
from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic

from htnet.preprocess.flow.loops import FLOATS as _FLOATS
from htnet.preprocess.flow.loops import INTS as _INTS
from htnet.preprocess.flow.loops import OPTIONS as _OPTIONS
from htnet.preprocess.flow.loops import at as _at
from htnet.preprocess.flow.loops import jit as _jit
from htnet.preprocess.flow.tvl1_parameters import FLAT, GAINS, LIGHT_CELLS, LIGHT_STEPS

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_FLAT, _LEAST_GAIN, _MOST_GAIN = np.float32(FLAT), np.float32(GAINS[0]), np.float32(GAINS[1])
_CELLS = LIGHT_CELLS
_STEPS = LIGHT_STEPS
# The search for the median of a cell's illumination ends when the interval is this narrow, gray levels.
_NARROW = np.float32(1e-6)


# Weights of the samples at -1, 0, 1, 2 as polynomials of the place between them, from the third power down; see
# `warp.sample_cubic`.
_WEIGHTS = ((-0.5, 1.5, -1.5, 0.5), (1.0, -2.5, 2.0, -0.5), (-0.5, 0.0, 0.5, 0.0), (0.0, 1.0, 0.0, 0.0))


@intrinsic
def _cubic(typingctx, first, second, third, fourth, t, s):  # type: ignore[no-untyped-def]
    """Cubic convolution of four positions of four rows, in vectors of four, which LLVM does not form by itself."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        *rows, t, s = arguments
        lanes = ir.VectorType(ir.FloatType(), 4)
        number = ir.IntType(32)

        def spread(value):  # type: ignore[no-untyped-def]
            one = builder.insert_element(ir.Constant(lanes, ir.Undefined), value, number(0))
            return builder.shuffle_vector(
                one, ir.Constant(lanes, ir.Undefined), ir.Constant(ir.VectorType(number, 4), [0] * 4)
            )

        def fma(a, b, c):  # type: ignore[no-untyped-def]
            return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))

        def weights(place):  # type: ignore[no-untyped-def]
            x, powers = spread(place), [ir.Constant(lanes, list(row)) for row in _WEIGHTS]
            found = powers[0]
            for power in powers[1:]:
                found = fma(found, x, power)
            return found

        across, down = weights(t), weights(s)
        total = None
        for k, row in enumerate(rows):
            load = builder.load(builder.bitcast(row, lanes.as_pointer()), align=4)
            weight = spread(builder.extract_element(down, number(k)))
            total = builder.fmul(load, weight) if total is None else fma(load, weight, total)
        product = builder.fmul(total, across)
        parts = [builder.extract_element(product, number(k)) for k in range(4)]
        return builder.fadd(builder.fadd(parts[0], parts[2]), builder.fadd(parts[1], parts[3]))

    return types.float32(first, second, third, fourth, t, s), codegen


@_jit
def _blur(source, target, row, H, W, weights, radius):  # type: ignore[no-untyped-def]
    """Gaussian blur with repeated borders; weights from the middle outward. ``radius`` elements precede the row."""
    for y in range(H):
        line, out, weight = _at(source, y * W), _at(target, y * W), weights[0]
        for x in range(W):
            row[x] = weight * line[x]
        for k in range(1, radius + 1):
            above, below = _at(source, max(y - k, 0) * W), _at(source, min(y + k, H - 1) * W)
            weight = weights[k]
            for x in range(W):
                row[x] += weight * (above[x] + below[x])
        for k in range(1, radius + 1):
            row[-k] = row[0]
            row[W - 1 + k] = row[W - 1]
        weight = weights[0]
        for x in range(W):
            out[x] = weight * row[x]
        # From left to right, because LLVM's check for overlaps always fails for pointers that move backward.
        for k in range(2 * radius + 1):
            if k != radius:
                tap, weight = _at(row, k - radius), weights[abs(k - radius)]
                for x in range(W):
                    out[x] += weight * tap[x]


@_jit
def _resize(source, H, W, target, h, w, factor, row, shares, places):  # type: ignore[no-untyped-def]
    """Bilinear, pixels as areas (PyTorch's ``align_corners=False``); the values are multiplied by the factor."""
    down, across = np.float32(H) / np.float32(h), np.float32(W) / np.float32(w)
    for x in range(w):
        place = max((np.float32(x) + _HALF) * across - _HALF, _ZERO)
        places[x] = min(np.int64(place), W - 1)
        shares[x] = place - np.float32(places[x])
    for y in range(h):
        place = max((np.float32(y) + _HALF) * down - _HALF, _ZERO)
        upper = min(np.int64(place), H - 1)
        share = (place - np.float32(upper)) * factor
        rest = factor - share
        above, below, out = _at(source, upper * W), _at(source, min(upper + 1, H - 1) * W), _at(target, y * w)
        for x in range(W):
            row[x] = rest * above[x] + share * below[x]
        row[W] = row[W - 1]
        for x in range(w):
            pair = _at(row, places[x])
            out[x] = pair[0] + shares[x] * (pair[1] - pair[0])


@_jit
def _pad(source, target, H, W):  # type: ignore[no-untyped-def]
    """Repeat the borders: one row and column before, two after."""
    wide = W + 3
    for y in range(H + 3):
        line, out = _at(source, min(max(y - 1, 0), H - 1) * W), _at(target, y * wide)
        for x in range(W):
            out[x + 1] = line[x]
        out[0] = line[0]
        out[W + 1] = out[W + 2] = line[W - 1]


@_jit
def _middle(a, b, c):  # type: ignore[no-untyped-def]
    low, high = (a, b) if a < b else (b, a)
    top = high if high < c else c
    return low if low > top else top


@_jit
def _median(source, target, H, W, low, middle, high):  # type: ignore[no-untyped-def]
    """3x3 median with repeated borders, see `tvl1_solver.median3`; rows have one element before and one after them."""
    for y in range(H):
        a, b = _at(source, max(y - 1, 0) * W), _at(source, y * W)
        c, out = _at(source, min(y + 1, H - 1) * W), _at(target, y * W)
        for x in range(W):
            least = a[x] if a[x] < b[x] else b[x]
            low[x] = least if least < c[x] else c[x]
        for x in range(W):
            most = a[x] if a[x] > b[x] else b[x]
            high[x] = most if most > c[x] else c[x]
        for x in range(W):
            middle[x] = _middle(a[x], b[x], c[x])
        for line in (low, middle, high):
            line[-1] = line[0]
            line[W] = line[W - 1]
        for x in range(W):
            most = low[x - 1] if low[x - 1] > low[x] else low[x]
            most = most if most > low[x + 1] else low[x + 1]
            least = high[x - 1] if high[x - 1] < high[x] else high[x]
            least = least if least < high[x + 1] else high[x + 1]
            out[x] = _middle(most, _middle(middle[x - 1], middle[x], middle[x + 1]), least)


@_jit
def _warp(apex, u, v, target, H, W, across, down, places):  # type: ignore[no-untyped-def]
    """The padded apex at x + flow by cubic convolution, a = -1/2, see `warp.sample_cubic`."""
    wide, right, bottom = W + 3, np.float32(W - 1), np.float32(H - 1)
    for y in range(H):
        lu, lv, out, line = _at(u, y * W), _at(v, y * W), _at(target, y * W), np.float32(y)
        for x in range(W):
            place = np.float32(np.int32(x)) + lu[x]
            place = place if place > _ZERO else _ZERO
            across[x] = place if place < right else right
        for x in range(W):
            place = line + lv[x]
            place = place if place > _ZERO else _ZERO
            down[x] = place if place < bottom else bottom
        for x in range(W):
            places[x] = np.int64(np.int32(down[x])) * wide + np.int64(np.int32(across[x]))
        for x in range(W):
            across[x] -= np.float32(np.int32(across[x]))
        for x in range(W):
            down[x] -= np.float32(np.int32(down[x]))
        for x in range(W):
            first = _at(apex, places[x])
            out[x] = _cubic(first, _at(first, wide), _at(first, 2 * wide), _at(first, 3 * wide), across[x], down[x])


@_jit
def _halve(source, target, H, W):  # type: ignore[no-untyped-def]
    """Means of 2x2 px; an odd last row or column is left out."""
    quarter = np.float32(0.25)
    for y in range(H // 2):
        above, below, out = _at(source, 2 * y * W), _at(source, (2 * y + 1) * W), _at(target, y * (W // 2))
        for x in range(W // 2):
            out[x] = quarter * (above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1])


@_jit
def _cell_median(values, number):  # type: ignore[no-untyped-def]
    """The lower median: the least value that at least half of the values do not exceed."""
    low, high = values[0], values[0]
    for i in range(number):
        low = values[i] if values[i] < low else low
        high = values[i] if values[i] > high else high
    low -= _ONE
    wanted = np.float32((number + 1) // 2)
    while high - low > _NARROW:
        center = _HALF * (low + high)
        if center <= low or center >= high:
            break
        below = _ZERO
        for i in range(number):
            below += _ONE if values[i] <= center else _ZERO
        if below >= wanted:
            high = center
        else:
            low = center
    found = low
    for i in range(number):
        found = values[i] if values[i] <= high and values[i] > found else found
    return found


@_jit
def _match_light(moving, fixed, H, W, a, b, weights, lines, wide):  # type: ignore[no-untyped-def]
    """Match the illumination of the moving image to the fixed one, in place; see `tvl1_solver.match_light`."""
    h, w = H, W
    if min(H, W) >= 16 * _CELLS:
        h, w = H // 2, W // 2
        _halve(moving, a, H, W)
        _halve(fixed, b, H, W)
    else:
        a, b = moving, fixed
    gain, offset = _ONE, _ZERO
    for _ in range(_STEPS):
        total, sum_a, sum_b = 0.0, 0.0, 0.0
        for y in range(h):
            la, lb, lw = _at(a, y * w), _at(b, y * w), _at(weights, y * w)
            row_w, row_a, row_b = _ZERO, _ZERO, _ZERO
            for x in range(w):
                weight = _ONE / (abs(la[x] * gain + offset - lb[x]) + _ONE)
                lw[x] = weight
                row_w += weight
                row_a += weight * la[x]
                row_b += weight * lb[x]
            total += row_w
            sum_a += row_a
            sum_b += row_b
        mean_a, mean_b = np.float32(sum_a / total), np.float32(sum_b / total)
        spread, both = 0.0, 0.0
        for y in range(h):
            la, lb, lw = _at(a, y * w), _at(b, y * w), _at(weights, y * w)
            row_a, row_b = _ZERO, _ZERO
            for x in range(w):
                about = la[x] - mean_a
                row_a += lw[x] * about * about
                row_b += lw[x] * about * (lb[x] - mean_b)
            spread += row_a
            both += row_b
        gain = _ONE
        if spread > _FLAT:
            gain = min(max(np.float32(both / spread), _LEAST_GAIN), _MOST_GAIN)
        offset = mean_b - gain * mean_a
    # Medians of the remaining difference in each cell, and each row of cells interpolated to full width.
    ch, cw = h // _CELLS, w // _CELLS
    medians = _at(lines, _CELLS * wide)
    for i in range(_CELLS):
        for j in range(_CELLS):
            for y in range(ch):
                start = (i * ch + y) * w + j * cw
                la, lb, out = _at(a, start), _at(b, start), _at(weights, y * cw)
                for x in range(cw):
                    out[x] = la[x] * gain + offset - lb[x]
            medians[j] = _cell_median(weights, ch * cw)
        out, across = _at(lines, i * wide), np.float32(_CELLS) / np.float32(W)
        medians[_CELLS] = medians[_CELLS - 1]
        for x in range(W):
            place = max((np.float32(x) + _HALF) * across - _HALF, _ZERO)
            left = min(np.int64(place), _CELLS - 1)
            out[x] = medians[left] + (place - np.float32(left)) * (medians[left + 1] - medians[left])
    down = np.float32(_CELLS) / np.float32(H)
    for y in range(H):
        place = max((np.float32(y) + _HALF) * down - _HALF, _ZERO)
        upper = min(np.int64(place), _CELLS - 1)
        share = place - np.float32(upper)
        above, below = _at(lines, upper * wide), _at(lines, min(upper + 1, _CELLS - 1) * wide)
        out = _at(moving, y * W)
        for x in range(W):
            out[x] = out[x] * gain + offset - (above[x] + share * (below[x] - above[x]))


@_jit
def _linearize(warped, onset, u, v, data, H, W, row):  # type: ignore[no-untyped-def]
    """Four planes: gradient, 1 / |gradient|^2 and constant / |gradient|^2; see `tvl1_solver.linearize`."""
    pixels = H * W
    for y in range(H):
        start = y * W
        line, first = _at(warped, start), _at(onset, start)
        above, below = _at(warped, max(y - 1, 0) * W), _at(warped, min(y + 1, H - 1) * W)
        across, down = _at(u, start), _at(v, start)
        gx = _at(data, start)
        gy, inverse, constant = _at(gx, pixels), _at(gx, 2 * pixels), _at(gx, 3 * pixels)
        for x in range(W):
            row[x] = line[x]
        row[-1] = line[0]
        row[W] = line[W - 1]
        for x in range(W):
            gx[x] = _HALF * (row[x + 1] - row[x - 1])
        for x in range(W):
            gy[x] = _HALF * (below[x] - above[x])
        for x in range(W):
            squared = gx[x] * gx[x] + gy[x] * gy[x]
            safe = squared if squared > _FLAT else _FLAT
            inverse[x] = _ONE / safe if squared > _FLAT else _ZERO
        for x in range(W):
            constant[x] = (line[x] - first[x] - (gx[x] * across[x] + gy[x] * down[x])) * inverse[x]


@_jit
def _primal(w, step, g, qx, qy, qy_above, W):  # type: ignore[no-untyped-def]
    """The primal step of a row of one flow component; returns the squared length of its change."""
    change = _ZERO
    for x in range(W):
        moved = qx[x] - qx[x - 1] + qy[x] - qy_above[x] - step[x] * g[x]
        w[x] += moved
        change += moved * moved
    return change


@_jit
def _dual(w, below, qx, qy, W, tau, scale):  # type: ignore[no-untyped-def]
    """The dual step of a row of one flow component."""
    for x in range(W - 1):
        sx, sy = w[x + 1] - w[x], below[x] - w[x]
        length = _ONE / (_ONE + scale * np.sqrt(sx * sx + sy * sy))
        qx[x] = (qx[x] + tau * sx) * length
        qy[x] = (qy[x] + tau * sy) * length
    sy = below[W - 1] - w[W - 1]
    qy[W - 1] = (qy[W - 1] + tau * sy) / (_ONE + scale * abs(sy))


@_jit
def _iterate(u, v, dual, data, H, W, row, zeros, limit, tau, scale):  # type: ignore[no-untyped-def]
    """One primal and one dual step, in one pass: the dual step of a row follows the primal step of the next one.

    Returns the squared length of the flow's change.
    """
    pixels = H * W
    # x planes of the dual variable have one element before each row, which stays zero.
    plane_x = H * (W + 1)
    qxu, qxv = _at(dual, 1), _at(dual, plane_x + 1)
    qyu, qyv = _at(dual, 2 * plane_x), _at(dual, 2 * plane_x + pixels)
    change = 0.0
    for y in range(H + 1):
        if y < H:
            here, start = y * (W + 1), y * W
            lu, lv, gx = _at(u, start), _at(v, start), _at(data, start)
            gy, inverse, constant = _at(gx, pixels), _at(gx, 2 * pixels), _at(gx, 3 * pixels)
            for x in range(W):
                residual = constant[x] + inverse[x] * (gx[x] * lu[x] + gy[x] * lv[x])
                residual = residual if residual > -limit else -limit
                row[x] = residual if residual < limit else limit
            above_u = _at(qyu, start - W) if y > 0 else zeros
            above_v = _at(qyv, start - W) if y > 0 else zeros
            change += _primal(lu, row, gx, _at(qxu, here), _at(qyu, start), above_u, W)
            change += _primal(lv, row, gy, _at(qxv, here), _at(qyv, start), above_v, W)
        if y > 0:
            here, start, below = (y - 1) * (W + 1), (y - 1) * W, min(y, H - 1) * W
            _dual(_at(u, start), _at(u, below), _at(qxu, here), _at(qyu, start), W, tau, scale)
            _dual(_at(v, start), _at(v, below), _at(qxv, here), _at(qyv, start), W, tau, scale)
    return change


@_jit
def _clear(plane, number):  # type: ignore[no-untyped-def]
    for x in range(number):
        plane[x] = _ZERO


@cfunc(
    types.int64(_FLOATS, _FLOATS, _FLOATS, _FLOATS, _INTS, _INTS, _FLOATS, _INTS),
    **_OPTIONS,
)
def solve(onset, apex, flow, scratch, places, sizes, numbers, counts):  # type: ignore[no-untyped-def]
    """Flow of one pair, coarse to fine.

    Args:
        onset: (H, W), 0..255.
        apex: the same.
        flow: (2, H, W), filled.
        scratch: memory; `tvl1_numba` computes its length.
        sizes: H and W of each scale, from the finest.
        numbers: lambda theta, tau, tau / theta and epsilon; weights of the presmoothing and of the blur before halving.
        counts: number of scales, warps and iterations; median, illumination; radii of the two blurs. The iterations of
            each warp are written after them.

    Returns:
        0.
    """
    scales, warps, iterations, median, light = counts[0], counts[1], counts[2], counts[3], counts[4]
    smooth, zoom = counts[5], counts[6]
    limit, tau, scale, epsilon = numbers[0], numbers[1], numbers[2], numbers[3]
    smooth_weights, zoom_weights = _at(numbers, 4), _at(numbers, 5 + smooth)
    done = _at(counts, 7)
    H, W = sizes[0], sizes[1]
    pixels = H * W
    # Rows, with room for the repeated borders of the widest blur.
    margin = max(smooth, zoom, _CELLS) + 16
    wide = W + 2 * margin
    zeros, row = scratch, _at(scratch, wide + margin)
    low, middle, high = _at(row, wide), _at(row, 2 * wide), _at(row, 3 * wide)
    lines = _at(row, 4 * wide)
    u = _at(scratch, (7 + _CELLS) * wide)
    v, other_u, other_v = _at(u, pixels), _at(u, 2 * pixels), _at(u, 3 * pixels)
    data, dual = _at(u, 4 * pixels), _at(u, 8 * pixels)
    warped, a = _at(dual, 4 * pixels + 2 * H), _at(dual, 5 * pixels + 2 * H)
    b, weights = _at(a, pixels), _at(a, 2 * pixels)
    pyramid = _at(a, 3 * pixels)
    _clear(zeros, W)
    # The pyramid: each scale as onset, apex and the padded apex.
    first = pyramid
    for k in range(scales):
        h, w = sizes[2 * k], sizes[2 * k + 1]
        n = h * w
        second = _at(first, n)
        if k == 0:
            if smooth > 0:
                _blur(onset, first, row, h, w, smooth_weights, smooth)
                _blur(apex, second, row, h, w, smooth_weights, smooth)
            else:
                for x in range(n):
                    first[x] = onset[x]
                for x in range(n):
                    second[x] = apex[x]
        else:
            ph, pw = sizes[2 * k - 2], sizes[2 * k - 1]
            finer = _at(first, -(2 * ph * pw + (ph + 3) * (pw + 3)))
            for image in range(2):
                _blur(_at(finer, image * ph * pw), a, row, ph, pw, zoom_weights, zoom)
                _resize(a, ph, pw, _at(first, image * n), h, w, _ONE, row, low, places)
        _pad(second, _at(second, n), h, w)
        first = _at(second, n + (h + 3) * (w + 3))
    for step in range(scales):
        k = scales - 1 - step
        h, w = sizes[2 * k], sizes[2 * k + 1]
        n = h * w
        first = _at(first, -(2 * n + (h + 3) * (w + 3)))
        if step == 0:
            _clear(u, n)
            _clear(v, n)
        else:
            ph, pw = sizes[2 * k + 2], sizes[2 * k + 3]
            _resize(u, ph, pw, other_u, h, w, np.float32(w) / np.float32(pw), row, low, places)
            _resize(v, ph, pw, other_v, h, w, np.float32(h) / np.float32(ph), row, low, places)
            u, v, other_u, other_v = other_u, other_v, u, v
        _clear(dual, 4 * n + 2 * h)
        threshold = epsilon * epsilon * n
        for warp in range(warps):
            if median > 0:
                _median(u, other_u, h, w, low, middle, high)
                _median(v, other_v, h, w, low, middle, high)
                u, v, other_u, other_v = other_u, other_v, u, v
            _warp(_at(first, 2 * n), u, v, warped, h, w, low, high, places)
            if light > 0:
                _match_light(warped, first, h, w, a, b, weights, lines, wide)
            _linearize(warped, first, u, v, data, h, w, row)
            number = 0
            while number < iterations:
                number += 1
                if _iterate(u, v, dual, data, h, w, row, zeros, limit, tau, scale) < threshold:
                    break
            done[step * warps + warp] = number
    for x in range(pixels):
        flow[x] = u[x]
    out = _at(flow, pixels)
    for x in range(pixels):
        out[x] = v[x]
    return 0
