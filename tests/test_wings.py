"""Wings bring what they have to the rooms' registries, and the rooms know nothing of them."""

import subprocess
import sys

import pytest
import torch

from htnet.core import wings
from htnet.core.errors import WeightsError
from htnet.core.registry import MODELS, WEIGHTS, Registry
from htnet.models import list_models


@pytest.fixture
def wing(tmp_path, monkeypatch):
    """A wing that is imported when wings are loaded; the file it counts its imports in."""
    folder = tmp_path / "extra_wing"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "register.py").write_text("import sys\nsys.modules['htnet.core.wings'].imported = True\n")
    (folder / "schema.json").write_text("{}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(wings, "_STARTED", [])
    monkeypatch.setattr(wings, "_ROOT", tmp_path)
    monkeypatch.setattr(wings, "_PACKAGE", "")
    monkeypatch.setattr(wings, "WINGS", ("extra_wing", "one_that_is_gone"))
    monkeypatch.setattr(wings, "imported", False, raising=False)
    yield wings
    for name in ("extra_wing", "extra_wing.register"):
        sys.modules.pop(name, None)


def test_what_is_missing_or_listed_loads_the_wings(wing):
    registry = Registry()
    registry.add("a", 1)
    assert registry["a"] == 1
    assert registry.has("a")
    assert not wing.imported
    assert "b" not in registry
    assert wing.imported


def test_a_list_loads_the_wings(wing):
    registry = Registry()
    registry.add("a", 1)
    assert (list(registry), len(registry)) == (["a"], 1)
    assert wing.imported


def test_parts_of_wings(wing):
    assert wing.installed_wings() == ["extra_wing"]
    assert [module.__name__ for module in wing.wing_modules("register")] == ["extra_wing.register"]
    assert wing.wing_modules("hints") == []
    assert [file.name for file in wing.wing_files("schema.json")] == ["schema.json"]


def test_a_wing_that_cannot_be_loaded_is_not_taken_for_loaded(wing, tmp_path):
    (tmp_path / "extra_wing" / "register.py").write_text("raise ValueError('broken wing')")
    for _ in range(2):
        with pytest.raises(ValueError, match="broken wing"):
            list(Registry())


def test_a_wing_fills_every_registry(wing, monkeypatch, tmp_path):
    """What a package adds under its own name is there without anybody importing it."""
    from htnet.acceleration import optimize
    from htnet.acceleration.fold import FUSIONS
    from htnet.hub import find_pretrained, register_pretrained
    from htnet.models import convert_state
    from htnet.models.checkpoints import CONVERTERS

    (tmp_path / "extra_wing" / "register.py").write_text(
        "from torch import nn\n"
        "from htnet.acceleration import register_fusion\n"
        "from htnet.hub import PretrainedSpec, register_pretrained\n"
        "from htnet.models import HTNet, create_model, register_converter, register_model\n"
        "@register_model('winged', dim=32, heads=2, block_repeats=(1, 1, 1))\n"
        "class Winged(HTNet): pass\n"
        "@register_converter('Winged', 'feather', Winged)\n"
        "def convert(state, heads): return create_model('winged')\n"
        "@register_fusion(Winged)\n"
        "def fuse(net, precision): return net\n"
        "register_pretrained(PretrainedSpec('winged-weights', 'winged', 'a', 'b', 'c'))\n"
    )
    for one in (MODELS, WEIGHTS, CONVERTERS, FUSIONS):
        monkeypatch.setattr(one, "_entries", dict(one))
    assert "winged" in list_models()
    model = convert_state({"feather": torch.zeros(1)})
    assert model.name == "winged"
    assert optimize(model).architecture == "Winged"
    assert find_pretrained("winged-weights").model == "winged"
    with pytest.raises(WeightsError, match="winged-weights"):
        register_pretrained(find_pretrained("winged-weights"))


def test_hints_and_help_of_wings_come_without_pytorch():
    code = (
        "import sys; from htnet.core.wings import wing_modules\n"
        "wing_modules('cli'); wing_modules('hints')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
