#!/usr/bin/env bash
# Facial landmarks for YOLO's pose models are lines of x, y and visibility, which is COCO's: 0 not there, 1 there but
# covered, 2 visible. dagshub-annotation-converter 0.3.0, which brings such data to Label Studio and others, takes 1 for visible
# and each other value for not visible. Of five landmarks (four visible, a corner of the mouth behind a hand) it keeps the covered
# one as the only visible one. Written again with visibility, the four are 0, which YOLO's training leaves out;
# written without (kpt_shape [5, 2]) they are gone, and the line has one point. Expected was that 2 is visible, and that a
# file comes back as it was read.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    dagshub-annotation-converter==0.3.0 pydantic==2.11.7 pillow==11.3.0 pandas==2.3.3 lxml==6.0.2
cat > "$work/visible.py" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

from dagshub_annotation_converter.converters.yolo import load_yolo_from_fs
from dagshub_annotation_converter.formats.yolo.pose import export_pose
from PIL import Image

folder = pathlib.Path(sys.argv[1])
LANDMARKS = {"eye left": 2, "eye right": 2, "nose": 2, "mouth left": 1, "mouth right": 2}
PLACES = [(0.35, 0.4), (0.65, 0.4), (0.5, 0.55), (0.4, 0.7), (0.6, 0.7)]
for name in ("images", "labels"):
    (folder / name).mkdir()
Image.new("L", (200, 200)).save(folder / "images" / "face.png")
points = " ".join(f"{x} {y} {visible}" for (x, y), visible in zip(PLACES, LANDMARKS.values()))
(folder / "labels" / "face.txt").write_text(f"0 0.5 0.55 0.5 0.6 {points}\n")
(folder / "data.yaml").write_text(f"path: {folder}\ntrain: images\nval: images\nnames:\n  0: face\nkpt_shape: [5, 3]\n")

print("dagshub-annotation-converter", version("dagshub-annotation-converter"))
images, context = load_yolo_from_fs("pose", folder / "data.yaml")
((face,),) = images.values()
seen = [point.visible for point in face.points]
for (name, value), visible in zip(LANDMARKS.items(), seen):
    expected = "visible" if value == 2 else "covered"
    print(f"{name}: {value} in the file, expected {expected}, seen {'visible' if visible else 'not visible'}")
written = export_pose(face, context).split(" ")
context.keypoint_dim = 2
plain = export_pose(face, context).split(" ")
print(f"written again: expected visibility {list(LANDMARKS.values())}, seen {[int(value) for value in written[7::3]]}")
print(f"written without visibility: expected five points, seen {(len(plain) - 5) // 2}: {plain[5:]}")
same = seen == [False, False, False, True, False] and written[7::3] == ["0", "0", "0", "1", "0"] and plain[5:] == ["0.4", "0.7"]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/visible.py" "$work"
