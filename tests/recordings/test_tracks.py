import re

import numpy as np
import pytest

from benchmarks.expression_pairs import Camera, Change, make_pair
from htnet.core.types import Frame
from htnet.recordings import FrameStream, recording_curves
from htnet.recordings.faces import SeenFace, YuNetFaces, overlap
from htnet.recordings.track import GAPS
from htnet.recordings.tracks import SHORTEST
from tests.recordings.scenes import Face, Scene, background, film


def curves_of(scene, finder=None):
    return recording_curves(FrameStream("scene", scene), finder or scene.finder())


def reasons(track):
    return {GAPS[code] for code in np.unique(track.gaps)} - {""}


def test_a_cut_ends_a_track(rng):
    one, other = background(rng), background(rng)[::-1].copy()

    def faces(time):
        return [Face(220, 180)] if time < 0.99 else [Face(420, 170, 0.8, mirrored=True)]

    found = curves_of(Scene(faces, np.arange(60) / 30, rng, behind=lambda time: one if time < 0.99 else other))
    assert found.cuts == (30,)
    assert [(int(t.frames[0]), int(t.frames[-1])) for t in found.tracks] == [(0, 29), (30, 59)]
    assert [t.segments for t in found.tracks] == [((0, 29),), ((0, 29),)]
    second = found.tracks[1]
    assert np.isnan(second.feature("left_inner_brow_u_0.5s")[:9]).all(), "no motion over the cut"


@pytest.mark.slow
def test_a_recording_with_a_cut_two_faces_and_one_that_is_lost(rng):
    one, other = background(rng), background(rng)[::-1].copy()

    def faces(time):
        if time < 0.6:
            return [Face(300, 180)]
        still = Face(160, 180)
        return [still] if 1.2 <= time < 1.6 else [still, Face(470 - 8 * time, 180, mirrored=True)]

    scene = Scene(faces, np.arange(70) / 30, rng, behind=lambda time: one if time < 0.6 else other)
    found = curves_of(scene)
    assert found.cuts == (18,)
    first, *rest = found.tracks
    assert (int(first.frames[0]), int(first.frames[-1])) == (0, 17)
    assert not first.gaps.any()
    assert len(rest) == 2, "the face that comes back keeps its number"
    still, hides = sorted(rest, key=lambda track: np.nanmean(track.boxes[:, 0]))
    assert int(still.frames[0]) == int(hides.frames[0]) == 18
    assert len(still) == len(hides) == 52
    assert not still.gaps.any()
    assert reasons(hides) == {"lost"}
    hidden = hides.times[hides.gaps > 0]
    assert 1.0 <= hidden[0] <= 1.25
    assert 1.55 <= hidden[-1] <= 1.8
    assert len(hides.segments) == 2


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["known", "yunet"])
def test_two_faces_keep_their_numbers(rng, detector):
    def faces(time):
        return [Face(160 + 20 * time, 180), Face(460 - 15 * time, 180, mirrored=True)]

    scene = Scene(faces, np.arange(40) / 30, rng)
    found = curves_of(scene, YuNetFaces() if detector == "yunet" else None)
    assert [len(t) for t in found.tracks] == [40, 40]
    lefts = sorted(found.tracks, key=lambda t: t.boxes[0, 0])
    for track, number in zip(lefts, (0, 1), strict=True):
        for row in (0, 20, 39):
            true = faces(track.times[row])[number].points()
            assert np.hypot(*(track.points[row] - true).T).mean() < 5
        assert not track.gaps.any()


@pytest.mark.slow
def test_a_face_that_passes_behind_another_is_lost_and_keeps_its_number(rng):
    def faces(time):
        return [Face(110 + 240 * time, 180, 0.45, mirrored=True), Face(330, 180, 0.5)]

    found = curves_of(Scene(faces, np.arange(60) / 30, rng))
    assert len(found.tracks) == 2
    passing, still = sorted(found.tracks, key=lambda t: t.boxes[0, 0])
    assert not still.gaps.any()
    assert np.abs(still.boxes[-1, 0] - still.boxes[0, 0]) < 8
    assert reasons(passing) == {"lost"}
    assert np.hypot(*(passing.points[-1] - faces(passing.times[-1])[0].points()).T).mean() < 6


@pytest.mark.slow
@pytest.mark.parametrize("away", [0.6, 5.0])
def test_a_face_that_is_gone_for_some_time(rng, away):
    def faces(time):
        return [] if 1 <= time < 1 + away else [Face(300, 180)]

    found = curves_of(Scene(faces, np.arange(int((2 + away) * 15)) / 15, rng))
    if away < 3:
        (track,) = found.tracks
        assert reasons(track) == {"lost"}
        rows = np.flatnonzero(track.gaps)
        assert track.times[rows[0]] == pytest.approx(1, abs=0.21)
        assert track.times[rows[-1]] == pytest.approx(1 + away, abs=0.15)
        assert np.isnan(track.features[rows]).all()
        assert np.isnan(track.points[rows]).all()
        assert len(track.segments) == 2
        again = track.segments[1][0]
        assert np.isnan(track.feature("left_cheek_u_0.5s")[again : again + 4]).all(), "no motion over the gap"
        assert track.curves["left_brow"][again] == pytest.approx(0, abs=0.05)
    else:
        assert [reasons(track) for track in found.tracks] == [set(), set()]
        assert found.tracks[0].times[-1] == pytest.approx(1, abs=0.21)


