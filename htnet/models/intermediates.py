"""Outputs of the stages of a network, recorded during a forward pass."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class Enough(Exception):  # noqa: N818
    """Raised to stop a forward pass whose remaining outputs are not needed."""


@contextmanager
def stage_outputs(modules: Sequence[nn.Module], enough: Collection[int]) -> Iterator[dict[int, Tensor]]:
    """Record the outputs of modules by index inside the context; raise `Enough` after the last one in ``enough``."""
    seen: dict[int, Tensor] = {}

    def keep(index: int) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Tensor) -> None:
            seen[index] = output
            if enough and seen.keys() >= set(enough):
                raise Enough

        return hook

    handles = [module.register_forward_hook(keep(index)) for index, module in enumerate(modules)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
