"""Reading and checking frames."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import torch

from htnet.core.errors import FrameError, VideoError
from htnet.core.types import Frame
from htnet.preprocess import check_pair, read_frame, to_gray


def smooth_rgb(rng, height=40, width=56):
    return cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 3)


def encode(path, bgr, *parameters):
    # Not cv2.imwrite: it cannot write to every Unicode path on every system.
    path.write_bytes(cv2.imencode(path.suffix, bgr, parameters)[1].tobytes())
    return path


def test_png_is_read_as_rgb_also_under_a_unicode_name(tmp_path, rng):
    rgb = smooth_rgb(rng)
    folder = tmp_path / "表情 é"
    folder.mkdir()
    path = encode(folder / "onset ü.png", rgb[..., ::-1])
    for source in (path, str(path)):
        frame = read_frame(source)
        np.testing.assert_array_equal(frame.pixels, rgb)
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.flags.c_contiguous
        assert frame.source == str(path)
        assert frame.size == (40, 56)


def test_jpeg_is_read(tmp_path, rng):
    rgb = smooth_rgb(rng)
    frame = read_frame(encode(tmp_path / "a.jpg", rgb[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, 100))
    assert np.abs(frame.pixels.astype(int) - rgb).mean() < 2


def test_progressive_jpeg_is_read(tmp_path, rng):
    path = encode(tmp_path / "a.jpg", smooth_rgb(rng), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert read_frame(path).size == (40, 56)


def test_gray_alpha_and_16_bit_files(tmp_path, rng):
    gray = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    np.testing.assert_array_equal(read_frame(encode(tmp_path / "g.png", gray)).pixels, np.repeat(gray[..., None], 3, 2))
    bgra = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    np.testing.assert_array_equal(
        read_frame(encode(tmp_path / "a.png", bgra)).pixels, bgra[..., 2::-1], err_msg="alpha is dropped"
    )
    deep = rng.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    np.testing.assert_array_equal(
        read_frame(encode(tmp_path / "d.png", deep[..., ::-1])).pixels, np.rint(deep / 257).astype(np.uint8)
    )


def test_every_16_bit_value_is_rounded_to_the_nearest():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(read_frame(values).pixels[..., 0], np.rint(values / 257))


def test_exif_orientation_is_applied(tmp_path, rng):
    rgb = smooth_rgb(rng)
    jpeg = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    # One TIFF entry: tag 0x0112 (orientation), SHORT, 1 value: 6, rotate by 90 degrees clockwise to view.
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    path = tmp_path / "phone.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    turned = read_frame(path).pixels
    assert turned.shape == (56, 40, 3)
    assert np.abs(turned.astype(int) - np.rot90(rgb, -1)).mean() < 2


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.float16])
def test_arrays(rng, shape, dtype):
    unit = rng.random(shape)
    top = {np.uint8: 255, np.uint16: 65535}.get(dtype, 1)
    array = (unit * top).astype(dtype)
    out = read_frame(array).pixels
    assert out.shape == (20, 30, 3)
    expected = np.rint(np.atleast_3d(array).astype(np.float64) / top * 255)[..., :3]
    np.testing.assert_array_equal(out, np.broadcast_to(expected, (20, 30, 3)))


def test_bytes_and_open_files_are_read_as_the_file_is(tmp_path, rng):
    path = encode(tmp_path / "a.png", smooth_rgb(rng)[..., ::-1])
    expected, data = read_frame(path), path.read_bytes()
    for source in (data, bytearray(data), memoryview(data), io.BytesIO(data)):
        np.testing.assert_array_equal(read_frame(source).pixels, expected.pixels)
    with path.open("rb") as file:
        found = read_frame(file)
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        assert found.source == str(path)
        with pytest.raises(FrameError, match=r"a\.png is empty .*file\.seek\(0\)"):
            read_frame(file)
    with pytest.raises(FrameError, match=r"a\.png cannot be read"):
        read_frame(file)  # closed
    with path.open("r", encoding="latin-1") as file, pytest.raises(FrameError, match=r"open as text.*'rb'"):
        read_frame(file)
    with pytest.raises(FrameError, match="cut off PNG"):
        read_frame(data[:-20])
    with pytest.raises(FrameError, match="is not an image"):
        read_frame(b"no picture")
    with pytest.raises(FrameError, match="0 bytes"):
        read_frame(b"")


def test_pictures_of_pillow(tmp_path, rng):
    image = pytest.importorskip("PIL.Image", reason="comes with matplotlib")
    rgb, gray = smooth_rgb(rng), rng.integers(0, 256, (20, 30), dtype=np.uint8)
    rgba = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    deep = rng.integers(0, 65536, (20, 30), dtype=np.uint16)
    for made, expected in (
        (image.fromarray(rgb), rgb),
        (image.fromarray(gray), gray),
        (image.fromarray(rgba), rgba[..., :3]),
        (image.fromarray(rgba).convert("LA"), None),
        (image.fromarray(gray > 99), 255 * (gray > 99).astype(np.uint8)),
        (image.fromarray(deep), deep),
        (image.fromarray(deep).convert("I"), deep),
        (image.fromarray(gray / np.float32(255)), gray),
        (image.fromarray(rgb).quantize(16), image.fromarray(rgb).quantize(16).convert("RGB")),
    ):
        expected = made.convert("L") if expected is None else expected
        np.testing.assert_array_equal(read_frame(made).pixels, read_frame(np.asarray(expected)).pixels, made.mode)
    path = encode(tmp_path / "a.jpg", rgb[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, 100)
    turned = image.open(path)
    turned.getexif()[0x0112] = 6  # rotate by 90 degrees clockwise to view
    assert np.abs(read_frame(turned).pixels.astype(int) - np.rot90(rgb, -1)).mean() < 2
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(FrameError, match=r"a\.jpg cannot be read by Pillow"):
        read_frame(image.open(path))


@pytest.mark.parametrize("form", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_every_format_is_that_of_pillow(rng, tmp_path, form, orientation):
    image = pytest.importorskip("PIL.Image")
    path, exif = tmp_path / f"a.{form}", image.Exif()
    exif[0x0112] = orientation
    image.fromarray(smooth_rgb(rng)).save(path, exif=exif, quality=100)
    if form == "avif" and cv2.imread(str(path)) is None:
        pytest.skip("this OpenCV reads no AVIF")
    shown, expected = read_frame(path).pixels, read_frame(image.open(path)).pixels
    assert shown.shape == expected.shape == ((40, 56, 3) if orientation < 5 else (56, 40, 3))
    assert np.abs(shown.astype(int) - expected).max() <= 8
    np.testing.assert_array_equal(read_frame(path.read_bytes()).pixels, shown)
    if form == "avif":  # its main brand may be a more general one
        other = path.read_bytes().replace(b"ftypavif", b"ftypmif1", 1)
        np.testing.assert_array_equal(read_frame(other).pixels, shown)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("extra", [0, 1, 2])  # unspecified, associated alpha, unassociated alpha
def test_transparent_pixels_of_tiff_files_keep_their_colors(rng, tmp_path, extra, big):
    image = pytest.importorskip("PIL.Image")
    rgb = smooth_rgb(rng)
    picture = image.fromarray(rgb).convert("RGBA")
    picture.putalpha(image.fromarray(rng.integers(0, 256, rgb.shape[:2], dtype=np.uint8)))
    picture.save(tmp_path / "a.tif", tiffinfo={338: extra}, big_tiff=big)
    np.testing.assert_array_equal(read_frame(tmp_path / "a.tif").pixels, rgb)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_tensors(rng, dtype):
    values = torch.from_numpy(rng.integers(0, 2, (20, 30, 3), dtype=np.uint8))
    expected = 255 * values.numpy()
    values = (values * (255 if dtype == torch.uint8 else 1)).to(dtype)
    for tensor in (values, values.permute(2, 0, 1), values.requires_grad_(dtype.is_floating_point)):
        np.testing.assert_array_equal(read_frame(tensor).pixels, expected)
    gray = read_frame(values[..., 0]).pixels
    np.testing.assert_array_equal(gray, np.repeat(expected[..., :1], 3, 2))
    np.testing.assert_array_equal(read_frame(values[..., :1].permute(2, 0, 1)).pixels, gray)
    with pytest.raises(FrameError, match=r"shape \(1, 20, 30, 3\).*batch\[0\]"):
        read_frame(values[None])


def test_a_frame_keeps_its_source():
    frame = read_frame(Frame(np.zeros((20, 20), dtype=np.uint8), "video 3, frame 7"))
    assert frame.source == "video 3, frame 7"
    assert frame.pixels.shape == (20, 20, 3)


def test_bad_files_name_themselves_and_the_cure(tmp_path, rng):
    with pytest.raises(FrameError, match=r"gone\.png does not exist; check the path"):
        read_frame(tmp_path / "gone.png")
    with pytest.raises(FrameError, match="is a folder; name one image"):
        read_frame(tmp_path)
    empty = tmp_path / "empty.png"
    empty.touch()
    with pytest.raises(FrameError, match=r"empty\.png is empty \(0 bytes\)"):
        read_frame(empty)
    text = tmp_path / "notes.png"
    text.write_text("not pixels " * 50)
    with pytest.raises(FrameError, match=r"notes\.png is not an image"):
        read_frame(text)
    with pytest.raises(FrameError, match="cannot be read from NoneType"):
        read_frame(None)
    with pytest.raises(FrameError, match=r"1x1 px; give one with at least 16 px"):
        read_frame(encode(tmp_path / "dot.png", np.zeros((1, 1, 3), np.uint8)))
    with pytest.raises(FrameError, match="15x40 px"):
        read_frame(np.zeros((40, 15, 3), np.uint8))
    read_frame(np.zeros((16, 16, 3), np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_cut_off_files_are_refused(tmp_path, rng, suffix, share, capfd):
    path = encode(tmp_path / f"cut{suffix}", rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: min(int(len(data) * share), len(data) - 1)])
    with pytest.raises(FrameError, match=rf"cut\{suffix} is .*cut off"):
        read_frame(path)
    assert capfd.readouterr().err == ""


def test_the_end_marker_of_a_thumbnail_does_not_count(tmp_path, rng):
    small = cv2.imencode(".jpg", smooth_rgb(rng, 16, 16))[1].tobytes()
    jpeg = cv2.imencode(".jpg", smooth_rgb(rng))[1].tobytes()
    segment = b"\xff\xe2" + struct.pack(">H", len(small) + 2) + small
    path = tmp_path / "thumb.jpg"
    path.write_bytes(jpeg[:2] + segment + jpeg[2:])
    assert read_frame(path).size == (40, 56)
    path.write_bytes((jpeg[:2] + segment + jpeg[2:])[:-40])
    with pytest.raises(FrameError, match="cut off"):
        read_frame(path)


def test_a_jpeg_with_bytes_after_its_end_is_read(tmp_path, rng):
    path = encode(tmp_path / "a.jpg", smooth_rgb(rng))
    path.write_bytes(path.read_bytes() + b"\0" * 37)
    assert read_frame(path).size == (40, 56)


def test_a_png_with_a_flipped_bit_is_refused(tmp_path, rng):
    path = encode(tmp_path / "flip.png", smooth_rgb(rng))
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 30] ^= 4
    path.write_bytes(data)
    with pytest.raises(FrameError, match="wrong checksum in chunk IDAT"):
        read_frame(path)


def test_a_png_with_a_text_chunk_is_read(tmp_path, rng):
    path = encode(tmp_path / "text.png", smooth_rgb(rng))
    data = path.read_bytes()
    body = b"tEXt" + b"Author\0someone"
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(data[:33] + chunk + data[33:])
    assert read_frame(path).size == (40, 56)


@pytest.mark.parametrize("shape", [(20,), (20, 20, 2), (20, 20, 5), (1, 20, 20, 3), (3, 20, 20)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(FrameError, match="shape"):
        read_frame(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, bool, np.complex64, object])
def test_other_types_are_refused(dtype):
    with pytest.raises(FrameError, match=r"give uint8, uint16 or float in 0\.\.1"):
        read_frame(np.zeros((20, 20, 3), dtype))


#: Arrays that are no picture, made of one that is, and what is said of them.
NO_PICTURES = {
    "complex": (lambda a: a / 255 + 0j, "complex128"),
    "bool": (lambda a: a > 100, "type bool"),
    "objects": (lambda a: a.astype(object), "type object"),
    "text": (lambda a: a.astype(str), "type <U"),
    "times": (lambda a: a.astype("M8[s]"), "type datetime64"),
    "raw bytes": (lambda a: a.astype("V1"), r"type \|V1"),
    "bytes as floats": (lambda a: a.astype(float), "0..1|type float64"),
    "negative": (lambda a: a.astype(np.int16) - 300, "type int16"),
    "negative floats": (lambda a: a / 255 - 0.5, "0..1|type float64"),
    "NaN": (lambda a: np.where(a > 200, np.nan, a / 255), "NaN|type float64"),
    "32 bits": (lambda a: a.astype(np.uint32), "type uint32"),
    "masked": (lambda a: np.ma.masked_array(a, a > 200), "masked"),
    "list": (lambda a: a.tolist(), "list|type int64"),
}


@pytest.fixture(scope="module")
def takers():
    """Everything that takes pictures as arrays: name, picture that is taken, call."""
    from htnet.core.types import PreprocessSpec
    from htnet.preprocess import Preprocessor, compute_flow, motion_features, spot
    from tests.support.pairs import POINTS, face
    from tests.support.wings import with_wings

    rgb, spec = face(), PreprocessSpec(flow="dis", face_size=64, clip_frames=4)
    maker = Preprocessor(spec)
    return {
        "read_frame": (rgb, read_frame),
        "flow, onset": (rgb[..., 1], lambda a: compute_flow(a, rgb[..., 1], "dis")),
        "flow, apex": (rgb[..., 1], lambda a: compute_flow(rgb[..., 1], a, "farneback")),
        "pair, onset": (rgb, lambda a: maker.pair(a, rgb, POINTS)),
        "pair, apex": (rgb, lambda a: maker.pair(rgb, a, POINTS)),
        "spot": (rgb, lambda a: spot([a] * 5, POINTS)),
        "spot, later": (rgb, lambda a: spot([rgb, rgb, a], POINTS)),
        "motion features": (rgb, lambda a: motion_features([rgb, a], POINTS, spec)),
        **with_wings("frames", "TAKERS", {}),
    }


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", NO_PICTURES)
def test_arrays_that_are_no_pictures_are_refused_by_all_that_take_arrays(takers, kind):
    change, said = NO_PICTURES[kind]
    for name, (picture, take) in takers.items():
        with pytest.raises((FrameError, VideoError), match=said):
            print(name, take(change(picture)))


def test_byte_order_does_not_matter(rng):
    deep = rng.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    np.testing.assert_array_equal(read_frame(deep.astype(">u2")).pixels, read_frame(deep).pixels)


def test_float_values_are_checked():
    pixels = np.full((20, 20, 3), 0.5, np.float32)
    pixels[3, 4, 1] = np.nan
    pixels[3, 5, 1] = np.inf
    with pytest.raises(FrameError, match="contains 2 NaN or infinite"):
        read_frame(pixels)
    with pytest.raises(FrameError, match=r"values 0\.5\.\.127.*divide by 255"):
        read_frame(np.linspace(0.5, 127, 1200).reshape(20, 20, 3))
    with pytest.raises(FrameError, match="-1"):
        read_frame(np.linspace(-1, 1, 1200).reshape(20, 20, 3))


def test_check_pair_names_both_frames_and_sizes():
    onset, apex = Frame(np.zeros((20, 30, 3), np.uint8), "a.png"), Frame(np.zeros((20, 31, 3), np.uint8), "b.png")
    check_pair(onset, onset)
    with pytest.raises(FrameError, match=r"a\.png is 30x20 px, but apex b\.png is 31x20 px"):
        check_pair(onset, apex)


def test_to_gray_is_bt601_luma(rng):
    pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    gray = to_gray(Frame(pixels))
    assert gray.shape == (20, 30)
    assert gray.dtype == np.uint8
    assert np.abs(gray - pixels @ np.array([0.299, 0.587, 0.114])).max() <= 0.51


def test_base64_and_files_that_are_awaited_are_refused_with_the_cure():
    starlette = pytest.importorskip("starlette.datastructures")
    for data in (b"iVBORw0KGgoAAAANSUhEUg==", b"/9j/4AAQSkZJRg==", b"data:image/png;base64,iVBORw0KGgo="):
        with pytest.raises(FrameError, match=r"is text in base64; decode it: base64\.b64decode"):
            read_frame(data)
    with pytest.raises(FrameError, match=r"is read asynchronously; give its bytes: await file\.read\(\)"):
        read_frame(starlette.UploadFile(io.BytesIO(b"")))
