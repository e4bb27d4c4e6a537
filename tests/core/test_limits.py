"""What files may ask for is limited, and looked at before memory is spent. The files here only state large numbers."""

import hashlib
import json
import os
import struct
import tracemalloc
import zipfile
import zlib

import cv2
import numpy as np
import pytest

import htnet
from htnet.core.errors import HtnetError, LimitError, ManifestError
from htnet.core.limits import (
    FILE_BYTES,
    LIMITS,
    NESTING,
    check_archive,
    check_safetensors,
    parse_json,
    read_file,
    sha256_of,
)
from htnet.data import Sample, read_manifest
from htnet.data.datasets.sheets import read_sheet
from htnet.data.prepare.keys import source_key
from htnet.hub import load_pretrained, save_pretrained
from htnet.models.converters.convert import converted_checkpoint
from htnet.preprocess import open_video, read_flow_image, read_frame
from htnet.preprocess.depth import stated_white
from htnet.preprocess.pictures import picture_size
from htnet.preprocess.video.readers import Header, PyAVReader, Shot
from htnet.recordings import recording_stream
from htnet.recordings.table import read_curves
from htnet.types import PreprocessSpec
from tests.support.pairs import face, save, tiny_model
from tests.support.paths import ROOT
from tests.support.videos import numbered_video


