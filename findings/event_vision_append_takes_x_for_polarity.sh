#!/usr/bin/env bash
# RawEvents of event-vision-library 0.0.6 are the events of an event camera: x, y, times, and polarity, True where the skin gets brighter.
# append(event) is there "to append one event". It sets the polarity anew: to the x of all events, the new one twice.
# So after one append all events before it have another polarity, which is their column: 1 in events[0] becomes 120. Each is brighter unless it is
# in column 0, none is darker, and there is one polarity more than there are events, so that the share of brighter events is above 1.
# as_numpy() then ends with an error; .p and events[i] do not.
# Expected were the polarities as before, and that of the new event. Nothing is said then.
# Exits 0 if it is so, 1 if it has changed. The events are drawn up; torch, which the package imports and append does not use, is an empty stand-in.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps event-vision-library==0.0.6 numpy==1.26.4
echo "class Tensor: pass" > "$work/torch.py"
cat > "$work/append.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from evlib.types import RawEvent, RawEvents

COLUMNS, POLARITY = [120, 121, 122, 123], [True, False, False, True]
events = RawEvents(
    np.array(COLUMNS[:2], np.int16),
    np.array([60, 60], np.int16),
    np.array([0.0, 0.001]),
    np.array(POLARITY[:2]),
)
print("event-vision-library", version("event-vision-library"))
before = events.p.tolist()
sizes, firsts = [], []
for number in (2, 3):
    events.append(RawEvent(COLUMNS[number], 60, number / 1000, POLARITY[number]))
    sizes.append((len(events), len(events.p)))
    firsts.append(float(events[0][3]))
    print(f"events and polarities after an append: expected {number + 1} and {number + 1}, seen {sizes[-1][0]} and {sizes[-1][1]}")
    print(f"  polarity: expected {POLARITY[: number + 1]}, seen {events.p.tolist()}; of the first event {firsts[-1]:g}")
share = np.count_nonzero(events.p) / len(events)
print(f"share of brighter events: expected {np.mean(POLARITY):.2f}, seen {share:.2f}")
others = events.x.tolist() == COLUMNS and events.y.tolist() == [60] * 4 and events.t.tolist() == [0.0, 0.001, 0.002, 0.003]
same = others and before == POLARITY[:2] and events.p.tolist() == [*COLUMNS, COLUMNS[-1]] and firsts == [120.0, 120.0]
sys.exit(0 if same and sizes == [(3, 4), (4, 5)] and share == 1.25 else "the behavior has changed")
PYTHON
PYTHONPATH="$work" "$work/venv/bin/python" "$work/append.py"
