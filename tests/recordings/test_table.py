import csv
import dataclasses

import numpy as np
import pytest

from htnet.core.errors import InputError, OverwriteError
from htnet.core.types import QualityWarning
from htnet.recordings import CURVES, TABLE_COLUMNS, FrameStream, read_curves, recording_curves, write_table
from tests.recordings.scenes import Face, Scene


@pytest.fixture
def found(rng):
    scene = Scene(lambda time: [Face(300, 180)] if time < 0.9 else [], np.arange(36) / 20, rng)
    warning = QualityWarning("assumed_rate", "Nobody knows the rate.")
    return recording_curves(FrameStream("scene", scene, 20.0, (warning,)), scene.finder())


def test_an_archive_comes_back_as_it_was(tmp_path, found):
    again = read_curves(write_table(found, tmp_path / "a.npz"))
    assert {**vars(again), "tracks": ()} == {**vars(found), "tracks": ()}
    assert len(again.tracks) == len(found.tracks) == 1
    for field in dataclasses.fields(found.tracks[0]):
        one, other = (getattr(part.tracks[0], field.name) for part in (found, again))
        np.testing.assert_array_equal(one, other)
        assert type(one) is type(other)


def test_a_table_has_one_row_for_every_face_and_frame(tmp_path, found):
    with write_table(found, tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (track,) = found.tracks
    assert list(rows[0]) == [*TABLE_COLUMNS, *CURVES]
    assert [int(row["frame"]) for row in rows] == track.frames.tolist()
    assert [row["gap"] for row in rows] == [track.gap(n) for n in range(len(track))]
    assert float(rows[5]["nose_x"]) == pytest.approx(track.points[5, 2, 0], rel=1e-5)
    assert float(rows[5]["light"]) == pytest.approx(track.curves["light"][5], rel=1e-5)


def test_what_is_no_archive_is_refused(tmp_path, found):
    with pytest.raises(InputError, match=r"ends in \.csv or \.npz"):
        write_table(found, tmp_path / "a.txt")
    path = write_table(found, tmp_path / "a.npz")
    with pytest.raises(OverwriteError):
        write_table(found, path)
    write_table(found, path, overwrite=True)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read as curves of a recording"):
        read_curves(path)
    with pytest.raises(InputError, match="cannot be read as curves"):
        read_curves(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", recording=np.array('{"version": 0}'))
    with pytest.raises(InputError, match="from another version of htnet"):
        read_curves(tmp_path / "other.npz")
