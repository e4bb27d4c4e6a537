"""The report of an evaluation as a browser shows it."""

import pytest

import htnet
from htnet.data import open_data
from tests.support.browser import Browser, program
from tests.support.flows import write_flow_set
from tests.support.runs import write_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="needs Chromium (on Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    write_flow_set(root / "set", subjects=4, per_subject=4, datasets=("a", "b"))
    run = write_run(root / "run", open_data(root / "set"), {"last": 1.0, "nested": 1.1, "best_on_test": 2.5})
    return htnet.report(run)


@pytest.mark.parametrize("width", [1280, 360])
def test_it_is_readable_in_wide_and_narrow_windows_without_a_network(browser, page, width):
    browser.open(page, width=width)
    assert browser.faults == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert browser.value("document.documentElement.scrollWidth <= window.innerWidth"), "nothing beyond the edge"
    # Wide tables scroll within their own frame.
    outside = "[...document.querySelectorAll('.verdict')].filter(box => box.scrollWidth > box.clientWidth + 1).length"
    assert browser.value(outside) == 0
    size = "parseFloat(getComputedStyle(document.querySelector('.chart text')).fontSize)"
    scale = "document.querySelector('.chart').getBoundingClientRect().width / 420"
    assert browser.value(f"{size} * {scale}") >= 8, "text of charts"
    assert browser.value("document.querySelectorAll('.leaks').length") >= 2
    assert browser.value("[...document.images].every(one => one.complete && one.naturalWidth === 28)")


def test_on_paper_everything_is_shown(browser, page):
    browser.open(page, width=718)  # A4 within its margins
    browser.value("document.querySelectorAll('details').forEach(one => one.open = false)")
    browser("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.value("document.querySelector('details table').getBoundingClientRect().height") > 100
        cut = "[...document.querySelectorAll('.wide')].filter(one => one.scrollWidth > one.clientWidth + 1).length"
        assert browser.value(cut) == 0
        assert browser.value("document.querySelector('td.meter').getBoundingClientRect().width") > 20
    finally:
        browser("Emulation.setEmulatedMedia", media="")
