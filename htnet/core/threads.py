"""Threads that a call starts for itself: none outlives the call, and all calls together use at most PyTorch's number.

There is no permanent pool, so nothing hangs after a fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar

from htnet.core.parallel import usable_threads

Result = TypeVar("Result")
#: Number of threads of this process that compute now, over all calls.
_busy = 0
_busy_lock = threading.Lock()


def _forked() -> None:
    global _busy, _busy_lock
    _busy, _busy_lock = 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


@contextmanager
def spare_threads(wanted: int) -> Iterator[int]:
    """The number of threads that this call may start, so that all calls together use at most `usable_threads`."""
    global _busy
    taken = 0
    try:
        with _busy_lock:
            free = max(0, min(wanted, usable_threads() - _busy - 1))
            # No call separates the two statements, so an interrupt comes before or after both.
            taken = free + 1
            _busy += taken
        yield free
    finally:
        with _busy_lock:
            _busy -= taken


@contextmanager
def beside(work: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    """Run ``work`` in a thread while the caller does other things, if a thread is free.

    Args:
        work: the function to run. Its result must not depend on the thread it runs in.

    Yields:
        A function that returns the result of ``work`` or raises its error. If no thread was free, it calls ``work``
        itself. The thread has ended when the block is left. An error is lost if the function is not called.
    """
    found, errors = list[Result](), list[BaseException]()
    context = copy_context()

    def run() -> None:
        try:
            found.append(context.run(work))
        except BaseException as error:  # raised in the thread that asks for the result
            errors.append(error)

    with spare_threads(1) as free:
        thread = threading.Thread(target=run, daemon=True) if free else None
        if thread is not None:
            try:
                thread.start()
            except RuntimeError:  # the system cannot create another thread
                thread = None

        def result() -> Result:
            if thread is None:
                return work()
            thread.join()
            if errors:
                raise errors[0]
            return found[0]

        try:
            yield result
        finally:
            if thread is not None:
                thread.join()
