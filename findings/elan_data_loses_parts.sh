#!/usr/bin/env bash
# Expressions are annotated in ELAN: a tier of action units, and below it, by symbolic association, tiers for side or
# intensity. elan-data 1.7.3 reads such a file that pympi-ling 1.71 wrote:
# - Annotations of the tiers below (REF_ANNOTATION) are left out of its table. Their tiers are in tier_names, so that a
#   tier without annotations is seen, not an unread one.
# - split_segment cuts the first part to nothing: 1000 to 1400 ms, split at 1200, becomes 1200 to 1200 and 1200 to 1400,
#   and save_ELAN writes that. The onset is gone.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile elan-data==1.7.3 pympi-ling==1.71 pandas==2.3.3 numpy==1.26.4
cat > "$work/split.py" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

import pympi
from elan_data import ELAN_Data

path = pathlib.Path(sys.argv[1]) / "clip.eaf"
written = pympi.Eaf()
written.add_tier("AU")
written.remove_tier("default")
written.add_linguistic_type("side", constraints="Symbolic_Association", timealignable=False)
written.add_tier("side", ling="side", parent="AU")
written.add_annotation("AU", 1000, 1400, "AU12")
written.add_ref_annotation("side", "AU", 1000, "left")
written.to_file(str(path))


def table(read):
    rows = read.tier_data.sort_values(["START", "STOP"])
    return [tuple(row) for row in rows[["TIER_ID", "START", "STOP", "TEXT"]].itertuples(index=False)]


print("elan-data", version("elan-data"), "pympi-ling", version("pympi-ling"))
read = ELAN_Data.from_file(path, init_df=True)
whole = table(read)
print(f"tiers {read.tier_names}: expected AU12 and left, seen {whole}")
read.split_segment([1200], str(read.tier_data["SEGMENT_ID"].iloc[0]))
parts = table(read)
print(f"split at 1200 ms: expected 1000 to 1200 and 1200 to 1400, seen {parts}")
same = read.tier_names == ["AU", "side"] and whole == [("AU", 1000, 1400, "AU12")]
same = same and parts == [("AU", 1200, 1200, "AU12"), ("AU", 1200, 1400, "AU12")]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/split.py" "$work"
