"""Training by several processes that `torchrun` or another launcher started: what they tell each other."""

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

#: Variables by which `torchrun` tells a process who it is; other launchers can set them too.
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Ranks:
    """The processes of one training.

    Attributes:
        rank: number of this process, from 0. The first one alone writes files.
        size: number of processes.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    @property
    def writes(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def first(self, work: Callable[[], Found]) -> Found:
        """What ``work`` returns in the first process; there alone it is called.

        Raises:
            HtnetError: it did there.
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
        """Refuse to go on where the processes differ.

        Args:
            value: small and picklable.
            what: what it is, for the message.

        Raises:
            RunError: the value of another process is another one.
        """
        found: list[Any] = [None] * self.size
        with _reached():
            dist.all_gather_object(found, value)
        wrong = [str(rank) for rank, other in enumerate(found) if other != found[0]]
        if wrong:
            raise RunError(
                f"The processes of this training have other {what} than the first one: {', '.join(wrong)}. "
                "Give all the same files, options and versions."
            )

    def slice(self, count: int) -> slice:
        """Samples of a batch of ``count`` that are this process's."""
        each, more = divmod(count, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def sum(self, tensor: Tensor) -> Tensor:
        """Put the sum over all processes in place of a tensor, and return it."""
        with _reached():
            dist.all_reduce(tensor)
        return tensor

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Put the sum over all processes in place of each tensor."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.sum(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))


@contextmanager
def _reached() -> Iterator[None]:
    """Say so where another process does not answer.

    Raises:
        RunError: one has ended, or takes too long.
    """
    try:
        yield
    except RuntimeError as error:  # of gloo
        raise RunError(
            "Another process of this training has ended or does not answer; the reason is above, or on its machine. "
            "Run the same again: it goes on where it was."
        ) from error


def only_first(ranks: Ranks | None, work: Callable[[], Found]) -> Found:
    """`Ranks.first`, or the work itself where there is one process."""
    return work() if ranks is None else ranks.first(work)


@contextmanager
def joined_ranks(timeout: float = 600.0) -> Iterator[Ranks | None]:
    """Join the processes that `torchrun`, or a launcher that sets its variables, started with this one; None alone.

    They talk by gloo, on the CPU.

    Args:
        timeout: seconds that a process waits for the others, to begin and at each step.

    Raises:
        InputError: the variables of torchrun are incomplete.
        RunError: the others do not come.
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
