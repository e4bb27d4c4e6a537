"""Values of 10, 12 and 14 bits in 16-bit files and arrays: right with their depth, refused without, by every reader."""

import csv
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from htnet import Predictor, predict, predict_video
from htnet.cli import main
from htnet.core.errors import FrameError, HtnetError, InputError, VideoError
from htnet.core.types import BIT_DEPTHS, EMOTIONS, Frame, PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.data.prepare import prepare
from htnet.hub import save_pretrained
from htnet.preprocess import (
    Preprocessor,
    TemplateLandmarks,
    motion_features,
    open_clip,
    open_video,
    published_input,
    read_clip,
    read_frame,
    read_pair,
    spot,
)
from htnet.preprocess.__main__ import main as module_main
from htnet.preprocess.flow.warp import displace
from tests.support.pairs import POINTS, QUICK, face_pair, save, tiny_model
from tests.support.slow import slow_if
from tests.support.wings import with_wings

SIDE = 64
#: Depths that 16-bit numbers may hide.
HIDDEN = tuple(depth for depth in BIT_DEPTHS if depth < 16)


def deeper(pixels, depth):
    """The same picture as a camera of ``depth`` bits gives it, with values between those of 8 bits."""
    white = (1 << depth) - 1
    fine = pixels.astype(np.float64) + np.random.default_rng(3).uniform(-0.4, 0.4, pixels.shape)
    return np.rint(np.clip(fine, 0, 255) / 255 * white).astype(np.uint16)


@pytest.fixture(scope="module")
def pair():
    return face_pair(2, SIDE, np.random.default_rng(5))


@pytest.fixture(scope="module")
def flow_weights(tmp_path_factory):
    return save_pretrained(tiny_model(), tmp_path_factory.mktemp("flow"))


def _files(folder, pair):
    return save(folder / "onset.png", pair[0]), save(folder / "apex.png", pair[1])


def _landmarks(folder):
    path = folder / "points.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        names = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
        writer.writerow([f"{name}_{axis}" for name in names for axis in "xy"])
        writer.writerow(POINTS.ravel())
    return path


def _manifest(folder, pair):
    onset, apex = _files(folder, pair)
    return Manifest((Sample("s", "own", "p", EMOTIONS[0], onset, apex),))


def _prepare(folder, pair, depth):
    prepared = prepare(_manifest(folder, pair), folder / "out", QUICK, TemplateLandmarks(), bit_depth=depth)
    return cv2.imread(str(next(iter(prepared)).flow))


def _command(folder, *words):
    if main([*map(str, words)]):
        raise FrameError("the command refused it")


def _prepare_command(folder, pair, depth):
    _manifest(folder, pair).write(folder / "m.csv")
    words = ["prepare", "manifest", "--root", folder / "m.csv", "--out", folder / "out", "--landmarks", "template"]
    _command(folder, *words, "--flow", "dis", *option(depth))
    return cv2.imread(str(next((folder / "out" / "flow").glob("*.png"))))


def option(depth):
    return [] if depth is None else ["--bit-depth", depth]


def _predict_command(folder, pair, depth, weights):
    words = ["predict", *_files(folder, pair), "--weights", weights, "--landmarks", "template"]
    picture = ["--plot", folder / "picture.png"] if depth == 12 else []
    _command(folder, *words, *picture, *option(depth))
    assert (folder / "picture.png").is_file() == bool(picture)
    return None


def _manifest_command(folder, pair, depth, weights):
    _manifest(folder, pair).write(folder / "m.csv")
    words = ["predict", "--manifest", folder / "m.csv", "--out", folder / "p.csv", "--weights", weights]
    _command(folder, *words, "--landmarks", "template", *option(depth))
    return None


def _module(folder, pair, depth):
    onset, apex = _files(folder, pair)
    words = [onset, apex, "--out", folder / "flow.png", "--landmarks", "none", "--flow", "dis", *option(depth)]
    if module_main([*map(str, words)]):
        raise FrameError("the command refused it")
    return cv2.imread(str(folder / "flow.png"))


def _image_of(made):
    return made.flow_image


