#!/usr/bin/env bash
# Industrial cameras of 10 and 12 bits are used for micro-expressions. One and the same frame of a Basler camera has two
# sets of gray levels in pypylon 26.9 (its camera emulator): GrabResult.Array counts from the lowest bit (10 bits: 0 to
# 1020), the TIFF that PylonImage.Save writes from the highest (0 to 65280), 64 times as much, and 16 times at 12 bits; the
# file does not say how many bits it has. ImageFormatConverter to Mono16 keeps the low bits too. Onsets analyzed live and
# clips read from the saved files thus differ, and a threshold in gray levels, or a division by 1023, fits one of them.
# Exits 0 if it is so, 1 if it has changed. No camera is needed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile pypylon==26.9 tifffile==2026.3.3 numpy==2.4.6
cat > "$work/grab.py" <<'PYTHON'
import sys
from importlib.metadata import version

import tifffile
from pypylon import pylon

file = sys.argv[1]
camera = pylon.InstantCamera(pylon.TlFactory.GetInstance().CreateFirstDevice())
camera.Open()
camera.Width.Value, camera.Height.Value = 256, 64
print("pypylon", version("pypylon"), camera.GetDeviceInfo().GetModelName())
factor = {}
for kind in ("Mono8", "Mono10", "Mono12"):
    camera.PixelFormat.Value = kind
    with camera.GrabOne(2000) as grabbed:
        live = grabbed.Array.astype(int)
        converter = pylon.ImageFormatConverter()
        converter.OutputPixelFormat = pylon.PixelType_Mono16
        converted = converter.Convert(grabbed).GetArray().astype(int)
        image = pylon.PylonImage()
        image.AttachGrabResultBuffer(grabbed)
        image.Save(pylon.ImageFileFormat_Tiff, file)
        image.Release()
    saved = tifffile.imread(file).astype(int)
    factor[kind] = [k for k in (1, 4, 16, 64) if (saved == k * live).all()]
    print(f"{kind}: live 0..{live.max()}, as Mono16 0..{converted.max()}, expected the same in the file, seen 0..{saved.max()}")
    if (converted != live).any():
        sys.exit("the behavior has changed")
camera.Close()
print("file over live:", factor)
sys.exit(0 if factor == {"Mono8": [1], "Mono10": [64], "Mono12": [16]} else "the behavior has changed")
PYTHON
PYLON_CAMEMU=1 "$work/venv/bin/python" "$work/grab.py" "$work/frame.tiff"
