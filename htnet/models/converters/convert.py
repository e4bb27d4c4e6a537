"""Conversion of published checkpoints, with the configuration inferred from the tensor shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from htnet.core.errors import CheckpointError, ModelError
from htnet.core.fields import optional, text, whole
from htnet.core.global_state import usual_settings
from htnet.core.paths import as_path
from htnet.core.rng import OwnRng
from htnet.models.base import EmotionModel
from htnet.models.converters.base import CONVERTERS, State, all_kinds, refusal
from htnet.models.converters.files import read_checkpoint
from htnet.models.converters.labels import stored_labels
from htnet.models.converters.states import find_state
from htnet.models.labels import checked_labels


def marks() -> dict[str, Sequence[str]]:
    """For each architecture, a parameter that identifies it and those that must accompany it behind a prefix."""
    return {converter.mark: converter.beside for converter in CONVERTERS.values()}


def convert_state(
    state: Mapping[str, Any],
    heads: int | None = None,
    key: str | None = None,
    labels: Sequence[str] | None = None,
) -> EmotionModel:
    """Convert a published state dict into one of our models.

    Args:
        state: parameters of a published model that has a converter, under their published names; also with a prefix
            (``module.``, ``_orig_mod.``, ``model.``, ...) or inside the dictionary of a training script
            (``state_dict``, ``model``, ``ema``, ...).
        heads: number of attention heads, if it cannot be inferred from shapes, as for HTNet; 4 by default for the
            dual-stream HTNet and MHSSA + GCN.
        key: path of the state dict, if there are several, such as the model and its EMA weights: "ema" or
            "state_dict.model".
        labels: class names in output order. By default those stored in the checkpoint (``classes``,
            ``class_to_idx``, ``id2label``, ...); if there are none, the model's: negative, positive, surprise.

    Returns:
        The model in eval mode, float32.

    Raises:
        CheckpointError: there is no state dict of a known architecture, or several and no ``key``; keys are missing
            or unexpected, shapes do not fit, values are NaN, or heads or labels must be given.
    """
    return _converted(state, heads, key, labels)[0]


@usual_settings(float32=True)
def _converted(
    content: Any, heads: int | None, key: str | None, labels: Sequence[str] | None
) -> tuple[EmotionModel, str]:
    """The model, and a text that states the source of its class names, and what was assumed."""
    optional(text()).check("key", key, CheckpointError)
    heads = optional(whole()).check("heads", heads, CheckpointError)
    clean = find_state(content, marks(), key)
    for converter in sorted(CONVERTERS.values(), key=lambda c: c.applies is None):
        if converter.mark in clean and (converter.applies is None or converter.applies(clean)):
            try:
                with OwnRng():
                    model = converter.convert(clean, heads)
            except ModelError as error:  # impossible settings, inferred from the shapes
                raise CheckpointError(
                    f"The shapes of this checkpoint's tensors are not those of a published {converter.kind}: {error}"
                ) from error
            model.preprocess_spec = replace(converter.spec, size=model.config.image_size)
            model.labels, told = _labels_of(model, content, labels)
            if heads is None and converter.assumed_heads is not None:
                told += f"; {converter.assumed_heads} attention heads assumed, as published"
            return model, told
    raise CheckpointError(refusal(clean, list(marks()), all_kinds()))


def _labels_of(model: EmotionModel, content: Any, labels: Sequence[str] | None) -> tuple[tuple[str, ...], str]:
    if labels is None:
        stored = stored_labels(content, model.labels)
        found = stored or model.labels
        return found, f"labels {'of the checkpoint' if stored else 'assumed'}: {', '.join(found)}"
    names = checked_labels(labels, len(model.labels), CheckpointError)
    return names, f"labels given: {', '.join(names)}"


def convert_checkpoint(
    path: str | PathLike[str],
    heads: int | None = None,
    key: str | None = None,
    labels: Sequence[str] | None = None,
) -> EmotionModel:
    """Convert a published ``.pth`` file into one of our models.

    No code named in the file is run: it is read with ``weights_only=True``, and objects other than the weights, such
    as settings, are ignored without loading their classes.

    Args:
        path: file saved with ``torch.save``, a Lightning ``.ckpt``, or a ``.safetensors`` file.
        heads: see `convert_state`.
        key: see `convert_state`.
        labels: see `convert_state`.

    Returns:
        The model in eval mode.

    Raises:
        CheckpointError: the file is missing, is not a checkpoint, or contains another architecture.
    """
    return converted_checkpoint(path, heads, key, labels)[0]


def converted_checkpoint(
    path: str | PathLike[str], heads: int | None, key: str | None, labels: Sequence[str] | None
) -> tuple[EmotionModel, str]:
    """As `convert_checkpoint`, with a text that states the source of the class names."""
    path = as_path(path, "path")
    content = read_checkpoint(path)
    try:
        return _converted(content, heads, key, labels)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {str(error).replace('PATH', repr(path.name))}") from error


def reference_state(model: EmotionModel) -> State:
    """Return a model's parameters under the published names and shapes: the inverse of `convert_state`.

    Args:
        model: an HTNet, or another model whose converter supports this. Its standardization must be the identity,
            because the published models have none.

    Returns:
        A state dict for the published implementation.

    Raises:
        CheckpointError: the published implementation cannot represent the model.
    """
    for converter in CONVERTERS.values():
        if converter.publish is not None and type(model) is converter.model_class:
            return converter.publish(model)
    known = sorted(c.model_class.__name__ for c in CONVERTERS.values() if c.publish is not None)
    raise CheckpointError(
        f"{type(model).__name__} cannot be written under published names. Models that can: {', '.join(known)}."
    )
