"""What is told where worker processes cannot be started."""

import errno
import os

import pytest

from htnet.core import parallel
from htnet.core.errors import RunError


def twice(shared, number):
    return 2 * number


@pytest.mark.parametrize("error", [BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)), RuntimeError("thread")])
def test_it_is_told_with_the_cure(monkeypatch, error):
    class Pool(parallel.ProcessPoolExecutor):
        def submit(self, *work):
            raise error

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Pool)
    with pytest.raises(RunError, match=r"2 worker processes cannot be started .*ulimit -u"):
        list(parallel.run_tasks(twice, None, [(1,), (2,)], 2))


def test_a_pool_that_cannot_be_made_is_told(monkeypatch):
    def none(*args, **settings):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", none)
    with pytest.raises(RunError, match=r"2 worker processes cannot be started .*ulimit -u"):
        list(parallel.run_tasks(twice, None, [(1,), (2,)], 2))


@pytest.mark.parametrize("forks", [True, False])
def test_a_thread_of_the_pool_that_cannot_be_started_is_told(monkeypatch, forks):
    """The end of the pool must not wait for it."""

    def none(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("concurrent.futures.process._ExecutorManagerThread.start", none)
    with pytest.raises(RunError, match=r"2 worker processes cannot be started .*ulimit -u"):
        list(parallel.run_tasks(twice, None, [(1,), (2,)], 2, forks=forks))
