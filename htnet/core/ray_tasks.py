"""Tasks on the nodes of a Ray cluster.

Only the process that the user started writes results. If Ray runs a task twice, as it does when a node is lost, the
task counts once.
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

#: How often a task is run again if its process or node is lost.
RETRIES = 3
#: Seconds within which a cluster must answer. `ray.init` itself waits for minutes.
ANSWERS_WITHIN = 5.0
# Seconds between two checks of the nodes.
_LOOK_EVERY = 2.0
#: Environment variable with the cluster's address; Ray sets it for programs that are submitted to the cluster.
ADDRESS_VARIABLE = "RAY_ADDRESS"
#: Packages whose versions affect results.
_PACKAGES = ("torch", "numpy", "opencv-python-headless", "numba", "av")
#: Environment variables of htnet that affect results.
_VARIABLES = ("HTNET_YUNET_MODEL",)
#: Start of an HTTP/2 connection, the protocol that Ray uses: the preface of RFC 9113, 3.4, and empty settings.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
_SETTINGS = 4


def connectable(address: str | None) -> str:
    """Check that a Ray cluster answers, and return its address.

    Args:
        address: HOST:PORT; None for the address in the environment variable RAY_ADDRESS.

    Raises:
        InputError: there is no address, or it does not have the form HOST:PORT.
        MissingExtraError: Ray is not installed.
        RunError: nothing answers within `ANSWERS_WITHIN` seconds, or the answer is not Ray's.
    """
    require("ray", "ray", "The engine ray")
    given = address if address is not None else os.environ.get(ADDRESS_VARIABLE)
    cure = "Give HOST:PORT, as `ray start --head` printed it: --address (in Python address=)."
    if not given:
        raise InputError(f"The engine ray needs the address of a cluster. {cure}")
    if not isinstance(given, str):
        raise InputError(f"The address of the cluster is {given!r}, which is no text. {cure}")
    host, mark, port = given.rpartition(":")
    if "/" in given or not mark or not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        client = " Ray Client (ray://) is not used: run htnet on a machine of the cluster." if "://" in given else ""
        raise InputError(f"The address of the cluster is {given!r}. {cure}{client}")
    try:
        answer = _greet(host.strip("[]"), int(port))
    except (OSError, ValueError) as error:  # ValueError: a host that cannot be the name of one
        raise RunError(
            f"No Ray cluster answers at {given} ({cause(error)}, after at most {ANSWERS_WITHIN:.0f} s). Start one with "
            f"`ray start --head`, or check --address."
        ) from error
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise RunError(f"The server at {given} is not a Ray cluster. Check --address.")
    return given


def _greet(host: str, port: int) -> bytes:
    """The first bytes of a server's answer to an HTTP/2 greeting."""
    with socket.create_connection((host, port), timeout=ANSWERS_WITHIN) as link:
        link.sendall(_GREETING)
        return link.recv(9)


def versions() -> dict[str, str]:
    """Versions, in this process, of the packages that affect results."""
    found = {"htnet": __version__}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    # Flow and registration have a compiled and a plain version, whose results differ by about 1e-4 px.
    return found | {"machine code": "by numba" if native_loops() else "none"}


@dataclass(frozen=True)
class _Work:
    """The data that all tasks of a run share, as they are sent to the nodes.

    Attributes:
        versions: `versions` of the process that the user started.
        folder: working folder of that process.
        variables: values of `_VARIABLES` in that process.
        command: whether messages name commands instead of Python calls.
        content: function and first argument, pickled.
    """

    versions: dict[str, str]
    folder: str
    variables: dict[str, str]
    command: bool
    content: bytes

    def begin(self) -> tuple[Callable[..., Any], Any]:
        """Give this process the settings of the sender; return the function and its first argument."""
        here = versions()
        differ = [name for name in sorted({*self.versions, *here}) if self.versions.get(name) != here.get(name)]
        if differ:
            named = (f"{name} {here.get(name, 'none')}, not {self.versions.get(name, 'none')}" for name in differ)
            raise RunError(
                f"The node {socket.gethostname()} has {', '.join(named)}: its results would differ. Install the same "
                "versions on all nodes."
            )
        with suppress(OSError):  # a missing folder does no harm: files are first looked up by their absolute path
            os.chdir(self.folder)
        for name in _VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(self.variables)
        # A copy for this process: arrays in Ray's object store are shared by processes, and PyTorch can modify them.
        function, shared = pickle.loads(self.content)
        return function, shared


