#!/usr/bin/env bash
# Xsens suits give the movements of head and body to a face that is filmed. Which quantities an MVNX file has is chosen at the export: "Orientation and
# Position are mandatory, all others are optional and may depend on the license" (MVN User Manual, MV0319P.N, p. 83). mvnx 0.2 takes
# the quantities by their place among 14 in each frame, not by their names. In a file with orientation, position, angularVelocity and jointAngle,
# .velocity is the angular velocity (1 rad/s of a nodding head, called 1 m/s), .acceleration are the joint angles in degrees, and
# .angularVelocity and .jointAngle, which are in the file, are empty. The shapes of both pairs are the same or nearly so: 23 x 3 and 22 x 3.
# parse_time(), asked of a file that has been read, has each time twice, first to last and again.
# Expected were the quantities by their names, and nothing for those that are not there. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The file is drawn up after the manual: 23 segments, 22 joints, 3 frames of calibration.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps mvnx==0.2 numpy==2.2.6
cat > "$work/head.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from mvnx import MVNX

SEGMENTS, JOINTS, HEAD, FRAMES = 23, 22, 6, 4
COLUMNS = {"orientation": (SEGMENTS, 4), "position": (SEGMENTS, 3), "angularVelocity": (SEGMENTS, 3), "jointAngle": (JOINTS, 3)}


def frame(kind, index, names):
    text = f'<frame time="{index * 10}" index="{index}" tc="10:00:00:{index:02d}" ms="{1544027595000 + index * 10}" type="{kind}">'
    for name in names:
        values = np.zeros(COLUMNS[name])
        if name == "angularVelocity":
            values[HEAD, 1] = 1.0  # rad/s
        if name == "jointAngle":
            values[HEAD - 1, 2] = 30.0 + index  # degrees
        text += f"<{name}>{' '.join(f'{value:.6f}' for value in values.ravel())}</{name}>"
    return text + "</frame>"


calibration = "".join(frame(kind, 0, ["orientation", "position"]) for kind in ("identity", "tpose", "tpose-isb"))
motion = "".join(frame("normal", index, COLUMNS) for index in range(FRAMES))
joints = "".join(f'<joint label="j{k}"><connector1>s{k}/j</connector1><connector2>s{k + 1}/j</connector2></joint>' for k in range(JOINTS))
segments = "".join(f'<segment label="s{k}" id="{k + 1}"/>' for k in range(SEGMENTS))
with open(sys.argv[1] + "/head.mvnx", "w") as file:
    file.write(
        '<?xml version="1.0" encoding="UTF-8"?><mvnx version="4"><mvn version="2020.0" build="1"/><comment/>'
        f'<subject label="suit" frameRate="100" segmentCount="{SEGMENTS}" recDate="1" configuration="FullBody" userScenario="singleLevel">'
        f"<comment/><segments>{segments}</segments><sensors/><joints>{joints}</joints><ergonomicJointAngles/><footContactDefinition/>"
        f'<frames segmentCount="{SEGMENTS}" sensorCount="17" jointCount="{JOINTS}">{calibration}{motion}</frames></subject>'
        '<securityCode code="1"/></mvnx>'
    )

print("mvnx", version("mvnx"))
data = MVNX(sys.argv[1] + "/head.mvnx")
seen = {}
for name in ("position", "velocity", "acceleration", "angularVelocity", "jointAngle"):
    values = np.asarray(getattr(data, name))
    seen[name] = values.shape, float(np.abs(values).max()) if values.size else None
    expected = (FRAMES, int(np.prod(COLUMNS[name]))) if name in COLUMNS else (0,)
    print(f"{name}: expected shape {expected}, seen {seen[name][0]}, largest value {seen[name][1]}")
times = data.parse_time()
print("times: expected 0, 10, 20, 30, seen", ", ".join(times))
same = (
    seen["velocity"] == ((FRAMES, 69), 1.0)
    and seen["acceleration"] == ((FRAMES, 66), 33.0)
    and seen["angularVelocity"][0] == seen["jointAngle"][0] == (0,)
    and times == ["0", "10", "20", "30"] * 2
)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/head.py" "$work"
