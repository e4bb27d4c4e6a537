"""The model that a caller gives: loaded, compiled, or named."""

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
from htnet.models.base import model_of


@dataclass(frozen=True, eq=False)
class GivenModel:
    """A model to ask.

    Attributes:
        name: of the weights, as the caller gave it, or of the model.
        model: in eval mode; what is asked for everything but scores.
        call: the model, or what `torch.compile` made of it.
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
    """Load weights, or take the model that stands in their place, also one that was given to `torch.compile`.

    Args:
        weights: registered weights, a weights folder, a Hub repository, or a loaded model.
        check: called with the model and its name before the device is looked at; raises if it is no model to ask.
        device: where it runs; "auto" for a CUDA device where there is one.
        dtype: floating-point type that loaded weights compute in, or its name.
        revision: branch, tag or commit of a Hub repository.

    Raises:
        WeightsError: the weights cannot be loaded, or ``revision`` is given beside a model.
        InputError: the device cannot be used, or ``dtype`` is impossible or given beside a model.
    """
    given = model_of(weights)
    if given is not None and revision is not None:
        raise WeightsError(f"revision={revision!r} is for weights of the Hub, and a model was given. Leave it out.")
    if given is not None and dtype is not None:
        raise InputError(f"dtype={dtype} is for weights that are loaded, and a model was given: model.to({dtype}).")
    if given is None:
        given = load_pretrained(weights, revision=revision, dtype=dtype)  # type: ignore[arg-type]
        name = str(weights)
    else:
        name = given.name
    check(given, name)
    model = given.to(usable_device(device)).eval()
    # What was compiled is called; all else is asked of the model in it.
    return GivenModel(name, model, weights if callable(weights) and weights is not given else model)
