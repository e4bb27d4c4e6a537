#!/usr/bin/env bash
# Disgust and surprise are common in sets of micro-expressions, fear and sadness rare. ImbalancedDatasetSampler of torchsampler 0.1.2 draws from "a
# given list of indices", each label as often as any other. It sorts the weights by index, and not the indices: when the list is not in
# order, as that of a shuffled split or of people taken one by one is, each clip is drawn with the weight of the clip that has its place in
# the sorted list. Of 200 clips with 20 rare ones, shuffled, the rare label is drawn in 8 % instead of 50 %: about as often as it
# occurs, so that nothing is balanced, while some common clips, by chance, are drawn nine times as often as others. The same clips
# in order give 50 %. Expected was 50 % for any order of the list; neither README nor docstring asks for one. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. torchvision, whose data sets it compares with where no labels are given, is an empty stand-in.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 numpy==2.4.6
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps torchsampler==0.1.2 pandas==2.3.3 \
  python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/draw.py" <<'PYTHON'
import random
import sys
import types
from importlib.metadata import version

import torch

sys.modules["torchvision"] = types.ModuleType("torchvision")
from torchsampler import ImbalancedDatasetSampler

print("torchsampler", version("torchsampler"))
labels = ["fear"] * 20 + ["disgust"] * 180
shuffled = list(range(200))
random.Random(0).shuffle(shuffled)
seen, most = {}, {}
for name, indices in (("in order", list(range(200))), ("shuffled", shuffled)):
    torch.manual_seed(0)
    sampler = ImbalancedDatasetSampler(range(200), labels=[labels[k] for k in indices], indices=indices, num_samples=100_000)
    drawn = torch.bincount(torch.tensor(list(sampler)), minlength=200)
    seen[name] = float(drawn[:20].sum() / drawn.sum())
    most[name] = float(drawn[20:].max() / drawn[20:].median())
    print(f"indices {name}: fear expected 0.50, seen {seen[name]:.2f}; a clip of disgust drawn at most {most[name]:.1f} times as often as the median")
same = abs(seen["in order"] - 0.5) < 0.02 and most["in order"] < 2 and seen["shuffled"] < 0.3 and most["shuffled"] > 5
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/draw.py"
