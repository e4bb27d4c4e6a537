"""`htnet doctor`: what it says, and that it notices what is wrong."""

import importlib.metadata
import json
import re

import numpy as np
import pytest
import torch

import htnet
from htnet.cli.doctor import SHELLS
from htnet.pipeline import diagnose, doctor
from tests.support.paths import ROOT

BUNDLED = [spec.name for spec in htnet.list_pretrained() if spec.bundled]


def stored():
    return json.loads(doctor.STORED_SCORES.read_text("utf-8"))


def test_scores_of_all_bundled_weights_are_stored():
    """To store others: scores.json holds `stored_input_scores(name).round(6)` of each."""
    assert set(stored()) == set(BUNDLED)
    for name, expected in stored().items():
        off = np.abs(doctor.stored_input_scores(name) - np.array(expected)).max()
        assert off < doctor.SCORE_TOLERANCE / 10 * np.abs(expected).max(), name


def test_everything_is_looked_at_and_nothing_is_wrong(succeed, monkeypatch):
    monkeypatch.setattr(doctor, "installed_opencv", lambda: {"opencv-python-headless": "5.0"})
    found = diagnose()
    assert not found.faults, found.faults
    topics = list(dict.fromkeys(one.topic for one in found.findings))
    assert topics == ["versions", "OpenCV", "GPU", "threads", "caches", "network", "flow", "weights", "extras"]
    monkeypatch.setattr(doctor, "diagnose", lambda: found)
    out = succeed("doctor")
    for one in found.findings:
        assert one.name in out
        assert one.text in out
    assert torch.__version__.split("+")[0] in out


def test_faults_are_found_told_and_change_the_status(run, monkeypatch, tmp_path):
    wrong = stored()
    wrong["synthetic"][0][1] += 0.1
    (tmp_path / "s.json").write_text(json.dumps(wrong))
    monkeypatch.setattr(doctor, "STORED_SCORES", tmp_path / "s.json")
    monkeypatch.setattr(
        doctor, "list_pretrained", lambda: [s for s in htnet.list_pretrained() if s.name == "synthetic"]
    )
    builds = {"opencv-python": "4.12.0.1", "opencv-python-headless": "4.12.0.1"}
    monkeypatch.setattr(doctor, "installed_opencv", lambda: builds)
    monkeypatch.setattr(doctor, "_flow", lambda: iter(()))
    faults = {one.name: one for one in diagnose().faults}
    assert set(faults) == {"opencv", "synthetic"}
    assert "2 builds" in faults["opencv"].text
    assert "pip uninstall" in faults["opencv"].cure or "pip install" in faults["opencv"].cure
    status, out, err = run("doctor", "--json")
    assert status == 2
    assert not json.loads(out)["healthy"]
    assert "2 faults: opencv, synthetic." in err


def test_an_opencv_that_is_too_old_or_finds_faces_elsewhere_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "installed_opencv", lambda: {"opencv-python-headless": "5.0"})
    assert {one.state for one in doctor._opencv()} == {"ok"}
    monkeypatch.setattr(doctor, "POINT_TOLERANCE", -1.0)
    assert [(one.name, one.state) for one in doctor._opencv()] == [("opencv", "ok"), ("face detector", "fault")]
    monkeypatch.setattr(doctor, "OLDEST_OPENCV", (99, 0))
    (old,) = doctor._opencv()
    assert (old.state, "99.0 or newer is needed" in old.text, bool(old.cure)) == ("fault", True, True)


def test_the_oldest_opencv_is_the_declared_one():
    oldest = ".".join(map(str, doctor.OLDEST_OPENCV))
    assert f'"opencv-python-headless>={oldest}.' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_a_changed_event_detector_is_told(monkeypatch, tmp_path):
    from htnet.core.errors import InputError

    def changed():
        raise InputError("changed")

    monkeypatch.setattr(doctor, "load_detector", changed)
    first = next(doctor._weights())
    assert (first.name, first.state, first.text) == ("event detector", "fault", "changed")


def test_a_container_with_fewer_cores_than_threads_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_CPU_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    for text, limit in (("150000 100000\n", 1.5), ("max 100000\n", None), ("?", None)):
        (tmp_path / "cpu.max").write_text(text)
        assert doctor._cpu_limit() == limit
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (found, *_) = doctor._threads()
    assert (found.state, found.cure) == ("note", "set OMP_NUM_THREADS=1")


def test_extras_are_those_of_the_project():
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    section = re.search(r"\[project\.optional-dependencies\]\n(.*?)\n\[", project, re.DOTALL)[1]
    known = set(re.findall(r"^([a-z-]+) = ", section, re.MULTILINE)) - {"dev", "docs"}
    try:
        importlib.metadata.version("htnet")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("htnet is not installed")
    found = doctor.installed_extras()
    # Of an environment that was made before, some may be missing.
    assert set(found) <= known
    assert "matplotlib" in found["plots"]
    assert not any("htnet" in packages for packages in found.values())


def test_offline_and_caches(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    (tmp_path / "file").write_text("in the way")
    assert "offline" in next(iter(doctor._network())).text
    (_, hub) = doctor._caches()
    assert (hub.state, hub.cure) == ("note", "set HF_HOME to a writable folder")


@pytest.mark.parametrize("shell", SHELLS)
def test_completion(succeed, shell):
    pytest.importorskip("shtab", reason="the extra completion")
    script = succeed("completion", shell)
    assert "evaluate-spotting" in script
    assert "casme3" in script


def test_completion_without_its_extra(fail, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "shtab", None)
    assert "pip install 'htnet[completion]'" in fail("completion", "bash")
