import tracemalloc

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from htnet.core.errors import InputError, LandmarkError
from htnet.preprocess import compute_flow
from htnet.preprocess.landmarks.detector import YuNet
from htnet.synthesis import Portrait, RecordingConfig, generate_recording
from tests.support.paths import SHARED
from tests.support.seeds import next_rng
from tests.synthesis.support import STILL, first_of, still_recording

#: Eyes, tip of the nose and corners of the mouth of the portrait, px.
ASTRONAUT = [[203, 101], [246, 103], [223, 126], [203, 140], [244, 141]]
LARGE = {"sizes": ((480, 420, 1),), "face_size": (224.0, 224.0)}


def a_seed():
    return int(next_rng().integers(2**31))


def gray(rgb):
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def test_the_skin_moves_as_far_as_the_event_says():
    recording = still_recording(a_seed(), micro_rate=(20.0, 20.0), blink_rate=(10.0, 10.0), blink_skin=(0.0, 0.0))
    shown = [e for e in recording.events if e.kind in ("micro", "macro")]
    assert shown
    for event in shown:
        together = [e for e in shown if e is not event and e.start < event.peak < e.end]
        if not together:
            motion, _, _ = recording.skin_motion(event.apex)
            assert np.hypot(*motion).max() == pytest.approx(event.displacement, rel=0.02)
            assert not np.any(recording.skin_motion(event.onset)[0])


