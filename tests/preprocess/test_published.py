"""Two frames to the published flow image, byte for byte, in Python and by ``python -m htnet.preprocess``."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import htnet
from htnet.core.errors import FlowError, FrameError, InputError, LandmarkError, SpecError
from htnet.core.types import Landmarks, PreprocessSpec
from htnet.preprocess import (
    Preprocessor,
    TemplateLandmarks,
    color_wheel,
    compute_flow,
    is_motionless,
    published_input,
    read_flow_image,
    write_flow_image,
)
from htnet.preprocess.__main__ import main
from tests.support.pairs import POINTS, face_pair, save
from tests.support.paths import COMPOSITE, needs_shared

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"
ONSET, APEX, MARKS = (SAMPLE / name for name in ("onset.png", "apex.png", "landmarks.json"))


@pytest.fixture
def pair(tmp_path):
    """Files of a cropped face that moves."""
    return tuple(save(tmp_path / f"{name}.png", f) for name, f in zip(("onset", "apex"), face_pair(), strict=True))


@pytest.fixture
def command(capsys):
    def command(*words):
        status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return command


def by_hand(uv, size=28):
    """(size, size, 3) BGR = (strain, v, u), from the formulas."""
    u, v = uv
    uy, ux = np.gradient(u)
    vy, vx = np.gradient(v)
    planes = []
    for plane in (np.sqrt(ux**2 + vy**2 + 0.5 * (uy + vx) ** 2), v, u):
        small = cv2.resize(plane, (size, size)).astype(float)
        planes.append(np.rint(255 * (small - small.min()) / (small.max() - small.min())))
    return np.stack(planes, axis=-1).astype(np.uint8)


def gray(path):
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


@pytest.mark.parametrize("method", ["tvl1", "farneback", "dis"])
def test_the_published_bytes_by_hand(pair, tmp_path, command, method):
    made = published_input(*pair, None, flow=method)
    color = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2GRAY) for path in pair]
    flow = compute_flow(*color, method)
    np.testing.assert_array_equal(made.flow.uv, flow.uv)
    expected = by_hand(flow.uv)
    np.testing.assert_array_equal(made.flow_image, expected)
    out = tmp_path / "new" / "flow.png"
    assert command(*pair, "--out", out, "--landmarks", "none", "--flow", method)[0] == 0
    stored = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert (stored.dtype, stored.shape) == (np.uint8, (28, 28, 3))
    np.testing.assert_array_equal(stored, made.flow_image)
    assert [(stored[..., k].min(), stored[..., k].max()) for k in range(3)] == [(0, 255)] * 3
    np.testing.assert_array_equal(made.image, stored.transpose(2, 0, 1))


def test_the_aligned_image_is_that_of_the_models(tmp_path, command):
    """What the one-liner writes is what a prediction from the same frames is made of."""
    expected = Preprocessor(PreprocessSpec()).pair(ONSET, APEX, MARKS)
    out, field, colors = tmp_path / "flow.png", tmp_path / "a" / "flow.npy", tmp_path / "b" / "wheel.png"
    status, shown, _ = command(ONSET, APEX, "--out", out, "--landmarks", MARKS, "--uv", field, "--color", colors)
    assert status == 0
    np.testing.assert_array_equal(cv2.imread(str(out)), expected.flow_image)
    np.testing.assert_array_equal(np.load(field), expected.flow.uv)
    np.testing.assert_array_equal(cv2.imread(str(colors))[..., ::-1], color_wheel(expected.flow.uv))
    length = np.hypot(*expected.flow.uv)
    assert f"mean {length.mean():.2f} px, largest {length.max():.2f} px" in shown
    for path in (out, field, colors):
        assert str(path) in shown
    assert "motionless" not in shown
    np.testing.assert_array_equal(by_hand(expected.flow.uv), expected.flow_image)


def test_landmarks_in_every_form(pair, tmp_path):
    wanted = published_input(*pair, POINTS, flow="dis").flow_image
    path = tmp_path / "points.json"
    path.write_text(json.dumps(POINTS.tolist()))
    for given in (POINTS.tolist(), Landmarks(POINTS, "x"), path, str(path), "template", TemplateLandmarks()):
        np.testing.assert_array_equal(published_input(*pair, given, flow="dis").flow_image, wanted)
    assert not np.array_equal(published_input(*pair, None, flow="dis").flow_image, wanted)


def test_settings_reach_the_image(pair, command, tmp_path):
    made = published_input(*pair, POINTS, flow="dis", size=56, face_size=112, resize="area", head_motion="nose")
    assert made.flow_image.shape == (56, 56, 3)
    assert made.flow.uv.shape == (2, 112, 112)
    out, field = tmp_path / "f.png", tmp_path / "f.npy"
    words = ("--landmarks", "template", "--flow", "dis", "--size", 56, "--head-motion", "nose", "--uv", field)
    assert command(*pair, "--out", out, *words)[0] == 0
    again = published_input(*pair, "template", flow="dis", size=56, head_motion="nose")
    np.testing.assert_array_equal(cv2.imread(str(out)), again.flow_image)
    np.testing.assert_array_equal(np.load(field), again.flow.uv)


def test_wrong_settings(pair):
    with pytest.raises(SpecError, match=r"Unknown setting of the published image: 'head_moton'.*'head_motion'"):
        published_input(*pair, None, head_moton="nose")
    for name in ("layout", "channels", "region_points"):  # they would not change the image
        with pytest.raises(SpecError, match=f"Unknown setting of the published image: {name!r}"):
            published_input(*pair, None, **{name: "whole"})
    with pytest.raises(SpecError, match=r"head_motion is 'nos'\. Did you mean 'nose'"):
        published_input(*pair, None, head_motion="nos")
    with pytest.raises(InputError, match=r"head_motion is 'eyes', but there are no landmarks.*give landmarks"):
        published_input(*pair, None, head_motion="eyes")
    with pytest.raises(InputError, match="Unknown landmarks: 'yunt'"):
        published_input(*pair, "yunt")


def test_motionless_frames_are_flagged_by_the_command(pair, tmp_path, command):
    out = tmp_path / "flow.png"
    status, shown, _ = command(pair[0], pair[0], "--out", out, "--landmarks", "none", "--color", tmp_path / "c.png")
    assert status == 0
    assert "motionless" in shown
    assert not cv2.imread(str(out)).any()
    assert (cv2.imread(str(tmp_path / "c.png")) == 255).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "flow.jpg"), "'flow.jpg'; give a name that ends in .png"),
        (("--out", "flow.png", "--uv", "flow.txt"), "--uv is 'flow.txt'"),
        (("--out", "flow.png", "--size", "27"), "size is 27; give an even"),
        (("--out", "flow.png", "--color", "wheel.nothing"), "'wheel.nothing'; give a name that ends in .png"),
        (("--out", "flow.png", "--head-motion", "nose"), "no landmarks to locate"),
    ],
)
def test_commands_that_are_refused(pair, tmp_path, command, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = command(*pair, "--landmarks", "none", "--flow", "dis", *words)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_files_that_are_missing(pair, tmp_path, command):
    out = tmp_path / "flow.png"
    status, shown, err = command(pair[0], tmp_path / "gone.png", "--out", out, "--landmarks", "none")
    assert (status, shown) == (2, "")
    assert "gone.png does not exist" in err
    status, _, err = command(*pair, "--out", out, "--landmarks", tmp_path / "gone.json")
    assert status == 2
    assert "gone.json does not exist" in err
    with pytest.raises(SystemExit, match="2"):
        main([*map(str, pair), "--out", str(out), "--flow", "tvl2"])
    assert not out.exists()


@pytest.mark.slow
def test_as_a_module(pair, tmp_path, warm_python):
    """As ``python -m htnet.preprocess``."""
    out = tmp_path / "flow.png"
    code = "import runpy; runpy.run_module('htnet.preprocess', run_name='__main__', alter_sys=True)"
    done = warm_python.run(code, *pair, "--out", out, "--landmarks", "none", "--flow", "dis")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(out) in done.stdout
    np.testing.assert_array_equal(read_flow_image(out), published_input(*pair, None, flow="dis").flow_image)


def test_written_images_are_read_back(tmp_path, rng):
    image = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
    path = write_flow_image(tmp_path / "new" / "006_1 .PNG", image)
    np.testing.assert_array_equal(read_flow_image(path), image)
    np.testing.assert_array_equal(cv2.imread(str(path)), image)
    for bad in (image[..., 0], image.astype(float), image[..., :2]):
        with pytest.raises(FlowError, match=r"give \(H, W, 3\) uint8"):
            write_flow_image(path, bad)
    for name in ("flow.jpg", "flow", "flow.png.jpg"):
        with pytest.raises(InputError, match=f"{name!r}; give a name that ends in .png"):
            write_flow_image(tmp_path / name, image)


def test_frames_and_points_that_cannot_be_used(pair):
    with pytest.raises(LandmarkError, match="shape"):
        published_input(*pair, POINTS[:4])
    with pytest.raises(FrameError, match="NoneType"):
        published_input(pair[0], None, None)


@needs_shared
def test_no_published_image_is_motionless(tmp_path, rng):
    paths = sorted((COMPOSITE / "STSNet_whole_norm_u_v_os").glob("*.png"))
    chosen = rng.choice(len(paths), 40, replace=False)
    for i in chosen:
        image = read_flow_image(paths[i])
        assert not is_motionless(image)
        np.testing.assert_array_equal(read_flow_image(write_flow_image(tmp_path / f"{i}.png", image)), image)
