#!/usr/bin/env bash
# Which action units come together is asked of a table with a row a face and a column of 0 and 1 a unit. catcoocc 0.2.3, which is
# for symmetric and asymmetric co-occurrence, reads such a table (read_pa_matrix) and scores the pairs (CatScorer). A pair is
# kept in one order only, the alphabet's, and each score counts by place: unit x as first, unit y as second. So scores of one
# table depend on the names of its columns. "AU12" stands before "AU6" and "AU06" before "AU12": by the second spelling the
# mutual information (PMI) of the two is more than three times as large, and the share of AU12's faces with AU25 (mle) is 1.0
# in place of 0.3, since no other unit comes after AU12. Expected were the same numbers for both spellings; over the faces
# they are 1.17 and 0.48. The other order, "AU12 and AU06", is scored as if the two had never met.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile catcoocc==0.2.3 numpy==2.2.6 scipy==1.15.3
cat > "$work/names.py" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

import numpy as np
from catcoocc.scorer import CatScorer
from catcoocc.utils import read_pa_matrix

file = pathlib.Path(sys.argv[1])
UNITS = (1, 2, 4, 6, 12, 25)
rng = np.random.default_rng(0)
smile = rng.random(200) < 0.3
shares = {1: 0.3, 2: 0.25, 4: 0.3, 25: 0.4}
faces = {unit: rng.random(200) < shares.get(unit, 0.0) for unit in UNITS}
faces[6], faces[12] = smile & (rng.random(200) < 0.8), smile | (rng.random(200) < 0.05)
table = np.stack([faces[unit] for unit in UNITS], axis=1).astype(int)


def scores(spelling):
    names = {unit: spelling.format(unit) for unit in UNITS}
    lines = ["\t".join(["ID", *names.values()])]
    lines += ["\t".join([f"face{k}", *map(str, row)]) for k, row in enumerate(table.tolist())]
    file.write_text("\n".join(lines) + "\n")
    scorer = CatScorer(read_pa_matrix(str(file)))
    pmi, share = scorer.pmi(), scorer.mle()
    both = (names[6], names[12])
    first = both if both == tuple(sorted(both)) else both[::-1]
    return pmi[first][0], pmi.get(first[::-1], (None,))[0], share[(names[12], names[25])][0]


print("catcoocc", version("catcoocc"))
six = table[:, UNITS.index(6)] == 1
twelve = table[:, UNITS.index(12)] == 1
true = np.log((six & twelve).mean() / (six.mean() * twelve.mean()))
print(f"of {len(table)} faces {six.sum()} with 6, {twelve.sum()} with 12, {(six & twelve).sum()} with both; PMI {true:.2f}")
print(f"share of the faces with 12 that show 25: {table[twelve, UNITS.index(25)].mean():.2f}")
found = {spelling: scores(spelling) for spelling in ("AU{}", "AU{:02d}")}
for spelling, (forward, back, share) in found.items():
    text = "not there" if back is None else f"{back:.2f}"
    names = f"{spelling.format(6)}, {spelling.format(12)}"
    print(f"{names}: PMI {forward:.2f}, in the other order {text}; mle of 25 with 12 {share:.2f}")
short, padded = found["AU{}"], found["AU{:02d}"]
print(f"expected: the same by both spellings; seen: PMI {short[0]:.2f} and {padded[0]:.2f}, mle {short[2]:.2f} and {padded[2]:.2f}")
same = padded[0] > 2 * short[0] and padded[2] == 1.0 and short[2] < 0.7 and padded[1] < 0
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/names.py" "$work/faces.tsv"