def png_of(width, height):
    """A picture whose header alone is large."""
    head = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    parts = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_pixels_of_a_picture(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    path.write_bytes(png_of(30_000, 30_000))
    with pytest.raises(LimitError, match=r"large.png has 900000000 pixels, .*set the .* HTNET_MAX_PICTURE_PIXELS"):
        read_frame(path)


#: Kinds of picture files whose size is known before they are decoded, and some that only OpenCV can read.
ENDINGS = (".png", ".jpg", ".bmp", ".webp", ".tiff", ".pgm", ".ppm", ".gif", ".ras", ".pfm")


def encoded(ending, image):
    if ending in (".pgm", ".pfm"):
        image = image[..., 0].astype(np.float32 if ending == ".pfm" else np.uint8)
    try:
        return cv2.imencode(ending, image)[1].tobytes()
    except cv2.error:  # OpenCV 4.10 writes no GIF
        return None


@pytest.mark.parametrize("ending", ENDINGS)
def test_pixels_are_limited_in_every_kind_of_picture(ending, tmp_path, monkeypatch):
    image = np.dstack([np.tile(np.arange(40, dtype=np.uint8) * 6, (48, 1))] * 3)
    data = encoded(ending, image)
    if data is None:
        pytest.skip("this OpenCV does not write it")
    path = tmp_path / f"small{ending}"
    path.write_bytes(data)
    assert picture_size(data) == (None if ending in (".ras", ".pfm") else (40, 48))
    for at in range(2, 40):
        picture_size(data[:at])  # cut off headers say nothing, and are no error
    monkeypatch.setenv("HTNET_MAX_PICTURE_PIXELS", "1919")
    for read in (read_frame, read_flow_image, lambda path: read_frame(path.read_bytes())):
        with pytest.raises(LimitError, match="has 1920 pixels, more than the limit of 1919"):
            read(path)
    monkeypatch.setenv("HTNET_MAX_PICTURE_PIXELS", "1920")
    if ending != ".pfm":  # of other values than 0 to 1
        assert read_frame(path).size == (48, 40)


def test_other_headers_of_pictures():
    old = b"BM" + bytes(12) + struct.pack("<IHH", 12, 7, 9)
    assert picture_size(old) == (7, 9)
    assert picture_size(b"BM" + bytes(12) + struct.pack("<Iii", 40, 7, -9)) == (7, 9), "stored from the top"
    extended = b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + (6).to_bytes(3, "little") + (8).to_bytes(3, "little")
    assert picture_size(extended) == (7, 9)
    assert picture_size(b"RIFF" + bytes(4) + b"WEBPVP8 " + bytes(10) + struct.pack("<HH", 7, 9)) == (7, 9)
    assert picture_size(b"RIFF" + bytes(4) + b"WEBPxxxx" + bytes(20)) is None
    tag = struct.Struct(">HHQQ")
    tags = tag.pack(256, 3, 1, 7 << 48) + tag.pack(257, 4, 1, 9 << 32)
    assert picture_size(b"MM\0+" + struct.pack(">HHQQ", 8, 0, 16, 2) + tags) == (7, 9), "BigTIFF"
    assert picture_size(b"P4 # a remark\n7\n9\n") == (7, 9)
    for data in (b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x04xx\x00", b"BM", b"II*\0", b"no picture"):
        assert picture_size(data) is None


def test_blanks_in_a_header_take_no_time():
    """Each blank doubled the time: 30 of them took a minute."""
    assert stated_white(b"P5" + b" " * 4000 + b"x") is picture_size(b"P5" + b" " * 4000 + b"x") is None


def test_an_open_file_that_does_not_end(monkeypatch):
    monkeypatch.setenv("HTNET_MAX_FILE_BYTES", "1000")
    with open("/dev/zero", "rb") as file, pytest.raises(LimitError, match="/dev/zero has 1001 bytes or more"):
        read_frame(file)


def test_pixels_of_a_flow_image(tmp_path):
    """Also above what OpenCV itself reads, which it tells by an error of its own."""
    for side in (15_000, 40_000):
        path = tmp_path / f"{side}.png"
        path.write_bytes(png_of(side, side))
        with pytest.raises(
            LimitError, match=rf"{side}.png has {side**2} pixels, .*set the .* HTNET_MAX_PICTURE_PIXELS"
        ):
            read_flow_image(path, 28)


def test_frames_of_a_recording(tmp_path, monkeypatch):
    path = numbered_video(tmp_path / "v.avi", 5)
    monkeypatch.setenv("HTNET_MAX_VIDEO_FRAMES", "4")
    with pytest.raises(LimitError, match="has 5 frames or more, more than the limit of 4"):
        htnet.analyze(path)


def test_a_limit_condemns_no_weights(monkeypatch):
    monkeypatch.setenv("HTNET_MAX_NESTING", "1")
    with pytest.raises(LimitError, match="HTNET_MAX_NESTING") as told:
        load_pretrained("synthetic")
    assert "Delete" not in str(told.value)


@pytest.mark.parametrize("reader", ["pyav", "opencv"])
def test_frames_of_a_video_and_their_pixels(tmp_path, monkeypatch, reader):
    path = numbered_video(tmp_path / "v.avi", 5)
    monkeypatch.setenv("HTNET_MAX_VIDEO_FRAMES", "4")
    seen = []
    with pytest.raises(LimitError, match="has 5 frames or more, more than the limit of 4"):
        seen.extend(open_video(path, reader=reader))
    assert len(seen) == 4
    monkeypatch.setenv("HTNET_MAX_PICTURE_PIXELS", "100")
    with pytest.raises(LimitError, match="A frame of .*v.avi has 12288 pixels"):
        open_video(path, reader=reader)


@pytest.mark.parametrize("read", [open_video, recording_stream], ids=["frames", "recording"])
def test_a_video_whose_later_frames_are_larger(read, tmp_path, monkeypatch):
    """The header tells the size of the first frame alone."""
    path = numbered_video(tmp_path / "v.avi", 3)
    small, large = np.zeros((32, 32, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    monkeypatch.setattr(PyAVReader, "shots", lambda *given: (Shot(p, i / 25) for i, p in enumerate([small, large])))
    monkeypatch.setattr(PyAVReader, "header", lambda *given: Header(25.0, None))
    monkeypatch.setenv("HTNET_MAX_PICTURE_PIXELS", "2000")
    seen = []
    with pytest.raises(LimitError, match=r"Frame 1 of .*v.avi has 4096 pixels"):
        seen.extend(read(path))
    assert len(seen) == 1


def test_images_of_a_folder(tmp_path, monkeypatch):
    for number in range(3):
        save(tmp_path / f"{number}.png", face(48))
    monkeypatch.setenv("HTNET_MAX_VIDEO_FRAMES", "2")
    with pytest.raises(LimitError, match="has 3 frames"):
        open_video(tmp_path)


def test_header_of_a_safetensors_file(tmp_path, monkeypatch):
    model = tiny_model()
    folder = save_pretrained(model, tmp_path / "weights")
    path = folder / "model.safetensors"
    check_safetensors(path)
    monkeypatch.setenv("HTNET_MAX_SAFETENSORS_HEADER_BYTES", "100")
    with pytest.raises(LimitError, match="HTNET_MAX_SAFETENSORS_HEADER_BYTES"):
        converted_checkpoint(path, None, None, None)
    with pytest.raises(LimitError, match=r"\d+ bytes in its header"):
        load_pretrained(folder)


def test_rows_of_a_table(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("Subject,Filename\n" + "1,a\n" * 5, "utf-8")
    monkeypatch.setenv("HTNET_MAX_TABLE_ROWS", "4")
    for read in (read_manifest, lambda path: read_sheet(path, ("subject", "filename"))):
        with pytest.raises(LimitError, match="t.csv has 5 rows or more, more than the limit of 4"):
            read(path)


def test_nesting_of_json():
    most = NESTING.default
    assert parse_json("[" * most + "]" * most)
    for text in ("[" * (most + 1) + "]" * (most + 1), '{"a":' * (most + 1) + "1" + "}" * (most + 1)):
        with pytest.raises(LimitError, match=f"x.json has {most + 1} levels"):
            parse_json(text, "x.json")
    flat = json.dumps(['[{"\\[' * 50] * 300 + [[], {}] * 300)  # brackets in texts are none
    assert parse_json(flat.encode()) == json.loads(flat)
    with pytest.raises(ValueError, match="Expecting"):
        parse_json("[" * most)


def test_a_key_occurs_once_in_an_object(tmp_path):
    """Python keeps the last of two values, in silence; a file edited by hand may have both."""
    assert parse_json('{"a": {"b": 1}, "b": [{"a": 2}]}') == {"a": {"b": 1}, "b": [{"a": 2}]}
    with pytest.raises(ValueError, match="an object has the key 'b' twice"):
        parse_json('{"a": {"b": 1, "b": 2}}')
    folder = save_pretrained(tiny_model(), tmp_path / "w")
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"temperature":', '"temperature": 9.0, "temperature":', 1))
    with pytest.raises(HtnetError, match="an object has the key 'temperature' twice, of which only one can be meant"):
        load_pretrained(folder)


def test_hashes_of_files_of_any_size(tmp_path, monkeypatch):
    """A hash is made block by block: the limit is on files that are read as a whole."""
    monkeypatch.setenv("HTNET_MAX_FILE_BYTES", "10")
    content = bytes(range(256)) * 8193
    (tmp_path / "clip.avi").write_bytes(content)
    assert sha256_of(tmp_path / "clip.avi") == hashlib.sha256(content).hexdigest()
    with pytest.raises(OSError, match="A device, not a file"):
        sha256_of("/dev/zero")


def test_preparing_hashes_large_videos_in_blocks(tmp_path):
    """The content of every file was held at once: a long recording took as much memory as the file has bytes."""
    path = tmp_path / "clip.avi"
    numbered_video(path, 5)
    with path.open("ab") as file:
        file.truncate(300 << 20)  # with a hole, which takes no room
    sample = Sample("s", clip=path, label="negative")
    tracemalloc.start()
    key = source_key(sample, PreprocessSpec(clip_frames=2), None, motion=True)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert key["clip"]["files"] == [sha256_of(path)]
    assert most < 50 << 20


def test_files_that_do_not_end(tmp_path, monkeypatch):
    monkeypatch.setenv("HTNET_MAX_FILE_BYTES", "1000")
    (tmp_path / "m.csv").symlink_to("/dev/zero")
    with pytest.raises(ManifestError, match="m.csv cannot be read .*a device, not a file"):
        read_manifest(tmp_path / "m.csv")
    (tmp_path / "l.csv").write_bytes(b"a,b\n" * 251)
    with pytest.raises(LimitError, match="l.csv has 1004 bytes or more"):
        read_manifest(tmp_path / "l.csv")
    pipe, told = os.pipe()
    os.write(told, bytes(1001))
    os.close(told)
    with pytest.raises(LimitError, match="has 1001 bytes or more"):
        read_file(f"/dev/fd/{pipe}")
    os.close(pipe)
    (tmp_path / "f").write_bytes(bytes(1000))
    assert len(read_file(tmp_path / "f")) == FILE_BYTES.value() == 1000
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("recording.npy", bytes(1001))
    with pytest.raises(LimitError, match="unpacked, has 1001 bytes"):
        read_curves(tmp_path / "a.npz")
    check_archive(tmp_path / "f")


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.variable)
def test_limits_are_set_by_numbers_and_told_in_the_docs(limit, monkeypatch):
    assert limit.variable in (ROOT / "docs" / "trust.md").read_text("utf-8")
    for text in ("many", "0", "-1", "1e3"):
        monkeypatch.setenv(limit.variable, text)
        with pytest.raises(LimitError, match="give a positive integer"):
            limit.value()
    monkeypatch.setenv(limit.variable, "7")
    assert limit.value() == 7
    limit.check(7, "x")
    with pytest.raises(LimitError):
        limit.check(8, "x")


def test_archives_whose_headers_numpy_cannot_read(tmp_path):
    """NumPy raises an error of Python's tokenizer for some of them."""
    np.savez(tmp_path / "a.npz", recording=np.array("{}"))
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        name, content = "recording.npy", archive.read("recording.npy")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr(name, content.replace(b"}", b"(", 1))
    with pytest.raises(ValueError, match="cannot be read as curves"):
        read_curves(tmp_path / "b.npz")
