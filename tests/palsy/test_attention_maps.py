"""Attention maps of the models that grade faces."""

import numpy as np
import pytest
import torch

from htnet.models import attention_maps, create_model


@pytest.mark.parametrize(("name", "near"), [("htnet_palsy_tiny", True), ("htnet_enhanced_tiny", False)])
def test_attention_is_limited_as_each_layer_says(name, near, rng):
    torch.manual_seed(0)
    size = 4 * create_model(name).config.patch_size * 4
    model = create_model(name, image_size=size, block_repeats=(2, 1, 1))
    maps = attention_maps(model, rng.uniform(0, 255, (3, size, size)).astype(np.float32))
    assert [one.side for one in maps] == [16, 16, 8, 4]
    for one in maps:
        np.testing.assert_allclose(one.weights.sum(2), 1, atol=1e-5)
    # The second layer of a level has its own attention: to neighbors only, or to all of a block of 4 x 4.
    rows, columns = np.divmod(np.arange(256), 16)
    far = np.maximum(abs(rows[:, None] - rows), abs(columns[:, None] - columns)) > 1
    assert maps[0].weights[:, far].any()
    assert maps[1].weights[:, far].any() != near
