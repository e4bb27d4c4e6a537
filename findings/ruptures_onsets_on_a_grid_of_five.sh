#!/usr/bin/env bash
# Change points of a curve (flow, optical strain, an action unit) give onset and offset. ruptures 1.1.10 looks for them at
# every fifth frame only, by default (jump=5): Pelt, Binseg, BottomUp and Dynp find an expression of frames 43 to 57 at 40
# to 59, whatever the noise. At 25 frames a second the onset is 0.12 s early and the offset 0.08 s late, and an expression
# of 0.5 s becomes one of 0.8 s; nothing is said. Its KernelCPD, asked for the same two changes, gives the frames, since it
# has jump=1; so do the others with jump=1. Expected was one frame's precision of all of them.
# Exits 0 if it is so, 1 if it has changed. The curve is made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile ruptures==1.1.10 numpy==2.2.6 scipy==1.15.3
cat > "$work/onset.py" <<'PYTHON'
import sys

import numpy as np
import ruptures as rpt

ONSET, OFFSET, FRAMES = 43, 58, 120
curve = np.zeros(FRAMES)
curve[ONSET:OFFSET] = 1
curve += np.random.default_rng(0).normal(0, 0.05, FRAMES)


def changes(method, **how):
    return [int(frame) for frame in method.fit(curve).predict(**how)][:2]


print("ruptures", rpt.__version__, "- true changes:", [ONSET, OFFSET])
found = {}
for name, kind, how in (
    ("Pelt", rpt.Pelt, {"pen": 1}),
    ("Binseg", rpt.Binseg, {"n_bkps": 2}),
    ("BottomUp", rpt.BottomUp, {"n_bkps": 2}),
    ("Dynp", rpt.Dynp, {"n_bkps": 2}),
):
    found[name] = changes(kind(model="l2"), **how), changes(kind(model="l2", jump=1), **how)
    print(f"{name}: {found[name][0]}, with jump=1 {found[name][1]}")
kernel = changes(rpt.KernelCPD(kernel="linear"), n_bkps=2)
print("KernelCPD:", kernel)
same = all(default == [40, 60] and fine == [ONSET, OFFSET] for default, fine in found.values())
sys.exit(0 if same and kernel == [ONSET, OFFSET] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/onset.py"
