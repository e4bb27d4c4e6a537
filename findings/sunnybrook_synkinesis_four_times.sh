#!/usr/bin/env bash
# The Sunnybrook score of a facial palsy (Ross, Fradet and Nedzelski 1996) is 4 times the sum of five movements, less 5 times
# that of three signs at rest, less the sum of five synkineses, 0 to 100 points. facialis-palsy-file-models 0.1.0, which
# defines files for it, takes the synkineses 4 times too (total_score_synkinesis goes to 60 in place of 15): a patient with 25
# points gets -20, and without synkinesis the score is right. The package's HouseBrackmann.set_house_brackmann takes its own six
# descriptions in its own spelling; for "III", or "moderate dysfunction" with a small letter, it sets grade 0, which
# does not exist, in place of 3.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile facialis-palsy-file-models==0.1.0 pydantic==2.12.5
"$work/venv/bin/python" - 2> "$work/log" <<'PYTHON' || { code=$?; tail -5 "$work/log"; exit "$code"; }
import sys
from importlib.metadata import version

from facialis_palsy_file_models.base_types import KeyValue
from facialis_palsy_file_models.housebrackmann_type import HouseBrackmann
from facialis_palsy_file_models.sunnybrook_type import Sunnybrook

MOVEMENTS = ("frowning", "gentleeye", "dental", "snarl", "lippucker")


def score(synkinesis):
    signs = {"rest_eye": 1, "rest_cheek": 2, "rest_mouth": 1}
    signs |= {f"{name}_symmetry": 3 for name in MOVEMENTS} | {f"{name}_synkinesis": synkinesis for name in MOVEMENTS}
    return Sunnybrook(**{name: KeyValue(key=name, value=value) for name, value in signs.items()}).total_score()


print("facialis-palsy-file-models", version("facialis-palsy-file-models"))
scores = {}
for synkinesis in (0, 1, 3):
    scores[synkinesis] = score(synkinesis)
    expected = 4 * 5 * 3 - 5 * 4 - 5 * synkinesis
    print(f"five synkineses of {synkinesis}: expected {expected} points, seen {scores[synkinesis]}")
grades = {}
for text in ("Moderate dysfunction", "moderate dysfunction", "III"):
    patient = HouseBrackmann()
    patient.set_house_brackmann(text)
    grades[text] = patient.houseBrackmann
    print(f"{text}: expected grade 3, seen {grades[text]}")
sys.exit(0 if list(scores.values()) == [40, 20, -20] and list(grades.values()) == [3, 0, 0] else "the behavior has changed")
PYTHON
