import dataclasses

import numpy as np
import pytest
import torch

from htnet.core.errors import InputError
from htnet.core.types import EMOTIONS, Flow
from htnet.preprocess import flow_image, optical_strain
from htnet.synthesis import ACTION_UNITS, FlowGenerator, SynthesisConfig, synthesize_flow
from htnet.synthesis.draw import Bumps
from htnet.synthesis.flows import BLOCK, SyntheticFlows, bump_field, published_range
from htnet.synthesis.frames import field_at
from tests.synthesis.support import plain


def same(one, other):
    """Whether two sets are equal to the byte."""
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(SyntheticFlows))


def a_seed():
    return int(torch.randint(2**31, ()))


@pytest.mark.parametrize("size", [28, 56, pytest.param(112, marks=pytest.mark.slow)])
def test_shapes_types_and_ranges(size):
    made = FlowGenerator(SynthesisConfig(size=size))(9, a_seed())
    assert len(made) == 9
    assert made.images.shape == (9, 3, size, size)
    assert made.images.dtype == torch.uint8
    # Every published image has exactly 0 and 255 in every channel.
    assert (made.images.amin((2, 3)) == 0).all()
    assert (made.images.amax((2, 3)) == 255).all()
    assert made.flow.shape == made.observed.shape == (9, 2, size, size)
    assert made.units.shape == (9, len(ACTION_UNITS), 2)
    assert (made.units >= 0).all()
    assert made.points.shape == (9, 5, 2)
    assert made.labels.dtype == torch.int64
    assert set(made.labels.tolist()) <= set(range(len(EMOTIONS)))
    assert torch.isfinite(made.flow).all()
    assert torch.isfinite(made.observed).all()


def test_a_seed_gives_the_same_bytes_however_the_samples_are_asked_for():
    generator, seed = FlowGenerator(), a_seed()
    whole = generator(BLOCK + 40, seed)
    assert same(whole, generator(BLOCK + 40, seed))
    split = int(torch.randint(1, BLOCK + 39, ()))
    parts = [generator(split, seed), generator(BLOCK + 40 - split, seed, first=split)]
    joined = [torch.cat([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(SyntheticFlows)]
    assert same(whole, SyntheticFlows(*joined))
    batches = list(generator.batches(BLOCK + 40, seed))
    assert [len(b) for b in batches] == [BLOCK, 40]
    assert same(batches[1], whole.cut(BLOCK, BLOCK + 40))
    assert not torch.equal(whole.images, generator(BLOCK + 40, seed + 1).images)
    # No sample comes twice, not even from another block.
    assert len(torch.unique(whole.images.flatten(1), dim=0)) == BLOCK + 40


def test_other_random_numbers_have_no_part_and_are_left_alone():
    torch.manual_seed(5)
    first = synthesize_flow(3, 7)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), after)
    assert same(first, synthesize_flow(3, 7))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_cuda_device_makes_the_same_faces():
    here, there = synthesize_flow(300, 3), synthesize_flow(300, 3, device="cuda")
    assert torch.equal(here.labels, there.labels.cpu())
    assert torch.equal(here.units, there.units.cpu())
    torch.testing.assert_close(here.flow, there.flow.cpu(), rtol=1e-4, atol=1e-5)
    assert ((here.images.int() - there.images.cpu().int()).abs() > 2).float().mean() < 1e-3


