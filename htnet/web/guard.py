"""What stands before the page: which hosts and pages may speak to it, how much they may send, and what is answered."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from htnet.core.errors import HtnetError
from htnet.web.settings import RequestError, ServeSettings, TooLargeError
from htnet.web.worker import told

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

#: What browsers are told of every answer that says nothing else.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class ForeignError(RequestError):
    """A request by a name that this server does not have, or from another page.

    Attributes:
        status: of the HTTP response.
    """

    status = 403


class MisdirectedError(ForeignError):
    """A request for a host that this server is not."""

    status = 421


class Guard:
    """Refuses requests before anything of them is read."""

    def __init__(self, app: App, settings: ServeSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request; the call of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *(h for h in more if h[0] not in own)]}
            await send(message)

        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        try:
            self._check_host([value for name, value in headers if name == "host"])
            _check_origin(scope["method"], dict(headers))
            most = self._settings.upload_bytes if scope["method"] == "POST" else 0
            self._check_length(dict(headers).get("content-length"), most)
        except HtnetError as error:
            await refuse(error, guarded)
            return
        await self._app(scope, self._counting(receive, most), guarded)

    def _check_host(self, hosts: list[str]) -> None:
        """Refuse names that are not ours: a page whose name leads here (DNS rebinding) sends its own."""
        host = _name(hosts[0]) if len(hosts) == 1 else ""
        allowed = {"localhost", *(name.lower() for name in self._settings.allow_hosts)}
        if host in allowed or host.endswith(".localhost"):
            return
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            raise MisdirectedError(
                f"This server is not {host!r:.80}. Whoever runs it can allow the name: htnet serve --allow-host NAME."
            ) from None

    def _check_length(self, length: str | None, most: int) -> None:
        if length is None:
            return
        if not length.isascii() or not length.isdigit():
            raise RequestError("The length of the request is no number.")
        if int(length) > most:
            raise self._too_large()

    def _too_large(self) -> TooLargeError:
        return TooLargeError(
            f"The upload is larger than {self._settings.upload_mib:g} MiB, the most that this server takes. Cut or "
            "compress the video, or raise the limit: htnet serve --max-upload."
        )

    def _counting(self, receive: Receive, most: int) -> Receive:
        """The body, as long as it is not longer than it may be; its length need not be told before."""
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > most:
                raise self._too_large()
            return message

        return counted


def _name(host: str) -> str:
    """A host without its port, in lowercase."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".") if "/" not in host and "@" not in host else ""
    except ValueError:
        return ""


def _check_origin(method: str, headers: dict[str, str]) -> None:
    """Refuse what another page sends or reads. Programs that are no browsers send neither header."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    safe = method in ("GET", "HEAD")
    # Links from elsewhere may lead to the page itself, which tells nothing.
    linked = safe and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    foreign = site not in ("same-origin", "none") and not linked
    if origin is not None and not safe:
        foreign = foreign or urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    if foreign:
        raise ForeignError("The request comes from another page. Open the page of this server itself.")


async def refuse(error: HtnetError, send: Send) -> None:
    """Answer with an error."""
    content = told(error)
    status = content.pop("status")
    body = json.dumps({"error": content}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # What is still being sent is not read.
    head.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
