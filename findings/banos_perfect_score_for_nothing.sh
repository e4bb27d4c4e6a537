#!/usr/bin/env bash
# Detected action units are compared with coded ones as bouts. banos 1.0.0 gives overall scores over all columns and recordings. A
# detector that never detects anything gets an F1 of 1.0, with full precision, overlap, timing and continuity: a unit that occurs in
# neither counts 1 (its README says so), and a unit that was missed altogether has no F1 (0 detections make its precision NaN)
# and is left out of the mean. Only recall tells, 0.6 for three absent units of five. A detector that finds both
# expressions exactly, and one false one besides, gets 0.8. The more units are missed altogether, the fewer lower the mean;
# with the usual dozen of columns, most of them empty in a clip, thresholds tuned by this F1 go up until nothing is left.
# Expected was F1 = 0 for a missed unit, as 2 TP / (2 TP + FP + FN) has it.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile banos==1.0.0 pandas==2.3.3 numpy==1.26.4
cat > "$work/bouts.py" <<'PYTHON'
import sys
from importlib.metadata import version

import banos
import pandas as pd

print("banos", version("banos"))
coded = pd.DataFrame(0, index=range(100), columns=["AU1", "AU2", "AU4", "AU6", "AU12"])
coded.loc[20:29, ["AU6", "AU12"]] = 1
false = coded.copy()
false.loc[60:69, "AU1"] = 1
seen = {}
for name, detected in {"nothing": coded * 0, "all, and one false bout": false}.items():
    scores = banos.score({"clip": (detected, coded)})[1]
    seen[name] = {key: round(float(value), 2) for key, value in scores.items()}
    hits = int((detected & coded).to_numpy().sum())
    print(f"detected {name} ({hits} of 20 frames right): {seen[name]}")
none, one = seen["nothing"], seen["all, and one false bout"]
print(f"F1: expected {one['f1_score']} to be better than that of nothing, seen {none['f1_score']} for nothing")
same = none["f1_score"] == 1 and none["precision"] == 1 and none["ic"] == 1 and none["recall"] == 0.6 and one["f1_score"] == 0.8
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/bouts.py"
