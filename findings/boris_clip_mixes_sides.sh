#!/usr/bin/env bash
# In BORIS, action units are coded as state events with a modifier for the side or intensity. A state that ends is the one of
# the same subject, behavior and modifier: AU12 on the left from 1.0 to 1.5 s and on the right from 1.2 to 2.0 s are four
# events. boris-clip 0.2.0, which cuts a video by a .boris file, leaves modifiers out: it pairs the two starts and the two
# ends, and cuts 1.0 to 1.2 s and 1.5 to 2.0 s, so that the time when both sides are active is in no clip. It warns of nothing.
# BORIS itself (boris-behav-obs 8.27.4, events_start_stop) tells starts and stops by modifier.
# Exits 0 if it is so, 1 if it has changed.
# Without their dependencies: BORIS's windows and player are replaced by empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile numpy==1.26.4 pandas==2.3.3
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps boris-clip==0.2.0 boris-behav-obs==8.27.4
cat > "$work/pair.py" <<'PYTHON'
import contextlib
import importlib.util
import io
import json
import pathlib
import sys
import types
from importlib.metadata import version
from unittest.mock import MagicMock

boris = types.ModuleType("boris")  # the package, without its window
boris.__path__ = importlib.util.find_spec("boris").submodule_search_locations
sys.modules["boris"] = boris
windows = ("PyQt5", "PyQt5.QtWidgets", "PyQt5.QtCore", "PyQt5.QtGui", "PIL", "PIL.ImageQt", "tablib")
for name in (*windows, "boris.dialog", "boris.db_functions", "boris.observation_operations", "boris.mpv2"):
    sys.modules[name] = MagicMock()

from boris.project_functions import events_start_stop
from boris_clip.parse import parse_boris_file

ethogram = {"0": {"code": "AU12", "type": "State event"}}
events = [
    [1.0, "sub01", "AU12", "left", ""],
    [1.2, "sub01", "AU12", "right", ""],
    [1.5, "sub01", "AU12", "left", ""],
    [2.0, "sub01", "AU12", "right", ""],
]
observation = {"type": "MEDIA", "file": {"1": ["clip.mp4"]}, "events": events}
path = pathlib.Path(sys.argv[1]) / "face.boris"
path.write_text(json.dumps({"behaviors_conf": ethogram, "observations": {"clip": observation}}))
print("boris-clip", version("boris-clip"), "boris-behav-obs", version("boris-behav-obs"))
told = [(event[0], event[3], event[-1]) for event in events_start_stop(ethogram, events, "MEDIA")]
print("BORIS:", told)
said = io.StringIO()
with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
    (parsed,) = parse_boris_file(str(path))
bouts = [(bout.start, bout.stop) for bout in parsed.bouts]
print(f"boris-clip: expected 1.0 to 1.5 and 1.2 to 2.0, seen {bouts}; it said {said.getvalue()!r}")
same = [flag for _, _, flag in told] == ["START", "START", "STOP", "STOP"] and bouts == [(1.0, 1.2), (1.5, 2.0)]
sys.exit(0 if same and not said.getvalue() else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/pair.py" "$work"
