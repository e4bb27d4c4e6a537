"""Conversion of published checkpoints; each architecture's converter registers itself."""

from htnet.models.converters import dual_stream, htnet, mhssa_gcn, ststnet
from htnet.models.converters.base import Converter, register_converter
from htnet.models.converters.convert import convert_checkpoint, convert_state, reference_state

__all__ = [
    "Converter",
    "convert_checkpoint",
    "convert_state",
    "dual_stream",
    "htnet",
    "mhssa_gcn",
    "reference_state",
    "register_converter",
    "ststnet",
]
