"""One sample for a model, as arrays or tensors, and a forward pass that leaves the model as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from htnet.core.arrays import plain_array
from htnet.core.errors import ModelError, refuse_type, refuse_unknown
from htnet.models.base import EmotionModel, model_of
from htnet.models.input_range import require_tensor


def one_input(
    model: EmotionModel, image: Tensor | npt.ArrayLike, inputs: Mapping[str, Tensor | npt.ArrayLike]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The image of one sample as a batch of the type that the model computes in, and its other inputs.

    Raises:
        ModelError: the image has another shape, there are several, or the model does not read one of the inputs.
    """
    checked_model(model)
    refuse_unknown(inputs, model.extra_inputs, f"input of {model.name}", ModelError)
    x = _batch(model, "image", image)
    if x.ndim == 3:
        x = x[None]
    if x.ndim != 4 or x.shape[0] != 1:
        raise ModelError(f"image has shape {tuple(x.shape)}; give one image, (C, S, S) or (1, C, S, S).")
    more = {}
    for name, values in inputs.items():
        own = _batch(model, name, values)
        more[name] = own if own.ndim == 3 else own[None]
        if more[name].shape[0] != 1:
            raise ModelError(f"{name} has shape {tuple(own.shape)}; give the values of one sample.")
    return model.check_image(x), more


def checked_model(model: object) -> EmotionModel:
    """Return a model of htnet, unwrapped if `torch.compile` has wrapped it.

    Raises:
        ModelError: it is something else. A `htnet.Predictor`, for example, only contains a model.
    """
    found = model_of(model) or model
    own = model_of(getattr(model, "model", None))
    cure = "one of htnet.load_pretrained or create_model" if own is None else "its attribute model"
    refuse_type("model", found, EmotionModel, cure, ModelError)
    return cast("EmotionModel", found)


@contextmanager
def evaluating(model: EmotionModel) -> Iterator[None]:
    """Context in which the model is in eval mode."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _batch(model: EmotionModel, name: str, values: Tensor | npt.ArrayLike) -> Tensor:
    given = values
    if not isinstance(given, Tensor):
        found = plain_array(given, f"{name} has", ModelError)
        if found.dtype.kind not in "iuf":
            kind = type(values).__name__ if found.dtype.kind in "OU" else found.dtype
            raise ModelError(f"{model.name} got {name} as {kind}; give a tensor or an array of real numbers.")
        given = torch.from_numpy(found.astype(np.float64 if found.dtype.itemsize > 4 else found.dtype))
    require_tensor(model.name, name, given, None)
    if given.is_meta:
        raise ModelError(f"{model.name} got {name} on the device meta, without values; give a tensor with values.")
    return given.detach().to(device=next(model.parameters()).device, dtype=model.input_dtype)
