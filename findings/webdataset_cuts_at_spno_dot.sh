#!/usr/bin/env bash
# CAS(ME)^3 calls its people spNO.1, spNO.2, ... With webdataset 1.0.2 a sample's key ends at the first dot of the file name,
# so that spNO.1_a_1195.png has the key "spNO" and the ending "1_a_1195.png". All clips of all people are one sample: a
# tar of six files, three images with their labels, is read as one sample in place of three, without an error, and TarWriter,
# given such keys, writes it without one.
# Dots in folders are left alone: spNO.1/a_1195.png has the key "spNO.1/a_1195".
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile webdataset==1.0.2 numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

import webdataset

folder = pathlib.Path(sys.argv[1])
clips = ("spNO.1_a_1195", "spNO.2_c_77", "spNO.10_d_5")


def read(keys, name):
    path = str(folder / name)
    with webdataset.TarWriter(path) as writer:
        for label, key in enumerate(keys):
            writer.write({"__key__": key, "cls": label, "txt": key})
    return {s["__key__"]: sorted(k for k in s if k[0] != "_") for s in webdataset.WebDataset(path, shardshuffle=False)}


print("webdataset", version("webdataset"))
flat = read(clips, "flat.tar")
print(f"expected 3 samples with cls and txt; seen {len(flat)}: {flat}")
folders = read([clip.replace("_", "/", 1) for clip in clips], "folders.tar")
print(f"with a folder for each person: {folders}")
same = list(flat) == ["spNO"] and len(flat["spNO"]) == 6 and "1_a_1195.cls" in flat["spNO"]
same = same and all(fields == ["cls", "txt"] for fields in folders.values()) and len(folders) == 3
sys.exit(0 if same else "the behavior has changed")
PYTHON
