#!/usr/bin/env bash
# An expression is divided into its phases (onset, apex, offset) in an ELAN tier of the type Time Subdivision. As long as a coder has not moved
# the borders between phases, ELAN's file has no times for them: the time slots of the borders have no value. speach 0.1a15.post1 reads
# such a file, and duration, "in seconds", takes a time that is not known for 0. Of an expression from 1.0 to 1.6 s the onset phase lasts
# -1.0 s, the apex 0.0 s and the offset phase 1.6 s. The sum of the three is that of the expression, 0.6 s, so that a check of sums
# passes, and the further into the recording the larger the error. In a file where some borders were set and some not, means of phases
# mix both. Expected was no duration, as from_ts.sec and to_ts.sec are None. Nothing is said.
# tier.filter(from_ts, to_ts) leaves out each phase without a start, though all of them lie within the times asked for: 1 of 3 is found.
# Exits 0 if it is so, 1 if it has changed. The file is written here in ELAN's format.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps speach==0.1a15.post1 \
  chirptext==0.1.2 puchikarui==0.1
cat > "$work/phases.py" <<'PYTHON'
import sys
from importlib.metadata import version
from xml.etree import ElementTree

from speach import elan

path, PHASES = sys.argv[1], ("onset", "apex", "offset")


def write_eaf(borders):
    """An expression from 1.0 to 1.6 s, its phases with two borders in ms, or None where they were not set."""
    root = ElementTree.Element("ANNOTATION_DOCUMENT", AUTHOR="", DATE="2026-01-01T00:00:00+00:00", FORMAT="3.0", VERSION="3.0")
    ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    order = ElementTree.SubElement(root, "TIME_ORDER")
    for number, time in enumerate((1000, *borders, 1600), start=1):
        value = {} if time is None else {"TIME_VALUE": str(time)}
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", **value)
    above = ElementTree.SubElement(root, "TIER", TIER_ID="AU12", LINGUISTIC_TYPE_REF="action")
    below = ElementTree.SubElement(root, "TIER", TIER_ID="phases", LINGUISTIC_TYPE_REF="phase", PARENT_REF="AU12")
    spans = [(above, 1, 4, "AU12"), *((below, start, start + 1, PHASES[start - 1]) for start in (1, 2, 3))]
    for number, (tier, start, end, text) in enumerate(spans, start=1):
        outer = ElementTree.SubElement(tier, "ANNOTATION")
        slots = {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": f"ts{start}", "TIME_SLOT_REF2": f"ts{end}"}
        inner = ElementTree.SubElement(outer, "ALIGNABLE_ANNOTATION", slots)
        ElementTree.SubElement(inner, "ANNOTATION_VALUE").text = text
    for name, kind in (("action", {}), ("phase", {"CONSTRAINTS": "Time_Subdivision"})):
        values = {"LINGUISTIC_TYPE_ID": name, "TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false", **kind}
        ElementTree.SubElement(root, "LINGUISTIC_TYPE", values)
    ElementTree.SubElement(root, "CONSTRAINT", STEREOTYPE="Time_Subdivision", DESCRIPTION="no gaps within the parent's interval")
    ElementTree.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)


print("speach", version("speach"))
seen = {}
for borders in ((1200, 1300), (None, None)):
    write_eaf(borders)
    tier = elan.read_eaf(path)["phases"]
    lasts = [round(phase.duration, 3) for phase in tier]
    found = [phase.value for phase in tier.filter(from_ts=500, to_ts=2000)]
    seen[borders] = lasts, found, [(phase.from_ts.sec, phase.to_ts.sec) for phase in tier]
    print(f"borders at {borders} ms: durations {dict(zip(PHASES, lasts, strict=True))} s, sum {sum(lasts):.1f} s; from 0.5 to 2 s: {found}")
print("expected without borders: no durations, and all three from 0.5 to 2 s")
set_, unset = seen[1200, 1300], seen[None, None]
same = set_[0] == [0.2, 0.1, 0.3] and set_[1] == list(PHASES) and unset[0] == [-1.0, 0.0, 1.6] and unset[1] == ["onset"]
sys.exit(0 if same and unset[2] == [(1.0, None), (None, None), (None, 1.6)] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/phases.py" "$work/coding.eaf"
