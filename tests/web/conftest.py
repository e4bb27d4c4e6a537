import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

import htnet
from htnet.web import ServeSettings, create_app
from htnet.web.worker import Answer

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"


class FakeWorker:
    """Answers at once, or when it is let go; remembers what it was asked and what lay in the folder."""

    def __init__(self, settings):
        self.settings = settings
        self.asked, self.files = [], []
        self.go = threading.Event()
        self.go.set()
        self.fault = None
        self.stages = []

    def ready(self):
        return [{"name": "one", "description": "a", "terms": "b"}, {"name": "two", "description": "", "terms": ""}]

    def ask(self, question, folder, tell, stopped):
        self.asked.append(question)
        self.files.append({path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")})
        for stage in self.stages:
            tell(*stage)
        while not self.go.wait(0.01):
            if stopped.is_set():
                raise RuntimeError("stopped")
        if self.fault is not None:
            raise self.fault
        return Answer('{"schema": "fake"}', "<p>fake</p>")

    def close(self):
        self.go.set()


@pytest.fixture
def serving():
    """Makes a client of an application with fake workers: (client, workers)."""
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    open_clients = []

    def make(**settings):
        workers = []

        def worker(own):
            workers.append(FakeWorker(own))
            return workers[-1]

        app = create_app(ServeSettings(**settings), worker=worker)
        client = TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)
        client.__enter__()
        client.get("/api/options")  # until the workers are ready
        open_clients.append((client, workers))
        return client, workers

    yield make
    for client, workers in open_clients:
        for worker in workers:
            worker.go.set()
        client.__exit__(None, None, None)


def pair(first="onset.png", second="apex.png"):
    """The form of the example pair."""
    content = [(SAMPLE / name).read_bytes() for name in ("onset.png", "apex.png")]
    return {"onset": (first, content[0]), "apex": (second, content[1])}


def gray_16(name):
    """A picture of the example as 16-bit gray, without loss of its 8 bits."""
    gray = cv2.cvtColor(cv2.imread(str(SAMPLE / name)), cv2.COLOR_BGR2GRAY)
    return gray, cv2.imencode(".png", gray.astype(np.uint16) * 257)[1].tobytes()
