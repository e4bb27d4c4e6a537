#!/usr/bin/env bash
# Facial actions are coded in Datavyu, one .opf file a person. pyvyu 0.3.6 keeps the columns in one place for all files that it
# has read: after load_opf of a second file the spreadsheet of the first person holds the second person's cells, since their
# columns have the same name, as they have in every study. A list of spreadsheets, one a person, is as many times the last person;
# compared with one another (==) they are equal, so that a second coder agrees perfectly with the first. A column that only one
# file has appears in all. Nothing is said. Expected was a spreadsheet for each file; take what is needed out of each before
# the next is loaded.
# Exits 0 if it is so, 1 if it has changed. The files are written here by the layout that pyvyu itself writes (save_opf).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps \
  pyvyu==0.3.6 pandas==2.3.3 numpy==1.26.4 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/coders.py" <<'PYTHON'
import logging
import pathlib
import sys
import zipfile
from importlib.metadata import version

import pyvyu

logging.disable()
folder = pathlib.Path(sys.argv[1])


def loaded(name, cells, column="AU"):
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("db", "\n".join(["#4", f"{column} (MATRIX,true,)-unit|NOMINAL,side|NOMINAL", *cells, ""]))
    return pyvyu.load_opf(str(path))


def cells(sheet):
    return [(cell.onset, cell.offset, *cell.get_values()) for cell in sheet.get_column("AU").sorted_cells()]


print("pyvyu", version("pyvyu"))
first = loaded("first.opf", ["00:00:01:000,00:00:01:400,(12,left)", "00:00:03:000,00:00:03:200,(4,both)"])
alone = cells(first)
second = loaded("second.opf", ["00:00:02:000,00:00:02:040,(1,both)"])
third = loaded("third.opf", ["00:00:05:000,00:00:05:200,(7,both)"], column="other")
print("first file alone:          ", alone)
print("first after the second:    ", cells(first))
print(f"equal: {first == second}; columns of the first file: {first.get_column_list()}")
same = alone == [(1000, 1400, "12", "left"), (3000, 3200, "4", "both")] and cells(first) == [(2000, 2040, "1", "both")]
sys.exit(0 if same and first == second and first.get_column_list() == ["AU", "other"] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/coders.py" "$work"
