"""Bad input as a user meets it: through `htnet.predict` and the command."""

import json

import cv2
import numpy as np
import pytest

import htnet
from htnet import Predictor, cli, predict
from htnet.core.errors import FlowError, FrameError, HtnetError, LandmarkError, ManifestError, NoFaceError, WeightsError
from htnet.core.types import Flow
from htnet.hub import save_pretrained
from htnet.preprocess.flow.compute import check_flow
from tests.support.pairs import POINTS, face_pair, save, tiny_model
from tests.support.seeds import next_rng


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    return save_pretrained(model, tmp_path_factory.mktemp("weights"))


@pytest.fixture
def command(capsys, weights):
    """Run ``htnet predict``: its one line of complaint, or "" if it succeeded."""

    def command(*words):
        status = cli.main(["predict", *map(str, words), "--weights", str(weights)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert (status, out == "") in ((0, False), (2, True))
        return err if status else ""

    return command


def missing(path, content):
    pass


def empty(path, content):
    path.write_bytes(b"")


def truncated(path, content):
    path.write_bytes(content[: len(content) * 2 // 3])


def garbled(path, content):
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(40) + content[middle + 40 :])


def text(path, content):
    path.write_text("This is no image.\n" * 20)


def folder(path, content):
    path.mkdir()


def one_pixel(path, content):
    cv2.imwrite(str(path), np.zeros((1, 1, 3), np.uint8))


def damaged_frames():
    for ending in (".png", ".jpg"):
        for damage, message, cure in (
            (missing, "does not exist", "check the path"),
            (empty, "is empty", "extract or copy it again"),
            (truncated, "cut off", "extract or copy it again"),
            (text, "is not an image", "give a PNG or JPEG file"),
            (folder, "is a folder", "name one image file"),
            (one_pixel, "is 1x1 px", "at least 16 px"),
        ):
            yield pytest.param(ending, damage, message, cure, id=f"{damage.__name__}{ending}")
    yield pytest.param(".png", garbled, "damaged", "extract or copy it again", id="garbled.png")


@pytest.mark.parametrize(("ending", "damage", "message", "cure"), list(damaged_frames()))
def test_frames_that_cannot_be_read(model, command, tmp_path, ending, damage, message, cure):
    good, apex = face_pair()
    good = save(tmp_path / "good.png", good)
    content = save(tmp_path / f"whole{ending}", apex).read_bytes()
    bad = tmp_path / f"bad frame{ending}"
    damage(bad, content)
    for frames in ((bad, good), (good, bad)):
        with pytest.raises(FrameError) as caught:
            predict(*frames, weights=model, landmarks="template")
        for part in (str(bad), message, cure):
            assert part in str(caught.value)
    assert str(caught.value) in command(good, bad, "--landmarks", "template")


def test_frames_of_different_sizes(model, command, tmp_path):
    onset = save(tmp_path / "onset.png", face_pair()[0])
    apex = save(tmp_path / "apex.png", face_pair(side=72)[1])
    with pytest.raises(FrameError, match=r"onset.png is 64x64 px.*apex.png is 72x72 px.*frames of one video"):
        predict(onset, apex, weights=model, landmarks="template")
    assert "frames of one video" in command(onset, apex, "--landmarks", "template")


def kinds():
    """Name of a kind of image, and what makes it from an RGB frame."""
    rng = next_rng()
    return {
        "gray": lambda rgb: rgb[..., 0],
        "16 bit": lambda rgb: rgb.astype(np.uint16) * 257,
        "16 bit gray": lambda rgb: rgb[..., 0].astype(np.uint16) * 257,
        "RGBA": lambda rgb: np.dstack([rgb, rng.integers(0, 256, rgb.shape[:2], dtype=np.uint8)]),
        "16 bit RGBA": lambda rgb: np.dstack([rgb.astype(np.uint16) * 257, np.full(rgb.shape[:2], 999, np.uint16)]),
    }


@pytest.mark.parametrize("kind", list(kinds()))
def test_gray_16_bit_and_alpha_give_the_same_answer(model, command, tmp_path, kind):
    convert = kinds()[kind]
    frames = [np.repeat(f.mean(2).astype(np.uint8)[..., None], 3, 2) if "gray" in kind else f for f in face_pair()]
    plain = predict(*frames, weights=model, landmarks="template")
    expected = pytest.approx(plain.probabilities, abs=1e-6)
    others = [convert(f) for f in frames]
    files = [save(tmp_path / f"{name}.png", other) for name, other in zip(("onset", "apex"), others, strict=True)]
    stored = cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED)
    assert (stored.dtype, stored.shape) == (others[0].dtype, others[0].shape), "the file must be of that kind"
    for pair in (others, files, (files[0], frames[1])):
        assert predict(*pair, weights=model, landmarks="template").probabilities == expected
    assert command(*files, "--landmarks", "template") == ""


def test_nan(model):
    onset, apex = (f.astype(np.float32) / 255 for f in face_pair())
    apex[3, 4] = np.nan
    with pytest.raises(FrameError, match=r"array contains 3 NaN.*fill or drop"):
        predict(onset, apex, weights=model, landmarks="template")
    uv = np.zeros((2, 32, 32), np.float32)
    uv[0, 5, 5] = np.nan
    for use in (check_flow, lambda field: Flow(field, "mine")):
        with pytest.raises(FlowError, match=r"contains 1 NaN or infinite values; recompute it or replace them"):
            use(uv)
    with pytest.raises(FlowError, match="float32; give a .* uint8 array"):
        Predictor(model).flow_image(np.full((28, 28, 3), np.nan, np.float32))


def test_nan_from_the_flow_method_stops_the_prediction(model, monkeypatch):
    from htnet.preprocess.flow import compute as flow

    monkeypatch.setitem(flow._METHODS, "dis", lambda onset, apex, _: np.full((2, *onset.shape), np.nan, np.float32))
    with pytest.raises(FlowError, match=r"Flow \(dis\) contains 8192 NaN"):
        predict(*face_pair(), weights=model, landmarks="template")


def test_no_face(model, command, tmp_path, rng):
    paths = [save(tmp_path / f"{i}.png", rng.integers(100, 156, (96, 96, 3), dtype=np.uint8)) for i in range(2)]
    with pytest.raises(NoFaceError, match=r"No face found in .*0.png .*landmarks 'template'"):
        predict(*paths, weights=model, landmarks="yunet")
    assert "No face found in" in command(*paths, "--landmarks", "yunet")
    onset, apex = face_pair(side=224)
    found = predict(onset, apex, weights=model, landmarks="yunet")
    assert found.landmarks.source == "yunet"
    assert np.allclose(found.landmarks.points, POINTS * 3.5, atol=25)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("", "is not JSON"),
        ("[[1, 2], [3", "is not JSON"),
        ("[[1, 2], [3, 4], [5, 6], [7, 8]]", "give five [x, y]"),
        (json.dumps([[1, 2]] * 67), "or 68 in the order of iBUG 300-W"),
        (json.dumps([["a", 1]] * 5), "are not numbers"),
        (json.dumps([["30", "30"], *POINTS[1:].tolist()]), "are not numbers"),
        (json.dumps([[True, 30.0], *POINTS[1:].tolist()]), "are not numbers (booleans)"),
        ("[[NaN, 1], [3, 4], [5, 6], [7, 8], [9, 9]]", "contain NaN"),
        (json.dumps((POINTS * 28 / 64 / 28).tolist()), "as fractions of width and height are"),
        (json.dumps((POINTS * 8).tolist()), "far outside"),
        (json.dumps(POINTS[:, ::-1].tolist()), "are not arranged like those of a face"),
    ],
)
def test_points_that_cannot_be_a_face(model, command, tmp_path, content, message):
    path = tmp_path / "points.json"
    if content is not None:
        path.write_text(content)
    pair = [save(tmp_path / f"{i}.png", f) for i, f in enumerate(face_pair())]
    with pytest.raises(LandmarkError) as caught:
        predict(*pair, weights=model, landmarks=path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert message in command(*pair, "--landmarks", path)


@pytest.fixture
def batch(command, tmp_path):
    """Predict a manifest with these lines; returns the complaint."""
    pair = face_pair()
    for i, frame in enumerate(pair):
        save(tmp_path / f"{i}.png", frame)
    picture = Predictor(tiny_model(), landmarks="template").pair(*pair).input.flow_image
    cv2.imwrite(str(tmp_path / "flow.png"), picture)

    def batch(*lines):
        (tmp_path / "m.csv").write_text("\n".join(lines) + "\n", "utf-8")
        return command("--manifest", tmp_path / "m.csv", "--out", tmp_path / "p.csv", "--landmarks", "template")

    return batch


def test_a_good_manifest_passes(batch, tmp_path):
    assert batch("sample,onset,apex,flow", "a,0.png,1.png,", "b,,,flow.png") == ""
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("lines", "messages"),
    [
        (("sample,onset,apx", "a,0.png,1.png"), ("m.csv, line 1", "unknown column 'apx'", "Did you mean 'apex'")),
        (("onset,apex", "0.png,1.png"), ("m.csv, line 1", "no column 'sample'", "Add one")),
        (("sample;onset,apex", "a;0.png,1.png"), ("m.csv, line 1", "contains commas and semicolons")),
        (("sample,onset,apex", "a,0.png,2.png"), ("m.csv", "line 2, apex", "2.png", "Correct the paths")),
        (("sample,flow", "a,none.png"), ("m.csv", "none.png", "Correct the paths")),
        (("sample,onset,apex", "a,0.png,"), ("m.csv, line 2", "'a'", "Give both frames")),
        (("sample,flow", "a,flow.png", "b,flow.png", "a,flow.png"), ("line 4", "'a'", "on line 2", "its own name")),
        (("sample,flow,label", "a,flow.png,happyy", "b,flow.png,3"), ("m.csv, line 3", "'3'", "class names")),
        (("sample,flow", "a"), ("m.csv, line 2", "1 values for 2 columns")),
        (("sample,flow",), ("m.csv contains no samples",)),
        (("",), ("m.csv",)),
    ],
)
def test_manifests_that_are_refused(batch, tmp_path, lines, messages):
    complaint = batch(*lines)
    for message in messages:
        assert message in complaint
    with pytest.raises(ManifestError):
        htnet.data.read_manifest(tmp_path / "m.csv")
    assert not (tmp_path / "p.csv").exists()


