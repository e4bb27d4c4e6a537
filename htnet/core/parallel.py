"""Parallel work: independent tasks in one or several processes, and folder locks."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, nullcontext
from multiprocessing import current_process, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import torch

from htnet.core.errors import RunError, cause
from htnet.core.fields import optional, whole
from htnet.core.files import remove_partial, unwritable
from htnet.core.hints import as_command, in_command
from htnet.core.lazy import loading
from htnet.core.optional import named_device

Result = TypeVar("Result")
#: Name of the file by which a process locks a folder.
LOCK_FILE = ".lock"
_SHARED: Any = None
_COMMAND = False


#: Threads that `run_tasks` allows this worker.
_ALLOWED: int | None = None


def usable_threads() -> int:
    """Threads that one call may use here.

    PyTorch's number; 1 in a process that multiprocessing started, because it has siblings, unless `run_tasks` gave it
    more.
    """
    threads = torch.get_num_threads()
    if parent_process() is None:
        return threads
    return min(threads, _ALLOWED or 1)


#: The process in which PyTorch was set to work for htnet, None before.
_WORKS_IN: int | None = None


def refuse_after_fork() -> None:
    """Refuse to compute in a process that was forked after its parent had computed.

    PyTorch's threads do not survive a fork, and the process would wait for them forever. With one thread there are
    none to wait for.

    Raises:
        RunError: this is such a process, and PyTorch has more than one thread.
    """
    global _WORKS_IN
    if _WORKS_IN not in (None, os.getpid()) and torch.get_num_threads() > 1:
        raise RunError(
            f"This process ({os.getpid()}) was forked from one ({_WORKS_IN}) that had computed: PyTorch would hang. "
            "Start workers by spawn or forkserver (multiprocessing.get_context('spawn')), build predictors in the "
            "workers only (gunicorn: no preload_app), or call torch.set_num_threads(1) first in each worker."
        )
    _WORKS_IN = os.getpid()


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """Within it PyTorch computes on one thread of the CPU; nothing changes for other devices.

    Last digits depend on the number of threads, and the number of processes must not change them.
    """
    before = torch.get_num_threads()
    if named_device(device) != "cpu" or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _refuse_unguarded() -> None:
    """Refuse the work of a script in a process that only runs it to begin as a worker.

    Raises:
        RunError: this is such a process: the script is not guarded.
    """
    if getattr(current_process(), "_inheriting", False):
        raise RunError(
            "Each worker process runs the calling script again, and the script starts the same work there. Put what "
            'it does under `if __name__ == "__main__":`, or use one process (workers=1).'
        )


@contextmanager
def locked(folder: Path, *, below: bool = True) -> Iterator[None]:
    """Lock a folder for this process, and remove what a killed one left half written; it is created if needed.

    Args:
        folder: the folder.
        below: the process writes into its subfolders too.

    Raises:
        RunError: another process uses it, or the calling script is not guarded.
        InputError: it cannot be written.
    """
    _refuse_unguarded()
    # The lock is the operating system's: a killed process leaves none behind.
    with loading():
        from filelock import Timeout
        from huggingface_hub.utils import WeakFileLock

    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(WeakFileLock(folder / LOCK_FILE, timeout=2.0))
            remove_partial(folder, below=below)
        except Timeout as error:
            raise RunError(f"Another process is running in {folder}. Wait for it, or choose another --out.") from error
        except OSError as error:
            raise unwritable(folder, error) from error
        yield


def choose_workers(workers: int | None, tasks: int, device: str = "cpu") -> int:
    """Number of worker processes: as requested, otherwise one per core on the CPU (at most 8), one on a GPU.

    Raises:
        InputError: fewer than one was requested.
    """
    optional(whole()).check("workers", workers)
    wanted = workers if workers is not None else (min(cores(), 8) if named_device(device) == "cpu" else 1)
    return max(1, min(wanted, tasks))


def _start_worker(shared: Any, threads: int, parent: int, stop: Connection, command: bool) -> None:
    global _SHARED, _COMMAND, _ALLOWED
    _SHARED, _COMMAND, _ALLOWED = shared, command, threads
    torch.set_num_threads(threads)
    # Ctrl-C reaches the workers too; were they to die of it, the parent could mistake that for a crash.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # see `_without_interrupt`
    threading.Thread(target=_end_with_parent, args=(parent, stop), daemon=True).start()


def _end_with_parent(parent: int, stop: Connection) -> None:
    """End this worker when its parent says so or was killed: a resumed run must never meet an old worker."""
    # Nobody reads what is sent, so every worker sees it. The signals of multiprocessing wait for each process that was
    # waiting for them, also for one that has died meanwhile.
    while os.getppid() == parent and not stop.poll(0.3):
        pass
    os._exit(1)


def _call(function: Callable[..., Result], args: tuple[Any, ...]) -> Result:
    try:
        with as_command(_COMMAND):  # messages made here are shown by the parent
            return function(_SHARED, *args)
    except Exception as error:
        if can_be_sent(error):
            raise
        # The parent could not read it, and would take this process for one that was killed.
        raise unsent(error) from None


def unsent(error: Exception) -> RunError:
    """What another process is told instead of an error that it cannot read."""
    return RunError(
        f"A task failed with an error that cannot be sent to another process: {type(error).__name__} ({cause(error)}). "
        "Run it with one worker to see where."
    )


def can_be_sent(error: Exception) -> bool:
    """Whether another process can read the error."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False


