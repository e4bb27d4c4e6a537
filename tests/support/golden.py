"""Golden data: reference implementations run on random weights."""

import json

import numpy as np
import torch

from tests.support.paths import GOLDEN


def load_golden(name):
    """State dict, inputs, outputs and config of one golden file."""
    with np.load(GOLDEN / f"{name}.npz") as data:
        parts = {"state": {}, "input": {}, "output": {}}
        for key in data.files:
            kind, _, rest = key.partition("/")
            if kind in parts:
                parts[kind][rest] = torch.from_numpy(data[key])
        return parts["state"], parts["input"], parts["output"], json.loads(str(data["config"]))
