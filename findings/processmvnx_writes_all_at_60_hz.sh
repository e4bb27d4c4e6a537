#!/usr/bin/env bash
# BVHHandler of ProcessMVNX 0.2.4 reads the motion of a BVH file, the movements of a head and body that were recorded beside a face, and write_bvh puts
# it "on original skeleton". Read and written again without any change,
# - a recording of 240 frames a second has "Frame Time: 0.016667", 60 a second: it lasts four times as long, and each nod is four times as slow;
# - the position of the pelvis is moved to a mean of 0, in the file and in the handler too: .pelvis before and after write_bvh are two;
# - if no line break is behind the last line, as "\n".join() leaves it, the last character of the last number is lost: 30.5 degrees are 30.
# Expected was the file as it was. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The file is drawn up with the 22 joints that the package asks for; pandas and transforms3d, which the
# package imports and BVHHandler does not use, are empty stand-ins.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps ProcessMVNX==0.2.4 numpy==2.2.6
mkdir "$work/stand_ins" && touch "$work/stand_ins/pandas.py" "$work/stand_ins/transforms3d.py"
cat > "$work/again.py" <<'PYTHON'
import sys
from importlib.metadata import version

from ProcessMVNX.bvh_import import BVHHandler

JOINTS, FRAME_TIME, FRAMES = 22, "0.004167", 4
lines = ["HIERARCHY", "ROOT pelvis", "{", "OFFSET 0 0 0", "CHANNELS 6 Xposition Yposition Zposition Yrotation Xrotation Zrotation"]
for joint in range(JOINTS):
    lines += [f"JOINT joint{joint}", "{", "OFFSET 0 1 0", "CHANNELS 3 Yrotation Xrotation Zrotation"]
lines += ["End Site", "{", "OFFSET 0 1 0", "}", *["}"] * (JOINTS + 1), "MOTION", f"Frames: {FRAMES}", f"Frame Time: {FRAME_TIME}"]
lines += [" ".join([str(10.0 * frame), *["0.0"] * (2 + 3 * JOINTS), "0.0", "0.0", "30.5"]) for frame in range(FRAMES)]
for name, end in (("whole", "\n"), ("joined", "")):
    with open(f"{sys.argv[1]}/{name}.bvh", "w") as file:
        file.write("\n".join(lines) + end)

print("ProcessMVNX", version("ProcessMVNX"))
handler = BVHHandler(f"{sys.argv[1]}/whole.bvh")
before = handler.pelvis[:, 0].tolist()
handler.write_bvh(of=f"{sys.argv[1]}/again.bvh")
after = handler.pelvis[:, 0].tolist()
with open(f"{sys.argv[1]}/again.bvh") as file:
    again = file.read().splitlines()
(frame_time,) = [line.split()[-1] for line in again if line.startswith("Frame Time")]
written = [float(line.split()[0]) for line in again[-FRAMES:]]
print(f"time of a frame: expected {FRAME_TIME} s, seen {frame_time} s")
print(f"x of the pelvis: read {before}, expected so in the file and the handler, seen {written} and {after}")
whole, joined = (float(BVHHandler(f"{sys.argv[1]}/{name}.bvh").joints[-1, -1]) for name in ("whole", "joined"))
print(f"last angle: expected 30.5, seen {whole} with a line break at the end, {joined} without")
same = frame_time == "0.016667" and before == [0.0, 10.0, 20.0, 30.0] and written == after == [-15.0, -5.0, 5.0, 15.0]
sys.exit(0 if same and (whole, joined) == (30.5, 30.0) else "the behavior has changed")
PYTHON
PYTHONPATH="$work/stand_ins" "$work/venv/bin/python" -W ignore "$work/again.py" "$work"
