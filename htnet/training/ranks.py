"""Communication between the processes of one training, which `torchrun` or another launcher started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from htnet.core.errors import HtnetError, InputError, RunError, cause
from htnet.core.optional import several_processes

Found = TypeVar("Found")

#: Environment variables in which `torchrun` gives a process its rank and its group; other launchers can set them too.
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Ranks:
    """The processes of one training.

    Attributes:
        rank: number of this process, from 0. Only the first process writes files.
        size: number of processes.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    @property
    def writes(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def first(self, work: Callable[[], Found]) -> Found:
        """Call ``work`` in the first process only, and return its result in every process.

        Raises:
            HtnetError: raised by ``work`` in the first process.
        """
        told: list[Any] = [None]
        if self.writes:
            try:
                told = [work()]
            except HtnetError as error:
                told = [error]
        with _reached():
            dist.broadcast_object_list(told)
        if isinstance(told[0], HtnetError):
            raise told[0]
        found: Found = told[0]
        return found

    def check_same(self, value: object, what: str) -> None:
        """Check that a value is the same in all processes.

        Args:
            value: something small and picklable.
            what: name of the value, for the message.

        Raises:
            RunError: another process has a different value.
        """
        found: list[Any] = [None] * self.size
        with _reached():
            dist.all_gather_object(found, value)
        wrong = [str(rank) for rank, other in enumerate(found) if other != found[0]]
        if wrong:
            raise RunError(
                f"These ranks of the training differ from rank 0 in {what}: {', '.join(wrong)}. "
                "Give all processes the same files, options and versions."
            )

    def slice(self, count: int) -> slice:
        """This process's part of a batch of ``count`` samples."""
        each, more = divmod(count, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def sum(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by its sum over all processes, in place, and return it."""
        with _reached():
            dist.all_reduce(tensor)
        return tensor

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in place."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.sum(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))


@contextmanager
def _reached() -> Iterator[None]:
    """Raise `RunError` if another process does not answer.

    Raises:
        RunError: another process has ended, or takes too long.
    """
    try:
        yield
    except RuntimeError as error:  # of gloo
        raise RunError(
            "Another process of this training has ended or does not answer; see its messages above or on its machine. "
            "Run the same command again to resume the training."
        ) from error


def only_first(ranks: Ranks | None, work: Callable[[], Found]) -> Found:
    """Call `Ranks.first`, or ``work`` itself if there is only one process."""
    return work() if ranks is None else ranks.first(work)


@contextmanager
def joined_ranks(timeout: float = 600.0) -> Iterator[Ranks | None]:
    """Join the processes that `torchrun`, or a launcher that sets its variables, started with this one.

    Yields None if this process is the only one. The processes communicate by gloo, on the CPU.

    Args:
        timeout: seconds that a process waits for the others, at the start and at each step.

    Raises:
        InputError: the variables of torchrun are incomplete.
        RunError: the other processes cannot be reached.
    """
    if not (told := several_processes()):
        yield None
        return
    if missing := [name for name in VARIABLES if name not in os.environ]:
        raise InputError(
            f"{told} is {os.environ[told]}, so there are several processes, but {', '.join(missing)} is not set. Start "
            "them with torchrun, or set these variables in each process."
        )
    try:
        dist.init_process_group("gloo", timeout=timedelta(seconds=timeout))
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"The processes of torchrun cannot reach each other ({cause(error)}). Check MASTER_ADDR and MASTER_PORT."
        ) from error
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
