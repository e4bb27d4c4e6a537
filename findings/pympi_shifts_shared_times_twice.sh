#!/usr/bin/env bash
# A coding in ELAN is aligned with another camera, or with a clip that begins later, by shifting it. pympi-ling 1.71's
# shift_annotations(time) moves the two times of each annotation, but in ELAN's files annotations can share a time: a phase of an expression
# (onset, apex, offset, in a tier of the type Time Subdivision) begins and ends at the very time slots of the expression above it and of the
# next phase. A slot is moved once for each annotation that uses it. A shift by 100 ms moves AU12 and its phases by 200 ms, and AU4, which has
# no phases, by 100 ms, so that the two expressions that began together are 100 ms apart.
# An annotation that would begin before 0 is documented to be "squashed". Its start is set to 0 and its end is left where it was: shifted
# by -1000 ms, AU6 from 500 to 1500 ms becomes 0 to 1500, half a second longer than before, while it should end at 500. It is
# in the list of squashed ones that is returned; the doubled shift is in none.
# Expected was one shift for all annotations. Exits 0 if it is so, 1 if it has changed. The file is written here in ELAN's format.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pympi-ling==1.71
cat > "$work/shift.py" <<'PYTHON'
import sys
from importlib.metadata import version
from xml.etree import ElementTree

from pympi import Eaf

path = sys.argv[1]
SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
TIMES = {"ts1": 1000, "ts2": 1200, "ts3": 1300, "ts4": 1600, "ts5": 1000, "ts6": 1500}
TIERS = {
    "AU12": ("root", None, [("ts1", "ts4", "AU12")]),
    "phases": ("phase", "AU12", [("ts1", "ts2", "onset"), ("ts2", "ts3", "apex"), ("ts3", "ts4", "offset")]),
    "AU4": ("root", None, [("ts5", "ts6", "AU4")]),
}


def write_eaf():
    document = ElementTree.Element("ANNOTATION_DOCUMENT", AUTHOR="", DATE="2026-01-01T00:00:00+00:00", FORMAT="3.0", VERSION="3.0")
    document.set(SCHEMA, "http://www.mpi.nl/tools/elan/EAFv3.0.xsd")
    ElementTree.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    order = ElementTree.SubElement(document, "TIME_ORDER")
    for slot, time in TIMES.items():
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    number = 0
    for name, (kind, parent, annotations) in TIERS.items():
        above = {"PARENT_REF": parent} if parent else {}
        tier = ElementTree.SubElement(document, "TIER", TIER_ID=name, LINGUISTIC_TYPE_REF=kind, **above)
        for start, end, value in annotations:
            number += 1
            outer = ElementTree.SubElement(tier, "ANNOTATION")
            slots = {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}
            inner = ElementTree.SubElement(outer, "ALIGNABLE_ANNOTATION", slots)
            ElementTree.SubElement(inner, "ANNOTATION_VALUE").text = value
    ElementTree.SubElement(document, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID="root", TIME_ALIGNABLE="true", GRAPHIC_REFERENCES="false")
    kind = {"LINGUISTIC_TYPE_ID": "phase", "TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false", "CONSTRAINTS": "Time_Subdivision"}
    ElementTree.SubElement(document, "LINGUISTIC_TYPE", kind)
    ElementTree.SubElement(document, "CONSTRAINT", STEREOTYPE="Time_Subdivision", DESCRIPTION="no gaps within the parent's interval")
    ElementTree.ElementTree(document).write(path, encoding="UTF-8", xml_declaration=True)


print("pympi-ling", version("pympi-ling"))
write_eaf()
eaf = Eaf(path)
before = {tier: eaf.get_annotation_data_for_tier(tier) for tier in TIERS}
told = eaf.shift_annotations(100)
seen = {}
for tier in TIERS:
    after = eaf.get_annotation_data_for_tier(tier)
    seen[tier] = sorted({new[side] - old[side] for old, new in zip(before[tier], after) for side in (0, 1)})
    print(f"{tier}: before {before[tier]}, shifted by 100 ms {after}; moved by: expected [100], seen {seen[tier]}")
print("told about it:", told)

short = Eaf()
short.add_tier("AU6")
short.add_annotation("AU6", 500, 1500, "AU6")
short.shift_annotations(-1000)
(squashed,) = short.get_annotation_data_for_tier("AU6")
print(f"AU6 from 500 to 1500 ms, shifted by -1000 ms: expected (0, 500), seen {squashed[:2]}")
same = seen == {"AU12": [200], "phases": [200], "AU4": [100]} and told == ([], []) and squashed[:2] == (0, 1500)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/shift.py" "$work/coding.eaf"
