#!/usr/bin/env bash
# The phases of an expression (onset, apex, offset) are coded in ELAN as segments that touch: the apex begins at the
# millisecond at which the onset phase ends. pympi-ling 1.71's remove_annotation(tier, time), whose time is documented as a
# "timepoint within the annotation", removes every annotation that holds the time, both ends included. Given the start of an
# annotation, as get_annotation_data_for_tier tells it, it takes the one before it away too, whatever its value. Clearing a
# tier of its three segments "unsure" leaves one annotation of seven in place of four, and the file is valid. Expected was that the
# one annotation goes that begins there. Only the returned number tells (2); the middle of the segment as time removes one.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile pympi-ling==1.71
cat > "$work/phases.py" <<'PYTHON'
import sys
from importlib.metadata import version

import pympi

CODED = [
    (1000, 1200, "onset"),
    (1200, 1240, "unsure"),
    (1240, 1400, "apex"),
    (1400, 1440, "unsure"),
    (1440, 1800, "offset"),
    (2500, 2700, "onset"),
    (2700, 2740, "unsure"),
]


def coded():
    file = pympi.Eaf()
    file.add_tier("phase")
    for segment in CODED:
        file.add_annotation("phase", *segment)
    return file


def values(file):
    return [value for _, _, value in sorted(file.get_annotation_data_for_tier("phase"))]


print("pympi-ling", version("pympi-ling"))
removed = {}
for name in ("start", "middle"):
    file = coded()
    counts = []
    for start, end, value in list(CODED):
        if value == "unsure":
            counts.append(file.remove_annotation("phase", start if name == "start" else (start + end) // 2))
    removed[name] = values(file)
    print(f"'unsure' removed by its {name}: expected onset, apex, offset, onset to stay, seen {removed[name]}; removed {counts}")
sys.exit(0 if removed["start"] == ["offset"] and removed["middle"] == ["onset", "apex", "offset", "onset"] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/phases.py"
