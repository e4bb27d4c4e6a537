"""One side of `benchmarks.flow_bars`, in a process of its own: htnet of any commit, or OpenCV.

`Side` is the half that the benchmark has. Run as a program, this file is the other one: a line of JSON in, one out;
arrays travel in .npy files. It is run by the interpreter and with the htnet of its side, so it imports neither of these
at its head.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


class Side:
    """A process that waits while the others compute."""

    def __init__(self, name, python=sys.executable, path=None):
        """Start it.

        Args:
            name: "htnet" or "opencv".
            python: its interpreter.
            path: the checkout whose htnet it imports.
        """
        self._folder = tempfile.TemporaryDirectory()
        environment = {**os.environ, **({} if path is None else {"PYTHONPATH": str(path)})}
        # In the temporary folder: the one that the benchmark was started in would be found before the path.
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).resolve()), name, self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=self._folder.name,
        )

    def ask(self, word, *values):
        """What the process answers to a word."""
        self._process.stdin.write(json.dumps([word, *values]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The side that was asked {word!r} has ended with status {self._process.wait()}.")
        return json.loads(line)

    def load(self, onsets, apexes):
        """Set the pairs that the next words are about."""
        np.save(Path(self._folder.name) / "pairs.npy", np.stack([onsets, apexes]))
        self.ask("load")

    def flows(self):
        """(N, 2, H, W) float32."""
        self.ask("flows")
        return np.load(Path(self._folder.name) / "flows.npy")

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


def _timed(call):
    """Milliseconds on the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"wall": (time.perf_counter() - wall) * 1e3, "cpu": (time.process_time() - cpu) * 1e3}


class _Htnet:
    def __init__(self):
        import htnet
        from htnet.preprocess import tvl1_flow

        self._flow, self._predict = tvl1_flow, htnet.predict

    def version(self):
        import torch

        import htnet

        try:
            from htnet.preprocess import explain_tvl1

            backend = explain_tvl1().backend
        except ImportError:
            backend = "eager"
        return {"htnet": htnet.__file__, "torch": torch.__version__, "backend": backend}

    def threads(self, number):
        import torch

        torch.set_num_threads(number)

    def flow(self, onset, apex):
        return self._flow(onset, apex).numpy()

    def batch(self, onsets, apexes):
        return self._flow(onsets, apexes).numpy()

    def predict(self, onset, apex, landmarks):
        return self._predict(onset, apex, landmarks=landmarks)


class _OpenCV:
    def __init__(self):
        import cv2

        self._cv2, self._solver = cv2, cv2.optflow.DualTVL1OpticalFlow_create()

    def version(self):
        return {"opencv_contrib": self._cv2.__version__}

    def threads(self, number):
        self._cv2.setNumThreads(number)

    def flow(self, onset, apex):
        return self._solver.calc(onset, apex, None).transpose(2, 0, 1)


def _answer(side, folder):
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints must not be taken for an answer
    pairs = []
    for line in sys.stdin:
        word, *values = json.loads(line)
        answer = None
        if word == "load":
            pairs = list(zip(*np.load(folder / "pairs.npy"), strict=True))
        elif word == "flows":
            np.save(folder / "flows.npy", np.stack([side.flow(*pair) for pair in pairs]))
        elif word == "singly":
            answer = _timed(lambda given=pairs: [side.flow(*pair) for pair in given])
        elif word == "batch":
            onsets, apexes = (np.stack(frames) for frames in zip(*pairs, strict=True))
            answer = _timed(lambda stacks=(onsets, apexes): side.batch(*stacks))
        elif word == "predict":
            answer = _timed(lambda given=values: side.predict(*given))
        else:
            answer = getattr(side, word)(*values)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _answer({"htnet": _Htnet, "opencv": _OpenCV}[sys.argv[1]](), Path(sys.argv[2]))
