"""What can be wrong with a Hub: its answers, how they are sent, and what they hold."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.support.hub_http import Request
from tests.support.hub_store import HubError

#: The requests of one loading, in their order.
PLACES = {
    "info": lambda r: r.path.startswith("/api/models/"),
    "head": lambda r: r.method == "HEAD",
    "config": lambda r: r.method == "GET" and r.path.endswith("/config.json"),
    "weights": lambda r: r.method == "GET" and r.path.startswith("/objects/"),
}


def _status(code: int, **headers: str) -> Callable[[Request, threading.Event], None]:
    def refuse(request: Request, stop: threading.Event) -> None:
        raise HubError(code, "disturbed", headers={name.replace("_", "-"): value for name, value in headers.items()})

    return refuse


def _circle(request: Request, stop: threading.Event) -> None:
    raise HubError(302, "round", headers={"Location": request.path})


def _sent(how: Callable[[bytes, threading.Event], Iterable[bytes]]) -> Callable[[Request, threading.Event], None]:
    def disturb(request: Request, stop: threading.Event) -> None:
        request.sent = lambda content: how(content, stop)

    return disturb


def _slow(content: bytes, stop: threading.Event) -> Iterable[bytes]:
    step = max(1, len(content) // 8)
    for at in range(0, len(content), step):
        time.sleep(0.05)
        yield content[at : at + step]


def _cut(content: bytes, stop: threading.Event) -> Iterable[bytes]:
    yield content[: len(content) // 2]


def _silent(content: bytes, stop: threading.Event) -> Iterable[bytes]:
    yield content[: len(content) // 2]
    stop.wait(60)


def _wrong(content: bytes, stop: threading.Event) -> Iterable[bytes]:
    middle = len(content) // 2
    yield content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


#: By name; each is applied before the route answers.
FAULTS: dict[str, Callable[[Request, threading.Event], None]] = {
    "404": _status(404),
    "401": _status(401),
    "403": _status(403),
    "429": _status(429),
    "429 for 1 s": _status(429, Retry_After="1"),
    "429 for an hour": _status(429, Retry_After="3600"),
    "500": _status(500),
    "503": _status(503),
    "slow": _sent(_slow),
    "cut": _sent(_cut),
    "silent": _sent(_silent),
    "wrong": _sent(_wrong),
    "circle": _circle,
}


@dataclass
class Fault:
    """Disturbs some requests of a `HubServer`; give it to `HubServer.disturb`.

    Attributes:
        name: of `FAULTS`.
        place: of `PLACES`.
        times: how many requests are disturbed.
        seen: requests that were.
    """

    name: str
    place: str
    times: float = float("inf")
    seen: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request: Request) -> None:
        if PLACES[self.place](request) and self.seen < self.times:
            self.seen += 1
            FAULTS[self.name](request, self.stop)
