"""The test hub, as the real `huggingface_hub` client sees it."""

import hashlib
import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors.numpy import save

from tests.support.hub_server import HubServer
from tests.support.hub_xet import lz4_frame

REPO = "tester/model"
CARD = "---\nlicense: mit\nlibrary_name: htnet\n---\n# A model\n"


@pytest.fixture
def server(tmp_path):
    with HubServer(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def api(server):
    return HfApi(endpoint=server.url, token="hf_test")


@pytest.fixture
def folder(tmp_path, rng):
    """A model folder with 200 kB of weights that no other test has."""
    weights = rng.standard_normal((250, 200)).astype(np.float32)
    path = tmp_path / "model"
    path.mkdir()
    (path / "model.safetensors").write_bytes(save({"weight": weights, "zeros": np.zeros(500, np.float32)}))
    (path / "config.json").write_text('{"classes": 3}')
    (path / "README.md").write_text(CARD)
    return path


def gets(server, path):
    return [entry for entry in server.requests if entry[0] == "GET" and entry[1].endswith(path)]


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def status(url, method="GET", data=None, **headers):
    """The status, headers and body of a plain request, redirects followed."""
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_upload_and_download_of_a_folder(server, api, folder, tmp_path):
    assert api.whoami()["name"] == "tester"
    assert api.create_repo(REPO).repo_id == REPO
    info = api.upload_folder(repo_id=REPO, folder_path=folder, commit_message="First model")
    assert info.repo_url.repo_id == REPO

    cache = tmp_path / "cache"
    weights = api.hf_hub_download(REPO, "model.safetensors", cache_dir=cache)
    assert Path(weights).read_bytes() == (folder / "model.safetensors").read_bytes()
    assert f"/snapshots/{info.oid}/" in weights
    # The weights are kept as a large file: named by their SHA-256, and fetched from the second server.
    digest = sha256(folder / "model.safetensors")
    assert Path(weights).resolve().name == digest
    assert gets(server, f"/objects/{digest}")

    snapshot = Path(api.snapshot_download(REPO, cache_dir=tmp_path / "other"))
    names = {"model.safetensors", "config.json", "README.md"}
    assert {path.name for path in snapshot.iterdir()} == {*names, ".gitattributes"}
    assert all((snapshot / name).read_bytes() == (folder / name).read_bytes() for name in names)

    model = api.model_info(REPO, files_metadata=True)
    assert model.sha == info.oid
    sizes = {file.rfilename: (file.size, file.lfs and file.lfs.sha256) for file in model.siblings}
    assert sizes["model.safetensors"] == ((folder / "model.safetensors").stat().st_size, digest)
    assert sizes["README.md"] == (len(CARD), None)


def test_create_repo_twice(api):
    api.create_repo(REPO)
    assert api.create_repo(REPO, exist_ok=True).repo_id == REPO
    with pytest.raises(HfHubHTTPError, match="already created") as error:
        api.create_repo(REPO)
    assert error.value.response.status_code == 409


@pytest.mark.parametrize(
    "content",
    [
        np.random.default_rng(0).bytes(200_000),
        bytes(200_000),
        np.linspace(0, 1, 50_000, dtype=np.float32).tobytes(),
        b"the same words, " * 9000 + b"abc" * 7,
        b"x",
    ],
    ids=["noise", "zeros", "ramp", "text", "byte"],
)
@pytest.mark.parametrize("as_file", [False, True], ids=["xet", "lfs"])  # the client sends file objects by LFS
def test_large_files_by_xet_and_by_lfs(server, api, tmp_path, content, as_file):
    api.create_repo(REPO)
    given = io.BytesIO(content) if as_file else content
    api.upload_file(repo_id=REPO, path_or_fileobj=given, path_in_repo="sub/a.safetensors")
    assert any("/xet/" in path for _, path in server.requests) != as_file
    assert any(path.startswith("/upload/") for _, path in server.requests) == as_file
    got = api.hf_hub_download(REPO, "sub/a.safetensors", cache_dir=tmp_path / "cache")
    assert Path(got).read_bytes() == content


def test_same_content_to_two_servers(folder, tmp_path):
    for name in ("one", "two"):  # the client must not think the second server has what the first got
        with HubServer(tmp_path / name) as server:
            api = HfApi(endpoint=server.url, token="hf_test")
            api.create_repo(REPO)
            api.upload_folder(repo_id=REPO, folder_path=folder)
            got = api.hf_hub_download(REPO, "model.safetensors", cache_dir=tmp_path / f"cache-{name}")
            assert sha256(got) == sha256(folder / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("disable_xet", ["0", "1"])
def test_endpoint_from_the_environment(server, folder, tmp_path, disable_xet):
    script = (
        "import huggingface_hub as h, sys\n"
        f"h.create_repo({REPO!r})\n"
        f"h.upload_folder(repo_id={REPO!r}, folder_path=sys.argv[1])\n"
        f"print(h.snapshot_download({REPO!r}))\n"
    )
    env = {"HF_ENDPOINT": server.url, "HF_TOKEN": "hf_test", "HF_HOME": str(tmp_path / "home")}
    env |= {"HF_HUB_DISABLE_XET": disable_xet, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, env=inherited | env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    snapshot = Path(done.stdout.strip().splitlines()[-1])
    assert sha256(snapshot / "model.safetensors") == sha256(folder / "model.safetensors")
    assert any("/xet/" in path for _, path in server.requests) == (disable_xet == "0")


def test_history_revisions_tags_and_branches(server, api, tmp_path):
    first = server.add_repo(REPO, {"config.json": b"1", "old/a.txt": b"a", "old/b.txt": b"b"})
    api.create_tag(REPO, tag="v1", tag_message="The first")
    api.create_branch(REPO, branch="trial")
    operations = [CommitOperationAdd("config.json", b"2"), CommitOperationDelete("old/", is_folder=True)]
    second = api.create_commit(REPO, operations, commit_message="Second", parent_commit=first).oid

    def config(revision):
        path = api.hf_hub_download(REPO, "config.json", revision=revision, cache_dir=tmp_path / "cache")
        return Path(path).read_bytes()

    assert [config(r) for r in (None, "main", second, "v1", "trial", first)] == [b"2"] * 3 + [b"1"] * 3
    assert [c.commit_id for c in api.list_repo_commits(REPO)] == [second, first]
    assert api.list_repo_files(REPO) == ["config.json"]
    assert sorted(api.list_repo_files(REPO, revision="v1")) == ["config.json", "old/a.txt", "old/b.txt"]
    assert {item.path for item in api.list_repo_tree(REPO, revision=first)} == {"config.json", "old"}
    assert {item.path for item in api.list_repo_tree(REPO, "old", revision="v1")} == {
        "old/a.txt",
        "old/b.txt",
    }
    assert {ref.name: ref.target_commit for ref in api.list_repo_refs(REPO).tags} == {"v1": first}

    api.create_tag(REPO, tag="v1", exist_ok=True)
    for repeated in (
        lambda: api.create_tag(REPO, tag="v1"),  # 409
        lambda: api.create_commit(
            REPO, [CommitOperationAdd("x.txt", b"x")], commit_message="Late", parent_commit=first
        ),  # 412
    ):
        with pytest.raises(HfHubHTTPError):
            repeated()


def test_unchanged_folder_makes_no_commit(server, api, folder):
    api.create_repo(REPO)
    first = api.upload_folder(repo_id=REPO, folder_path=folder).oid
    assert api.upload_folder(repo_id=REPO, folder_path=folder).oid == first
    (folder / "config.json").write_text('{"classes": 4}')
    assert api.upload_folder(repo_id=REPO, folder_path=folder).oid != first


def test_unchanged_file_is_not_fetched_again(server, api, folder, tmp_path):
    api.create_repo(REPO)
    api.upload_folder(repo_id=REPO, folder_path=folder)
    cache, digest = tmp_path / "cache", sha256(folder / "model.safetensors")
    first = api.hf_hub_download(REPO, "model.safetensors", cache_dir=cache)
    api.upload_file(repo_id=REPO, path_or_fileobj=b"{}", path_in_repo="config.json")
    second = api.hf_hub_download(REPO, "model.safetensors", cache_dir=cache)
    assert first != second  # another commit,
    assert Path(first).resolve() == Path(second).resolve()  # the same blob
    assert len(gets(server, f"/objects/{digest}")) == 1


def test_warm_cache_serves_without_the_server(server, api, folder, tmp_path):
    api.create_repo(REPO)
    api.upload_folder(repo_id=REPO, folder_path=folder)
    cache = tmp_path / "cache"
    snapshot = api.snapshot_download(REPO, cache_dir=cache)

    seen = len(server.requests)
    local = api.hf_hub_download(REPO, "model.safetensors", cache_dir=cache, local_files_only=True)
    assert api.snapshot_download(REPO, cache_dir=cache, local_files_only=True) == snapshot
    assert len(server.requests) == seen

    server.stop()
    assert api.hf_hub_download(REPO, "model.safetensors", cache_dir=cache, local_files_only=True) == local
    assert api.hf_hub_download(REPO, "model.safetensors", cache_dir=cache) == local
    with pytest.raises(LocalEntryNotFoundError):
        api.hf_hub_download(REPO, "model.safetensors", cache_dir=tmp_path / "cold", local_files_only=True)
    assert len(server.requests) == seen


def test_what_is_missing_is_named(server, api, tmp_path):
    server.add_repo(REPO, {"config.json": b"{}"})
    cache = {"cache_dir": tmp_path / "cache"}
    for token, code in (("hf_test", 404), (False, 401)):
        with pytest.raises(RepositoryNotFoundError) as error:
            api.hf_hub_download("tester/none", "config.json", token=token, **cache)
        assert error.value.response.status_code == code
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(REPO, "config.json", revision="v9", **cache)
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(REPO, "model.safetensors", **cache)
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="v9")
    with pytest.raises(RepositoryNotFoundError):
        api.snapshot_download("tester/none", **cache)
    with pytest.raises(EntryNotFoundError):
        api.create_commit(REPO, [CommitOperationDelete("none.txt")], commit_message="Delete")


def test_private_repositories_and_tokens(server, api, tmp_path):
    api.create_repo(REPO, private=True)
    api.upload_file(repo_id=REPO, path_or_fileobj=b"{}", path_in_repo="config.json")
    assert api.model_info(REPO).private
    assert api.hf_hub_download(REPO, "config.json", cache_dir=tmp_path / "own")
    with pytest.raises(RepositoryNotFoundError) as error:
        api.hf_hub_download(REPO, "config.json", cache_dir=tmp_path / "stranger", token=False)
    assert error.value.response.status_code == 401

    server.add_repo("tester/public", {"config.json": b"{}"})
    assert api.hf_hub_download("tester/public", "config.json", cache_dir=tmp_path / "stranger", token=False)
    for denied in (
        lambda token: api.create_repo("tester/new", token=token),
        lambda token: api.create_tag("tester/public", tag="v1", token=token),
        lambda token: api.upload_file(
            repo_id="tester/public", path_or_fileobj=b"{}", path_in_repo="x.json", token=token
        ),
    ):
        for token in (False, "hf_wrong"):
            with pytest.raises(HfHubHTTPError) as error:
                denied(token)
            assert error.value.response.status_code == 401
    with pytest.raises(HfHubHTTPError, match="Invalid"):
        api.whoami(token="hf_wrong")


def test_model_card_is_checked(api):
    api.create_repo(REPO)
    operations = [CommitOperationAdd("README.md", b"---\nlicense: mit\n# never closed\n")]
    with pytest.raises(ValueError, match="Invalid metadata"):
        api.create_commit(REPO, operations, commit_message="Card")


def test_corrupted_file_keeps_its_etag_and_size(server, api, folder, tmp_path):
    """The client itself compares sizes only: the SHA-256 to check is the blob's name."""
    api.create_repo(REPO)
    api.upload_folder(repo_id=REPO, folder_path=folder)
    server.corrupt(REPO, "model.safetensors")
    got = Path(api.hf_hub_download(REPO, "model.safetensors", cache_dir=tmp_path / "cache"))
    right = sha256(folder / "model.safetensors")
    assert got.stat().st_size == (folder / "model.safetensors").stat().st_size
    assert got.resolve().name == right
    assert sha256(got) != right


@pytest.mark.parametrize("path", ["model.safetensors", "notes.txt"])
def test_ranges_and_headers(server, path, rng):
    content = rng.bytes(5000)
    sha = server.add_repo(REPO, {path: content})
    url = f"{server.url}/{REPO}/resolve/main/{path}"
    code, headers, body = status(url)
    assert (code, body, headers["Accept-Ranges"]) == (200, content, "bytes")
    for asked, part in (("10-19", content[10:20]), ("4990-", content[4990:]), ("-7", content[-7:])):
        code, headers, body = status(url, Range=f"bytes={asked}")
        assert (code, body) == (206, part)
    assert headers["Content-Range"] == "bytes 4993-4999/5000"
    code, headers, _ = status(url, Range="bytes=5000-")
    assert (code, headers["Content-Range"]) == (416, "bytes */5000")
    code, headers, body = status(f"{server.url}/{REPO}/resolve/main/none", method="HEAD")
    assert (code, headers["X-Error-Code"], headers["X-Repo-Commit"], body) == (404, "EntryNotFound", sha, b"")


def test_upload_of_other_bytes_than_announced_is_refused(server, api):
    api.create_repo(REPO)
    digest = hashlib.sha256(b"announced").hexdigest()
    batch = json.dumps({"operation": "upload", "objects": [{"oid": digest, "size": 9}]}).encode()
    auth = {"Authorization": "Bearer hf_test"}
    _, _, body = status(f"{server.url}/{REPO}.git/info/lfs/objects/batch", "POST", batch, **auth)
    answer = json.loads(body)
    assert answer["transfer"] == "basic"
    upload = answer["objects"][0]["actions"]["upload"]["href"]
    assert status(upload, "PUT", b"different")[0] == 400
    commit = [
        {"key": "header", "value": {"summary": "x"}},
        {"key": "lfsFile", "value": {"path": "a.safetensors", "algo": "sha256", "oid": digest, "size": 9}},
    ]
    lines = "\n".join(json.dumps(line) for line in commit).encode()
    assert status(f"{server.url}/api/models/{REPO}/commit/main", "POST", lines, **auth)[0] == 400
    assert status(upload, "PUT", b"announced")[0] == 200
    assert status(f"{server.url}/api/models/{REPO}/commit/main", "POST", lines, **auth)[0] == 200


def test_lz4_frame_by_hand():
    """Literals 'abc', a match that overlaps itself (offset 3, 8 bytes), the literal 'd'; then a raw block."""
    packed = bytes([0x34]) + b"abc" + bytes([3, 0, 0x10]) + b"d"
    frame = bytes.fromhex("04224d18604082") + len(packed).to_bytes(4, "little") + packed
    frame += (0x80000002).to_bytes(4, "little") + b"xy" + bytes(4)
    assert lz4_frame(frame) == b"abcabcabcab" + b"d" + b"xy"
