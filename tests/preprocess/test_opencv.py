"""Two OpenCV builds in one environment are told apart from one."""

import hashlib
import importlib.metadata
import re
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import htnet
from htnet.core.errors import OpenCVError
from htnet.core.types import Frame
from htnet.preprocess import FaceAlignmentLandmarker, YuNetLandmarker, read_frame
from htnet.preprocess.opencv import OLDEST, OPENCV_BUILDS, OUR_BUILD, installed_opencv, load_opencv, warn_of_collision
from tests.preprocess.test_landmarks import stub_face_alignment

PORTRAIT = Path(htnet.__file__).parent / "assets" / "sample" / "onset.png"
FRAME = Frame(np.zeros((32, 32, 3), np.uint8))


def install(folder, name, version):
    """What pip leaves of a distribution, without its files."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def only(tmp_path, monkeypatch):
    """Makes the given distributions the only OpenCV builds that are installed."""

    def make(**versions):
        for name, version in versions.items():
            install(tmp_path, name.replace("_", "-"), version)
        real = importlib.metadata.version

        def version(name):
            if name in OPENCV_BUILDS and name.replace("-", "_") not in versions:
                raise importlib.metadata.PackageNotFoundError(name)
            return real(name)

        monkeypatch.setattr(importlib.metadata, "version", version)
        monkeypatch.syspath_prepend(tmp_path)

    return make


def test_builds_are_found_by_what_pip_left(only):
    only(opencv_python="4.9.0.80", opencv_contrib_python_headless="4.8.1.78")
    assert installed_opencv() == {"opencv-python": "4.9.0.80", "opencv-contrib-python-headless": "4.8.1.78"}


def test_this_environments_build_is_among_them():
    assert installed_opencv()


def test_one_build_is_no_collision(only, monkeypatch):
    only(opencv_python_headless="5.0.0.93")
    stub_face_alignment(monkeypatch, [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FaceAlignmentLandmarker()


def test_two_builds_are_warned_of_with_the_commands_that_mend_it(only, monkeypatch):
    only(opencv_python="5.0.0.93", opencv_python_headless="4.10.0.84")
    stub_face_alignment(monkeypatch, [])
    with pytest.warns(UserWarning, match="FaceAlignmentLandmarker: two builds") as caught:
        FaceAlignmentLandmarker()
    message = str(caught[0].message)
    assert "opencv-python-headless 4.10.0.84, opencv-python 5.0.0.93" in message
    assert "pip uninstall --yes opencv-python-headless opencv-python, then " in message
    assert message.endswith("pip install 'opencv-python-headless>=4.10.0.84'")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "use", [FaceAlignmentLandmarker, lambda: YuNetLandmarker(__file__)(FRAME), lambda: read_frame(PORTRAIT)]
)
def test_an_opencv_that_cannot_be_imported_is_a_typed_error(only, monkeypatch, use):
    only(opencv_python="5.0.0.93", opencv_python_headless="5.0.0.93")
    stub_face_alignment(monkeypatch, [])
    monkeypatch.setattr("htnet.preprocess.landmarks.detector.YUNET_SHA256", {"x": _hash_of_this_file()})
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(OpenCVError, match=r"cannot be imported .*opencv-python 5\.0\.0\.93.*pip uninstall --yes"):
        use()


def test_an_opencv_with_parts_missing_is_a_typed_error(only, monkeypatch):
    only(opencv_contrib_python="4.5.1.48")
    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(__version__="4.5.1"))
    with pytest.raises(
        OpenCVError, match=r"version 4\.5\.1\) lacks FaceDetectorYN\. .*uninstall --yes opencv-contrib-python, then"
    ):
        load_opencv("FaceDetectorYN")


@pytest.mark.parametrize("version", ["4.8.1", "4.9.0-dev", "3.4.18"])
def test_an_opencv_older_than_declared_is_a_typed_error(only, monkeypatch, version):
    only(opencv_python=f"{version}.78")
    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(__version__=version))
    with pytest.raises(OpenCVError, match=rf"is version {re.escape(version)}; htnet needs 4\.10\.0\.84 or newer"):
        load_opencv()


def test_the_oldest_opencv_is_the_declared_one():
    text = (Path(htnet.__file__).parents[1] / "pyproject.toml").read_text("utf-8")
    assert f'"{OUR_BUILD}>={OLDEST}"' in text


def test_without_any_build_there_is_nothing_to_remove(only, monkeypatch):
    only()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(
        OpenCVError, match=r"no OpenCV distribution\. .*too: pip install 'opencv-python-headless>=4\.10\.0\.84'$"
    ):
        warn_of_collision("Anything")


def _hash_of_this_file():
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def test_pictures_are_warped_as_this_release_is_known_to(rng):
    """OpenCV 4 rounds places to 1/32 px, OpenCV 5 does not: docs/trust.md, "Versions". A third way would be news."""
    cv2 = load_opencv()
    picture = cv2.GaussianBlur(rng.uniform(0, 255, (96, 96)).astype(np.float32), (0, 0), 1.0)
    turn = cv2.getRotationMatrix2D((48.3, 47.8), 7.3, 0.8)
    back = cv2.invertAffineTransform(turn)
    at = back[:, :2] @ np.stack(np.meshgrid(np.arange(64), np.arange(64))).reshape(2, -1) + back[:, 2:]
    exact = map_coordinates(picture.astype(np.float64), at[::-1], order=1, mode="nearest").reshape(64, 64)
    inside = ((at >= 1) & (at <= 94)).all(axis=0).reshape(64, 64)
    apart = np.abs(cv2.warpAffine(picture, turn, (64, 64), flags=cv2.INTER_LINEAR) - exact)[inside]
    steepest = max(np.abs(np.diff(picture, axis=axis)).max() for axis in (0, 1))
    if int(cv2.__version__.split(".")[0]) >= 5:
        assert apart.max() < 0.01
    else:
        assert 0.01 < apart.max() <= 2 * steepest / 32
