"""Fusion of the grading models, for `htnet.optimize`."""

from __future__ import annotations

from typing import cast

from torch import nn

from htnet.acceleration import algebra, register_fusion
from htnet.acceleration.fusion import fuse_attention, fuse_block, fuse_hierarchical, fuse_mlp
from htnet.acceleration.layers import AddBias, InDtype, Precision, plain_norm, replace
from htnet.models.layers import BlockAttention
from htnet.palsy.enhanced import DiagonalAttention, HTNetEnhanced
from htnet.palsy.micro_attention import MicroAttention, MicroBlock
from htnet.palsy.model import HTNetPalsy
from htnet.palsy.roi import RoiModule


@register_fusion(HTNetPalsy)
def fuse_palsy(net: HTNetPalsy, precision: Precision) -> nn.Module:
    """Fuse a model in place."""
    if net.roi is not None:
        _fuse_roi(net.roi, precision)
    return fuse_hierarchical(net, precision, _fuse_block, levels_follow=net.roi is None)


@register_fusion(HTNetEnhanced)
def fuse_enhanced(net: HTNetEnhanced, precision: Precision) -> nn.Module:
    """Fuse a model in place."""
    if net.roi is not None:
        # Its mask is a step function: rounding would move positions across the step.
        replace(net, "roi", InDtype(net.roi, precision.high))
    return fuse_hierarchical(net, precision, _fuse_block)


def _fuse_roi(roi: RoiModule, precision: Precision) -> None:
    """Fuse batch norms into the convolutions before them."""
    for conv, norm in (("detect", "detect_norm"), ("refine", "refine_norm")):
        fused = algebra.batch_normed(getattr(roi, conv), getattr(roi, norm))
        replace(roi, conv, precision.convolution(*fused))
        replace(roi, norm, nn.Identity())
    for name in ("regions", "face"):
        replace(roi, name, precision.product(*algebra.affine(getattr(roi, name))))
    roi.prior = roi.prior.to(precision.values)


def _fuse_block(block: nn.Module, one_token: bool, precision: Precision) -> nn.Module:
    """Fuse a plain block, or one around an attention that reports a map."""
    if not isinstance(block, MicroBlock):
        return fuse_block(block, one_token, precision)
    attn, mlp = cast(BlockAttention, block.attn), fuse_mlp(block, precision)
    _fuse_comparison(attn, block.norm1, precision)
    if one_token:
        # The gate lies between values and projection, but is one number per position: it commutes with the matrix.
        weight, bias = algebra.chained(algebra.after_norm(attn.v, block.norm1), algebra.affine(attn.proj))
        own = attn.proj.bias.detach().double()
        replace(attn, "qk", None)
        replace(attn, "v", precision.product(weight, bias - own))
        replace(attn, "proj", AddBias(own, precision.values))
    else:
        fuse_attention(attn, block.norm1, precision)
    replace(block, "mlp", mlp)
    replace(block, "norm1", plain_norm(block.norm1))
    replace(block, "norm2", plain_norm(block.norm2))
    return block


def _fuse_comparison(attn: BlockAttention, norm: nn.LayerNorm, precision: Precision) -> None:
    """Fuse the layers that compare left with right, which read the norm's output too."""
    if isinstance(attn, MicroAttention):
        if attn.asymmetry is not None:
            attn.asymmetry.stretch = attn.asymmetry.stretch.to(precision.values)
            replace(attn.asymmetry, "fc1", precision.product(*algebra.after_norm(attn.asymmetry.fc1, norm)))
            replace(attn.asymmetry, "fc2", precision.product(*algebra.affine(attn.asymmetry.fc2)))
    elif isinstance(attn, DiagonalAttention):
        attn.pairs = attn.pairs.to(precision.values)
        # The gate reads the absolute value of a difference: the norm's shift cancels, and its scale loses its sign.
        weight, bias = algebra.affine(cast(nn.Linear, attn.gate[0]))
        scaled = weight * norm.weight.detach().double().abs()
        attn.gate[0] = precision.product(scaled, bias)
        attn.gate[2] = precision.product(*algebra.affine(cast(nn.Linear, attn.gate[2])))
