"""The queue of accepted requests: waiting and running ones, and the answers that are kept."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from htnet.core.errors import HtnetError
from htnet.web.settings import BusyError, EndedError, GoneError, ServeSettings
from htnet.web.worker import Answer, AnswerError, Question, Worker, told

#: Prefix of the temporary folder that holds uploads until they are processed.
FOLDER = "htnet-serve-"
# File that is locked while a server runs, so that the next server can recognize the folders of killed ones.
_LOCK = ".lock"
# Time for which a stopping server keeps answers that were not fetched, s.
_COLLECT = 10.0


class Asked(Protocol):
    """The methods of a `Worker` that the desk uses."""

    def ready(self) -> list[dict[str, str]]:
        """See `Worker.ready`."""

    def ask(
        self, question: Question, folder: Path, tell: Callable[[str, float], None], stopped: threading.Event
    ) -> Answer:
        """See `Worker.ask`."""

    def close(self) -> None:
        """See `Worker.close`."""


@dataclass(eq=False)
class Job:
    """A request from its acceptance to its answer.

    Attributes:
        name: random name in its URL, which cannot be guessed.
        question: what is asked.
        folder: folder of its files, which is removed when the job ends.
        state: "waiting", "working", "done" or "failed".
        stage: the current stage.
        time: time of the recording that the stage has reached, s.
        answer: the answer, if the job is done.
        error: the error, if the job failed; see `htnet.web.worker.told`.
        ended: when it ended, on the monotonic clock, s; None before.
        collected: whether the answer was fetched.
        done: set when the job has ended.
        stopped: set when the answer is no longer wanted.
    """

    name: str
    question: Question
    folder: Path
    state: str = "waiting"
    stage: str = ""
    time: float = 0.0
    answer: Answer | None = None
    error: dict[str, Any] | None = None
    ended: float | None = None
    collected: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: threading.Event = field(default_factory=threading.Event)

    def progress(self, stage: str, at: float) -> None:
        """Store the current stage and the time that it has reached, s."""
        self.stage, self.time = stage, at


class Desk:
    """Accepts requests up to a limit, passes them to workers in order, and keeps the answers for a while."""

    def __init__(self, settings: ServeSettings, worker: Callable[[ServeSettings], Asked] = Worker) -> None:
        self.settings = settings
        self.stopping = False
        self._make_worker = worker
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._arriving = 0
        self._working = 0
        self._some = asyncio.Condition()
        self._options: asyncio.Future[list[dict[str, str]]] | None = None
        self._workers: list[Asked] = []
        self._loops: list[asyncio.Task[None]] = []
        self.folder = Path()

    async def start(self) -> None:
        """Start the workers. They load the models while the page is already served."""
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=FOLDER))
        self._lock = FileLock(self.folder / _LOCK)
        self._lock.acquire(timeout=0)
        self._options = asyncio.get_running_loop().create_future()
        self._workers = [self._make_worker(self.settings) for _ in range(self.settings.workers)]
        self._loops = [asyncio.create_task(self._serve(one)) for one in self._workers]

    async def close(self) -> None:
        """Stop the workers and remove all files. Unfinished requests are lost."""
        self.stopping = True
        for job in self._jobs.values():
            job.stopped.set()
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        for worker in self._workers:
            with suppress(OSError, ValueError):
                worker.close()
        if self.folder != Path():
            self._lock.release()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def options(self) -> list[dict[str, str]]:
        """Wait until the models are loaded; returns the weights that are offered.

        Raises:
            AnswerError, RunError: the models cannot be loaded.
        """
        assert self._options is not None, "the desk has not been started"
        return await asyncio.shield(self._options)

    @property
    def load(self) -> dict[str, int]:
        """Number of waiting requests, including those being uploaded, and of running ones."""
        return {"waiting": len(self._waiting) + self._arriving, "working": self._working}

    @contextmanager
    def place(self) -> Iterator[None]:
        """Reserve a place in the queue while the files of a request arrive.

        Raises:
            BusyError: the queue is full, or the server is stopping.
        """
        if self.stopping:
            raise BusyError("This server is stopping and accepts no more requests. Use another one, or try later.")
        most = self.settings.workers + self.settings.queue
        if sum(self.load.values()) >= most:
            raise BusyError(f"All {most} places of this server are taken. Try again in a moment.")
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1

    def new_folder(self) -> Path:
        """A folder for the files of a request."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    async def accept(self, question: Question, folder: Path) -> Job:
        """Queue a request. Call it within `place`."""
        self._forget()
        job = Job(secrets.token_urlsafe(18), question, folder)
        self._jobs[job.name] = job
        self._waiting.append(job)
        async with self._some:
            self._some.notify()
        return job

    def find(self, name: str) -> Job:
        """A job by its name.

        Raises:
            GoneError: there is no such job, or it was deleted.
        """
        self._forget()
        if name not in self._jobs:
            raise GoneError(
                f"There is no such answer. Answers are deleted after {self.settings.keep_seconds:g} s. Send the files "
                "again."
            )
        return self._jobs[name]

    def place_of(self, job: Job) -> int:
        """Number of requests that wait in front of a job."""
        return self._waiting.index(job) if job in self._waiting else 0

    def drop(self, job: Job) -> None:
        """Cancel a job, or delete its answer."""
        job.stopped.set()
        if job in self._waiting:
            self._waiting.remove(job)
            shutil.rmtree(job.folder, ignore_errors=True)
            _end(job, told(EndedError("The request was cancelled.")))
        self._jobs.pop(job.name, None)

    def drained(self) -> bool:
        """Whether all requests are answered, and each answer was fetched or has waited long enough."""
        if self._arriving or self._waiting or self._working:
            return False
        now = time.monotonic()
        left = [job for job in self._jobs.values() if not job.collected]
        return all(job.ended is not None and now - job.ended > _COLLECT for job in left)

    def _forget(self) -> None:
        """Delete old answers."""
        now = time.monotonic()
        ended = [job for job in self._jobs.values() if job.ended is not None]
        old = [job for job in ended if now - (job.ended or 0.0) > self.settings.keep_seconds]
        many = sorted(ended, key=lambda job: job.ended or 0.0)[: max(0, len(ended) - self.settings.keep_answers)]
        for job in (*old, *many):
            self._jobs.pop(job.name, None)

    async def _serve(self, worker: Asked) -> None:
        """Pass requests to a worker, one after the other."""
        await self._load(worker)
        while True:
            async with self._some:
                await self._some.wait_for(lambda: bool(self._waiting))
                job = self._waiting.popleft()
                self._working += 1
            job.state = "working"
            error = None
            try:
                job.answer = await asyncio.to_thread(worker.ask, job.question, job.folder, job.progress, job.stopped)
            except AnswerError as found:
                error = found.told
            except Exception as found:
                error = told(found)
            finally:
                self._working -= 1
                # Delete the files first, so that they are gone once the answer is available.
                shutil.rmtree(job.folder, ignore_errors=True)
                _end(job, error)
                asyncio.get_running_loop().call_later(self.settings.keep_seconds + 1, self._forget)

    async def _load(self, worker: Asked) -> None:
        assert self._options is not None, "the desk has not been started"
        try:
            found = await asyncio.to_thread(worker.ready)
        except (AnswerError, HtnetError) as error:
            if not self._options.done():
                self._options.set_exception(error)
                self._options.exception()  # marks it as retrieved, in case nobody awaits it
            raise
        if not self._options.done():
            self._options.set_result(found)


def _sweep() -> None:
    """Remove the uploads that killed servers have left."""
    own = os.geteuid() if hasattr(os, "geteuid") else None
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        with suppress(OSError, Timeout):
            if os.path.islink(folder) or (own is not None and folder.stat().st_uid != own):
                continue
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder)


def _end(job: Job, error: dict[str, Any] | None) -> None:
    job.error, job.state = error, "done" if error is None else "failed"
    job.ended = time.monotonic()
    job.done.set()
