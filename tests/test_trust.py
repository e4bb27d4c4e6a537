"""A small share of what `python -m benchmarks.trust` runs in full; the figures are in docs/trust.md."""

import ast
import json
import random
import signal
import time

import pytest

from benchmarks.trust import files
from benchmarks.trust.clients import Asking, Client
from benchmarks.trust.files import _Run
from benchmarks.trust.mutate import mutate
from benchmarks.trust.reader import Reader
from benchmarks.trust.sites import EXEMPT, opens, reached
from htnet.core.errors import InputError
from htnet.core.limits import read_json
from tests.support.paths import ROOT

CODE = "import sys; from benchmarks.trust.__main__ import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.slow
def test_mutated_files_end_in_a_result_or_an_error_of_htnet(warm_python):
    done = warm_python.run(CODE, "files", "--quick", cwd=ROOT)
    found = json.loads(done.stdout[done.stdout.index("\n{\n") :])
    assert not [fault for reader in found["readers"].values() for fault in reader["faults"]]
    assert found["mutants"] >= 950
    low = {name: reader["beyond_header"] for name, reader in found["readers"].items() if reader["mutants"] >= 25}
    assert len(found["readers"]) >= 40
    assert min(low.values()) >= 0.25, low  # 30 % of the full run
    assert found["code"]["without_reader"] == [], "a reader in the code that is not in benchmarks/trust: add it"
    assert found["code"]["whole_but_refused"] == {}
    assert set(found["code"]["exempt"]) == set(EXEMPT), "an exemption for code that is gone"


@pytest.mark.parametrize(
    ("content", "full"),
    [
        (b'{"error":{"type":"BusyError","message":"worded in any way"}}', True),
        # Words of a full server in another error.
        (b'{"error":{"type":"EndedError","message":"All places of this server are taken."}}', False),
        (b"All 8 places of this server are taken, or it is stopping", False),
        (b'{"error":null}', False),
        (b"[]", False),
    ],
)
def test_a_full_server_is_known_by_the_type_of_its_error(content, full):
    client, one = Client(0, 0, []), Asking("pair", "/")
    client._judge(one, 503, {"retry-after": "5"}, content)
    assert client.busy == 1
    assert client.faults == ([] if full else [f"client 0, pair: 503 {content!r}"])


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("open(path)", True),
        ("open(path, 'rb')", True),
        ("path.open(encoding='utf-8')", True),
        ("path.open('w')", False),
        ("open(path, mode='ab')", False),
        ("path.read_bytes()", True),
        ("np.load(path)", True),
        ("read_json(path)", True),
        ("path.write_bytes(b'')", False),
    ],
)
def test_places_that_read_are_found(code, found):
    assert opens(ast.parse(code).body[0].value) == found


def test_functions_that_are_reached_are_named(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    found = reached([lambda: read_json(tmp_path / "a.json"), lambda: read_json(tmp_path / "none.json")])
    assert {"htnet.core.limits:read_json", "htnet.core.limits:read_file"} <= found
    assert "htnet.core.csv_files:read_csv_text" not in found


def test_what_is_wrong_is_seen(tmp_path, monkeypatch):
    """The fuzzer itself: crashes, hangs, foreign errors, memory and files elsewhere are told."""

    def read(path, out):
        kind = path.read_bytes()[:1]
        if kind == b"c":
            __import__("os").kill(__import__("os").getpid(), signal.SIGSEGV)
        if kind == b"h":
            while True:
                time.process_time()
        if kind == b"m":
            return bytes(3 << 30)
        if kind == b"w":
            (out.parent / "x").write_text("outside", "utf-8")
        if kind == b"f":
            raise KeyError(kind)
        if kind == b"e":
            raise InputError("told")
        return (out / "x").write_text("inside", "utf-8")

    monkeypatch.setattr(files, "SECONDS", 0.5)
    monkeypatch.setattr(files, "mutate", lambda kind, data, rng: data)
    ends = {}
    for kind in "chmwfeo":
        reader = Reader("bad", ((f"{kind}.txt", kind.encode(), "bytes"),), read)
        (ends[kind],) = (_Run(reader, tmp_path / "box", None).all(1) for _ in range(1))
    assert ends["o"]["results"] == 1
    assert ends["e"]["errors"] == {"InputError": 1}
    assert not ends["o"]["faults"]
    assert not ends["e"]["faults"]
    said = {kind: " ".join(ends[kind]["faults"]) for kind in "chmwf"}
    assert "ended by signal 11" in said["c"]
    assert "still reading after 0.5 s" in said["h"]
    assert "MemoryError" in said["m"]
    assert "writes BOX/x" in said["w"]
    assert "KeyError" in said["f"]


def test_what_was_done_is_kept(tmp_path, monkeypatch):
    reader = Reader("kept", (("a.txt", b"abc", "bytes"),), lambda path, out: path.read_bytes())
    first = _Run(reader, tmp_path / "box", tmp_path / "kept.jsonl").all(3)
    monkeypatch.setattr(_Run, "_batch", lambda *args: pytest.fail("read again"))
    assert _Run(reader, tmp_path / "box", tmp_path / "kept.jsonl").all(3) == first


@pytest.mark.parametrize("kind", ["biff", "csv", "json", "png", "zip", "safetensors", "text", "bytes"])
def test_mutants_are_other_files_and_come_again(kind):
    data = b'{"a": [1, 2], "b": {"c": "x"}}' if kind == "json" else b"a,b\n1,2\n3,4\n"
    mutants = [mutate(kind, data, random.Random(number)) for number in range(40)]
    assert mutants == [mutate(kind, data, random.Random(number)) for number in range(40)]
    assert sum(mutant != data for mutant in mutants) > 20


@pytest.mark.slow
@pytest.mark.parametrize(("family", "part"), [("numbers", "losses"), ("numbers", "bytes"), ("load", "shared")])
def test_numbers_and_threads(warm_python, family, part):
    done = warm_python.run(CODE, family, "--quick", "--only", part, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout[done.stdout.index("\n{\n") :])[part]
    if part == "losses":
        assert set(found["samples_named"].values()) == {4}
    elif part == "bytes":
        assert all(all(command["same"].values()) for command in found["commands"].values())
    else:
        (run,) = found["runs"].values()
        assert [client["answers"] == client["equal"] == found["questions"] for client in run["clients"].values()] == [
            True
        ] * 8


@pytest.mark.slow
def test_the_web_page_under_load(warm_python):
    pytest.importorskip("fastapi")
    done = warm_python.run(CODE, "load", "--quick", "--only", "page", cwd=ROOT)
    found = json.loads(done.stdout[done.stdout.index("\n{\n") :])["page"]
    # Memory needs more than some seconds to become steady.
    assert not [fault for fault in found["faults"] if "resident memory" not in fault]
    assert found["answers"] == found["equal"] > 0
    assert found["refused_busy"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("family", ["disk", "system"])
def test_a_full_disk_and_missing_resources(warm_python, family):
    only = ["train"] if family == "disk" else ["processes", "locks"]
    done = warm_python.run(CODE, family, "--quick", "--only", *only, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
