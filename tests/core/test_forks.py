"""Workers that are forked: where that is safe, and that they compute as their parent does, whatever it did before."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from htnet.core import parallel
from htnet.core.parallel import _can_fork

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no worker is forked")
#: The pool of older Pythons may start processes after its own threads, so htnet starts them anew there.
forks = pytest.mark.skipif(sys.version_info < (3, 11), reason="no worker is forked before Python 3.11")

#: OpenCV and PyTorch have used four threads when the workers start.
PROGRAM = """
import hashlib, os
import cv2, numpy as np, torch
from htnet.core import parallel
from htnet.preprocess import tvl1_flow


def work(shared, number):
    frames = np.random.default_rng(number).integers(0, 256, (2, 40, 48), dtype=np.uint8)
    blurred = cv2.GaussianBlur(np.kron(frames[0], np.ones((40, 40), np.uint8)), (0, 0), 9)
    product = torch.from_numpy(np.float32(frames[0])) @ torch.from_numpy(np.float32(frames[1].T))
    found = blurred.tobytes(), product.numpy().tobytes(), tvl1_flow(*frames).numpy().tobytes()
    return hashlib.sha256(b"".join(found)).hexdigest(), os.getppid(), torch.get_num_threads(), cv2.getNumThreads()


cv2.setNumThreads(4)
torch.set_num_threads(4)
cv2.GaussianBlur(np.ones((2000, 2000), np.uint8), (0, 0), 9)
torch.ones(1000, 1000) @ torch.ones(1000, 1000)
torch.ones(4000, 1000).sin().sum()
tasks = [(number,) for number in range(6)]
found = dict(parallel.run_tasks(work, None, tasks, 2, forks=True))
assert len({process for process, *_ in found.values()}) == 6
assert {rest[0] for _, *rest in found.values()} == {os.getpid()}, "they were forked from here"
assert {tuple(rest[1:]) for _, *rest in found.values()} == {(1, 1)}
assert (cv2.getNumThreads(), torch.get_num_threads()) == (4, 4), "as before"
torch.set_num_threads(1)
for task, (answer, *_) in found.items():
    assert answer == work(None, *task)[0]
"""


@pytest.mark.slow
@forks
def test_forked_workers_compute_the_same_after_any_use_of_threads(warm_python):
    done = warm_python.run(PROGRAM, limit=120)
    assert (done.returncode, done.stderr) == (0, "")


def started(monkeypatch, forks):
    """How the workers of a call are started."""

    class StoppedError(Exception):
        pass

    def stop(method):
        raise StoppedError(method)

    monkeypatch.setattr(parallel, "get_context", stop)
    with pytest.raises(StoppedError) as caught:
        next(parallel.run_tasks(print, None, [(1,), (2,)], 2, forks=forks))
    return str(caught.value)


def test_workers_are_forked_only_where_it_is_asked_for_and_safe(monkeypatch):
    monkeypatch.setattr(parallel, "_can_fork", lambda: True)
    assert started(monkeypatch, True) == "fork"
    assert started(monkeypatch, False) == "spawn"
    monkeypatch.setattr(parallel, "_can_fork", lambda: False)
    assert started(monkeypatch, True) == "spawn"


def test_where_it_is_safe(monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert _can_fork() == (sys.version_info >= (3, 11))
    with monkeypatch.context() as patch:
        patch.setattr(parallel.torch.cuda, "is_initialized", lambda: True)
        assert not _can_fork()
    with monkeypatch.context() as patch:
        patch.setattr(parallel.sys, "platform", "darwin")
        assert not _can_fork()
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not _can_fork()


#: The loop over the answers ends early, with a worker that is there no more.
LOST = """
import os, signal, time
from htnet.core import parallel


def work(shared, number):
    time.sleep(60 * number)
    return os.getpid()


answers = parallel.run_tasks(work, None, [(0,), (1,)], 2, forks=True)
_, worker = next(answers)
time.sleep(1)  # by now its thread waits for the word to stop
os.kill(worker, signal.SIGKILL)
answers.close()
"""


@pytest.mark.slow
@forks
def test_the_end_waits_for_no_worker_that_is_gone(warm_python):
    done = warm_python.run(LOST, limit=60)
    assert (done.returncode, done.stderr) == (0, "")


#: What one task raises can be sent, but not read: it takes two arguments.
UNREADABLE = """
from htnet.core import parallel
from htnet.core.errors import RunError


class OddError(Exception):
    def __init__(self, what, where):
        super().__init__(what)


def work(shared, number):
    raise OddError("of this task", number)


try:
    list(parallel.run_tasks(work, None, [(0,), (1,)], 2, forks=True))
except RunError as error:
    print(error)
"""


@pytest.mark.slow
@forks
def test_an_error_that_cannot_be_read_elsewhere_is_told(warm_python):
    done = warm_python.run(UNREADABLE, limit=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "A task failed with an error that cannot be sent to another process: OddError (an error in __main__)."
    )


#: Workers that are started anew import PyTorch first.
STARTING = """
import signal
import time
from htnet.core import parallel

# Shells have commands in the background ignore it, and what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def work(shared, number):
    time.sleep(60)


if __name__ == "__main__":
    try:
        print("starts", flush=True)
        list(parallel.run_tasks(work, None, [(0,), (1,)], 2))
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.slow
def test_workers_that_are_being_started_hear_no_interrupt(tmp_path):
    (tmp_path / "starting.py").write_text(STARTING, "utf-8")
    words = [sys.executable, str(tmp_path / "starting.py")]
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes, start_new_session=True, env={**os.environ, "PYTHONPATH": path}) as process:
        assert process.stdout.readline() == "starts\n"
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does
        out, err = process.communicate(timeout=60)
    assert (out, err) == ("interrupted\n", "")
