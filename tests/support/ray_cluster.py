"""A Ray cluster of two nodes on loopback, in a process of its own that can kill the second one.

Ray's own helper starts the nodes. With the variable below, which Ray has for systems without clusters, everything
listens on 127.0.0.1 alone. It must be set where Ray is imported, so here and in the process of the tests.
"""

import os
import subprocess
import sys
import tempfile

#: Everything on loopback; nothing is reported to Ray's authors.
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}
#: Prints the address, and obeys: a line ends the second node while it works on a task, the end of input both.
SERVER = '''
import os, signal, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster


def processes(node):
    """Numbers of the node's processes, and whether one of them works on a task, as which Ray then calls it."""
    raylet = node.all_processes["raylet"][0].process.pid
    found, works = [raylet], False
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if int((place / "stat").read_text().rsplit(")", 1)[1].split()[1]) == raylet:
                found.append(int(place.name))
                works = works or (place / "cmdline").read_bytes().startswith(b"ray::_run_here")
        except (OSError, IndexError):
            pass
    return found, works


def kill(node):
    until = time.monotonic() + 60
    while not processes(node)[1] and time.monotonic() < until:
        time.sleep(0.01)
    found, works = processes(node)
    for number in found:  # a process whose raylet alone is killed goes on for a while
        os.kill(number, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)
    return "done" if works else "it was idle"


small = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_log_monitor": False}
cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False, "no_monitor": True})
nodes = [cluster.add_node(**small)]
print(cluster.address, flush=True)
for line in sys.stdin:
    print(kill(nodes.pop()), flush=True)
cluster.shutdown()
'''


class TwoNodes:
    """The cluster, of one processor a node."""

    def __enter__(self) -> "TwoNodes":
        # Paths of sockets must be short.
        self._folder = tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True)
        os.mkdir(f"{self._folder.name}/ray")
        environment = {**os.environ, **ENVIRONMENT, "RAY_TMPDIR": self._folder.name}
        self._log = open(f"{self._folder.name}/log", "w")
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        self.address = self._process.stdout.readline().strip()
        return self

    def kill(self) -> None:
        """Kill the second node as soon as it works on a task."""
        self._process.stdin.write("kill\n")
        self._process.stdin.flush()
        if (said := self._process.stdout.readline()) != "done\n":
            raise RuntimeError(said or "the cluster has ended")

    def __exit__(self, *error: object) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
        self._log.close()
        self._folder.cleanup()
