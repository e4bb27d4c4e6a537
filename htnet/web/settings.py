"""Settings and errors of the web page."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from htnet.core.errors import HtnetError, InputError
from htnet.core.fields import Checked, Rule, checked, each, real, whole

_NAME = Rule(lambda value: isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9.-]+", value)), "a host name")
_TEXT = Rule(lambda value: isinstance(value, str) and bool(value), "a string that is not empty")


@dataclass(frozen=True)
class ServeSettings(Checked):
    """Settings of the web page.

    Attributes:
        host: address to listen on. Other machines can reach any address but loopback, without login or encryption.
        port: port to listen on; 0 for any free port.
        allow_hosts: host names under which browsers may open the page, besides "localhost" and IP addresses. Requests
            to other names are rejected, which prevents DNS rebinding.
        weights: weights that are offered: names, folders or Hub repositories; the first is the default. Empty for all
            bundled weights that read flow images.
        device: where the models run.
        workers: number of processes; each handles one request at a time.
        queue: largest number of waiting requests; more are rejected with status 503.
        upload_mib: largest size of an upload, MiB; larger ones are rejected with status 413.
        upload_seconds: longest time for an upload to arrive, s.
        work_seconds: longest processing time of a request, s; then it is ended with status 503.
        megapixels: largest size of a picture or of a video's frame, millions of pixels.
        keep_seconds: time for which an answer is kept in memory, s.
        keep_answers: largest number of answers that are kept; the oldest are deleted.
    """

    host: str = checked("127.0.0.1", _TEXT)
    port: int = checked(8000, whole(0, 65535))
    allow_hosts: tuple[str, ...] = checked((), each(_NAME))
    weights: tuple[str, ...] = checked((), each(_TEXT))
    device: str = checked("cpu", _TEXT)
    workers: int = checked(1, whole())
    queue: int = checked(8, whole(0))
    upload_mib: float = checked(200.0, real(gt=0))
    upload_seconds: float = checked(120.0, real(gt=0))
    work_seconds: float = checked(600.0, real(gt=0))
    megapixels: float = checked(40.0, real(gt=0))
    keep_seconds: float = checked(900.0, real(gt=0))
    keep_answers: int = checked(32, whole())

    @property
    def upload_bytes(self) -> int:
        """Largest size of a request's body, bytes: the files and the other fields."""
        return int(self.upload_mib * (1 << 20)) + (1 << 16)

    @property
    def is_open(self) -> bool:
        """Whether other machines can reach the server."""
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"


class RequestError(InputError):
    """The request is invalid.

    Attributes:
        status: status of the HTTP response.
    """

    status = 400


class TooLargeError(RequestError):
    """A file, picture or frame is larger than this server allows."""

    status = 413


class BusyError(HtnetError):
    """The request was not accepted: the queue of the server is full, or the server is stopping.

    Attributes:
        status: status of the HTTP response.
    """

    status = 503


class EndedError(BusyError):
    """A request that was accepted took too long, or was cancelled."""


class GoneError(RequestError):
    """There is no such answer, or it was deleted."""

    status = 404
