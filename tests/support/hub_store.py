"""The repositories of the test hub: file contents on disk, commits, branches and tags in memory."""

import hashlib
import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path


class HubError(Exception):
    """An error answer of the hub: HTTP status, the value of `X-Error-Code`, message, further headers."""

    def __init__(self, status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Entry:
    """A file as a commit names it.

    Attributes:
        size: Bytes.
        oid: Git object id of the content, or of the LFS pointer.
        sha256: Of the content, for LFS files only.
    """

    size: int
    oid: str
    sha256: str | None = None

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid


@dataclass(frozen=True)
class Commit:
    sha: str
    parent: str | None
    title: str
    message: str
    date: str
    files: dict[str, Entry]


@dataclass
class Repo:
    repo_id: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> Commit:
        """Find the commit that a branch, a tag or a full commit sha names."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        if sha not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[sha]

    def history(self, revision: str) -> Iterable[Commit]:
        """Yield the commits from `revision` back to the first."""
        sha: str | None = self.at(revision).sha
        while sha is not None:
            yield self.commits[sha]
            sha = self.commits[sha].parent


class HubStore:
    """Repositories and the contents of their files, which lie under `root`, named by their ETag."""

    def __init__(self, root: Path):
        self.root = root
        self.root.mkdir(parents=True, exist_ok=True)
        self.repos: dict[str, Repo] = {}
        self.lock = threading.RLock()

    def object_path(self, etag: str) -> Path:
        """Where the content of that ETag lies, or would lie."""
        return self.root / etag

    def put(self, content: bytes, *, lfs: bool) -> Entry:
        """Store a content and return the entry that names it."""
        entry = lfs_entry(content_sha256(content), len(content)) if lfs else Entry(len(content), git_oid(content))
        self.object_path(entry.etag).write_bytes(content)
        return entry

    def create(self, repo_id: str, *, private: bool, files: Mapping[str, Entry], title: str) -> Repo:
        """Start a repository whose first commit on `main` contains `files`."""
        with self.lock:
            if repo_id in self.repos:
                raise HubError(409, "You already created this model repo")
            repo = Repo(repo_id, private)
            self.commit(repo, "main", dict(files), title=title)
            self.repos[repo_id] = repo
        return repo

    def commit(self, repo: Repo, branch: str, files: dict[str, Entry], *, title: str, message: str = "") -> Commit:
        """Make `files` the new state of `branch`, which is started if it is not there."""
        with self.lock:
            parent = repo.branches.get(branch)
            sha = hashlib.sha1(uuid.uuid4().bytes).hexdigest()
            date = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            commit = Commit(sha, parent, title, message, date, files)
            repo.commits[sha] = commit
            repo.branches[branch] = sha
        return commit


def is_lfs(path: str) -> bool:
    """Whether the hub keeps a new file of this name out of git."""
    return path.endswith(".safetensors")


def content_sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs_entry(sha256: str, size: int) -> Entry:
    """Name a content by its SHA-256; its git object is a pointer, stood in for by a text of our own."""
    return Entry(size, git_oid(f"oid sha256:{sha256}\nsize {size}\n".encode()), sha256)