def test_no_manifest(command, tmp_path):
    complaint = command("--manifest", tmp_path / "no.csv", "--out", tmp_path / "p.csv")
    assert f"{tmp_path / 'no.csv'} does not exist" in complaint


def bad_flow_images():
    rng = next_rng()
    image = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
    png = cv2.imencode(".png", image)[1].tobytes()

    def coded(array):
        return cv2.imencode(".png", array)[1].tobytes()

    return {
        "size": (coded(np.zeros((32, 28, 3), np.uint8)), "32x28 px, expected 28x28"),
        "gray": (coded(image[..., 0]), "1 channels of uint8"),
        "alpha": (coded(np.dstack([image, image[..., 0]])), "4 channels of uint8"),
        "16 bit": (coded(image.astype(np.uint16)), "3 channels of uint16"),
        "empty": (b"", "is empty"),
        "text": (b"no image at all", "is not an image"),
        "cut off": (png[: len(png) // 2], "cut off"),
        "damaged": (png[:1000] + bytes(20) + png[1020:], "damaged"),
    }


@pytest.mark.parametrize("kind", list(bad_flow_images()))
def test_flow_images_that_are_refused(batch, model, tmp_path, kind):
    content, message = bad_flow_images()[kind]
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(FlowError) as caught:
        Predictor(model).flow_image(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    complaint = batch("sample,flow", "a,flow.png", "b,bad.png")
    assert complaint.endswith(f"Sample 'b': {caught.value}\n")


def test_weights_that_are_refused(command, tmp_path):
    pair = [save(tmp_path / f"{i}.png", f) for i, f in enumerate(face_pair())]
    for name in (tmp_path, "no such weights"):
        with pytest.raises(WeightsError, match=str(name)):
            predict(*pair, weights=name, landmarks="template")


def test_every_typed_error_is_an_htnet_error():
    for name, kind in vars(htnet.core.errors).items():
        if isinstance(kind, type) and name.endswith("Error"):
            assert issubclass(kind, HtnetError)
