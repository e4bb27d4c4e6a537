"""Readers of single faces, for tests/preprocess/test_depth.py."""

import cv2

from htnet.cli import main
from htnet.core.errors import FrameError
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.hub import save_pretrained
from htnet.models import create_model
from htnet.palsy import PALSY_SPEC, GradePredictor, align_face, face_asymmetry, prepare_faces
from htnet.preprocess import TemplateLandmarks
from tests.support.pairs import save


def grader():
    model = create_model("htnet_palsy_tiny", dim=16, block_repeats=(1, 1, 2))
    model.preprocess_spec = PreprocessSpec(**{**PALSY_SPEC.to_dict(), "size": 112})
    return model


def _grade(folder, face, depth):
    path = save(folder / "face.png", face)
    return GradePredictor(grader(), landmarks="template", bit_depth=depth).image(path).face.pixels


def _grade_folder(folder, face, depth):
    save(folder / "faces" / "face.png", face)
    found = next(iter(GradePredictor(grader(), landmarks="template", bit_depth=depth).folder(folder / "faces")))
    if isinstance(found, tuple):
        raise found[1]
    return found.face.pixels


def _prepare_palsy(folder, face, depth):
    path = save(folder / "face.png", face)
    manifest = Manifest((Sample("a", subject="p", label="I", image=path, split="train"),), ("I",))
    prepared = prepare_faces(manifest, folder / "out", "template", bit_depth=depth)
    return cv2.imread(str(next(iter(prepared)).image))[..., ::-1]


def _palsy_command(folder, face, depth, kind):
    path = save(folder / "face.png", face)
    words = ["palsy", kind, path, "--landmarks", "template", *([] if depth is None else ["--bit-depth", depth])]
    if kind != "asymmetry":
        words += ["--weights", save_pretrained(grader(), folder / "weights")]
    if kind == "visualize":
        words += ["--out", folder / "maps.png"]
    if main([*map(str, words)]):
        raise FrameError("the command refused it")
    return None


IMAGE_READERS = {
    "align_face": lambda f, i, d: align_face(i, TemplateLandmarks(PALSY_SPEC.template), PALSY_SPEC, "", d)[0].pixels,
    "face_asymmetry": lambda f, i, d: face_asymmetry(i, TemplateLandmarks(), bit_depth=d).face.pixels,
    "GradePredictor.image": _grade,
    "GradePredictor.folder": _grade_folder,
    "prepare_faces": _prepare_palsy,
    "htnet palsy predict": lambda f, i, d: _palsy_command(f, i, d, "predict"),
    "htnet palsy visualize": lambda f, i, d: _palsy_command(f, i, d, "visualize"),
    "htnet palsy asymmetry": lambda f, i, d: _palsy_command(f, i, d, "asymmetry"),
}
