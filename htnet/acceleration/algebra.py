"""Computations that are done once instead of for every image; all in float64.

Every function takes layers and returns the weights and biases to use, in float64.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: If blocks have several tokens, heads are padded with zeros to a multiple of this width.
ALIGNED = 8

Affine = tuple[Tensor, Tensor]


def affine(layer: nn.Linear | nn.Conv2d) -> Affine:
    """Weights and bias of a layer; the bias is 0 if there is none."""
    weight = layer.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().double()
    return weight, bias


def after_norm(layer: nn.Linear, norm: nn.LayerNorm) -> Affine:
    """Fold scale g and shift b of a layer norm into the linear layer that follows it: W(g n + b) + c.

    If the input consists of several outputs of the norm side by side, scale and shift are repeated for each.
    """
    weight, bias = affine(layer)
    copies = weight.shape[1] // norm.weight.numel()
    scale, shift = norm.weight.detach().double().repeat(copies), norm.bias.detach().double().repeat(copies)
    return weight * scale, bias + weight @ shift


def chained(first: Affine, second: Affine) -> Affine:
    """Two linear layers as one."""
    return second[0] @ first[0], second[1] + second[0] @ first[1]


def batch_normed(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Affine:
    """A convolution and the batch norm that follows it, in its evaluation mode, as one convolution."""
    weight, bias = affine(conv)
    factor, shift = norm_line(norm)
    return weight * factor[:, None, None, None], bias * factor + shift


def norm_line(norm: nn.BatchNorm2d) -> Affine:
    """Factor and shift of each channel of a batch norm in its evaluation mode.

    (Norms without their own scale or without kept statistics do not occur in htnet.)
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    return factor, norm.bias.detach().double() - norm.running_mean.double() * factor


def standardized(weight: Tensor, bias: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Affine:
    """Fold the standardization (x - mean) / std of the image into the convolution (without padding) that follows.

    Args:
        weight: (out, channels, ...).
        bias: (out,).
        mean: one number per channel.
        std: one number per channel.
    """
    shape = (1, -1, *(1 for _ in weight.shape[2:]))
    weight = weight / torch.tensor(std, dtype=torch.float64, device=weight.device).view(shape)
    center = torch.tensor(mean, dtype=torch.float64, device=weight.device).view(shape)
    return weight, bias - (weight * center).flatten(1).sum(1)


def pad_rows(layer: Affine, heads: int) -> Affine:
    """A layer whose outputs are split into heads, with every head padded with zeros to a multiple of `ALIGNED`."""
    weight, bias = layer
    return _pad_heads(weight, heads), _pad_heads(bias[:, None], heads)[:, 0]


def pad_columns(layer: Affine, heads: int) -> Affine:
    """A layer that reads heads padded in this way."""
    weight, bias = layer
    return _pad_heads(weight.T, heads).T.contiguous(), bias


def _pad_heads(rows: Tensor, heads: int) -> Tensor:
    """(heads x head_dim, ...) to (heads x aligned head_dim, ...)."""
    split = rows.unflatten(0, (heads, -1))
    missing = -split.shape[1] % ALIGNED
    return F.pad(split, (0, 0, 0, missing)).flatten(0, 1)
