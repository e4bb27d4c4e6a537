"""Attention inside many short sequences."""

from htnet.kernels.dispatch import block_attention, explain
from htnet.kernels.masks import NEIGHBOURS, neighbour_mask
from htnet.kernels.reference import reference_attention
from htnet.kernels.routing import BACKENDS, AttentionCase, Choice, route

__all__ = [
    "BACKENDS",
    "NEIGHBOURS",
    "AttentionCase",
    "Choice",
    "block_attention",
    "explain",
    "neighbour_mask",
    "reference_attention",
    "route",
]
