"""Files of Phantom high-speed cameras (.cine): rows from the bottom up, 8 or 12 bits, numbers from the trigger."""

import struct

import numpy as np
import pytest

from htnet.core.errors import VideoError
from htnet.preprocess import VIDEO_READERS, list_videos, open_video
from htnet.preprocess.video.containers import file_flaw

RATE, COUNT, FIRST = 200, 12, -4
#: Offsets in the setup block, and what is written there: its mark and length, frames a second, version, bits, white.
FIELDS = {140: ("2s", b"ST"), 142: ("H", 12432), 768: ("I", RATE), 800: ("I", 800)}


def write_cine(path, frames, bits):
    """Uncompressed gray frames (n, height, width), by the published layout (Vision Research, Cine File Format)."""
    count, height, width = frames.shape
    stored = "<u1" if bits == 8 else "<u2"
    size = height * width * np.dtype(stored).itemsize
    setup = bytearray(12432)
    for offset, (kind, value) in {**FIELDS, 896: ("I", bits), 5736: ("i", 2**bits - 1)}.items():
        struct.pack_into("<" + kind, setup, offset, value)
    table = 84 + len(setup)
    head = struct.pack("<2sHHHiIiIIIIQ", b"CI", 44, 0, 1, FIRST, count, FIRST, count, 44, 84, table, 0)
    head += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8 if bits == 8 else 16, 0, size, 0, 0, 0, 0)
    places = struct.pack(f"<{count}q", *(table + 8 * count + k * (8 + size) for k in range(count)))
    images = (struct.pack("<II", 8, size) + frame[::-1].astype(stored).tobytes() for frame in frames)
    path.write_bytes(head + setup + places + b"".join(images))
    return path


@pytest.fixture
def gray(rng):
    """Frames of 8 bits, each different, none the same upside down."""
    return rng.integers(0, 256, (COUNT, 48, 64)).astype(np.uint16)


@pytest.mark.parametrize("reader", VIDEO_READERS)
@pytest.mark.parametrize("bits", [8, 12])
def test_frames_are_upright_and_have_their_gray_levels_and_times(tmp_path, gray, reader, bits):
    path = write_cine(tmp_path / "face.cine", gray << (bits - 8), bits)
    frames = list(open_video(path, reader=reader))
    assert [frame.number for frame in frames] == list(range(COUNT))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(COUNT) / RATE, atol=1e-6)
    for frame, expected in zip(frames, gray, strict=True):
        np.testing.assert_array_equal(frame.pixels, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("reader", VIDEO_READERS)
def test_a_file_that_is_cut_off_is_reported(tmp_path, gray, reader):
    path = write_cine(tmp_path / "face.cine", gray << 4, 12)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 5 * gray[0].size])  # two frames and a half
    with pytest.raises(VideoError, match="face.cine.*cut off.*to-frame 8"):
        list(open_video(path, reader=reader))


def test_wherever_a_file_is_cut_off_it_is_known_from_its_size(tmp_path, gray):
    path = write_cine(tmp_path / "face.cine", gray, 8)
    whole = path.read_bytes()
    assert file_flaw(path) == ""
    last = len(whole) - gray[0].size - 8
    for kept in (43, 84, 12516, last - 1, last + 3, last + 7, len(whole) - 1):
        path.write_bytes(whole[:kept])
        assert file_flaw(path).startswith(f"cut off ({kept} of at least "), kept
    path.write_bytes(whole + bytes(100))
    assert file_flaw(path) == ""


def test_opencv_verifies_it(tmp_path, gray):
    path = write_cine(tmp_path / "face.cine", gray, 8)
    assert [warning.code for warning in open_video(path, reader="opencv").warnings] == []


def test_it_is_found_in_a_folder_of_videos(tmp_path, gray):
    path = write_cine(tmp_path / "face.cine", gray, 8)
    assert list_videos([tmp_path]) == [str(path)]
