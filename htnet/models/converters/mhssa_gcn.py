"""Converter of the published MHSSA + GCN."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import Tensor

from htnet.core.errors import CheckpointError
from htnet.models.converters.base import (
    PUBLISHED_HEADS,
    State,
    check_keys,
    fitting_heads,
    load_into,
    need,
    register_converter,
)
from htnet.models.converters.htnet import IN_BLOCK
from htnet.models.mhssa_gcn import AT_LANDMARKS, MHSSAGCN, REGIONS, MHSSAGCNConfig

KIND = "MHSSA + GCN"
#: A key that only checkpoints of this architecture have.
MARK = "region_embeddings.weight"
_MODULES = {
    "patch_embedding": "patch_embed",
    "combine_embeddings": "combine",
    "aggregate_intra.0": "region_norm",
    "aggregate_intra.1": "region_proj",
    "mlp_head.0": "norm",
    "mlp_head.1": "head",
}


def published_names(intra_depth: int, gcn_layers: int) -> dict[str, str]:
    """Our parameter name for every published key."""
    names = {"alpha": "alpha", "AU_adj": "AU_adj", MARK: "region_embed.weight"}
    modules = {**_MODULES, **{f"gcn.layers.{i}.linear": f"gcn.{i}" for i in range(gcn_layers)}}
    for theirs, ours in modules.items():
        names |= {f"{theirs}.{kind}": f"{ours}.{kind}" for kind in ("weight", "bias")}
    in_layer = {**IN_BLOCK, "0.fn.to_qkv.weight": "attn.qkv.weight"}
    for depth in range(intra_depth):
        names |= {f"intra_transformer.layers.{depth}.{a}": f"layers.{depth}.{b}" for a, b in in_layer.items()}
    return names


@register_converter(KIND, MARK, MHSSAGCN, spec=AT_LANDMARKS, assumed_heads=PUBLISHED_HEADS)
def convert_mhssa_gcn(state: Mapping[str, Tensor], heads: int | None = None) -> MHSSAGCN:
    """Convert a published state dict into our model, in eval mode, float32.

    The model has the published spatial term and scaling.

    Args:
        state: parameters under their published names.
        heads: number of attention heads, which cannot be inferred from shapes; by default 4, as in the published code.

    Raises:
        CheckpointError: keys are missing or unexpected, or shapes do not fit.
    """
    config = _infer(state, heads)
    names = published_names(config.intra_depth, config.gcn_layers)
    check_keys(state, names, KIND)
    model = MHSSAGCN(config)
    ours: State = {}
    for theirs, name in names.items():
        value = state[theirs].float()
        # Norms are stored as (1, 1, width).
        ours[name] = value.flatten() if theirs.endswith((".g", ".b")) else value.clone()
    load_into(model, ours)
    return model


def _infer(state: Mapping[str, Tensor], heads: int | None) -> MHSSAGCNConfig:
    embed, regions, cooccurrence = (need(state, key, KIND) for key in ("patch_embedding.weight", MARK, "AU_adj"))
    inner = need(state, "intra_transformer.layers.0.1.fn.net.0.weight", KIND)
    classes = need(state, "mlp_head.1.weight", KIND)
    channels = 3
    if any(t.ndim != 2 for t in (embed, regions, inner, classes)) or cooccurrence.shape != (len(REGIONS),) * 2:
        raise CheckpointError(
            f"This checkpoint has tensors of unexpected shape: {MARK} is {tuple(regions.shape)}, AU_adj "
            f"{tuple(cooccurrence.shape)}; expected two dimensions and {len(REGIONS)} regions."
        )
    dim, values = embed.shape
    patch = math.isqrt(values // channels)
    if patch * patch * channels != values or patch % 2 == 0:
        raise CheckpointError(
            f"patch_embedding.weight reads {values} values per patch, which is not a square patch of {channels} "
            "channels around a point; only three-channel flow images can be converted."
        )
    return MHSSAGCNConfig(
        num_classes=classes.shape[0],
        patch_size=patch,
        dim=dim,
        heads=fitting_heads(heads, dim, KIND),
        region_dim=regions.shape[1],
        intra_depth=_count(state, r"intra_transformer\.layers\.(\d+)\."),
        gcn_layers=_count(state, r"gcn\.layers\.(\d+)\."),
        mlp_mult=inner.shape[0] // dim,
        spatial="reference",
        scaling="smacof",
        au_cooccurrence=tuple(map(tuple, cooccurrence.tolist())),
    )


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return 1 + max((int(found[1]) for key in state if (found := re.match(pattern, key))), default=0)
