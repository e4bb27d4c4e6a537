"""Engines, which run independent tasks: in processes on this machine, or on the nodes of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from typing import Any, Protocol, TypeVar

from htnet.core.errors import InputError, refuse_unknown
from htnet.core.fields import optional, whole
from htnet.core.optional import ENGINES
from htnet.core.parallel import choose_workers, run_tasks
from htnet.core.ray_tasks import connectable, run_on_ray

Result = TypeVar("Result")
Task = tuple[Any, ...]
#: Returns the files of a task that the node on which it runs must have.
FilesOf = Callable[[Task], Iterable[str | PathLike[str]]]


class Engine(Protocol):
    """Runs independent tasks.

    Attributes:
        remote: whether tasks run on other machines. Remote tasks write no files and return their results.
    """

    remote: bool

    def run(
        self,
        function: Callable[..., Result],
        shared: Any,
        tasks: Sequence[Task],
        *,
        forks: bool = False,
        files: FilesOf = lambda task: (),
    ) -> Generator[tuple[Task, Result], None, None]:
        """Call ``function(shared, *task)`` for each task and yield each result once, in the order of completion.

        If an error can end the loop early, close the generator (`contextlib.closing`): this stops the tasks that are
        still running.

        Args:
            function: a module-level function.
            shared: its first argument.
            tasks: its other arguments, one tuple per task.
            forks: see `htnet.core.parallel.run_tasks`.
            files: returns the files that a task reads.
        """
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Processes on this machine.

    Attributes:
        workers: number of processes; None for one per core on the CPU (at most 8), one on a GPU.
        device: the device they compute on.
    """

    workers: int | None = 1
    device: str = "cpu"
    remote = False

    def run(
        self,
        function: Callable[..., Result],
        shared: Any,
        tasks: Sequence[Task],
        *,
        forks: bool = False,
        files: FilesOf = lambda task: (),
    ) -> Generator[tuple[Task, Result], None, None]:
        """See `Engine.run`."""
        return run_tasks(function, shared, tasks, choose_workers(self.workers, len(tasks), self.device), forks=forks)


@dataclass(frozen=True)
class RayEngine:
    """The nodes of a Ray cluster: each task takes one CPU and computes on one thread.

    A task whose node or process is lost is run again, at most `htnet.core.ray_tasks.RETRIES` times.

    Attributes:
        address: HOST:PORT of the cluster.
        device: "cpu", or "cuda" for tasks that take one GPU each.
    """

    address: str
    device: str = "cpu"
    remote = True

    def run(
        self,
        function: Callable[..., Result],
        shared: Any,
        tasks: Sequence[Task],
        *,
        forks: bool = False,
        files: FilesOf = lambda task: (),
    ) -> Generator[tuple[Task, Result], None, None]:
        """See `Engine.run`."""
        return run_on_ray(self.address, self.device == "cuda", function, shared, tasks, files)


def make_engine(
    engine: str = "local",
    address: str | None = None,
    workers: int | None = 1,
    device: str = "cpu",
    *,
    gpus: bool = False,
) -> Engine:
    """Create an engine and check its settings before any work starts.

    Args:
        engine: one of `ENGINES`.
        address: HOST:PORT of a Ray cluster; None for the address in the environment variable RAY_ADDRESS.
        workers: number of processes of the local engine.
        device: the device that tasks compute on.
        gpus: whether each task on a cluster can take a GPU.

    Raises:
        InputError: the engine is unknown, or one of the settings does not apply to it.
        MissingExtraError: Ray is not installed.
        RunError: nothing answers at the address within 5 s.
    """
    refuse_unknown([engine], ENGINES, "engine")
    optional(whole()).check("workers", workers)
    if engine == "local":
        if address is not None:
            raise InputError(f"address is {address!r}, which needs engine='ray' (--engine ray). Give both.")
        return LocalEngine(workers, device)
    if workers not in (None, 1):
        raise InputError(f"workers is {workers}, but Ray runs as many tasks as the cluster has CPUs. Leave it out.")
    if device not in ("cpu", "cuda") or (device == "cuda" and not gpus):
        cure = "give 'cpu', or 'cuda' for one GPU per task" if gpus else "these tasks run on the CPU: leave it out"
        raise InputError(f"The device is {device!r}; with the engine ray {cure}.")
    return RayEngine(connectable(address), device)


def in_order(
    engine: Engine,
    function: Callable[..., Result],
    shared: Any,
    tasks: Iterable[Task],
    files: FilesOf = lambda task: (),
) -> Generator[tuple[Task, Result], None, None]:
    """`Engine.run` with results in the order of the tasks; the local engine runs them one by one in this process."""
    if not engine.remote:
        for task in tasks:
            yield task, function(shared, *task)
        return
    wanted = list(tasks)
    place = {id(task): number for number, task in enumerate(wanted)}
    early: dict[int, tuple[Task, Result]] = {}
    turn = 0
    with closing(engine.run(function, shared, wanted, files=files)) as ran:
        for task, result in ran:
            early[place[id(task)]] = task, result
            while turn in early:
                yield early.pop(turn)
                turn += 1
