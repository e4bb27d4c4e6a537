"""What is fetched fails within a stated time, and once."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

import htnet
from htnet.core import network
from htnet.core.errors import WeightsError
from htnet.hub import weights
from htnet.preprocess import FaceAlignmentLandmarker
from tests.preprocess.test_landmarks import BLANK, stub_face_alignment
from tests.support.hub_faults import Fault
from tests.support.hub_server import HubServer


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    network.forget_failures()
    monkeypatch.setattr(network, "TIME_LIMIT", 0.5)
    monkeypatch.setattr("htnet.hub.weights.TIME_LIMIT", 0.5)
    yield
    network.forget_failures()


@pytest.fixture
def black_hole():
    """A server that takes connections and never answers: its address, and how many came."""
    came, known = [], threading.Condition()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            while True:
                try:
                    connection = server.accept()
                except OSError:
                    return
                with known:
                    came.append(connection)
                    known.notify_all()

        def visits():
            """Connections are accepted in order: once one's own is, all before it are known."""
            with socket.create_connection(server.getsockname(), timeout=60) as own, known:
                assert known.wait_for(lambda: any(peer == own.getsockname() for _, peer in came), 60)
                ours.append(own.getsockname())
                return len([peer for _, peer in came if peer not in ours])

        ours = []
        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", visits
        for connection, _ in came:
            connection.close()


@pytest.fixture
def closed():
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}", lambda: 0


@pytest.fixture
def patience(monkeypatch):
    """Port and wait, s, of each connection. What a busy machine needs beside the wait is not counted.

    Clients of other tests may still be waiting in threads of this process, so the port says whose wait it is.
    """
    found, set_timeout, connect = [], socket.socket.settimeout, socket.socket.connect

    def note(address, seconds):
        if isinstance(address, tuple):  # not a Unix socket
            found.append((address[1], float("inf") if seconds is None else seconds))

    def noted(self, seconds):
        with suppress(OSError):  # not connected yet: its first wait is noted by `connected`
            note(self.getpeername(), seconds)
        return set_timeout(self, seconds)

    def connected(self, address):
        note(address, self.gettimeout())
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "settimeout", noted)
    monkeypatch.setattr(socket.socket, "connect", connected)
    return found


@pytest.mark.parametrize("kind", ["black_hole", "closed"])
def test_a_hub_out_of_reach_is_told_in_time_and_asked_once(kind, request, monkeypatch, tmp_path, capfd, patience):
    from huggingface_hub import constants

    url, visits = request.getfixturevalue(kind)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    port = int(url.rpartition(":")[2])
    for again in (False, True):
        start = time.monotonic()
        with pytest.raises(WeightsError, match=r"the Hub cannot be reached .*or give a folder") as caught:
            htnet.load_pretrained("somebody/weights", cache_dir=tmp_path)
        assert time.monotonic() - start < 60
        waits = [seconds for to, seconds in patience if to == port]
        assert max(waits, default=0.5) <= 0.5
        assert bool(waits) != again
        assert ("s ago; tried again after 5 minutes" in str(caught.value)) == again
        came = visits()
        patience.clear()  # the limit of `visits` is not the client's
    with pytest.raises(WeightsError, match="s ago"):
        htnet.load_pretrained("somebody/other", cache_dir=tmp_path)
    assert visits() == came
    assert came <= 2
    assert "retry" not in capfd.readouterr().err.lower()


@pytest.mark.parametrize("kind", ["black_hole", "closed"])
def test_weights_of_face_alignment_out_of_reach_are_told_in_time_and_asked_once(kind, request, monkeypatch):
    import urllib.request

    url, _ = request.getfixturevalue(kind)
    module = stub_face_alignment(monkeypatch, [])
    tried, limits = [], []

    class FaceAlignment:
        def __init__(self, kind, *, device, flip_input):
            tried.append(1)
            limits.append(socket.getdefaulttimeout())
            urllib.request.urlopen(url)  # as torch.hub does: no limit of its own

    monkeypatch.setattr(module, "FaceAlignment", FaceAlignment)
    start = time.monotonic()
    for use in (lambda finder: finder(BLANK), lambda finder: finder(BLANK), lambda finder: finder.ready()):
        with pytest.raises(WeightsError, match=r"could not get its weights .*landmarks 'yunet', which need no network"):
            use(FaceAlignmentLandmarker())
    assert time.monotonic() - start < 60
    assert tried == [1]
    assert limits == [0.5]
    assert socket.getdefaulttimeout() is None


