"""Clients of a server on this machine: what they send, and what one thread alone answers to it."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import htnet
from benchmarks.trust.service import asked
from htnet.pipeline import Predictor
from htnet.web import ServeSettings
from htnet.web.settings import BusyError
from htnet.web.worker import Question, answer, told
from tests.support.pairs import face_pair, save
from tests.support.videos import write_video

_MARK = "0123456789abcdef"
#: Seconds that a client waits for an answer.
_PATIENCE = 150.0
_LATER = {"Prefer": "respond-async"}


@dataclass(frozen=True)
class Asking:
    """One request, and its answer.

    Attributes:
        name: of it.
        path: that it is sent to.
        body: what is sent.
        headers: beside the length.
        status: of the answer.
        content: the whole answer; None if only its status counts.
        cut: part of the body after which the client goes away; 1 for none.
        pause: seconds that it waits before the second half of the body.
        weight: how often it is drawn.
    """

    name: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    content: bytes | None = None
    cut: float = 1.0
    pause: float = 0.0
    weight: float = 1.0


class LostError(Exception):
    """A connection that ended without an answer."""


def send(port: int, asking: Asking, more: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes] | None:
    """Send a request; returns status, headers and content of the answer, None for one that was cut.

    Raises:
        OSError, LostError: there is no answer.
    """
    headers = {"Host": f"127.0.0.1:{port}", "Connection": "close", **asking.headers, **(more or {})}
    method = headers.pop(":method", "POST" if asking.body else "GET")
    head = [f"{method} {asking.path} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
    head += [f"Content-Length: {len(asking.body)}"] * bool(asking.body)
    whole = "\r\n".join([*head, "", ""]).encode() + asking.body
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection:
        try:
            half = len(whole) // 2
            connection.sendall(whole[:half])
            time.sleep(asking.pause)
            if asking.cut < 1:
                connection.sendall(whole[half : int(len(whole) * asking.cut)])
                return None
            connection.sendall(whole[half:])
        except (BrokenPipeError, ConnectionResetError):
            if asking.cut < 1:
                return None  # the server has refused it before
        return _read(connection)


def _read(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    found, refused = b"", False
    try:
        while part := connection.recv(1 << 16):
            found += part
    except ConnectionResetError:
        refused = True  # before it was sent as a whole: the status came first, the rest may be lost (RFC 9112, 9.6)
    head, mark, content = found.partition(b"\r\n\r\n")
    if not mark:
        raise LostError(f"{len(found)} bytes instead of an answer")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        content = _joined(content)
    if not refused and "content-length" in headers and len(content) != int(headers["content-length"]):
        raise LostError(f"{len(content)} of {headers['content-length']} bytes of an answer")
    return int(first.split()[1]), headers, content


def _joined(chunks: bytes) -> bytes:
    content = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        length = int(size, 16)
        content, chunks = content + rest[:length], rest[length + 2 :] if length else b""
    return content


class Client:
    """Asks one thing after the other, in an order of its own, and compares the answers.

    Attributes:
        number: of the client.
        answers: that it got.
        equal: those of them that are what one thread alone answers.
        busy: how often it was told to come again.
        told: statuses of all answers.
        after_stop: answers, to what was sent before the server was told to stop, that came after that.
    """

    def __init__(self, number: int, port: int, asking: Sequence[Asking]) -> None:
        self.number, self.answers, self.equal, self.busy, self.after_stop = number, 0, 0, 0, 0
        self.told: Counter[str] = Counter()
        self.faults: list[str] = []
        self._port, self._asking = port, asking
        self._chance = random.Random(f"client {number}")

    def ask_until_stopped(self, stopping: threading.Event, limit: float) -> None:
        """Ask until the server is gone after it was told to stop; at most until ``limit``."""
        weights = [one.weight for one in self._asking]
        while time.monotonic() < limit:
            (one,) = self._chance.choices(self._asking, weights)
            before = not stopping.is_set()
            try:
                found = send(self._port, one)
            except (OSError, LostError) as error:
                if stopping.is_set() and not before:
                    return
                self.faults.append(f"client {self.number}, {one.name}: {type(error).__name__}: {error}")
                continue
            if found is None:
                self.told["cut by the client"] += 1
                continue
            self._judge(one, *found)
            if before and stopping.is_set() and found[0] != 503:
                self.after_stop += 1
            time.sleep(self._chance.uniform(0.3, 1.0) if found[0] == 503 else self._chance.uniform(0, 0.2))
        self.faults.append(f"client {self.number} was still answered when the time was over")

    def _judge(self, one: Asking, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.told[str(status)] += 1
        if status == 503:
            self.busy += 1
            if _type_of(content) != BusyError.__name__:
                self.faults.append(f"client {self.number}, {one.name}: 503 {content[:200]!r}")
            if "retry-after" not in headers:
                self.faults.append(f"client {self.number}, {one.name}: 503 without a time to wait")
            return
        self.answers += 1
        if status == one.status and one.content in (None, content):
            self.equal += 1
        else:
            self.faults.append(f"client {self.number}, {one.name}: {status} {content[:300]!r}")


def _type_of(content: bytes) -> str | None:
    """Type of the error that an answer tells; None if it tells none."""
    try:
        return str(json.loads(content)["error"]["type"])
    except (ValueError, KeyError, TypeError):
        return None


def until_ready(port: int, path: str) -> None:
    """Wait until a server answers; 2 minutes at most."""
    for _ in range(600):
        try:
            if (found := send(port, Asking("ready", path))) is not None and found[0] == 200:
                return
        except (OSError, LostError):
            pass
        time.sleep(0.2)
    raise RuntimeError("the server does not answer")


def load(port: int, path: str) -> int:
    """How many requests a server has, by its own word."""
    found = send(port, Asking("load", path))
    return sum(v for v in json.loads(found[2]).values() if isinstance(v, int)) if found is not None else 0


def leave_some(port: int, asking: Sequence[Asking], count: int) -> list[tuple[Asking, str]]:
    """Requests that were accepted to be answered later, with the addresses of their answers; for a minute at most."""
    left: list[tuple[Asking, str]] = []
    limit = time.monotonic() + 60
    chosen = [one for one in asking if one.status == 200 and one.content is not None and "Accept" not in one.headers]
    while len(left) < count and time.monotonic() < limit:
        one = chosen[len(left) % len(chosen)]
        found = send(port, one, _LATER)
        if found is not None and found[0] == 202:
            left.append((one, found[1]["location"]))
        else:
            time.sleep(0.02)
    return left


def fetch_left(port: int, left: Sequence[tuple[Asking, str]], limit: float) -> list[str]:
    """What is wrong with the answers that were left; they are fetched when they are done."""
    faults, waiting = [], list(left)
    while waiting and time.monotonic() < limit:
        one, address = waiting[0]
        try:
            state = send(port, Asking("state", address))
            if state is not None and json.loads(state[2]).get("state") in ("done", "failed"):
                found = send(port, Asking("document", f"{address}/document.json"))
                if found is None or found[2] != one.content:
                    faults.append(f"accepted before the stop, {one.name}: another answer")
                waiting.pop(0)
                continue
        except (OSError, LostError, ValueError) as error:
            faults.append(f"accepted before the stop, {one.name}: {type(error).__name__}: {error}")
            waiting.pop(0)
        time.sleep(0.1)
    return faults + [f"accepted before the stop, {one.name}: no answer in time" for one, _ in waiting]


def _form(files: Mapping[str, tuple[str, bytes]], values: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    parts = []
    for key, value in values.items():
        parts.append(f'--{_MARK}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode())
    for key, (name, data) in files.items():
        head = f'--{_MARK}\r\nContent-Disposition: form-data; name="{key}"; filename="{name}"\r\n'
        parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n")
    return b"".join(parts) + f"--{_MARK}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={_MARK}"}


def _sources(folder: Path) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Pairs of pictures, the example pair first, and a clip."""
    sample = Path(htnet.__file__).parent / "assets" / "sample"
    rng = np.random.default_rng(4)
    pairs = [((sample / "onset.png").read_bytes(), (sample / "apex.png").read_bytes())]
    made = [face_pair(kind, 128 + 32 * kind, rng) for kind in range(3)]
    for kind, pair in enumerate(made):
        onset, apex = (save(folder / f"{kind}{n}.png", rgb) for n, rgb in zip("oa", pair, strict=True))
        pairs.append((onset.read_bytes(), apex.read_bytes()))
    film = write_video(folder / "clip.avi", [made[0][0]] * 6 + [made[0][1]] * 6, 50.0)
    return pairs, film.read_bytes()


