#!/usr/bin/env bash
# Coders draw boxes around parts of a face, and kalphacv 1.5.2 gives their agreement: boxes are paired by overlap, and Krippendorff's alpha
# is computed over the pairs. A box that only one coder drew is paired with nothing, and nothing is class 0. So if classes are numbered from
# 0, as in YOLO's files and most label lists, a box of class 0 agrees with no box at all. Two coders whose boxes lie in opposite corners of
# every picture have an alpha of 1.0, perfect agreement, and so have two of whom one drew nothing. With class 1, or the name "brow",
# it is -0.5 and 0.0. Nothing is said; its README allows any number or name. Expected was one alpha whatever the number of the class.
# Exits 0 if it is so, 1 if it has changed. The boxes are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps kalphacv==1.5.2 krippendorff==0.8.1 numpy==2.2.6 \
    scipy==1.15.3 shapely==2.1.2 pillow==12.0.0 tqdm==4.67.1
cat > "$work/boxes.py" <<'PYTHON'
import json
import pathlib
import sys
from importlib.metadata import version

from kalphacv import calculate_iaa_from_annotations

folder = pathlib.Path(sys.argv[1])
print("kalphacv", version("kalphacv"))
corners = {"first": [10, 10, 60, 40], "second": [200, 200, 60, 40]}


def alpha(category, coders):
    images = [dict(id=k, file_name=f"{k}.png", width=300, height=300, coders=["first", "second"]) for k in range(3)]
    boxes = [dict(image_id=k, category_id=category, bbox=corners[coder], coder=coder) for k in range(3) for coder in coders]
    path = folder / "boxes.json"
    path.write_text(json.dumps({"images": images, "annotations": boxes}))
    found = calculate_iaa_from_annotations("bbox", str(path), images_rater_key="coders", annotations_rater_key="coder", silent=True)
    return float(found[0.5])


seen = {}
for category in (0, 1, "brow"):
    seen[category] = alpha(category, ("first", "second")), alpha(category, ("first",))
    print(f"class {category!r}: expected 0 or less, seen {seen[category][0]} for opposite corners", end=", ")
    print(f"{seen[category][1]} where one coder drew nothing")
sys.exit(0 if seen == {0: (1.0, 1.0), 1: (-0.5, 0.0), "brow": (-0.5, 0.0)} else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/boxes.py" "$work"
