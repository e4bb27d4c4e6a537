import pytest
import torch
import torch.nn.functional as F

from htnet.core.errors import ModelError
from htnet.models import create_model, transfer_weights


def copies(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def accounts_for_everything(report, target, source_names):
    """Every tensor of both models is named exactly once."""
    given = [*report.loaded, *report.interpolated]
    assert sorted([*given, *report.missing]) == sorted(target.state_dict())
    assert sorted([*given, *report.left_out]) == sorted(source_names)


def test_models_without_values_are_refused():
    model, empty = create_model("htnet_tiny"), create_model("htnet_tiny").to("meta")
    with pytest.raises(ModelError, match="The target of transfer_weights needs weights with values"):
        transfer_weights(empty, model)
    for source in (empty, empty.state_dict()):
        with pytest.raises(ModelError, match="The source has weights on the device meta, without values: "):
            transfer_weights(model, source)


def test_positions_are_interpolated_on_their_grid():
    source, target = create_model("htnet_tiny", image_size=56), create_model("htnet_tiny", image_size=140)
    transfer_weights(target, source)
    for level in range(3):
        grid = source.levels[level].pos_emb.detach().view(1, 1, 2, 2)
        expected = F.interpolate(grid, size=(5, 5), mode="bilinear", align_corners=False).flatten()
        torch.testing.assert_close(target.levels[level].pos_emb.detach(), expected)
    # A ramp across the block stays one, and up stays up.
    with torch.no_grad():
        source.levels[0].pos_emb.copy_(torch.tensor([0.0, 0.0, 1.0, 1.0]))
    transfer_weights(target, source)
    rows = target.levels[0].pos_emb.detach().view(5, 5)
    torch.testing.assert_close(rows, rows[:, :1].expand(5, 5))
    assert (rows[:, 0].diff() >= 0).all()
    assert rows[0, 0] < rows[4, 0]


def test_one_token_blocks_give_constant_positions():
    source, target = create_model("htnet_tiny"), create_model("htnet_tiny", image_size=56)
    report = transfer_weights(target, source)
    assert report.interpolated["levels.0.pos_emb"] == "1 x 1 to 2 x 2 positions"
    torch.testing.assert_close(target.levels[0].pos_emb, source.levels[0].pos_emb.expand(4))


def test_the_same_function_where_nothing_differs():
    source, target = create_model("htnet_tiny", image_size=56).eval(), create_model("htnet_tiny", image_size=56).eval()
    report = transfer_weights(target, source)
    assert not report.left_out
    assert not report.missing
    assert not report.interpolated
    image = torch.randn(2, 3, 56, 56)
    assert torch.equal(target(image), source(image))


def test_the_head_goes_along_between_equal_labels_only():
    source, target = create_model("htnet_tiny"), create_model("htnet_tiny")
    source.labels = ("low", "middle", "high")
    report = transfer_weights(target, source)
    assert report.left_out == {"head.weight": "its classes differ", "head.bias": "its classes differ"}
    assert not torch.equal(target.head.weight, source.head.weight)
    target.labels = source.labels
    assert "head.weight" in transfer_weights(target, source).loaded
    assert torch.equal(target.head.weight, source.head.weight)
    report = transfer_weights(target, source.state_dict())
    assert report.left_out["head.weight"] == "its classes are unknown"


def test_other_widths_are_left_out_with_both_shapes():
    source, target = create_model("htnet_tiny", dim=16), create_model("htnet_tiny")
    report = transfer_weights(target, source)
    assert report.left_out["patch_embed.weight"] == "it is (16, 147), the target's is (32, 147)"


def test_what_cannot_be_used_is_refused_and_changes_nothing():
    target = create_model("htnet_tiny", image_size=56)
    before = copies(target)
    with pytest.raises(ModelError, match=r"No tensor of the source fits htnet_tiny: it has conv1.weight.*convert"):
        transfer_weights(target, create_model("ststnet"))
    with pytest.raises(ModelError, match="no tensors"):
        transfer_weights(target, {})
    broken = copies(create_model("htnet_tiny"))
    broken["patch_embed.weight"][0, 0] = torch.nan
    with pytest.raises(ModelError, match="NaN or infinite values in patch_embed.weight"):
        transfer_weights(target, broken)
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
