"""The page "Making the input": its pictures can be made again, and its table is the specification."""

import dataclasses
import importlib.util
import re

import numpy as np
import pytest

from htnet.core.types import PreprocessSpec
from tests.support.paths import ROOT

PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "input.md"


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_pictures", PICTURES / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_shown_and_small(make):
    shown = re.findall(r"!\[.+?\]\(pictures/(\w+)\.png\)", PAGE.read_text("utf-8"))
    assert sorted(shown) == sorted(make.NAMES)
    assert sorted(path.stem for path in PICTURES.glob("*.png")) == sorted([*make.NAMES, "demo"])  # that of README.md
    assert sum((PICTURES / f"{name}.png").stat().st_size for name in make.NAMES) < 300_000


@pytest.mark.slow
def test_the_script_makes_the_committed_pictures(make, tmp_path):
    """Fonts and libraries differ from machine to machine, so the pictures need to be alike only."""
    from skimage.io import imread
    from skimage.transform import resize

    make.main(tmp_path)
    for name in make.NAMES:
        made, kept = (
            resize(imread(folder / f"{name}.png"), (40, 80), anti_aliasing=True) for folder in (tmp_path, PICTURES)
        )
        assert np.abs(made - kept).mean() < 0.03, name


def test_the_table_holds_every_field_and_its_default():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \| .+\|$", PAGE.read_text("utf-8"), re.MULTILINE))
    fields = {field.name: field.default for field in dataclasses.fields(PreprocessSpec)}
    assert set(rows) == set(fields)
    for name, default in fields.items():
        if isinstance(default, (str, int)):
            assert rows[name].strip("`") == str(default), name