def _can_fork() -> bool:
    """Whether processes that compute on one thread each can be forked here.

    PyTorch's threads, OpenBLAS's and OpenCV's do not survive a fork, and one thread needs none of them. But a lock that
    another thread holds stays held, and CUDA does not work in a fork. Only on Linux are forks what libraries expect.
    """
    alone = threading.active_count() == 1 and not torch.cuda.is_initialized()
    # Before 3.11 the pool may start processes after its own threads.
    return sys.platform == "linux" and sys.version_info >= (3, 11) and alone


def _start_fork(shared: bytes, *rest: Any) -> None:
    """Begin as a process that was started anew does: with what was sent."""
    _start_worker(pickle.loads(shared), *rest)


@contextmanager
def _forking() -> Iterator[None]:
    """Fork without threads of OpenCV: a fork that sets their number crashes where its parent had several (5.0.0)."""
    cv2 = sys.modules.get("cv2")
    before = 1 if cv2 is None else cv2.getNumThreads()
    try:
        if cv2 is not None and before != 1:
            cv2.setNumThreads(1)
        with warnings.catch_warnings():
            # Python 3.12 warns of the threads that are no harm here.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            yield
    finally:
        if cv2 is not None and before != 1:
            cv2.setNumThreads(before)


def run_tasks(
    function: Callable[..., Result],
    shared: Any,
    tasks: Sequence[tuple[Any, ...]],
    workers: int,
    *,
    forks: bool = False,
) -> Generator[tuple[tuple[Any, ...], Result], None, None]:
    """Call ``function(shared, *task)`` for each task and yield the answers as they come.

    The processes end with the iterator: who does not want all answers closes it (`contextlib.closing`).

    Args:
        function: a module-level function.
        shared: its first argument, sent to each process once.
        tasks: the other arguments.
        workers: number of processes; 1 runs everything here.
        forks: the function computes on one thread, with htnet's own code: where that is safe, the processes are forked,
            which saves the seconds that each needs to import PyTorch.

    Yields:
        Each task, when it has ended, and what the function returned.

    Raises:
        RunError: a process ended without an answer.
    """
    threads = max(1, cores() // workers)
    if workers == 1:
        for task in tasks:
            yield task, function(shared, *task)
        return
    _refuse_unguarded()
    # spawn as a rule: a forked child inherits the state of PyTorch's thread pools and can hang.
    forks = forks and _can_fork()
    context = get_context("fork" if forks else "spawn")
    with _starting(workers):
        heard, stop = context.Pipe(duplex=False)
    start, sent = (_start_fork, pickle.dumps(shared)) if forks else (_start_worker, shared)
    initargs = (sent, 1 if forks else threads, os.getpid(), heard, in_command())
    with _starting(workers):
        pool = ProcessPoolExecutor(workers, context, initializer=start, initargs=initargs)
    with heard, stop, pool:
        begun = False
        try:
            with _starting(workers), _without_interrupt(), _forking() if forks else nullcontext():
                running: dict[Future[Result], tuple[Any, ...]] = {pool.submit(_call, function, t): t for t in tasks}
            begun = True
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise RunError(
                "A process ended without an answer: it was killed (short of memory?), or the calling script is not "
                'guarded by `if __name__ == "__main__":`. Run the same again, with fewer workers if memory is short.'
            ) from error
        except BaseException:  # interrupted, or the rest is not wanted
            stop.send_bytes(b"stop")
            raise
        finally:
            pool.shutdown(wait=begun, cancel_futures=True)  # a thread that could not be started cannot be waited for


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Have processes that are started within it begin deaf to Ctrl-C, until they say what they do with it.

    Here it comes a moment later. Windows has nothing like it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _starting(workers: int) -> Iterator[None]:
    """Tell that processes, or the threads and files that they need, cannot be had."""
    try:
        yield
    except BrokenProcessPool:
        raise
    except (OSError, RuntimeError) as error:
        raise RunError(
            f"{workers} worker processes cannot be started ({cause(error)}). Use fewer (--workers, workers=), or allow "
            "more processes and open files (ulimit -u, ulimit -n)."
        ) from error
