"""Generated micro-expressions: flow images, pairs, clips and recordings whose truth is known, from no data set."""

from htnet.synthesis.config import SynthesisConfig
from htnet.synthesis.flows import FlowGenerator, SyntheticFlows, synthesize_flow
from htnet.synthesis.frames import SyntheticClip, SyntheticPair, synthesize_clip, synthesize_pairs
from htnet.synthesis.muscles import ACTION_UNITS, MUSCLES, SIDES, Bump
from htnet.synthesis.recordings.config import LAYOUTS, RecordingConfig
from htnet.synthesis.recordings.portrait import Portrait
from htnet.synthesis.recordings.recording import (
    GeneratedRecording,
    GeneratedTrack,
    TrueEvent,
    TruthCurves,
    generate_recording,
)
from htnet.synthesis.recordings.sets import BENCHMARK_SETS, SPLITS, BenchmarkSet, Split
from htnet.synthesis.recordings.sources import RECORDING_SOURCES
from htnet.synthesis.recordings.write import (
    as_recording,
    benchmark_recordings,
    generator_hash,
    synthesize_recordings,
    write_recording,
    write_truth,
)
from htnet.synthesis.sources import SOURCES

__all__ = [
    "ACTION_UNITS",
    "BENCHMARK_SETS",
    "LAYOUTS",
    "MUSCLES",
    "RECORDING_SOURCES",
    "SIDES",
    "SOURCES",
    "SPLITS",
    "BenchmarkSet",
    "Bump",
    "FlowGenerator",
    "GeneratedRecording",
    "GeneratedTrack",
    "Portrait",
    "RecordingConfig",
    "Split",
    "SynthesisConfig",
    "SyntheticClip",
    "SyntheticFlows",
    "SyntheticPair",
    "TrueEvent",
    "TruthCurves",
    "as_recording",
    "benchmark_recordings",
    "generate_recording",
    "generator_hash",
    "synthesize_clip",
    "synthesize_flow",
    "synthesize_pairs",
    "synthesize_recordings",
    "write_recording",
    "write_truth",
]
