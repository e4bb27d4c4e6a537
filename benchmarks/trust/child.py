"""A function in a forked process, which can be stopped, killed and limited; what became of it; what it was writing."""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htnet.core import files
from htnet.core.errors import HtnetError

#: Bytes of the place that a child shares with its parent.
_ROOM = 8192


@dataclass(frozen=True)
class End:
    """How a child ended.

    Attributes:
        status: 0 for a result, 1 for an error, the negative number of the signal that ended it.
        kind: name of the error's class; "" for a result.
        typed: the error is htnet's.
        message: of the error.
        where: its traceback.
        seconds: how long it ran.
    """

    status: int
    kind: str = ""
    typed: bool = False
    message: str = ""
    where: str = ""
    seconds: float = 0.0


class Child:
    """A function in a process of its own, from which it inherits all imports.

    It notes in shared memory which file it is writing, and the number of files that it has begun.
    """

    def __init__(self, function: Callable[[], object], limit: Callable[[], None] = lambda: None) -> None:
        self._shared = mmap.mmap(-1, _ROOM)
        self._began = time.monotonic()
        answer, told = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(answer)
            self._run(function, limit, told)
        os.close(told)
        self._answer = answer

    def writing(self) -> tuple[int, str]:
        """Number of files that were begun, and the one being written; "" between two."""
        text = bytes(self._shared[:_ROOM]).split(b"\0", 1)[0].decode("utf-8", "replace")
        number, _, path = text.partition(" ")
        return int(number or 0), path

    def kill(self) -> tuple[int, str]:
        """Stop it, look at what it is writing, and kill it; returns that."""
        os.kill(self.pid, signal.SIGSTOP)
        at = self.writing()
        os.kill(self.pid, signal.SIGKILL)
        return at

    def ended(self) -> bool:
        """Whether it has ended; its status is kept for `end`."""
        info = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return info is not None

    def end(self, patience: float = 600.0) -> End:
        """Wait for its end; it is killed after ``patience`` seconds."""
        limit = self._began + patience
        while not self.ended():
            if time.monotonic() > limit:
                os.kill(self.pid, signal.SIGKILL)
                break
            time.sleep(0.005)
        seconds = time.monotonic() - self._began
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # its workers, if any are left
        with os.fdopen(self._answer, "rb") as file:
            text = file.read()
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._shared.close()
        if code < 0 or not text:
            return End(code or 1, seconds=seconds)
        return End(**json.loads(text), seconds=seconds)

    def _note(self, number: int, path: str) -> None:
        text = f"{number} {path}".encode()[: _ROOM - 1]
        self._shared[: len(text) + 1] = text + b"\0"

    def _run(self, function: Callable[[], object], limit: Callable[[], None], told: int) -> None:
        said: dict[str, Any] = {"status": 0}
        try:
            os.setsid()
            faulthandler.disable()
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            self._watch_files()
            limit()
            function()
        except BaseException as error:
            typed = isinstance(error, HtnetError)
            where = traceback.format_exc()[-3000:]
            said = {"status": 1, "kind": type(error).__name__, "typed": typed, "message": str(error), "where": where}
        finally:
            text = json.dumps(said).encode()
            while text:
                text = text[os.write(told, text) :]
            os._exit(0)

    def _watch_files(self) -> None:
        create, replace = files._create, os.replace
        count = 0

        def creating(partial: Path, mode: int) -> int | None:
            nonlocal count
            count += 1
            self._note(count, str(sys._getframe(1).f_locals["path"]))
            return create(partial, mode)

        def replacing(source: Any, target: Any) -> None:
            replace(source, target)
            self._note(count, "")

        files._create, os.replace = creating, replacing