@dataclass(frozen=True)
class _Answer:
    """The outcome of a task.

    Attributes:
        result: the return value of the function.
        error: the error that it raised instead.
        warnings: category and text of each warning.
    """

    result: Any = None
    error: Exception | None = None
    warnings: tuple[tuple[type[Warning], str], ...] = ()


#: The current work of this process, by its name: function, first argument, and whether messages name commands.
_BEGUN: dict[str, tuple[Callable[..., Any], Any, bool]] = {}


def _run_here(place: list[Any], name: str, packed: bytes, files: dict[str, int]) -> _Answer:
    """Run one task, in a process on a node."""
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
    """Compute on one thread: sums over several threads round differently, and Ray's processes keep their setting."""
    torch.set_num_threads(1)
    if (cv2 := sys.modules.get("cv2")) is not None:
        cv2.setNumThreads(1)


def _told(seen: Iterable[warnings.WarningMessage]) -> tuple[tuple[type[Warning], str], ...]:
    return tuple((one.category, str(one.message)) for one in seen if issubclass(one.category, UserWarning))


def _sizes(files: Iterable[str | PathLike[str]]) -> dict[str, int]:
    """Sizes of files, and numbers of entries in folders, by absolute path; readers report missing files later."""
    paths = [Path(file).absolute() for file in files]
    return {
        str(path): len(os.listdir(path)) if os.path.isdir(path) else path.stat().st_size
        for path in paths
        if os.path.exists(path)
    }


def _check_files(files: dict[str, int]) -> None:
    """Refuse to work on a node that lacks files: samples would be skipped on this node only."""
    here = _sizes(files)
    wrong = [name for name, size in files.items() if here.get(name) != size]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise RunError(
            f"The node {socket.gethostname()} lacks {wrong[0]}{more}, or has a different file there. Give all nodes of "
            "the cluster the same files under the same paths, for instance by a network file system."
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
        gpu: whether each task takes a GPU.
        function: see `htnet.core.engines.Engine.run`, as for the following arguments.
        shared: its first argument.
        tasks: its other arguments, one tuple per task.
        files: returns the files that a task reads.

    Raises:
        RunError: this machine is not a node of the cluster, a node has other versions or lacks files, or a task was
            lost more than `RETRIES` times.
        HtnetError: the error that the function raised.
    """
    if not tasks:
        return
    ray: Any = require("ray", "ray", "The engine ray")
    with _connected(ray, address):
        if gpu and not ray.cluster_resources().get("GPU"):
            raise RunError(f"The cluster at {address} has no GPU, which --device cuda needs. Use --device cpu.")
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
                with suppress(Exception):  # the connection itself may be lost
                    ray.cancel(left, force=True)


class _LostNodes:
    """Warns about nodes that are lost while tasks run; Ray detects a lost node after 10 to 16 s."""

    def __init__(self, ray: Any) -> None:
        self._ray, self._seen, self._next = ray, set[str](), 0.0

    def tell(self) -> None:
        """Check the nodes, unless they were checked less than `_LOOK_EVERY` seconds ago."""
        if time.monotonic() < self._next:
            return
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        if gone := self._seen - alive:
            warn_user(f"{counted(len(gone), 'node')} of the Ray cluster lost, {len(alive)} left. Lost tasks run again.")
        self._seen, self._next = alive, time.monotonic() + _LOOK_EVERY


def _result(ray: Any, found: Any, address: str) -> Any:
    """The return value of a task; its warnings are issued here, and its error is raised."""
    try:
        answer: _Answer = ray.get(found)
    except ray.exceptions.RayTaskError as error:
        raise RunError(
            f"A node of the cluster at {address} cannot run htnet ({cause(error.cause)}). Install the same htnet and "
            "its dependencies on all nodes."
        ) from error
    except ray.exceptions.RayError as error:
        raise RunError(
            f"A task on the cluster at {address} was lost {RETRIES + 1} times ({type(error).__name__}): its nodes or "
            "processes ended, for instance because of low memory. Finished results are kept; run the same again."
        ) from error
    for category, text in answer.warnings:
        warn_user(text, category)
    if answer.error is not None:
        raise answer.error
    return answer.result


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """A connection to the cluster; if the program is already connected, that connection is used."""
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
    """Keep Ray's own messages about lost nodes, which have 30 lines, off standard output.

    ``log_to_driver=False`` does not suppress them (Ray 2.60). `_LostNodes` reports lost nodes instead.
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
