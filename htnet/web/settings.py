"""How the web page is served, and its limits."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from htnet.core.errors import HtnetError, InputError
from htnet.core.fields import Checked, Rule, checked, each, real, whole

_NAME = Rule(lambda value: isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9.-]+", value)), "a host name")
_TEXT = Rule(lambda value: isinstance(value, str) and bool(value), "a text")


@dataclass(frozen=True)
class ServeSettings(Checked):
    """How the web page is served.

    Attributes:
        host: address to listen on; others than loopback are reached by other machines, without login or encryption.
        port: to listen on; 0 for any that is free.
        allow_hosts: names by which browsers reach the page, beside "localhost" and addresses in numbers. A page of
            another name cannot be made to speak to this one (DNS rebinding).
        weights: weights that are offered, the first one chosen: names, folders, Hub repositories. Empty for all that
            ship with htnet and read flow images.
        device: where the models run.
        workers: processes, and so requests that are worked on at a time.
        queue: requests that wait beside them; more are refused with status 503.
        upload_mib: size of an upload, MiB; larger ones are refused with status 413.
        upload_seconds: time for an upload to arrive, s.
        work_seconds: time that a request may be worked on, s; it is ended then, with status 503.
        megapixels: pixels of a picture or of a video's frame, millions.
        keep_seconds: time for which an answer is kept in memory, s.
        keep_answers: answers that are kept; beyond it the oldest are dropped.
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
        """Bytes that the body of a request may have: the files, and what is said beside them."""
        return int(self.upload_mib * (1 << 20)) + (1 << 16)

    @property
    def is_open(self) -> bool:
        """Whether other machines may reach it."""
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"


class RequestError(InputError):
    """A request that cannot be answered as it is.

    Attributes:
        status: of the HTTP response.
    """

    status = 400


class TooLargeError(RequestError):
    """A file, picture or frame is larger than this server allows."""

    status = 413


class BusyError(HtnetError):
    """The server works on as much as it may, takes too long for a request, or is being stopped.

    Attributes:
        status: of the HTTP response.
    """

    status = 503


class GoneError(RequestError):
    """There is no such answer, or no longer."""

    status = 404
