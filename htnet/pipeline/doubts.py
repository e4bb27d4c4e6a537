"""Warnings for an answer that come from the video or the row of a manifest that it was asked for."""

from __future__ import annotations

from dataclasses import replace

from htnet.core.types import ModelInput, QualityWarning, Spotting
from htnet.preprocess.pairs import order_warnings

#: Confidence of spotting below which a prediction for a clip has a warning. The 200 clips of
#: benchmarks/results/spotting_cpu.json have 0.86 or more; clips in which only the head moves 0.06 to 0.11.
LOW_CONFIDENCE = 0.5
#: Warning for a pair whose apex was replaced by the reader; see `htnet.data.Sample`.
MIDDLE_APEX = QualityWarning(
    "middle_apex", "No usable apex is annotated: the frame midway between onset and offset was used instead."
)


def clearness(spotting: Spotting) -> tuple[QualityWarning, ...]:
    """A warning if the expression hardly exceeds the noise of its clip."""
    sure = spotting.confidence
    if sure is None or sure >= LOW_CONFIDENCE:
        return ()
    text = (
        f"The expression hardly stands out in the clip (confidence {sure:.2f}; clips that show one have "
        f"{LOW_CONFIDENCE:g} or more): onset and apex may be noise, a blink or the head. Look at the curve: "
        "htnet spot --plot."
    )
    return (QualityWarning("low_confidence", text),)


def flagged(made: ModelInput, fault: str) -> ModelInput:
    """The input with a warning from the row of a manifest, unless its files cause it already."""
    if {warning.code for warning in made.warnings} & {"same_frame", "frame_order"}:
        return made
    return replace(made, warnings=(*made.warnings, *order_warnings(fault)))
