#!/usr/bin/env bash
# Segments of facial action coded in ELAN are handed on as Praat's TextGrids. What pympi-ling 1.71 writes, praat-textgrids 1.4.0
# reads otherwise, without a word:
# - A label ends at its first " = ": "AU12 side = left" and "AU12 side = right" are both "AU12 side". Expected was the text.
# - Tiers are kept by name, and two tiers may have one: of two coders' tiers named "AU", the first is gone.
# - In binary files the TextGrid begins where the last interval of its last tier begins (4.0 of 0 to 5 s here), and each tier
#   spans 0 to 0; both are written out with it. In text files these are right.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile pympi-ling==1.71 praat-textgrids==1.4.0
cat > "$work/sides.py" <<'PYTHON'
import sys
from importlib.metadata import version

import pympi
import textgrids

path = sys.argv[1]
SEGMENTS = [(1.0, 1.2, "AU12 side = left"), (1.2, 2.0, ""), (2.0, 2.3, "AU12 side = right"), (2.3, 4.0, ""), (4.0, 5.0, "AU4")]


def write(tiers, mode):
    grid = pympi.TextGrid(xmax=5.0)
    for name, segments in tiers:
        tier = grid.add_tier(name)
        for begin, end, label in segments:
            if label:
                tier.add_interval(begin, end, label)
    grid.to_file(path, codec="ascii" if mode == "binary" else "utf-8", mode=mode)
    again = pympi.TextGrid(path, codec="ascii" if mode == "binary" else "utf-8")
    return [[tier.name, [i for i in tier.get_intervals() if i[2]]] for tier in again.get_tiers()], textgrids.TextGrid(path)


print("pympi-ling", version("pympi-ling"), "praat-textgrids", version("praat-textgrids"))
written = [label for _, _, label in SEGMENTS if label]
seen, own = {}, {}
for mode in ("normal", "binary"):
    itself, grid = write([("AU", SEGMENTS)], mode)
    own[mode] = [label for _, _, label in itself[0][1]]
    seen[mode] = ([str(i.text) for i in grid["AU"] if i.text], grid.xmin, grid["AU"].xmax)
    print(f"{mode}: expected {written} from 0.0, tier to 5.0; seen {seen[mode][0]} from {seen[mode][1]}, tier to {seen[mode][2]}")
itself, grid = write([("AU", SEGMENTS[:1]), ("AU", SEGMENTS[4:])], "normal")
labels = {name: [str(i.text) for i in tier if i.text] for name, tier in grid.items()}
print(f"two tiers named AU: expected both, as pympi reads them ({len(itself)}); seen {labels}")
same = seen == {"normal": (["AU12 side", "AU12 side", "AU4"], 0.0, 5.0), "binary": (written, 4.0, 0.0)}
same = same and own == {"normal": written, "binary": written} and len(itself) == 2 and labels == {"AU": ["AU4"]}
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/sides.py" "$work/coded.TextGrid"
