"""Progress bars, on terminals only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from htnet.core.lazy import loading

T = TypeVar("T")


def progress_bar(items: Iterable[T], text: str, total: int | None = None, *, show: bool = True) -> Iterable[T]:
    """``items``, counted on a progress bar where standard error is a terminal."""
    bar: Iterable[T] = _bar()(items, desc=text, unit="sample", total=total, miniters=1, disable=_disabled(show))
    return bar


@contextmanager
def ticker(
    total: int, text: str, unit: str, *, done: int = 0, show: bool = True
) -> Iterator[Callable[[int, Any], None]]:
    """A progress bar that receives how much is done; drawn where standard error is a terminal.

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
    # A rate in seconds a second tells nobody anything.
    form = "{l_bar}{bar}| {n_fmt}/{total_fmt} s [{elapsed}<{remaining}{postfix}]" if unit == "s" else None
    with _bar()(total=total, initial=done, desc=text, unit=unit, disable=_disabled(show), bar_format=form) as bar:
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


@cache
def _bar() -> Any:
    """The class of our bars: tqdm's, without its thread.

    That thread makes up for bars that guess how often to look at the clock; ours look at every step. It would be there
    for bars that are not drawn, too, and where there is another thread no process can be forked.
    """
    with loading():
        from huggingface_hub.utils import tqdm

    return type("Bar", (tqdm,), {"monitor_interval": 0})


def _disabled(show: bool) -> bool | None:
    """What tqdm calls ``disable``: with None it draws on terminals only, so that logs stay free of bars."""
    return None if show else True


class ShownLoss:
    """Callback of a training that shows the loss beside the bar, and tells it at the end."""

    def __init__(self, tick: Callable[[int, Any], None]) -> None:
        self._tick = tick
        self._report: Any = None

    def __call__(self, report: Any, model: object) -> None:
        """Show how the training goes: an `htnet.training.EpochReport`."""
        self._report = report
        self._tick(report.epoch, f"loss {report.loss:.4f}")

    def text(self) -> str:
        """The first and the last loss."""
        if self._report is None:
            return "nothing was left to train"
        first, last = self._report.curve[0][0], self._report.loss
        return f"loss {first:.4f} in the first epoch, {last:.4f} in the last; curve: training.csv"
