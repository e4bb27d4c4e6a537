import dataclasses
import math

import pytest
import torch

from htnet.core.errors import ModelError
from htnet.models import FlowMLP, FlowMLPConfig, create_model


def fresh(**settings):
    return create_model("flow_mlp", **settings).double().eval()


def images(count=6, size=28, channels=3):
    return torch.randint(0, 256, (count, channels, size, size)).double()


def mirrored(x):
    out = x.flip(-1)
    out[:, 2] = 255 - out[:, 2]
    return out


def by_hand(model, x):
    """The description, one image and one number after the other."""
    scores = []
    for image in x:
        hidden = []
        for face in (image, mirrored(image[None])[0]):
            cells = []
            for channel in face:
                mean = channel.sum() / channel.numel()
                variance = ((channel - mean) ** 2).sum() / channel.numel()
                z = (channel - mean) / math.sqrt(variance + 1.0)
                cells += [z[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].sum() / 16 for i in range(7) for j in range(7)]
            a = model.hidden.weight @ torch.stack(cells) + model.hidden.bias
            hidden.append(a * 0.5 * (1 + torch.erf(a / math.sqrt(2))))
        scores.append(model.head.weight @ ((hidden[0] + hidden[1]) / 2) + model.head.bias)
    return torch.stack(scores)


def test_equals_the_description():
    model, x = fresh(), images()
    torch.testing.assert_close(model(x), by_hand(model, x), rtol=1e-9, atol=1e-9)


def test_mirror_images_score_alike_and_their_units_change_sides():
    model, x = fresh(action_units=(1, 4, 12)), images()
    scores, units = model(x, return_units=True)
    there, swapped = model(mirrored(x), return_units=True)
    torch.testing.assert_close(there, scores)
    torch.testing.assert_close(swapped, units.flip(-1))
    assert (units - swapped).abs().max() > 1e-3
    assert (scores - model(x.flip(-1))).abs().max() > 1e-4  # a mirror that forgets the sign of u


def test_scale_and_level_of_a_channel_do_not_matter():
    model, x = fresh(), images()
    moved = x * torch.rand(6, 3, 1, 1).double().add(0.5) + 40 * torch.rand(6, 3, 1, 1).double()
    torch.testing.assert_close(model(moved), model(x), rtol=1e-3, atol=1e-3)  # up to the floor of the variance


def test_a_channel_without_structure_counts_nothing():
    model, x = fresh(), images()
    x[:, 1] = 80.0
    assert torch.isfinite(model(x)).all()
    other = x.clone()
    other[:, 1] = 3.0
    torch.testing.assert_close(model(other), model(x))


def test_statistics_of_the_set_cancel():
    model, x = fresh(), images()
    told = fresh(mean=(10.0, 20.0, 30.0), std=(3.0, 4.0, 5.0))
    told.load_state_dict(model.state_dict())
    torch.testing.assert_close(told(x), model(x))


def test_other_sizes_and_grids():
    assert fresh(image_size=56)(images(2, 56)).shape == (2, 3)
    assert fresh(grid=14, num_classes=5)(images(2)).shape == (2, 5)
    assert fresh(hidden=8).hidden.weight.shape == (8, 147)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"grid": 8}, "image_size 28 is not a multiple of grid 8"),
        ({"grid": 0}, "grid is 0"),
        ({"hidden": 2.5}, "hidden is 2.5"),
        ({"u_channel": 3}, "is 3; the image has 3"),
        ({"u_channel": True}, "is True; the image has 3"),
        ({"action_units": (1, 1)}, "each once"),
        ({"action_units": (0,)}, "action_units is \\(0,\\)"),
    ],
)
def test_bad_settings(settings, says):
    with pytest.raises(ModelError, match=says):
        FlowMLPConfig(**settings)


def test_units_need_a_head():
    with pytest.raises(ModelError, match="no head for action units"):
        fresh()(images(1), return_units=True)
    with pytest.raises(ModelError, match="order strain, v, u"):
        fresh(action_units=(1,))(images(1, 56), return_units=True)


def test_config_survives_json():
    config = FlowMLPConfig(action_units=(1, 2), grid=4)
    assert FlowMLPConfig(**config.to_dict()) == config
    assert dataclasses.asdict(FlowMLP(config).config) == dataclasses.asdict(config)