def test_a_server_that_falls_silent_midway_is_given_up(monkeypatch):
    stop = threading.Event()
    came = []

    def fetch():
        came.append(1)
        time.sleep(0.2)
        came.append(2)
        stop.wait(300)

    start = time.monotonic()
    with pytest.raises(WeightsError, match=r"sent nothing for 1 s"):
        network.watched(fetch, lambda: len(came))
    assert 1 < time.monotonic() - start < 60
    stop.set()
    assert network.watched(lambda: 7, lambda: 0) == 7
    with pytest.raises(KeyError):
        network.watched(lambda: {}["a"], lambda: 0)


def test_a_hub_that_falls_silent_within_a_file_is_given_up(monkeypatch, tmp_path):
    """The real client, against a server that sends half of a file and then nothing."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from huggingface_hub import constants

    gone = threading.Event()
    for place in (network, weights):  # long enough for the server below on a busy machine
        monkeypatch.setattr(place, "TIME_LIMIT", 2.0)

    class Half(BaseHTTPRequestHandler):
        def answer(self):
            if "/api/" in self.path:
                body, length = b'{"id": "a/b", "sha": "' + b"0" * 40 + b'"}', None
            else:
                body, length = b"{" * 1000, 5000
            self.send_response(200)
            self.send_header("Content-Length", str(length or len(body)))
            self.send_header("ETag", '"abc"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            return body, length

        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            body, length = self.answer()
            self.wfile.write(body)
            self.wfile.flush()
            if length:
                gone.wait(300)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Half)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 300)
    start = time.monotonic()
    with pytest.raises(WeightsError, match=r"could not be downloaded: the server sent nothing"):
        htnet.load_pretrained("a/b", cache_dir=tmp_path)
    took = time.monotonic() - start
    gone.set()
    server.shutdown()
    assert took < 60


def test_offline_is_told_in_our_words(monkeypatch, tmp_path):
    from huggingface_hub.errors import OfflineModeIsEnabled

    from htnet.core.errors import cause

    assert cause(OfflineModeIsEnabled("x")) == "the network is switched off (HF_HUB_OFFLINE)"


def test_after_a_while_it_is_tried_again(monkeypatch):
    calls = []

    def fail():
        calls.append(1)
        raise OSError(111, "Connection refused")

    for _ in range(2):
        with pytest.raises(WeightsError, match="connection refused"):
            network.once("there", fail)
    assert len(calls) == 1
    monkeypatch.setattr(network, "REMEMBERED", 0.0)
    with pytest.raises(WeightsError):
        network.once("there", fail)
    assert len(calls) == 2
    assert network.once("elsewhere", lambda: 3) == 3


#: Gives up a download in whose thread the client waits, and ends.
GIVES_UP = """
import sys
from huggingface_hub import hf_hub_download
from htnet.core import network
network.TIME_LIMIT = 0.2
try:
    network.watched(lambda: hf_hub_download("a/b", "config.json", cache_dir=sys.argv[1]), lambda: 0)
except network.WeightsError as error:
    print(error)
"""


def test_a_process_ends_while_the_client_still_waits(tmp_path):
    """An interpreter joins threads at its end; one that waits for an hour must not be among them."""
    with HubServer(tmp_path / "hub") as server:
        server.add_repo("a/b", {"config.json": b"{}" * 50})
        server.disturb(Fault("429 for an hour", "head"))
        done = subprocess.run(
            [sys.executable, "-c", GIVES_UP, str(tmp_path / "cache")],
            env={**os.environ, "HF_ENDPOINT": server.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "sent nothing" in done.stdout
