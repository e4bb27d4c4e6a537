"""The site: what its generator does not check, and how its pages look in a browser at two widths."""

import importlib.util
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.support.browser import Browser, program
from tests.support.paths import ROOT
from tests.test_public_api import MODULES

DOCS = ROOT / "docs"
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
#: A desk and a telephone, px.
WIDTHS = (1280, 390)
#: Tables that are wider than their frame, of the page that is shown; and whether the page itself is too wide.
MEASURE = """(() => ({
    loaded: [...document.images].every(image => image.complete && image.naturalWidth > 0),
    page: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    wide: [...document.querySelectorAll('.md-typeset__scrollwrap')].filter(
        frame => frame.scrollWidth > frame.clientWidth).map(frame => frame.innerText.slice(0, 60)),
    free: [...document.querySelectorAll('.md-content table:not([class])')].filter(
        table => !table.closest('.md-typeset__scrollwrap')).length,
}))()"""


def pages(nav):
    """The files of a part of the navigation."""
    for entry in nav:
        for value in entry.values():
            yield from pages(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation_once_and_exists():
    """The generator leaves out what is missing without a word."""
    shown = list(pages(CONFIG["nav"]))
    assert sorted(shown) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_pictures_exist_and_are_described(page):
    for words, target in re.findall(r"!\[(.*?)\]\((.*?)\)", page.read_text("utf-8"), re.DOTALL):
        assert (page.parent / target).is_file(), target
        assert words, f"{target} has no description"


def test_home_has_a_picture():
    assert "![" in (DOCS / "index.md").read_text("utf-8")


def test_every_public_module_has_a_page():
    told = "\n".join(page.read_text("utf-8") for page in (DOCS / "api").glob("*.md"))
    parts = {name for name in MODULES if re.search(rf"^::: {re.escape(name)}(\.|$)", told, re.MULTILINE)}
    assert parts == set(MODULES)


@pytest.mark.slow
@pytest.mark.skipif(program() is None, reason="needs Chromium")
@pytest.mark.skipif(importlib.util.find_spec("zensical") is None, reason='needs pip install "htnet[docs]"')
def test_no_page_scrolls_sideways(tmp_path):
    for name in ("docs", "htnet"):
        ignored = shutil.ignore_patterns("__pycache__", "assets" if name == "htnet" else "*.pyc")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("mkdocs.yml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "out" / "site"
    found = sorted(site.rglob("index.html"))
    assert len(found) == len(list(pages(CONFIG["nav"])))
    with Browser(tmp_path / "profile") as browser:
        for page in found:
            browser.open(page, width=WIDTHS[0])
            browser.until("document.readyState == 'complete'")
            for width in WIDTHS:
                browser.resize(width)
                told = browser.value(MEASURE)
                where = f"{page.parent.relative_to(site)} at {width} px"
                assert told["page"] <= 0, f"{where} scrolls sideways"
                assert told["loaded"], f"a picture of {where} is missing"
                assert not told["free"], f"{where}: tables without a frame that scrolls"
                if width == max(WIDTHS):
                    assert not told["wide"], f"{where}: {told['wide']}"
            assert not [url for url in browser.requests if not url.startswith(("file:", "data:", "blob:"))]
