"""A refused upload is answered even if its sender reads the answer only after the last byte, as most programs do."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

FORM = {"content-type": "multipart/form-data; boundary=x"}
START = b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'
PIECE, COUNT = b"x" * (1 << 20), 40


@pytest.fixture(scope="module")
def place():
    """Host and port of a server that takes 1 MiB."""
    pytest.importorskip("fastapi")
    words = [sys.executable, "-m", "htnet", "serve", "--port", "0", "--max-upload", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            yield urlsplit(server.stdout.readline().split()[0]).netloc
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0
            assert server.stderr.read() == "htnet serve: stopping\n"
        finally:
            server.kill()


def parts():
    yield START
    for _ in range(COUNT):
        yield PIECE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("announced", "headers", "status"), [(True, FORM, 413), (False, FORM, 413), (False, {"content-type": "a/b"}, 415)]
)
def test_a_refused_upload_is_answered(place, announced, headers, status):
    length = {"content-length": str(len(START) + COUNT * len(PIECE))} if announced else {}
    connection = http.client.HTTPConnection(place, timeout=60)
    connection.request("POST", "/api/answers", body=parts(), headers=headers | length, encode_chunked=not announced)
    response = connection.getresponse()
    assert response.status == status
    assert set(json.loads(response.read())["error"]) == {"type", "message"}
    connection.close()


@pytest.mark.slow
def test_who_asks_before_sending_is_answered_at_once(place):
    host, _, port = place.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        head = (
            f"POST /api/answers HTTP/1.1\r\nHost: {place}\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
        )
        client.sendall(head.encode())
        answer = b""
        while part := client.recv(1 << 16):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"TooLargeError" in answer
