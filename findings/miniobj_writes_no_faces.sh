#!/usr/bin/env bash
# Face models (FLAME, Basel, ICT) and registered scans are exchanged as Wavefront OBJ files. miniobj 0.0.2 loads and exports them. Its export
# goes through the materials (usemtl) and writes the faces of each. A face before the first usemtl belongs to none and is not written:
# of a mesh without materials, as models without texture are, all faces are gone, and the file is a cloud of points. Of one that has a
# material for the lips alone, only the lips are left. load has the faces; export says "Exported obj". Colors of vertices, which load
# keeps (v x y z r g b), are not written either. Expected were the faces that load has.
# Exits 0 if it is so, 1 if it has changed. The mesh is made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps miniobj==0.0.2 numpy==2.2.6
cat > "$work/mesh.py" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

from miniobj import MiniObj

folder = pathlib.Path(sys.argv[1])
POINTS = ["v 0 0 0", "v 1 0 0", "v 0 1 0", "v 1 1 0", "vt 0 0", "vt 1 0", "vt 0 1", "vt 1 1"]
SKIN, LIPS = "f 1/1 2/2 3/3", "f 2/2 4/4 3/3"


def faces(lines):
    (folder / "face.obj").write_text("\n".join(lines) + "\n")
    mesh = MiniObj(str(folder / "face.obj"))
    mesh.load()
    mesh.export(str(folder / "again.obj"))
    written = (folder / "again.obj").read_text().splitlines()
    return mesh.num_fv, [line for line in written if line.startswith("f ")], [line for line in written if line.startswith("v ")]


print("miniobj", version("miniobj"))
seen = {
    "no material": faces([*POINTS, SKIN, LIPS]),
    "lips only": faces([*POINTS, SKIN, "usemtl lips", LIPS]),
    "each in one": faces([*POINTS, "usemtl skin", SKIN, "usemtl lips", LIPS]),
}
for name, (loaded, written, _) in seen.items():
    print(f"{name}: {loaded} faces loaded, expected {[SKIN, LIPS]}, seen {written}")
colored = faces(["v 0 0 0 0.8 0.6 0.5", *POINTS[1:], "usemtl skin", SKIN])[2][0]
print(f"a vertex with a color: expected v 0.0 0.0 0.0 0.8 0.6 0.5, seen {colored}")
same = [written for _, written, _ in seen.values()] == [[], [LIPS], [SKIN, LIPS]] and colored == "v 0.0 0.0 0.0"
sys.exit(0 if same and all(loaded == 2 for loaded, _, _ in seen.values()) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/mesh.py" "$work"
