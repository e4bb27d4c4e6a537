"""Generated micro-expressions: flow images, pairs and clips whose truth is known, from no data set."""

from htnet.synthesis.config import SynthesisConfig
from htnet.synthesis.flows import FlowGenerator, SyntheticFlows, synthesize_flow
from htnet.synthesis.frames import SyntheticClip, SyntheticPair, synthesize_clip, synthesize_pairs
from htnet.synthesis.muscles import ACTION_UNITS, MUSCLES, SIDES, Bump
from htnet.synthesis.sources import SOURCES

__all__ = [
    "ACTION_UNITS",
    "MUSCLES",
    "SIDES",
    "SOURCES",
    "Bump",
    "FlowGenerator",
    "SynthesisConfig",
    "SyntheticClip",
    "SyntheticFlows",
    "SyntheticPair",
    "synthesize_clip",
    "synthesize_flow",
    "synthesize_pairs",
]
