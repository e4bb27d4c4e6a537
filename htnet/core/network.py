"""Downloads with time limits; failures are remembered."""

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
#: A download that has begun is given up after this many times `TIME_LIMIT` without new data.
SILENCE = 2
#: Seconds for which a failure is remembered; the same download is not tried again before.
REMEMBERED = 300.0

Found = TypeVar("Found")
_FAILED: dict[str, tuple[float, str]] = {}
_LOCK = threading.Lock()
_LIMITED = threading.Lock()


def once(what: str, fetch: Callable[[], Found]) -> Found:
    """Download something, unless the same download failed shortly before.

    Args:
        what: the address; a failure is remembered for `REMEMBERED` seconds in this process.
        fetch: downloads it; it must not wait longer than `TIME_LIMIT` seconds for data.

    Raises:
        WeightsError: the download failed, now or earlier; the message states the reason.
    """
    with _LOCK:
        failed = _FAILED.get(what)
    if failed is not None and (ago := time.monotonic() - failed[0]) < REMEMBERED:
        raise WeightsError(f"{failed[1]} ({ago:.0f} s ago; tried again after {REMEMBERED / 60:.0f} minutes)")
    try:
        found = fetch()
    except Exception as error:  # clients raise errors of many types
        reason = str(error) if isinstance(error, WeightsError) else _reason(error)
        with _LOCK:
            _FAILED[what] = (time.monotonic(), reason)
        raise WeightsError(reason) from error
    with _LOCK:
        _FAILED.pop(what, None)
    return found


def forget_failures() -> None:
    """Forget all failures, for example when the network is back."""
    with _LOCK:
        _FAILED.clear()


def watched(fetch: Callable[[], Found], moved: Callable[[], object]) -> Found:
    """Download something in a thread, and give up if no more data arrives.

    If a server answers and then sends nothing more, clients retry by themselves for minutes. The abandoned thread ends
    with the client's last attempt.

    Args:
        fetch: downloads it.
        moved: returns a value that changes whenever more data has arrived.

    Raises:
        WeightsError: the value did not change for `SILENCE` times `TIME_LIMIT` seconds.
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
            raise WeightsError(f"the server sent nothing for {SILENCE * TIME_LIMIT:g} s, or asks to wait longer")
    if failed:
        raise failed[0]
    return found[0]


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Set `TIME_LIMIT` as the timeout of connections that are opened inside and set none themselves.

    Python has one default timeout for all threads, so only one thread is inside at a time, and connections that other
    threads open meanwhile get the timeout too.
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
