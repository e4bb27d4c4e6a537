"""Attention within many short sequences."""

from htnet.core.deprecated import serve_old_names
from htnet.kernels.dispatch import block_attention, explain
from htnet.kernels.masks import NEIGHBORS, neighbor_mask
from htnet.kernels.reference import reference_attention
from htnet.kernels.routing import BACKENDS, AttentionCase, Choice, route

__all__ = [
    "BACKENDS",
    "NEIGHBORS",
    "AttentionCase",
    "Choice",
    "block_attention",
    "explain",
    "neighbor_mask",
    "reference_attention",
    "route",
]

serve_old_names(__name__)