def asked_of_page(folder: Path) -> list[Asking]:
    """Good and bad uploads to the web page, with what one thread alone answers."""
    pairs, film = _sources(folder)
    found: list[Asking] = []

    def add(name: str, files: Mapping[str, tuple[str, bytes]], values: Mapping[str, str], weight: float) -> None:
        body, headers = _form(files, values)
        status, document, report = _alone(folder / "alone", files, values)
        found.append(Asking(name, "/api/answers", body, headers, status, document, weight=weight))
        page = headers | {"Accept": "text/html"}
        found.append(Asking(f"{name}, as a page", "/api/answers", body, page, status, report, weight=weight))

    for number, (onset, apex) in enumerate(pairs):
        files = {"onset": ("onset.png", onset), "apex": ("apex.png", apex)}
        for values in ({"weights": "synthetic"}, {"weights": "composite", "always": "true"}):
            add(f"pair {number}, {values['weights']}", files, values, 2.0)
    good = {"onset": ("onset.png", pairs[0][0]), "apex": ("apex.png", pairs[0][1])}
    add("pair without faces", good, {"weights": "synthetic", "faces": "false"}, 2.0)
    add("clip", {"video": ("clip.avi", film)}, {"weights": "synthetic", "look": "clip"}, 1.0)
    # What cannot be used: files,
    bad = {
        "a picture that is none": (b"no picture", pairs[0][1]),
        "a picture that is cut off": (pairs[0][0][:2000], pairs[0][1]),
        "two sizes": (pairs[1][0], pairs[2][1]),
        "the same twice": (pairs[0][0], pairs[0][0]),
    }
    for name, (onset, apex) in bad.items():
        files = {"onset": ("onset.png", onset), "apex": ("apex.png", apex)}
        add(name, files, {"weights": "synthetic"}, 0.5)
    add("a video that is none", {"video": ("a.mp4", b"ffconcat version 1.0\n")}, {"weights": "synthetic"}, 0.5)
    add("a video that is cut off", {"video": ("a.avi", film[:3000])}, {"weights": "synthetic", "look": "clip"}, 0.5)
    # forms,
    for name, files, values in (
        ("no apex", {"onset": ("a.png", b"a")}, {}),
        ("an unknown field", good, {"other": "1"}),
        ("unknown weights", good, {"weights": "../../etc"}),
        ("a number that is none", {"video": ("a.avi", film)}, {"fps": "fast"}),
    ):
        body, headers = _form(files, values)
        found.append(Asking(name, "/api/answers", body, headers, 400, weight=0.5))
    body, headers = _form(good, {})
    found += [
        Asking("no form", "/api/answers", b"{}", {"Content-Type": "application/json"}, 415, weight=0.5),
        Asking("too large", "/api/answers", bytes(3 << 20), headers, 413, weight=0.5),
        Asking("another name", "/api/answers", body, headers | {"Host": "elsewhere.example"}, 421, weight=0.5),
        Asking("another page", "/api/answers", body, headers | {"Origin": "http://elsewhere.example"}, 403, weight=0.5),
        Asking("an address that is none", "/api/nothing", status=404, weight=0.5),
        # and connections.
        Asking("cut in the middle", "/api/answers", body, headers, cut=0.6, weight=1.0),
        Asking("gone before the answer", "/api/answers", body, headers, cut=0.999999, weight=0.2),
        Asking("slow", "/api/answers", body, headers, 200, found[0].content, pause=2.0, weight=0.5),
    ]
    return found


