import json

import pytest

from htnet.core.errors import RecipeError
from htnet.training import RECIPES, Augmentation, Recipe, get_recipe
from tests.support.paths import ROOT


def test_presets_are_what_was_published_and_survive_json():
    reference = get_recipe("reference")
    assert (reference.optimizer, reference.lr, reference.batch_size, reference.epochs) == ("adam", 5e-5, 256, 800)
    assert not reference.shuffle
    assert reference.augmentation is None
    for recipe in RECIPES.values():
        assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_file_and_changes(tmp_path):
    (tmp_path / "mine.json").write_text('{"epochs": 3, "augmentation": {"shift": 1}}')
    recipe = get_recipe(tmp_path / "mine.json", lr=0.1)
    assert (recipe.name, recipe.epochs, recipe.lr, recipe.augmentation.shift) == ("mine", 3, 0.1, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "Unknown recipe field: 'epoch'. Did you mean 'epochs'"),
        ({"augmentation": {"shifts": 2}}, "Unknown augmentation field: 'shifts'"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd'"),
        ({"precision": "bf16"}, "precision is 'bf16'. Did you mean 'bfloat16'"),
        ({"lr": 0}, "lr is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": True}, "batch_size is True"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"augmentation": {"mirror": 2}}, "mirror is 2"),
        ({"augmentation": {"noise": -0.1}}, "noise is -0.1"),
        ({"augmentation": {"shift": 1.5}}, "shift is 1.5"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(values)


def test_unknown_recipe_and_broken_file(tmp_path):
    with pytest.raises(RecipeError, match="Did you mean 'default'"):
        get_recipe("defualt")
    with pytest.raises(RecipeError, match="No recipe file"):
        get_recipe(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(RecipeError, match="bad.json is not a JSON object"):
        get_recipe(tmp_path / "bad.json")
    with pytest.raises(RecipeError, match="'epoch'"):
        get_recipe("default", epoch=3)
    with pytest.raises(RecipeError):
        Augmentation(gain=-1)


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks" / "recipes").glob("*.json")), ids=lambda file: file.stem)
def test_recipes_of_committed_runs_can_be_read(file):
    recipe = get_recipe(str(file))
    assert recipe.name == file.stem
    run = ROOT / "benchmarks" / "results" / f"loso_flow_mlp_{file.stem}.json"
    if run.is_file():
        assert Recipe.from_dict(json.loads(run.read_text("utf-8"))["run"]["recipe"]) == recipe


@pytest.mark.parametrize("recipe", [{"epochs": 1}, ["default"], None, 3, Recipe])
def test_what_is_no_recipe_is_named_by_its_type(recipe):
    with pytest.raises(RecipeError, match=f"The recipe is of type {type(recipe).__name__}; give the name of one"):
        get_recipe(recipe)
