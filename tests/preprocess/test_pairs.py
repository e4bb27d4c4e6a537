"""Every way to read a pair tells or refuses faces of two scales of values, and flow that no face makes."""

import cv2
import numpy as np
import pytest

from htnet import Predictor, predict
from htnet.cli import main
from htnet.core.errors import FlowError, FrameError, HtnetError, InputError
from htnet.core.types import EMOTIONS, Flow
from htnet.data import Manifest, Sample
from htnet.data.prepare import prepare
from htnet.data.reader import SampleReader
from htnet.preprocess import Preprocessor, TemplateLandmarks, published_input, read_frame, tvl1_flow
from htnet.preprocess.__main__ import main as module_main
from htnet.preprocess.pairs import BEYOND, LARGE, pair_warnings
from htnet.training import load_flow_set
from tests.support.pairs import QUICK, face, face_pair, save, tiny_model
from tests.support.wings import of_wings


@pytest.fixture(scope="module")
def pair():
    return face_pair(2, rng=np.random.default_rng(5))


def codes(warnings):
    return {warning.code for warning in warnings}


def _sample(folder, files):
    return Sample("s", "own", "p", EMOTIONS[0], *files)


def _manifest(folder, files):
    return Manifest((_sample(folder, files),))


def _prepare(folder, files):
    prepare(_manifest(folder, files), folder / "out", QUICK, TemplateLandmarks())
    return (folder / "out" / "report.json").read_text()


def _command(run, capsys, *words):
    failed = run([*map(str, words)])
    printed = capsys.readouterr()
    if failed:
        raise InputError(printed.err)
    return printed.out


#: Every way in for a pair of files: (folder, files, capsys) to the codes of its warnings, or what is printed.
WAYS = {
    "Preprocessor": lambda f, p, c: codes(Preprocessor(QUICK, TemplateLandmarks()).pair(*p).warnings),
    "published_input": lambda f, p, c: codes(published_input(*p, "template", flow="dis").warnings),
    "published_input of faces": lambda f, p, c: codes(published_input(*p, None, flow="dis").warnings),
    "predict": lambda f, p, c: codes(predict(*p, weights=tiny_model(), landmarks="template").warnings),
    "Predictor.manifest": lambda f, p, c: codes(
        next(iter(Predictor(tiny_model(), landmarks="template").manifest(_manifest(f, p)))).warnings
    ),
    "SampleReader": lambda f, p, c: codes(SampleReader(QUICK, TemplateLandmarks())(_sample(f, p)).warnings),
    "prepare": lambda f, p, c: _prepare(f, p),
    "htnet.preprocess": lambda f, p, c: _command(
        module_main, c, *p, "--out", f / "flow.png", "--landmarks", "none", "--flow", "dis", "--overwrite"
    ),
}


def _files(folder, onset, apex, names=("a.png", "b.png")):
    return save(folder / names[0], onset), save(folder / names[1], apex)


@pytest.mark.parametrize("way", WAYS)
def test_an_apex_of_another_scale_is_refused_and_a_doubtful_one_told(tmp_path, capsys, pair, way):
    read, (onset, apex) = WAYS[way], pair
    assert "exposure_change" not in read(tmp_path / "same", _files(tmp_path / "same", onset, apex), capsys)
    each = way == "Preprocessor"
    for darker in (2, 3) if each else (2,):
        files = _files(tmp_path / f"{darker}", onset, apex // darker)
        assert "exposure_change" in read(tmp_path / f"{darker}", files, capsys)
    for darker in (4, 8, 16) if each else (4,):
        for name, files in (("apex", (onset, apex // darker)), ("onset", (onset // darker, apex))):
            folder = tmp_path / f"{name}{darker}"
            with pytest.raises(HtnetError, match="darker|brighter"):
                read(folder, _files(folder, *files), capsys)
    deep = _files(tmp_path / "16", onset.astype(np.uint16) * 257, apex.astype(np.uint16) * 257 // 16)
    with pytest.raises(HtnetError, match="12-bit values in a 16-bit file"):
        read(tmp_path / "16", deep, capsys)


def test_loading_for_training_refuses_such_an_apex_too(tmp_path, pair):
    manifest = _manifest(tmp_path, _files(tmp_path, pair[0], pair[1] // 8))
    with pytest.raises(HtnetError, match="darker"):
        load_flow_set(manifest, QUICK, TemplateLandmarks())


def test_a_flow_that_no_face_makes_is_told_and_one_beyond_the_face_refused(pair):
    frames = tuple(read_frame(frame) for frame in pair)
    gray = tuple(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in pair)
    for share, told in ((LARGE * 0.9, False), (LARGE * 1.1, True), (BEYOND * 0.9, True)):
        uv = np.zeros((2, 64, 64), np.float32)
        uv[0, 30, 30] = -share * 64
        found = codes(pair_warnings(pair, frames, gray, Flow(uv, "dis")))
        assert ("implausible_flow" in found) == told
    uv[1, 30, 30] = BEYOND * 64
    with pytest.raises(FlowError, match="outside the face"):
        pair_warnings(pair, frames, gray, Flow(uv, "dis"))


@pytest.mark.parametrize("way", [way for way in WAYS if way != "prepare"])
def test_an_apex_that_lies_before_its_onset_is_told(tmp_path, capsys, pair, way):
    right = _files(tmp_path, *pair, ("img9.png", "img10.png"))
    assert "frame_order" not in WAYS[way](tmp_path, right, capsys)
    assert "frame_order" in WAYS[way](tmp_path, right[::-1], capsys)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.int64])
def test_8_bit_values_in_a_wider_type_are_read_by_their_depth(tmp_path, kind):
    wide = face().astype(kind)
    with pytest.raises(FrameError, match=r"bit_depth=8\b.*--bit-depth 8\b"):
        read_frame(wide)
    assert np.array_equal(read_frame(wide, 8).pixels, face())
    assert np.array_equal(read_frame(face(), 8).pixels, face())
    with pytest.raises(FrameError, match="bit_depth=8 ends at 255"):
        read_frame(wide + kind(100), 8)


def test_commands_take_a_depth_of_8(tmp_path, capsys, pair):
    files = _files(tmp_path, *(frame.astype(np.uint16) for frame in pair))
    words = [*files, "--landmarks", "none", "--flow", "dis", "--out", tmp_path / "flow.png"]
    with pytest.raises(InputError, match="--bit-depth 8"):
        _command(module_main, capsys, *words)
    _command(module_main, capsys, *words, "--bit-depth", 8)
    expected = published_input(*pair, None, flow="dis").flow_image
    assert np.array_equal(cv2.imread(str(tmp_path / "flow.png")), expected)
    for words in of_wings("commands", "OF_ONE_IMAGE"):
        with pytest.raises(InputError, match="--bit-depth 8"):
            _command(main, capsys, *words, files[0], "--landmarks", "template")


def test_tvl1_refuses_values_that_were_cut_down(pair):
    onset, apex = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255 for frame in pair)
    whole = tvl1_flow(onset, apex)
    assert float(tvl1_flow(onset / 2, apex / 2).abs().max()) == pytest.approx(float(whole.abs().max()), rel=0.5)
    with pytest.raises(FrameError, match="almost black"):
        tvl1_flow(onset / 16, apex / 16)
    with pytest.raises(FrameError, match="almost black"):  # one pair of a batch
        tvl1_flow(np.stack([onset, onset / 16]), np.stack([apex, apex / 16]))
