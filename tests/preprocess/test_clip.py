import dataclasses
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from benchmarks.clips import random_clip
from htnet.core.errors import FrameError, InputError, LandmarkError, SpecError, VideoError
from htnet.core.types import Frame, Landmarks, PreprocessSpec
from htnet.preprocess import (
    FACE_REGIONS,
    Preprocessor,
    clahe,
    compute_flow,
    displace,
    fit_alignment,
    hoof,
    motion_features,
    open_video,
    published_input,
    temporal_interpolation,
    to_gray,
)
from tests.support.pairs import POINTS, SIDE, face, save

QUICK = PreprocessSpec(face_size=64, flow="dis", flow_parameters=(("finest_scale", 0.0),))


def smile(course, side=SIDE):
    """Frames of the portrait, mouth corners drawn out and up by ``course`` px."""
    y, x = np.mgrid[:side, :side] / side
    field = np.zeros((2, side, side))
    for cx, cy, dx, dy in ((0.32, 0.73, -1, -1), (0.68, 0.73, 1, -1)):
        bump = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.02)
        field += np.stack([dx * bump, dy * bump])
    return [displace(face(side), field * px) if px else face(side) for px in course]


# ---- temporal interpolation ----


@pytest.mark.parametrize(("length", "count"), [(5, 16), (16, 16), (40, 16), (7, 1), (1, 4), (2, 3)])
@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_interpolation_equals_numpy_along_every_track(length, count, shape, rng):
    values = rng.normal(size=(length, *shape))
    found = temporal_interpolation(values, count)
    at = np.linspace(0, length - 1, count)
    tracks = values.reshape(length, -1)
    expected = np.stack([np.interp(at, np.arange(length), track) for track in tracks.T], axis=1)
    np.testing.assert_allclose(found, expected.reshape(count, *shape), atol=1e-12)
    np.testing.assert_array_equal(found, temporal_interpolation(torch.from_numpy(values), count).numpy())


def test_interpolation_keeps_ends_and_kinds(rng):
    values = rng.integers(0, 256, (5, 3, 3), dtype=np.uint8)
    found = temporal_interpolation(values, 9)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[::2], values)
    np.testing.assert_array_equal(found[1], (values[0].astype(float) + values[1]) / 2)
    assert temporal_interpolation(torch.from_numpy(values), 9).dtype == torch.float32
    slope = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    temporal_interpolation(slope, 16).sum().backward()
    torch.testing.assert_close(slope.grad.sum(), torch.tensor(32.0, dtype=torch.float64))


@pytest.mark.parametrize("count", [0, -1, 2.0, True])
def test_impossible_counts(count):
    with pytest.raises(InputError, match=f"count is {count!r}"):
        temporal_interpolation(np.zeros((3, 2)), count)
    with pytest.raises(InputError, match=r"no frames to interpolate: the shape is \(0, 2\)"):
        temporal_interpolation(np.zeros((0, 2)), 4)


# ---- motion features ----


