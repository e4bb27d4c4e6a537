"""Published checkpoints into ours, with the configuration read off the tensor shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from htnet.core.errors import CheckpointError
from htnet.models.base import EmotionModel
from htnet.models.checkpoint_files import read_checkpoint
from htnet.models.checkpoint_states import find_state
from htnet.models.checkpoints import KINDS, State, check_keys, load_into, need, refusal
from htnet.models.convert_dual_stream import MARK as DUAL_STREAM_MARK
from htnet.models.convert_dual_stream import convert_dual_stream
from htnet.models.convert_htnet import MARK as HTNET_MARK
from htnet.models.convert_htnet import convert_htnet, published, refuse_standardising
from htnet.models.convert_mhssa_gcn import MARK as MHSSA_GCN_MARK
from htnet.models.convert_mhssa_gcn import convert_mhssa_gcn
from htnet.models.convert_palsy import convert_palsy, is_palsy, published_palsy
from htnet.models.htnet import HTNet
from htnet.models.palsy import HTNetPalsy
from htnet.models.ststnet import STSTNet, STSTNetConfig


def _convert_htnet_family(state: Mapping[str, Tensor], heads: int | None) -> EmotionModel:
    return convert_palsy(state, heads) if is_palsy(state) else convert_htnet(state, heads)


def _convert_ststnet(state: Mapping[str, Tensor], heads: int | None) -> STSTNet:
    if heads is not None:
        raise CheckpointError(f"heads={heads} was given, but this checkpoint is an STSTNet, which has no attention.")
    filters = tuple(need(state, f"conv{i}.weight", "STSTNet").shape[0] for i in (1, 2, 3))
    classes, flat = need(state, "fc.weight", "STSTNet").shape
    side = math.isqrt(flat // sum(filters))
    # (image + 3) // 3 // 2 == side holds for six image sizes; 6 side - 2 is the published 28 for side 5.
    config = STSTNetConfig(image_size=6 * side - 2, num_classes=classes, filters=filters)
    model = STSTNet(config)
    check_keys(state, model.state_dict(), "STSTNet")
    load_into(model, dict(state))
    return model


_KINDS: tuple[tuple[str, Callable[[Mapping[str, Tensor], int | None], EmotionModel]], ...] = (
    (HTNET_MARK, _convert_htnet_family),
    ("conv1.weight", _convert_ststnet),
    (DUAL_STREAM_MARK, convert_dual_stream),
    (MHSSA_GCN_MARK, convert_mhssa_gcn),
)


#: Marks of the architectures; behind a prefix only together with these, since other models have a conv1 too.
MARKS = {mark: ("conv2.weight", "conv3.weight", "fc.weight") if mark == "conv1.weight" else () for mark, _ in _KINDS}


def convert_state(state: Mapping[str, Any], heads: int | None = None, key: str | None = None) -> EmotionModel:
    """A published state dict into one of our models.

    Args:
        state: parameters of a published HTNet, palsy HTNet, STSTNet, dual-stream HTNet or MHSSA + GCN, under their
            published names; also behind a prefix (``module.``, ``_orig_mod.``, ``model.``, ...) or inside what a
            training script saves (``state_dict``, ``model``, ``ema``, ...).
        heads: attention heads of an HTNet or palsy HTNet, which its tensor shapes do not tell; a dual-stream HTNet
            and an MHSSA + GCN have 4 unless given.
        key: which state dict, where there are several, such as the model's and its average's: its place, "ema" or
            "state_dict.model".

    Returns:
        The model in eval mode, float32.

    Raises:
        CheckpointError: there is no state dict of a known architecture, or several and no ``key``; keys are missing
            or unexpected, shapes do not fit, values are NaN, or heads must be given.
    """
    clean = find_state(state, MARKS, key)
    for mark, build in _KINDS:
        if mark in clean:
            return build(clean, heads)
    raise CheckpointError(refusal(clean, list(MARKS), KINDS))


def convert_checkpoint(path: str | PathLike[str], heads: int | None = None, key: str | None = None) -> EmotionModel:
    """Read a published ``.pth`` file into one of our models.

    No code that a file names is run: it is read with ``weights_only=True``, and objects beside the weights, such as
    settings, are passed over without loading their classes.

    Args:
        path: file saved with ``torch.save``, a Lightning ``.ckpt``, or a ``.safetensors`` file.
        heads: see `convert_state`.
        key: see `convert_state`.

    Returns:
        The model in eval mode.

    Raises:
        CheckpointError: the file is missing, is no checkpoint, or holds another architecture.
    """
    path = Path(path)
    content = read_checkpoint(path)
    try:
        return convert_state(content, heads, key)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {str(error).replace('PATH', repr(path.name))}") from error


def reference_state(model: HTNet | HTNetPalsy) -> State:
    """The parameters of an HTNet or palsy HTNet under the published names and shapes, the inverse of `convert_state`.

    Args:
        model: one whose standardisation is the identity (the reference has none).

    Returns:
        A state dict for the published implementation.

    Raises:
        CheckpointError: the published implementation cannot hold the model.
    """
    if isinstance(model, HTNetPalsy):
        return published_palsy(model)
    refuse_standardising(model)
    return published(model.state_dict(), model.config)