#: Every way in for a pair of frames: (folder, pair of arrays, depth, weights) to a flow image, or None.
PAIR_READERS = {
    "read_pair": lambda f, p, d, w: read_pair(*_files(f, p), d)[1].pixels,
    "read_pair of arrays": lambda f, p, d, w: read_pair(*p, d)[1].pixels,
    "read_clip": lambda f, p, d, w: list(read_clip(_files(f, p), d))[1].pixels,
    "read_clip of arrays": lambda f, p, d, w: list(read_clip(p, d))[1].pixels,
    "Preprocessor.pair": lambda f, p, d, w: _image_of(
        Preprocessor(QUICK, TemplateLandmarks(), bit_depth=d).pair(*_files(f, p))
    ),
    "published_input": lambda f, p, d, w: _image_of(published_input(*p, None, bit_depth=d, flow="dis")),
    "predict": lambda f, p, d, w: _image_of(predict(*p, weights=w, landmarks="template", bit_depth=d).input),
    "Predictor.pair": lambda f, p, d, w: _image_of(
        Predictor(w, landmarks="template", bit_depth=d).pair(*_files(f, p)).input
    ),
    "Predictor.manifest": lambda f, p, d, w: _image_of(
        next(iter(Predictor(w, landmarks="template", bit_depth=d).manifest(_manifest(f, p)))).input
    ),
    "prepare": lambda f, p, d, w: _prepare(f, p, d),
    "htnet prepare manifest": lambda f, p, d, w: _prepare_command(f, p, d),
    "htnet predict": _predict_command,
    "htnet predict --manifest": _manifest_command,
    "python -m htnet.preprocess": lambda f, p, d, w: _module(f, p, d),
}


@pytest.mark.parametrize("reader", PAIR_READERS)
def test_pairs_of_hidden_depth_are_read_by_the_depth_told_and_refused_without(tmp_path, pair, flow_weights, reader):
    read = PAIR_READERS[reader]
    expected = read(tmp_path / "8", pair, None, flow_weights)
    for depth in HIDDEN if reader.startswith("read_") else (12,):
        pair_there = tuple(deeper(frame, depth) for frame in pair)
        found = read(tmp_path / f"told {depth}", pair_there, depth, flow_weights)
        if expected is not None:
            difference = np.abs(found.astype(int) - expected)
            assert np.median(difference) <= 3, depth
        with pytest.raises(HtnetError):
            read(tmp_path / f"not told {depth}", pair_there, None, flow_weights)
    full = tuple(deeper(frame, 16) for frame in pair)
    read(tmp_path / "16", full, None, flow_weights)  # values beyond 14 bits speak for themselves
    with pytest.raises(HtnetError):
        read(tmp_path / "wrong", full, 12, flow_weights)


#: Every way in for a single image: (folder, array, depth) to pixels, or None.
IMAGE_READERS = {
    "read_frame": lambda f, i, d: read_frame(save(f / "face.png", i), d).pixels,
    "read_frame of an array": lambda f, i, d: read_frame(i, d).pixels,
    "read_frame of a Frame": lambda f, i, d: read_frame(Frame(i, "camera"), d).pixels,
}
IMAGE_READERS = with_wings("depth", "IMAGE_READERS", IMAGE_READERS)


@pytest.mark.parametrize("reader", slow_if(lambda reader: reader.endswith("visualize"), IMAGE_READERS))
def test_images_of_hidden_depth_are_read_by_the_depth_told_and_refused_without(tmp_path, pair, reader):
    read, face = IMAGE_READERS[reader], pair[0]
    expected = read(tmp_path / "8", face, None)
    found = read(tmp_path / "told", deeper(face, 12), 12)
    if expected is not None:
        assert np.abs(found.astype(int) - expected).max() <= 1
    with pytest.raises(HtnetError):
        read(tmp_path / "not told", deeper(face, 12), None)


def _folder(folder, frames):
    for number, frame in enumerate(frames):
        save(folder / "clip" / f"{number}.png", frame)
    return folder / "clip"


def _clip_command(kind, *more):
    def run(folder, clip, depth):
        _command(folder, kind, _folder(folder, clip), "--landmarks", "template", *more, *option(depth))

    return run


#: Every way in for a clip: (folder, frames, depth) to the last frame, the curve or nothing.
CLIP_READERS = {
    "open_video": lambda f, c, d: list(open_video(_folder(f, c), bit_depth=d))[-1].pixels,
    "spot of a folder": lambda f, c, d: 100 * spot(_folder(f, c), "template", bit_depth=d).curve,
    "spot of arrays": lambda f, c, d: 100 * spot(c, "template", bit_depth=d).curve,
    "motion_features": lambda f, c, d: 100 * motion_features(_folder(f, c), "template", MOVING, bit_depth=d),
    "Predictor.video": lambda f, c, d: _image_of(
        Predictor(tiny_model(), landmarks="template", bit_depth=d).video(_folder(f, c)).input
    ),
    "predict_video of arrays": lambda f, c, d: _image_of(
        predict_video(c, weights=tiny_model(), landmarks="template", bit_depth=d).input
    ),
    "open_clip": lambda f, c, d: list(open_clip(_folder(f, c), "1", "3", d))[-1].pixels,
    "htnet spot": _clip_command("spot"),
    "htnet predict": _clip_command("predict"),
}
MOVING = PreprocessSpec(face_size=64, flow="dis", clip_frames=4)


