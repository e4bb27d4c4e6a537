#!/usr/bin/env bash
# SAMM's clips are named by subject, trial and number: 006_1_2, 030_1_1, 019_1_1. Programs that guess types take such a name
# for a number, since Python's int, float and Decimal, and YAML 1.1, allow underscores within numbers:
# - PyYAML 6.0.4 and OmegaConf 2.4.0 (lists of folds, Hydra) read 006_1_2 as 394 and 010_1_1 as 521 (octal), but leave
#   019_1_1, which has a 9, a text; the subject 010 is 8.
# - NumPy 2.4.6's genfromtxt(dtype=None) reads 612 and 1911; agate 1.14.2 (csvkit's tables) Decimal 612 and 1911.
# - sqlite-utils 4.2.1 declares the column an integer.
# A list of clips then misses part of the subjects without a word, and other parts look complete. pandas and the csv module
# keep the text (with their own trap: pandas makes 6 of the subject 006). Quote the names in YAML; ask for text elsewhere.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check PyYAML==6.0.4 omegaconf==2.4.0 numpy==2.4.6 agate==1.14.2 sqlite-utils==4.2.1
"$work/venv/bin/python" - <<'PYTHON'
import io
import sys

import agate
import numpy as np
import yaml
from omegaconf import OmegaConf
from sqlite_utils.utils import TypeTracker

names = ["006_1_2", "010_1_1", "019_1_1"]
text = f"clips: [{', '.join(names)}]"
tracker = TypeTracker()
list(tracker.wrap({"clip": name} for name in names))
seen = {
    "PyYAML": yaml.safe_load(text)["clips"],
    "OmegaConf": list(OmegaConf.create(text)["clips"]),
    "genfromtxt": np.genfromtxt(io.StringIO("\n".join(names)), dtype=None, encoding="utf8").tolist(),
    "agate": [int(n) for n in agate.Table.from_csv(io.StringIO("\n".join(["clip", *names]))).columns["clip"]],
    "sqlite-utils": tracker.types["clip"],
}
print("expected:", names)
for program, value in seen.items():
    print(f"seen by {program}:", value)
subject = yaml.safe_load("subject: 010")["subject"]
print("subject 010 by PyYAML:", subject)
same = (
    seen["PyYAML"] == seen["OmegaConf"] == [394, 521, "019_1_1"]
    and seen["genfromtxt"] == seen["agate"] == [612, 1011, 1911]
    and seen["sqlite-utils"] == "integer"
    and subject == 8
)
sys.exit(0 if same else "the behavior has changed")
PYTHON
