"""Threads that one call starts for itself: none outlives it, and all calls together keep to PyTorch's number.

No pool is kept, so nothing hangs after a fork.
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
#: Threads of this process that compute, over all calls.
_busy = 0
_busy_lock = threading.Lock()


def _forked() -> None:
    global _busy, _busy_lock
    _busy, _busy_lock = 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


@contextmanager
def spare_threads(wanted: int) -> Iterator[int]:
    """Threads that this call may start: so many that all calls together keep to `usable_threads`."""
    global _busy
    taken = 0
    try:
        with _busy_lock:
            free = max(0, min(wanted, usable_threads() - _busy - 1))
            # Nothing is called between the two: an interrupt comes before or after both.
            taken = free + 1
            _busy += taken
        yield free
    finally:
        with _busy_lock:
            _busy -= taken


@contextmanager
def beside(work: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    """Have something computed in a thread while the caller does other things, if a thread is spare.

    Args:
        work: computes the same whether it runs in another thread, beside the caller, or in this one.

    Yields:
        What returns the result of ``work`` or raises its error; without a spare thread it is computed then. The thread
        has ended when the block is left. An error is lost if its result is not asked for.
    """
    found, errors = list[Result](), list[BaseException]()
    context = copy_context()

    def run() -> None:
        try:
            found.append(context.run(work))
        except BaseException as error:  # told by the thread that asks
            errors.append(error)

    with spare_threads(1) as free:
        thread = threading.Thread(target=run, daemon=True) if free else None
        if thread is not None:
            try:
                thread.start()
            except RuntimeError:  # the system gives no more threads
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
