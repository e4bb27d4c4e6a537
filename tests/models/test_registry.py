import pytest
import torch

import htnet
from htnet.cli import main
from htnet.core import registry
from htnet.core.errors import DuplicateModelError, InputError, ModelError, UnknownModelError
from htnet.core.hints import as_command
from htnet.hub import find_pretrained
from htnet.models import EmotionModel, HTNet, build_model, create_model, is_model, list_models, register_model


@pytest.fixture
def clean_registry(monkeypatch):
    monkeypatch.setattr(registry.MODELS, "_entries", dict(registry.MODELS))


def test_presets():
    assert {"htnet_base", "htnet_small", "htnet_tiny", "ststnet"} <= set(list_models())
    found = list_models("htnet_*")
    assert {"htnet_base", "htnet_dual_stream", "htnet_small", "htnet_tiny"} <= set(found)
    assert found == sorted(n for n in list_models() if n.startswith("htnet_"))
    assert htnet.create_model("htnet_tiny").name == "htnet_tiny"


def test_unknown_name_gives_nearest():
    with pytest.raises(UnknownModelError, match="Did you mean .*'htnet_small'"):
        create_model("htnet_smal")
    with pytest.raises(UnknownModelError, match="Known: .*ststnet"):
        create_model("zzz")


@pytest.mark.parametrize("pattern", [None, 5, b"htnet_*", ["htnet_tiny"]])
def test_a_pattern_that_is_no_text_is_refused(pattern):
    with pytest.raises(InputError, match="The pattern is .*give a text such as 'htnet_"):
        list_models(pattern)


@pytest.mark.parametrize("name", [None, 5, ["htnet_tiny"]])
def test_a_name_that_is_no_text_is_no_model(name):
    assert not is_model(name)
    assert find_pretrained(name) is None
    with pytest.raises(UnknownModelError, match="The model is of type"):
        create_model(name)


@pytest.mark.parametrize("unknown", [lambda: create_model("mine"), lambda: build_model("Mine", {})])
def test_an_unknown_model_may_be_ones_own(unknown):
    with pytest.raises(UnknownModelError, match="first import the module that registers it"):
        unknown()
    with as_command(), pytest.raises(UnknownModelError, match="from a Python script that imports the module"):
        unknown()


def test_commands_list_models_that_a_script_registers(clean_registry, capsys):
    register_model("mine", HTNet, dim=48, heads=4, description="of a script")
    assert main(["list", "mine"]) == 0
    assert "of a script" in capsys.readouterr().out


def test_unknown_setting_is_refused():
    with pytest.raises(ModelError, match=r"setting of htnet_tiny: 'num_class'.*'num_classes'"):
        create_model("htnet_tiny", num_class=4)
    with pytest.raises(ModelError, match="heads"):
        create_model("ststnet", heads=2)


def test_register_own(clean_registry):
    register_model("mine", HTNet, dim=48, heads=4, block_repeats=(1, 1, 1))
    assert create_model("mine").config.dim == 48
    with pytest.raises(DuplicateModelError, match="'mine'"):
        register_model("mine", HTNet)
    with pytest.raises(ModelError, match="'depth'"):
        register_model("other", HTNet, depth=3)
    with pytest.raises(ModelError, match="EmotionModel"):
        register_model("other", torch.nn.Linear)
    assert "other" not in list_models()


def test_rebuild_from_saved_config():
    model = create_model("htnet_tiny", num_classes=4, mean=(1, 2, 3))
    again = build_model("HTNet", model.config.to_dict(), "htnet_tiny")
    assert again.config == model.config
    assert again.name == "htnet_tiny"
    again.load_state_dict(model.state_dict())
    with pytest.raises(UnknownModelError, match="Did you mean 'HTNet'"):
        build_model("HTNet2", {})


def test_a_model_of_the_library_is_rebuilt_without_the_wings(monkeypatch):
    config = create_model("htnet_tiny").config.to_dict()
    monkeypatch.setattr(registry, "load_wings", lambda: pytest.fail("the wings were imported"))
    assert isinstance(build_model("HTNet", config), HTNet)


def test_register_model_decorates_a_class(clean_registry):
    @register_model("mine_small", dim=48, heads=4, block_repeats=(1, 1, 1), description="smaller")
    @register_model("mine")
    class Mine(HTNet):
        """A model of one's own."""

    assert create_model("mine_small").config.dim == 48
    assert type(create_model("mine")) is Mine
    assert is_model("mine")
    assert not is_model("theirs")
    with pytest.raises(ModelError, match=r"@register_model\('my_model'\)"):
        register_model(Mine)


def test_a_class_that_is_defined_again_takes_its_own_place(clean_registry):
    def define(width):
        @register_model("mine", dim=width, heads=4, block_repeats=(1, 1, 1))
        class Mine(HTNet):
            """As a cell of a notebook defines it."""

        return Mine

    define(32)
    again = define(48)
    assert type(create_model("mine")) is again
    assert create_model("mine").config.dim == 48
    with pytest.raises(DuplicateModelError, match="'mine'"):
        register_model("mine", again, dim=64)


def test_saved_weights_name_their_class_so_that_no_two_have_one_name(clean_registry):
    other = type("HTNet", (HTNet,), {"__module__": "mine"})
    with pytest.raises(DuplicateModelError, match="HTNet is already the class of 'htnet_.* another name"):
        register_model("mine", other)
    assert type(htnet.load_pretrained("composite-htnet")) is HTNet


def test_without_stages_there_is_a_message(clean_registry):
    class Mine(HTNet):
        stages = EmotionModel.stages

    register_model("mine", Mine, dim=32, heads=4, block_repeats=(1, 1, 1))
    with pytest.raises(ModelError, match="property stages"):
        create_model("mine").forward_intermediates(torch.zeros(1, 3, 28, 28))
