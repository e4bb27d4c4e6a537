"""Converter of the published HTNet, in both directions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from htnet.core.errors import CheckpointError
from htnet.core.types import PreprocessSpec
from htnet.models.converters.base import State, check_keys, load_into, need, refusal, register_converter
from htnet.models.htnet import HierarchicalModel, HTNet, HTNetConfig

KIND = "HTNet"
#: A key that every checkpoint of the family has.
MARK = "to_patch_embedding.1.weight"

#: Parameters of a transformer block: published name and ours.
IN_BLOCK = {
    "0.norm.g": "norm1.weight",
    "0.norm.b": "norm1.bias",
    "0.fn.to_qkv.weight": "attn.qkv",
    "0.fn.to_out.0.weight": "attn.proj.weight",
    "0.fn.to_out.0.bias": "attn.proj.bias",
    "1.norm.g": "norm2.weight",
    "1.norm.b": "norm2.bias",
    "1.fn.net.0.weight": "mlp.fc1.weight",
    "1.fn.net.0.bias": "mlp.fc1.bias",
    "1.fn.net.3.weight": "mlp.fc2.weight",
    "1.fn.net.3.bias": "mlp.fc2.bias",
}
_OUTSIDE = {
    "to_patch_embedding.1.weight": "patch_embed.weight",
    "to_patch_embedding.1.bias": "patch_embed.bias",
    "mlp_head.0.g": "norm.weight",
    "mlp_head.0.b": "norm.bias",
    "mlp_head.2.weight": "head.weight",
    "mlp_head.2.bias": "head.bias",
}
_DOWN = {"0.weight": "conv.weight", "0.bias": "conv.bias", "1.g": "norm.weight", "1.b": "norm.bias"}


def _names(config: HTNetConfig) -> dict[str, str]:
    """Our parameter name for every published key of an HTNet."""
    names = dict(_OUTSIDE)
    for level, repeats in enumerate(config.block_repeats):
        names[f"layers.{level}.0.pos_emb"] = f"levels.{level}.pos_emb"
        for depth in range(repeats):
            for theirs, ours in IN_BLOCK.items():
                names[f"layers.{level}.0.layers.{depth}.{theirs}"] = f"levels.{level}.layers.{depth}.{ours}"
        if level < config.num_hierarchies - 1:
            for theirs, ours in _DOWN.items():
                names[f"layers.{level}.1.{theirs}"] = f"levels.{level}.down.{ours}"
    return names


def infer_htnet(state: Mapping[str, Tensor], heads: int | None, kind: str = KIND) -> HTNetConfig:
    """Infer the configuration from the tensor shapes.

    Args:
        state: parameters under their published names.
        heads: number of attention heads, which can rarely be inferred from shapes.
        kind: name of the architecture, for messages.

    Raises:
        CheckpointError: keys are missing, shapes do not fit, or heads must be given.
    """
    embed = need(state, MARK, kind, 2)
    dim, patch_inputs = embed.shape[:2]
    channels = 3
    patch = math.isqrt(patch_inputs // channels)
    if patch * patch * channels != patch_inputs:
        raise CheckpointError(
            f"{MARK} reads {patch_inputs} values per patch, which is not a square patch of "
            f"{channels} channels; only three-channel images can be converted."
        )
    repeats: dict[int, int] = {}
    for key in state:
        if found := re.match(r"layers\.(\d+)\.0\.layers\.(\d+)\.", key):
            level, depth = int(found[1]), int(found[2])
            repeats[level] = max(repeats.get(level, 0), depth + 1)
    hierarchies = len(repeats)
    if sorted(repeats) != list(range(hierarchies)) or not hierarchies:
        raise CheckpointError(refusal(state, ["layers.0.0.layers.0.0.fn.to_qkv.weight"], kind))
    tokens = need(state, "layers.0.0.pos_emb", kind).numel()
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise CheckpointError(f"layers.0.0.pos_emb has {tokens} positions, which is not a square block.")
    inner = need(state, "layers.0.0.layers.0.0.fn.to_qkv.weight", kind).shape[0] // 3
    fits = [h for h in range(1, dim + 1) if dim // h * h == inner]
    if heads is None:
        if len(fits) != 1:
            raise CheckpointError(
                f"The number of heads cannot be inferred from the tensor shapes: {_listed(fits)} all give "
                f"this inner width ({inner} for dim {dim}). Give it: htnet convert IN.pth OUT_DIR --heads N, "
                f"or convert_checkpoint(path, heads=N). The published {kind} has 3."
            )
        heads = fits[0]
    elif heads not in fits:
        raise CheckpointError(
            f"heads={heads} does not fit this checkpoint: inner width {inner} for dim {dim} allows {_listed(fits)}."
        )
    return HTNetConfig(
        image_size=patch * side * 2 ** (hierarchies - 1),
        channels=channels,
        num_classes=need(state, "mlp_head.2.weight", kind).shape[0],
        patch_size=patch,
        dim=dim,
        heads=heads,
        num_hierarchies=hierarchies,
        block_repeats=tuple(repeats[i] for i in range(hierarchies)),
        mlp_mult=need(state, "layers.0.0.layers.0.1.fn.net.0.weight", kind).shape[0] // dim,
    )


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values)) if values else "no number of heads"


def translate(state: Mapping[str, Tensor], config: HTNetConfig, kind: str = KIND) -> State:
    """Convert published names and shapes into ours.

    Raises:
        CheckpointError: keys are missing or unexpected.
    """
    names = _names(config)
    check_keys(state, names, kind)
    ours: State = {}
    for theirs, name in names.items():
        value = state[theirs].float()
        if name.endswith("attn.qkv"):
            base = name.removesuffix("qkv")
            third = need(state, theirs, kind, 2).shape[0] // 3
            value = value.flatten(1)
            ours[base + "qk.weight"], ours[base + "v.weight"] = value[: 2 * third].clone(), value[2 * third :].clone()
            continue
        # 1x1 convolutions and channel norms become linear layers and LayerNorms.
        if theirs.endswith((".g", ".b")):
            value = value.flatten()
        elif value.shape[2:] == (1, 1):
            value = value.flatten(1)
        ours[name] = value.clone()
    return ours


def published_htnet(model: HTNet) -> State:
    """Return the parameters under the published names and shapes.

    Raises:
        CheckpointError: the model standardizes its input.
    """
    refuse_standardizing(model)
    return published(model.state_dict(), model.config)


@register_converter(
    KIND, MARK, HTNet, spec=PreprocessSpec(layout="reference", region_points="landmarks"), publish=published_htnet
)
def convert_htnet(state: Mapping[str, Tensor], heads: int | None) -> HTNet:
    """Convert a published state dict into our model, in eval mode, float32.

    Raises:
        CheckpointError: keys are missing or unexpected, shapes do not fit, or heads must be given.
    """
    config = infer_htnet(state, heads)
    ours = translate(state, config)
    model = HTNet(config)
    load_into(model, ours)
    return model


def published(own: Mapping[str, Tensor], config: HTNetConfig) -> State:
    """Convert our names and shapes into the published ones: the inverse of `translate`."""
    out: State = {}
    for theirs, name in _names(config).items():
        if name.endswith("attn.qkv"):
            base = name.removesuffix("qkv")
            value = torch.cat([own[base + "qk.weight"], own[base + "v.weight"]])
        else:
            value = own[name]
        if value.ndim == 2 and theirs != "mlp_head.2.weight":
            value = value[:, :, None, None]
        elif theirs.endswith((".g", ".b")):
            value = value.view(1, -1, 1, 1)
        out[theirs] = value.clone()
    return out


def refuse_standardizing(model: HierarchicalModel) -> None:
    """Raise `CheckpointError` if the model standardizes its input; the published implementation does not."""
    if not model.standardize.identity:
        raise CheckpointError(
            "This model standardizes its input, which the published implementation does not do; "
            "only models with mean 0 and std 1 can be exported."
        )
