"""Changes of faces: their ranges, and that left stays left."""

import math

import numpy as np
import pytest
import torch

from htnet.core.errors import FrameError, InputError, ManifestError, RecipeError
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.palsy import PALSY_SPEC, FaceAugmentation, augment_faces, load_face_set
from htnet.palsy.face_augment import change_light, erase, mix, turn_and_scale
from htnet.training import RECIPES, Augmentation, Recipe, get_recipe, load_flow_set, train_model
from tests.palsy.faces import save_face
from tests.support.flows import write_flow_set

NOTHING = dict.fromkeys(("brightness", "contrast", "gamma", "noise", "rotation", "scale", "erase", "mixup"), 0)
SIZE = 32


def faces(count=64, value=None):
    return torch.full((count, 3, SIZE, SIZE), value) if value is not None else 255 * torch.rand(count, 3, SIZE, SIZE)


def only(**changes):
    return FaceAugmentation(**{**NOTHING, **changes})


def changed(images, **changes):
    return augment_faces(images, torch.zeros(len(images), dtype=torch.int64), only(**changes), 6)[0]


def one_sided(count=64):
    """Gray faces with a light square on the image's left."""
    images = torch.full((count, 3, SIZE, SIZE), 60.0)
    images[:, :, 12:20, 4:12] = 200.0
    return images


