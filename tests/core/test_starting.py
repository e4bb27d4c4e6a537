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
