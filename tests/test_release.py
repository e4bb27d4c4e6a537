"""What is published beside the code: terms, versions, workflows."""

import re

import pytest

from htnet import __version__
from htnet.hub import RESEARCH_ONLY, list_pretrained
from tests.support.paths import ROOT

WEIGHTS = ROOT / "htnet" / "assets" / "weights"
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_terms_of_all_that_ships_are_in_the_metadata():
    terms = re.search(r'^license = "(.*)"$', PROJECT, re.M).group(1).split(" AND ")
    assert terms == ["Apache-2.0", "MIT", "LicenseRef-htnet-research-only-weights"]
    files = re.search(r"^license-files = \[(.*)\]$", PROJECT, re.M).group(1)
    for name in re.findall(r'"(.*?)"', files):
        assert (ROOT / name).is_file(), name


def test_the_text_names_all_weights_that_are_for_research_only():
    text = (WEIGHTS / "LICENSE-research-only").read_text("utf-8")
    named = set(re.findall(r"^    (\S+)$", text, re.M))
    assert named == {spec.name for spec in list_pretrained() if spec.sha256 and spec.license == RESEARCH_ONLY}


def test_the_citation_has_the_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (.*)$", text, re.M).group(1) == __version__


def test_workflows_try_every_python_that_is_named():
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with the docs extra")
    flows = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")}
    matrix = flows["ci"]["jobs"]["fast"]["strategy"]["matrix"]["python"]
    whole = re.findall(r"^python:(3\.\d+)-", flows["ci"]["jobs"]["whole"]["container"])
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)
    assert sorted(matrix + whole) == sorted(named)
    tried = flows["release"]["jobs"]["try"]["strategy"]["matrix"]["python"]
    assert tried == [named[0], named[-1]]
    # Publishing needs no secret, and no other job may do it.
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    allowed = {name: job.get("permissions", {}) for name, job in flows["release"]["jobs"].items()}
    assert [name for name, given in allowed.items() if "id-token" in given] == ["publish"]


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/getting-started.md"])
def test_until_it_is_released_the_first_commands_are_those_of_a_clone(page):
    """With the first version in the list of changes, these pages begin with `pip install htnet`."""
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.search(r"^## \[\d", changes, re.M) is not None
    first = re.search(r"^```bash\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S).group(1)
    assert first.startswith("pip install htnet" if released else "pip install .")


@pytest.mark.parametrize("page", ["README.md", "docs/getting-started.md"])
def test_those_without_a_gpu_are_told_where_the_small_build_is(page):
    assert "https://pytorch.org/get-started/locally/" in (ROOT / page).read_text("utf-8")
