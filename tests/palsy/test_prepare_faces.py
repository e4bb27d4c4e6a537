"""Preparing graded faces: aligned faces, splits, and what could not be read."""

import dataclasses
import json
import re

import cv2
import numpy as np
import pytest

from htnet import cli
from htnet.core.errors import LandmarkError, ManifestError, RunError
from htnet.core.parallel import locked
from htnet.core.types import Landmarks
from htnet.data import read_manifest
from htnet.data.prepare import read_report
from htnet.palsy import PALSY_SPEC, align_face, face_spec, palsy_landmarker, prepare_faces, read_palsy
from htnet.preprocess import PrecomputedLandmarks, TemplateLandmarks, transform_points
from tests.palsy.faces import SIDE, palsy_face, read_json, save_face, write_csv, write_fnp, write_small_fnp

SMALL = dataclasses.replace(PALSY_SPEC, size=32, face_size=32)


def prepare(source, out, **options):
    return prepare_faces(read_palsy(source), out, "template", spec=SMALL, **options)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def test_prepared_folder_reads_back(tmp_path):
    source = write_small_fnp(tmp_path / "fnp", {f"P{i}": [i % 6 + 1, 1] for i in range(10)})
    made = prepare(source, tmp_path / "out", test=0.3)
    read = read_manifest(tmp_path / "out" / "manifest.csv", need_label=True)
    assert [dataclasses.replace(s, image=s.image.resolve()) for s in read] == [
        dataclasses.replace(s, image=s.image.resolve()) for s in made
    ]
    assert read.classes == ("I", "II", "III", "IV", "V", "VI")
    assert face_spec(tmp_path / "out") == SMALL
    assert {s.split for s in read} == {"train", "test"}
    of = {}
    assert all(of.setdefault(s.subject, s.split) == s.split for s in read)
    report = read_json(tmp_path / "out" / "report.json")
    assert sum(row["images"] for row in report["splits"].values()) == len(read) == 20
    assert cv2.imread(str(made.samples[0].image)).shape == (32, 32, 3)


def test_again_and_in_processes_gives_the_same_bytes(tmp_path):
    source = write_small_fnp(tmp_path / "fnp", {f"P{i}": [i % 6 + 1] for i in range(8)})
    prepare(source, tmp_path / "a")
    first = contents(tmp_path / "a")
    prepare(source, tmp_path / "a")
    assert contents(tmp_path / "a") == first
    prepare(source, tmp_path / "b", workers=2)
    assert contents(tmp_path / "b") == first


class Asked:
    """The template, and the images it was asked for."""

    def __init__(self, shift=0.0):
        self.shift = shift
        self._samples = []

    def __call__(self, frame, sample=""):
        self._samples.append(sample)
        found = palsy_landmarker("template", SMALL)(frame)
        return dataclasses.replace(found, points=found.points + np.float32(self.shift))

    def answers(self):
        asked, self._samples = self._samples, []
        return asked


@pytest.mark.slow
def test_interrupted_work_goes_on_and_only_what_changed_is_made_again(tmp_path):
    source, out = write_small_fnp(tmp_path / "fnp", {f"P{i}": [i % 3 + 1] for i in range(6)}), tmp_path / "out"
    names, finder = sorted(s.sample for s in read_palsy(source)), Asked()

    def stop_after_two(samples):
        for number, sample in enumerate(samples):
            if number == 2:
                raise KeyboardInterrupt
            yield sample

    with pytest.raises(KeyboardInterrupt):
        prepare_faces(read_palsy(source), out, finder, spec=SMALL, progress=stop_after_two)
    assert not (out / "manifest.csv").exists()
    begun = finder.answers()
    assert len(begun) in (2, 3)
    prepare_faces(read_palsy(source), out, finder, spec=SMALL)
    again = finder.answers()
    # The one that was being handed over may be there already.
    assert len(again) <= len(names) - 2
    assert sorted({*begun, *again}) == names
    prepare_faces(read_palsy(source), tmp_path / "whole", Asked(), spec=SMALL)
    assert contents(out) == contents(tmp_path / "whole")

    prepare_faces(read_palsy(source), out, finder, spec=SMALL)
    assert finder.answers() == []
    save_face(source / "grade_2" / "P1_0.png", side=40)
    (out / "faces" / "grade_3_P2_0.png").write_bytes(b"half a fa")
    (out / "keys" / "grade_1_P0_0.json").unlink()
    prepare_faces(read_palsy(source), out, finder, spec=SMALL)
    assert sorted(finder.answers()) == ["grade_1/P0_0", "grade_2/P1_0", "grade_3/P2_0"]
    other = Asked(shift=1.5)
    prepare_faces(read_palsy(source), out, other, spec=SMALL)
    assert sorted(other.answers()) == names, "points from elsewhere"


