"""Action units learned from a manifest's own column: targets, loss, training by the command, answers, refusals."""

import csv
import math

import cv2
import numpy as np
import pytest
import torch

import htnet
from htnet.core.errors import InputError, ManifestError, ModelError
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, Sample, read_manifest
from htnet.models import create_model, transfer_weights
from htnet.training import (
    Recipe,
    TrainingJob,
    annotated_units,
    load_flow_set,
    train_weights,
    unit_targets,
    units_to_learn,
)
from htnet.training.augment import mirror_extras
from htnet.training.losses import unit_losses
from tests.support.flows import CLASSES

NAN = math.nan


def samples(*annotations):
    return [Sample(f"n{k}", "own", f"p{k}", action_units=text) for k, text in enumerate(annotations)]


@pytest.mark.parametrize(
    ("text", "expected"),  # units 4 and 12, each on the image's left and right side
    [
        ("4+12", [[1, 1], [1, 1]]),
        ("R12", [[0, 0], [1, 0]]),  # the subject's right is the image's left
        ("L4B+AD31", [[0, 1], [0, 0]]),
        ("9", [[0, 0], [0, 0]]),
        ("none", [[0, 0], [0, 0]]),
        ("", [[NAN, NAN], [NAN, NAN]]),
        ("?", [[NAN, NAN], [NAN, NAN]]),
        ("4 or 9", [[NAN, NAN], [0, 0]]),
        ("(R12 or R6)+4", [[1, 1], [NAN, 0]]),
        ("12+(12 or 13)", [[0, 0], [1, 1]]),
    ],
)
def test_targets(text, expected):
    found = unit_targets(samples(text), (4, 12))
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float32), equal_nan=True)


def test_counts_leave_alternatives_out():
    found = samples("4+R12", "4", "4 or 9", "", "none", "12+(6 or 7)")
    assert annotated_units(found) == {4: 2, 12: 2}
    assert units_to_learn("flow_mlp", samples(*["4+12"] * 5, "9"), None) == (4, 12)
    assert units_to_learn("flow_mlp", samples("4+12", "9"), [9, 4]) == (9, 4)


def test_loss_passes_over_what_is_unknown():
    """Compared with the formula, written out for what is known."""
    logits = torch.randn(4, 3, 2, requires_grad=True)
    active = torch.randint(0, 2, (4, 3, 2)).float()
    recipe = Recipe(units_weight=0.7)
    whole = unit_losses(recipe, logits, active)
    reference = torch.nn.functional.binary_cross_entropy_with_logits(logits, active, reduction="none").mean((1, 2))
    assert torch.equal(whole, 0.7 * reference)
    active[1, 2, 0], active[2] = NAN, NAN
    found = unit_losses(recipe, logits, active)
    p, a = logits.detach().double().sigmoid().numpy(), active.double().numpy()
    expected = np.nanmean(-(a * np.log(p) + (1 - a) * np.log(1 - p))[[0, 1, 3]], (1, 2))
    np.testing.assert_allclose(found[[0, 1, 3]].detach(), 0.7 * expected, rtol=1e-5)
    assert found[2] == 0
    found.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad == 0).nonzero().tolist() == active.isnan().nonzero().tolist()


