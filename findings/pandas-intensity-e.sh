#!/usr/bin/env bash
# FACS writes intensities A to E after an action unit, and joins units by "+": "2E+1" is unit 2 at its maximum with unit 1.
# pandas 2.2.3 reads a column of such cells as numbers (2E+1 is 20, 4E+12 is four million millions), with no warning, as
# soon as every cell of the column happens to look like one: in the table of a single person, for instance. Written back,
# the file says unit 20. Readers of micro-expression sheets must ask for text (dtype=str) before the first look.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pandas==2.2.3
"$work/venv/bin/python" - "$work" <<'PYTHON'
import pathlib
import sys

import pandas as pd

folder = pathlib.Path(sys.argv[1])
print("pandas", pd.__version__)
cells = ["2E+1", "12", "4E+12"]


def table(texts):
    file = folder / "sheet.csv"
    file.write_text("Filename,Action Units\n" + "".join(f"EP{i:02d},{text}\n" for i, text in enumerate(texts)))
    return file


alone = pd.read_csv(table(cells))["Action Units"].tolist()
print("expected:", cells)
print("seen:    ", alone, "when all cells of the column look like numbers")
pd.read_csv(table(cells)).to_csv(folder / "again.csv", index=False)
again = [line.split(",")[1] for line in (folder / "again.csv").read_text().split()[2:]]
print("seen:    ", again, "after reading and writing the file once")
beside = pd.read_csv(table([*cells, "4+7"]))["Action Units"].tolist()
print("seen:    ", beside, "when one cell of the column does not")
asked = pd.read_csv(table(cells), dtype=str)["Action Units"].tolist()
print("seen:    ", asked, "with dtype=str")
same = (
    alone == [20.0, 12.0, 4e12]
    and again == ["20.0", "12.0", "4000000000000.0"]
    and beside == [*cells, "4+7"]
    and asked == cells
)
sys.exit(0 if same else "the behavior has changed")
PYTHON
