"""Progress bars, on terminals only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from htnet.core.lazy import loading

T = TypeVar("T")


def progress_bar(items: Iterable[T], text: str, total: int | None = None, *, show: bool = True) -> Iterable[T]:
    """Iterate over ``items`` with a progress bar, which is drawn only if standard error is a terminal."""
    bar: Iterable[T] = _bar()(items, desc=text, unit="sample", total=total, miniters=1, disable=_disabled(show))
    return bar


@contextmanager
def ticker(
    total: int, text: str, unit: str, *, done: int = 0, show: bool = True
) -> Iterator[Callable[[int, Any], None]]:
    """A progress bar that is set to the amount of work done; it is drawn only if standard error is a terminal.

    Args:
        total: total amount of work.
        text: description of the work.
        unit: unit of the amounts. For "s", seconds of a recording, no rate is shown.
        done: amount that was done before.
        show: False to never draw the bar.

    Yields:
        A function that takes the amount done so far, and a second value that is shown beside the bar if it is a
        string. It can be passed to a training as ``on_epoch``.
    """
    # A rate in seconds per second would be meaningless.
    form = "{l_bar}{bar}| {n_fmt}/{total_fmt} s [{elapsed}<{remaining}{postfix}]" if unit == "s" else None
    with _bar()(total=total, initial=done, desc=text, unit=unit, disable=_disabled(show), bar_format=form) as bar:
        shown: tuple[int, str | None] = (done, None)

        def tick(now: int, beside: Any = None) -> None:
            nonlocal shown
            text = beside if isinstance(beside, str) else shown[1]
            # Redrawing the bar for every frame would fill the log of a service.
            if (now, text) == shown:
                return
            if text != shown[1]:
                bar.set_postfix_str(text, refresh=False)
            shown = now, text
            bar.n = now
            bar.refresh()

        yield tick


@cache
def _bar() -> Any:
    """The class of htnet's progress bars: tqdm's class without its monitor thread.

    tqdm needs that thread for bars that skip updates; htnet's bars are updated at every step. tqdm would start it even
    for bars that are not drawn, and workers are not forked from a process with several threads.
    """
    with loading():
        from huggingface_hub.utils import tqdm

    return type("Bar", (tqdm,), {"monitor_interval": 0})


def _disabled(show: bool) -> bool | None:
    """The argument ``disable`` of tqdm: None draws bars on terminals only, which keeps them out of logs."""
    return None if show else True


class ShownLoss:
    """Training callback that shows the loss beside the progress bar and summarizes it at the end."""

    def __init__(self, tick: Callable[[int, Any], None]) -> None:
        self._tick = tick
        self._report: Any = None

    def __call__(self, report: Any, model: object) -> None:
        """Show the loss of an `htnet.training.EpochReport`."""
        self._report = report
        self._tick(report.epoch, f"loss {report.loss:.4f}")

    def text(self) -> str:
        """The losses of the first and the last epoch, as text."""
        if self._report is None:
            return "no epochs were left to train"
        first, last = self._report.curve[0][0], self._report.loss
        return f"loss {first:.4f} in the first epoch, {last:.4f} in the last; curve: training.csv"
