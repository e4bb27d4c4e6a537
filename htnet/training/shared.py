"""One training in several processes: each computes its part of every batch, with the result of a single process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from htnet.core.errors import InputError, ModelError
from htnet.training.job import Member
from htnet.training.ranks import Ranks
from htnet.training.steps import PlainStepper, batches


class SharedStepper(PlainStepper):
    """Steps of one training that several processes share.

    Each process draws and augments the whole batch, with the random numbers that a single process would use, and then
    computes its part. Dropout is drawn for the whole batch, batch norms use its mean and variance, and gradients are
    summed over the processes.
    """

    def __init__(self, member: Member, ranks: Ranks) -> None:
        """Prepare the steps of ``member``.

        Raises:
            InputError: the training is not on the CPU, or a batch has fewer samples than there are processes.
        """
        super().__init__(member)
        if self._device.type != "cpu":
            raise InputError(f"The device is {self._device}, but several processes can only train on the CPU. Use cpu.")
        self._ranks = ranks
        recipe = member.job.recipe
        in_order = dataclasses.replace(recipe, shuffle=False)  # no random number is drawn
        parts = [len(part) for part in batches(len(member.data), in_order, self._device)]
        smallest = min([*parts, *([recipe.generated] if recipe.generated else [])])
        if smallest < ranks.size:
            raise InputError(
                f"A batch of this training has {smallest} sample(s), fewer than the {ranks.size} processes. Start "
                "fewer (--nproc-per-node), or give a recipe with larger batches."
            )
        self._whole = 0

    def inputs(self, batch: Tensor) -> dict[str, Tensor]:
        """This process's part of the batch: its real samples, then its generated ones."""
        whole, made = super().inputs(batch), self._generated.count
        self._whole = len(batch)
        real = torch.arange(len(batch))[self._ranks.slice(len(batch))]
        generated = torch.arange(made)[self._ranks.slice(made)]
        self._rows = torch.cat([real, len(batch) + generated])
        # If there are generated samples, only they have units.
        rows = {"units": generated} if made else {}
        return {name: values[rows.get(name, self._rows)] for name, values in whole.items()}

    def loss(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """This process's part of the loss of the whole batch."""
        made = self._generated.count
        generated = len(range(made)[self._ranks.slice(made)])
        with _WholeBatch(self._ranks, self._rows, self._whole + made):
            loss, other = self.losses(inputs, generated)
        loss = loss * ((len(self._rows) - generated) / self._whole)
        return loss if other is None else loss + self._recipe.generated_weight * other * (generated / made)

    def summed(self, loss: Tensor) -> Tensor:
        """The loss of the whole batch; the gradients become those of the whole batch too."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        self._ranks.add([loss, *gradients])
        return loss


#: Functions that draw random numbers in ways that cannot be split into the parts of a batch.
_OTHER_DRAWS = frozenset(
    (F.alpha_dropout, F.feature_alpha_dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.gumbel_softmax, F.rrelu)
) | {torch.bernoulli, torch.rand_like, torch.randn_like, torch.normal, torch.Tensor.bernoulli_, torch.Tensor.normal_}


class _WholeBatch(TorchFunctionMode):
    """Makes dropout and batch norms of a part of a batch act as they would on the whole batch."""

    def __init__(self, ranks: Ranks, rows: Tensor, whole: int) -> None:
        super().__init__()
        self._ranks, self._rows, self._size = ranks, rows, whole

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.dropout:
            return self._dropout(*args, **(kwargs or {}))
        if func is F.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        if func in _OTHER_DRAWS:
            raise ModelError(
                f"The model draws random numbers by {func.__name__}, which several processes cannot share. Train it in "
                "one process."
            )
        return func(*args, **(kwargs or {}))

    def _dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0:
            return x
        if len(x) != len(self._rows):
            raise ModelError(
                f"The model has dropout on a tensor whose first dimension is {len(x)}, not the batch size "
                f"{len(self._rows)}. Train it in one process."
            )
        # Random numbers are drawn in memory order, which need not be the order of the axes.
        axes = sorted(range(x.ndim), key=x.stride, reverse=True)
        shape = [self._size, *x.shape[1:]]
        whole = x.new_ones([shape[axis] for axis in axes]).permute([axes.index(axis) for axis in range(x.ndim)])
        return x * F.dropout(whole, p, True)[self._rows]

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1] + [1] * (x.ndim - 2)
        count = self._size * x[0, 0].numel()
        mean = _Sum.apply(x.sum(axes), self._ranks) / count
        apart = x - mean.view(shape)
        var = _Sum.apply(apart.square().sum(axes), self._ranks) / count
        with torch.no_grad():
            if running_mean is not None and running_var is not None:
                running_mean.lerp_(mean.detach(), momentum)
                running_var.lerp_(var.detach() * (count / (count - 1)), momentum)
        found = apart * (var + eps).rsqrt().view(shape)
        if weight is not None:
            found = found * weight.view(shape)
        return found if bias is None else found + bias.view(shape)


class _Sum(torch.autograd.Function):
    """Sum over all processes. The loss of every process depends on it, so gradients are summed as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.sum(x.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.sum(gradient.contiguous().clone()), None
