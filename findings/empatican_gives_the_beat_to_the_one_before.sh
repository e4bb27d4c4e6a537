#!/usr/bin/env bash
# Empatica's E4 writes heart beats, recorded beside a face, into IBI.csv: the time of each beat after the start, and the seconds since the
# beat before. empatican 0.0.6 adds an interval of 0 at the start. It adds it as the last row but sorts the times only, so each time
# gets the interval of the next row: each interval stands one beat too early, and the interval 0 at the last beat. A heart that slows
# down at the stimulus slows down before it, and the sum of the intervals does not fit the times. Where the sensor has lost beats, as
# it does in each movement, "one beat" is the whole gap: here an interval is moved by 4 s.
# Written back by Session's and Stream's to_csv, the file has no times at all, and read again the beats come once a second from the start on,
# and the first interval has become 0. Nothing is said.
# Expected were the pairs of the file, before and after writing.
# Exits 0 if it is so, 1 if it has changed. The beats are drawn up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps empatican==0.0.6 pandas==2.1.4 numpy==1.26.4 \
  pytz==2025.2 python-dateutil==2.9.0.post0 six==1.17.0 tzdata==2025.2
cat > "$work/beats.py" <<'PYTHON'
import sys
from importlib.metadata import version

from empatican.physio.e4 import IbiStream

START = 1544027595
BEATS = [(10.75, 0.75), (11.5, 0.75), (12.25, 0.75), (16.25, 1.0), (17.25, 1.0), (18.25, 1.0)]  # no beats found from 12.25 to 15.25 s


def beats(stream):
    seconds = stream.data.index.astype("int64") / 1e9 - START
    return [(round(float(time), 3), float(interval)) for time, interval in zip(seconds, stream.data["ibi"], strict=True)]


folder = sys.argv[1]
with open(f"{folder}/IBI.csv", "w") as file:
    file.write(f"{START}.000000, IBI\n" + "".join(f"{time:.6f},{interval:.6f}\n" for time, interval in BEATS))
print("empatican", version("empatican"))
stream = IbiStream(f"{folder}/IBI.csv")
seen = beats(stream)
stream.to_csv(f"{folder}/again.csv")
again = beats(IbiStream(f"{folder}/again.csv"))
print("expected        ", BEATS)
print("seen            ", seen)
print("written and read", again)
early = [(time, interval) for (time, _), (_, interval) in zip([(0.0, 0.0), *BEATS], [*BEATS, (0.0, 0.0)], strict=True)]
each_second = [(float(k), interval if k else 0.0) for k, (_, interval) in enumerate(seen)]
print("seconds by which the first slow interval is too early:", BEATS[3][0] - seen[3][0])
same = seen == early and BEATS[3][0] - seen[3][0] == 4 and again == each_second
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/beats.py" "$work"
