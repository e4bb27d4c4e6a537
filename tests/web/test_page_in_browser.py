"""The page as a browser shows it, served by the command itself."""

import json
import os
import signal
import subprocess
import sys

import pytest

import htnet
from tests.support.browser import Browser, program
from tests.web.conftest import SAMPLE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="needs Chromium (on Debian: apt-get install chromium)"),
]
READY = "document.querySelector('#weights').options.length > 1"
ANSWERED = "!document.querySelector('#answer').hidden"
FAILED = "!document.querySelector('#error').hidden"
PAIR = (SAMPLE / "onset.png", SAMPLE / "apex.png")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A server that is ended by Ctrl-C, and then has left nothing behind."""
    pytest.importorskip("fastapi")
    folder = tmp_path_factory.mktemp("uploads")
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "htnet", "serve", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            yield server.stdout.readline().split()[0]
            assert [path.name for path in folder.rglob("*.*")] == [".lock"]
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0
            assert server.stderr.read() == "htnet serve: stopping\n"
            assert list(folder.iterdir()) == []
        finally:
            server.kill()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile"), offline=False) as browser:
        yield browser


def show(browser, url, **size):
    browser.open(f"{url}/", **size)
    browser.until(READY)


def ask_pair(browser):
    for name, file in zip(("onset", "apex"), PAIR, strict=True):
        browser.choose_files(f"#{name}", file)
    browser.click("#go")
    browser.until(f"{ANSWERED} || {FAILED}", 300)  # the first one may compile the flow
    assert browser.value(ANSWERED), browser.value("document.querySelector('#error').innerText")


def fetched(browser, selector):
    return browser.value(f"fetch(document.querySelector('{selector}').href).then(found => found.text())")


def test_a_pair_is_answered(browser, url):
    show(browser, url)
    ask_pair(browser)
    expected = htnet.Predictor("synthetic").pair(*PAIR)
    found = json.loads(fetched(browser, "#json-link"))
    assert found["prediction"] == expected.label == "positive"
    assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    assert '<p class="label">positive</p>' in fetched(browser, "#report-link")
    assert browser.value("document.querySelector('#report-link').download") == "onset.html"
    # The report is shown whole: it has told its height, so its script ran inside the frame.
    browser.until("parseInt(document.querySelector('#report').style.height) > 500")
    assert browser.faults == []
    assert all(address.startswith((url, "blob:", "data:")) for address in browser.requests)


def test_a_bad_file_is_told(browser, url, tmp_path):
    bad = tmp_path / "<i>bad.png"
    bad.write_bytes(b"no picture")
    show(browser, url)
    browser.choose_files("#onset", bad)
    browser.choose_files("#apex", PAIR[1])
    browser.click("#go")
    browser.until(FAILED)
    assert browser.value("document.querySelector('#error-type').textContent") == "FrameError"
    assert "bad.png is not an image" in browser.value("document.querySelector('#error-text').textContent")
    assert browser.value("document.activeElement.id") == "error"
    assert browser.value("document.querySelectorAll('i').length") == 0
    # And a next try is not in its way.
    ask_pair(browser)
    assert not browser.value(FAILED)
    assert browser.faults == []


def test_an_upload_that_is_too_large_is_not_sent(browser, url, tmp_path):
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(201 << 20)
    show(browser, url)
    browser.click("[value=video]")
    browser.choose_files("#video", large)
    browser.click("#go")
    browser.until(FAILED)
    assert browser.value("document.querySelector('#error-type').textContent") == "TooLargeError"
    assert f"{url}/api/answers" not in browser.requests


def focused(browser):
    """What has the focus, and whether that is seen."""
    script = (
        "(one => one.id || one.value || one.tagName)(document.activeElement) + ' ' + "
        "getComputedStyle(document.activeElement).outlineStyle"
    )
    return browser.value(script)


def test_the_keyboard_is_enough(browser, url):
    show(browser, url)
    order = []
    for _ in range(7):
        browser.strike("Tab")
        order.append(focused(browser))
    names = ["pair", "onset", "apex", "weights", "SUMMARY", "go", "example"]
    assert order == [f"{name} solid" for name in names]
    browser.strike("Enter")
    browser.until(ANSWERED)
    browser.until("document.activeElement.id == 'answer-title'")
    order = []
    for _ in range(2):
        browser.strike("Tab")
        order.append(focused(browser))
    assert order == ["report-link solid", "json-link solid"]
    # Back to the kind of source, which arrows change.
    browser.value("document.querySelector('[value=pair]').focus()")
    browser.strike("ArrowRight")
    assert browser.value("document.querySelector('#pair').hidden && !document.querySelector('#video-fields').hidden")
    browser.strike("Tab")
    assert focused(browser) == "video solid"
    assert browser.faults == []


@pytest.mark.parametrize("width", [320, 768])
def test_a_narrow_window_is_not_scrolled_sideways(browser, url, width):
    show(browser, url, width=width, height=700)
    assert browser.value("document.documentElement.scrollWidth") <= width
    ask_pair(browser)
    browser.value("document.querySelector('summary').click()")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.faults == []
