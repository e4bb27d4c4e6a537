"""Parallel work: independent tasks in one or more processes, and folder locks."""

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
#: Name of the lock file of a folder.
LOCK_FILE = ".lock"
_SHARED: Any = None
_COMMAND = False


#: Number of threads that `run_tasks` allows in this worker.
_ALLOWED: int | None = None


def usable_threads() -> int:
    """Number of threads that one call may use here.

    This is PyTorch's number of threads. In a process that multiprocessing started it is 1, because such a process has
    siblings, unless `run_tasks` allowed more.
    """
    threads = torch.get_num_threads()
    if parent_process() is None:
        return threads
    return min(threads, _ALLOWED or 1)


#: Id of the process in which htnet has computed with PyTorch; None before.
_WORKS_IN: int | None = None


def refuse_after_fork() -> None:
    """Refuse to compute in a process that was forked after its parent had computed.

    PyTorch's threads do not survive a fork, and the process would wait for them forever. With one thread there is
    nothing to wait for.

    Raises:
        RunError: this is such a process, and PyTorch uses more than one thread.
    """
    global _WORKS_IN
    if _WORKS_IN not in (None, os.getpid()) and torch.get_num_threads() > 1:
        raise RunError(
            f"This process ({os.getpid()}) was forked from a process ({_WORKS_IN}) that had already computed: PyTorch "
            "would hang. Start workers by spawn or forkserver (multiprocessing.get_context('spawn')), create "
            "predictors only in the workers (gunicorn: no preload_app), or call torch.set_num_threads(1) first in each "
            "worker."
        )
    _WORKS_IN = os.getpid()


def cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """Context manager in which PyTorch computes on one CPU thread; it changes nothing for other devices.

    The last digits of results depend on the number of threads, and must not depend on the number of processes.
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
    """Refuse to start work in a worker process that is still importing the calling script.

    Raises:
        RunError: this is such a process: the script lacks the guard ``if __name__ == "__main__":``.
    """
    if getattr(current_process(), "_inheriting", False):
        raise RunError(
            "Each worker process imports the calling script, and the script starts the same work there. Put its "
            'statements under `if __name__ == "__main__":`, or use one process (workers=1).'
        )


@contextmanager
def locked(folder: Path, *, below: bool = True) -> Iterator[None]:
    """Lock a folder for this process, and remove partial files that a killed process left there.

    Args:
        folder: the folder; it is created if needed.
        below: whether the process also writes into subfolders.

    Raises:
        RunError: another process uses the folder, or the calling script lacks the guard ``if __name__ == "__main__":``.
        InputError: the folder cannot be written.
    """
    _refuse_unguarded()
    # The operating system releases the lock when a process is killed.
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
    """Number of worker processes: as requested, otherwise one per core on the CPU (at most 8), or one on a GPU.

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
    # Ctrl-C also reaches the workers; if it ended them, the parent could mistake that for a crash.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # see `_without_interrupt`
    threading.Thread(target=_end_with_parent, args=(parent, stop), daemon=True).start()


def _end_with_parent(parent: int, stop: Connection) -> None:
    """End this worker when its parent requests it or was killed: a resumed run must never meet an old worker."""
    # The message stays in the pipe because no worker receives it, so every worker sees it. multiprocessing's own
    # synchronization would wait for each waiting process, including one that has died meanwhile.
    while os.getppid() == parent and not stop.poll(0.3):
        pass
    os._exit(1)


def _call(function: Callable[..., Result], args: tuple[Any, ...]) -> Result:
    try:
        with as_command(_COMMAND):  # the parent shows messages created here
            return function(_SHARED, *args)
    except Exception as error:
        if can_be_sent(error):
            raise
        # The parent could not unpickle the error, and would assume that this process was killed.
        raise unsent(error) from None


def unsent(error: Exception) -> RunError:
    """The error that is sent to another process instead of one that cannot be pickled."""
    return RunError(
        f"A task failed with an error that cannot be sent to another process: {type(error).__name__} ({cause(error)}). "
        "Run it with one worker to see where."
    )


def can_be_sent(error: Exception) -> bool:
    """Whether the error can be pickled and sent to another process."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False


def _can_fork() -> bool:
    """Whether processes that compute on one thread each can be forked here.

    The threads of PyTorch, OpenBLAS and OpenCV do not survive a fork, but a process that computes on one thread does
    not need them. However, a lock that another thread holds would stay locked, and CUDA does not work after a fork.
    Only on Linux do libraries expect forks.
    """
    alone = threading.active_count() == 1 and not torch.cuda.is_initialized()
    # Before Python 3.11 the pool may start processes after its own threads.
    return sys.platform == "linux" and sys.version_info >= (3, 11) and alone


def _start_fork(shared: bytes, *rest: Any) -> None:
    """Start a forked worker with an unpickled copy of the shared data, as a spawned worker has."""
    _start_worker(pickle.loads(shared), *rest)


@contextmanager
def _forking() -> Iterator[None]:
    """Set OpenCV to one thread while forking.

    In OpenCV 5.0.0, a fork that sets the number of threads crashes if its parent had several.
    """
    cv2 = sys.modules.get("cv2")
    before = 1 if cv2 is None else cv2.getNumThreads()
    try:
        if cv2 is not None and before != 1:
            cv2.setNumThreads(1)
        with warnings.catch_warnings():
            # Python 3.12 warns about threads that are harmless here.
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
    """Call ``function(shared, *task)`` for each task and yield the results in the order of completion.

    The processes end with the generator: close it (`contextlib.closing`) if not all results are consumed.

    Args:
        function: a module-level function.
        shared: its first argument, sent once to each process.
        tasks: its other arguments, one tuple per task.
        workers: number of processes; 1 runs everything in this process.
        forks: whether the function computes on one thread, with htnet's own code. If so, and if it is safe, the
            processes are forked, which saves the seconds that each would need to import PyTorch.

    Yields:
        Each finished task, and what the function returned.

    Raises:
        RunError: a process ended without a result.
    """
    threads = max(1, cores() // workers)
    if workers == 1:
        for task in tasks:
            yield task, function(shared, *task)
        return
    _refuse_unguarded()
    # Spawn by default: a forked child inherits the state of PyTorch's thread pools and can hang.
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
                "A worker process ended without a result: it was killed (out of memory?), or the calling script has no "
                'guard `if __name__ == "__main__":`. Run the same again, with fewer workers if memory is short.'
            ) from error
        except BaseException:  # interrupted, or the generator was closed
            stop.send_bytes(b"stop")
            raise
        finally:
            pool.shutdown(wait=begun, cancel_futures=True)  # a thread that could not be started cannot be waited for


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Block Ctrl-C (SIGINT) in processes that are started inside, until they set their own handler.

    In this process the signal is only delayed. Windows has no signal masks.
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
    """Report that worker processes, or the threads and files that they need, cannot be created."""
    try:
        yield
    except BrokenProcessPool:
        raise
    except (OSError, RuntimeError) as error:
        raise RunError(
            f"{workers} worker processes cannot be started ({cause(error)}). Use fewer (--workers, workers=), or allow "
            "more processes and open files (ulimit -u, ulimit -n)."
        ) from error