def test_unreadable_images_are_listed_and_the_rest_is_done(tmp_path):
    source = write_small_fnp(tmp_path / "fnp", {f"P{i}": [i % 3 + 1] for i in range(6)})
    (source / "grade_2" / "P1_0.png").write_bytes(b"no image")
    cut = source / "grade_1" / "P0_0.png"
    cut.write_bytes(cut.read_bytes()[:-20])
    made = prepare(source, tmp_path / "out")
    report = read_report(tmp_path / "out")
    assert len(made) == report.prepared == 4
    assert set(report.failed) == {"grade_1/P0_0", "grade_2/P1_0"}
    assert "cut off" in report.failed["grade_1/P0_0"]
    assert "P1_0.png" in report.failed["grade_2/P1_0"]


@pytest.mark.slow
def test_repairing_an_image_moves_nobody(tmp_path):
    source = tmp_path / "fnp"
    for i in range(9):
        for k in range(2):
            save_face(source / f"grade_{i % 3 + 1}" / f"P{i}_{k}.png", 2 * i + k, i % 3 + 1, side=112)
    broken = source / "grade_1" / "P0_0.png"
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    before = {s.subject: s.split for s in prepare(source, tmp_path / "out")}
    broken.write_bytes(whole)
    after = {s.subject: s.split for s in prepare(source, tmp_path / "out")}
    assert after == before


def test_missing_files_of_a_table_are_listed(tmp_path):
    rows = [{"image_path": f"P{i}_0.png", "grade": i + 1} for i in range(3)]
    for i, row in enumerate(rows[:2]):
        save_face(tmp_path / row["image_path"], i)
    made = prepare(write_csv(tmp_path / "t.csv", rows), tmp_path / "out")
    assert len(made) == 2
    assert read_report(tmp_path / "out").missing == ("P2_0",)


def test_given_splits_are_kept(tmp_path):
    rows = [
        {"image_path": f"P{i}_0.png", "grade": 1, "split": s} for i, s in enumerate(("test", "test", "train", "val"))
    ]
    for i, row in enumerate(rows):
        save_face(tmp_path / row["image_path"], i, side=24)
    made = prepare(write_csv(tmp_path / "t.csv", rows), tmp_path / "out")
    assert [s.split for s in made] == ["test", "test", "train", "val"]
    half = dataclasses.replace(made, samples=(dataclasses.replace(made.samples[0], split=""), *made.samples[1:]))
    with pytest.raises(ManifestError, match="'P0_0' has no split, but others have"):
        prepare_faces(half, tmp_path / "other", "template", spec=SMALL)


def test_nothing_readable_is_an_error_with_the_reasons(tmp_path):
    source = write_small_fnp(tmp_path / "fnp", {"P1": [1], "P2": [2]})
    for path in source.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ManifestError, match=r"no image could be prepared.*report.json(?s:.*)failed: 2 samples"):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.csv").exists()


def test_other_alignment_and_other_process_are_refused(tmp_path):
    source = write_small_fnp(tmp_path / "fnp", {"P1": [1], "P2": [2]})
    prepare(source, tmp_path / "out")
    with pytest.raises(ManifestError, match="aligned with another spec"):
        prepare_faces(read_palsy(source), tmp_path / "out", "template")
    with locked(tmp_path / "out"), pytest.raises(RunError, match="Another process"):
        prepare(source, tmp_path / "out")
    with pytest.raises(ManifestError, match="not a folder of prepared faces"):
        face_spec(source)


