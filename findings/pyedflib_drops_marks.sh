#!/usr/bin/env bash
# Facial EMG and physiology are exchanged as EDF+ with annotations: camera frames, onset, apex, offset. pyedflib 0.1.42's
# EdfWriter makes room for one annotation a second of the recording. Of 60 marks in a recording of 20 s it writes the first
# 20; writeAnnotation gives no error for the others, and the file looks complete. Each text is cut to 40 bytes too, here
# before the coder. set_number_of_annotation_signals(n) makes room for n a second. edfio 0.4.18 writes all 60, whole.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile pyedflib==0.1.42 edfio==0.4.18 numpy==2.4.6
"$work/venv/bin/python" -W error - "$work" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

import edfio
import numpy as np
import pyedflib

RATE, SECONDS = 1000, 20
path = str(pathlib.Path(sys.argv[1]) / "emg.edf")
marks = [(2 + 0.2 * k, f"apex of AU4 left, seen in camera frame {k}, coder B") for k in range(60)]


def by_pyedflib(signals=None):
    writer = pyedflib.EdfWriter(path, 1, file_type=pyedflib.FILETYPE_EDFPLUS)
    header = {"label": "corrugator", "dimension": "uV", "sample_frequency": RATE, "transducer": "", "prefilter": ""}
    writer.setSignalHeader(0, header | {"physical_min": -500, "physical_max": 500, "digital_min": -32768, "digital_max": 32767})
    if signals:
        writer.set_number_of_annotation_signals(signals)
    answers = {writer.writeAnnotation(second, -1, text) for second, text in marks}
    writer.writeSamples([np.zeros(RATE * SECONDS)])
    writer.close()
    return answers


def read():
    with pyedflib.EdfReader(path) as reader:
        seconds, _, texts = reader.readAnnotations()
    return list(zip(seconds.tolist(), texts.tolist()))


print("pyedflib", version("pyedflib"), "edfio", version("edfio"))
seen = {}
for name, signals in (("pyedflib", None), ("pyedflib, told 3 a second", 3)):
    answers = by_pyedflib(signals)
    seen[name] = read()
    print(f"{name}: expected 60 marks, seen {len(seen[name])}; the last {seen[name][-1]}; writeAnnotation returned {answers}")
signal = edfio.EdfSignal(np.zeros(RATE * SECONDS), sampling_frequency=RATE)
edfio.Edf([signal], annotations=[edfio.EdfAnnotation(second, None, text) for second, text in marks]).write(path)
seen["edfio"] = read()
print(f"edfio: {len(seen['edfio'])}; the last {seen['edfio'][-1]}")
counts = {name: len(found) for name, found in seen.items()}
cut = all(text == marks[k][1].encode()[:40].decode().strip() for k, (_, text) in enumerate(seen["pyedflib"]))
whole = all(text == marks[k][1] for k, (_, text) in enumerate(seen["edfio"]))
same = counts == {"pyedflib": 20, "pyedflib, told 3 a second": 60, "edfio": 60} and cut and whole
sys.exit(0 if same else "the behavior has changed")
PYTHON
