from dataclasses import replace

import numpy as np
import pytest

from htnet.core.errors import InputError
from htnet.recordings import CURVES, FEATURES, FrameStream, recording_curves
from htnet.recordings.faces import YuNetFaces
from htnet.recordings.follow import align
from htnet.recordings.recorder import smooth_looks
from htnet.recordings.track import oscillation
from tests.recordings.scenes import Face, Scene, field, portrait


def curves_of(scene, finder=None):
    return recording_curves(FrameStream("scene", scene, None), finder or scene.finder())


def only_track(scene, finder=None):
    (track,) = curves_of(scene, finder).tracks
    return track


def bump(time, at, width):
    """0 to 1 and back within ``width`` seconds about a moment."""
    return np.where(np.abs(time - at) < width / 2, (1 + np.cos(2 * np.pi * (time - at) / width)) / 2, 0.0)


def true_motion(face, unit, point):
    """Displacement of one of the five points for a peak of 1 px: u and v, px of a 224 px face."""
    x, y = np.rint(portrait()[1][point]).astype(int)
    return 2 * align(face.points())[:, :2] @ face.matrix()[:, :2] @ field(unit, 1.0)[:, y, x]


@pytest.mark.slow
@pytest.mark.parametrize(("peak", "within"), [(1.0, 0.2), (2.0, 0.15), (4.0, 0.15)])
def test_a_smile_moves_the_corners_of_the_mouth_by_the_true_px(rng, peak, within):
    def faces(time):
        return [Face(300 + 8 * np.sin(time), 180, unit="smile", peak=float(peak * bump(time, 1.2, 0.8)))]

    times = np.arange(60) / 30
    track = only_track(Scene(faces, times, rng))
    at = int(np.argmin(np.abs(times - 1.2)))
    for side in ("left", "right"):
        out, up = track.curves[f"{side}_mouth_corner_out"], track.curves[f"{side}_mouth_corner_up"]
        u, v = peak * true_motion(Face(300, 180), "smile", 3 if side == "left" else 4)
        length = np.hypot(out[at] - out[:15].mean(), up[at] - up[:15].mean())
        assert length == pytest.approx(np.hypot(u, v), rel=within)
        assert abs(int(np.argmax(up)) - at) <= 1
        assert up[:15].std() < 0.1
    assert np.abs(track.curves["left_brow"][at]) < 0.2, "the brows rest"


def test_a_blink_shows_in_the_eyes_and_not_in_the_brows(rng):
    def faces(time):
        return [Face(300, 180, closed=float(np.clip(2 * bump(time, 1.0, 0.3), 0, 1)))]

    times = np.arange(60) / 30
    track = only_track(Scene(faces, times, rng))
    at = int(np.argmin(np.abs(times - 1.0)))
    for side in ("left", "right"):
        opening, brow = track.curves[f"{side}_eye_opening"], track.curves[f"{side}_brow"]
        assert opening[at] < 0.5, "closed lids show the skin and the lashes"
        assert opening[:20].min() > 0.85
        assert opening[40:].min() > 0.85
        assert np.abs(brow).max() < 0.25
    assert np.abs(track.curves["left_mouth_corner_up"]).max() < 0.2


@pytest.mark.slow
def test_brows_move_without_closing_the_eyes(rng):
    def faces(time):
        return [Face(300, 180, unit="AU1+2+25", peak=float(3 * bump(time, 1.2, 0.8)))]

    times = np.arange(60) / 30
    track = only_track(Scene(faces, times, rng))
    at = int(np.argmin(np.abs(times - 1.2)))
    assert track.curves["left_brow"][at] > 0.5
    assert track.curves["left_eye_opening"].min() > 0.8


@pytest.mark.slow
def test_features_do_not_depend_on_the_frame_rate(rng):
    def faces(time):
        return [Face(300 + 15 * np.sin(2 * time), 180, peak=float(3 * bump(time, 1.2, 0.8)))]

    slow = only_track(Scene(faces, np.arange(50) / 25, rng))
    fast = only_track(Scene(faces, np.arange(200) / 100, rng))
    rows = np.searchsorted(fast.times, slow.times - 1e-6)
    for name in FEATURES:
        if "_mouth_corner" not in name or "strain" in name:
            continue
        one, other = slow.feature(name), fast.feature(name)[rows]
        both = np.isfinite(one) & np.isfinite(other)
        assert both.sum() > 30
        assert np.abs(one - other)[both].max() < 0.3, name
    assert np.abs(slow.curves["head_x"] - fast.curves["head_x"][rows]).max() < 1.5, "each first look has its own error"
    assert np.abs(slow.curves["head_speed"] - fast.curves["head_speed"][rows])[3:-3].max() < 8


