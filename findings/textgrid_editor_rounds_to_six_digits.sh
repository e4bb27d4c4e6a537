#!/usr/bin/env bash
# Facial actions are coded in Praat's TextGrid files, intervals for the action and points for onset, apex and offset. textgrid-editor 1.0.0 reads
# such a file and writes it (write_textgrid_file), with six digits for each number, the ones before the point included:
# - In a recording that is longer than 1000 s (16 minutes) the times are rounded to 10 ms, longer than 10000 s to 0.1 s, though shorter times are
#   kept. At 200 frames a second two frames become one: an onset at 1234.505 s is at 1234.51 s, and an interval of 5 ms lasts 0 s.
# - The tier of points is written from 0 to 0 s: its end is its start. Points are then outside of their own tier.
# - resize_textgrid from onset to offset keeps the apex alone: a point on the border is lost, while the interval that starts there is kept.
# Expected were the times that were read, three points, and a tier as long as the recording. It checks what it writes, and says nothing.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps \
  textgrid-editor==1.0.0 pandas==2.3.3 numpy==2.2.6 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/coding.py" <<'PYTHON'
import pathlib
import re
import sys
from importlib.metadata import version

from textgrid_editor.textgrid import TextGrid

folder = pathlib.Path(sys.argv[1])
START = 1234.505  # s; the expression lasts from here
INTERVALS = [(0, START, ""), (START, 1234.565, "AU1"), (1234.565, 1234.57, "AU2"), (1234.57, 1800, "")]
POINTS = [(START, "onset"), (1234.535, "apex"), (1234.565, "offset")]


def lines():
    yield from ('File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", "xmax = 1800", "tiers? <exists>", "size = 2", "item []:")
    for number, (kind, name) in enumerate((("IntervalTier", "action"), ("TextTier", "phase")), 1):
        yield from (f"    item [{number}]:", f'        class = "{kind}"', f'        name = "{name}"', "        xmin = 0", "        xmax = 1800")
        if kind == "IntervalTier":
            yield f"        intervals: size = {len(INTERVALS)}"
            for k, (start, stop, text) in enumerate(INTERVALS, 1):
                yield from (f"        intervals [{k}]:", f"            xmin = {start}", f"            xmax = {stop}", f'            text = "{text}"')
        else:
            yield f"        points: size = {len(POINTS)}"
            for k, (time, text) in enumerate(POINTS, 1):
                yield from (f"        points [{k}]:", f"            number = {time}", f'            mark = "{text}"')


print("textgrid-editor", version("textgrid-editor"))
(folder / "coding.TextGrid").write_text("\n".join([*lines(), ""]), encoding="utf-8")
coding = TextGrid.read_textgrid_file(str(folder / "coding.TextGrid"), encoding="utf-8")
coding.write_textgrid_file(str(folder / "written.TextGrid"))
written = (folder / "written.TextGrid").read_text(encoding="utf-16")
intervals, points = written.split('class = "TextTier"')
actions = [tuple(map(float, pair)) for pair in re.findall(r"xmin = (\S+)\s+xmax = (\S+)\s+text = \"AU", intervals)]
phases = [float(time) for time in re.findall(r"number = (\S+)", points)]
tier = tuple(map(float, re.search(r"xmin = (\S+)\s+xmax = (\S+)", points).groups()))
cut = coding.resize_textgrid(START, 1234.565)
kept = cut.tiers[1].points["text"].tolist()
print(f"AU1 and AU2: expected {[pair[:2] for pair in INTERVALS[1:3]]}, seen {actions}")
print(f"phases: expected {[time for time, _ in POINTS]}, seen {phases}")
print(f"tier of the phases: expected (0.0, 1800.0), seen {tier}")
print(f"cut from onset to offset: expected {[text for _, text in POINTS]}, seen {kept}, and {cut.tiers[0].intervals['text'].tolist()}")
same = actions == [(1234.51, 1234.57), (1234.57, 1234.57)] and phases == [1234.51, 1234.54, 1234.57]
sys.exit(0 if same and tier == (0.0, 0.0) and kept == ["apex"] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/coding.py" "$work"
