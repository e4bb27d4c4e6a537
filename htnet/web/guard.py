"""ASGI middleware in front of the page: checks host, origin and size of each request, and sets security headers."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from htnet.core.errors import HtnetError
from htnet.web.settings import RequestError, ServeSettings, TooLargeError
from htnet.web.worker import told

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

#: Headers of every response, unless it sets its own.
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


#: Longest time in which the rest of a refused upload is read, s.
_DISCARD_SECONDS = 30.0


class ForeignError(RequestError):
    """The request comes from another page, or is addressed to another host.

    Attributes:
        status: status of the HTTP response.
    """

    status = 403


class MisdirectedError(ForeignError):
    """The request is addressed to a host name that is not allowed."""

    status = 421


class Guard:
    """Rejects forbidden requests before their body is read."""

    def __init__(self, app: App, settings: ServeSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handle a request, as the ASGI interface requires."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        upload = _Upload(receive, dict(headers))

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *(h for h in more if h[0] not in own)]}
            elif not message.get("more_body", False) and upload.unread:
                await send({**message, "more_body": True})
                await upload.discard()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        try:
            self._check_host([value for name, value in headers if name == "host"])
            _check_origin(scope["method"], dict(headers))
            most = self._settings.upload_bytes if scope["method"] == "POST" else 0
            self._check_length(dict(headers).get("content-length"), most)
        except HtnetError as error:
            await refuse(error, guarded)
            return
        await self._app(scope, self._counting(upload.receive, most), guarded)

    def _check_host(self, hosts: list[str]) -> None:
        """Reject unknown host names. This prevents DNS rebinding, where another site's name resolves to this server."""
        host = _name(hosts[0]) if len(hosts) == 1 else ""
        allowed = {"localhost", *(name.lower() for name in self._settings.allow_hosts)}
        if host in allowed or host.endswith(".localhost"):
            return
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            raise MisdirectedError(
                f"This server does not answer to the host name {host!r:.80}. Its operator can allow the name: htnet "
                "serve --allow-host NAME."
            ) from None

    def _check_length(self, length: str | None, most: int) -> None:
        if length is None:
            return
        if not length.isascii() or not length.isdigit():
            raise RequestError("The Content-Length of the request is not a number. Send the length in bytes.")
        if int(length) > most:
            raise self._too_large()

    def _too_large(self) -> TooLargeError:
        return TooLargeError(
            f"The upload is larger than {self._settings.upload_mib:g} MiB, the limit of this server. Cut or "
            "compress the video, or raise the limit: htnet serve --max-upload."
        )

    def _counting(self, receive: Receive, most: int) -> Receive:
        """Pass the body on, and raise an error once it exceeds the limit, even if its length was not announced."""
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > most:
                raise self._too_large()
            return message

        return counted


class _Upload:
    """The body of a request, whose rest is read and thrown away after an early response.

    If a server closes a connection while the client still sends, the client may get an error of the connection
    in place of the response (RFC 9112, section 9.6). Clients that wait for permission to send have sent nothing.
    """

    def __init__(self, receive: Receive, headers: dict[str, str]) -> None:
        self._receive = receive
        waits = headers.get("expect", "").lower() == "100-continue"
        self.unread = not waits and ("transfer-encoding" in headers or headers.get("content-length", "0") != "0")

    async def receive(self) -> Message:
        """The next part."""
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.unread = False
        return message

    async def discard(self) -> None:
        """Read the rest, for a limited time."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._rest(), _DISCARD_SECONDS)

    async def _rest(self) -> None:
        while self.unread:
            await self.receive()


def _name(host: str) -> str:
    """A host without its port, in lowercase."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".") if "/" not in host and "@" not in host else ""
    except ValueError:
        return ""


def _check_origin(method: str, headers: dict[str, str]) -> None:
    """Reject requests from other web pages. Programs other than browsers send neither of these headers."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    safe = method in ("GET", "HEAD")
    # Other sites may link to the page itself, which reveals nothing.
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
    # What is still sent of the body is thrown away, and the connection serves no other request.
    head.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
