"""One frame that was saved twice is told from two frames with a small motion between them."""

import cv2
import numpy as np
import pytest

from htnet.preprocess import read_frame
from htnet.preprocess.flow.warp import displace
from htnet.preprocess.resaved import saved_again
from tests.support.pairs import face, save

FACE = face(160)
QUALITIES = (100, 95, 75, 40)
SAMPLINGS = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


def jpeg(path, rgb, quality, sampling=SAMPLINGS[0]):
    how = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    path.write_bytes(cv2.imencode(".jpg", rgb[..., ::-1], how)[1].tobytes())
    return path


def told(one, two):
    return saved_again(one, two, read_frame(one), read_frame(two))


def moved(pixels, width):
    """The face with one mouth corner drawn out and up; ``width``: of the part that moves."""
    y, x = np.mgrid[:160, :160] / 160
    spot = np.exp(-((x - 0.35) ** 2 + (y - 0.72) ** 2) / width)
    return displace(FACE, np.stack([-pixels * spot, -pixels * spot]))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_frame_and_its_jpeg_are_one(tmp_path, sampling):
    png = save(tmp_path / "a.png", FACE)
    for quality in QUALITIES:
        once = jpeg(tmp_path / "b.jpg", FACE, quality, sampling)
        assert told(png, once)
        assert told(once, png)
        for again in QUALITIES:
            twice = jpeg(tmp_path / "c.jpg", read_frame(once).pixels, again, sampling)
            assert told(once, twice), (quality, again)
            assert told(twice, once), (quality, again)


@pytest.mark.parametrize("width", [0.02, 0.003])
@pytest.mark.parametrize("pixels", [0.1, 0.3, 1.0])
def test_a_micro_expression_is_not(tmp_path, pixels, width):
    png = save(tmp_path / "a.png", FACE)
    for quality in QUALITIES:
        apex = jpeg(tmp_path / "b.jpg", moved(pixels, width), quality)
        assert not told(png, apex)
        assert not told(jpeg(tmp_path / "c.jpg", FACE, quality), apex)
        assert not told(jpeg(tmp_path / "c.jpg", FACE, 90), apex)
    assert not told(png, save(tmp_path / "d.png", moved(pixels, width)))


def test_frames_with_the_noise_of_a_camera_are_two(tmp_path):
    rng = np.random.default_rng(5)
    frames = [(FACE + rng.normal(0, 1, (160, 160, 3))).clip(0, 255).astype(np.uint8) for _ in range(2)]
    assert not told(jpeg(tmp_path / "a.jpg", frames[0], 95), jpeg(tmp_path / "b.jpg", frames[1], 95))


@pytest.mark.parametrize("damage", [b"", b"\xff\xd8", b"\xff\xd8\xff\xdb\x00", b"\xff\xd8\xff\xdb\x00\x03\x00\xff\xda"])
def test_headers_without_tables_tell_nothing(tmp_path, damage):
    png, other = save(tmp_path / "a.png", FACE), tmp_path / "b.jpg"
    other.write_bytes(damage)
    noisy = read_frame(moved(0.3, 0.02))
    assert not saved_again(png, other, read_frame(png), noisy)
    assert not saved_again(FACE, moved(0.3, 0.02), read_frame(FACE), noisy)
