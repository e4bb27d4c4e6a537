"""Models as callers give them: the name of weights, a loaded model, or a compiled one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch

from htnet.core.errors import InputError, WeightsError
from htnet.core.optional import usable_device
from htnet.hub.weights import load_pretrained
from htnet.models import EmotionModel
from htnet.models.base import model_of, refuse_weights_without_values


@dataclass(frozen=True, eq=False)
class GivenModel:
    """A model that is ready for inference.

    Attributes:
        name: name of the weights, as the caller gave it, or of the model.
        model: the model in eval mode, for everything except scores.
        call: what computes the scores: the model, or its compiled form (`torch.compile`).
    """

    name: str
    model: EmotionModel
    call: Callable[..., Any]


def given_model(
    weights: str | PathLike[str] | EmotionModel,
    *,
    check: Callable[[EmotionModel, str], None],
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
) -> GivenModel:
    """Load weights, or use the model that is given instead, which may be compiled (`torch.compile`).

    Args:
        weights: registered weights, a weights folder, a Hub repository, or a loaded model.
        check: called with the model and its name before the device is checked; raises if the model is unsuitable.
        device: where the model runs; "auto" for a CUDA device where there is one.
        dtype: floating-point type that loaded weights compute in, or its name.
        revision: branch, tag or commit of a Hub repository.

    Raises:
        ModelError: the weights of a given model are on the device meta, without values.
        WeightsError: the weights cannot be loaded, or ``revision`` is given together with a model.
        InputError: the device cannot be used, or ``dtype`` is invalid or given together with a model.
    """
    given = model_of(weights)
    if given is not None and revision is not None:
        raise WeightsError(f"revision={revision!r} is for weights on the Hub, but a model was given. Leave it out.")
    if given is not None and dtype is not None:
        raise InputError(f"dtype={dtype} is for weights to be loaded, but a model was given. Use model.to({dtype}).")
    if given is None:
        given = load_pretrained(weights, revision=revision, dtype=dtype)  # type: ignore[arg-type]
        name = str(weights)
    else:
        name = given.name
        refuse_weights_without_values(given, "Inference")
    check(given, name)
    model = given.to(usable_device(device)).eval()
    # The compiled form computes the scores; everything else comes from the model in it.
    return GivenModel(name, model, weights if callable(weights) and weights is not given else model)
