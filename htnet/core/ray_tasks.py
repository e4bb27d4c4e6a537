"""Tasks on the nodes of a Ray cluster.

The process that was started by the user is the only one that writes results: a task that Ray runs twice, as it does
when a node is lost, counts once.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import torch

from htnet._version import __version__
from htnet.core.errors import HtnetError, InputError, RunError, cause
from htnet.core.hints import as_command, in_command
from htnet.core.lazy import loading
from htnet.core.native import native_loops
from htnet.core.optional import require
from htnet.core.parallel import can_be_sent, unsent
from htnet.core.warn import warn_user
from htnet.core.words import counted

Result = TypeVar("Result")
Task = tuple[Any, ...]

#: How often a task is run again whose process or node was lost.
RETRIES = 3
#: Seconds within which a cluster must answer. `ray.init` itself waits for minutes.
ANSWERS_WITHIN = 5.0
# Seconds between two looks at the nodes.
_LOOK_EVERY = 2.0
#: Variable that names the cluster's address; Ray sets it for programs that were submitted to it.
ADDRESS_VARIABLE = "RAY_ADDRESS"
#: Packages whose version decides results.
_PACKAGES = ("torch", "numpy", "opencv-python-headless", "numba", "av")
#: Variables of htnet that decide results.
_VARIABLES = ("HTNET_YUNET_MODEL",)
#: How HTTP/2 begins, which Ray speaks: the preface of RFC 9113, 3.4, and empty settings.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
_SETTINGS = 4


def connectable(address: str | None) -> str:
    """The address of a Ray cluster, after a look whether one answers.

    Args:
        address: HOST:PORT; None for what the variable RAY_ADDRESS names.

    Raises:
        InputError: there is no address, or one of another form.
        MissingExtraError: Ray is not installed.
        RunError: nothing answers within `ANSWERS_WITHIN` seconds, or something else than Ray.
    """
    require("ray", "ray", "The engine ray")
    given = address if address is not None else os.environ.get(ADDRESS_VARIABLE)
    cure = "Give HOST:PORT, as `ray start --head` printed it: --address (in Python address=)."
    if not given:
        raise InputError(f"The engine ray needs the address of a cluster. {cure}")
    host, mark, port = given.rpartition(":")
    if "/" in given or not mark or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        client = " Ray Client (ray://) is not used: run htnet on a machine of the cluster." if "://" in given else ""
        raise InputError(f"The address of the cluster is {given!r}. {cure}{client}")
    try:
        answer = _greet(host.strip("[]"), int(port))
    except OSError as error:
        raise RunError(
            f"No Ray cluster answers at {given} ({cause(error)}, after at most {ANSWERS_WITHIN:.0f} s). Start one with "
            f"`ray start --head`, or check --address."
        ) from error
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise RunError(f"What answers at {given} is no Ray cluster. Check --address.")
    return given


def _greet(host: str, port: int) -> bytes:
    """The first bytes that a server answers to HTTP/2."""
    with socket.create_connection((host, port), timeout=ANSWERS_WITHIN) as link:
        link.sendall(_GREETING)
        return link.recv(9)


def versions() -> dict[str, str]:
    """Versions of what decides results, of this process."""
    found = {"htnet": __version__}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    # Flow and registration have two forms, whose results differ by some 1e-4 px.
    return found | {"machine code": "by numba" if native_loops() else "none"}


@dataclass(frozen=True)
class _Work:
    """What all tasks of a run have in common, as it is sent.

    Attributes:
        versions: of the process that was started by the user; likewise all others.
        folder: its current folder.
        variables: its `_VARIABLES`.
        command: whether messages are those of a command.
        content: function and first argument, pickled.
    """

    versions: dict[str, str]
    folder: str
    variables: dict[str, str]
    command: bool
    content: bytes

    def begin(self) -> tuple[Callable[..., Any], Any]:
        """Make this process like the one that sent the work; function and first argument."""
        here = versions()
        differ = [name for name in sorted({*self.versions, *here}) if self.versions.get(name) != here.get(name)]
        if differ:
            named = (f"{name} {here.get(name, 'none')}, not {self.versions.get(name, 'none')}" for name in differ)
            raise RunError(
                f"The node {socket.gethostname()} has {', '.join(named)}: results would not be the same. Install the "
                "same versions on all nodes."
            )
        with suppress(OSError):  # files that are asked for are looked for by their whole path first
            os.chdir(self.folder)
        for name in _VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(self.variables)
        # A copy for this process: arrays in Ray's object store are shared by all, and PyTorch can write into them.
        function, shared = pickle.loads(self.content)
        return function, shared


@dataclass(frozen=True)
class _Answer:
    """What a task gives back.

    Attributes:
        result: what the function returned.
        error: what it raised instead.
        warnings: category and text of its warnings.
    """

    result: Any = None
    error: Exception | None = None
    warnings: tuple[tuple[type[Warning], str], ...] = ()


#: The work that this process does, by its name.
_BEGUN: dict[str, tuple[Callable[..., Any], Any, bool]] = {}


def _run_here(place: list[Any], name: str, packed: bytes, files: dict[str, int]) -> _Answer:
    """Run one task; in a process of a node."""
    with loading():
        import ray

    seen: list[warnings.WarningMessage] = []
    try:
        if name not in _BEGUN:
            work = ray.get(place[0])
            _BEGUN.clear()
            _BEGUN[name] = (*work.begin(), work.command)
        function, shared, command = _BEGUN[name]
        _use_one_thread()
        _check_files(files)
        with as_command(command), warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always", UserWarning)
            return _Answer(function(shared, *pickle.loads(packed)), warnings=_told(seen))
    except Exception as error:
        if can_be_sent(error):
            return _Answer(error=error, warnings=_told(seen))
        return _Answer(error=unsent(error))


def _use_one_thread() -> None:
    """Sums split over threads are rounded otherwise, and Ray's processes keep the threads of their first task."""
    torch.set_num_threads(1)
    if (cv2 := sys.modules.get("cv2")) is not None:
        cv2.setNumThreads(1)