def test_template_leaves_cropped_faces_where_they_are():
    image = palsy_face(1, 4).image
    face, points = align_face(image, palsy_landmarker("template", PALSY_SPEC), PALSY_SPEC)
    assert np.abs(face.pixels.astype(int) - image).max() <= 1
    assert points.source == "template"


def test_points_bring_a_face_to_the_template():
    drawn = palsy_face(1, 4)
    matrix = np.array([[0.7, -0.2, 60.0], [0.2, 0.7, 10.0]])
    moved = cv2.warpAffine(drawn.image, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA)
    points = transform_points(matrix, drawn.points.five().points).astype(np.float32)
    here, _ = align_face(drawn.image, lambda frame, sample: drawn.points.five(), PALSY_SPEC)
    there, _ = align_face(moved, lambda frame, sample: Landmarks(points, "moved"), PALSY_SPEC)
    middle = slice(40, 190)
    assert np.abs(here.pixels.astype(float) - there.pixels)[middle, middle].mean() < 8


def test_points_from_a_table(tmp_path):
    rows = write_fnp(tmp_path, 2, 1, portraits=0)
    finder = PrecomputedLandmarks(tmp_path / "landmarks.csv")
    made = prepare_faces(read_palsy(tmp_path), tmp_path / "out", finder, spec=SMALL, test=0.5)
    assert len(made) == len(rows) == 2


def test_no_face_is_of_one_image(tmp_path):
    source = write_small_fnp(tmp_path / "fnp", {"P1": [1], "P2": [2], "P3": [3]})

    def finder(frame, sample=""):
        if "P2" in sample:
            raise LandmarkError("no face here")
        return TemplateLandmarks()(frame)

    made = prepare_faces(read_palsy(source), tmp_path / "out", finder, spec=SMALL, test=0.34)
    assert len(made) == 2
    assert json.loads((tmp_path / "out" / "report.json").read_text())["failed"]["samples"] == {
        "grade_2/P2_0": "Sample 'grade_2/P2_0': no face here"
    }


def test_palsy_prepare_does_not_relabel_or_resplit(tmp_path, capsys):
    for i, grade in enumerate((1, 1, 4, 4)):
        save_face(tmp_path / "faces" / f"grade_{grade}" / f"P{i}_0.png", i, grade, side=60)
    words = ["palsy", "prepare", str(tmp_path / "faces"), "--landmarks", "template", "--out", str(tmp_path / "d")]
    assert cli.main(words) == 0
    before = (tmp_path / "d" / "manifest.csv").read_bytes()
    for more in (["--classes", "3"], ["--test", "1"]):
        assert cli.main([*words, *more]) == 2
        assert "--overwrite" in capsys.readouterr().err
        assert (tmp_path / "d" / "manifest.csv").read_bytes() == before
    assert cli.main(words) == 0
    assert cli.main([*words, "--test", "1", "--overwrite"]) == 0
    assert (tmp_path / "d" / "manifest.csv").read_bytes() != before


@pytest.mark.parametrize("again", ["faces/../faces/p0.png", "other/p0.png"])
def test_an_image_that_is_listed_twice_is_refused(tmp_path, again):
    """The names differ, but the picture would count twice."""
    (tmp_path / "faces").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "faces")
    for name in ("p0", "p1"):
        save_face(tmp_path / "faces" / f"{name}.png", 1)
    text = "image_path,grade,patient\nfaces/p0.png,1,a\nfaces/p1.png,2,b\n"
    (tmp_path / "m.csv").write_text(text)
    assert len(read_palsy(tmp_path / "m.csv")) == 2
    (tmp_path / "m.csv").write_text(f"{text}{again},1,a\n")
    with pytest.raises(ManifestError, match=rf"m\.csv, line 4: {re.escape(again)} is the image of line 2\. Delete one"):
        read_palsy(tmp_path / "m.csv")