@pytest.mark.parametrize("reader", CLIP_READERS)
def test_clips_of_hidden_depth_are_read_by_the_depth_told_and_refused_without(tmp_path, pair, reader):
    read = CLIP_READERS[reader]
    onset, apex = (frame.astype(float) for frame in pair)
    shares = (0, 0, 0.1, 0.3, 0.6, 1, 1, 0.6, 0.3, 0.1, 0)
    clip = [np.rint(onset + share * (apex - onset)).astype(np.uint8) for share in shares]
    deep = [deeper(frame, 12) for frame in clip]
    expected = read(tmp_path / "8", clip, None)
    found = read(tmp_path / "told", deep, 12)
    if expected is not None:
        assert np.median(np.abs(np.asarray(found, float) - expected)) <= 5
    with pytest.raises(HtnetError):
        read(tmp_path / "not told", deep, None)


def test_a_folder_is_read_by_one_rule(tmp_path, pair):
    """A clip that begins dim: its brightest frame tells that all values are of 16 bits."""
    dim = deeper((pair[0] * 0.2).astype(np.uint8), 16)
    folder = _folder(tmp_path, [dim, dim, deeper(pair[1], 16)])
    frames = list(open_video(folder))
    assert frames[0].pixels.max() == round(int(dim.max()) / 257)
    assert np.abs(frames[2].pixels.astype(int) - pair[1]).max() <= 1
    with pytest.raises(VideoError, match="2 more|1 more"):
        open_video(_folder(tmp_path / "b", [dim, dim]))


def test_a_video_file_takes_no_depth(tmp_path):
    (tmp_path / "a.avi").write_bytes(b"x")
    with pytest.raises(InputError, match="for folders of images"):
        open_video(tmp_path / "a.avi", bit_depth=12)


def test_the_message_names_both_readings_and_the_option(pair):
    with pytest.raises(FrameError, match="12-bit values, or a dark 16-bit picture.*bit_depth=12.*--bit-depth 12"):
        read_frame(deeper(pair[0], 12))
    with pytest.raises(FrameError, match="10-bit values"):
        read_frame(deeper(pair[0], 10))


def test_a_pair_is_read_by_one_rule(pair):
    """A dim onset beside a bright apex: neither is scaled by its own largest value."""
    bright = deeper(pair[1], 16)
    dim = deeper((pair[0] * 0.05).astype(np.uint8), 16)
    with pytest.raises(FrameError, match="Say which"):
        read_frame(dim)
    first, second = read_pair(dim, bright)
    assert first.pixels.max() == round(int(dim.max()) / 257)
    assert np.abs(second.pixels.astype(int) - pair[1]).max() <= 1
    for order in ((dim, dim, bright, dim), (bright, dim)):
        frames = list(read_clip(order))
        assert [f.pixels.max() < 20 for f in frames] == [f is dim for f in order]
    with pytest.raises(FrameError, match="3 more|1 more"):
        list(read_clip((dim, dim)))
    assert read_frame(dim, 16).pixels.max() == first.pixels.max()
    assert [f.pixels.max() for f in read_clip((dim, dim), 16)] == [first.pixels.max()] * 2


def test_values_in_the_upper_bits_are_of_16_bits(pair):
    left_aligned = deeper(pair[0], 12) << 4
    assert np.abs(read_frame(left_aligned).pixels.astype(int) - pair[0]).max() <= 1
    with pytest.raises(FrameError, match="upper bits"):
        read_frame(left_aligned, 12)


def _pgm(values, white):
    kind = ">u2" if white > 255 else "u1"
    return b"P5\n# a camera's comment\n%d %d\n%d\n" % (*values.shape[::-1], white) + values.astype(kind).tobytes()


def _tiff(values, white):
    """A gray 16-bit TIFF that names its largest value."""
    height, width = values.shape
    data = values.astype("<u2").tobytes()
    tags = [(256, width), (257, height), (258, 16), (259, 1), (262, 1), (273, 0), (277, 1), (278, height)]
    tags += [(279, len(data)), (281, white)]
    start = 10 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHI", tag, 4 if tag in (273, 279) else 3, 1)
        + (struct.pack("<I", start if tag == 273 else value) if tag in (273, 279) else struct.pack("<HH", value, 0))
        for tag, value in tags
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data


