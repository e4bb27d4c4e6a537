"""Files of the palsy pages in the reader's folder, see `tests.support.workspace`."""

from tests.palsy.faces import palsy_face, save_face, write_ck_plus, write_csv, write_fnp
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


def sequences(folder):
    """``CK_DIR``, whose last frames are drawn faces, its ``grades.csv``, and ``cropped``."""
    rows = []
    for i in range(6):
        write_ck_plus(folder / "CK_DIR", {f"S{i:03d}/001": (2, 1)})
        for path in sorted((folder / "CK_DIR" / "cohn-kanade-images" / f"S{i:03d}").rglob("*.png")):
            save_face(path, identity=i, grade=1 + i, side=160)
        rows.append({"sequence": f"S{i:03d}/001", "grade": 1 + i})
        for k in range(2):
            save_face(
                folder / "cropped" / f"grade_{1 + i}" / f"P{i}{k}_1.png", identity=i + 6 * k, grade=1 + i, side=112
            )
    write_csv(folder / "grades.csv", rows)


#: By what a block names.
MAKERS = {r"graded\.csv": graded, r"face\.png": palsy_faces, r"CK_DIR": sequences}
