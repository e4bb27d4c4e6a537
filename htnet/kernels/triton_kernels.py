"""The Triton kernels of block attention; `htnet.kernels.triton_attention` launches them.

All kernels work on tiles of rows. A row is one token of one sequence, a sequence being one (block, head) pair. Rows are
numbered across the sequences of a group: row r is token r % tokens of sequence r // tokens. A tile of 64 rows thus
contains 16 sequences of 4 tokens, or 7 of 9, or one of 49, and needs no padding in memory: missing rows of the tile
are masked. Scores between different sequences are computed too (these kernels are limited by memory, not by the tensor
cores) and discarded.

The width of a head is processed in steps, so no tile is as wide as a head: registers hold the scores and one
step of queries and keys, whatever the width, and a width of 85 is padded to 96, not to 128. All keys of a row are in
its tile, so the softmax is computed at once. The backward pass recomputes it from queries and keys: nothing is stored
for it.

Scores are in units of log2, because the hardware computes exp2. Sums are in float32. A row that may attend to
nothing has weights and gradients of 0.
"""

from __future__ import annotations

import os

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
#: Whether Triton's interpreter runs the kernels. It treats the bits of bfloat16 as integers in products, so they are
#: cast to float32 first.
INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def _dot(a, b, precision: tl.constexpr):  # type: ignore[no-untyped-def]
    if INTERPRETED:
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, input_precision=precision)


@triton.jit
def _rows(start, left, tokens: tl.constexpr, group: tl.constexpr, size: tl.constexpr):  # type: ignore[no-untyped-def]
    """For ``size`` rows from ``start`` on: sequence in the group, token, and whether it exists (``left`` sequences)."""
    row = start + tl.arange(0, size)
    own = row // tokens
    return own, row % tokens, (row < group * tokens) & (own < left)


