#!/usr/bin/env bash
# Scans of faces are exchanged as PLY files, which say in their header what stands in which column. ply-parser 2.0.0 reads text files of it:
# - If there are colors, they are columns 4 to 6, wherever the header has them. In files with normals before the colors (x y z nx ny nz red
#   green blue alpha) the colors of the skin are the normals: 0, 0, 1 in place of 200, 150, 120.
# - A line of a vertex that begins with 3 or 4 and has whole numbers without a sign next, as coordinates in millimeters may, counts as a
#   vertex and as a triangle or quad too. For each one the last face of the mesh is lost, since as many are taken as the header says. Of a
#   face's three triangles, one is 35, 25, 120 (a coordinate and two colors, beyond the last vertex), one is a quad, and one is right.
# Expected were the columns of the header, and the three triangles. The counts are right, so that its check of them passes.
# Exits 0 if it is so, 1 if it has changed. The two meshes are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps ply-parser==2.0.0
cat > "$work/scan.py" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

from ply_parser import parse_ply_file

path = pathlib.Path(sys.argv[1]) / "face.ply"
SKIN = [[200, 150, 120], [180, 130, 110], [120, 30, 40], [210, 160, 130], [190, 140, 115]]
TRIANGLES = [[0, 1, 3], [0, 2, 3], [1, 2, 4]]


def read(columns, rows):
    properties = [f"property {'uchar' if name in ('red', 'green', 'blue', 'alpha') else 'float'} {name}" for name in columns.split()]
    head = ["ply", "format ascii 1.0", f"element vertex {len(rows)}", *properties, f"element face {len(TRIANGLES)}"]
    lines = [*head, "property list uchar int vertex_indices", "end_header", *rows, *("3 {} {} {}".format(*t) for t in TRIANGLES)]
    path.write_text("\n".join(lines) + "\n")
    return parse_ply_file(str(path))


print("ply-parser", version("ply-parser"))
places = ["-30.5 40.25 10.5", "30.5 40.25 10.5", "0.5 -35.25 25.5", "0.5 0.25 60.5", "0.5 80.25 30.5"]
normals = ["0 0 1", "0.1 0.2 0.9", "0 -1 0", "0 0 1", "0 1 0"]
scanned = read("x y z nx ny nz red green blue alpha", [f"{p} {n} {r} {g} {b} 255" for p, n, (r, g, b) in zip(places, normals, SKIN)])
print(f"colors: expected {SKIN}, seen {scanned.colors}")
whole = ["-30 40 10", "30 40 10", "3 35 25", "4 36 60", "0 80 30"]
rounded = read("x y z red green blue", [f"{p} {r} {g} {b}" for p, (r, g, b) in zip(whole, SKIN)])
print(f"faces: expected {TRIANGLES}, seen {rounded.faces}")
same = scanned.colors == [[float(x) for x in normal.split()] for normal in normals] and scanned.faces == TRIANGLES
sys.exit(0 if same and rounded.faces == [[35, 25, 120], [36, 60, 210, 160], TRIANGLES[0]] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/scan.py" "$work"
