"""Block attention by PyTorch's scaled_dot_product_attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from htnet.kernels.masks import closed_rows, combined


def sdpa_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float, mask: Tensor | None = None
) -> Tensor:
    """Same as `htnet.kernels.reference.reference_attention`, computed by PyTorch.

    On the CPU, bfloat16 and float16 are computed in float32: on an AMD EPYC with bfloat16 instructions PyTorch's own
    16-bit kernels took about as long forward and 1.5 to 5 times as long backward.
    """
    dtype = q.dtype
    if q.device.type == "cpu" and dtype in (torch.bfloat16, torch.float16):
        q, k, v = q.float(), k.float(), v.float()
    term = combined(bias, mask)
    if term is None:
        return F.scaled_dot_product_attention(q, k, v, scale=scale).to(dtype)
    if term.dtype != torch.bool:
        term = term.to(q.dtype)
    # PyTorch's result for a row without keys depends on version and device: 0, or NaN in the gradients too.
    closed = closed_rows(term)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=term.masked_fill(closed, 1), scale=scale)
    return out.masked_fill(closed, 0).to(dtype)
