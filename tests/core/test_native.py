"""Machine code on disk: compiled once, read where nothing can be written, never wrong after damage."""

import hashlib
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from htnet.core import native
from htnet.core.errors import MissingExtraError, RunError
from htnet.preprocess import tvl1_flow
from tests.support.paths import ROOT

pytest.importorskip("llvmlite")
MODULE = "htnet.preprocess.flow.tvl1_loops"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """One empty folder, and a compiler that takes a moment and counts its calls in a file."""
    monkeypatch.setattr(native, "folders", lambda: [tmp_path / "code"])
    calls = tmp_path / "calls"

    def slowly(module, function):
        with calls.open("a") as file:
            file.write("x")
        threading.Event().wait(0.3)
        return b"code"

    monkeypatch.setattr(native, "_compile", slowly)
    return tmp_path / "code", calls


def ask():
    return native._code(MODULE, "solve", ())


def test_code_is_compiled_once_and_kept(place):
    folder, calls = place
    assert ask() == ask() == b"code"
    assert calls.read_text() == "x"
    (kept,) = folder.glob("*.o")
    assert kept.read_bytes() == hashlib.sha256(b"code").digest() + b"code"


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:40] + b"!" + b[41:]])
def test_damaged_code_is_compiled_again(place, damage):
    folder, calls = place
    ask()
    (kept,) = folder.glob("*.o")
    kept.write_bytes(damage(kept.read_bytes() + b" " * 20))
    assert ask() == b"code"
    assert calls.read_text() == "xx"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_of_forty_processes_that_start_at_once_one_compiles(place):
    _, calls = place
    children = []
    for _ in range(40):
        child = os.fork()
        if child == 0:
            os._exit(0 if ask() == b"code" else 1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 40
    assert calls.read_text() == "x"


def refuse_writing(monkeypatch, *folders):
    """As on a read-only disk; root may write everywhere else."""
    real = {name: getattr(Path, name) for name in ("touch", "mkdir")}

    def refused(self, *args, of=None, **kwargs):
        if any(folder in (self, *self.parents) for folder in folders):
            raise OSError(30, "Read-only file system")
        return real[of](self, *args, **kwargs)

    for name in real:
        monkeypatch.setattr(Path, name, lambda self, *a, of=name, **k: refused(self, *a, of=of, **k))


def test_code_is_read_from_a_folder_that_cannot_be_written(place, monkeypatch):
    folder, calls = place
    ask()
    refuse_writing(monkeypatch, folder)
    assert ask() == b"code"
    assert calls.read_text() == "x"


def test_the_next_folder_is_taken_where_one_cannot_be_written(place, tmp_path, monkeypatch):
    folder, calls = place
    monkeypatch.setattr(native, "folders", lambda: [folder, tmp_path / "other"])
    refuse_writing(monkeypatch, folder)
    assert ask() == ask() == b"code"
    assert calls.read_text() == "x"
    assert not folder.exists()
    assert len(list((tmp_path / "other").glob("*.o"))) == 1


@pytest.mark.parametrize("what", ["nothing can be written", "the disk is full"])
def test_where_nothing_can_be_kept_every_process_compiles(place, monkeypatch, what):
    folder, calls = place
    if what == "the disk is full":

        def full(path, mode):
            raise native.InputError("full")

        monkeypatch.setattr(native, "whole_file", full)
    else:
        refuse_writing(monkeypatch, folder)
    assert ask() == ask() == b"code"
    assert calls.read_text() == "xx"


def test_no_lock_no_harm(place, monkeypatch):
    import filelock

    def none(self, *args, **kwargs):
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", none)
    assert ask() == b"code"


@pytest.fixture
def loose_umask():
    """As where each user has a group of the same name: new files can be written by the group."""
    before = os.umask(0o002)
    yield
    os.umask(before)


posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no modes of files")


def listed(folder):
    return sorted((path.name, path.read_bytes()) for path in folder.iterdir() if path.suffix != ".lock")


@posix
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o757])
def test_a_folder_that_others_can_write_is_neither_read_nor_written(place, mode):
    folder, calls = place
    ask()
    folder.chmod(mode)
    before = listed(folder)
    assert ask() == ask() == b"code"
    assert calls.read_text() == "xxx"
    assert listed(folder) == before


@posix
@pytest.mark.parametrize("mode", [0o666, 0o664, 0o602])
def test_a_file_that_others_can_write_is_not_run_and_replaced(place, mode):
    folder, calls = place
    ask()
    (kept,) = folder.glob("*.o")
    kept.write_bytes(hashlib.sha256(b"evil").digest() + b"evil")
    assert ask() == b"evil"  # what a file of ours holds is run: the hash is against damage only
    kept.chmod(mode)
    assert ask() == ask() == b"code"
    assert calls.read_text() == "xx"


@posix
def test_files_of_another_user_are_not_run(place, monkeypatch):
    folder, calls = place
    ask()
    before = listed(folder)
    monkeypatch.setattr(native, "_owners", lambda: {os.geteuid() + 1})
    assert ask() == b"code"
    assert calls.read_text() == "xx"
    assert listed(folder) == before
    assert native._writable() is None