@pytest.mark.slow
def test_a_head_that_turns_aside_is_a_gap(rng):
    def faces(time):
        return [Face(300, 180, turned=float(np.clip(0.6 * (time - 0.8), 0, 0.35)) if time < 2 else 0.0)]

    scene = Scene(faces, np.arange(90) / 30, rng)
    finder = scene.finder()
    finder.jitter = 0.3
    (track,) = curves_of(scene, finder).tracks
    assert reasons(track) == {"turned"}
    rows = np.flatnonzero(track.gaps)
    assert track.times[rows[0]] == pytest.approx(0.8 + 0.2 / 0.6, abs=0.12)
    assert track.times[rows[-1]] == pytest.approx(2.0, abs=0.12)
    assert len(track.segments) == 2


def test_a_face_that_leaves_the_frame_is_cut_off_before_it_is_lost(rng):
    def faces(time):
        return [Face(300 + 250 * time, 180)]

    (track,) = curves_of(Scene(faces, np.arange(45) / 30, rng), None).tracks
    assert track.times[-1] < 1.4
    assert np.nanmax(track.points[..., 0]) < 640


def test_a_pause_ends_a_segment(rng):
    times = np.concatenate([np.arange(20) / 30, 5 + np.arange(20) / 30])
    found = curves_of(Scene(lambda time: [Face(300, 180)], times, rng))
    (track,) = found.tracks
    assert track.segments == ((0, 19), (20, 39))
    assert [gap.reason for gap in found.missing] == ["paused"]
    assert found.missing[0].end - found.missing[0].start == pytest.approx(5 - 19 / 30)
    assert np.isnan(track.feature("left_cheek_u_0.5s")[20:28]).all()


@pytest.mark.slow
def test_a_dropped_frame_ends_nothing(rng):
    times = np.delete(np.arange(60) / 30, 45)
    found = curves_of(Scene(lambda time: [Face(300 + 10 * time, 180)], times, rng))
    assert [(gap.reason, gap.before) for gap in found.missing] == [("dropped", 45)]
    assert found.tracks[0].segments == ((0, 58),)


def test_a_recording_without_faces_has_no_tracks(rng):
    found = curves_of(Scene(lambda time: [], np.arange(10) / 30, rng), YuNetFaces())
    assert (found.tracks, found.frames, found.size) == ((), 10, (360, 640))
    assert found.duration == pytest.approx(0.3)


def test_a_face_that_is_seen_too_briefly_is_told(rng):
    found = curves_of(Scene(lambda time: [Face(300, 180)], np.arange(6) / 30, rng))
    assert found.tracks == ()
    (warning,) = found.warnings
    assert warning.code == "too_short"
    assert "A face was followed for 6 frames (0.17 s)" in warning.message
    assert f"for {SHORTEST:g} s or more" in warning.message
    assert curves_of(Scene(lambda time: [Face(300, 180)], np.arange(12) / 30, rng)).warnings == ()


def test_a_small_face_is_told(rng):
    found = curves_of(Scene(lambda time: [Face(300, 180, scale=0.45)], np.arange(12) / 30, rng))
    (warning,) = found.warnings
    assert warning.code == "small_face"
    assert re.search(r"Face 0 is (9|10)\d? px wide", warning.message)
    assert "Film the face from a shorter distance" in warning.message


class Shown:
    """A finder that knows the one face of each frame."""

    def __init__(self, points_at):
        self.points_at = points_at

    def everywhere(self, frame):
        points = self.points_at(frame.number)
        low, high = points.min(axis=0), points.max(axis=0)
        size = 1.8 * (high - low)
        return [SeenFace(np.concatenate([(low + high - size) / 2, size]), points.astype(float), 0.9)]

    def near(self, frame, matrix):
        return self.everywhere(frame)


@pytest.mark.parametrize(
    ("after", "tracks"),
    [
        (("shaded", 41002, (0, 0)), [(0, 13), (14, 27)]),
        (("portrait", 0, (5, -4)), [(0, 13), (14, 27)]),
        (("drawn", 41009, (0, 0)), [(0, 27)]),
        (("drawn", 41009, (6, 3)), [(0, 27)]),
    ],
)
def test_another_face_in_the_same_place_begins_another_track(rng, after, tracks):
    """A cut within one room, where most of the picture stays. The same face is followed, also if it jumps."""
    room = background(rng)
    shots = []
    for kind, person, (right, down) in (("drawn", 41009, (0, 0)), after):
        picture, _, points = make_pair(person, kind, Change(noise=0.0), Camera(face=150.0), draw=1)
        left, top = 200 + right, 70 + down
        shot = room.copy()
        shot[top : top + len(picture), left : left + len(picture)] = picture
        shots.append((shot, points + np.array([left, top])))
    frames = [Frame(film(shots[n >= 14][0], rng), f"frame {n}", n, n / 30) for n in range(28)]
    found = recording_curves(FrameStream("room", frames), Shown(lambda number: shots[number >= 14][1]))
    assert found.cuts == ()
    assert [(int(t.frames[0]), int(t.frames[-1])) for t in found.tracks] == tracks
    assert [t.segments for t in found.tracks] == [((0, last - first),) for first, last in tracks]
    assert [t.number for t in found.tracks] == list(range(len(tracks)))


def test_boxes_overlap():
    assert overlap((0, 0, 2, 2), (1, 1, 2, 2)) == pytest.approx(1 / 7)
    assert overlap((0, 0, 2, 2), (3, 0, 2, 2)) == 0
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
