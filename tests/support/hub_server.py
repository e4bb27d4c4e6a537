"""A local server that speaks the Hugging Face Hub's protocol, for tests with the real client.

Model repositories only, one user, no pull requests. As on the real hub, git contains small files and a second
server (`storage_url`, another port, hence another origin) the large ones: `resolve` redirects there. Large
files come in through the Xet protocol or, from a client without `hf_xet`, through Git LFS; they go out over
plain HTTP, as no answer names a Xet hash. So no environment variable need keep the client from Xet.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.hub_http import Request, RoutedServer
from tests.support.hub_storage import HubStorage
from tests.support.hub_store import (
    Commit,
    Entry,
    HubError,
    HubStore,
    Repo,
    git_oid,
    is_lfs,
    lfs_entry,
)

_REPO = "([^/]+/[^/]+)"
_API = f"/api/models/{_REPO}"


class HubServer:
    """A hub of one user on 127.0.0.1, up between `__enter__` and `__exit__` (or `stop`).

    Args:
        root: Folder for the contents of the files; created if missing.

    Attributes:
        url: The endpoint, for `HfApi(endpoint=...)` or `HF_ENDPOINT`.
        storage_url: Where large files lie.
        token: The one token that may write or see private repositories.
        user: Owner of the token.
        requests: (method, path with query) of every request so far to either server, save Xet telemetry.
    """

    token = "hf_test"
    user = "tester"

    def __init__(self, root: Path):
        self.requests: list[tuple[str, str]] = []
        self._store = HubStore(root / "objects")
        self._hub = RoutedServer(self._hub_routes(), self.requests)
        self._storage = HubStorage(self._store, self.requests)
        self.url = self._hub.url
        self.storage_url = self._storage.server.url

    def __enter__(self) -> "HubServer":
        self._hub.start()
        self._storage.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go off line; open connections end. A second call does nothing."""
        self._hub.stop()
        self._storage.server.stop()

    def add_repo(self, repo: str, files: Mapping[str, bytes], *, private: bool = False) -> str:
        """Set up a repository that contains `files` and return its commit sha."""
        entries = {path: self._store.put(content, lfs=is_lfs(path)) for path, content in files.items()}
        return self._store.create(repo, private=private, files=entries, title="Add files").branches["main"]

    def corrupt(self, repo: str, path: str, *, revision: str = "main") -> None:
        """Flip bits of a stored file; what the server says of it (ETag, size) stays.

        Contents are stored once, so every file of the same content is hit.
        """
        stored = self._store.object_path(self._store.repos[repo].at(revision).files[path].etag)
        content = bytearray(stored.read_bytes())
        content[len(content) // 2] ^= 0xFF
        stored.write_bytes(content)

    def disturb(self, how: Callable[[Request], None]) -> None:
        """Let a function disturb every request to either server; see `RoutedServer`."""
        self._hub.disturb = self._storage.server.disturb = how

    def _hub_routes(self) -> dict[str, Any]:
        return {
            "GET /api/whoami-v2": self._whoami,
            "POST /api/validate-yaml": self._validate_yaml,
            "POST /api/repos/create": self._create,
            f"GET {_API}": self._info,
            f"GET {_API}/revision/([^/]+)": self._info,
            f"GET {_API}/tree/([^/]+)(?:/(.*))?": self._tree,
            f"GET {_API}/commits/([^/]+)": self._commits,
            f"GET {_API}/refs": self._refs,
            f"POST {_API}/tag/([^/]+)": self._tag,
            f"POST {_API}/branch/([^/]+)": self._branch,
            f"POST {_API}/preupload/([^/]+)": self._preupload,
            f"POST {_API}/commit/([^/]+)": self._commit,
            f"GET {_API}/xet-write-token/([^/]+)": self._xet_token,
            rf"POST /{_REPO}\.git/info/lfs/objects/batch": self._lfs_batch,
            rf"POST /{_REPO}\.git/info/lfs/verify": self._lfs_verify,
            f"HEAD /{_REPO}/resolve/([^/]+)/(.+)": self._resolve,
            f"GET /{_REPO}/resolve/([^/]+)/(.+)": self._resolve,
        }

    # -- who may do what -------------------------------------------------------------------------------------

    def _signed_in(self, request: Request) -> bool:
        if request.token is not None and request.token != self.token:
            raise HubError(401, "Invalid credentials in Authorization header")
        return request.token is not None

    def _require_token(self, request: Request) -> None:
        if not self._signed_in(request):
            raise HubError(401, "Invalid username or password.")

    def _repo(self, request: Request, repo_id: str, *, write: bool = False) -> Repo:
        signed_in = self._signed_in(request)
        repo = self._store.repos.get(repo_id)
        if repo is None or (repo.private and not signed_in):
            # As on the real hub, a stranger cannot tell a private repository from a missing one.
            raise HubError(404 if signed_in else 401, "Repository not found", "RepoNotFound")
        if write:
            self._require_token(request)
        return repo

    # -- account and repositories ----------------------------------------------------------------------------

    def _whoami(self, request: Request) -> None:
        self._require_token(request)
        access = {"displayName": "test", "role": "write"}
        auth = {"type": "access_token", "accessToken": access}
        request.answer_json({"type": "user", "name": self.user, "fullname": "Test User", "orgs": [], "auth": auth})

    def _validate_yaml(self, request: Request) -> None:
        lines = request.json()["content"].splitlines()
        warnings, errors = [], []
        if not lines or lines[0] != "---":
            warnings.append({"message": "empty or missing yaml metadata in repo card"})
        elif "---" not in lines[1:]:
            errors.append({"message": "the yaml metadata is not closed by a line ---"})
        request.answer_json({"warnings": warnings, "errors": errors}, 400 if errors else 200)

    def _create(self, request: Request) -> None:
        self._require_token(request)
        wanted = request.json()
        if wanted.get("type", "model") != "model":
            raise HubError(400, f"The test hub contains models only, not a {wanted['type']}")
        repo_id = f"{wanted.get('organization') or self.user}/{wanted['name']}"
        answer = {"url": f"{self.url}/{repo_id}", "name": repo_id}
        if repo_id in self._store.repos:
            request.answer_json({"error": "You already created this model repo", **answer}, 409)
            return
        attributes = self._store.put(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n", lfs=False)
        # huggingface-hub 2.4 sends "visibility", 0.30 "private".
        private = wanted.get("visibility") == "private" or wanted.get("private") is True
        self._store.create(repo_id, private=private, files={".gitattributes": attributes}, title="initial commit")
        request.answer_json(answer)

    # -- reading ---------------------------------------------------------------------------------------------

    def _info(self, request: Request, repo_id: str, revision: str = "main") -> None:
        repo = self._repo(request, repo_id)
        commit = repo.at(revision)
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        if "blobs" in request.query:
            siblings = [{"rfilename": path, **_blob(commit.files[path])} for path in sorted(commit.files)]
        answer = {
            "_id": git_oid(repo_id.encode())[:24],
            "id": repo_id,
            "modelId": repo_id,
            "author": repo_id.split("/")[0],
            "sha": commit.sha,
            "lastModified": commit.date,
            "createdAt": list(repo.history("main"))[-1].date,
            "private": repo.private,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": siblings,
        }
        request.answer_json(answer)

    def _tree(self, request: Request, repo_id: str, revision: str, folder: str) -> None:
        commit = self._repo(request, repo_id).at(revision)
        prefix = f"{folder.rstrip('/')}/" if folder else ""
        inside = sorted(path for path in commit.files if path.startswith(prefix))
        if folder and not inside:
            raise _missing(commit, folder)
        recursive = request.query.get("recursive", "").lower() == "true"
        items, folders = [], set()
        for path in inside:
            parts = path[len(prefix) :].split("/")
            for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
                folders.add(prefix + "/".join(parts[:depth]))
            if recursive or len(parts) == 1:
                items.append({"type": "file", "path": path, **_tree_blob(commit.files[path])})
        items += [
            {"type": "directory", "path": path, "size": 0, "oid": git_oid(path.encode())} for path in sorted(folders)
        ]
        request.answer_json(items)

    def _commits(self, request: Request, repo_id: str, revision: str) -> None:
        history = self._repo(request, repo_id).history(revision)
        request.answer_json(
            [
                {
                    "id": c.sha,
                    "title": c.title,
                    "message": c.message,
                    "date": c.date,
                    "authors": [{"user": self.user}],
                }
                for c in history
            ]
        )

    def _refs(self, request: Request, repo_id: str) -> None:
        repo = self._repo(request, repo_id)

        def listed(refs: dict[str, str], kind: str) -> list[dict[str, str]]:
            return [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": sha} for n, sha in refs.items()]

        answer = {
            "branches": listed(repo.branches, "heads"),
            "tags": listed(repo.tags, "tags"),
            "converts": [],
        }
        request.answer_json(answer)

    def _resolve(self, request: Request, repo_id: str, revision: str, path: str) -> None:
        commit = self._repo(request, repo_id).at(revision)
        if path not in commit.files:
            raise _missing(commit, path)
        entry = commit.files[path]
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{entry.etag}"'}
        if entry.sha256 is None:
            request.answer_file(self._store.object_path(entry.etag).read_bytes(), headers)
            return
        headers["X-Linked-Size"] = str(entry.size)
        headers["X-Linked-ETag"] = headers["ETag"]
        headers["Location"] = f"{self.storage_url}/objects/{entry.sha256}"
        request.answer(302, headers=headers)

    # -- writing ---------------------------------------------------------------------------------------------

    def _tag(self, request: Request, repo_id: str, revision: str) -> None:
        repo = self._repo(request, repo_id, write=True)
        _add_ref(repo.tags, "Tag", request.json()["tag"], repo.at(revision).sha)
        request.answer_json({}, 201)

    def _branch(self, request: Request, repo_id: str, branch: str) -> None:
        repo = self._repo(request, repo_id, write=True)
        start = json.loads(request.body or b"{}").get("startingPoint", "main")
        _add_ref(repo.branches, "Branch", branch, repo.at(start).sha)
        request.answer_json({}, 201)

    def _preupload(self, request: Request, repo_id: str, revision: str) -> None:
        commit = self._repo(request, repo_id, write=True).at(revision)
        answers = []
        for file in request.json()["files"]:
            path = file["path"]
            answer = {"path": path, "uploadMode": "lfs" if is_lfs(path) else "regular", "shouldIgnore": False}
            if path in commit.files:
                answer["oid"] = commit.files[path].etag
            answers.append(answer)
        request.answer_json({"files": answers})

    def _commit(self, request: Request, repo_id: str, branch: str) -> None:
        repo = self._repo(request, repo_id, write=True)
        if "create_pr" in request.query:
            raise HubError(400, "The test hub has no pull requests")
        if branch not in repo.branches:
            raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        header, *operations = (json.loads(line) for line in request.body.splitlines())
        with self._store.lock:
            parent = repo.at(branch)
            if header["value"].get("parentCommit", parent.sha) != parent.sha:
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            files = dict(parent.files)
            for operation in operations:
                self._apply(operation["key"], operation["value"], files, parent)
            title, message = header["value"]["summary"], header["value"].get("description", "")
            commit = self._store.commit(repo, branch, files, title=title, message=message)
        url = f"{self.url}/{repo_id}/commit/{commit.sha}"
        request.answer_json({"success": True, "commitOid": commit.sha, "commitUrl": url, "hookOutput": ""})

    def _apply(self, kind: str, value: dict[str, Any], files: dict[str, Entry], parent: Commit) -> None:
        path = value["path"]
        if kind == "file":
            files[path] = self._store.put(base64.b64decode(value["content"]), lfs=False)
        elif kind == "lfsFile":
            stored = self._store.object_path(value["oid"])
            if not stored.is_file():
                raise HubError(400, f"LFS pointer of {path} points to a file that was not uploaded: {value['oid']}")
            files[path] = lfs_entry(value["oid"], stored.stat().st_size)
        elif kind in ("deletedFile", "deletedFolder"):
            gone = [p for p in files if p == path or p.startswith(f"{path.rstrip('/')}/")]
            if not gone:
                raise _missing(parent, path)
            for name in gone:
                del files[name]
        else:
            raise HubError(400, f"The test hub does not know the commit operation {kind}")

    # -- large files -----------------------------------------------------------------------------------------

    def _lfs_batch(self, request: Request, repo_id: str) -> None:
        self._repo(request, repo_id, write=True)
        objects = []
        for wanted in request.json()["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
            if not self._store.object_path(wanted["oid"]).is_file():
                verify = f"{self.url}/{repo_id}.git/info/lfs/verify"
                upload = f"{self.storage_url}/upload/{wanted['oid']}"
                answer["actions"] = {"upload": {"href": upload, "header": {}}, "verify": {"href": verify}}
            objects.append(answer)
        request.answer_json({"transfer": "basic", "objects": objects})

    def _lfs_verify(self, request: Request, repo_id: str) -> None:
        self._repo(request, repo_id, write=True)
        wanted = request.json()
        stored = self._store.object_path(wanted["oid"])
        if not stored.is_file() or stored.stat().st_size != wanted["size"]:
            raise HubError(404, f"LFS object {wanted['oid']} of {wanted['size']} bytes was not uploaded")
        request.answer_json({})

    def _xet_token(self, request: Request, repo_id: str, revision: str) -> None:
        self._repo(request, repo_id, write=True).at(revision)
        answer = {"casUrl": self._storage.cas_url, "accessToken": self._storage.cas_token}
        request.answer_json({**answer, "exp": int(time.time()) + 3600})


def _missing(commit: Commit, path: str) -> HubError:
    return HubError(404, f"Entry not found: {path}", "EntryNotFound", {"X-Repo-Commit": commit.sha})


def _add_ref(refs: dict[str, str], kind: str, name: str, sha: str) -> None:
    if name in refs:
        raise HubError(409, f"{kind} {name} exists already")
    refs[name] = sha


def _blob(entry: Entry) -> dict[str, Any]:
    blob: dict[str, Any] = {"size": entry.size, "blobId": entry.oid}
    if entry.sha256 is not None:
        blob["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": 134}
    return blob


def _tree_blob(entry: Entry) -> dict[str, Any]:
    blob: dict[str, Any] = {"size": entry.size, "oid": entry.oid}
    if entry.sha256 is not None:
        blob["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}
    return blob
