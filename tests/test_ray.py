"""Commands on a Ray cluster of two nodes, one of which is killed: results are those of local processes."""

import dataclasses
import re

import pytest
import torch

from htnet.evaluation import loso
from htnet.synthesis import generate_recording, write_recording
from htnet.training import Recipe
from tests.support.flows import write_flow_set
from tests.support.pairs import face_pair, pair_manifest
from tests.support.ray_cluster import TwoNodes
from tests.support.recordings import QUICK_RECORDING, SEED
from tests.support.videos import write_video

pytest.importorskip("ray", reason="Ray has no wheel for this Python")

# Of files of ELAN the date and their own place are left out.
_AFTER_HEADER = b"<TIME_ORDER"
SETTINGS = {"model": "htnet_tiny", "seeds": 2, "protocols": ("last", "nested"), "progress": False}
SHORT = dataclasses.replace(QUICK_RECORDING, duration=(4.0, 4.2))
QUICK = Recipe(name="quick", epochs=5, batch_size=8)


@pytest.fixture(scope="module")
def two_nodes():
    with TwoNodes() as nodes:
        yield nodes


@pytest.fixture
def connected(two_nodes):
    """A program's own connection, which htnet uses and leaves as it is: processes on the nodes stay warm."""
    import ray

    ray.init(address=two_nodes.address, log_to_driver=False)
    yield ["--engine", "ray", "--address", two_nodes.address]
    assert ray.is_initialized()
    ray.shutdown()


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes().split(_AFTER_HEADER)[-1]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.slow
def test_folds_are_those_of_local_processes_while_a_node_is_killed(two_nodes, tmp_path, capfd):
    torch.set_num_threads(1)
    manifest = write_flow_set(tmp_path / "set", 4, 3)
    loso(manifest, recipe=QUICK, out=tmp_path / "local", **SETTINGS)
    done = []

    def kill(count, total, left):
        done.append(count)
        if count == 1:
            two_nodes.kill()

    on_ray = {"engine": "ray", "address": two_nodes.address, "on_fold": kill}
    loso(manifest, recipe=QUICK, out=tmp_path / "ray", **on_ray, **SETTINGS)
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")
    assert done == list(range(1, 9)), "nothing lost, nothing counted twice"
    assert capfd.readouterr().out == ""


def _without_ray(text):
    """What a command printed, without what Ray says of nodes that were slow to answer on a busy machine."""
    return re.sub(r"^\S*\(raylet\).*(\n\s*\t\(\d\).*)*\n", "", text, flags=re.MULTILINE)


@pytest.mark.slow
def test_files_are_those_of_local_processes(connected, two_nodes, tmp_path, run):
    """Of `prepare`, `predict` of a manifest and of videos, and `analyze`; a file that is damaged is told the same."""
    pair_manifest(tmp_path / "pairs", 5)
    (tmp_path / "pairs" / "3_apex.png").write_bytes(b"no picture")
    (tmp_path / "videos").mkdir()
    (tmp_path / "recordings").mkdir()
    for name, label in (("one", 0), ("two", 1)):
        onset, apex = face_pair(label, 96)
        write_video(tmp_path / "videos" / f"{name}.avi", [onset] * 4 + [apex] * 4, fps=25.0)
    (tmp_path / "videos" / "three.avi").write_bytes(b"no video")
    write_recording(generate_recording(SEED, SHORT), tmp_path / "recordings" / "a.mp4")
    (tmp_path / "recordings" / "b.mp4").write_bytes(b"no video")
    quick = "--landmarks template --skip-errors"
    commands = [
        f"prepare manifest --root {tmp_path}/pairs/manifest.csv --out OUT/flow --flow dis {quick}",
        f"predict --manifest {tmp_path}/pairs/manifest.csv --out OUT/pairs.jsonl {quick}",
        f"predict --videos {tmp_path}/videos --out OUT/videos.csv {quick}",
        f"analyze {tmp_path}/recordings --out OUT/recordings",
    ]
    told = {}
    for name, options in (("on_one", []), ("on_two", connected)):
        (tmp_path / name).mkdir()
        words = [command.replace("OUT", str(tmp_path / name)).split() + options for command in commands]
        told[name] = [tuple(_without_ray(str(part).replace(name, "")) for part in run(*each)) for each in words]
    assert told["on_two"] == told["on_one"]
    assert [status for status, *_ in told["on_one"]] == ["0", "0", "0", "2"]
    local, other = (
        {name: text.replace(folder.encode(), b"") for name, text in files_of(tmp_path / folder).items()}
        for folder in ("on_one", "on_two")
    )
    assert other == local
    assert {"flow/report.json", "pairs.jsonl", "videos.csv", "recordings/a.json"} <= local.keys()
    assert local["pairs.jsonl"].count(b"htnet.prediction_error") == 1
