#!/usr/bin/env bash
# Which facial muscles work together (synergies) is found from the envelopes of their EMG. musyn 0.1.0:
# - segment_envelope cuts out the trials, with 500 samples before and after each unless told otherwise. Where a trial begins within
#   the first 500, the start is counted from the end of the recording: of 1000 samples with a smile at 300 to 600 it gives the last 200, in
#   which the face is at rest, and their maximum, 0.01 in place of 1, by which normalize_envelope divides. time_normalize_envelope
#   (100 samples) does the same. Expected was the part that is there, or an error.
# - quality_ratio has "1.0 = perfect recovery" of the true synergies. It asks only whether each found synergy is like a true one: one
#   true synergy found three times, and two never, has 1.0. Expected was less than 1.
# Nothing is said. Exits 0 if it is so, 1 if it has changed. Its two files are loaded alone; the envelopes are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps musyn==0.1.0 numpy==2.2.6 scipy==1.15.3
cat > "$work/trials.py" <<'PYTHON'
import sys
import sysconfig
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np


def load(name):
    spec = spec_from_file_location(name.rpartition(".")[2], f"{sysconfig.get_path('purelib')}/{name.replace('.', '/')}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


segmentation, quality = load("musyn.preprocessing.segmentation"), load("musyn.metrics.quality")
print("musyn", version("musyn"))
envelope = np.full((1000, 2), 0.01)
envelope[300:600] = np.hanning(300)[:, None] + 0.01
whole = float(envelope.max())
seen = {}
for name, cut in {"defaults": {}, "delays of 300": {"delay_on": 300, "delay_off": 300}}.items():
    part, maxima = segmentation.segment_envelope(envelope, [(300, 600)], **cut)
    seen[name] = len(part), round(float(maxima.max()), 2), round(float(segmentation.normalize_envelope(envelope, maxima).max()), 1)
    print(f"smile at 300 to 600, {name}: expected a maximum of {whole:.2f}, seen {seen[name][1]} of {len(part)} samples", end="; ")
    print(f"normalized: expected at most 1, seen {seen[name][2]}")
early = np.roll(envelope, -250, axis=0)
later = segmentation.time_normalize_envelope(early, [(50, 950)])[1].max()
print(f"smile at 50 to 350, time_normalize_envelope: expected a maximum of {whole:.2f}, seen {later:.2f}")
true = np.eye(3)
ratios = [round(quality.quality_ratio(found, true), 3) for found in (true, np.tile(true[:, :1], 3))]
print(f"quality ratio: expected 1 for all three synergies and less for one of them thrice, seen {ratios}")
same = seen == {"defaults": (200, 0.01, 101.0), "delays of 300": (900, 1.01, 1.0)} and later < 0.02 and ratios == [1, 1]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/trials.py"
