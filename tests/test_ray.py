"""Commands on a Ray cluster of two nodes, one of which is killed: results are those of local processes."""

import pytest
import torch

from htnet.evaluation import loso
from htnet.training import Recipe
from tests.support.flows import write_flow_set
from tests.support.ray_cluster import TwoNodes

pytest.importorskip("ray", reason="Ray has no wheel for this Python")

SETTINGS = {"model": "htnet_tiny", "seeds": 2, "protocols": ("last", "nested"), "progress": False}
QUICK = Recipe(name="quick", epochs=5, batch_size=8)


@pytest.fixture(scope="module")
def two_nodes():
    with TwoNodes() as nodes:
        yield nodes


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
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
