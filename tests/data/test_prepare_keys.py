"""What decides a byte is in the key, and a second call says what it makes again and why."""

import json
from functools import partial
from importlib.util import find_spec

import pytest

from htnet import cli
from htnet.core.types import Landmarks, PreprocessSpec
from htnet.data.prepare import keys, prepare, prepared_notes, read_report, store
from htnet.preprocess import TemplateLandmarks
from htnet.preprocess.flow.tvl1_routing import choose_tvl1
from tests.support.pairs import pair_manifest
from tests.support.wings import with_wings


def set_versions(monkeypatch, **versions):
    real = keys.libraries
    monkeypatch.setattr(keys, "libraries", lambda *names: {**real(*names), **versions})
    # Modules, not their names: one that is first imported here would keep the false versions.
    for module in with_wings("prepare_keys", "MODULES", (store,)):
        monkeypatch.setattr(module, "libraries", keys.libraries)


def pairs(tmp_path, flow):
    manifest = pair_manifest(tmp_path / "in", 3)

    def run():
        prepare(manifest, tmp_path / "out", PreprocessSpec(flow=flow, face_size=64), TemplateLandmarks())
        return read_report(tmp_path / "out").made_again

    return run


#: Every command that prepares, with what its bytes depend on.
PREPARED = {
    "prepare, TV-L1": (pairs, "tvl1", ("htnet", "opencv", "numba" if choose_tvl1("cpu") == "numba" else "torch")),
    "prepare, Farneback": (pairs, "farneback", ("htnet", "opencv")),
}
PREPARED = with_wings("prepare_keys", "PREPARED", PREPARED)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "flow", "names"), PREPARED.values(), ids=PREPARED)
def test_another_version_makes_all_again_and_says_so(kind, flow, names, tmp_path, monkeypatch, capsys):
    run = kind(tmp_path, flow)
    assert run() == {}
    assert run() == {}
    note = next((tmp_path / "out" / "keys").rglob("*.json"))
    assert set(json.loads(note.read_text())["made_from"]["libraries"]) == set(names)
    for name in names:
        with monkeypatch.context() as patch:
            set_versions(patch, **{name: "99.1"})
            assert any("installed is 99.1" in said for said in prepared_notes(tmp_path / "out"))
            (why, samples), *others = run().items()
            assert not others
            assert why.startswith(f"made with {keys.TITLES[name]} ")
            assert why.endswith(", now 99.1")
            assert len(samples) == 3
            assert prepared_notes(tmp_path / "out") == ()
        assert any("99.1 (3 samples)" in said for said in prepared_notes(tmp_path / "out"))
        assert len(run()) == 1
    assert prepared_notes(tmp_path / "out") == ()


def test_flow_by_numba_and_by_pytorch_have_different_keys(tmp_path, monkeypatch):
    run = pairs(tmp_path, "tvl1")
    note = tmp_path / "out" / "keys" / "s1.json"
    names = {"numba": "numba", "eager": "torch"}
    for backend, name in names.items():
        monkeypatch.setattr(keys, "choose_tvl1", lambda device, backend=backend: backend)
        run()
        made_with = json.loads(note.read_text())["made_from"]["libraries"]
        assert set(made_with) & set(names.values()) == {name} - ({"numba"} if find_spec("numba") is None else set())


def test_heads_registered_by_numba_and_by_numpy_have_different_keys(tmp_path, monkeypatch):
    sample = next(iter(pair_manifest(tmp_path / "in", 1)))
    made = []
    for here in (True, False):
        monkeypatch.setattr(keys, "native_loops", lambda here=here: here)
        specs = [PreprocessSpec(flow="dis", head_motion=head) for head in ("register", "none")]
        made.append([set(keys.source_key(sample, spec, {})["libraries"]) - {"htnet", "opencv"} for spec in specs])
    assert made == [[{"numba"} if find_spec("numba") else set(), set()], [set(), set()]]


