"""The HTTP part that the two servers of the test hub share: routes, bodies, ranges, errors, the log."""

import json
import re
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.hub_store import HubError


class Request:
    """What a route is given: method, path, headers, query, body, and the means to answer.

    Attributes:
        sent: What of a content is sent, if not all of it: its length is announced all the same.
    """

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes):
        self._handler = handler
        self.method, self.path = handler.command, urlsplit(handler.path).path
        self.sent: Callable[[bytes], Iterable[bytes]] | None = None
        self.body = body
        self.headers = handler.headers
        self.query = {key: values[-1] for key, values in parse_qs(urlsplit(handler.path).query).items()}

    @property
    def token(self) -> str | None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if scheme == "Bearer" and token else None

    def json(self) -> Any:
        return json.loads(self.body)

    def answer(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        handler = self._handler
        handler.send_response(status)
        # One request per connection: a stopped server must not go on answering on an old connection.
        all_headers = {"Connection": "close", "Content-Length": str(len(content)), **(headers or {})}
        for name, value in all_headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if self.sent is None:
            handler.wfile.write(content)
            return
        handler.close_connection = True
        with suppress(ConnectionError):
            for part in self.sent(content):
                handler.wfile.write(part)
                handler.wfile.flush()

    def answer_json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.answer(status, content, {"Content-Type": "application/json", **(headers or {})})

    def answer_file(self, content: bytes, headers: dict[str, str]) -> None:
        """Answer with a file, or with the part of it that a `Range` header asks for."""
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None or asked.groups() == ("", ""):
            self.answer(200, content, headers)
            return
        first, last = asked.groups()
        size = len(content)
        start = int(first) if first else max(size - int(last), 0)
        stop = min(int(last) + 1, size) if first and last else size
        if start >= stop:
            raise HubError(416, "Requested range not satisfiable", headers={"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self.answer(206, content[start:stop], headers)


Route = Callable[..., None]


class RoutedServer:
    """A threaded HTTP server on 127.0.0.1 whose answers are given by functions.

    Args:
        routes: `"METHOD pattern"` to function. The pattern is a regular expression for the whole path without
            its query; its groups, URL-decoded, follow the request as arguments.
        log: Every request but Xet telemetry is appended to it as (method, path with query).

    Attributes:
        disturb: Called with every request before its route; may raise `HubError`, or set what is sent.
    """

    def __init__(self, routes: dict[str, Route], log: list[tuple[str, str]]):
        self.disturb: Callable[[Request], None] = lambda request: None
        server = self
        table = [(key.split(" ", 1)[0], re.compile(key.split(" ", 1)[1]), route) for key, route in routes.items()]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def respond(self) -> None:
                # The Xet client reports on an upload when it pleases, maybe in the midst of an offline test.
                if self.path != "/v1/telemetry":
                    log.append((self.command, self.path))
                request = Request(self, _read_body(self))
                try:
                    server.disturb(request)
                    for method, pattern, route in table:
                        match = pattern.fullmatch(urlsplit(self.path).path)
                        if match and self.command == method:
                            route(request, *(unquote(group or "") for group in match.groups()))
                            return
                    raise HubError(404, f"The test hub has no route for {self.command} {self.path}")
                except HubError as error:
                    headers = {"X-Error-Message": str(error), **error.headers}
                    if error.code is not None:
                        headers["X-Error-Code"] = error.code
                    request.answer_json({"error": str(error)}, error.status, headers)

            do_GET = do_HEAD = do_POST = do_PUT = respond  # noqa: N815 -- names set by http.server

            def log_message(self, format: str, *args: object) -> None:
                """Keep standard error clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _read_body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    body = bytearray()
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    while handler.rfile.readline().strip():
        pass  # trailers
    return bytes(body)
