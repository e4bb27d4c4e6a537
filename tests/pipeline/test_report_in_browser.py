"""The report as a browser shows it."""

import re

import pytest

from htnet.export import write_report
from tests.support.browser import Browser, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="needs Chromium (on Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def report(analyzed, tmp_path_factory):
    return write_report(analyzed[0], tmp_path_factory.mktemp("report") / "two.html")


def seconds_shown(browser):
    """Where the timeline begins and ends, s."""
    times = re.findall(r"(\d+):([\d.]+)", browser.value("document.getElementById('where').textContent"))
    first, last, _ = (60 * int(minutes) + float(seconds) for minutes, seconds in times)
    return first, last


def length_shown(browser):
    first, last = seconds_shown(browser)
    return last - first


def test_it_needs_no_network_and_has_no_errors(browser, report, analyzed):
    browser.open(report)
    assert browser.faults == []
    other = [url for url in browser.requests if not url.startswith("data:image/jpeg")]
    assert other == [report.resolve().as_uri()]
    marks = browser.value("document.querySelectorAll('#timeline rect[data-event]').length")
    assert marks == len(analyzed[0].events)
    assert browser.value("document.querySelectorAll('#timeline path.curve').length") > 5
    assert browser.value("document.querySelectorAll('#timeline').length") == 1


def test_what_is_wrong_in_a_page_is_seen(browser, tmp_path):
    """The test above can fail."""
    (tmp_path / "a.html").write_text("<img src='http://example.org/a.png'><script>none()</script>")
    browser.open(tmp_path / "a.html")
    assert "http://example.org/a.png" in browser.requests
    assert len(browser.faults) >= 2


def test_the_timeline_zooms_by_keyboard(browser, report, analyzed):
    browser.open(report)
    whole = length_shown(browser)
    assert whole == pytest.approx(analyzed[0].duration, abs=0.02)
    browser.press("+")
    near = length_shown(browser)
    assert near == pytest.approx(0.6 * whole, abs=0.03)
    first, last = seconds_shown(browser)
    browser.press("-")
    assert length_shown(browser) == pytest.approx(whole, abs=0.03)
    browser.press("+")
    browser("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    browser.settle()
    later = seconds_shown(browser)
    assert later[0] > first
    assert later[1] > last
    browser.press("0")
    assert length_shown(browser) == pytest.approx(whole, abs=0.02)
    assert browser.faults == []


def test_the_timeline_zooms_by_button(browser, report):
    browser.open(report)
    whole = length_shown(browser)
    browser.click("[data-key='+']")
    assert length_shown(browser) == pytest.approx(0.6 * whole, abs=0.03)
    browser.click("[data-key='-']")
    assert length_shown(browser) == pytest.approx(whole, abs=0.03)
    browser.click("[data-key='+']")
    browser.click("[data-key='0']")
    assert length_shown(browser) == pytest.approx(whole, abs=0.02)
    assert browser.faults == []


@pytest.mark.parametrize("faces", [True, False])
def test_pictures_of_events_are_shown(browser, analyzed, tmp_path, faces):
    browser.open(write_report(analyzed[0], tmp_path / "a.html", faces=faces))
    sizes = browser.value("[...document.images].map(one => [one.complete, one.naturalWidth, one.alt])")
    assert len(sizes) == (3 if faces else 1) * len(analyzed[0].expressions)
    assert all(complete and width for complete, width, _ in sizes)
    shown = {name.split()[0].lower().strip(",:") for _, _, name in sizes}
    assert ("onset" in shown) == faces
    assert browser.faults == []


@pytest.mark.parametrize("width", [360, 768])
def test_a_narrow_window_is_not_scrolled_sideways(browser, report, width):
    browser.open(report, width=width, height=740)
    assert browser.value("innerWidth") == width
    assert browser.value("document.documentElement.scrollWidth") <= width
    browser.press("+")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.faults == []
