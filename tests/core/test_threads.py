"""Threads that a call starts for itself."""

import threading

import pytest

from htnet.core import threads
from htnet.core.threads import beside, spare_threads


@pytest.fixture(params=[1, 2], ids=["alone", "with a spare thread"])
def allowed(request, monkeypatch):
    monkeypatch.setattr(threads, "usable_threads", lambda: request.param)
    return request.param


def test_the_result_is_that_of_the_work(allowed):
    where = []

    def work():
        where.append(threading.current_thread())
        return 7

    with beside(work) as result:
        assert result() == 7
    assert (where[0] is threading.main_thread()) == (allowed == 1)
    assert threads._busy == 0


def test_an_error_is_raised_where_the_result_is_asked_for(allowed):
    def work():
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"), beside(work) as result:
        result()
    assert threads._busy == 0


def test_an_error_of_the_block_comes_first_and_the_thread_has_ended(allowed):
    """As for points that are refused while the motion between the frames is measured."""
    ended = threading.Event()

    def work():
        ended.wait(0.05)
        ended.set()
        raise ValueError("of the work")

    with pytest.raises(KeyError, match="of the block"), beside(work):
        raise KeyError("of the block")
    assert ended.is_set() == (allowed == 2)
    assert threads._busy == 0


def test_work_within_work_takes_no_more_threads_than_there_are(allowed):
    names = set()

    def inner():
        names.add(threading.get_ident())
        return 1

    def outer():
        names.add(threading.get_ident())
        with beside(inner) as result:
            return result() + 1

    with beside(outer) as result, spare_threads(5) as free:
        assert free == 0
        assert result() == 2
    assert len(names) == 1


def test_without_threads_of_the_system_the_work_is_done_here(monkeypatch):
    """As in a container with a limit of processes."""

    class Limited(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "usable_threads", lambda: 2)
    monkeypatch.setattr(threads.threading, "Thread", Limited)
    with beside(threading.get_ident) as result:
        assert result() == threading.get_ident()
    assert threads._busy == 0


def test_the_work_knows_what_the_caller_said(allowed):
    from htnet.core.hints import as_command, in_command

    with as_command(True), beside(in_command) as result:
        assert result()
