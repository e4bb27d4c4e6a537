"""Check that weights are not scored on people that they were trained on."""

from __future__ import annotations

from htnet.core.errors import InputError
from htnet.core.identity import TrainedPeople, people_in_words
from htnet.data import Manifest
from htnet.models import EmotionModel


def refuse_trained(model: EmotionModel, manifest: Manifest) -> None:
    """Raise an error if samples show people that a model was trained on, or people with the same names.

    Args:
        model: a model, with a record of the people it was trained on if there is one.
        manifest: the samples that are to be scored.

    Raises:
        InputError: the record names people of the samples.
    """
    sure, by_name = (model.trained_people or TrainedPeople()).among(manifest)
    if sure or by_name:
        doubt = "" if sure else " (by name only; no data set is stated that could tell them apart)"
        raise InputError(
            f"The weights were trained on {people_in_words(sure or by_name)}{doubt}, and {manifest.source} tests them: "
            "the scores would say nothing about other people. Use weights that were trained without them, or test "
            "on other people. To score them anyway, for example those of the training split, or because they are "
            "different people of the same name, give allow_trained=True (--allow-trained); the result states this."
        )
