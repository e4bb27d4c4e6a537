"""Running many independent tasks in this process or in several."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

from htnet.errors import InputError

Job = TypeVar("Job")
_SHARED: Any = None


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_jobs(jobs: int | None, tasks: int, device: str) -> int:
    """Number of processes: as asked, else one a core on the CPU (at most 8), one on a GPU.

    Raises:
        InputError: fewer than one was asked for.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs is {jobs}; give 1 or more.")
    wanted = jobs if jobs is not None else (min(cores(), 8) if device == "cpu" else 1)
    return max(1, min(wanted, tasks))


def _start_worker(shared: Any, threads: int, parent: int) -> None:
    global _SHARED
    _SHARED = shared
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """End this worker when its parent was killed, so that a resumed run never meets an old worker."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _call(function: Callable[..., None], args: tuple[Any, ...]) -> None:
    function(_SHARED, *args)


def run_tasks(
    function: Callable[..., None], shared: Any, tasks: Sequence[tuple[Any, ...]], jobs: int
) -> Iterator[tuple[Any, ...]]:
    """Call ``function(shared, *task)`` for each task and yield the tasks as they end.

    Args:
        function: a module-level function; it stores its own result.
        shared: its first argument, sent to each process once.
        tasks: the other arguments.
        jobs: number of processes; 1 runs everything here.

    Yields:
        Each task, when it has ended.
    """
    threads = max(1, cores() // jobs)
    if jobs == 1:
        for task in tasks:
            function(shared, *task)
            yield task
        return
    # spawn, not fork: a forked child inherits the state of PyTorch's thread pools and can hang.
    pool = ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=_start_worker, initargs=(shared, threads, os.getpid())
    )
    with pool:
        running: dict[Future[None], tuple[Any, ...]] = {pool.submit(_call, function, t): t for t in tasks}
        try:
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    yield running.pop(future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
