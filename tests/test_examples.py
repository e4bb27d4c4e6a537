"""The examples run as a reader would run them, most of them in this process."""

import os
import re
import runpy
import sys

import pytest

import htnet
from htnet.core.types import EMOTIONS
from htnet.hub import DEFAULT_WEIGHTS, GENERATED
from tests.support.flows import write_flow_set
from tests.support.pairs import face_pair, save
from tests.support.paths import ROOT


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs an example in a folder; its output, or its error where a status is expected."""

    def run(name, *arguments, cwd, expect=0):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", [str(name), *map(str, arguments)])
        status, said = 0, ""
        try:
            runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        except SystemExit as end:  # a text is printed by the interpreter and makes the status 1
            status, said = (1, end.code) if isinstance(end.code, str) else (end.code or 0, "")
        out, err = capsys.readouterr()
        assert status == expect, err + said
        return out if expect == 0 else err + said

    return run


@pytest.mark.slow
def test_recognize_pair_answers_for_the_bundled_pair(tmp_path, warm_python):
    pytest.importorskip("matplotlib")
    code = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    words = (ROOT / "examples" / "recognize_pair.py", "--out", "answer.png")
    done = warm_python.run(code, *words, cwd=tmp_path, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert re.search(rf"^emotion: ({'|'.join(EMOTIONS)})$", out, re.MULTILINE)
    probabilities = [float(value) for value in re.findall(r"^  \w+ +(\d\.\d{3})$", out, re.MULTILINE)]
    assert len(probabilities) == 3
    assert sum(probabilities) == pytest.approx(1, abs=0.002)
    assert re.search(r"^  AU12 lip corner puller 0\.\d\d, both$", out, re.MULTILINE)
    assert (tmp_path / "answer.png").read_bytes().startswith(b"\x89PNG")


def test_recognize_pair_takes_two_files_and_does_without_matplotlib(run, tmp_path, monkeypatch):
    onset, apex = (save(tmp_path / f"{i}.png", frame) for i, frame in enumerate(face_pair()))
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out = run("recognize_pair.py", onset, apex, "--landmarks", "template", cwd=tmp_path)
    assert out.startswith("emotion: ")
    assert "no picture: " in out
    assert "htnet[plots]" in out


def test_recognize_pair_refuses_a_single_frame(run, tmp_path):
    assert "give two frames" in run("recognize_pair.py", "onset.png", cwd=tmp_path, expect=2)


@pytest.mark.parametrize(
    ("script", "name"),
    [("recognize_pair.py", "answer.png"), ("finetune.py", "model.safetensors"), ("finetune.py", "config.json")],
)
def test_a_result_that_exists_is_kept_and_the_message_is_plain(run, script, name, tmp_path):
    pytest.importorskip("matplotlib")
    there = tmp_path / "out" / name
    there.parent.mkdir()
    there.write_text("mine", "utf-8")
    words = ("--synthetic", "--out", "out") if script == "finetune.py" else ("--out", "out/answer.png")
    said = run(script, *words, cwd=tmp_path, expect=1)
    assert said.startswith(f"{script}: ")
    assert "--overwrite" in said
    assert "Traceback" not in said
    assert there.read_text("utf-8") == "mine"


def start_words(start):
    """The default is not named: that it is what the script starts from is under test."""
    return () if start == DEFAULT_WEIGHTS else ("--start", start)


@pytest.mark.parametrize("start", ["htnet_tiny", DEFAULT_WEIGHTS, "composite"])
def test_finetune_learns_the_synthetic_set_and_saves_weights(run, start, tmp_path):
    out = run("finetune.py", "--synthetic", *start_words(start), "--out", "weights", cwd=tmp_path)
    losses = [float(value) for value in re.findall(r"loss (\S+)", out)]
    assert losses[-1] < 0.5 * losses[0]
    uf1 = float(re.search(r"^UF1 (\S+)  UAR \S+$", out, re.MULTILINE)[1])
    assert uf1 > 0.6  # chance is below 0.4
    model = htnet.load_pretrained(tmp_path / "weights")
    assert model.labels == EMOTIONS
    assert model.preprocess_spec is not None
    card = (tmp_path / "weights" / "README.md").read_text("utf-8")
    assert f"{uf1:.3f}" in card
    assert ("non-commercial research only" in card) == (start == "composite")
    assert "license: other" in card, "nobody but the owner of the data says what may be done with them"
    seen = {DEFAULT_WEIGHTS: f"; before that {GENERATED} |", "composite": "; before that casme2, samm, smic |"}
    assert f"| Data | synthetic{seen.get(start, ' |')}" in card
    assert (f"| Started from | {start} |" in card) == (start in seen)
    assert not model.action_units, "they were not trained on"


def test_finetune_needs_one_source_of_data(run, tmp_path):
    assert "--synthetic" in run("finetune.py", cwd=tmp_path, expect=2)
    assert "--synthetic" in run("finetune.py", "m.csv", "--synthetic", cwd=tmp_path, expect=2)


def test_a_support_vector_machine_learns_from_features(run, tmp_path):
    write_flow_set(tmp_path / "set", 5, 6)
    out = run("svm_on_features.py", "set", cwd=tmp_path)
    assert "30 samples of 5 people, " in out
    # Three classes by chance: 0.33.
    assert float(re.search(r"UF1 (\d\.\d+)", out)[1]) > 0.6
    assert "nowhere does not exist" in run("svm_on_features.py", "nowhere", cwd=tmp_path, expect=1)
