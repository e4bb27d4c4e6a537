"""Attention maps of the models that have attention, and their roll-out over the layers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.types import Float64Array
from htnet.kernels.masks import NEIGHBORS, map_side, neighbor_mask
from htnet.kernels.reference import reference_attention
from htnet.models.base import EmotionModel
from htnet.models.dual_stream import DualStreamHTNet
from htnet.models.htnet import HierarchicalModel
from htnet.models.layers import BlockAttention
from htnet.models.mhssa_gcn import MHSSAGCN, RegionAttention
from htnet.models.single_input import checked_model, evaluating, one_input

_INSTEAD = "htnet.models.occlusion and htnet.models.integrated_gradients work with every model."


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """Attention of one layer for one image.

    Attributes:
        name: of the layer.
        weights: (heads, N, N) float64, attention of each position (row) to each position (column); rows sum to 1.
            Positions in different blocks or regions have 0.
        points: (N, 2) float64, the centers (x, y) of the positions in px of the network's input.
        side: positions along one side of a map, in row order (N = side * side); None if the positions are facial
            points.
    """

    name: str
    weights: Float64Array
    points: Float64Array
    side: int | None

    @property
    def received(self) -> Float64Array:
        """(N,), the share of all attention that each position receives: the mean over heads and rows; sums to 1."""
        return np.asarray(self.weights.mean(axis=(0, 1)))


@dataclass(frozen=True, eq=False)
class AttentionRollout:
    """Share of each input position in what reaches the classifier, according to attention alone.

    Attributes:
        relevance: (N,) float64, sums to 1.
        points: (N, 2) float64, centers (x, y) in px of the network's input.
        side: see `AttentionMap`.
    """

    relevance: Float64Array
    points: Float64Array
    side: int | None


def attention_maps(
    model: EmotionModel, image: Tensor | npt.ArrayLike, **inputs: Tensor | npt.ArrayLike
) -> tuple[AttentionMap, ...]:
    """Attention of every layer for one image.

    Args:
        model: a model with attention.
        image: (C, S, S) or (1, C, S, S), the input of the network, such as `ModelInput.image`.
        **inputs: further inputs of the model (`EmotionModel.extra_inputs`), for one sample.

    Returns:
        One map for each layer, in the order of the forward pass.

    Raises:
        ModelError: the model has no attention, or its attention does not depend on the image: each block has a single
            token (the published HTNet), or a term makes each patch attend only to itself (the published MHSSA-GCN).
            Also if the image is not a valid input of the model.
    """
    model = checked_model(model)
    _refuse_trivial(model)
    x, more = one_input(model, image, inputs)
    if isinstance(model, DualStreamHTNet):
        with evaluating(model), torch.no_grad():
            found = model(x, **more, return_maps=True).patch_attention[0]
        return (AttentionMap("patches", _array(found), _centers(model.config.side, x.shape[-1]), model.config.side),)
    if isinstance(model, MHSSAGCN):
        (read,) = _read(model, [model.layers], lambda: model(x, **more), RegionAttention)
        points = _array(more["points68"][0, model.indices].float())
        return tuple(
            AttentionMap(f"layer {k}", _array(_of_regions(layer, *given)), points, None)
            for k, (layer, given) in enumerate(read, 1)
        )
    maps = []
    for level, layers in enumerate(_read(model, _levels(model), lambda: model(x, **more), BlockAttention), 1):
        for k, (layer, (given, *_)) in enumerate(layers, 1):
            weights, side = _of_blocks(layer, given), given.shape[1]
            maps.append(AttentionMap(f"level {level}, layer {k}", _array(weights), _centers(side, x.shape[-1]), side))
    return tuple(maps)


def attention_rollout(
    model: EmotionModel, image: Tensor | npt.ArrayLike, **inputs: Tensor | npt.ArrayLike
) -> AttentionRollout:
    """Attention roll-out: the product over the layers of half the attention (mean of the heads) and half the identity.

    The identity represents the residual connection. The classifier reads the mean over the last positions.
    Between the levels of an HTNet each position represents the four that it replaces, with equal weights. The
    convolution and the pooling there read a little further; roll-out ignores this. It also ignores the values, the
    MLPs, and the graph of MHSSA-GCN.

    Source: Abnar and Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020 (arXiv 2005.00928), section 3.

    Args:
        model: see `attention_maps`, also for the other arguments and the errors.
        image: the input of the network.
        **inputs: further inputs of the model.
    """
    maps = attention_maps(model, image, **inputs)
    first = maps[0]
    flow = np.eye(len(first.points))
    side = first.side
    for layer in maps:
        if layer.side is not None and side is not None and layer.side != side:
            flow, side = _halved(side) @ flow, layer.side
        attention = layer.weights.mean(axis=0)
        flow = (0.5 * attention + 0.5 * np.eye(len(attention))) @ flow
    if isinstance(model, MHSSAGCN):
        rows = _array(model.pooling.float())[:, : len(first.points)]
        last = rows.mean(axis=0)
    else:
        last = np.full(len(flow), 1 / len(flow))
    return AttentionRollout(last @ flow, first.points, first.side)


def _refuse_trivial(model: EmotionModel) -> None:
    if isinstance(model, HierarchicalModel) and model.attention_is_trivial:
        c = model.config
        raise ModelError(
            f"{model.name} has one token in each block ({c.image_size} px in patches of {c.patch_size} px, "
            f"{c.num_hierarchies} hierarchies): a softmax over one key is always 1, so its attention does not depend "
            f"on the image and a map of it is meaningless. image_size={2 * c.image_size} gives four tokens per block. "
            f"{_INSTEAD}"
        )
    if isinstance(model, MHSSAGCN) and model.config.spatial == "reference":
        raise ModelError(
            f"{model.name} has the published spatial term, 1e8 between a patch and itself, so each patch attends only "
            f"to itself and a map of the attention is meaningless. Use spatial='bounded'. {_INSTEAD}"
        )
    if not isinstance(model, (HierarchicalModel, MHSSAGCN, DualStreamHTNet)):
        raise ModelError(
            f"{getattr(model, 'name', type(model).__name__)} has no attention between positions. {_INSTEAD}"
        )


def _levels(model: EmotionModel) -> Sequence[nn.Module]:
    return tuple(model.levels) if isinstance(model, HierarchicalModel) else (model,)


def _read(
    model: EmotionModel, parts: Sequence[nn.Module], call: Callable[[], Any], kind: type[nn.Module]
) -> list[list[tuple[Any, tuple[Tensor, ...]]]]:
    """For each part, the layers of a kind with their inputs, recorded in one forward pass in this thread."""
    own = threading.get_ident()
    found: list[list[tuple[Any, tuple[Tensor, ...]]]] = [[] for _ in parts]

    def keep(place: int) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, given: tuple[Any, ...]) -> None:
            if threading.get_ident() == own:
                found[place].append((module, tuple(t.detach() for t in given if isinstance(t, Tensor))))

        return hook

    hooks = [(m, keep(k)) for k, part in enumerate(parts) for m in part.modules() if isinstance(m, kind)]
    with _hooked(hooks), evaluating(model), torch.no_grad():
        call()
    return found


@contextmanager
def _hooked(hooks: Sequence[tuple[nn.Module, Any]]) -> Iterator[None]:
    handles = [module.register_forward_pre_hook(hook) for module, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _of_blocks(layer: BlockAttention, x: Tensor) -> Tensor:
    """Attention between all positions of a map (1, side, side, C): (heads, N, N), 0 between blocks."""
    split = "b (p h) (q w) (n d) -> (b p q) n (h w) d"
    q, k = (
        rearrange(part, split, p=layer.blocks, q=layer.blocks, n=layer.heads) for part in layer.qk(x).chunk(2, dim=-1)
    )
    count = q.shape[2]
    mask = neighbor_mask(map_side(count), q.device) if layer.mask == NEIGHBORS else None
    # With unit vectors as values, the output is the attention matrix itself.
    unit = torch.eye(count, dtype=q.dtype, device=q.device).expand(*q.shape[:2], count, count)
    inside = reference_attention(q, k, unit, layer.bias(q, k), layer.scale, mask)
    side = x.shape[1]
    places = rearrange(
        torch.arange(side**2).view(side, side), "(p h) (q w) -> (p q) (h w)", p=layer.blocks, q=layer.blocks
    )
    whole = inside.new_zeros(layer.heads, side**2, side**2)
    for block, place in enumerate(places):
        whole[:, place[:, None], place] = inside[block]
    return whole


@torch.no_grad()
def _of_regions(layer: RegionAttention, x: Tensor, term: Tensor) -> Tensor:
    """Attention between the patches (1, T, C): (heads, T, T)."""
    q, k, _ = rearrange(layer.qkv(x), "b t (c n d) -> c b n t d", c=3, n=layer.heads)
    unit = torch.eye(q.shape[2], dtype=q.dtype, device=q.device).expand(*q.shape[:2], -1, -1)
    return reference_attention(q, k, unit, term, q.shape[-1] ** -0.5)[0]


def _centers(side: int, size: int) -> Float64Array:
    """Centers of the cells of a map, row by row: (side * side, 2) px."""
    at = (np.arange(side) + 0.5) * size / side - 0.5
    return np.stack([np.tile(at, side), np.repeat(at, side)], axis=1)


def _halved(side: int) -> Float64Array:
    """Matrix that maps a map to one of half the side: each position is the mean of four."""
    half = side // 2
    rows = np.zeros((half, half, side, side))
    for y in range(half):
        for x in range(half):
            rows[y, x, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2] = 0.25
    return rows.reshape(half**2, side**2)


def _array(values: Tensor) -> Float64Array:
    return values.detach().double().cpu().numpy()
