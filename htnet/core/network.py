"""Downloads with time limits and a memory of failures."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from typing import TypeVar

from htnet.core.errors import WeightsError, cause

#: Seconds to wait for an answer, or for the next part of a file.
TIME_LIMIT = 10.0
#: After how many such times without anything new a download that had begun is given up.
SILENCE = 2
#: Seconds for which a failure is remembered: the same is not tried again before.
REMEMBERED = 300.0

Found = TypeVar("Found")
_FAILED: dict[str, tuple[float, str]] = {}
_LOCK = threading.Lock()
_LIMITED = threading.Lock()


def once(what: str, fetch: Callable[[], Found]) -> Found:
    """Download something, unless the same download failed a short time before.

    Args:
        what: the address; its failure is remembered for `REMEMBERED` seconds in this process.
        fetch: downloads it, with at most `TIME_LIMIT` seconds between two answers.

    Raises:
        WeightsError: it failed, now or earlier; the message states the reason.
    """
    with _LOCK:
        failed = _FAILED.get(what)
    if failed is not None and (ago := time.monotonic() - failed[0]) < REMEMBERED:
        raise WeightsError(f"{failed[1]} ({ago:.0f} s ago; tried again after {REMEMBERED / 60:.0f} minutes)")
    try:
        found = fetch()
    except Exception as error:  # clients raise what they like
        reason = str(error) if isinstance(error, WeightsError) else _reason(error)
        with _LOCK:
            _FAILED[what] = (time.monotonic(), reason)
        raise WeightsError(reason) from error
    with _LOCK:
        _FAILED.pop(what, None)
    return found


def forget_failures() -> None:
    """Forget all failures, for example after the network came back."""
    with _LOCK:
        _FAILED.clear()


def watched(fetch: Callable[[], Found], moved: Callable[[], object]) -> Found:
    """Fetch something in a thread, and give up where nothing more of it comes.

    Clients try again by themselves, for minutes, where a server answers and then falls silent. The thread that is given
    up ends with the client's last try.

    Args:
        fetch: gets it.
        moved: something that changes whenever more of it has come.

    Raises:
        WeightsError: nothing changed for `SILENCE` times `TIME_LIMIT` seconds.
    """
    ended = threading.Event()
    found: list[Found] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(fetch())
        except BaseException as error:
            failed.append(error)
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    last, since = moved(), time.monotonic()
    while not ended.wait(min(0.1, TIME_LIMIT / 10)):
        if (now := moved()) != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > SILENCE * TIME_LIMIT:
            raise WeightsError(f"the server fell silent for {SILENCE * TIME_LIMIT:g} s, or asks to wait longer")
    if failed:
        raise failed[0]
    return found[0]


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Give connections that are opened inside, and set no limit themselves, `TIME_LIMIT` seconds for each answer.

    Python has one such limit for all threads, so only one thread is inside at a time, and others that open a connection
    meanwhile get it too.
    """
    with _LIMITED:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(TIME_LIMIT)
        try:
            yield
        finally:
            socket.setdefaulttimeout(before)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"status {error.code}"
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return f"no answer within {TIME_LIMIT:g} s"
    return cause(inner) if isinstance(inner, BaseException) else cause(error)
