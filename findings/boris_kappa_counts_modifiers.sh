#!/usr/bin/env bash
# Two people code a face in BORIS, where an action unit is a state event with a modifier for the side, and their agreement is Cohen's kappa over
# units of time. BORIS (boris-behav-obs 8.27.4) asks whether to include the modifiers. Without them it drops their names, but not their number: a
# smile that one coder entered as AU12 left and AU12 right at the same times, and the other as AU12 both, is AU12 twice and AU12 once,
# which is no agreement in any unit of time. Two people who agree on every action unit of a clip to the millisecond have a kappa of 0.55,
# the same as with the modifiers, and 65 % in the Needleman-Wunsch similarity beside it. Expected were 1 and 100 %, since
# the sides are left out. Nothing is said. If both enter the sides in the same way it is 1. The code of 10.0.2 is the same here (read, not run).
# Exits 0 if it is so, 1 if it has changed. BORIS's windows are replaced by empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps boris-behav-obs==8.27.4 numpy==2.2.6
cat > "$work/kappa.py" <<'PYTHON'
import importlib.util
import sys
import types
from decimal import Decimal
from importlib.metadata import version
from unittest.mock import MagicMock

boris = types.ModuleType("boris")  # the package, without its window
boris.__path__ = importlib.util.find_spec("boris").submodule_search_locations
sys.modules["boris"] = boris
windows = ("PyQt5", "PyQt5.QtWidgets", "PyQt5.QtCore", "PyQt5.QtGui", "PIL", "PIL.ImageQt", "tablib", "boris.mpv2")
parts = ("dialog", "observation_operations", "select_subj_behav", "select_observations", "event_operations")
for name in (*windows, *(f"boris.{part}" for part in parts)):
    sys.modules[name] = MagicMock()
sys.modules["boris.event_operations"].read_event_field = lambda *_: None  # the number of the frame, which is not used here

from boris import db_functions, irr


def state(unit, start, stop, side=""):
    return [[Decimal(time), "sub01", unit, side, ""] for time in (start, stop)]


def agreement(first, second, modifiers):
    ethogram = {"0": {"code": "AU12", "type": "State event"}, "1": {"code": "AU6", "type": "State event"}}
    coded = {"first": first, "second": second}
    observations = {name: {"type": "MEDIA", "events": sorted(events, key=lambda e: e[0])} for name, events in coded.items()}
    project = {"subjects_conf": {"0": {"name": "sub01"}}, "behaviors_conf": ethogram, "observations": observations}
    ok, message, database = db_functions.load_aggregated_events_in_db(project, ["sub01"], list(coded), ["AU12", "AU6"])
    assert ok, message
    arguments = database.cursor(), "first", "second", Decimal("0.1"), ["sub01"], modifiers
    return round(float(irr.cohen_kappa(*arguments)[0]), 3), round(irr.needleman_wunsch_identity(*arguments)[0], 1)


print("boris-behav-obs", version("boris-behav-obs"))
cheek = state("AU6", "3.0", "4.0")
sides = state("AU12", "1.0", "2.0", "left") + state("AU12", "1.0", "2.0", "right") + cheek
both = state("AU12", "1.0", "2.0", "both") + cheek
seen = {
    "left and right by one, both by the other, without modifiers": agreement(sides, both, False),
    "with modifiers": agreement(sides, both, True),
    "left and right by the two of them, without modifiers": agreement(sides, sides, False),
    "both by the two of them, without modifiers": agreement(both, both, False),
}
for name, (kappa, identity) in seen.items():
    expected = "less" if name == "with modifiers" else "1.0 and 100.0 %"
    print(f"{name}: expected {expected}, seen {kappa} and {identity} %")
sys.exit(0 if list(seen.values()) == [(0.551, 64.5), (0.551, 64.5), (1.0, 100.0), (1.0, 100.0)] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/kappa.py"
