"""Progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def progress_bar(items: Iterable[T], text: str, total: int | None = None, *, show: bool = True) -> Iterable[T]:
    """``items``, counted on a progress bar."""
    from huggingface_hub.utils import tqdm

    bar: Iterable[T] = tqdm(items, desc=text, unit="sample", total=total, disable=not show)
    return bar


@contextmanager
def ticker(
    total: int, text: str, unit: str, *, done: int = 0, show: bool = True
) -> Iterator[Callable[[int, Any], None]]:
    """A progress bar that receives how much is done.

    Args:
        total: how much there is to do.
        text: what is done.
        unit: of what. "s", for seconds of a recording, is shown without a rate.
        done: how much was done before.
        show: draw it at all.

    Yields:
        A function of how much is done by now, and of something that is shown beside it if it is a text. It serves as
        the ``on_epoch`` of a training.
    """
    from huggingface_hub.utils import tqdm

    # A rate in seconds a second tells nobody anything.
    form = "{l_bar}{bar}| {n_fmt}/{total_fmt} s [{elapsed}<{remaining}{postfix}]" if unit == "s" else None
    with tqdm(total=total, initial=done, desc=text, unit=unit, disable=not show, bar_format=form) as bar:
        shown: tuple[int, str | None] = (done, None)

        def tick(now: int, beside: Any = None) -> None:
            nonlocal shown
            text = beside if isinstance(beside, str) else shown[1]
            # A bar that is drawn for every frame fills the log of a service.
            if (now, text) == shown:
                return
            if text != shown[1]:
                bar.set_postfix_str(text, refresh=False)
            shown = now, text
            bar.n = now
            bar.refresh()

        yield tick
