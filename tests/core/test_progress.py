"""Progress bars."""

import threading

import pytest

from htnet.core import progress
from htnet.core.progress import progress_bar, ticker


@pytest.fixture(autouse=True)
def _as_on_a_terminal(monkeypatch):
    monkeypatch.setattr(progress, "_disabled", lambda show: not show)


def test_a_bar_is_drawn_anew_only_where_something_changed(capfd):
    with ticker(10, "working", "s") as tick:
        for _ in range(50):
            tick(3, "one.mp4")
        once = capfd.readouterr().err.count("one.mp4")
        tick(4, "one.mp4")
        tick(4, "two.mp4")
    after = capfd.readouterr().err
    assert once == 1
    assert "4/10" in after
    assert "two.mp4" in after


def test_seconds_have_no_rate(capfd):
    for unit, rate in (("s", False), ("recording", True)):
        with ticker(10, "working", unit) as tick:
            tick(10, "one.mp4")
        said = capfd.readouterr().err
        assert ("10/10 s [" in said) != rate
        assert ("/s," in said or "/s]" in said) == rate
        assert "one.mp4" in said


def test_bars_start_no_thread(monkeypatch):
    """Where there is another thread, no process is forked: preparing 100 samples then takes four times as long."""
    from huggingface_hub.utils import tqdm

    # Where none was started by another part of the program.
    monkeypatch.setattr(tqdm, "monitor", None)
    before = threading.active_count()
    for _ in progress_bar([1, 2], "working"):
        with ticker(10, "working", "s"):
            assert threading.active_count() == before
    assert tqdm.monitor is None
