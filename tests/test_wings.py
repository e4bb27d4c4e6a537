"""Wings bring what they have to the rooms' registries, and the rooms know nothing of them."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import htnet
from htnet.core import wings
from htnet.core.errors import WeightsError
from htnet.core.registry import MODELS, WEIGHTS, Registry
from htnet.models import list_models
from tests.support.flows import write_flow_set


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
    from htnet.acceleration.fusion import FUSIONS
    from htnet.hub import find_pretrained, register_pretrained
    from htnet.models import convert_state
    from htnet.models.converters.base import CONVERTERS

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
        monkeypatch.setattr(one, "_entries", dict(one._entries))
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


#: What only a wing may speak of.
OF_A_WING = re.compile(
    r"palsy|htnet_?enhanced|house.?brackmann|\bfnp\b|ckplus|cohn.?kanade|(face|region)_?asymmetry", re.IGNORECASE
)
#: Where wings are listed, and old names of what moved into one.
MAY_NAME_WINGS = {"core/wings.py", "core/deprecated.py"}


def test_no_room_names_a_wing():
    root = Path(htnet.__file__).parent
    said = []
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.suffix not in (".py", ".json", ".md", ".csv", ".txt") or inside.parts[0] in wings.WINGS:
            continue
        if inside.as_posix() not in MAY_NAME_WINGS:
            lines = enumerate(path.read_text("utf-8").splitlines(), 1)
            said += [f"{inside}:{n}: {line.strip()}" for n, line in lines if OF_A_WING.search(line)]
    assert not said, "\n".join(said)


def imported(path):
    """Names that a file imports, or that stand in its strings: code for another process, names to be looked up."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


#: What users do with the whole wheel, in an empty folder, where there are no tests to ask.
OF_THE_WHEEL = "support/wheel_tour.py"


def test_no_test_of_the_rooms_imports_a_wing():
    """What tests of the rooms say of a wing comes from its folder, by `tests.support.wings`."""
    of_wing = re.compile(rf"\b(htnet|tests)\.({'|'.join(wings.WINGS)})\b")
    tests = Path(__file__).parent
    said = {
        str(path.relative_to(tests)): name
        for path in sorted(tests.rglob("*.py"))
        if path.relative_to(tests).parts[0] not in wings.WINGS and path != tests / OF_THE_WHEEL
        for name in imported(path)
        if of_wing.search(name)
    }
    assert said == {}


WITHOUT = """
import sys
import htnet
from htnet.acceleration import optimize
from htnet.core.hints import hint
from htnet.core.schema import versions
from htnet.core.wings import WINGS, installed_wings
from htnet.data import open_data
from htnet.evaluation import loso
from htnet.hub import load_pretrained
from htnet.models import create_model
from htnet.training import RECIPES, Recipe

assert installed_wings() == [], installed_wings()
assert "htnet_small" in htnet.list_models()
assert not any("palsy" in name for name in [*htnet.list_models(), *RECIPES, *versions(), *dir(htnet)])
assert {spec.name for spec in htnet.list_pretrained()} >= {"synthetic", "composite"}
sample = htnet.__path__[0] + "/assets/sample/"
prediction = htnet.predict(sample + "onset.png", sample + "apex.png", landmarks="template")
assert abs(sum(prediction.probabilities.values()) - 1) < 1e-5
assert "palsy" not in hint(sample + "onset.png")
assert optimize(load_pretrained("synthetic-mlp")).architecture == "FlowMLP"
recipe = Recipe(name="quick", epochs=1, batch_size=8)
result = loso(open_data(sys.argv[1]), out=sys.argv[2], recipe=recipe, model="htnet_tiny", progress=False)
assert len(result.samples) == 9, len(result.samples)
assert not {f"htnet.{wing}" for wing in WINGS} & set(sys.modules)
"""


@pytest.mark.slow
def test_a_wing_leaves_by_deleting_its_folder(tmp_path):
    root = tmp_path / "package" / "htnet"
    leave = shutil.ignore_patterns("__pycache__", *wings.WINGS)
    shutil.copytree(Path(htnet.__file__).parent, root, ignore=leave)
    write_flow_set(tmp_path / "set", 3, 3)

    def run(*words):
        environment = {**os.environ, "PYTHONPATH": str(root.parent)}
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("-W", "error::DeprecationWarning:htnet", "-c", WITHOUT, tmp_path / "set", tmp_path / "run")
    listed = run("-c", "from htnet.cli import build_parser, main; build_parser().print_help(); main(['list'])")
    assert "loso" in listed
    assert not OF_A_WING.search(listed)
