"""A picture that cannot be a flow image is not taken for one; a changed one of a prepared folder is refused."""

import cv2
import numpy as np
import pytest

import htnet
from htnet.cli import main
from htnet.core.errors import FlowError
from htnet.core.types import PreprocessSpec
from htnet.preprocess import Preprocessor, read_flow_image
from tests.support.pairs import face, pair_manifest
from tests.support.paths import COMPOSITE, needs_shared


def flow():
    """A blob of motion with the strain that belongs to it."""
    y, x = np.mgrid[:28, :28]
    u = np.exp(-((x - 9) ** 2 + (y - 12) ** 2) / 30)
    v = -np.exp(-((x - 18) ** 2 + (y - 20) ** 2) / 20)
    (u_y, u_x), (v_y, v_x) = np.gradient(u), np.gradient(v)
    strain = np.sqrt(u_x**2 + v_y**2 + 0.5 * (u_y + v_x) ** 2)
    return np.stack([(255 * (c - c.min()) / np.ptp(c)).astype(np.uint8) for c in (strain, v, u)], axis=-1)


def photo():
    return cv2.resize(face(), (28, 28), interpolation=cv2.INTER_AREA)


def inverted_strain():
    image = flow()
    image[..., 0] = 255 - image[..., 0]
    return image


WRONG = {
    "photo": (photo, "channels are alike"),
    "three equal channels": (lambda: np.repeat(flow()[..., :1], 3, axis=2), "channels are alike"),
    "inverted strain": (inverted_strain, "as in an inverted image"),
    "inverted values": (lambda: 255 - flow(), "as in an inverted image"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_a_flow_image_is_refused_by_every_reader(kind, tmp_path, capsys):
    image, said = WRONG[kind][0](), WRONG[kind][1]
    path = tmp_path / "f.png"
    cv2.imwrite(str(path), image)
    lines = ["sample,subject,label,flow"]
    for i in range(3):
        image[0, 0, 0] ^= i  # three pictures of three people
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
        lines.append(f"s{i},p{i},{i},{i}.png")
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    reader = Preprocessor(PreprocessSpec(layout="whole"))
    for read in (read_flow_image, reader.flow_picture, htnet.Predictor().flow_image):
        with pytest.raises(FlowError, match=f"is not a flow image: .*{said}"):
            read(path)
    with pytest.raises(FlowError, match=f"The flow image is not a flow image: .*{said}"):
        reader.flow_picture(image)
    for command in ("train --data", "loso --data", "predict --manifest"):
        out = tmp_path / "out.csv" if command.startswith("predict") else tmp_path / "out"
        assert main([*command.split(), str(tmp_path / "m.csv"), "--out", str(out)]) == 2
        assert said in capsys.readouterr().err


def test_a_flow_image_is_taken():
    Preprocessor(PreprocessSpec(layout="whole")).flow_picture(flow())


@pytest.mark.slow
@needs_shared
def test_no_published_image_is_refused():
    images = sorted(COMPOSITE.rglob("*.png"))
    assert len(images) >= 442
    for path in images:
        read_flow_image(path)


@pytest.mark.parametrize(
    "command", ["train --data", pytest.param("loso --data", marks=pytest.mark.slow), "predict --manifest"]
)
def test_a_flow_image_that_changed_after_it_was_prepared_is_refused(command, tmp_path, capsys):
    pair_manifest(tmp_path / "own", 3)
    prepared = tmp_path / "prepared"
    words = [
        "prepare",
        "manifest",
        "--root",
        tmp_path / "own",
        "--out",
        prepared,
        "--landmarks",
        "template",
        "--workers",
        1,
    ]
    assert main([str(word) for word in words]) == 0
    changed = sorted((prepared / "flow").glob("*.png"))[0]
    cv2.imwrite(str(changed), flow())
    capsys.readouterr()
    manifest = prepared / "manifest.csv" if "predict" in command else prepared
    assert main([*command.split(), str(manifest), "--out", str(tmp_path / "o.csv")]) == 2
    said = capsys.readouterr().err
    assert f"{changed} has changed since it was prepared" in said