def test_notes_of_an_older_htnet_are_made_again_and_said(tmp_path):
    run = pairs(tmp_path, "dis")
    run()
    note = tmp_path / "out" / "keys" / "s1.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "made_from": "0" * 64}))
    assert any("not noted (1 sample)" in said for said in prepared_notes(tmp_path / "out"))
    assert run() == {"made by an older htnet, which did not record library versions": ("s1",)}


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", "nonsense", '{"made_from": {"libraries": 3}}'])
def test_a_damaged_note_is_made_again(tmp_path, text):
    run = pairs(tmp_path, "dis")
    run()
    (tmp_path / "out" / "keys" / "s1.json").write_text(text)
    assert any("not noted (1 sample)" in said for said in prepared_notes(tmp_path / "out"))
    (why,) = run()
    assert why in ("file missing or damaged", "made by an older htnet, which did not record library versions")
    assert run() == {}


def test_what_changed_is_named(tmp_path):
    run = pairs(tmp_path, "dis")
    run()
    apex = tmp_path / "in" / "0_apex.png"
    apex.write_bytes((tmp_path / "in" / "1_apex.png").read_bytes())
    (tmp_path / "out" / "flow" / "s2.png").write_bytes(b"damaged")
    assert run() == {"frames changed": ("s0",), "file missing or damaged": ("s2",)}
    text = read_report(tmp_path / "out").text()
    assert "recomputed, frames changed: 1 sample" in text


def test_a_changed_landmarker_of_the_users_own_is_noticed(tmp_path):
    """Its code, its arguments and its private settings."""
    manifest, made = pair_manifest(tmp_path / "in", 2), []

    class Finder:
        def __init__(self, shift):
            self._shift = shift

        def __call__(self, frame, sample=""):
            return TemplateLandmarks()(frame, sample)

    def shifted(frame, sample="", by=0.0):
        return Landmarks(TemplateLandmarks()(frame).points + by, "template")

    def again(frame, sample="", by=0.0):
        return Landmarks(TemplateLandmarks()(frame).points - by, "template")

    def run(landmarker):
        prepare(manifest, tmp_path / "out", PreprocessSpec(flow="dis", face_size=64), landmarker)
        made.append(read_report(tmp_path / "out").made_again)

    for landmarker in (
        Finder(0), Finder(1), shifted, again, partial(again, by=0.0), partial(again, by=0.01), partial(again, by=0.02)
    ):  # fmt: skip
        run(landmarker)
        run(landmarker)
    assert made[1::2] == [{}] * 7
    assert made[2::2] == [{"landmarks changed, or what finds them": ("s0", "s1")}] * 6


def test_a_mixed_folder_is_told_by_those_who_read_it(tmp_path, monkeypatch, capsys):
    run = pairs(tmp_path, "dis")
    run()
    note = tmp_path / "out" / "keys" / "s1.json"
    found = json.loads(note.read_text())
    found["made_from"]["libraries"]["opencv"] = "4.13.0"
    note.write_text(json.dumps(found))
    (said,) = prepared_notes(tmp_path / "out")
    assert "OpenCV 4.13.0 (1 sample)" in said
    assert "several versions" in said
    data = ["--data", str(tmp_path / "out"), "--model", "htnet_tiny", "--epochs", "1"]
    assert cli.main(["train", *data, "--out", str(tmp_path / "w")]) == 0
    assert said in capsys.readouterr().out
    assert cli.main(["loso", *data, "--out", str(tmp_path / "run"), "--workers", "1"]) == 0
    assert said in capsys.readouterr().out
    assert said in json.loads((tmp_path / "run" / "summary.json").read_text())["run"]["data_notes"]


def test_a_run_is_not_continued_by_another_torch(tmp_path, capsys):
    pairs(tmp_path, "dis")()
    words = ["loso", "--data", tmp_path / "out", "--model", "htnet_tiny", "--epochs", "1", "--out", tmp_path / "run"]
    assert cli.main([str(w) for w in (*words, "--workers", "1")]) == 0
    run = tmp_path / "run" / "run.json"
    found = json.loads(run.read_text())
    run.write_text(json.dumps({**found, "torch": "1.0"}))
    capsys.readouterr()
    assert cli.main([str(w) for w in (*words, "--workers", "1")]) == 2
    assert "another torch" in capsys.readouterr().err
