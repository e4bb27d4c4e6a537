"""Warnings about a prediction that follow from its video or its row in the manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from htnet.core.identity import trained_doubts
from htnet.core.types import ModelInput, QualityWarning, Spotting
from htnet.models import EmotionModel
from htnet.preprocess.pairs import order_warnings

#: Confidence of spotting below which a prediction for a clip gets a warning. The 200 clips of
#: benchmarks/results/spotting_cpu.json have 0.86 or more; clips in which only the head moves have 0.06 to 0.11.
LOW_CONFIDENCE = 0.5
#: Warning about a pair whose apex the reader replaced; see `htnet.data.Sample`.
MIDDLE_APEX = QualityWarning(
    "middle_apex", "No usable apex is annotated: the frame midway between onset and offset was used instead."
)


def clearness(spotting: Spotting) -> tuple[QualityWarning, ...]:
    """A warning if the expression barely exceeds the noise of its clip."""
    sure = spotting.confidence
    if sure is None or sure >= LOW_CONFIDENCE:
        return ()
    text = (
        f"The expression barely stands out in the clip (confidence {sure:.2f}; clips that show one have "
        f"{LOW_CONFIDENCE:g} or more): onset and apex may be noise, a blink or a head movement. Look at the curve: "
        "htnet spot --plot."
    )
    return (QualityWarning("low_confidence", text),)


def unlearned(model: EmotionModel) -> tuple[QualityWarning, ...]:
    """A warning if the weights have classes of which they were trained on no sample."""
    # The record of a replaced classifier says nothing about the new one.
    known = () if model.provenance is None or model.classifier_replaced else model.provenance.unlearned
    if not (missing := [name for name in model.labels if name in known]):
        return ()
    names = " or ".join(missing)
    text = (
        f"The weights were trained on no sample of {names}: they cannot recognize it, and its probability means "
        "nothing. Use other weights if it may occur."
    )
    return (QualityWarning("class_not_learned", text),)


def doubts_of_weights(model: EmotionModel, samples: Iterable[Any]) -> tuple[QualityWarning, ...]:
    """Warnings about scores of weights on samples: see `trained_doubts` and `unlearned`."""
    return (*trained_doubts(model.trained_people, model.trained_datasets, samples), *unlearned(model))


def flagged(made: ModelInput, fault: str) -> ModelInput:
    """The input with a warning about its row in the manifest, unless its files already caused the same one."""
    if {warning.code for warning in made.warnings} & {"same_frame", "frame_order"}:
        return made
    return replace(made, warnings=(*made.warnings, *order_warnings(fault)))