@posix
def test_a_folder_that_everybody_can_rename_is_not_used(place, tmp_path):
    _, calls = place
    ask()
    tmp_path.chmod(0o777)
    ask()
    assert calls.read_text() == "xx"
    tmp_path.chmod(0o1777)  # as /tmp
    ask()
    assert calls.read_text() == "xx"


@posix
@pytest.mark.parametrize("linked", ["file", "folder"])
def test_links_are_followed_before_the_check(place, tmp_path, linked):
    folder, calls = place
    ask()
    other = tmp_path / "open"
    if linked == "folder":
        folder.rename(other)
        folder.symlink_to(other)
    else:
        other.mkdir()
        (kept,) = folder.glob("*.o")
        kept.rename(other / kept.name)
        kept.symlink_to(other / kept.name)
    assert ask() == b"code"
    assert calls.read_text() == "x"
    other.chmod(0o777)
    before = listed(other)
    assert ask() == b"code"
    assert calls.read_text() == "xx"
    assert listed(other) == before


@posix
def test_what_is_kept_is_read_again_whatever_the_umask(place, loose_umask):
    folder, calls = place
    assert ask() == ask() == b"code"
    assert calls.read_text() == "x"
    (kept,) = folder.glob("*.o")
    assert not (folder.stat().st_mode | kept.stat().st_mode) & 0o022


def test_the_name_differs_with_source_and_processor(monkeypatch):
    name = native._name(MODULE, ())
    assert name == native._name(MODULE, ())
    assert name.startswith("tvl1_loops-")
    others = {native._name(MODULE, ("htnet.core.fields",))}
    with monkeypatch.context() as patch:
        patch.setattr(native.platform, "machine", lambda: "other")
        others.add(native._name(MODULE, ()))
    with monkeypatch.context() as patch:
        patch.setattr(native, "version", lambda package: "0")
        others.add(native._name(MODULE, ()))
    assert len({name, *others}) == 4


def test_folders(monkeypatch, tmp_path):
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(native.sys, "platform", "linux")
    package = Path(native.__file__).parents[1] / "__pycache__"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert native.folders() == [package, tmp_path / ".cache" / "htnet"]
    monkeypatch.setattr(native.os.path, "expanduser", lambda path: path)  # a user without entry and HOME
    assert native.folders() == [package]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "n"))
    assert native.folders() == [tmp_path / "n" / "htnet", package, tmp_path / "x" / "htnet"]


@pytest.mark.parametrize(
    ("found", "environment", "why"),
    [
        ("", {}, "numba is not installed"),
        ("0.67.9", {}, "numba 0.67.9 is installed; 0.68 or newer, before 0.69, is needed"),
        ("0.69.0rc1", {}, "numba 0.69.0rc1 is installed"),
        ("0.68.1", {"NUMBA_DISABLE_JIT": "1"}, "NUMBA_DISABLE_JIT is set"),
        ("0.68.1", {}, ""),
    ],
)
def test_obstacles(found, environment, why, monkeypatch):
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(native, "_installed", lambda: found)
    assert native.numba_obstacle().startswith(why)
    assert bool(native.numba_obstacle()) == bool(why)


def test_what_cannot_be_compiled_is_told_in_words_of_htnet(monkeypatch):
    import numba

    monkeypatch.setattr(numba, "cfunc", None)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    with pytest.raises(RunError, match=r"could not compile.*pip install --force-reinstall 'htnet\[fast\]'") as caught:
        native._compile(MODULE, "solve")
    assert "NoneType" not in str(caught.value)
    sys.modules.pop(MODULE, None)


def test_a_numba_that_cannot_be_imported_is_told_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[fast\]'"):
        native._compile(MODULE, "solve")


@pytest.mark.slow
def test_one_process_compiles_and_the_next_loads_without_numba_and_without_a_word(tmp_path, warm_python):
    """The real thing: an empty folder, no home, then nothing but the code that was kept."""
    code = """
import sys, numpy as np
from htnet.core import native
sys.path.insert(0, sys.argv[1])
native.folders = lambda folders=native.folders: folders()[:1]
sums = native.native_function("tests.core.native_loops", "running_sums", (), 2)
values, count = np.arange(1, 8, dtype=np.float32), np.array([7])
sys.stdout.write(f"{sums(values.ctypes.data, count.ctypes.data)} {values[-1]} {'numba' in sys.modules}")
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    environment["NUMBA_CACHE_DIR"] = str(tmp_path)
    for compiles in (True, False):
        done = warm_python.run(code, ROOT, env=environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"7 28.0 {compiles}", "")
    assert len(list((tmp_path / "htnet").glob("native_loops-*.o"))) == 1


@pytest.mark.slow
def test_kept_code_of_tvl1_is_loaded_without_numba_and_without_a_word(warm_python):
    code = """
import sys, numpy as np
from htnet.preprocess import tvl1_flow
a = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
sys.stdout.write(f"{tvl1_flow(a, np.roll(a, 1, 1), backend='numba').double().sum():.12f} {'numba' in sys.modules}")
"""
    frame = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
    flow = tvl1_flow(frame, np.roll(frame, 1, 1), backend="numba")  # compiled and kept, if it was not
    done = warm_python.run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{flow.double().sum():.12f} False", "")