#: unit: (row of the points, place from it in units of the distance between the eyes with x outward, signs of the
#: motion there: x outward, y downward; 0 is not looked at).
WHERE = {
    1: (0, (-0.2, -0.36), (0, -1)),
    2: (0, (0.2, -0.34), (0, -1)),
    4: (0, (-0.2, -0.3), (-1, 1)),
    5: (0, (0.0, -0.07), (0, -1)),
    6: (0, (0.08, 0.4), (0, -1)),
    7: (0, (0.0, 0.1), (0, -1)),
    9: (2, (0.16, -0.14), (0, -1)),
    10: (3, (-0.2, -0.12), (0, -1)),
    12: (3, (0.0, 0.0), (1, -1)),
    14: (3, (-0.04, 0.0), (1, 0)),
    15: (3, (0.0, 0.04), (0, 1)),
    17: (3, (-0.3, 0.3), (0, -1)),
    20: (3, (0.0, 0.02), (1, 0)),
    24: (3, (-0.28, 0.1), (0, -1)),
    25: (3, (-0.3, 0.14), (0, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("unit", ACTION_UNITS)
def test_a_unit_moves_its_place_its_way(unit):
    row, (out, down), (sign_x, sign_y) = WHERE[unit]
    made = FlowGenerator(plain(unit, size=112))(2, a_seed())
    assert (made.units[:, ACTION_UNITS.index(unit)] > 0).all()
    assert (made.units.sum((1, 2)) == made.units[:, ACTION_UNITS.index(unit)].sum(1)).all()
    points, flow = made.points[0], made.flow[0]
    reach = float((points[1] - points[0]).norm())
    for side in (0, 1):
        sign = 2 * side - 1
        x, y = points[row + side * (row != 2)]
        at_x, at_y = round(float(x) + sign * out * reach), round(float(y) + down * reach)
        u, v = flow[:, at_y, at_x].tolist()
        longest = float(flow.norm(dim=0).max())
        if sign_x:
            assert sign_x * sign * u > 0.2 * longest
        if sign_y:
            assert sign_y * v > 0.2 * longest


@pytest.mark.slow
def test_a_smile_is_as_long_as_its_intensity_says():
    """The unit's figure is the displacement of its first bump at its center, px of the 224 px face."""
    made = FlowGenerator(plain(20, size=112, strength=3.0))(1, 0)
    corner, reach = made.points[0, 4], float((made.points[0, 1] - made.points[0, 0]).norm())
    x, y = round(float(corner[0])), round(float(corner[1]) + 0.02 * reach)
    assert made.units[0, ACTION_UNITS.index(20), 1] == pytest.approx(3.0)
    # The second bump adds its tail.
    assert 3.0 * 112 / 224 < float(made.flow[0, 0, y, x]) < 1.6 * 3.0 * 112 / 224


def test_one_sided_expressions_move_one_side():
    made = FlowGenerator(plain(12, one_sided=1.0, other_side=0.0))(64, a_seed())
    smile = made.units[:, ACTION_UNITS.index(12)]
    assert ((smile == 0).sum(1) == 1).all()
    left = made.flow[..., :10].norm(dim=1).amax((1, 2))
    right = made.flow[..., 18:].norm(dim=1).amax((1, 2))
    assert ((left > 3 * right) == (smile[:, 0] > 0)).all()
    assert ((right > 3 * left) == (smile[:, 1] > 0)).all()
    assert 0.2 < (smile[:, 0] > 0).float().mean() < 0.8


def test_the_image_is_the_published_one_of_the_flow():
    made = FlowGenerator(plain(6, 12, turn=0.3, side_spread=0.3, head_affine=0.2))(5, a_seed())
    torch.testing.assert_close(made.observed, made.flow)
    for image, flow in zip(made.images, made.flow, strict=True):
        theirs = flow_image(Flow(flow.numpy(), "true"), 28).transpose(2, 0, 1).astype(int)
        assert np.abs(image.numpy().astype(int) - theirs).max() <= 1
    exact = optical_strain(made.flow.double())
    low, high = exact.amin((1, 2), keepdim=True), exact.amax((1, 2), keepdim=True)
    assert ((exact - low) / (high - low) * 255 - made.images[:, 0]).abs().max() < 0.51


def test_channels_are_scaled_by_themselves():
    planes = torch.randn(4, 3, 8, 8) * torch.tensor([1e-3, 1.0, 50.0]).view(1, 3, 1, 1) + 7
    planes[2, 1] = 3.0
    made = published_range(planes).double()
    exact = planes.double()
    low, high = exact.amin((2, 3), keepdim=True), exact.amax((2, 3), keepdim=True)
    exact = torch.nan_to_num((exact - low) / (high - low) * 255)
    assert (made - exact).abs().max() < 0.6
    assert (made[2, 1] == 0).all()


def test_the_field_is_the_sum_of_its_bumps():
    rows = 6
    bumps = Bumps(
        torch.rand(1, rows, 2) * 224,
        torch.randn(1, rows, 2),
        10 + 40 * torch.rand(1, rows, 2),
        2 + 3 * torch.rand(1, rows),
    )
    places = (torch.arange(56) + 0.5) * 4 - 0.5
    y, x = np.meshgrid(places.double(), places.double(), indexing="ij")
    exact = np.zeros((2, 56, 56))
    for k in range(rows):
        (cx, cy), (rx, ry) = bumps.center[0, k].tolist(), bumps.radius[0, k].tolist()
        edge = float(bumps.edge[0, k])
        weight = np.exp(-0.5 * np.abs((x - cx) / rx) ** edge - 0.5 * np.abs((y - cy) / ry) ** edge)
        exact += weight * bumps.motion[0, k].double().numpy()[:, None, None]
    np.testing.assert_allclose(bump_field(bumps, places, torch.device("cpu"))[0], exact, atol=1e-4)
    grid = torch.from_numpy(np.stack([x, y], -1)).float()
    np.testing.assert_allclose(field_at(bumps, grid).permute(2, 0, 1), exact, atol=1e-4)


@pytest.mark.slow
def test_left_and_right_are_alike_in_distribution():
    made = FlowGenerator(SynthesisConfig(head_shift=0.0, head_affine=0.0, head_turn=0.0))(4096, a_seed())
    mirrored = made.flow.flip(-1) * torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1)
    # The template is not quite symmetric, so that what is compared is far from pixel exact; the difference of a
    # face and its mirror image averages out but for that.
    difference = (made.flow - mirrored).mean(0).abs().max()
    assert difference < 0.25 * made.flow.mean(0).abs().max()
    left, right = made.units[..., 0], made.units[..., 1]
    gap = (left - right).mean(0) / ((left - right).std(0) / 64).clamp_min(1e-9)
    assert gap.abs().max() < 5
    assert (left != right).any()


@pytest.mark.slow
def test_shares_and_combinations_are_those_of_the_config():
    made = FlowGenerator(plain(12, shares=(0.5, 0.3, 0.2)))(4096, a_seed())
    share = torch.bincount(made.labels, minlength=3) / 4096
    assert (share - torch.tensor([0.5, 0.3, 0.2])).abs().max() < 0.05
    config = SynthesisConfig(distractor=0.0)
    allowed = {(EMOTIONS.index(emotion), units) for emotion, units, _ in config.expressions}
    made = FlowGenerator(config)(512, a_seed())
    for label, units in zip(made.labels.tolist(), made.units, strict=True):
        active = tuple(u for u, moved in zip(ACTION_UNITS, units.amax(1) > 0, strict=True) if moved)
        assert (label, active) in allowed


@pytest.mark.slow
def test_distractors_are_weaker_and_as_frequent_as_told():
    made = FlowGenerator(plain(12, distractor=0.25, distractor_strength=0.4))(2048, a_seed())
    others = made.units[:, [i for i, u in enumerate(ACTION_UNITS) if u != 12]].amax(2)
    assert float((others > 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.allclose(others[others > 0], torch.tensor(0.4 * SynthesisConfig().strength))


@pytest.mark.parametrize("name", ["noise", "blind", "cheeks", "fade", "stairs"])
def test_estimation_changes_what_is_seen_not_what_is_true(name):
    amount = getattr(SynthesisConfig(), name)
    clean, seen = (FlowGenerator(plain(12, head_shift=1.0, **{name: value}))(256, 3) for value in (0.0, amount))
    assert torch.equal(seen.labels, clean.labels)
    torch.testing.assert_close(clean.observed, clean.flow)
    assert (seen.observed - seen.flow).abs().max() > 1e-3


@pytest.mark.parametrize(("name", "moved"), [("head_shift", 1.0), ("head_affine", 1.0), ("head_turn", 1.0)])
def test_the_head_moves_the_face(name, moved):
    made = FlowGenerator(plain(12, strength=0.0, **{name: moved}))(512, a_seed())
    length = made.flow.norm(dim=1)
    assert length.amax((1, 2)).min() > 0
    if name == "head_shift":
        assert float((length.amax((1, 2)) - length.amin((1, 2))).max()) < 1e-4
        # px of the image, 1 / 8 of those of the face.
        assert float(made.flow[:, 0, 0, 0].std()) == pytest.approx(1 / 8, rel=0.15)
    if name == "head_turn":
        x, y = (round(float(v)) for v in made.points[0, 2])
        assert float(length[:, y, x].mean()) > 3 * float(length[:, 0, 0].mean())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g(0), "count is 0"),
        (lambda g: g(True), "count is True"),
        (lambda g: g(2.0), "count is 2.0"),
        (lambda g: g(1, -1), "seed is -1"),
        (lambda g: g(1, 2**31), "seed is 2147483648"),
        (lambda g: g(1, 0, first=-3), "first is -3"),
    ],
)
def test_impossible_requests_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(FlowGenerator())
