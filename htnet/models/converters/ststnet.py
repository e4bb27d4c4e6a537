"""Converter of the published STSTNet."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from htnet.core.errors import CheckpointError
from htnet.models.converters.base import check_keys, load_into, need, register_converter
from htnet.models.ststnet import STSTNet, STSTNetConfig

KIND = "STSTNet"


# conv1 alone does not identify it: other models have one too.
@register_converter(KIND, "conv1.weight", STSTNet, beside=("conv2.weight", "conv3.weight", "fc.weight"))
def convert_ststnet(state: Mapping[str, Tensor], heads: int | None) -> STSTNet:
    """Convert a published state dict into our model, in eval mode.

    Raises:
        CheckpointError: keys are missing or unexpected, shapes do not fit, or heads are given.
    """
    if heads is not None:
        raise CheckpointError(f"heads={heads} was given, but this checkpoint is an STSTNet, which has no attention.")
    filters = tuple(need(state, f"conv{i}.weight", KIND).shape[0] for i in (1, 2, 3))
    classes, flat = need(state, "fc.weight", KIND, 2).shape[:2]
    side = math.isqrt(flat // sum(filters))
    # (image + 3) // 3 // 2 == side holds for six image sizes; 6 side - 2 is the published 28 for side 5.
    config = STSTNetConfig(image_size=6 * side - 2, num_classes=classes, filters=filters)
    model = STSTNet(config)
    check_keys(state, model.state_dict(), KIND)
    load_into(model, dict(state))
    return model
