"""Commands in processes that cost no imports: each is forked from one that has made them."""

import json
import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver, get_context

#: Reads the words of a command a line, runs it in a fork, writes the fork's number and then its status.
SERVER = """
import json, os, sys
import torch._dynamo  # by the first optimizer
import htnet.evaluation, htnet.data.prepare, htnet.training
from htnet import cli
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        status = 99
        try:
            status = cli.main(json.loads(line))
        finally:
            os._exit(status)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class WarmCommands:
    """Runs commands one after the other, each in a process of its own."""

    def __enter__(self) -> "WarmCommands":
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # a process of more threads must not be forked
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stdin.close()
        self._server.wait(60)
        self._server.stdout.close()

    def run(self, *words: object, limit: float | None = None) -> int | None:
        """The status of a command, or None where it was killed because it ran longer than ``limit`` seconds."""
        self._server.stdin.write((json.dumps([str(word) for word in words]) + "\n").encode())
        child = self._number()
        if limit is not None and not select.select([self._server.stdout], [], [], limit)[0]:
            os.kill(child, signal.SIGKILL)
        status = self._number()
        return None if status == -signal.SIGKILL else status

    def _number(self) -> int:
        return int(self._server.stdout.readline())


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