def _told(seen: Iterable[warnings.WarningMessage]) -> tuple[tuple[type[Warning], str], ...]:
    return tuple((one.category, str(one.message)) for one in seen if issubclass(one.category, UserWarning))


def _sizes(files: Iterable[str | PathLike[str]]) -> dict[str, int]:
    """Size of files, and number of files in folders, by the whole path; what is missing here its reader tells."""
    paths = [Path(file).absolute() for file in files]
    return {
        str(path): len(os.listdir(path)) if os.path.isdir(path) else path.stat().st_size
        for path in paths
        if os.path.exists(path)
    }


def _check_files(files: dict[str, int]) -> None:
    """Refuse to work on a node that lacks files: a sample would be left out there, and not elsewhere."""
    here = _sizes(files)
    wrong = [name for name, size in files.items() if here.get(name) != size]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise RunError(
            f"The node {socket.gethostname()} lacks {wrong[0]}{more}, or has another file there. Give all nodes of the "
            "cluster the same files under the same paths, for instance by a network file system."
        )


def run_on_ray(
    address: str,
    gpu: bool,
    function: Callable[..., Result],
    shared: Any,
    tasks: Sequence[Task],
    files: Callable[[Task], Iterable[str | PathLike[str]]],
) -> Generator[tuple[Task, Result], None, None]:
    """`htnet.core.engines.Engine.run` on a Ray cluster.

    Args:
        address: HOST:PORT.
        gpu: each task takes a GPU.
        function: see `htnet.core.engines.Engine.run`; likewise the others.
        shared: its first argument.
        tasks: the other arguments.
        files: what a task reads.

    Raises:
        RunError: this machine is no node of the cluster, a node has other versions or lacks files, or a task was lost
            more than `RETRIES` times.
        HtnetError: what the function raised.
    """
    if not tasks:
        return
    ray: Any = require("ray", "ray", "The engine ray")
    with _connected(ray, address):
        if gpu and not ray.cluster_resources().get("GPU"):
            raise RunError(f"The cluster at {address} has no GPU, which --device cuda asks for. Use --device cpu.")
        variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        content = ray.cloudpickle.dumps((function, shared))
        place = [ray.put(_Work(versions(), os.getcwd(), variables, in_command(), content))]
        call = ray.remote(_run_here).options(num_cpus=1, num_gpus=int(gpu), max_retries=RETRIES, retry_exceptions=False)
        name = uuid.uuid4().hex
        running = {
            call.remote(place, name, ray.cloudpickle.dumps(task), _sizes(files(task))): number
            for number, task in enumerate(tasks)
        }
        try:
            lost = _LostNodes(ray)
            while running:
                ray.wait(list(running), num_returns=1, timeout=_LOOK_EVERY)
                ended, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
                lost.tell()
                for found in ended:
                    task = tasks[running.pop(found)]
                    yield task, _result(ray, found, address)
        finally:
            for left in running:
                with suppress(Exception):  # the connection may be what is lost
                    ray.cancel(left, force=True)


class _LostNodes:
    """Warns of nodes that are lost while tasks run; Ray counts them as lost after 10 to 16 s."""

    def __init__(self, ray: Any) -> None:
        self._ray, self._seen, self._next = ray, set[str](), 0.0

    def tell(self) -> None:
        """Look at the nodes, unless that was done a moment ago."""
        if time.monotonic() < self._next:
            return
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        if gone := self._seen - alive:
            warn_user(f"{counted(len(gone), 'node')} of the Ray cluster lost, {len(alive)} left. Its tasks run again.")
        self._seen, self._next = alive, time.monotonic() + _LOOK_EVERY


def _result(ray: Any, found: Any, address: str) -> Any:
    """What a task returned; its warnings are given here, and its error is raised."""
    try:
        answer: _Answer = ray.get(found)
    except ray.exceptions.RayTaskError as error:
        raise RunError(
            f"A node of the cluster at {address} cannot run htnet ({cause(error.cause)}). Install the same htnet, with "
            "what it needs, on all nodes."
        ) from error
    except ray.exceptions.RayError as error:
        raise RunError(
            f"A task on the cluster at {address} was lost {RETRIES + 1} times ({type(error).__name__}): its nodes or "
            "processes ended, for instance short of memory. What is finished is kept; run the same again."
        ) from error
    for category, text in answer.warnings:
        warn_user(text, category)
    if answer.error is not None:
        raise answer.error
    return answer.result


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """A connection to the cluster: the program's own one if it has one."""
    if ray.is_initialized():
        there = ray.get_runtime_context().gcs_address
        if there != address:
            raise RunError(f"This program is connected to the Ray cluster at {there}, not to {address}. Use that one.")
        yield
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except HtnetError:
        raise
    except Exception as error:
        raise RunError(
            f"The Ray cluster at {address} cannot be used from this machine ({cause(error)}): run htnet on one of its "
            "nodes, or add this machine with `ray start --address ...`; all need the same versions of Python and Ray."
        ) from error
    try:
        with _without_messages(ray):
            yield
    finally:
        ray.shutdown()


@contextmanager
def _without_messages(ray: Any) -> Iterator[None]:
    """Keep Ray's own messages on lost nodes, of 30 lines, off standard output.

    ``log_to_driver=False`` does not (2.60); `_LostNodes` tells of them.
    """
    worker = ray._private.worker
    before = getattr(worker, "print_to_stdstream", None)
    if before is None:
        yield
        return
    worker.print_to_stdstream = lambda *args, **options: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before