def test_points_move_in_the_picture_as_far_as_the_event_says():
    """Of a face of 224 px that looks ahead; the farthest point is searched for on the skin."""
    recording = still_recording(1, **LARGE, blink_skin=(0.0, 0.0), macro_rate=(0.0, 0.0), lean=(1.0, 1.0))
    event = first_of(recording, "micro")
    motion, xs, ys = recording.skin_motion(event.apex)
    row, column = np.unravel_index(np.hypot(*motion).argmax(), motion.shape[1:])
    rest = np.array([[xs[column] - motion[0, row, column], ys[row] - motion[1, row, column]]])
    before, after = (recording.where(rest, frame) for frame in (event.onset, event.apex))
    size = recording.tracks[0].size / 224
    assert np.hypot(*(after - before)[0]) / size == pytest.approx(event.displacement, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_estimator_finds_the_true_motion_in_the_frames(seed):
    recording = still_recording(
        seed, **LARGE, macro_rate=(0.0, 0.0), micro_weak=0.0, micro_strong_px=(2.0, 3.0), blink_rate=(2.0, 2.0)
    )
    events = [e for e in recording.events if e.kind == "micro"]
    blinks = [e for e in recording.events if e.kind == "blink"]
    event = next(e for e in events if not any(b.start < e.end and e.start < b.end for b in blinks))
    points = np.stack(np.meshgrid(np.arange(-70.0, 71, 7), np.arange(-45.0, 130, 7)), axis=-1).reshape(-1, 2)
    before, after = (recording.where(points, k) for k in (event.onset, event.apex))
    found = compute_flow(*(gray(recording.frame(k)) for k in (event.onset, event.apex))).uv
    true = (after - before).T
    at = np.round(before).astype(int)
    seen = found[:, at[:, 1], at[:, 0]]
    moving = np.hypot(*true) > 0.6
    assert moving.sum() >= 5
    assert np.hypot(*(seen - true))[moving].mean() < 0.4 * np.hypot(*true)[moving].mean()
    resting = np.hypot(*true) < 0.02
    assert np.hypot(*(seen - true))[resting].mean() < 0.1


def test_eyes_close():
    recording = still_recording(4, **LARGE, no_expression=1.0)
    event = first_of(recording, "blink")
    heights = []
    for frame in (event.onset, event.apex):
        points = recording.landmarks68(frame)
        heights.append(np.hypot(*(points[[37, 38, 43, 44]] - points[[41, 40, 47, 46]]).T))
    assert (heights[1] < 0.2 * heights[0]).all()
    # Lid instead of the dark iris: the middle of the eye becomes brighter or as bright as the lid above it.
    x, y = recording.landmarks(event.onset)[0]
    around = np.s_[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4]
    opened, closed = (recording.frame(k)[around].astype(float) for k in (event.onset, event.apex))
    assert closed.std() < 0.7 * opened.std()


def test_the_iris_moves_by_the_gaze():
    recording = still_recording(2, **LARGE, no_expression=1.0, gaze_rate=(30.0, 30.0), gaze_angle=(18.0, 18.0))
    blinks = [e for e in recording.events if e.kind == "blink"]
    event = next(
        e for e in recording.events if e.kind == "gaze" and not any(b.start < e.end and e.start < b.end for b in blinks)
    )
    way = recording.curves().gaze
    shift = (way[event.apex] - way[event.onset]) * recording.tracks[0].size / 224
    assert np.hypot(*shift) > 2
    x, y = recording.landmarks(event.onset)[0].round().astype(int)
    one, two = (255 - gray(recording.frame(k)).astype(np.float32) for k in (event.onset, event.apex))
    dark = one[y - 6 : y + 7, x - 7 : x + 8]
    response = cv2.matchTemplate(two[y - 16 : y + 17, x - 20 : x + 21], dark, cv2.TM_CCOEFF_NORMED)
    column = np.unravel_index(response.argmax(), response.shape)[1]
    assert np.sign(column - 13) == np.sign(round(shift[0])) or abs(shift[0]) < 1.5


def test_a_mouth_that_speaks_opens():
    recording = still_recording(6, **LARGE, no_expression=1.0, speech=1.0, mouth_opening=(9.0, 12.0))
    event = first_of(recording, "speech")
    gaps = [np.abs(np.diff(recording.landmarks68(k)[[62, 66], 1]))[0] for k in (event.onset, event.apex)]
    opening = recording.curves().mouth[event.apex]
    assert opening > 3
    # The jaw's own motion opens it further.
    assert 0.95 < (gaps[1] - gaps[0]) / (opening * recording.tracks[0].size / 224) < 1.7


def test_frames_are_the_same_in_any_order_and_number_of_threads():
    config = RecordingConfig(**(STILL | {"noise": (1.0, 1.0), "tonic": 0.3, "speech": 1.0}))
    one, two = (generate_recording(11, config) for _ in range(2))
    numbers = [250, 30, 31, 400, 30]
    before = cv2.getNumThreads()
    first = [one.frame(k) for k in numbers]
    try:
        cv2.setNumThreads(4)
        second = {k: two.frame(k) for k in sorted(numbers)}
    finally:
        cv2.setNumThreads(before)
    for number, frame in zip(numbers, first, strict=True):
        np.testing.assert_array_equal(frame, second[number])
    stream = one.frames()
    for _ in range(32):
        frame = next(stream)
    np.testing.assert_array_equal(frame, first[2])
    assert frame.shape == (240, 320, 3)
    assert frame.dtype == np.uint8
    assert not np.array_equal(generate_recording(12, config).frame(30), first[1])


@pytest.mark.parametrize(("fps", "mains"), [(30.0, 50.0), (25.0, 60.0), (60.0, 50.0)])
def test_flicker_beats_against_the_frame_rate(fps, mains):
    changes = {"rates": ((fps, 1),), "flicker": 1.0, "flicker_depth": (0.1, 0.1), "exposure": (0.05, 0.05)}
    seed = next(s for s in range(40) if still_recording(s, **changes, duration=(4.0, 4.0)).camera.flicker == 2 * mains)
    recording = still_recording(seed, **changes, no_expression=1.0)
    count = int(8 * fps)
    # A row of the background above the head: nothing but the light changes there.
    level = np.array([recording.camera.gain(k)[0] for k in range(count)])
    seen = np.array([recording.frame(k)[0].astype(float).mean() for k in range(int(fps))])
    spectrum = np.abs(np.fft.rfft(level - level.mean()))
    found = np.fft.rfftfreq(count, 1 / fps)[spectrum.argmax()]
    alias = abs(2 * mains - fps * round(2 * mains / fps))
    assert found == pytest.approx(alias, abs=0.13)
    assert np.corrcoef(seen, level[: len(seen)])[0, 1] > 0.95


def test_two_faces():
    recording = still_recording(3, layouts=(("two_faces", 1),), sizes=((640, 360, 1),))
    assert [track.number for track in recording.tracks] == [0, 1]
    assert {event.track for event in recording.events} == {0, 1}
    left, right = (recording.landmarks(10, track) for track in (0, 1))
    assert left[:, 0].max() < 320 < right[:, 0].min()
    assert recording.tracks[0].person != recording.tracks[1].person


@pytest.mark.parametrize("layout", ["cut_face", "cut_shot"])
def test_a_cut_shows_another_face_or_another_place(layout):
    recording = still_recording(3, layouts=((layout, 1),))
    one, two = recording.tracks
    assert (one.person == two.person) == (layout == "cut_shot")
    assert one.stop == two.start
    assert recording.landmarks(one.stop, 0) is None
    assert recording.landmarks(one.stop - 1, 1) is None
    before, after = (recording.frame(k).astype(float) for k in (one.stop - 1, one.stop))
    same = np.abs(recording.frame(one.stop - 2).astype(float) - before).mean()
    assert np.abs(before - after).mean() > 10 * same + 5
    assert np.isnan(recording.curves(0).eyes[one.stop :]).all()
    for event in recording.events:
        assert (event.offset < one.stop) == (event.track == 0)


def test_a_face_that_leaves_and_one_that_turns_away():
    gone = still_recording(3, layouts=(("leave", 1),))
    event = first_of(gone, "head", detail="leave")
    left, _, width, _ = gone.face_box(event.apex)
    assert left > gone.width or left + width < 0
    away = still_recording(3, layouts=(("away", 1),))
    turn = first_of(away, "head", detail="away")
    assert abs(away.curves().pose[turn.apex, 0]) >= 45
    for recording, one in ((gone, event), (away, turn)):
        visible = recording.curves().visible
        assert visible[one.onset]
        assert not visible[one.apex]
        assert visible[min(one.offset + 2, len(recording) - 1)]


def test_a_portrait_is_shown():
    portrait = Portrait(astronaut(), ASTRONAUT)
    config = RecordingConfig(**(STILL | LARGE))
    recording = generate_recording(5, config, portrait)
    assert recording.tracks[0].person is None
    assert recording.landmarks68(0) is None
    event = first_of(recording, "blink")
    x, y = recording.landmarks(event.onset)[1].round().astype(int)
    around = np.s_[y - 4 : y + 5, x - 4 : x + 5]
    opened, closed = (recording.frame(k)[around].astype(float) for k in (event.onset, event.apex))
    assert closed.mean() > opened.mean() + 10
    with pytest.raises(LandmarkError, match="12 px or more apart"):
        Portrait(astronaut(), [[9, 9], [5, 9], [7, 12], [5, 14], [9, 14]])


def test_what_is_not_there_is_refused():
    recording = still_recording(1)
    with pytest.raises(InputError, match="frame is 600; give 0 to 599"):
        recording.frame(600)
    with pytest.raises(InputError, match="track is 1; give 0 to 0"):
        recording.landmarks(0, 1)


@pytest.mark.slow
def test_the_face_detector_finds_drawn_faces():
    model = SHARED / "models" / "face_detection_yunet_2026may.onnx"
    if not model.is_file():
        pytest.skip("the shared YuNet model is not here")
    yunet, config = YuNet(model), RecordingConfig(duration=(8.0, 8.0), layouts=(("single", 1),), away_turn=(0.0, 0.0))
    found = total = 0
    for seed in range(1_050_000, 1_050_012):
        recording = generate_recording(seed, config)
        curves = recording.curves()
        frontal = np.flatnonzero(curves.visible & (np.abs(curves.pose[:, :2]) < 20).all(1))
        for number in frontal[:: max(1, len(frontal) // 4)][:4]:
            points = recording.landmarks(int(number))
            total += 1
            for row in yunet.faces(recording.frame(int(number))):
                miss = np.hypot(*(row[4:14].reshape(5, 2) - points).T) / np.hypot(*(points[1] - points[0]))
                if row[14] >= 0.6 and miss.mean() < 0.3:
                    found += 1
                    break
    assert total > 40
    assert found >= 0.99 * total


@pytest.mark.slow
def test_memory_stays_the_same_over_the_length():
    config = RecordingConfig(duration=(40.0, 40.0), rates=((25.0, 1),), sizes=((160, 120, 1),), face_size=(60.0, 60.0))
    recording = generate_recording(1, config)
    frames = recording.frames(compress=False)
    tracemalloc.start()
    for _ in range(100):
        next(frames)
    early = tracemalloc.get_traced_memory()[1]
    for _ in frames:
        pass
    late = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A frame has 58 kB; one held of thirty would be 1.7 MB.
    assert late < early + 1.5e6
