#!/usr/bin/env bash
# Which groups of action units follow each other is asked of coded sequences, as BORIS exports them: AU1|AU4|AU12. Behatrix 0.18, the program for
# such sequences by BORIS's author, counts transitions between groups of n ("observed transitions matrix (with n-gram size option)").
# It looks for a group at each place of the joined text, by letters, and takes what follows from the list of behaviors, at the same number. In
# the text AU1|AU4|AU12|AU6 the pair AU4, AU12 begins at letter 4, but is behavior 1. Where names have one letter and no sign stands between
# them, both numbers are the same, and the counts are right.
# - For AU1, AU4, AU12, AU6 three times over and AU1, AU4, AU15, AU17, it counts none of the six kinds of transitions of pairs right: 1, 0, 0, 0, 0
#   and 0 in place of 3, 1, 3, 3, 2 and 1. Two that it counts do not occur: AU4, AU12 and AU12, AU6, each followed by AU12, AU6.
# - The same sequence as letters (abcdabcd) has all of them right; with | between the letters (a|b|c|d) they are wrong again.
# Expected were the same counts by whatever names and separator. The pairs themselves, and transitions of single behaviors, are right.
# Nothing is said. Exits 0 if it is so, 1 if it has changed. The coding is made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps behatrix==0.18 numpy==2.2.6
cat > "$work/groups.py" <<'PYTHON'
import sys
from collections import Counter
from importlib.metadata import distribution, version
from itertools import pairwise
from types import ModuleType

behatrix = ModuleType("behatrix")  # the package, without its window
behatrix.__path__ = [str(distribution("behatrix").locate_file("behatrix"))]
sys.modules["behatrix"] = behatrix
from behatrix.behatrix_functions import behavioral_sequence_analysis

print("behatrix", version("behatrix"))
UNITS = ["AU1", "AU4", "AU12", "AU6"] * 3 + ["AU1", "AU4", "AU15", "AU17"]
letters = dict(zip(dict.fromkeys(UNITS), "abcdefgh"))
units = {letter: unit for unit, letter in letters.items()}


def defined(sequence, size=2):
    """How often a group of so many is followed by each other group, directly."""
    places = range(len(sequence) - 2 * size + 1)
    return Counter((tuple(sequence[k : k + size]), tuple(sequence[k + size : k + 2 * size])) for k in places)


def seen(names, separator):
    found = behavioral_sequence_analysis(separator.join(names), behaviors_separator=separator, ngram=2)
    return found, {tuple(tuple(units.get(name, name) for name in group) for group in key): count for key, count in found["ngram_transitions"].items()}


right = defined(UNITS)
whole, named = seen(UNITS, "|")
_, lettered = seen([letters[unit] for unit in UNITS], "")
_, separated = seen([letters[unit] for unit in UNITS], "|")
for key in sorted(set(right) | set(named)):
    print(f"{' '.join(key[0])} then {' '.join(key[1])}: expected {right[key]}, seen {named.get(key, 0)}", end="; ")
    print(f"as letters {lettered.get(key, 0)}, as letters with | {separated.get(key, 0)}")
agreed = sum(named.get(key, 0) == count for key, count in right.items())
print(f"{len(right)} kinds of transitions, {agreed} counted right")
pairs = Counter(pairwise(UNITS))
print("pairs and transitions of one:", whole["ngram_count"] == pairs, whole["transitions"] == pairs)
impossible = (("AU4", "AU12"), ("AU12", "AU6"))
same = lettered == right and separated != right and whole["ngram_count"] == pairs and whole["transitions"] == pairs
sys.exit(0 if same and agreed == 0 and impossible in named and impossible not in right else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/groups.py"
