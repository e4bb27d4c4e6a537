"""Converts checkpoints of the published palsy HTNet to ours and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from htnet.core.errors import CheckpointError
from htnet.models.converters.base import State, load_into, need, register_converter
from htnet.models.converters.htnet import MARK, infer_htnet, published, refuse_standardizing, translate
from htnet.models.htnet import HTNetConfig
from htnet.palsy.model import HTNetPalsy, HTNetPalsyConfig, is_micro_layer
from htnet.palsy.roi import facial_prior

KIND = "palsy HTNet"
_ROI = "roi_module."
_QUERY = ".fn.to_q.weight"
_DETECTORS = ("roi_detector", "background_suppressor")
_ASYMMETRY = {
    "asymmetry_score.0.weight": "asymmetry.fc1.weight",
    "asymmetry_score.0.bias": "asymmetry.fc1.bias",
    "asymmetry_score.2.weight": "asymmetry.fc2.weight",
    "asymmetry_score.2.bias": "asymmetry.fc2.bias",
}
_STATISTICS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def is_palsy(state: Mapping[str, Tensor]) -> bool:
    """Whether published parameters have what only the palsy HTNet has: an ROI module or micro-attention."""
    return any(key.startswith(_ROI) or key.endswith(_QUERY) for key in state)


def _micro_layers(config: HTNetConfig) -> list[tuple[str, str]]:
    """Published and own prefix of the attention of every micro-attention layer."""
    return [
        (f"layers.{level}.0.layers.{depth}.0.fn.", f"levels.{level}.layers.{depth}.attn.")
        for level, repeats in enumerate(config.block_repeats)
        for depth in range(repeats)
        if is_micro_layer(depth)
    ]


@register_converter(KIND, MARK, HTNetPalsy, applies=is_palsy, publish=lambda model: published_palsy(model))
def convert_palsy(state: Mapping[str, Tensor], heads: int | None) -> HTNetPalsy:
    """Convert a published state dict to our model, in eval mode and float32.

    Raises:
        CheckpointError: keys are missing or unexpected, shapes do not fit, or heads must be given.
    """
    base = infer_htnet(state, heads, KIND)
    settings: dict[str, Any] = {
        "use_micro_attention": any(key.endswith(_QUERY) for key in state),
        "use_roi_module": any(key.startswith(_ROI) for key in state),
    }
    rest = dict(state)
    ours: State = {}
    try:
        if settings["use_micro_attention"]:
            ours |= _take_micro_attention(rest, base)
        if settings["use_roi_module"]:
            settings["num_roi_regions"] = need(state, f"{_ROI}roi_detector.3.weight", KIND).shape[0]
            ours |= _roi_state(state)
    except RuntimeError as error:  # tensors that must be joined or added do not fit each other
        raise CheckpointError(
            f"This checkpoint has tensors of unexpected shapes: some in its micro-attention ({_QUERY[1:]}, ...) or in "
            f"its {_ROI.rstrip('.')} do not fit together."
        ) from error
    ours |= translate({key: value for key, value in rest.items() if key not in _ROI_KEYS}, base, KIND)
    del ours[f"levels.{base.num_hierarchies - 1}.pos_emb"]  # without effect, see `htnet.palsy.model.PalsyLevel`
    model = HTNetPalsy(HTNetPalsyConfig(**base.to_dict(), **settings))
    load_into(model, ours)
    return model


def _take_micro_attention(rest: State, base: HTNetConfig) -> State:
    """Asymmetry layers under our names; in ``rest``, queries, keys and values become those of a plain layer."""
    out: State = {}
    for theirs, own in _micro_layers(base):
        keys = [f"{theirs}to_{name}.weight" for name in "qkv"]
        rest[f"{theirs}to_qkv.weight"] = torch.cat([need(rest, key, KIND) for key in keys])
        for key, name in _ASYMMETRY.items():
            value = need(rest, theirs + key, KIND).float()
            out[own + name] = value.flatten(1).clone() if value.ndim > 1 else value.clone()
        for key in (*keys, *(theirs + key for key in _ASYMMETRY)):
            del rest[key]
    return out


def _roi_keys() -> frozenset[str]:
    keys = [f"{_ROI}facial_prior"]
    for part in (*_DETECTORS, "roi_refine"):
        keys += [f"{_ROI}{part}.0.weight", f"{_ROI}{part}.0.bias"]
        keys += [f"{_ROI}{part}.1.{name}" for name in _STATISTICS]
    keys += [f"{_ROI}{part}.3.{name}" for part in _DETECTORS for name in ("weight", "bias")]
    return frozenset(keys)


_ROI_KEYS = _roi_keys()


def _roi_state(state: Mapping[str, Tensor]) -> State:
    """Parameters of the ROI module under our names: both detectors joined, no bias before a batch norm."""

    def get(key: str) -> Tensor:
        value = need(state, _ROI + key, KIND, 2 if key.endswith((".0.weight", ".3.weight")) else 1)
        return value.float() if value.is_floating_point() else value

    prior = need(state, _ROI + "facial_prior", KIND)
    # In a checkpoint in half precision, the fixed prior is in half precision too.
    if not torch.allclose(prior.float().squeeze(), facial_prior().to(prior.dtype).float()):
        raise CheckpointError(
            f"{_ROI}facial_prior is not the published one, which is fixed; this checkpoint is from another model."
        )
    out: State = {}
    for name, parts in (("detect", _DETECTORS), ("refine", ("roi_refine",))):
        out[f"roi.{name}.weight"] = torch.cat([get(f"{part}.0.weight") for part in parts])
        for key in _STATISTICS[:-1]:
            out[f"roi.{name}_norm.{key}"] = torch.cat([get(f"{part}.1.{key}") for part in parts])
        # (x + bias) - mean = x - (mean - bias): the same function without the bias.
        out[f"roi.{name}_norm.running_mean"] -= torch.cat([get(f"{part}.0.bias") for part in parts])
        out[f"roi.{name}_norm.num_batches_tracked"] = get(f"{parts[0]}.1.num_batches_tracked").clone()
    for name, part in (("regions", "roi_detector"), ("face", "background_suppressor")):
        out[f"roi.{name}.weight"] = get(f"{part}.3.weight").flatten(1).clone()
        out[f"roi.{name}.bias"] = get(f"{part}.3.bias").clone()
    return out


def published_palsy(model: HTNetPalsy) -> State:
    """The parameters under the published names and shapes; positions and biases without effect are 0.

    Raises:
        CheckpointError: the model standardizes its input, or has blocks of one token, which the published
            implementation cannot have.
    """
    refuse_standardizing(model)
    config, own = model.config, model.state_dict()
    if config.use_micro_attention and config.block_side == 1:
        raise CheckpointError(
            "This model has blocks of one token, in which the published micro-attention cannot compare halves; it "
            "cannot be exported."
        )
    last = f"levels.{config.num_hierarchies - 1}.pos_emb"
    out = published({**own, last: own["patch_embed.bias"].new_zeros(config.block_side**2)}, config)
    for theirs, ours in _micro_layers(config) if config.use_micro_attention else ():
        parts = out.pop(f"{theirs}to_qkv.weight").chunk(3)
        out |= {f"{theirs}to_{name}.weight": part.clone() for name, part in zip("qkv", parts, strict=True)}
        for key, name in _ASYMMETRY.items():
            value = own[ours + name]
            out[theirs + key] = (value[:, :, None, None] if value.ndim == 2 else value).clone()
    return out | (_published_roi(own) if config.use_roi_module else {})


def _published_roi(own: Mapping[str, Tensor]) -> State:
    """The ROI module under the published names, the inverse of `_roi_state`."""
    out: State = {f"{_ROI}facial_prior": facial_prior()[None, None].to(own["roi.face.weight"])}
    for name, parts in (("detect", _DETECTORS), ("refine", ("roi_refine",))):
        for key in _STATISTICS[:-1]:
            values = own[f"roi.{name}_norm.{key}"].chunk(len(parts))
            out |= {f"{_ROI}{part}.1.{key}": value.clone() for part, value in zip(parts, values, strict=True)}
        weights = own[f"roi.{name}.weight"].chunk(len(parts))
        for part, weight in zip(parts, weights, strict=True):
            out[f"{_ROI}{part}.0.weight"] = weight.clone()
            out[f"{_ROI}{part}.0.bias"] = weight.new_zeros(len(weight))
            out[f"{_ROI}{part}.1.num_batches_tracked"] = own[f"roi.{name}_norm.num_batches_tracked"].clone()
    for name, part in (("regions", "roi_detector"), ("face", "background_suppressor")):
        out[f"{_ROI}{part}.3.weight"] = own[f"roi.{name}.weight"][:, :, None, None].clone()
        out[f"{_ROI}{part}.3.bias"] = own[f"roi.{name}.bias"].clone()
    return out
