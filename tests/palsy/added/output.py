"""Commands that write documents and tables, for tests/cli/test_output.py."""

import dataclasses
import json

import cv2
import pytest

from htnet.hub import save_pretrained
from htnet.models import create_model
from htnet.palsy import PALSY_SPEC, plots
from tests.palsy.faces import palsy_face, save_face


def run_commands(run, root):
    """Run every command of the wing; ``run`` keeps what they write."""
    face, palsy, template = root / "face.png", root / "palsy", ("--landmarks", "template")
    grader = create_model("htnet_palsy_tiny")
    grader.preprocess_spec = dataclasses.replace(PALSY_SPEC, size=grader.config.image_size)
    save_pretrained(grader, palsy)
    (root / "face.json").write_text(json.dumps(palsy_face(1, 1, side=-1).points.five().points.tolist()))
    cv2.imwrite(str(face), palsy_face(1, 1, side=-1).image[..., ::-1])
    for i in range(6):
        save_face(root / "fnp" / f"grade_{i % 6 + 1}" / f"P{i}_0.png", i, i % 6 + 1, side=112)
    run("palsy predict", "palsy", "predict", face, "--weights", palsy, *template, "--json", stdout=True)
    words = ("palsy", "asymmetry", face, "--landmarks", root / "face.json", "--json")
    run("palsy asymmetry", *words, stdout=True)
    words = ("palsy", "predict", root / "fnp", "--weights", palsy, *template, "--out", root / "graded")
    run("palsy predict folder", *words, files=[root / "graded" / "predictions.csv"])
    words = ("palsy", "prepare", root / "fnp", "--out", root / "faces", *template)
    run("palsy prepare", *words, files=[root / "faces" / "report.json"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "plot_maps", lambda maps, out, **how: out)
        run("palsy visualize", "palsy", "visualize", face, "--weights", palsy, *template, "--out", root / "maps.png")
        patch.setattr("htnet.palsy.train_palsy", lambda *of, **how: (None, None))
        words = ("palsy", "train", "--data", root / "faces", "--epochs", "1", "--out", root / "palsy-trained")
        run("palsy train", *words, stdout=True)
    words = ("palsy", "evaluate", "--data", root / "faces", "--weights", palsy, "--out", root / "scores")
    run("palsy evaluate", *words, files=[root / "scores" / name for name in ("summary.json", "predictions.csv")])


DOCUMENTS = {
    "palsy predict": "htnet.palsy_prediction",
    "palsy asymmetry": "htnet.palsy_asymmetry",
    "palsy prepare": "htnet.prepare_report",
    "palsy train": "htnet.command",
    "palsy evaluate": "htnet.palsy_scores",
}
TABLES = ("palsy predict folder", "palsy evaluate")