@pytest.mark.parametrize(
    "changes",
    [
        {"brightness": 0.2},
        {"contrast": 0.5},
        {"gamma": 0.5},
        {"noise": 0.05},
        {"rotation": 10.0},
        {"scale": 0.2},
        {"erase": 1.0},
        {"mixup": 0.4},
        {"brightness": 0.1, "contrast": 0.2, "gamma": 0.2, "noise": 0.02, "rotation": 4, "scale": 0.05, "erase": 0.2},
    ],
)
def test_left_stays_left(changes):
    images = one_sided(200)
    made = changed(images, **changes)
    difference = made[..., : SIZE // 2].mean((1, 2, 3)) - made[..., SIZE // 2 :].mean((1, 2, 3))
    # An erased rectangle may take the square away, but never puts it on the other side.
    assert (difference >= (-3 if "erase" in changes else 0)).all()
    assert (difference > 5).float().mean() > 0.8
    assert "mixup" in changes or not torch.equal(made, images)


def test_nothing_changes_nothing():
    images = faces()
    assert torch.equal(changed(images), images)


def test_brightness_is_added_within_its_range():
    made = changed(faces(2000, 128.0), brightness=0.1)
    moves = (made - 128).mean((1, 2, 3)) / 255
    assert moves.abs().max() <= 0.1 + 1e-5
    assert moves.min() < -0.09
    assert moves.max() > 0.09
    assert (made.std((1, 2, 3)) < 1e-3).all(), "the same for all pixels"


def test_contrast_scales_about_the_mean():
    images = 100 + 50 * torch.rand(2000, 3, 8, 8)
    made = changed(images, contrast=0.3)
    factors = made.std((1, 2, 3)) / images.std((1, 2, 3))
    assert factors.min() >= 0.7 - 1e-4
    assert factors.max() <= 1.3 + 1e-4
    assert factors.max() - factors.min() > 0.55
    assert torch.allclose(made.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=0.01)


def test_gamma_is_a_power_within_its_range():
    made = changed(faces(2000, 100.0), gamma=0.4)
    powers = (made.mean((1, 2, 3)) / 255).log() / math.log(100 / 255)
    assert powers.min() >= math.exp(-0.4) - 1e-4
    assert powers.max() <= math.exp(0.4) + 1e-4
    assert powers.max() / powers.min() > 2
    ends = torch.tensor([0.0, 255.0]).view(1, 1, 1, 2).expand(5, 3, 1, 2)
    one = torch.ones(5)
    assert torch.allclose(change_light(ends, 0 * one, one, 1.7 * one), ends), "black and white stay"


def test_noise_has_the_deviation_asked_for():
    made = changed(faces(500, 128.0), noise=0.04) - 128
    deviations = made.std((1, 2, 3)) / 255
    assert deviations.max() <= 0.04 * 1.1
    assert 0.015 < deviations.mean() < 0.025, "from 0 to the strength"
    assert abs(float(made.mean())) < 0.2


def turned_by(images, made):
    """Angle and size of the motion of bright dots, from their centers of mass."""
    y, x = torch.meshgrid(torch.arange(SIZE) - (SIZE - 1) / 2, torch.arange(SIZE) - (SIZE - 1) / 2, indexing="ij")

    def center(batch):
        weight = batch[:, 0] / batch[:, 0].sum((1, 2), keepdim=True)
        return torch.stack([(weight * x).sum((1, 2)), (weight * y).sum((1, 2))], 1)

    before, after = center(images), center(made)
    angle = torch.atan2(after[:, 1], after[:, 0]) - torch.atan2(before[:, 1], before[:, 0])
    return torch.rad2deg(angle), after.norm(dim=1) / before.norm(dim=1)


def dots(count):
    images = torch.zeros(count, 3, SIZE, SIZE)
    images[:, :, 15:18, 24:27] = 200.0
    return images


def test_rotation_is_within_its_range_and_keeps_the_size():
    images = dots(400)
    angles, sizes = turned_by(images, changed(images, rotation=12.0))
    assert angles.abs().max() <= 12.3
    assert angles.min() < -10
    assert angles.max() > 10
    assert (sizes - 1).abs().max() < 0.02
    clockwise, _ = turned_by(dots(1), turn_and_scale(dots(1), torch.tensor([90.0]), torch.ones(1)))
    assert float(clockwise) == pytest.approx(90, abs=0.5), "y points downward, so this is clockwise as seen"


def test_scale_is_within_its_range_and_turns_nothing():
    images = dots(400)
    angles, sizes = turned_by(images, changed(images, scale=0.15))
    assert sizes.min() >= 0.85 - 0.02
    assert sizes.max() <= 1.15 + 0.02
    assert sizes.max() - sizes.min() > 0.25
    assert angles.abs().max() < 0.5


def test_erasing_takes_one_rectangle_of_at_most_its_area():
    images = faces(300)
    made = changed(images, erase=0.5)
    hit = (made != images).any(1)
    share = hit.float().mean((1, 2))
    assert 0.35 < (share > 0).float().mean() < 0.6
    assert share.max() <= 0.15 + 0.06
    for i in (share > 0).nonzero()[:40, 0].tolist():
        rows, columns = hit[i].any(1), hit[i].any(0)
        assert torch.equal(hit[i], rows[:, None] & columns), "a rectangle"
        mean = images[i].mean((1, 2))[:, None]
        assert torch.allclose(made[i][:, hit[i]], mean.expand(-1, int(hit[i].sum())), atol=1e-3)


def test_erasing_reaches_the_corners_it_is_told_to():
    image = torch.arange(3 * SIZE * SIZE, dtype=torch.float32).view(1, 3, SIZE, SIZE)
    one = torch.ones(1)
    made = erase(image, one.bool(), 0.25 * one, one, torch.tensor([[1.0, 0.0]]))
    hit = (made != image).any(1)[0]
    assert torch.equal(hit.nonzero().min(0).values, torch.tensor([0, SIZE // 2]))
    assert torch.equal(hit.nonzero().max(0).values, torch.tensor([SIZE // 2 - 1, SIZE - 1]))


def test_mixup_mixes_images_and_classes_alike():
    images = torch.arange(6.0)[:, None, None, None].expand(6, 3, 8, 8) * 10
    labels = torch.arange(6)
    mixed, targets = augment_faces(images, labels, only(mixup=1.0), 6)
    assert torch.allclose(targets.sum(1), torch.ones(6))
    assert (targets[torch.arange(6), labels] >= 0.5).all(), "the larger share is the image's own"
    assert torch.allclose(mixed[:, 0, 0, 0], targets @ (torch.arange(6.0) * 10), atol=1e-3)
    assert (targets > 0).sum() > 6
    own, partner = torch.tensor([0.75, 1.0]), torch.tensor([1, 0])
    _, target = mix(faces(2), torch.eye(2), own, partner)
    assert torch.allclose(target, torch.tensor([[0.75, 0.25], [0.0, 1.0]]))


def test_without_mixup_targets_are_labels():
    labels = torch.randint(0, 6, (9,))
    assert torch.equal(augment_faces(faces(9), labels, only(brightness=0.1), 6)[1], labels)


@pytest.mark.parametrize(
    ("field", "value"), [("brightness", -0.1), ("erase", 1.5), ("rotation", 90), ("mixup", "much"), ("noise", True)]
)
def test_impossible_strengths_are_named(field, value):
    with pytest.raises(RecipeError, match=rf"{field} is {value!r}; give a number from 0 to"):
        FaceAugmentation(**{field: value})


def test_recipe_survives_json():
    recipe = RECIPES["palsy"]
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert isinstance(recipe.augmentation, FaceAugmentation)
    with pytest.raises(RecipeError, match=r"Unknown kind of augmentation: 'faces'"):
        Recipe.from_dict({"augmentation": {"of": "faces"}})
    with pytest.raises(RecipeError, match="Unknown augmentation field: 'mirror'"):
        Recipe.from_dict({"augmentation": {"of": "face", "mirror": 0.5}})


@pytest.fixture
def face_set(tmp_path):
    samples = [
        Sample(f"s{i}", subject=f"p{i}", label="I" if i % 2 else "II", image=save_face(tmp_path / f"{i}.png", i))
        for i in range(5)
    ]
    spec = PreprocessSpec(layout="whole", size=28, face_size=48)
    return load_face_set(Manifest(tuple(samples), ("I", "II")), spec)


def test_face_set_holds_what_the_files_hold(face_set):
    assert face_set.images.shape == (5, 3, 28, 28)
    assert face_set.labels.tolist() == [1, 0, 1, 0, 1]
    mean, std = face_set.statistics()
    levels = face_set.images.double().transpose(0, 1).flatten(1)
    assert torch.allclose(mean.double(), levels.mean(1), atol=1e-4)
    assert torch.allclose(std.double(), levels.std(1), atol=1e-4)
    part = face_set.subset([3, 0])
    assert torch.equal(part.images, face_set.images[[3, 0]])
    assert part.digest() != face_set.digest()
    assert part.digest() == face_set.subset([3, 0]).digest()
    assert face_set.extras(()) == {}
    with pytest.raises(InputError, match="'points68'"):
        face_set.extras(("points68",))


def test_augmentations_of_flow_and_of_faces_are_not_mixed_up(face_set, tmp_path):
    index, mean, std = torch.arange(2), torch.zeros(3), torch.ones(3)
    with pytest.raises(RecipeError, match="it mirrors"):
        face_set.batch(index, Augmentation(), mean, std)
    flows = load_flow_set(write_flow_set(tmp_path / "flow"), PreprocessSpec())
    with pytest.raises(RecipeError, match="is for face images"):
        flows.batch(index, FaceAugmentation(), mean, std)


def test_wrong_faces_are_named(tmp_path):
    spec = PreprocessSpec(layout="whole", size=28, face_size=48)

    def load(**columns):
        return load_face_set(Manifest((Sample("a", label="I", **columns),), ("I", "II")), spec)

    with pytest.raises(ManifestError, match=r"Sample 'a': .*is 40x40 px, not 48x48"):
        load(image=save_face(tmp_path / "small.png", side=40))
    with pytest.raises(ManifestError, match=r"1 sample \('a'\) without an image of a face"):
        load()
    with pytest.raises(FrameError, match="Sample 'a': .*none.png"):
        load(image=tmp_path / "none.png")
    with pytest.raises(ManifestError, match="contains no samples"):
        load_face_set(Manifest((), ("I", "II")), spec)


def test_a_single_image_left_over_joins_the_batch_before(face_set):
    # 5 samples in batches of 4: the batch norms of the ROI module refuse a batch of one.
    recipe = get_recipe("palsy", epochs=1, batch_size=4)
    model, _ = train_model("htnet_palsy_tiny", face_set, recipe, settings={"num_classes": 2, "image_size": 28})
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_larger_image_takes_over_the_spec():
    assert PALSY_SPEC.size == PALSY_SPEC.face_size == 224
    xs = np.array(PALSY_SPEC.template)[:, 0]
    assert np.allclose(xs[[1, 0, 2, 4, 3]], 28 - xs, atol=1e-3), "the template is the same on both sides"
