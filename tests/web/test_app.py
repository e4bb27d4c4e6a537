"""The page and its interface for programs, with workers that answer at once."""

import json
import re
import sys
import threading
import time
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from htnet.core.errors import InputError, MissingExtraError, NoFaceError, RunError, WeightsError
from htnet.web import desk
from htnet.web.app import PAGE, create_app, safe_name
from htnet.web.settings import BusyError, ServeSettings
from htnet.web.worker import AnswerError, status_of, told
from tests.web.conftest import pair

ASYNC = {"prefer": "respond-async"}


def until(client, name, *states):
    """The state of a request, once it is one of some."""
    for _ in range(6000):
        found = client.get(f"/api/answers/{name}").json()
        if found["state"] in states:
            return found
        time.sleep(0.01)
    raise AssertionError(found)


def read_of(client, *parts, length=None):
    """Status of a form that is sent in parts, how many were read before the answer, and the body of the answer."""
    left, said, read = list(parts), [], []

    async def receive():
        return {"type": "http.request", "body": left.pop(0), "more_body": True} if left else {"type": "http.disconnect"}

    async def send(message):
        said.append(message)
        read.append(len(parts) - len(left))

    head = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=x")]
    head += [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": "POST", "path": "/api/answers", "raw_path": b"/api/answers", "headers": head}
    scope |= {"query_string": b"", "root_path": "", "http_version": "1.1", "scheme": "http", "app": client.app}
    client.portal.call(client.app, scope, receive, send)
    return said[0]["status"], read[0], said[1]["body"]


def error_of(response, status, kind):
    assert response.status_code == status, response.text
    found = response.json()["error"]
    assert found["type"] == kind
    assert set(found) == {"type", "message"}
    return found["message"]


def test_the_page_needs_nothing_from_elsewhere(serving):
    client, _ = serving()
    response = client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert "unsafe" not in response.headers["content-security-policy"]
    named = re.findall(r'(?:href|src)="([^"#]+)"', response.text)
    assert sorted(named) == ["/static/icon.svg", "/static/page.css", "/static/page.js"]
    for name in (*named, "/example/onset.png", "/example/apex.png"):
        assert client.get(name).status_code == 200
    for file in PAGE.iterdir():
        outside = set(re.findall(r"https?://[^\s\"')]+", file.read_text("utf-8")))
        assert outside <= {"http://www.w3.org/2000/svg"}
    # The pages that FastAPI would make load scripts from other servers.
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    assert "/api/answers" in client.get("/openapi.json").json()["paths"]


class Fields(HTMLParser):
    """Ids of what a person can fill in or press, and what their labels belong to."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.labels, self.open = [], set(), 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.open += tag == "label"
        if tag == "label" and "for" in attrs:
            self.labels.add(attrs["for"])
        if tag in ("input", "select"):
            self.ids.append(attrs.get("id"))
            if self.open:
                self.labels.add(attrs.get("id"))

    def handle_endtag(self, tag):
        self.open -= tag == "label"


def test_every_field_has_a_label():
    fields = Fields((PAGE / "page.html").read_text("utf-8"))
    assert len(fields.ids) > 8
    assert set(fields.ids) <= fields.labels


def test_an_answer_at_once(serving):
    client, (worker,) = serving()
    response = client.post("/api/answers", files=pair())
    assert (response.status_code, response.json()) == (200, {"schema": "fake"})
    (question,) = worker.asked
    assert (question.kind, question.files) == ("pair", ("onset/onset.png", "apex/apex.png"))
    assert (question.weights, question.always, question.bit_depth, question.faces) == ("one", False, None, True)
    assert worker.files[0]["onset/onset.png"] == pair()["onset"][1]
    page = client.post("/api/answers", files=pair(), headers={"accept": "text/html"})
    assert page.text == "<p>fake</p>"
    assert "sandbox allow-scripts" in page.headers["content-security-policy"]


def test_options_of_a_question(serving):
    client, (worker,) = serving()
    told = {"weights": "two", "always": "true", "faces": "false", "bit_depth": "12"}
    assert client.post("/api/answers", files=pair(), data=told).status_code == 200
    video = {"video": ("a.mp4", b"x")}
    assert client.post("/api/answers", files=video, data={"look": "clip", "fps": "200"}).status_code == 200
    assert client.post("/api/answers", files=video).status_code == 200
    first, second, third = worker.asked
    assert (first.weights, first.always, first.faces, first.bit_depth) == ("two", True, False, 12)
    assert (second.kind, second.fps, second.files) == ("clip", 200.0, ("video/a.mp4",))
    assert (third.kind, third.fps) == ("recording", None)


def test_an_answer_later(serving):
    client, (worker,) = serving()
    worker.go.clear()
    worker.stages = [("measuring", 3.5)]
    response = client.post("/api/answers", files=pair(), headers=ASYNC)
    job = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/answers/{job['name']}"
    assert len(job["name"]) >= 24
    until(client, job["name"], "working")
    waiting = client.post("/api/answers", files=pair(), headers=ASYNC).json()
    assert (waiting["state"], waiting["before"]) == ("waiting", 0)
    assert client.post("/api/answers", files=pair(), headers=ASYNC).json()["before"] == 1
    working = until(client, job["name"], "working")
    assert (working["stage"], working["time_s"]) == ("measuring", 3.5)
    assert "There is no answer yet" in error_of(client.get(job["document"]), 400, "RequestError")
    worker.go.set()
    assert until(client, job["name"], "done")["error"] is None
    assert client.get(job["document"]).json() == {"schema": "fake"}
    assert client.get(job["report"]).text == "<p>fake</p>"
    assert client.delete(f"/api/answers/{job['name']}").status_code == 204
    error_of(client.get(job["document"]), 404, "GoneError")


@pytest.mark.parametrize(
    ("files", "data", "said"),
    [
        ({"weights": (None, "one")}, {}, "onset and apex, or one video"),
        ({"onset": ("a.png", b"x")}, {}, "onset and apex, or one video"),
        ({**pair(), "video": ("a.mp4", b"x")}, {}, "onset and apex, or one video"),
        (pair(), {"weights": "../../etc"}, "weights is '../../etc'"),
        (pair(), {"model": "one"}, "'model'"),
        (pair(), {"always": "yes"}, "always is 'yes'"),
        (pair(), {"bit_depth": "9"}, "bit_depth is '9'"),
        (pair(), {"fps": "25"}, "fps is only for a video"),
        ({"video": ("a.mp4", b"x")}, {"fps": "nan"}, "fps is nan"),
        ({"video": ("a.mp4", b"x")}, {"fps": "fast"}, "fps is 'fast'"),
        ({"video": ("a.mp4", b"x")}, {"look": "all"}, "look is 'all'"),
        ({"video": ("a.mp4", b"x")}, {"bit_depth": "12"}, "bit_depth is only for two pictures"),
    ],
)
def test_a_wrong_form_is_refused(serving, files, data, said):
    client, (worker,) = serving()
    assert said in error_of(client.post("/api/answers", files=files, data=data), 400, "RequestError")
    assert worker.asked == []
    assert client.get("/api/health").json() == {"state": "serving", "waiting": 0, "working": 0}


def test_what_is_no_form_is_refused(serving):
    client, _ = serving()
    error_of(client.post("/api/answers", json={"onset": "a"}), 415, "UnknownFormError")
    broken = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/api/answers", content=b"--y\r\nnonsense", headers=broken)
    assert "The form is malformed" in error_of(answer, 400, "RequestError")
    error_of(client.get("/nothing"), 404, "RequestError")
    error_of(client.put("/api/answers"), 405, "RequestError")


@pytest.mark.parametrize(
    ("error", "status"),
    [(NoFaceError("no face <b>"), 422), (InputError("a"), 422), (BusyError("b"), 503), (RunError("c"), 500)],
)
def test_errors_are_typed(serving, error, status):
    client, (worker,) = serving()
    worker.fault = AnswerError(told(error))
    assert error_of(client.post("/api/answers", files=pair()), status, type(error).__name__) == str(error)
    job = client.post("/api/answers", files=pair(), headers=ASYNC).json()
    found = until(client, job["name"], "failed")
    assert found["error"] == {"type": type(error).__name__, "message": str(error), "status": status}
    error_of(client.get(job["report"]), status, type(error).__name__)


def test_an_error_of_the_server_tells_nothing_inside(serving):
    client, (worker,) = serving()
    worker.fault = ValueError("/secret/path")
    response = client.post("/api/answers", files=pair())
    assert "ValueError" in error_of(response, 500, "ServerError")
    assert "secret" not in response.text
    assert status_of(WeightsError("a")) == 500


def test_beyond_the_queue_is_refused_before_it_is_read(serving):
    client, (worker,) = serving(queue=1)
    worker.go.clear()
    taken = [client.post("/api/answers", files=pair(), headers=ASYNC).json() for _ in range(2)]
    until(client, taken[0]["name"], "working")
    response = client.post("/api/answers", files=pair(), headers=ASYNC)
    assert "2 places" in error_of(response, 503, "BusyError")
    assert response.headers["retry-after"] == "5"
    assert read_of(client, b"x" * 1000)[:2] == (503, 0)
    # A waiting request that is cancelled gives its place away.
    assert client.delete(f"/api/answers/{taken[1]['name']}").status_code == 204
    last = client.post("/api/answers", files=pair(), headers=ASYNC).json()
    worker.go.set()
    until(client, last["name"], "done")
    assert len(worker.asked) == 2


def test_requests_are_worked_on_at_a_time(serving):
    client, workers = serving(workers=2, queue=0)
    for worker in workers:
        worker.go.clear()
    taken = [client.post("/api/answers", files=pair(), headers=ASYNC).json() for _ in range(2)]
    for job in taken:
        until(client, job["name"], "working")
    error_of(client.post("/api/answers", files=pair(), headers=ASYNC), 503, "BusyError")
    assert [len(worker.asked) for worker in workers] == [1, 1]


def test_a_running_request_is_cancelled(serving):
    client, (worker,) = serving()
    worker.go.clear()
    job = client.post("/api/answers", files=pair(), headers=ASYNC).json()
    until(client, job["name"], "working")
    assert client.delete(f"/api/answers/{job['name']}").status_code == 204
    for _ in range(6000):
        if client.get("/api/health").json()["working"] == 0:
            break
        time.sleep(0.01)
    worker.go.set()
    assert client.post("/api/answers", files=pair()).status_code == 200


def test_large_uploads_are_refused(serving):
    client, (worker,) = serving(upload_mib=0.01)
    large = {"video": ("a.mp4", b"x" * 200_000)}
    assert "0.01 MiB" in error_of(client.post("/api/answers", files=large), 413, "TooLargeError")
    assert read_of(client, b"x" * 1000, length=200_000)[:2] == (413, 0)
    # Whoever does not say how much is coming is stopped on the way; 64 KiB are for what stands beside the file.
    start = b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'
    status, count, _ = read_of(client, start, *[b"x" * 10_000] * 20)
    assert (status, count) == (413, 9)
    assert worker.asked == []
    # The folder of the server holds its lock alone.
    folder = client.app.state.desk.folder
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_a_client_that_goes_away_is_no_fault_of_the_server(serving):
    client, (worker,) = serving()
    head = [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"500")]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"}
    scope |= {"path": "/api/answers", "raw_path": b"/api/answers", "query_string": b"", "headers": head}
    messages = iter([{"type": "http.request", "body": b"--x\r\n", "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(messages)

    async def sent(message):
        pass

    # What it raises, the server would log with a traceback.
    client.portal.call(client.app, scope, receive, sent)
    assert client.get("/api/health").json()["waiting"] == 0
    assert worker.asked == []


def test_a_text_field_may_not_be_long(serving):
    client, _ = serving()
    error_of(client.post("/api/answers", files=pair(), data={"weights": "a" * 5000}), 400, "RequestError")


def test_uploads_are_gone_with_the_answer(serving):
    client, (worker,) = serving()
    folder = client.app.state.desk.folder
    assert folder.stat().st_mode & 0o077 == 0
    worker.go.clear()
    job = client.post("/api/answers", files=pair(), headers=ASYNC).json()
    until(client, job["name"], "working")
    assert len(list(folder.rglob("*.png"))) == 2
    worker.go.set()
    until(client, job["name"], "done")
    assert [path.name for path in folder.iterdir()] == [".lock"]
    worker.fault = AnswerError(told(InputError("a")))
    client.post("/api/answers", files=pair())
    assert [path.name for path in folder.iterdir()] == [".lock"]
    client.__exit__(None, None, None)
    assert not folder.exists()
    client.__enter__()


def test_what_a_killed_server_left_is_removed(serving, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, other = tmp_path / "htnet-serve-old", tmp_path / "other"
    for folder in (old, other):
        folder.mkdir()
        (folder / "face.png").write_bytes(b"x")
    (tmp_path / "htnet-serve-link").symlink_to(other)
    first, _ = serving()
    assert not old.exists()
    assert (other / "face.png").exists()
    held = first.app.state.desk.folder
    second, _ = serving()
    assert held.exists()
    assert second.app.state.desk.folder.exists()


def test_answers_are_forgotten(serving, monkeypatch):
    client, _ = serving(keep_answers=1)
    names = []
    for _ in range(3):
        names.append(client.post("/api/answers", files=pair(), headers=ASYNC).json()["name"])
        until(client, names[-1], "done")
    error_of(client.get(f"/api/answers/{names[0]}"), 404, "GoneError")
    assert client.get(f"/api/answers/{names[2]}").status_code == 200
    client, _ = serving(keep_seconds=600)
    name = client.post("/api/answers", files=pair(), headers=ASYNC).json()["name"]
    until(client, name, "done")
    for later, status in ((590, 200), (601, 404)):
        monkeypatch.setattr(desk, "time", SimpleNamespace(monotonic=lambda later=later: time.monotonic() + later))
        assert client.get(f"/api/answers/{name}").status_code == status
    assert "deleted after 600 s" in error_of(client.get(f"/api/answers/{name}"), 404, "GoneError")


def test_a_server_that_is_stopped_finishes_what_it_accepted(serving):
    client, (worker,) = serving()
    desk = client.app.state.desk
    worker.go.clear()
    job = client.post("/api/answers", files=pair(), headers=ASYNC).json()
    held = []
    waiting = threading.Thread(target=lambda: held.append(client.post("/api/answers", files=pair())))
    waiting.start()
    while client.get("/api/health").json() != {"state": "serving", "waiting": 1, "working": 1}:
        time.sleep(0.01)
    desk.stopping = True
    assert "This server is stopping" in error_of(client.post("/api/answers", files=pair()), 503, "BusyError")
    assert client.get("/api/health").status_code == 503
    assert not desk.drained()
    worker.go.set()
    waiting.join()
    assert held[0].status_code == 200
    until(client, job["name"], "done")
    assert not desk.drained()  # nobody has fetched it
    assert client.get(job["document"]).status_code == 200
    assert desk.drained()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.png", "a.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\faces\\a.png", "a.png"),
        ("concat:a|b.mp4", "concat_a_b.mp4"),
        ("frame%04d.png", "frame_04d.png"),
        ("<b>\x1b[31m.png", "_b___31m.png"),
        ("-o", "o"),
        ("..", "file"),
        ("", "file"),
        (None, "file"),
        ("Gesicht ä.png", "Gesicht_ä.png"),
        ("a" * 300 + ".png", "a" * 76 + ".png"),
    ],
)
def test_names_of_uploads(name, kept):
    assert safe_name(name) == kept


@pytest.mark.parametrize(
    "settings",
    [{"port": 70000}, {"queue": -1}, {"workers": 0}, {"upload_mib": 0}, {"allow_hosts": ("a/b",)}, {"weights": ("",)}],
)
def test_impossible_settings(settings):
    (name,) = settings
    with pytest.raises(InputError, match=name):
        ServeSettings(**settings)


@pytest.mark.parametrize("package", ["fastapi", "python_multipart"])
def test_a_missing_extra_prints_the_pip_line(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[web\]'"):
        create_app()


def test_told_errors_are_json():
    assert json.loads(json.dumps(told(NoFaceError("a")))) == {"type": "NoFaceError", "message": "a", "status": 422}


def test_settings_in_the_address_are_refused(serving):
    client, _ = serving()
    response = client.post("/api/answers?weights=other&always=true", files=pair())
    assert "parameter 'weights'" in error_of(response, 400, "RequestError")
    assert client.post("/api/answers", files=pair()).status_code == 200