@pytest.mark.parametrize("white", [15, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize("form", [_pgm, _tiff])
def test_files_that_name_their_largest_value_are_taken_at_their_word(tmp_path, pair, form, white):
    gray = pair[0].mean(2)
    values = np.rint(gray / 255 * white).astype(np.uint16)
    path = tmp_path / f"frame{form.__name__}.{'pgm' if form is _pgm else 'tif'}"
    path.write_bytes(form(values, white))
    found = read_frame(path).pixels.astype(int)
    assert np.abs(found[..., 0] - gray).max() <= 255 / white + 1
    assert found.max() > 150


@pytest.mark.parametrize("form", [_pgm, _tiff])
def test_a_header_of_65535_tells_nothing_of_a_cameras_bits(tmp_path, pair, form):
    """OpenCV writes it for every 16-bit PGM file."""
    gray = pair[0].mean(2)
    path = tmp_path / "frame.bin"
    path.write_bytes(form(np.rint(gray / 255 * 4095).astype(np.uint16), 65535))
    with pytest.raises(FrameError, match="bit_depth=12 or bit_depth=16"):
        read_frame(path)
    assert np.abs(read_frame(path, 12).pixels[..., 0] - gray).max() <= 1
    path.write_bytes(form(np.rint(gray / 255 * 4095).astype(np.uint16), 4095))
    assert np.abs(read_frame(path, 12).pixels[..., 0] - gray).max() <= 1
    with pytest.raises(FrameError, match="states that 4095 is white"):
        read_frame(path, 10)


def test_a_largest_value_that_is_exceeded_is_not_believed(tmp_path, pair):
    (tmp_path / "a.tif").write_bytes(_tiff(np.full((20, 20), 5000, np.uint16), 4095))
    with pytest.raises(FrameError, match="its file says that 4095 is white"):
        read_frame(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.astype(np.int32), "bit_depth=8"),
        (lambda p: p.astype(np.int64) * 16, "bit_depth=12"),
        (lambda p: p.astype(np.uint32), "bit_depth=8"),
        (lambda p: p.astype(np.float32), "0..1"),
        (lambda p: p / 127.5 - 1, "0..1"),
        (lambda p: p > 100, "give uint8, uint16 or float"),
        (lambda p: p >> 4, "almost black"),
        (lambda p: p / 255 * 4095 / 65535, "almost black"),
    ],
    ids=["int32", "int64", "uint32", "float bytes", "float -1..1", "bool", "12 bits over 256", "12 bits over 65535"],
)
def test_other_ranges_and_types_are_refused_by_name(pair, make, message):
    with pytest.raises(FrameError, match=message.replace(".", r"\.")):
        read_pair(*map(make, pair))


def test_wider_types_are_right_where_the_depth_is_told(pair):
    for kind in (np.int32, np.int64, np.uint32):
        assert np.abs(read_frame(deeper(pair[0], 12).astype(kind), 12).pixels.astype(int) - pair[0]).max() <= 1


def test_a_depth_that_does_not_fit_is_refused(pair):
    with pytest.raises(FrameError, match="8-bit values"):
        read_frame(pair[0], 12)
    for wrong in (9, 11, "12", True, 12.5):
        with pytest.raises(InputError, match="bit_depth is"):
            read_frame(pair[0], wrong)
    assert np.array_equal(read_frame(pair[0], 16).pixels, pair[0])


def test_largest_flow_of_a_12_bit_pair():
    """What docs/input.md says: a face whose mouth moves by up to 4 px."""
    face = astronaut()[70:182, 168:280]
    y, x = np.mgrid[:112, :112] / 112
    bump = np.exp(-((x - 0.5) ** 2 + (y - 0.62) ** 2) / 0.01)
    apex = displace(face, np.stack([0 * bump, 4 * bump]))
    sizes = {}
    for name, frames, depth in (
        ("8 bits", (face, apex), None),
        ("12 bits, told", (deeper(face, 12), deeper(apex, 12)), 12),
        ("12 bits, taken for 16", (deeper(face, 12), deeper(apex, 12)), 16),
    ):
        flow = published_input(*frames, None, bit_depth=depth).flow
        sizes[name] = float(np.hypot(*flow.uv).max())
    print(sizes)
    assert sizes["12 bits, told"] == pytest.approx(sizes["8 bits"], rel=0.05)
    assert sizes["12 bits, taken for 16"] < 0.8 * sizes["8 bits"]


def test_paths_in_messages_are_whole(tmp_path, pair):
    path = save(tmp_path / "frame.png", deeper(pair[0], 12))
    with pytest.raises(FrameError, match=str(Path(path))):
        read_frame(path)
