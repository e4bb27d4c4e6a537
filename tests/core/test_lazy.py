"""Names of a package that are loaded when first used."""

import importlib
import sys
import textwrap

import pytest

from htnet.core.wings import installed_wings


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose names are served, one of them beside names that it answered before."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "late.py").write_text("value = 3\n", "utf-8")
    (folder / "__init__.py").write_text(
        textwrap.dedent(
            """
            from htnet.core.lazy import serve_lazy_names

            def __getattr__(name):
                if name == "old":
                    return "known before"
                raise AttributeError(f"no {name}")

            serve_lazy_names(__name__, {"late": "value"})
            """
        ),
        "utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "served"
    for name in ("served", "served.late"):
        sys.modules.pop(name, None)


def test_names_come_when_they_are_used(package):
    served = __import__(package)
    assert "value" in dir(served)
    assert "served.late" not in sys.modules
    assert served.value == 3
    assert served.old == "known before"
    with pytest.raises(AttributeError, match="no nope"):
        _ = served.nope


@pytest.mark.parametrize("name", ["htnet.pipeline", *(f"htnet.{wing}" for wing in installed_wings())])
def test_every_public_name_is_served(name):
    module = importlib.import_module(name)
    assert set(module.__all__) <= set(dir(module))
    for public in module.__all__:
        getattr(module, public)
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nope'"):
        _ = module.nope