@pytest.mark.slow
def test_speech_swings_the_mouth(rng):
    def faces(time):
        return [Face(300, 180, mouth=float(2 * np.sin(2 * np.pi * 4 * time)) if 1 < time < 2.5 else 0.0)]

    times = np.arange(105) / 30
    strength = only_track(Scene(faces, times, rng)).curves["mouth_oscillation"]
    assert strength[(times > 1.4) & (times < 2.1)].min() > 0.8
    assert strength[times < 0.4].max() < 0.2
    assert strength[times > 3.1].max() < 0.2


@pytest.mark.slow
def test_the_heads_motion_is_told_in_px_degrees_and_size(rng):
    def faces(time):
        return [Face(280 + 40 * time, 180 + 10 * time, 0.7 * (1 + 0.05 * time), degrees=4 * time)]

    times = np.arange(45) / 30
    track = only_track(Scene(faces, times, rng))
    curves, end = track.curves, times[-1]
    told = np.hypot(*(np.diff(faces(0.0)[0].points()[:2], axis=0)[0]))
    px = 224 * 12.3 / 28 / told  # px of a 224 px face in a px of the first frame
    assert curves["head_x"][-1] == pytest.approx(40 * end * px, rel=0.05)
    assert curves["head_roll"][-1] == pytest.approx(4 * end, abs=0.6)
    assert curves["head_size"][-1] == pytest.approx(1 + 0.05 * end, abs=0.01)
    assert np.median(curves["head_speed"]) == pytest.approx(np.hypot(40, 10) * px, rel=0.1)
    true = np.stack([faces(time)[0].points() for time in times])
    wrong = np.hypot(*np.moveaxis(track.points - true, -1, 0))
    assert wrong.mean() < 1.5, "the detector of the test is off by 1.4 px each time"
    jump = np.abs(np.diff(track.points - true, axis=0)).max()
    assert jump < 0.5, "and jumps by as much; the points do not"
    for name in ("left_brow", "right_mouth_corner_up", "mouth_opening"):
        assert np.abs(curves[name]).max() < 0.5, "the head's motion has no part in the face's"


def test_light_does_not_move_a_face(rng):
    scene = Scene(
        lambda time: [Face(300, 180)],
        np.arange(45) / 30,
        rng,
        gain=lambda time: 0.9 + 0.1 * np.sin(2 * np.pi * 3 * time),
    )
    curves = only_track(scene).curves
    assert np.ptp(curves["light"]) > 10
    assert max(np.abs(curves[name]).max() for name in CURVES if "brow" in name or "corner" in name) < 0.2


def test_repeated_frames_say_the_same_as_the_one_before(rng):
    times = np.arange(40) / 40
    frames = list(Scene(lambda time: [Face(300 + 30 * time, 180)], times[::2], rng))
    twice = [frame for frame in frames for _ in range(2)]
    twice = [replace(frame, number=number, time=times[number]) for number, frame in enumerate(twice)]
    finder = Scene(lambda time: [Face(300 + 30 * time, 180)], times, rng).finder()
    (track,) = recording_curves(FrameStream("twice", twice), finder).tracks
    assert len(track) == 40
    same = track.features[1::2, :20] == track.features[::2, :20]
    assert (same | np.isnan(track.features[1::2, :20])).all()


@pytest.mark.slow
def test_yunet_finds_the_same_curves(rng):
    def faces(time):
        return [Face(300, 180, degrees=10, peak=float(4 * bump(time, 0.8, 0.6)))]

    times = np.arange(45) / 30
    scene = Scene(faces, times, rng)
    seen = only_track(scene, YuNetFaces()).curves["left_mouth_corner_up"]
    known = only_track(Scene(faces, times, rng)).curves["left_mouth_corner_up"]
    assert np.abs((seen - seen[:6].mean()) - (known - known[:6].mean())).max() < 0.45
    assert abs(int(seen.argmax()) - 24) <= 1


def test_a_line_smooths_without_lag_and_bends_no_end(rng):
    times = np.arange(30) * 0.2
    straight = np.stack([2 * times + 1, -times], axis=1)
    assert smooth_looks(times, straight) == pytest.approx(straight)
    noisy = straight + rng.normal(0, 1, straight.shape)
    assert (smooth_looks(times, noisy) - straight).std() < 0.55
    assert smooth_looks(times[:1], straight[:1]) == pytest.approx(straight[:1])


def test_a_slope_is_no_oscillation_and_a_swing_is():
    times = np.arange(90) / 30
    assert oscillation((5 * times).astype(np.float32), times) == pytest.approx(0, abs=1e-3)
    swing = oscillation(np.sin(2 * np.pi * 4 * times).astype(np.float32), times)
    assert swing[30:60] == pytest.approx(np.sqrt(0.5), rel=0.1)


def test_unknown_features_are_refused(rng):
    track = only_track(Scene(lambda time: [Face(300, 180)], np.arange(12) / 30, rng))
    with pytest.raises(InputError, match="Unknown feature: 'left_brow_z'"):
        track.feature("left_brow_z")
    assert track.features.shape == (12, len(FEATURES))
    assert track.regions().shape == (12, 3)
    assert set(track.curves) == set(CURVES)
    assert portrait()[0].dtype == np.float32
