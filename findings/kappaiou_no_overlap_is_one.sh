#!/usr/bin/env bash
# Two people draw boxes around a face and its regions, and their agreement is reported. kappaiou 1.0.0, "chance-corrected reliability"
# that "indexes IoU with Cohen's Kappa", is not on kappa's scale, where 1 is perfect agreement and 0 agreement by chance. Identical boxes
# give 33 millions, boxes of 100 px that are 1 px apart 166, 5 px apart 33, and boxes that do not touch 1.0. A region that one of the
# two did not mark at all gives 1.0 as well. So a value of 1 is read as perfect agreement where there is none, and the mean over images,
# which its program prints, is that of the identical boxes alone. Expected was 1 for identical boxes and 0 or less for none in common.
# A region that both left out is 1.0 by compute_image_kappa_iou and 0.0 by calculate_adjusted_kappa_iou.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps kappaiou==1.0.0 numpy==2.3.5 scipy==1.16.3
cat > "$work/boxes.py" <<'PYTHON'
import sys
from importlib.metadata import version

from kappaiou import calculate_adjusted_kappa_iou, calculate_iou, compute_image_kappa_iou

print("kappaiou", version("kappaiou"))
box = [10, 10, 100, 100]
seen = {}
for apart in (0, 1, 5, 50, 200):
    moved = [10 + apart, 10, 100, 100]
    seen[apart] = round(float(compute_image_kappa_iou([box], [moved])), 2), round(float(calculate_adjusted_kappa_iou([box], [moved])), 2)
    print(f"boxes of 100 px, {apart} px apart, IoU {calculate_iou(box, moved):.2f}: expected at most 1, seen {seen[apart]}")
missed = round(float(compute_image_kappa_iou([box], [])), 2), round(float(calculate_adjusted_kappa_iou([box], [])), 2)
print(f"marked by one of the two: expected 0 or less, seen {missed}")
empty = float(compute_image_kappa_iou([], [])), float(calculate_adjusted_kappa_iou([], []))
print(f"marked by neither: expected one answer, seen {empty}")
good, bad = [1, 1, 1, 1], [200, 200, 200, 200]
means = [sum(seen[apart][0] for apart in images) / 4 for images in (good, bad, [0, *bad[1:]])]
print(f"mean of four images: {means[0]:.0f} if each is 1 px off, {means[1]:.0f} without overlap, {means[2]:.0f} if one of these is identical")
same = all(value > 3e7 for value in seen[0]) and [seen[apart][0] for apart in (1, 5, 50, 200)] == [166.0, 32.67, 2.67, 1.0]
sys.exit(0 if same and seen[200] == missed == (1.0, 1.0) and empty == (1.0, 0.0) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/boxes.py"
