#!/usr/bin/env bash
# Facial actions are coded in Praat's TextGrid files, and an action is divided into its phases. tonkinese-grid 2024.0.0a7's split_insert(index, text,
# dur) is documented, with a drawing, to put an interval of the given duration before what remains of the one at the index. Its end is the
# end of the old interval plus the duration, not its start plus the duration. AU12 from 1.0 to 2.0 s, of which 0.2 s are the onset, becomes
# an onset from 1.0 to 2.2 s and an AU12 from 2.2 to 2.0 s, which lasts -0.2 s; the next interval begins at 2.0 s. They are saved as they
# are, without a word, and the file can't be read any more. split_append, its counterpart at the end of an interval, is right.
# Labels are cut when a file is read: "AU12 side=left, level=B" is "AU12 sid", since the line ends for it at the second equals sign, and
# the last character is taken for the closing quote.
# Expected were 1.0 to 1.2 and 1.2 to 2.0 s, and the whole label. The class is there to keep intervals continuous. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The coding is made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps tonkinese-grid==2024.0.0a7 result==0.17.0
cat > "$work/phases.py" <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

from tonkinese_grid import IntervalTier, TextGrid

print("tonkinese-grid", version("tonkinese-grid"))
file = Path(sys.argv[1]) / "coding.TextGrid"


def times(tier):
    return [(round(part.min, 3), round(part.max, 3), part.text) for part in tier]


def coding(label="AU12"):
    made = TextGrid(0, 3)
    made.append(IntervalTier(0, 3, "AU12"))
    for begin, end, text in ((0, 1.0, ""), (1.0, 2.0, label), (2.0, 3.0, "")):
        made[0].append_new(begin, end, text)
    return made


made = coding()
made[0].split_insert(1, "onset", 0.2)
made.save(file)
written = "xmax = 2.2" in file.read_text()
try:
    TextGrid.read(file)
    again = True
except ValueError as error:
    print("read again:", error)
    again = False
right = [(0, 1.0, ""), (1.0, 1.2, "onset"), (1.2, 2.0, "AU12"), (2.0, 3.0, "")]
seen = times(made[0])
print(f"split_insert: expected {right},\n  seen {seen}")
other = coding()
other[0].split_append(1, "offset", 0.2)
print(f"split_append: {times(other[0])}")
label = "AU12 side=left, level=B"
named = coding(label)
named.save(file)
found = TextGrid.read(file)[0][1].text
print(f"label: expected {label!r}, seen {found!r}; in the file: {label in file.read_text()}")
same = seen == [(0, 1.0, ""), (1.0, 2.2, "onset"), (2.2, 2.0, "AU12"), (2.0, 3.0, "")] and written and not again
same = same and times(other[0])[1:3] == [(1.0, 1.8, "AU12"), (1.8, 2.0, "offset")] and found == "AU12 sid"
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/phases.py" "$work"
