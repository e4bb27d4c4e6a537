#!/usr/bin/env bash
# Gaze, blinks and pupil are recorded beside the face by EyeLink trackers, whose files are read as text (.asc, by SR Research's edf2asc).
# asc2csv 1.4.1 makes tables of them:
# - A saccade's "Average Velocity" is the mean of its peak velocity (degrees a second) and its duration (milliseconds). For usual
#   saccades that looks right by chance: 10 degrees in 45 ms are 222 degrees a second, it says 202. For 0.5 degrees in 10 ms (50) it
#   says 35, and for the saccade that EyeLink writes around a blink, 1.5 degrees in 160 ms (9), it says 430, the fastest of all.
#   Expected was the amplitude over the duration, or no such column, as the file has none.
# - Samples (gaze and pupil) are taken only if their time has a decimal point and the line has six fields or more, as velocities
#   make them. Of usual recordings, with whole milliseconds, none is taken: the table has the events alone, and the program
#   says "Conversion completed".
# - Where samples are taken, a gaze that was lost in a blink (".") is at 0, 0, the corner of the screen, as valid as any.
# Exits 0 if it is so, 1 if it has changed. The files are written here by the published layout of the format.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps asc2csv==1.4.1 \
  numpy==2.3.5 pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/gaze.py" <<'PYTHON'
import sys
from importlib.metadata import version

import pandas as pd
from asc2csv.converter import process_asc_file

folder = sys.argv[1]
START = 1000000


def table(name, time, velocities):
    sample = "{}\t  512.3\t  384.1\t 1000.0" + "\t   1.2\t   0.8" * velocities + "\t...\n"
    lost = "{}\t   .\t   .\t    0.0" + "\t   .\t   ." * velocities + "\t...\n"
    lines = [
        f"MSG\t{START} TRIALID 1\n",
        f"START\t{START} \tLEFT\tSAMPLES\tEVENTS\n",
        "SAMPLES\tGAZE\tLEFT" + "\tVEL" * velocities + "\tRATE\t1000.00\tTRACKING\tCR\tFILTER\t2\n",
        *(sample.format(time.format(START + ms)) for ms in range(300)),
        f"ESACC L  {START + 300}\t{START + 309}\t10\t  512.3\t  384.1\t  530.0\t  384.0\t   0.50\t     60\n",
        f"ESACC L  {START + 400}\t{START + 444}\t45\t  512.3\t  384.1\t  890.0\t  384.0\t  10.00\t    360\n",
        *(lost.format(time.format(START + ms)) for ms in range(600, 700)),
        f"EBLINK L {START + 600}\t{START + 699}\t100\n",
        f"ESACC L  {START + 570}\t{START + 729}\t160\t  512.3\t  384.1\t  570.0\t  384.0\t   1.50\t    700\n",
        f"END\t{START + 800} \tSAMPLES\tEVENTS\tRES\t  38.54\t  31.12\n",
    ]
    with open(f"{folder}/{name}.asc", "w") as file:
        file.writelines(lines)
    process_asc_file(f"{folder}/{name}.asc", f"{folder}/{name}.csv")
    return pd.read_csv(f"{folder}/{name}.csv")


print("asc2csv", version("asc2csv"))
tables = {
    "usual": table("usual", "{}", False),
    "velocities": table("velocities", "{}", True),
    "decimals": table("decimals", "{}.0", False),
    "both": table("both", "{}.0", True),
}
samples = {name: int(found["Gaze X"].notna().sum()) for name, found in tables.items()}
corner = int((tables["both"][["Gaze X", "Gaze Y"]] == 0).all(axis=1).sum())
saccades = tables["usual"][tables["usual"]["Event Type"] == "Saccade"]
for _, saccade in saccades.iterrows():
    expected = saccade["Amplitude"] / saccade["Duration"] * 1000
    print(
        f"{saccade['Amplitude']} degrees in {saccade['Duration']:.0f} ms, at most {saccade['Peak Velocity']:.0f} a second: "
        f"expected {expected:.1f} on the mean, seen {saccade['Average Velocity']}"
    )
print(f"samples: expected 400 (100 of them without gaze) each time, seen {samples}; at 0, 0: {corner}")
same = saccades["Average Velocity"].tolist() == [35, 202.5, 430] and samples == {"usual": 0, "velocities": 0, "decimals": 0, "both": 400}
sys.exit(0 if same and corner == 100 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore::FutureWarning "$work/gaze.py" "$work"
