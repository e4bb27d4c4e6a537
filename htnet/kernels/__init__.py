"""Attention inside many short sequences."""

from htnet.kernels.dispatch import BACKENDS, block_attention, choose_backend
from htnet.kernels.reference import reference_attention

__all__ = ["BACKENDS", "block_attention", "choose_backend", "reference_attention"]
