"""Weights of micro-expression models start those of this wing."""

import dataclasses

import pytest
import torch

from htnet.hub import load_pretrained
from htnet.models import create_model, transfer_weights
from tests.models.test_transfer import accounts_for_everything, copies


def test_from_micro_expressions_to_palsy():
    source = create_model("htnet_tiny", image_size=56, block_repeats=(2, 1, 2))
    target = create_model("htnet_palsy_tiny")
    before = copies(target)
    report = transfer_weights(target, source)
    accounts_for_everything(report, target, source.state_dict())
    own, theirs = target.state_dict(), source.state_dict()
    for name in report.loaded:
        assert torch.equal(own[name], theirs[name])
    for name in report.missing:
        assert torch.equal(own[name], before[name])
    assert "levels.0.layers.1.attn.qk.weight" in report.loaded
    assert set(report.interpolated) == {"levels.0.pos_emb", "levels.1.pos_emb"}
    assert report.interpolated["levels.0.pos_emb"] == "2 x 2 to 4 x 4 positions"
    assert set(report.left_out) == {"levels.2.pos_emb", "head.weight", "head.bias"}
    assert report.left_out["head.weight"] == "its classes differ"
    assert report.left_out["levels.2.pos_emb"] == "the target has no such tensor"
    assert "levels.1.layers.1.norm1.weight" in report.missing
    assert any(name.startswith("roi.") for name in report.missing)
    assert target(torch.rand(2, 3, 112, 112)).isfinite().all()


def test_the_bundled_weights_fill_the_small_palsy_model():
    """All blocks of htnet_small fit; the rest of the target is what htnet_small has no counterpart of."""
    source, target = load_pretrained("composite-htnet"), create_model("htnet_palsy_small")
    before, theirs = copies(target), source.state_dict()
    report = transfer_weights(target, source)
    accounts_for_everything(report, target, theirs)
    assert set(report.left_out) == {"levels.2.pos_emb", "head.weight", "head.bias"}
    assert set(report.interpolated) == {"levels.0.pos_emb", "levels.1.pos_emb"}
    assert len(report.loaded) == 60
    own = target.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in report.loaded)
    assert all(torch.equal(own[name], before[name]) for name in report.missing)
    alien = ("roi.", "head.", "levels.0.layers.1.", "levels.1.layers.1.", "levels.2.layers.1.attn.asymmetry.")
    assert not [name for name in report.missing if not name.startswith(alien)]
    assert target.eval()(torch.rand(1, 3, 112, 112) * 255).isfinite().all()


def test_the_report_reads_well():
    report = transfer_weights(create_model("htnet_palsy_tiny"), create_model("htnet_tiny"))
    text = str(report)
    total = len(report.loaded) + len(report.interpolated) + len(report.missing)
    assert text.startswith(f"Transferred {total - len(report.missing)} of {total} tensors.")
    assert "Interpolated (2):\n  levels.0.pos_emb: 1 x 1 to 4 x 4 positions" in text
    assert "head.weight: its classes differ" in text
    assert f"Not given, unchanged ({len(report.missing)}):" in text
    assert f"and {len(report.missing) - 8} more" in text
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.loaded = ()
