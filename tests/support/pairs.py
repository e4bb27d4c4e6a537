"""Small faces that move in a known way, data sets of them, and models with random weights."""

import csv
from functools import cache

import cv2
import numpy as np
import torch
from skimage.data import astronaut

from htnet.core.types import EMOTIONS, TEMPLATE_28, PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.models import create_model
from htnet.preprocess.flow.warp import displace
from tests.support.seeds import next_rng

SIDE = 64
#: Quick flow on a small face, for tests that are not about flow.
QUICK = PreprocessSpec(face_size=64, flow="dis")
#: The template in px of a frame of `SIDE` px.
POINTS = np.array(TEMPLATE_28) * SIDE / 28

_CASME3_COLUMNS = (
    *("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"),
    *("label_for_7", "label_for_3", "imagename_apex", "imagename_onset", "imagename_apex_offset"),
)
_EMOTION = (("disgust", 4), ("happy", 1), ("surprise", 2))


@cache
def _portrait():
    return astronaut()[71:175, 169:273].copy()


def face(side=SIDE):
    """The astronaut's face, cropped as the training images are: (side, side, 3) uint8 RGB."""
    return cv2.resize(_portrait(), (side, side), interpolation=cv2.INTER_AREA)


def face_pair(label=1, side=SIDE, rng=None):
    """Onset and apex; brows down for class 0, mouth corners out and up for 1, mouth opened for 2."""
    rng = rng or next_rng()
    y, x = np.mgrid[:side, :side] / side
    field = np.zeros((2, side, side))
    bumps = {
        0: [(0.28, 0.2, 0, 1), (0.7, 0.2, 0, 1)],
        1: [(0.32, 0.73, -1, -1), (0.68, 0.73, 1, -1)],
        2: [(0.5, 0.85, 0, 1), (0.5, 0.15, 0, -1)],
    }[label]
    for cx, cy, dx, dy in bumps:
        spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.02) * rng.uniform(1.0, 2.0) * side / 64
        field += np.stack([dx * spot, dy * spot])
    onset = (face(side).astype(float) * rng.uniform(0.8, 1.0)).round().astype(np.uint8)
    return onset, displace(onset, field)


def save(path, rgb):
    """Write an RGB, RGBA or gray array as an image file; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = rgb if rgb.ndim == 2 else rgb[..., [2, 1, 0, *range(3, rgb.shape[2])]]
    assert cv2.imwrite(str(path), bgr)
    return path


def pair_manifest(folder, count=6, **columns):
    """A manifest of ``count`` pairs in ``folder``, also written as ``manifest.csv``."""
    rng = next_rng()
    samples = []
    for i in range(count):
        onset, apex = face_pair(i % 3, rng=rng)
        onset, apex = save(folder / f"{i}_onset.png", onset), save(folder / f"{i}_apex.png", apex)
        samples.append(Sample(f"s{i}", "own", f"p{i % 3}", EMOTIONS[i % 3], onset, apex, **columns))
    manifest = Manifest(tuple(samples))
    manifest.write(folder / "manifest.csv")
    return manifest


def tiny_model(spec=QUICK, num_classes=3, **settings):
    """A model with random weights whose answers differ clearly from input to input."""
    model = create_model("htnet_tiny", num_classes=num_classes, mean=(100.0,) * 3, std=(60.0,) * 3, **settings).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(4)
    model.preprocess_spec = spec
    return model


def invented_casme3(subjects=3, per_subject=2):
    """Rows in the form of the CAS(ME)^3 annotation, of people and films that do not exist."""
    rows = []
    for i in range(subjects * per_subject):
        subject, (emotion, number) = f"spNO.{900 + i // per_subject}", _EMOTION[i % 3]
        first, film = 40 + 10 * i, "abcdefgh"[i % per_subject]
        names = [f"{subject}/{film}/color/{first + k}.jpg" for k in (5, 0, 9)]
        values = [subject, film, first, first + 5, first + 9, "12", "I", emotion, number, i % 3, *names]
        rows.append(dict(zip(_CASME3_COLUMNS, map(str, values), strict=True)))
    return rows


def write_casme3(root, rows):
    """The annotation and its generated frames, as the licensed set lies on a disk."""
    rng = next_rng()
    for row in rows:
        onset, apex = face_pair(int(row["label_for_3"]), side=80, rng=rng)
        save(root / row["imagename_onset"], onset)
        save(root / row["imagename_apex"], apex)
    with (root / "cas(me)3_part_A_edited.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root
