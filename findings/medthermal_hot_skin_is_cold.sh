#!/usr/bin/env bash
# The temperature of the face (inner corner of the eye, nose, the weaker side of a palsy) is kept as DICOM by medthermal-dicom 1.0.4.
# set_thermal_image takes the temperatures and a temperature_range, to which it scales them as 16-bit numbers, with RescaleSlope and
# RescaleIntercept to bring them back. What lies outside the range is not limited to it but wraps around: in a study with one
# range of 20 to 38 degrees for all people, 38.1 degrees are 20.1 and 39.5 are 21.5, so that fever is the coldest skin of the picture, and
# a wall of 18 degrees is as warm as skin, 36.0. Expected was 38.0 and 20.0, or a refusal. Nothing is said; pydicom 2.4.4 reads what the file says.
# load_dicom does not bring the parameters back: the emissivity 0.98 is the text 'MEDTHERMAL_DICOM', the name under which they were
# stored, and all others are None.
# Exits 0 if it is so, 1 if it has changed. Its viewer, its overlays and its filters are replaced by empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps medthermal-dicom==1.0.4 pydicom==2.4.4 numpy==2.2.6
cat > "$work/skin.py" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version
from unittest.mock import MagicMock

plots = ("matplotlib", "matplotlib.pyplot", "matplotlib.cm", "matplotlib.colors", "plotly", "plotly.graph_objects", "plotly.express")
for name in (*plots, "plotly.subplots", "dash", "dash_bootstrap_components", "cv2", "PIL", "scipy", "scipy.interpolate"):
    sys.modules[name] = MagicMock()

import numpy as np
import pydicom
from medthermal_dicom import MedThermalDicom

print("medthermal-dicom", version("medthermal-dicom"), "pydicom", version("pydicom"))
path = pathlib.Path(sys.argv[1]) / "face.dcm"
degrees = np.array([[18.0, 20.0, 30.0, 36.0, 38.0, 38.1, 39.5]])
parameters = {"emissivity": 0.98, "distance_from_camera": 1.2, "ambient_temperature": 22.5}
written = MedThermalDicom(thermal_params=dict(parameters))
written.set_thermal_image(degrees, temperature_range=(20.0, 38.0))
written.save_dicom(str(path))
file = pydicom.dcmread(path)
read = (file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept)).round(1)[0].tolist()
for was, now in zip(degrees[0].tolist(), read):
    print(f"{was} degrees, range 20 to 38: expected {min(max(was, 20.0), 38.0)}, seen {now}")
loaded = MedThermalDicom.load_dicom(str(path))
found = {name: loaded.get_thermal_parameter(name) for name in parameters}
print(f"parameters: expected {parameters}, seen {found}")
same = read == [36.0, 20.0, 30.0, 36.0, 38.0, 20.1, 21.5]
same = same and found == {"emissivity": "MEDTHERMAL_DICOM", "distance_from_camera": None, "ambient_temperature": None}
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/skin.py" "$work"
