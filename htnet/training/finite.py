"""Stops a training whose loss is NaN or infinite, and names the samples of the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from htnet.core.errors import NonFiniteLossError
from htnet.training.job import Member


class LossWatch:
    """Checks the loss of every step of one training, or of several that run at once.

    Reading a loss from a CUDA device waits for the device, so there all losses of an epoch are read at its end.
    """

    def __init__(
        self, members: Sequence[Member], steps: int, device: torch.device, discard: Callable[[], None]
    ) -> None:
        """Watch trainings of ``steps`` steps per epoch; ``discard`` is called before an error is raised."""
        self._members, self._discard = members, discard
        self._seen: list[Any] = []
        self._later = device.type != "cpu"
        self._losses = torch.zeros(steps if self._later else 0, len(members), dtype=torch.float32, device=device)

    def look(self, epoch: int, batch: Any, loss: Tensor) -> None:
        """Check the loss of a step, before its gradients change anything.

        Args:
            epoch: counted from 1.
            batch: indices of the samples; for several trainings, a tuple with those of each.
            loss: (trainings,), or a scalar if there is only one.

        Raises:
            NonFiniteLossError: the loss is NaN or infinite.
        """
        self._seen.append(batch)
        if self._later:
            self._losses[len(self._seen) - 1] = loss
        else:
            self._check(epoch, len(self._seen), loss.reshape(-1).tolist())

    def end_epoch(self, epoch: int) -> None:
        """Check the losses of an epoch that have not been read.

        Raises:
            NonFiniteLossError: one of them is NaN or infinite.
        """
        if self._later:
            for step, losses in enumerate(self._losses[: len(self._seen)].tolist(), 1):
                self._check(epoch, step, losses)
        self._seen = []

    def end(self, epoch: int, weights: Iterable[Tensor]) -> None:
        """Check the weights after the last step, since no loss is ever computed with them.

        Raises:
            NonFiniteLossError: a weight is NaN or infinite.
        """
        if not all(bool(torch.isfinite(one).all()) for one in weights if one.is_floating_point()):
            member = self._members[0]
            self._discard()
            raise NonFiniteLossError(
                f"The weights after epoch {epoch} contain NaN or infinite values: the training diverged in its last "
                f"step. {_cure(member)}",
                epoch=epoch,
            )

    def _check(self, epoch: int, step: int, losses: Sequence[float]) -> None:
        for number, (member, loss) in enumerate(zip(self._members, losses, strict=True)):
            if not -float("inf") < loss < float("inf"):
                batch = self._seen[step - 1]
                index = (batch if isinstance(batch, Tensor) else batch[number]).tolist()
                self._discard()
                raise _error(member, epoch, step, loss, index)


def _error(member: Member, epoch: int, step: int, loss: float, index: Sequence[int]) -> NonFiniteLossError:
    known = getattr(member.data, "names", ())
    names = [known[i] if known else f"number {i}" for i in index]
    wrong = torch.zeros(len(index), dtype=torch.bool)
    for values in member.extras.values():
        if values.is_floating_point():
            wrong |= ~values[list(index)].flatten(1).isfinite().all(1).cpu()
    culprits = [name for name, bad in zip(names, wrong.tolist(), strict=True) if bad]
    inputs = f" NaN or infinite points or motion features: {', '.join(map(repr, culprits))}." if culprits else ""
    what = "NaN" if loss != loss else "infinite"
    return NonFiniteLossError(
        f"The loss of epoch {epoch}, step {step} (seed {member.job.seed}) is {what}. The samples of its batch are "
        f"{', '.join(map(repr, names))}.{inputs} {_cure(member)}",
        names,
        epoch,
        step,
    )


def _cure(member: Member) -> str:
    recipe = member.job.recipe
    return f"Look at these samples, or train with a smaller lr than {recipe.lr:g} (recipe {recipe.name!r})."