def test_mirrored_targets_change_sides():
    units = unit_targets(samples("R12", "(L4 or 9)"), (4, 12))
    found = mirror_extras({"units": units}, torch.ones(2, dtype=torch.bool), 28)["units"]
    torch.testing.assert_close(found, unit_targets(samples("L12", "(R4 or 9)"), (4, 12)), equal_nan=True)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A manifest whose images show their units: 4 above and 12 below, on the side of the image."""
    root, rng = tmp_path_factory.mktemp("units"), np.random.default_rng(0)
    names = ("", "R4", "L4", "4")
    rows = []
    for k in range(96):
        upper, lower = rng.integers(0, 4, 2)
        image = rng.normal(100, 12, (28, 28, 3))
        for at, code in ((slice(3, 11), upper), (slice(17, 25), lower)):
            for side, columns in ((1, slice(3, 11)), (2, slice(17, 25))):
                image[at, columns] += 110 * bool(code & side)
        cv2.imwrite(str(root / f"{k}.png"), image.clip(0, 255).astype(np.uint8))
        text = "+".join(filter(None, (names[upper], names[lower].replace("4", "12")))) or "none"
        text = "" if k % 8 == 0 else text
        rows.append(Sample(f"s{k}", "own", f"p{k % 6}", CLASSES[k % 3], flow=root / f"{k}.png", action_units=text))
    Manifest(tuple(rows), CLASSES, str(root)).write(root / "manifest.csv")
    return root / "manifest.csv"


@pytest.mark.slow
def test_the_command_trains_them_and_answers_have_them(table, tmp_path, succeed):
    words = ("train", "--data", table, "--model", "flow_mlp", "--epochs", "25", "--action-units", "all")
    out = succeed(*words, "--out", tmp_path / "w")
    counts = annotated_units(read_manifest(table))
    assert f"action units learned: AU4 (active in {counts[4]} samples), AU12 (active in {counts[12]} samples)" in out
    model = htnet.load_pretrained(tmp_path / "w")
    assert model.action_units == (4, 12)
    card = (tmp_path / "w" / "README.md").read_text("utf-8")
    assert "| Action units | 4, 12 |" in card
    assert "| Samples with action units | 84 |" in card
    data = load_flow_set(read_manifest(table), model.preprocess_spec, units=(4, 12))
    with torch.no_grad():
        _, scores = model(data.inputs(), return_units=True)
    known = ~data.units.isnan()
    assert ((scores > 0) == data.units.bool())[known].float().mean() > 0.95
    succeed("predict", "--manifest", table, "--weights", tmp_path / "w", "--out", tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        answers = list(csv.DictReader(file))
    columns = [name for name in answers[0] if name.startswith("AU")]
    assert columns == [name for unit in (4, 12) for name in (f"AU{unit}", f"AU{unit}_side")]
    sides = {"s1": data.units[1], "s2": data.units[2]}
    for name, target in sides.items():
        (row,) = [row for row in answers if row["sample"] == name]
        for unit, (image_left, image_right) in zip((4, 12), target.tolist(), strict=True):
            assert (float(row[f"AU{unit}"]) > 0.5) == bool(image_left or image_right)


def test_in_python(table, tmp_path):
    manifest = read_manifest(table)
    units = units_to_learn("htnet_tiny", manifest, [12])
    data = load_flow_set(manifest, PreprocessSpec(), units=units)
    assert data.units.shape == (96, 1, 2)
    assert data.subset([3, 5]).units.shape == (2, 1, 2)
    assert data.digest() != load_flow_set(manifest, PreprocessSpec()).digest()
    job = TrainingJob("htnet_tiny", Recipe(epochs=1), settings={"action_units": units})
    model = train_weights(manifest, data, tmp_path, job)
    assert model.action_units == (12,)


def test_what_cannot_be_learned_is_refused(table, tmp_path, fail):
    words = ("train", "--data", table, "--epochs", "1", "--out", tmp_path / "w", "--model")
    assert "ststnet has no head for action units" in fail(*words, "ststnet", "--action-units", "all")
    assert "Action unit 9, 15 is active in no sample" in fail(*words, "flow_mlp", "--action-units", "4,9,15")
    for text in ("4,x", "4,4", "", "-4"):
        assert "Give FACS numbers separated by commas" in fail(*words, "flow_mlp", f"--action-units={text}")
    mixed = fail(*words, "flow_mlp", "--action-units", "4", "--recipe", "mixed")
    assert "Give a recipe with generated=0" in mixed
    with pytest.raises(ManifestError, match="No sample has action units"):
        units_to_learn("flow_mlp", samples("", "none"))
    with pytest.raises(ManifestError, match=r"active in 5 samples or more.*4 \(in 2\)"):
        units_to_learn("flow_mlp", samples("4", "4+12"))
    with pytest.raises(ModelError, match="Choose one that has: flow_mlp, htnet_base"):
        units_to_learn("ststnet", samples("4"))
    data = load_flow_set(read_manifest(table), PreprocessSpec(), units=(4, 12))
    job = TrainingJob("htnet_tiny", Recipe(epochs=1), settings={"action_units": (4,)})
    with pytest.raises(InputError, match="2 action units, but the model scores 1"):
        train_weights(read_manifest(table), data, tmp_path / "v", job)


def test_a_head_of_other_units_is_not_taken_over():
    source = create_model("htnet_tiny", action_units=(1, 2))
    same, other = create_model("htnet_tiny", action_units=(1, 2)), create_model("htnet_tiny", action_units=(4, 12))
    before = other.unit_head.weight.clone()
    assert transfer_weights(other, source).left_out["unit_head.weight"] == "its action units differ"
    assert torch.equal(other.unit_head.weight, before)
    assert "unit_head.weight" in transfer_weights(same, source).loaded
