"""Files of points that change while a process runs give their new points, to every reader of them."""

import json
import os
import pickle

import numpy as np
import pytest

from htnet import Predictor
from htnet.core.errors import LandmarkError
from htnet.core.types import Frame, Landmarks68
from htnet.preprocess import PrecomputedLandmarks, Preprocessor, make_landmarker
from htnet.preprocess.landmarks.files import COLUMNS, flow_image_points
from tests.support.pairs import POINTS as TEMPLATE
from tests.support.pairs import QUICK, face_pair, tiny_model

POINTS = TEMPLATE.round(1)  # two digits before the point, so all files are of one size


def as_csv(points):
    return f"sample,{','.join(COLUMNS)}\nx,{','.join(f'{v:.1f}' for v in points.ravel())}\n"


def as_json(points):
    return json.dumps(points.round(1).tolist())


def as_peer(points):
    """A table of OpenFace with one row: eyes, nose and mouth where they are, all else at the nose."""
    places = np.tile(points[2], (68, 1))
    places[36:42], places[42:48], places[[48, 54]] = points[0], points[1], points[3:]
    names = [f"{axis}_{number}" for axis in "xy" for number in range(68)]
    return f"frame,success,{','.join(names)}\n1,1,{','.join(f'{v:.1f}' for v in places.T.ravel())}\n"


KINDS = {"csv": (".csv", as_csv), "json": (".json", as_json), "OpenFace": (".csv", as_peer)}


def by_preprocessor(path):
    return lambda frame, sample: Preprocessor(QUICK).pair(frame, face_pair()[1], path, sample).landmarks


def by_predictor(path):
    predictor = Predictor(tiny_model(QUICK), landmarks=str(path))
    return lambda frame, sample: predictor.pair(frame, face_pair()[1], sample=sample).landmarks


def five(points):
    """The five of a table of 68."""
    return points.five() if isinstance(points, Landmarks68) else points


READERS = {
    "PrecomputedLandmarks": PrecomputedLandmarks,
    "make_landmarker": lambda path: make_landmarker(str(path)),
    "a copy in another process": lambda path: pickle.loads(pickle.dumps(make_landmarker(str(path)))),
    "flow_image_points": lambda path: lambda frame, sample: five(flow_image_points(path, frame, sample)),
    "Preprocessor": by_preprocessor,
    "Predictor": by_predictor,
}


@pytest.mark.parametrize(
    ("reader", "kind", "times"),
    [*((reader, kind, "kept") for reader in READERS for kind in KINDS), ("PrecomputedLandmarks", "csv", "new")],
)
def test_changed_points_are_read(tmp_path, reader, kind, times):
    """Also where size and time of the file stay what they were, as after two writes within a tick of its clock."""
    ending, text = KINDS[kind]
    path, frame = tmp_path / f"points{ending}", Frame(face_pair()[0])
    path.write_text(text(POINTS))
    before = path.stat()
    find = READERS[reader](path)
    np.testing.assert_allclose(find(frame, "x").points, POINTS, atol=1e-3)
    path.write_text(text(POINTS + 1))
    assert path.stat().st_size == before.st_size
    if times == "kept":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    np.testing.assert_allclose(find(frame, "x").points, POINTS + 1, atol=1e-3)
    path.unlink()
    with pytest.raises(LandmarkError, match="does not exist"):
        find(frame, "x")


def test_an_unchanged_file_is_read_once(tmp_path, monkeypatch):
    path, reads = tmp_path / "points.json", []
    path.write_text(as_json(POINTS))
    os.utime(path, (1e9, 1e9))
    find = PrecomputedLandmarks(path)
    monkeypatch.setattr("htnet.preprocess.landmarks.files._read_json", lambda path: reads.append(path))
    for _ in range(3):
        find(face_pair()[0], "x")
    assert not reads
