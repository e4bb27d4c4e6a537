"""Published checkpoints into ours, with the configuration read off the tensor shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from htnet.errors import CheckpointError
from htnet.models.base import EmotionModel
from htnet.models.htnet import HTNet, HTNetConfig
from htnet.models.ststnet import STSTNet, STSTNetConfig

State = dict[str, Tensor]

#: Where training scripts put the state inside what they save.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")

_IN_BLOCK = {
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


def _reference_names(config: HTNetConfig) -> dict[str, str]:
    """Every reference key of an HTNet and our key for it."""
    names = dict(_OUTSIDE)
    for level, repeats in enumerate(config.block_repeats):
        names[f"layers.{level}.0.pos_emb"] = f"levels.{level}.pos_emb"
        for depth in range(repeats):
            for theirs, ours in _IN_BLOCK.items():
                names[f"layers.{level}.0.layers.{depth}.{theirs}"] = f"levels.{level}.layers.{depth}.{ours}"
        if level < config.num_hierarchies - 1:
            for theirs, ours in _DOWN.items():
                names[f"layers.{level}.1.{theirs}"] = f"levels.{level}.down.{ours}"
    return names


def _need(state: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise CheckpointError(_refusal(state, [key], "HTNet"))
    return state[key]


def _refusal(state: Mapping[str, Tensor], missing: list[str], kind: str, unexpected: list[str] | None = None) -> str:
    def some(keys: list[str]) -> str:
        shown = ", ".join(keys[:12])
        return f"{len(keys)}: {shown}{', ...' if len(keys) > 12 else ''}" if keys else "none"

    extra = sorted(state) if unexpected is None else unexpected
    return (
        f"This checkpoint is not a published {kind}. Missing keys ({some(missing)}). "
        f"Unexpected keys ({some(extra)}). Convert takes checkpoints of the published HTNet and STSTNet only."
    )


def _infer_htnet(state: Mapping[str, Tensor], heads: int | None) -> HTNetConfig:
    embed = _need(state, "to_patch_embedding.1.weight")
    dim, patch_inputs = embed.shape[:2]
    channels = 3
    patch = math.isqrt(patch_inputs // channels)
    if patch * patch * channels != patch_inputs:
        raise CheckpointError(
            f"to_patch_embedding.1.weight reads {patch_inputs} values a patch, which is no square patch of "
            f"{channels} channels; only three-channel flow images can be converted."
        )
    repeats: dict[int, int] = {}
    for key in state:
        if found := re.match(r"layers\.(\d+)\.0\.layers\.(\d+)\.", key):
            level, depth = int(found[1]), int(found[2])
            repeats[level] = max(repeats.get(level, 0), depth + 1)
    hierarchies = len(repeats)
    if sorted(repeats) != list(range(hierarchies)) or not hierarchies:
        raise CheckpointError(_refusal(state, ["layers.0.0.layers.0.0.fn.to_qkv.weight"], "HTNet"))
    tokens = _need(state, "layers.0.0.pos_emb").numel()
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise CheckpointError(f"layers.0.0.pos_emb has {tokens} positions, which is no square block.")
    inner = _need(state, "layers.0.0.layers.0.0.fn.to_qkv.weight").shape[0] // 3
    fits = [h for h in range(1, dim + 1) if dim // h * h == inner]
    if heads is None:
        if len(fits) != 1:
            raise CheckpointError(
                f"The number of heads cannot be read off the tensor shapes: {_listed(fits)} all give "
                f"this inner width ({inner} for dim {dim}). Give it: htnet convert IN.pth OUT_DIR --heads N, "
                "or convert_checkpoint(path, heads=N). The published HTNet has 3."
            )
        heads = fits[0]
    elif heads not in fits:
        raise CheckpointError(
            f"heads={heads} does not fit this checkpoint: inner width {inner} for dim {dim} allows {_listed(fits)}."
        )
    return HTNetConfig(
        image_size=patch * side * 2 ** (hierarchies - 1),
        channels=channels,
        num_classes=_need(state, "mlp_head.2.weight").shape[0],
        patch_size=patch,
        dim=dim,
        heads=heads,
        num_hierarchies=hierarchies,
        block_repeats=tuple(repeats[i] for i in range(hierarchies)),
        mlp_mult=_need(state, "layers.0.0.layers.0.1.fn.net.0.weight").shape[0] // dim,
    )


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values)) if values else "no number of heads"


def _check_keys(state: Mapping[str, Tensor], expected: Mapping[str, object], kind: str) -> None:
    missing = sorted(set(expected) - set(state))
    unexpected = sorted(set(state) - set(expected))
    if missing or unexpected:
        raise CheckpointError(_refusal(state, missing, kind, unexpected))


def _load(model: EmotionModel, state: State) -> EmotionModel:
    own = model.state_dict()
    wrong = [
        f"{key} is {tuple(value.shape)}, expected {tuple(own[key].shape)}"
        for key, value in state.items()
        if value.shape != own[key].shape
    ]
    if wrong:
        raise CheckpointError("This checkpoint has tensors of unexpected shape: " + "; ".join(wrong[:8]) + ".")
    model.load_state_dict(state)
    return model.eval()


def _convert_htnet(state: Mapping[str, Tensor], heads: int | None) -> HTNet:
    config = _infer_htnet(state, heads)
    names = _reference_names(config)
    _check_keys(state, names, "HTNet")
    model = HTNet(config)
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    ours: State = {}
    for theirs, name in names.items():
        value = state[theirs].float()
        if name.endswith("attn.qkv"):
            base = name.removesuffix("qkv")
            third = value.shape[0] // 3
            value = value.flatten(1)
            ours[base + "qk.weight"], ours[base + "v.weight"] = value[: 2 * third], value[2 * third :]
            continue
        # 1x1 convolutions and channel norms become linear layers and LayerNorms.
        if name in shapes and value.numel() == shapes[name].numel() and value.ndim == 4 and "conv" not in name:
            value = value.reshape(shapes[name])
        ours[name] = value
    model = HTNet(config)
    _load(model, {key: value.clone() for key, value in ours.items()})
    return model


def _convert_ststnet(state: Mapping[str, Tensor], heads: int | None) -> STSTNet:
    if heads is not None:
        raise CheckpointError(f"heads={heads} was given, but this checkpoint is an STSTNet, which has no attention.")
    filters = tuple(_need(state, f"conv{i}.weight").shape[0] for i in (1, 2, 3))
    classes, flat = _need(state, "fc.weight").shape
    side = math.isqrt(flat // sum(filters))
    # (image + 3) // 3 // 2 == side holds for six image sizes; 6 side - 2 is the published 28 for side 5.
    config = STSTNetConfig(image_size=6 * side - 2, num_classes=classes, filters=filters)
    model = STSTNet(config)
    _check_keys(state, model.state_dict(), "STSTNet")
    _load(model, dict(state))
    return model


_KINDS: tuple[tuple[str, Callable[[Mapping[str, Tensor], int | None], EmotionModel]], ...] = (
    ("to_patch_embedding.1.weight", _convert_htnet),
    ("conv1.weight", _convert_ststnet),
)


def convert_state(state: Mapping[str, Tensor], heads: int | None = None) -> EmotionModel:
    """A published state dict into one of our models.

    Args:
        state: parameters of a published HTNet or STSTNet, under their published names.
        heads: attention heads of an HTNet, which its tensor shapes do not tell.

    Returns:
        The model in eval mode, float32.

    Raises:
        CheckpointError: keys are missing or unexpected, shapes do not fit, or heads must be given.
    """
    clean = {key.removeprefix("module."): value for key, value in state.items()}
    for mark, build in _KINDS:
        if mark in clean:
            return build(clean, heads)
    raise CheckpointError(_refusal(clean, [mark for mark, _ in _KINDS], "HTNet or STSTNet"))


def convert_checkpoint(path: str | PathLike[str], heads: int | None = None) -> EmotionModel:
    """Read a published ``.pth`` file into one of our models.

    The file is read with ``weights_only=True``: no code in it is run.

    Args:
        path: file saved with ``torch.save``: a state dict, alone or under ``state_dict`` or ``model``.
        heads: see `convert_state`.

    Returns:
        The model in eval mode.

    Raises:
        CheckpointError: the file is missing, is no checkpoint, or holds another architecture.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {path}. Give the path of a .pth file.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a broken or unsafe file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint of plain tensors ({reason}). If it holds a whole pickled "
            "model, load it where it was made and save model.state_dict() instead."
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()) or not content:
        raise CheckpointError(f"{path} holds {type(content).__name__}, not a state dict of tensors.")
    try:
        return convert_state(content, heads)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def reference_state(model: HTNet) -> State:
    """The parameters of an HTNet under the published names and shapes, the inverse of `convert_state`.

    Args:
        model: any HTNet whose standardisation is the identity (the reference has none).

    Returns:
        A state dict for the published implementation.

    Raises:
        CheckpointError: the model standardises its input.
    """
    if not model.standardize.identity:
        raise CheckpointError(
            "This model standardises its input, which the published implementation does not do; "
            "only models with mean 0 and std 1 can be exported."
        )
    own = model.state_dict()
    out: State = {}
    for theirs, name in _reference_names(model.config).items():
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
