"""Programs in processes that cost no imports: each is forked from one that has made them."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import forkserver, get_context

#: Is handed one end of a socket. For each program that comes through it, it forks one that tells the program's number
#: and, when that has ended, its status. The program runs as by ``python -c``, but for what has been imported.
SERVER = """
import json, os, signal, socket, sys, traceback
import torch._dynamo  # by the first optimizer
import htnet.evaluation, htnet.data.prepare, htnet.training, htnet.pipeline.analysis_files
from htnet import cli


def status_of(code, words, environment, folder):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["-c", *words]
    try:
        exec(compile(code, "<string>", "exec"), vars(sys.modules["__main__"]))
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return 1 if isinstance(end.code, str) else int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def run(program, streams):
    os.setsid()  # its own group, so that signals to all of it reach nobody else
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    status = 99
    try:
        status = status_of(*program)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


link = socket.socket(fileno=int(sys.argv[1]))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
while True:
    text, streams, *_ = socket.recv_fds(link, 1 << 16, 4)
    while text and not text.endswith(b"\\n"):
        text += link.recv(1 << 16)
    if not text:
        break
    if os.fork() == 0:
        link.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        answers = streams.pop()
        program = os.fork()
        if program == 0:
            os.close(answers)
            run(json.loads(text), streams)
        for stream in streams:
            os.close(stream)
        os.write(answers, b"%d\\n" % program)
        os.write(answers, b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(program, 0)[1]))
        os._exit(0)
    for stream in streams:
        os.close(stream)
"""

#: A command of htnet.
COMMAND = "import sys; from htnet.cli import main; sys.exit(main(sys.argv[1:]))"
#: The same, whose workers are forked too. The killed `htnet prepare` has workers that are started anew.
FORKING = f"""
import multiprocessing
from htnet.core import parallel
parallel.get_context = lambda method: multiprocessing.get_context("fork")
{COMMAND}
"""


class WarmPython:
    """Starts programs, each in a process of its own."""

    def __enter__(self) -> "WarmPython":
        self._link, theirs = socket.socketpair()
        with theirs:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # a process of more threads must not be forked
            words = [sys.executable, "-c", SERVER, str(theirs.fileno())]
            self._server = subprocess.Popen(words, pass_fds=[theirs.fileno()], env=environment)
        return self

    def __exit__(self, *error: object) -> None:
        self._link.close()
        self._server.wait(60)

    def start(self, code: str, *words: object, env: dict | None = None, cwd: object = None) -> "Running":
        """Start a program as ``python -c code words`` would."""
        environment = dict(os.environ) if env is None else env
        text = json.dumps([code, [str(word) for word in words], environment, str(cwd or os.getcwd())]).encode() + b"\n"
        stdin, stdout, stderr, answers = (os.pipe() for _ in range(4))
        theirs = [stdin[0], stdout[1], stderr[1], answers[1]]
        sent = socket.send_fds(self._link, [text], theirs)
        self._link.sendall(text[sent:])
        for end in theirs:
            os.close(end)
        return Running(os.fdopen(stdin[1], "w"), *(os.fdopen(end, "r") for end, _ in (stdout, stderr, answers)))

    def run(self, code: str, *words: object, limit: float = math.inf, **where: object) -> subprocess.CompletedProcess:
        """Run a program, and kill it when ``limit`` seconds have passed."""
        running = self.start(code, *words, **where)
        timer = threading.Timer(min(limit, threading.TIMEOUT_MAX), running.kill)
        timer.daemon = True
        timer.start()
        try:
            return running.end()
        finally:
            timer.cancel()


class Running:
    """A program that was started.

    Attributes:
        stdin: what it reads.
        stdout: what it prints.
        pid: of its process, the first of its group.
    """

    def __init__(self, stdin, stdout, stderr, answers):
        self.stdin, self.stdout, self._stderr, self._answers = stdin, stdout, stderr, answers
        self.pid = int(answers.readline())
        self._threads = ThreadPoolExecutor(2)
        self._status = self._threads.submit(lambda: int(answers.readline()))
        self._errors = self._threads.submit(stderr.read)

    def has_ended(self) -> bool:
        return self._status.done()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> subprocess.CompletedProcess:
        """Wait for its end; the status is -SIGKILL where it was killed."""
        self.stdin.close()
        with self._threads, self.stdout, self._stderr, self._answers:
            said, status = self.stdout.read(), self._status.result()
            return subprocess.CompletedProcess((), status, said, self._errors.result())


class WarmPool(ProcessPoolExecutor):
    """Workers that cost no imports: each is forked from a process that has made them.

    They get their work as spawned ones do. Those are tested where a test starts the program itself.
    """

    def __init__(self, workers, context, initializer, initargs):
        shared, threads, _, stop, command = initargs
        context = get_context("forkserver")
        context.set_forkserver_preload(["torch._dynamo", "htnet.data.prepare", "htnet.evaluation"])
        forkserver.ensure_running()
        # A worker ends when the process dies that started it, which is the server here.
        parent = forkserver._forkserver._forkserver_pid
        super().__init__(workers, context, initializer, (shared, threads, parent, stop, command))