@triton.jit
def _first(heads, tokens: tl.constexpr, group: tl.constexpr, rows: tl.constexpr):  # type: ignore[no-untyped-def]
    """First sequence of this program's group, its block and head, and this program's first row in the group.

    Programs of one group are neighbors, so that what they share is still in the cache.
    """
    tiles: tl.constexpr = (group * tokens + rows - 1) // rows
    program = tl.program_id(0)
    first = (program // tiles).to(tl.int64) * group
    return first, first // heads, (first % heads).to(tl.int32), program % tiles * rows


@triton.jit
def _offsets(own, token, lead, heads, block, head, row):  # type: ignore[no-untyped-def]
    """Offsets of rows from the block of the group's first sequence, which is head ``lead`` of that block."""
    return (lead + own) // heads * block + (lead + own) % heads * head + token * row


@triton.jit
def _part(tensor, offsets, here, step, dim: tl.constexpr, chunk: tl.constexpr):  # type: ignore[no-untyped-def]
    """Pointers to columns ``step`` to ``step + chunk`` of some rows, and which of them exist."""
    column = step + tl.arange(0, chunk)
    return tensor + (offsets[:, None] + column[None, :]), here[:, None] & (column < dim)[None, :]


@triton.jit
def _load(tensor, offsets, here, step, dim: tl.constexpr, chunk: tl.constexpr):  # type: ignore[no-untyped-def]
    at, inside = _part(tensor, offsets, here, step, dim, chunk)
    return tl.load(at, inside, 0.0)


@triton.jit
def _store(tensor, offsets, here, step, tile, dim: tl.constexpr, chunk: tl.constexpr):  # type: ignore[no-untyped-def]
    at, inside = _part(tensor, offsets, here, step, dim, chunk)
    tl.store(at, tile.to(tensor.dtype.element_ty), inside)


@triton.jit
def _begin(  # type: ignore[no-untyped-def]
    q, k, v, grad, block, lead, heads, q_own, q_token, k_own, k_token,
    q_block, q_head, q_row, k_block, k_head, k_row, v_block, v_head, v_row, grad_block, grad_head, grad_row,
):  # fmt: skip
    """For queries, keys, values and gradient: pointer to the group's first block, and offsets of the rows."""
    q_rows = _offsets(q_own, q_token, lead, heads, q_block, q_head, q_row)
    k_rows = _offsets(k_own, k_token, lead, heads, k_block, k_head, k_row)
    v_rows = _offsets(k_own, k_token, lead, heads, v_block, v_head, v_row)
    grad_rows = _offsets(q_own, q_token, lead, heads, grad_block, grad_head, grad_row)
    q, k, v, grad = q + block * q_block, k + block * k_block, v + block * v_block, grad + block * grad_block
    return q, k, v, grad, q_rows, k_rows, v_rows, grad_rows


@triton.jit
def _two_products(  # type: ignore[no-untyped-def]
    a, a_rows, b, b_rows, c, c_rows, d, d_rows, left, right,
    dim: tl.constexpr, chunk: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """``a @ b.T`` and ``c @ d.T``; ``left`` is the mask of the rows of a and c, ``right`` that of b and d."""
    ab = tl.zeros([left.shape[0], right.shape[0]], tl.float32)
    cd = tl.zeros([left.shape[0], right.shape[0]], tl.float32)
    for step in range(0, dim, chunk):
        a_part, b_part = _load(a, a_rows, left, step, dim, chunk), _load(b, b_rows, right, step, dim, chunk)
        ab += _dot(a_part, tl.trans(b_part), precision)
        c_part, d_part = _load(c, c_rows, left, step, dim, chunk), _load(d, d_rows, right, step, dim, chunk)
        cd += _dot(c_part, tl.trans(d_part), precision)
    return ab, cd


@triton.jit
def _readable(same, q_token, k_token, side: tl.constexpr):  # type: ignore[no-untyped-def]
    """Mask of the keys a row may read: its sequence or, on a map ``side`` wide, its 3x3 neighborhood in it."""
    if side > 0:
        down = q_token[:, None] // side - k_token[None, :] // side
        across = q_token[:, None] % side - k_token[None, :] % side
        same = same & (down >= -1) & (down <= 1) & (across >= -1) & (across <= 1)
    return same


@triton.jit
def _finish(s, scale, bias, bias_rows, k_token, bias_column, readable, has_bias: tl.constexpr):  # type: ignore[no-untyped-def]
    """Turn products of queries and keys into scores: scaled, bias added, -inf at pairs that are masked."""
    s = s * (scale * LOG2E)
    if has_bias:
        at = bias_rows[:, None] + (k_token * bias_column)[None, :]
        s += tl.load(bias + at, readable, 0.0).to(tl.float32) * LOG2E
    return tl.where(readable, s, float("-inf"))


@triton.jit
def _product(weights, tile, same, group: tl.constexpr, precision: tl.constexpr):  # type: ignore[no-untyped-def]
    """``weights @ tile``, where weights between different sequences are 0."""
    weights = weights.to(tile.dtype)
    if group == 1:
        return _dot(weights, tile, precision)
    # 0 x NaN is NaN: non-finite values of one sequence must not affect those that share its tile.
    finite = tl.abs(tile.to(tl.float32)) < float("inf")
    read = _dot(weights, tl.where(finite, tile, 0.0).to(tile.dtype), precision)
    spoilt = tl.dot(same.to(tl.float16), 1 - finite.to(tl.float16))
    return tl.where(spoilt > 0, float("nan"), read)


@triton.jit
def _softmax(s):  # type: ignore[no-untyped-def]
    """Weights of each row, and log2 of the sum of exp2 of its scores; 0 and 0 if all scores are -inf."""
    best = tl.max(s, 1)
    best = tl.where(best == float("-inf"), 0.0, best)
    p = tl.exp2(s - best[:, None])
    total = tl.sum(p, 1)
    total = tl.where(total == 0, 1.0, total)
    return p / total[:, None], best + tl.log2(total)


@triton.jit
def forward_kernel(  # type: ignore[no-untyped-def]
    q, k, v, bias, out, scale, pairs, heads,
    q_block, q_head, q_row, k_block, k_head, k_row, v_block, v_head, v_row,
    bias_block, bias_head, bias_row, bias_column,
    tokens: tl.constexpr, dim: tl.constexpr, chunk: tl.constexpr,
    group: tl.constexpr, rows: tl.constexpr, keys: tl.constexpr,
    has_bias: tl.constexpr, side: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Compute the output of ``rows`` rows."""
    first, block, lead, start = _first(heads, tokens, group, rows)
    q_own, q_token, q_here = _rows(start, pairs - first, tokens, group, rows)
    k_own, k_token, k_here = _rows(0, pairs - first, tokens, group, keys)
    same = (q_own[:, None] == k_own[None, :]) & q_here[:, None] & k_here[None, :]
    q_rows = _offsets(q_own, q_token, lead, heads, q_block, q_head, q_row)
    k_rows = _offsets(k_own, k_token, lead, heads, k_block, k_head, k_row)
    s = tl.zeros([rows, keys], tl.float32)
    for step in range(0, dim, chunk):
        q_part = _load(q + block * q_block, q_rows, q_here, step, dim, chunk)
        k_part = _load(k + block * k_block, k_rows, k_here, step, dim, chunk)
        s += _dot(q_part, tl.trans(k_part), precision)
    readable = _readable(same, q_token, k_token, side)
    bias_rows = _offsets(q_own, q_token, lead, heads, bias_block, bias_head, bias_row)
    s = _finish(s, scale, bias + block * bias_block, bias_rows, k_token, bias_column, readable, has_bias)
    p, _ = _softmax(s)
    v_rows = _offsets(k_own, k_token, lead, heads, v_block, v_head, v_row)
    out_rows = (q_own * tokens + q_token) * dim
    for step in range(0, dim, chunk):
        v_part = _load(v + block * v_block, v_rows, k_here, step, dim, chunk)
        read = _product(p, v_part, same, group, precision)
        _store(out + first * tokens * dim, out_rows, q_here, step, read, dim, chunk)


@triton.jit
def backward_kernel(  # type: ignore[no-untyped-def]
    q, k, v, bias, grad, grad_q, grad_k, grad_v, grad_bias, scale, pairs, heads,
    q_block, q_head, q_row, k_block, k_head, k_row, v_block, v_head, v_row, grad_block, grad_head, grad_row,
    bias_block, bias_head, bias_row, bias_column,
    tokens: tl.constexpr, dim: tl.constexpr, chunk: tl.constexpr, group: tl.constexpr, rows: tl.constexpr,
    has_bias: tl.constexpr, bias_grad: tl.constexpr, side: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Compute all gradients of whole sequences."""
    first, block, lead, _ = _first(heads, tokens, group, rows)
    own, token, here = _rows(0, pairs - first, tokens, group, rows)
    same = (own[:, None] == own[None, :]) & here[:, None] & here[None, :]
    q, k, v, grad, q_rows, k_rows, v_rows, grad_rows = _begin(
        q, k, v, grad, block, lead, heads, own, token, own, token,
        q_block, q_head, q_row, k_block, k_head, k_row, v_block, v_head, v_row, grad_block, grad_head, grad_row,
    )  # fmt: skip
    s, change = _two_products(
        q, q_rows, k, k_rows, grad, grad_rows, v, v_rows, here, here, dim, chunk, precision
    )  # fmt: skip
    readable = _readable(same, token, token, side)
    bias_rows = _offsets(own, token, lead, heads, bias_block, bias_head, bias_row)
    s = _finish(s, scale, bias + block * bias_block, bias_rows, token, bias_column, readable, has_bias)
    p, _ = _softmax(s)
    # The rows of a sequence that overflowed are NaN, also in the columns of other sequences, where they must be 0.
    p = tl.where(readable, p, 0.0)
    change = tl.where(readable, change, 0.0)
    change = tl.where(readable, p * (change - tl.sum(p * change, 1)[:, None]), 0.0)
    own_rows = own * tokens + token
    if bias_grad:
        at = grad_bias + first * tokens * tokens + own_rows[:, None] * tokens + token[None, :]
        tl.store(at, change.to(grad_bias.dtype.element_ty), same)
    begin = first * tokens * dim
    for step in range(0, dim, chunk):
        g_part = _load(grad, grad_rows, here, step, dim, chunk)
        value = _product(tl.trans(p), g_part, same, group, precision)
        _store(grad_v + begin, own_rows * dim, here, step, value, dim, chunk)
        k_part = _load(k, k_rows, here, step, dim, chunk)
        query = _product(change, k_part, same, group, precision) * scale
        _store(grad_q + begin, own_rows * dim, here, step, query, dim, chunk)
        q_part = _load(q, q_rows, here, step, dim, chunk)
        key = _product(tl.trans(change), q_part, same, group, precision) * scale
        _store(grad_k + begin, own_rows * dim, here, step, key, dim, chunk)


@triton.jit
def backward_queries_kernel(  # type: ignore[no-untyped-def]
    q, k, v, bias, grad, grad_q, grad_bias, sums, products, scale, pairs, heads,
    q_block, q_head, q_row, k_block, k_head, k_row, v_block, v_head, v_row, grad_block, grad_head, grad_row,
    bias_block, bias_head, bias_row, bias_column,
    tokens: tl.constexpr, dim: tl.constexpr, chunk: tl.constexpr, rows: tl.constexpr, keys: tl.constexpr,
    has_bias: tl.constexpr, bias_grad: tl.constexpr, side: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Compute gradients of queries and bias for ``rows`` rows of a long sequence, and two numbers per row for the keys.

    The numbers are read by `backward_keys_kernel`.
    """
    first, block, lead, start = _first(heads, tokens, 1, rows)
    q_own, q_token, q_here = _rows(start, 1, tokens, 1, rows)
    k_own, k_token, k_here = _rows(0, 1, tokens, 1, keys)
    same = q_here[:, None] & k_here[None, :]
    q, k, v, grad, q_rows, k_rows, v_rows, grad_rows = _begin(
        q, k, v, grad, block, lead, heads, q_own, q_token, k_own, k_token,
        q_block, q_head, q_row, k_block, k_head, k_row, v_block, v_head, v_row, grad_block, grad_head, grad_row,
    )  # fmt: skip
    s, change = _two_products(
        q, q_rows, k, k_rows, grad, grad_rows, v, v_rows, q_here, k_here, dim, chunk, precision
    )  # fmt: skip
    readable = _readable(same, q_token, k_token, side)
    bias_rows = _offsets(q_own, q_token, lead, heads, bias_block, bias_head, bias_row)
    s = _finish(s, scale, bias + block * bias_block, bias_rows, k_token, bias_column, readable, has_bias)
    p, sum_ = _softmax(s)
    product = tl.sum(p * change, 1)
    tl.store(sums + first * tokens + q_token, sum_, q_here)
    tl.store(products + first * tokens + q_token, product, q_here)
    change = p * (change - product[:, None])
    if bias_grad:
        at = grad_bias + first * tokens * tokens + q_token[:, None] * tokens + k_token[None, :]
        tl.store(at, change.to(grad_bias.dtype.element_ty), same)
    for step in range(0, dim, chunk):
        k_part = _load(k, k_rows, k_here, step, dim, chunk)
        query = _product(change, k_part, same, 1, precision) * scale
        _store(grad_q + first * tokens * dim, q_token * dim, q_here, step, query, dim, chunk)


@triton.jit
def backward_keys_kernel(  # type: ignore[no-untyped-def]
    q, k, v, bias, grad, grad_k, grad_v, sums, products, scale, pairs, heads,
    q_block, q_head, q_row, k_block, k_head, k_row, v_block, v_head, v_row, grad_block, grad_head, grad_row,
    bias_block, bias_head, bias_row, bias_column,
    tokens: tl.constexpr, dim: tl.constexpr, chunk: tl.constexpr, rows: tl.constexpr, keys: tl.constexpr,
    has_bias: tl.constexpr, side: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Compute gradients of ``rows`` keys and values of a long sequence from all its ``keys`` queries.

    All tiles are transposed: rows are keys, columns are queries.
    """
    first, block, lead, start = _first(heads, tokens, 1, rows)
    k_own, k_token, k_here = _rows(start, 1, tokens, 1, rows)
    q_own, q_token, q_here = _rows(0, 1, tokens, 1, keys)
    same = k_here[:, None] & q_here[None, :]
    q, k, v, grad, q_rows, k_rows, v_rows, grad_rows = _begin(
        q, k, v, grad, block, lead, heads, q_own, q_token, k_own, k_token,
        q_block, q_head, q_row, k_block, k_head, k_row, v_block, v_head, v_row, grad_block, grad_head, grad_row,
    )  # fmt: skip
    s, change = _two_products(
        k, k_rows, q, q_rows, v, v_rows, grad, grad_rows, k_here, q_here, dim, chunk, precision
    )  # fmt: skip
    readable = _readable(same, k_token, q_token, side)
    bias_rows = _offsets(k_own, k_token, lead, heads, bias_block, bias_head, bias_column)
    s = _finish(s, scale, bias + block * bias_block, bias_rows, q_token, bias_row, readable, has_bias)
    sum_ = tl.load(sums + first * tokens + q_token, q_here, 0.0)
    product = tl.load(products + first * tokens + q_token, q_here, 0.0)
    p = tl.exp2(s - sum_[None, :])
    change = p * (change - product[None, :])
    for step in range(0, dim, chunk):
        g_part = _load(grad, grad_rows, q_here, step, dim, chunk)
        value = _product(p, g_part, same, 1, precision)
        _store(grad_v + first * tokens * dim, k_token * dim, k_here, step, value, dim, chunk)
        q_part = _load(q, q_rows, q_here, step, dim, chunk)
        key = _product(change, q_part, same, 1, precision) * scale
        _store(grad_k + first * tokens * dim, k_token * dim, k_here, step, key, dim, chunk)
