#!/usr/bin/env bash
# A sample is often kept as a TIFF stack of three gray frames: onset, apex, offset. Just with three frames (and with four)
# the stack is taken for a color picture, on both ways, without an error:
# - tifffile 2026.3.3's imwrite of an array (3, H, W) makes one RGB picture of one page; Pillow and OpenCV read the
#   onset as red, apex as green and offset as blue. photometric="minisblack" writes three pages, as for two or five frames.
# - scikit-image 0.26.0's io.imread of a right file of three pages (written by Pillow) turns it to (H, W, 3); of two or
#   five pages it is (2, H, W) and (5, H, W). So stack[1], the apex, is the second row of pixels of all three frames.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile tifffile==2026.3.3 scikit-image==0.26.0 \
    imageio==2.38.1 scipy==1.17.1 numpy==2.4.6 pillow==13.0.0
"$work/venv/bin/python" - "$work" <<'PYTHON'
import pathlib
import sys
import warnings

import numpy as np
import skimage.io
import tifffile
from PIL import Image

warnings.simplefilter("ignore")
folder = pathlib.Path(sys.argv[1])
print("tifffile", tifffile.__version__, "scikit-image", skimage.__version__)
written, read = {}, {}
for count in (2, 3, 4, 5):
    frames = np.stack([np.full((40, 60), 50 + 20 * k, np.uint8) for k in range(count)])
    tifffile.imwrite(folder / "stack.tif", frames)
    with Image.open(folder / "stack.tif") as picture:
        written[count] = (picture.n_frames, picture.mode)
    pages = [Image.fromarray(frame) for frame in frames]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    read[count] = skimage.io.imread(folder / "pages.tif").shape
    print(
        f"{count} frames: expected {count} pages L and ({count}, 40, 60); seen {written[count][0]} pages"
        f" {written[count][1]} by tifffile's imwrite, {read[count]} by scikit-image's imread"
    )
same = written == {2: (2, "L"), 3: (1, "RGB"), 4: (1, "RGBA"), 5: (5, "L")}
same = same and read == {2: (2, 40, 60), 3: (40, 60, 3), 4: (40, 60, 4), 5: (5, 40, 60)}
sys.exit(0 if same else "the behavior has changed")
PYTHON
