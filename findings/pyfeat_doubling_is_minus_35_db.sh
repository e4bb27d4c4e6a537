#!/usr/bin/env bash
# Curves of action units are referred to each person's own baseline before people are compared. py-feat 2.1.5's Fex.baseline has
# normalize="db" for that. It divides by the baseline after the logarithm and not within it, and takes the logarithm of the difference:
# 10 log10(x - b) / b in place of 10 log10(x / b). An AU12 that doubles is 3.0 dB whatever the baseline. It gives -34.9 for a
# baseline of 0.2, -6.0 for 0.5, 0.0 for 1.0 and 1.5 for 2.0: the less somebody shows at rest, the lower is one and the same relative
# rise. Frames at the baseline are -inf in place of 0, and frames below it NaN, so that the mean over a clip is -inf. Expected was 3.0 each
# time. NumPy warns of the frames at and below the baseline, of nothing else. normalize="pct" is right.
# Exits 0 if it is so, 1 if it has changed. What is not installed (PyTorch, models, plots) is replaced by empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps py-feat==2.1.5 \
  numpy==2.2.6 scipy==1.15.3 pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/decibel.py" <<'PYTHON'
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from importlib.metadata import version

import numpy as np
import pandas as pd
import scipy.signal  # noqa: F401


class AnyName(type):
    def __getattr__(cls, name):
        return stand(name)


class Stand(metaclass=AnyName):
    """In place of whatever a module that is not installed would define."""

    def __init__(self, *args, **options):
        pass

    def __call__(self, *args, **options):
        return args[0] if args else self

    def __getattr__(self, name):
        return stand(name)


def stand(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Stand


class NotInstalled(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Asked last, so that it finds only what nothing else has found."""

    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return empty(spec.name)

    def exec_module(self, module):
        pass


def empty(name):
    module = types.ModuleType(name)
    module.__getattr__ = stand
    return module


feat = types.ModuleType("feat")  # the package, without what it imports
feat.__path__ = importlib.util.find_spec("feat").submodule_search_locations
sys.modules["feat"] = feat
for name in ("feat.pretrained", "feat.plotting"):
    sys.modules[name] = empty(name)
sys.meta_path.append(NotInstalled())
from feat.data import Fex

print("py-feat", version("py-feat"))
seen, percent = {}, {}
for rest in (0.2, 0.5, 1.0, 2.0):
    curve = rest * np.array([1, 1, 1, 1, 1, 2, 1, 1, 0.9])
    smile = Fex(pd.DataFrame({"AU12": curve}), au_columns=["AU12"], sampling_freq=30)
    with np.errstate(all="ignore"):
        found = smile.baseline("median", normalize="db")["AU12"].to_numpy()
    seen[rest] = round(float(found[5]), 1), float(found[0]), float(found[8])
    percent[rest] = round(float(smile.baseline("median", normalize="pct")["AU12"].to_numpy()[5]))
    true = 10 * np.log10(curve / rest)
    print(
        f"AU12 of {rest} that doubles: expected {true[5]:.1f} dB, {true[0]:.1f} at rest and {true[8]:.1f} below it, "
        f"seen {seen[rest][0]}, {seen[rest][1]} and {seen[rest][2]}; by pct {percent[rest]} %"
    )
same = [peak for peak, _, _ in seen.values()] == [-34.9, -6.0, 0.0, 1.5] and set(percent.values()) == {100}
same = same and all(level == -np.inf and np.isnan(below) for _, level, below in seen.values())
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/decibel.py"
