"""Engines: what is refused before any work. Tests on a cluster are in tests/test_ray.py."""

import builtins
import socket
import threading
import time
import warnings
from contextlib import suppress

import pytest

from htnet.core import ray_tasks
from htnet.core.engines import LocalEngine, RayEngine, make_engine
from htnet.core.errors import HtnetError, InputError, MissingExtraError, RunError, VideoError
from htnet.core.ray_tasks import connectable


@pytest.fixture
def _with_ray(monkeypatch):
    monkeypatch.setattr(ray_tasks, "require", lambda *names: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def answering():
    """Starts a server that answers each connection in the same way, and gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(answer):
            def run():
                link, _ = server.accept()
                with link, suppress(OSError):
                    link.recv(100)
                    link.sendall(answer)
                    link.recv(1)

            threading.Thread(target=run, daemon=True).start()
            return f"127.0.0.1:{server.getsockname()[1]}"

        yield serve


def add(shared, number):
    return shared + number


def test_the_local_engine_is_the_default():
    engine = make_engine()
    assert engine == LocalEngine(1, "cpu")
    assert not engine.remote
    assert list(engine.run(add, 10, [(1,), (2,)])) == [((1,), 11), ((2,), 12)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "rey"}, "Did you mean 'ray'"),
        ({"address": "127.0.0.1:6379"}, "engine='ray'"),
        ({"workers": 0}, "workers is 0; give a whole number of 1 or more"),
        ({"workers": "2"}, "workers is '2'; give a whole number"),
        ({"engine": "ray", "workers": 4}, "as many tasks as the cluster has CPUs"),
        ({"engine": "ray", "device": "auto", "gpus": True}, "'cuda' for one GPU per task"),
        ({"engine": "ray", "device": "cuda"}, "run on the CPU"),
        ({"engine": "ray"}, "needs the address of a cluster"),
        ({"engine": "ray", "address": "auto"}, "HOST:PORT"),
        ({"engine": "ray", "address": "head:70000"}, "HOST:PORT"),
        ({"engine": "ray", "address": "head:\uff16\uff13\uff17\uff19"}, "HOST:PORT"),
        ({"engine": "ray", "address": 6379}, "address of the cluster is 6379, which is no text"),
        ({"engine": "ray", "address": "ray://head:10001"}, "on a machine of the cluster"),
    ],
)
@pytest.mark.usefixtures("_with_ray")
def test_what_cannot_be_obeyed_is_refused(options, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        make_engine(**options)


@pytest.mark.parametrize("command", ["loso --data", "lodo --data", "prepare manifest --root", "analyze"])
def test_a_number_of_processes_is_for_this_machine(command, tmp_path, fail):
    words = [*command.split(), tmp_path / "none", "--out", tmp_path / "out", "--workers"]
    said = fail(*words, 1, "--engine", "ray", "--address", "127.0.0.1:6379")
    assert "--workers 1 is for this machine; with --engine ray" in said
    assert "--workers is 0; give a whole number of 1 or more" in fail(*words, 0)


def test_without_ray_the_line_for_pip_is_told(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name == "ray":
            raise ImportError(name=name)
        return real(name, *rest)

    monkeypatch.setattr("importlib.import_module", lambda name: absent(name))
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[ray\]'"):
        make_engine("ray", "127.0.0.1:6379")


@pytest.mark.usefixtures("_with_ray")
def test_an_address_that_does_not_answer_is_told_in_time(answering, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    with pytest.raises(RunError, match="connection refused"):
        connectable(f"127.0.0.1:{free}")
    for host in ("a..b", "x" * 70, "a\0b"):
        with pytest.raises(RunError, match="No Ray cluster answers"):
            connectable(f"{host}:{free}")
    with pytest.raises(RunError, match="is not a Ray cluster"):
        connectable(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    monkeypatch.setattr(ray_tasks, "ANSWERS_WITHIN", 0.2)
    begun = time.monotonic()
    with pytest.raises(RunError, match="no answer in time"):
        connectable(answering(b""))
    assert time.monotonic() - begun < 5  # where it waited for ever, the test would too


@pytest.mark.usefixtures("_with_ray")
def test_the_address_may_come_from_the_variable(answering, monkeypatch):
    address = answering(b"\0\0\x06\x04\0\0\0\0\0" + b"\0" * 6)  # settings, as a server of HTTP/2 begins
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert make_engine("ray") == RayEngine(address)


def here(function, *task, shared=None, **changes):
    """A task run in this process, as a node would."""
    work = ray_tasks._Work(
        **{
            "versions": ray_tasks.versions(),
            "folder": ".",
            "variables": {},
            "command": False,
            "content": ray_tasks.pickle.dumps((function, shared)),
            **changes,
        }
    )
    return work.begin()


def test_a_node_with_other_versions_is_refused():
    with pytest.raises(RunError, match=r"has htnet .*, not 9\.9: .*same versions on all nodes"):
        here(add, versions={**ray_tasks.versions(), "htnet": "9.9"})
    function, shared = here(add, shared=2)
    assert function(shared, 3) == 5


def test_a_node_that_lacks_files_is_refused(tmp_path):
    """A sample that one node cannot read would be left out as damaged, and no one would know why."""
    file = tmp_path / "onset.png"
    file.write_bytes(b"1234")
    wanted = ray_tasks._sizes([file, tmp_path, tmp_path / "nowhere"])
    assert wanted == {str(file): 4, str(tmp_path): 1}  # what is missing everywhere is told by its reader
    ray_tasks._check_files(wanted)
    file.write_bytes(b"12345")
    with pytest.raises(RunError, match="onset.png"):
        ray_tasks._check_files(wanted)
    file.unlink()
    with pytest.raises(RunError, match="the same files under the same paths"):
        ray_tasks._check_files(wanted)


def failing(shared, number):
    warnings.warn("seen on the node", UserWarning, stacklevel=1)
    if number:
        raise VideoError("cut off", frame=number)
    return number


def test_errors_and_warnings_come_back(monkeypatch):
    class Ray:
        class exceptions:  # noqa: N801
            RayTaskError = RayError = ()

        @staticmethod
        def get(found):
            return found

    monkeypatch.setitem(ray_tasks.sys.modules, "ray", Ray)
    monkeypatch.setattr(ray_tasks, "_BEGUN", {"name": (failing, None, False)})
    answers = [ray_tasks._run_here([], "name", ray_tasks.pickle.dumps((number,)), {}) for number in (0, 7)]
    answers = ray_tasks.pickle.loads(ray_tasks.pickle.dumps(answers))
    with pytest.warns(UserWarning, match="seen on the node"):
        assert ray_tasks._result(Ray, answers[0], "") == 0
    with pytest.warns(UserWarning, match="seen on the node"), pytest.raises(VideoError) as caught:
        ray_tasks._result(Ray, answers[1], "")
    assert (str(caught.value), caught.value.frame) == ("cut off", 7)
    assert isinstance(caught.value, HtnetError)


def test_lost_nodes_are_told(monkeypatch):
    class Ray:
        alive = (True, True, False)

        def nodes(self):
            return [{"NodeID": str(number), "Alive": alive} for number, alive in enumerate(self.alive)]

    monkeypatch.setattr(ray_tasks, "_LOOK_EVERY", 0)
    ray = Ray()
    lost = ray_tasks._LostNodes(ray)
    lost.tell()
    lost.tell()  # warnings are errors here
    ray.alive = (True, False, False)
    with pytest.warns(UserWarning, match="1 node of the Ray cluster lost, 1 left"):
        lost.tell()
    lost.tell()
