"""Faces with a palsy of a known amount, and data sets of them; see benchmarks/palsy_faces.py."""

import csv
import json
import zlib
from functools import cache

import cv2
import numpy as np

from benchmarks.palsy_faces import KINDS, SIDE, STEP, PalsyFace, palsy_face, write_fnp
from tests.support.seeds import next_rng

__all__ = [
    "KINDS",
    "SIDE",
    "STEP",
    "PalsyFace",
    "palsy_face",
    "save_black",
    "save_face",
    "write_ck_plus",
    "write_csv",
    "write_fnp",
    "write_small_fnp",
]


def save_face(path, identity=0, grade=1, side=48):
    """A small face of a person; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_encoded(path.suffix, identity, grade, side))
    return path


@cache
def _encoded(suffix, identity, grade, side):
    image = cv2.resize(palsy_face(identity, grade).image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.imencode(suffix, image[..., ::-1])[1].tobytes()


def save_black(path):
    """A black picture of 8 px; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return path


def write_small_fnp(root, patients):
    """``grade_N/PATIENT_k.png`` of gray pictures; ``patients``: name to grades, one picture each."""
    for patient, grades in patients.items():
        for k, grade in enumerate(grades):
            path = root / f"grade_{grade}" / f"{patient}_{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            level = next_rng().integers(0, 255, (24, 24), dtype=np.uint8)
            assert cv2.imwrite(str(path), level)
    return root


def write_csv(path, rows):
    """A table with the columns of the first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_ck_plus(root, sequences):
    """The layout of CK+; ``sequences``: "S005/001" to (number of frames, emotion number or None)."""
    for name, (frames, emotion) in sequences.items():
        subject, sequence = name.split("/")
        for k in range(1, frames + 1):
            stem = f"{subject}_{sequence}_{k:08d}"
            path = root / "cohn-kanade-images" / subject / sequence / f"{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = np.full((24, 24), k, np.uint8)
            image[0, :4] = list(zlib.crc32(name.encode()).to_bytes(4, "big"))  # a picture of nobody else
            assert cv2.imwrite(str(path), image)
        folder = root / "Emotion" / subject / sequence
        folder.mkdir(parents=True, exist_ok=True)
        if emotion is not None:
            (folder / f"{stem}_emotion.txt").write_text(f"   {emotion:.7e}\n")
    return root


def read_json(path):
    """Content of a JSON file."""
    return json.loads(path.read_text("utf-8"))