def _alone(folder: Path, files: Mapping[str, tuple[str, bytes]], values: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    """Status, document and report that one thread alone gives."""
    names = []
    for key, (name, data) in files.items():
        (folder / key).mkdir(parents=True, exist_ok=True)
        (folder / key / name).write_bytes(data)
        names.append(f"{key}/{name}")
    kind = "pair" if "apex" in files else values.get("look", "recording")
    question = Question(
        kind,
        tuple(names),
        values["weights"],
        always=values.get("always") == "true",
        faces=values.get("faces") != "false",
    )
    home = os.getcwd()
    os.chdir(folder)
    try:
        found = answer(question, ServeSettings(), lambda stage, at: None)
        return 200, found.document.encode(), found.report.encode()
    except htnet.errors.HtnetError as error:
        said = told(error)
        status = said.pop("status")
        text = json.dumps({"error": said}, ensure_ascii=False, separators=(",", ":")).encode()
        return status, text, text
    finally:
        os.chdir(home)


def asked_of_service(folder: Path) -> list[Asking]:
    """Good and bad uploads to the service of `benchmarks.trust.service`, with what one thread alone answers."""
    pairs, _ = _sources(folder)
    predictor = Predictor("synthetic")
    cases = {f"pair {number}": pair for number, pair in enumerate(pairs)}
    cases |= {
        "a picture that is none": (b"no picture", pairs[0][1]),
        "a picture that is cut off": (pairs[0][0][:2000], pairs[0][1]),
        "two sizes": (pairs[1][0], pairs[2][1]),
    }
    found = []
    for name, (onset, apex) in cases.items():
        body = len(onset).to_bytes(4, "big") + onset + apex
        status, content = asked(predictor, body)
        found.append(Asking(name, "/", body, {}, status, content, weight=2.0 if status == 200 else 0.5))
    good = found[0]
    return [
        *found,
        Asking("cut in the middle", "/", good.body, {}, cut=0.6),
        Asking("slow", "/", good.body, {}, 200, good.content, pause=2.0, weight=0.5),
    ]


def everything(client: Client) -> dict[str, Any]:
    """Counts of a client."""
    return {"answers": client.answers, "equal": client.equal, "refused_busy": client.busy}
