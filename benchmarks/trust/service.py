"""A service of one's own: threads share one predictor, and so many requests wait, no more."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from htnet.core.errors import HtnetError
from htnet.core.schema import to_json
from htnet.pipeline import Predictor
from htnet.web.settings import BusyError

#: Requests that are worked on at a time, and those that are in the service altogether.
AT_ONCE, PLACES = 8, 16
#: Bytes of a request, and seconds without any.
_LARGEST, _SILENCE = 4 << 20, 10.0


def asked(predictor: Predictor, body: bytes) -> tuple[int, bytes]:
    """Status and content of the answer to the length of the onset in four bytes, the onset and the apex."""
    length = int.from_bytes(body[:4], "big")
    try:
        found = predictor.pair(body[4 : 4 + length], body[4 + length :])
    except HtnetError as error:
        return 422, json.dumps({"type": type(error).__name__, "message": str(error)}).encode()
    return 200, to_json(found.to_dict()).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # those that were accepted are waited for
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.predictor = Predictor("synthetic")
        self.places, self.at_once = threading.BoundedSemaphore(PLACES), threading.BoundedSemaphore(AT_ONCE)
        self.stopping = False
        self.inside = 0
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SILENCE

    def do_GET(self) -> None:
        self._answer(200, json.dumps({"inside": self.server.inside}).encode())

    def do_POST(self) -> None:
        server = self.server
        length = int(self.headers.get("content-length", "0"))
        if server.stopping or length > _LARGEST or not server.places.acquire(blocking=False):
            # What is still being sent is read: a connection that is closed before loses its answer.
            self._body(min(length, _LARGEST))
            what = "The service is stopping." if server.stopping else "All places of the service are taken."
            self._answer(503, json.dumps({"error": {"type": BusyError.__name__, "message": what}}).encode())
            return
        with server.lock:
            server.inside += 1
        try:
            if len(body := self._body(length)) == length:
                with server.at_once:
                    self._answer(*asked(server.predictor, body))
        finally:
            with server.lock:
                server.inside -= 1
            server.places.release()

    def _body(self, length: int) -> bytes:
        try:
            return self.rfile.read(length)
        except OSError:
            return b""

    def _answer(self, status: int, content: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            if status == 503:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            pass  # the client has gone

    def log_message(self, *args: Any) -> None:
        """Nothing is logged."""


def main() -> int:
    """Serve until SIGTERM; what was accepted is finished."""
    server = _Server()

    def finish() -> None:
        quiet = 0
        while quiet < 10:  # also for those that are still at the door, who are told
            time.sleep(0.1)
            quiet = 0 if server.inside else quiet + 1
        server.shutdown()

    def stop(number: int, frame: Any) -> None:
        server.stopping = True
        threading.Thread(target=finish).start()

    signal.signal(signal.SIGTERM, stop)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