def by_hand(frames, points, spec):
    """The definition, step by step: align, gray, blend, flow from the first, histograms at the template."""
    alignment = fit_alignment(Landmarks(points, "test"), template=spec.template, size=spec.face_size)
    grays = [to_gray(alignment.warp(Frame(f))).astype(float) for f in frames]
    rows = []
    for i in range(spec.clip_frames):
        at = i * (len(grays) - 1) / (spec.clip_frames - 1)
        k = min(int(at), len(grays) - 2)
        moment = np.rint(grays[k] * (1 - (at - k)) + grays[k + 1] * (at - k)).astype(np.uint8)
        uv = compute_flow(grays[0].astype(np.uint8), moment, spec.flow, spec.flow_parameters).uv
        boxes = []
        for name in (0, 1, 3, 4):
            x, y = np.rint(np.array(spec.template[name]) * spec.face_size / 28).astype(int) - spec.face_size // 4
            x, y = (min(max(v, 0), spec.face_size // 2) for v in (int(x), int(y)))
            boxes.append((x, y, x + spec.face_size // 2, y + spec.face_size // 2))
        rows.append(np.concatenate([hoof(uv.astype(float), regions=[box]) for box in boxes]))
    return np.stack(rows)


@pytest.mark.parametrize(
    ("frames", "count"), [(5, 16), *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in ((16, 16), (9, 5)))]
)
def test_features_equal_the_definition(frames, count, rng):
    course = rng.uniform(0.5, 2) * np.linspace(0, 1, frames)
    clip = smile(course)
    spec = dataclasses.replace(QUICK, clip_frames=count)
    found = motion_features(clip, POINTS, spec)
    assert (found.shape, found.dtype) == ((count, 64), np.float32)
    # Blends that lie at a half may round either way.
    np.testing.assert_allclose(found, by_hand(clip, POINTS, spec), atol=0.02)
    sums = found.reshape(count, 4, 16).sum(-1)
    np.testing.assert_array_equal(sums[0], 0)
    np.testing.assert_allclose(sums[1:], 1, atol=1e-5)


def test_features_say_where_the_face_moves():
    """Corners of the mouth go out and up: in the image's left half up-left, in the right half up-right."""
    found = motion_features(smile(np.linspace(0, 2, 12)), POINTS, QUICK)[-1].reshape(4, 16)
    angle = {name: found[i] @ np.exp(2j * np.pi * np.arange(16) / 16) for i, name in enumerate(FACE_REGIONS)}
    left, right = angle["left_mouth"], angle["right_mouth"]
    assert left.real < 0 < right.real
    assert left.imag < 0 and right.imag < 0, "v is positive downward"  # noqa: PT018


@pytest.mark.slow
def test_features_of_a_known_clip_hardly_depend_on_the_frame_rate():
    """All frames or every third: the same motion since the onset, though from frame to frame three times as far."""
    clip = random_clip(3)
    spec = PreprocessSpec(flow="dis")
    frames = list(islice(clip.rgb(), clip.onset, clip.apex + 1))
    frames = frames[: (len(frames) - 1) // 3 * 3 + 1]
    full, sparse = (motion_features(f, clip.points, spec)[8:] for f in (frames, frames[::3]))
    other = motion_features(frames[::-1], clip.points, spec)[8:]
    assert np.abs(full - sparse).sum() < 0.5 * np.abs(full - other).sum()


def test_still_clips_have_no_features():
    found = motion_features([face()] * 5, POINTS, QUICK)
    assert found.shape == (16, 64)
    assert not found.any()


def test_settings_of_the_spec_are_used():
    clip = smile(np.linspace(0, 1.5, 6))
    plain = motion_features(clip, POINTS, QUICK)
    own = POINTS + np.array([[4, 4], [4, 4], [4, 4], [4, 4], [-4, -12]])
    for changes, points in (
        ({"head_motion": "nose"}, POINTS),
        ({"clahe": True}, POINTS),
        ({"flow": "farneback", "flow_parameters": ()}, POINTS),
        ({"template": tuple((x + 1, y) for x, y in QUICK.template)}, POINTS),
    ):
        changed = motion_features(clip, points, dataclasses.replace(QUICK, **changes))
        assert np.abs(changed - plain).max() > 1e-3, changes
    at_points, at_template = (
        motion_features(clip, own, dataclasses.replace(QUICK, region_points=where))
        for where in ("landmarks", "template")
    )
    assert np.abs(at_points - at_template).max() > 1e-3


def test_every_way_to_give_a_clip(tmp_path):
    clip = smile(np.linspace(0, 1.5, 5))
    expected = motion_features(clip, POINTS, QUICK)
    for i, frame in enumerate(clip):
        save(tmp_path / "clip" / f"{i}.png", frame)

    def landmarker(frame, sample=""):
        assert sample == "s1"
        assert frame.number in (None, 0) and np.array_equal(frame.pixels, clip[0])  # noqa: PT018
        return Landmarks(POINTS, "test")

    for source in (tmp_path / "clip", open_video(tmp_path / "clip"), iter(clip), np.stack(clip)):
        np.testing.assert_array_equal(motion_features(source, landmarker, QUICK, sample="s1"), expected)


def test_clips_that_cannot_be_used():
    with pytest.raises(VideoError, match="no frames"):
        motion_features([], POINTS, QUICK)
    with pytest.raises(VideoError, match=r"one frame \(array\); give two or more"):
        motion_features([face()], POINTS, QUICK)
    with pytest.raises(FrameError, match=r"Frame 1 .*80x80 px, but the first .* 64x64"):
        motion_features([face(), face(80)], POINTS, QUICK)
    with pytest.raises(LandmarkError, match="far outside"):
        motion_features([face(), face()], POINTS + 60, QUICK)
    with pytest.raises(SpecError, match="clip_frames is 0.*Give 2 or more"):
        motion_features([face(), face()], POINTS, dataclasses.replace(QUICK, clip_frames=0))
    with pytest.raises(LandmarkError, match="not numbers"):
        motion_features([face(), face()], [["a"]], QUICK)


# ---- contrast ----


def clahe_by_hand(gray, clip=2.0, tiles=8):
    """Tile by tile: clipped histogram, its sum as a table; pixel by pixel: four tables blended (Zuiderveld 1994)."""
    step = gray.shape[0] // tiles
    tables = np.empty((tiles, tiles, 256))
    limit = max(int(clip * step * step / 256), 1)
    for i in range(tiles):
        for j in range(tiles):
            counts = np.bincount(gray[i * step : (i + 1) * step, j * step : (j + 1) * step].ravel(), minlength=256)
            over = np.maximum(counts - limit, 0).sum()
            counts = np.minimum(counts, limit) + over // 256
            left = over % 256
            if left:
                counts[np.arange(0, 256, max(256 // left, 1))[:left]] += 1
            tables[i, j] = np.rint(counts.cumsum() * 255 / (step * step)).clip(0, 255)
    out = np.empty(gray.shape)
    for y in range(gray.shape[0]):
        for x in range(gray.shape[1]):
            fy, fx = y / step - 0.5, x / step - 0.5
            i, j = int(np.floor(fy)), int(np.floor(fx))
            a, b = fy - i, fx - j
            i0, i1, j0, j1 = (min(max(k, 0), tiles - 1) for k in (i, i + 1, j, j + 1))
            t = tables[:, :, gray[y, x]]
            out[y, x] = (1 - a) * ((1 - b) * t[i0, j0] + b * t[i0, j1]) + a * ((1 - b) * t[i1, j0] + b * t[i1, j1])
    return out


def test_clahe_equals_the_method(rng):
    gray = cv2.cvtColor(face(96), cv2.COLOR_RGB2GRAY)
    gray = (gray * rng.uniform(0.4, 0.9)).astype(np.uint8)
    found = clahe(gray)
    assert (found.dtype, found.shape) == (np.uint8, gray.shape)
    np.testing.assert_allclose(found, clahe_by_hand(gray), atol=1)
    assert found.std() > gray.std()


def test_clahe_takes_any_side_of_a_face():
    for side in (16, 28, 100):
        assert clahe(np.full((side, side), 90, np.uint8)).shape == (side, side)


def test_clahe_is_applied_before_flow():
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    dark = np.rint(face() * 0.25).astype(np.uint8)
    pair = dark, displace(dark, np.stack([np.exp(-((x - 0.3) ** 2 + (y - 0.7) ** 2) / 0.02), 0 * x]))
    spec = dataclasses.replace(QUICK, clahe=True)
    made = Preprocessor(spec).pair(*pair, POINTS)
    alignment = fit_alignment(Landmarks(POINTS, "test"), size=spec.face_size)
    grays = [clahe(to_gray(alignment.warp(Frame(f)))) for f in pair]
    np.testing.assert_array_equal(made.flow.uv, compute_flow(*grays, spec.flow, spec.flow_parameters).uv)
    assert not np.array_equal(made.flow.uv, Preprocessor(QUICK).pair(*pair, POINTS).flow.uv)
    settings = {"flow": "dis", "flow_parameters": spec.flow_parameters}
    whole = published_input(*pair, None, clahe=True, **settings)
    bare = [clahe(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY)) for f in pair]
    np.testing.assert_array_equal(whole.flow.uv, compute_flow(*bare, spec.flow, spec.flow_parameters).uv)


# ---- the spec ----


def test_specs_from_before_the_fields_were_added():
    old = PreprocessSpec().to_dict()
    assert (old.pop("clahe"), old.pop("clip_frames")) == (False, 16)
    assert PreprocessSpec.from_dict(old) == PreprocessSpec()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clahe": 1}, "clahe is 1; give True or False"),
        ({"clahe": "yes"}, "clahe is 'yes'"),
        ({"clip_frames": 1}, "clip_frames is 1; give a whole number from 2 to 4096, or 0"),
        ({"clip_frames": True}, "clip_frames is True"),
        ({"clip_frames": 16.0}, "clip_frames is 16.0"),
        ({"clip_frame": 16}, "Unknown preprocessing field: 'clip_frame'.*'clip_frames'"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(SpecError, match=message):
        PreprocessSpec.from_dict(settings)


def test_clip_frames_are_no_setting_of_the_published_image():
    with pytest.raises(SpecError, match="clip_frames"):
        published_input(face(), face(), None, clip_frames=8)
