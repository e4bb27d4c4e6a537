"""Files of the palsy pages in the reader's folder, see `tests.support.workspace`."""

from tests.palsy.faces import palsy_face, save_face, write_csv, write_fnp
from tests.support.pairs import save


def graded(folder):
    """``graded.csv`` of drawn faces with six grades."""
    rows = []
    for i in range(18):
        save_face(folder / "graded" / f"P{i:02d}_1.png", identity=i, grade=1 + i % 6, side=160)
        rows.append({"image_path": f"graded/P{i:02d}_1.png", "grade": 1 + i % 6, "patient": f"P{i:02d}"})
    write_csv(folder / "graded.csv", rows)


def palsy_faces(folder):
    """``FNP_DIR``, ``face.png``, ``face.jpg`` and ``faces``."""
    write_fnp(folder / "FNP_DIR", patients=12, per_patient=2)
    image = palsy_face(3, 4).image
    for path in (folder / "face.png", folder / "face.jpg", *(folder / "faces" / f"{k}.png" for k in range(2))):
        save(path, image)


#: By what a block names.
MAKERS = {r"graded\.csv": graded, r"face\.png": palsy_faces}
