"""What the stages of a network give on the way through it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class Enough(Exception):  # noqa: N818
    """Ends a forward pass whose rest nobody wants."""


@contextmanager
def stage_outputs(modules: Sequence[nn.Module], enough: Collection[int]) -> Iterator[dict[int, Tensor]]:
    """What modules give while this is open, by their index; `Enough` is raised once there is all of ``enough``."""
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
