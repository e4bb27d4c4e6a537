"""Requests that other pages make, or that are made by another name."""

import pytest

from tests.web.conftest import pair


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8000", "localhost", "LocalHost:1", "[::1]:8000", "192.168.1.5:8000", "app.localhost", "faces.lab"],
)
def test_own_names(serving, host):
    client, _ = serving(allow_hosts=("faces.lab",))
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:8000", "", "a@localhost", "["],
)
def test_other_names_are_refused(serving, host):
    """A page whose name was made to lead here (DNS rebinding) would read the answers as its own."""
    client, _ = serving()
    response = client.get("/api/options", headers={"host": host})
    assert response.status_code == 421
    assert response.json()["error"]["type"] == "MisdirectedError"
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_two_hosts_are_refused(serving):
    client, _ = serving()
    assert client.get("/", headers=[("host", "localhost"), ("host", "evil.example")]).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9000"},
        {"origin": "http://localhost:8000"},  # not the name that was asked for
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
    ],
)
def test_forms_of_other_pages_are_refused(serving, headers):
    client, (worker,) = serving()
    response = client.post("/api/answers", files=pair(), headers=headers)
    assert (response.status_code, response.json()["error"]["type"]) == (403, "ForeignError")
    assert worker.asked == []
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
)
def test_own_forms_are_taken(serving, headers):
    client, _ = serving()
    assert client.post("/api/answers", files=pair(), headers=headers).status_code == 200


def test_other_pages_may_link_and_not_read(serving):
    client, _ = serving()
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    for dest in ("script", "image", "empty", "iframe"):
        read = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": dest}
        assert client.get("/api/options", headers=read).status_code == 403
    assert client.get("/", headers=link | {"sec-fetch-dest": "iframe"}).status_code == 403


def test_requests_without_a_place_for_a_body_have_none(serving):
    client, _ = serving()
    assert client.request("DELETE", "/api/answers/x", content=b"x" * 100).status_code == 413
    assert client.get("/", headers={"content-length": "many"}).status_code == 400
