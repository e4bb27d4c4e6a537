"""DualTVL1 of opencv-contrib, in a separate environment: it cannot be installed beside opencv-python-headless.

`Contrib` is the side of the benchmark. Run by the other interpreter, this file is the side that answers: one JSON
line in, one out; arrays travel in .npy files. That side has NumPy and OpenCV only.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ENVIRONMENT = Path(__file__).parent / ".opencv-contrib"


class Contrib:
    """The other process; waits while the benchmark works."""

    def __init__(self):
        python = contrib_python()
        self._folder = tempfile.TemporaryDirectory()
        command = [str(python), "-I", str(Path(__file__).resolve()), self._folder.name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._ask("version")

    def flows(self, onsets, apexes):
        """(N, 2, H, W) float32."""
        self.load(onsets, apexes)
        self._ask("flows")
        return np.load(Path(self._folder.name) / "flows.npy")

    def load(self, onsets, apexes):
        """Set the pairs that `compute` works on."""
        np.save(Path(self._folder.name) / "pairs.npy", np.stack([onsets, apexes]))
        self._ask("load")

    def compute(self):
        """Compute the flows of the loaded pairs and drop them; returns the seconds it took there."""
        return self._ask("compute")

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def _ask(self, word):
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def contrib_python():
    """The interpreter that has opencv-contrib: ``HTNET_OPENCV_CONTRIB_PYTHON``, or one made for the benchmarks."""
    return os.environ.get("HTNET_OPENCV_CONTRIB_PYTHON") or _environment()


def _environment():
    """Python of an environment with opencv-contrib-python-headless, made at the first call."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / ".done").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "opencv-contrib-python-headless"], check=True)
        (ENVIRONMENT / ".done").touch()
    return python


def _answer(folder):
    import cv2

    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    pairs = None
    for line in sys.stdin:
        word, answer = line.strip(), None
        if word == "version":
            answer = cv2.__version__
        elif word == "load":
            pairs = np.load(folder / "pairs.npy")
        else:
            start = time.perf_counter()
            flows = [solver.calc(onset, apex, None) for onset, apex in zip(*pairs, strict=True)]
            answer = time.perf_counter() - start
            if word == "flows":
                np.save(folder / "flows.npy", np.stack(flows).transpose(0, 3, 1, 2))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _answer(Path(sys.argv[1]))
