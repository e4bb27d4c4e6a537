"""Converter of the published dual-stream HTNet."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from htnet.core.errors import CheckpointError
from htnet.models.converters.base import PUBLISHED_HEADS, check_keys, fitting_heads, load_into, need, register_converter
from htnet.models.dual_stream import DualStreamConfig, DualStreamHTNet

KIND = "dual-stream HTNet"
#: A key that only checkpoints of this architecture have.
MARK = "appearance.proj.weight"
#: A constant added to all scores of a softmax, see `htnet.models.dual_stream.TemporalPooling`.
_WITHOUT_EFFECT = "motion.attn.fc.bias"


@register_converter(KIND, MARK, DualStreamHTNet, assumed_heads=PUBLISHED_HEADS)
def convert_dual_stream(state: Mapping[str, Tensor], heads: int | None = None) -> DualStreamHTNet:
    """Convert a published state dict into our model, in eval mode, float32.

    Args:
        state: parameters under their published names.
        heads: number of attention heads, which cannot be inferred from shapes; by default 4, as in the published code.

    Raises:
        CheckpointError: keys are missing or unexpected, or shapes do not fit.
    """
    kept = {key: value.float() for key, value in state.items() if key != _WITHOUT_EFFECT}
    config = _infer(kept, heads)
    model = DualStreamHTNet(config)
    check_keys(kept, model.state_dict(), KIND)
    load_into(model, kept)
    return model


def _infer(state: Mapping[str, Tensor], heads: int | None) -> DualStreamConfig:
    embed, positions = need(state, MARK, KIND), need(state, "appearance.pos_embed", KIND)
    hidden, classes = need(state, "fc.0.weight", KIND), need(state, "fc.2.weight", KIND)
    lstm = need(state, "motion.lstm.weight_ih_l0", KIND)
    if embed.ndim != 4 or embed.shape[2] != embed.shape[3] or min(hidden.ndim, classes.ndim, lstm.ndim) != 2:
        raise CheckpointError(
            f"This checkpoint has tensors of unexpected shape: {MARK} is {tuple(embed.shape)}, expected "
            f"(width, channels, patch, patch); fc.0.weight {tuple(hidden.shape)}, fc.2.weight {tuple(classes.shape)} "
            f"and motion.lstm.weight_ih_l0 {tuple(lstm.shape)}, expected two dimensions."
        )
    dim, channels, patch = embed.shape[:3]
    tokens = positions.shape[1] if positions.ndim == 3 else 0
    side = math.isqrt(tokens)
    if not tokens or side * side != tokens:
        raise CheckpointError(f"appearance.pos_embed is {tuple(positions.shape)}, which is not a square of patches.")
    return DualStreamConfig(
        image_size=side * patch,
        channels=channels,
        num_classes=classes.shape[0],
        # The published model does not standardize, so neither does this one.
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        patch_size=patch,
        dim=dim,
        heads=fitting_heads(heads, dim, KIND),
        motion_features=lstm.shape[1],
        motion_dim=lstm.shape[0] // 4,  # an LSTM's four gates
        hidden=hidden.shape[0],
    )
