"""The test hub's second server, which contains the large files."""

import uuid
from collections.abc import Callable
from typing import Any

from tests.support.hub_http import Request, RoutedServer
from tests.support.hub_store import HubError, HubStore, content_sha256
from tests.support.hub_xet import shard_files, xorb_chunks


class HubStorage:
    """Takes large files by Git LFS (`PUT`) and by Xet, gives them by `GET`.

    Attributes:
        cas_url: Where the Xet client uploads.
        cas_token: What it must show there.
    """

    def __init__(self, store: HubStore, log: list[tuple[str, str]]):
        self._store = store
        self._xorbs: dict[str, list[bytes]] = {}
        # The client remembers per address which chunks it uploaded: a fresh address, nothing remembered.
        cas = f"/xet/{uuid.uuid4().hex}"
        routes = {
            "HEAD /objects/([0-9a-f]{64})": self._object,
            "GET /objects/([0-9a-f]{64})": self._object,
            "PUT /upload/([0-9a-f]{64})": self._upload,
            f"POST {cas}/v1/xorbs/default/([0-9a-f]{{64}})": self._xorb,
            f"POST {cas}/v1/shards": self._shard,
        }
        self.server = RoutedServer(routes, log)
        self.cas_url = self.server.url + cas
        self.cas_token = uuid.uuid4().hex

    def _object(self, request: Request, sha256: str) -> None:
        stored = self._store.object_path(sha256)
        if not stored.is_file():
            raise HubError(404, f"No object {sha256}")
        request.answer_file(stored.read_bytes(), {"ETag": f'"{sha256}"'})

    def _upload(self, request: Request, sha256: str) -> None:
        actual = content_sha256(request.body)
        if actual != sha256:
            raise HubError(400, f"Uploaded content has SHA-256 {actual}, announced was {sha256}")
        self._store.put(request.body, lfs=True)
        request.answer(200)

    def _xorb(self, request: Request, xorb: str) -> None:
        self._require_token(request)
        self._xorbs[xorb] = _readable(xorb_chunks, request.body)
        request.answer_json({"was_inserted": True})

    def _shard(self, request: Request) -> None:
        self._require_token(request)
        for content in _readable(shard_files, request.body, self._xorbs):
            self._store.put(content, lfs=True)
        request.answer_json({"result": 1})

    def _require_token(self, request: Request) -> None:
        if request.token != self.cas_token:
            raise HubError(401, "Not a token of this storage")


def _readable(read: Callable[..., Any], *args: Any) -> Any:
    try:
        return read(*args)
    except (ValueError, IndexError) as error:
        raise HubError(400, f"Unreadable upload: {error}") from error
