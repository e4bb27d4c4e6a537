"""From trained weights to grades: training, evaluation, prediction, pictures."""

import ast
import csv
import dataclasses
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import htnet.palsy
from htnet import Predictor
from htnet.core.errors import FrameError, InputError, ManifestError, ModelError, WeightsError
from htnet.core.provenance import Provenance
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.hub import RESEARCH_ONLY, load_pretrained, save_pretrained
from htnet.models import create_model
from htnet.palsy import (
    PALSY_SPEC,
    FaceAugmentation,
    FaceSet,
    GradePredictor,
    check_face_model,
    evaluate_palsy,
    face_asymmetry,
    load_face_set,
    palsy_landmarker,
    predict_faces,
    prepare_faces,
    score_table,
    train_palsy,
)
from htnet.palsy.plots import plot_asymmetry, plot_confusion, plot_grade, plot_maps
from htnet.pipeline.plots import save_figure
from htnet.training import TrainingJob, get_recipe
from tests.palsy.faces import palsy_face, read_json, save_face
from tests.support.pairs import tiny_model

SMALL = dataclasses.replace(PALSY_SPEC, size=28, face_size=48)
CLASSES = ("I-II", "III-IV", "V-VI")
SETTINGS = {"image_size": 28, "dim": 16, "block_repeats": (1, 1, 2)}
RECIPE = get_recipe("palsy", epochs=2, batch_size=4)
JOB = TrainingJob("htnet_palsy_tiny", RECIPE, settings=SETTINGS)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Nine small faces of nine people, three a class."""
    folder = tmp_path_factory.mktemp("faces")
    samples = [
        Sample(
            f"s{i}", subject=f"p{i}", label=CLASSES[i % 3], image=save_face(folder / f"s{i}.png", i, 2 * (i % 3) + 1)
        )
        for i in range(9)
    ]
    manifest = Manifest(tuple(samples), CLASSES)
    return manifest, load_face_set(manifest, SMALL)


@pytest.fixture(scope="module")
def trained(graded, tmp_path_factory):
    out = tmp_path_factory.mktemp("weights") / "palsy"
    model, report = train_palsy(*graded, out, JOB)
    assert report is None
    return model, out


def test_weights_folder_gives_the_same_answers(graded, trained):
    model, out = trained
    assert model.labels == CLASSES
    again = load_pretrained(out)
    assert again.labels == CLASSES
    assert again.preprocess_spec == SMALL
    assert torch.equal(predict_faces(again, graded[1]), predict_faces(model, graded[1]))
    config = read_json(out / "config.json")
    assert config["recipe"]["augmentation"]["of"] == "face"
    assert config["training"]["subjects"] == 9
    assert not (out / ".training.pt").exists()


def test_same_seed_same_weights(graded, trained, tmp_path):
    again, _ = train_palsy(*graded, tmp_path / "a", JOB)
    other, _ = train_palsy(*graded, tmp_path / "b", dataclasses.replace(JOB, seed=1))
    own = trained[0].state_dict()
    assert all(torch.equal(value, own[name]) for name, value in again.state_dict().items())
    assert not all(torch.equal(value, own[name]) for name, value in other.state_dict().items())


def test_transfer_starts_from_the_source_and_reports(graded, tmp_path):
    source = create_model("htnet_tiny", dim=16)
    source.preprocess_spec = PreprocessSpec()
    folder = save_pretrained(source, tmp_path / "micro", training={"license": RESEARCH_ONLY})
    recipe = get_recipe(RECIPE, epochs=1, lr=1e-12, weight_decay=0.0, ema_decay=0.0)
    model, report = train_palsy(*graded, tmp_path / "out", dataclasses.replace(JOB, recipe=recipe, start=folder))
    assert "patch_embed.weight" in report.loaded
    assert "head.weight" in report.left_out
    assert torch.allclose(model.patch_embed.weight, source.patch_embed.weight, atol=1e-6)
    provenance = Provenance.from_dict(read_json(tmp_path / "out" / "config.json")["provenance"])
    assert provenance.started_from == "micro"
    assert provenance.license_in_words == RESEARCH_ONLY + "; besides, that of the training data"
    again, report = train_palsy(*graded, tmp_path / "more", dataclasses.replace(JOB, recipe=recipe, start=model))
    assert "head.weight" in report.loaded, "the same classes"
    assert torch.allclose(again.head.weight, model.head.weight, atol=1e-6)


def test_models_and_data_that_do_not_fit_are_named(graded, tmp_path):
    manifest, data = graded
    with pytest.raises(ModelError, match="htnet_tiny reads flow images, not faces. Choose a model for faces"):
        train_palsy(manifest, data, tmp_path, dataclasses.replace(JOB, model="htnet_tiny", settings={}))
    with pytest.raises(ModelError, match="reads faces of 112 px, but the data are of 28 px"):
        train_palsy(manifest, data, tmp_path)
    with pytest.raises(ManifestError, match="9 samples, but the data have 2"):
        train_palsy(manifest, data.subset([0, 1]), tmp_path, JOB)
    with pytest.raises(ManifestError, match="images of two or more"):
        train_palsy(manifest.subset([0, 3]), data.subset([0, 3]), tmp_path, JOB)
    with pytest.raises(ModelError, match="reads flow images"):
        GradePredictor(tiny_model())
    with pytest.raises(ModelError, match=r"reads a single face, not the flow.*htnet\.palsy\.GradePredictor\('"):
        Predictor(create_model("htnet_palsy_tiny", **SETTINGS))
    bare = create_model("htnet_palsy_tiny", **SETTINGS)
    with pytest.raises(WeightsError, match="does not specify how its faces are aligned"):
        GradePredictor(bare, landmarks="template")
    check_face_model(bare)


def test_batch_of_one_in_training_is_a_clear_error(graded, tmp_path):
    manifest, data = graded
    with pytest.raises(ModelError, match="batch of one in training"):
        train_palsy(manifest, data, tmp_path, dataclasses.replace(JOB, recipe=get_recipe(RECIPE, batch_size=1)))


def test_evaluation_writes_what_it_says(graded, trained, tmp_path):
    manifest, data = graded
    scores = evaluate_palsy(
        trained[0], manifest, data, tmp_path, resamples=50, described={"split": "test"}, allow_trained=True
    )
    with (tmp_path / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["sample"] for row in rows] == [s.sample for s in manifest]
    found = np.array([[float(row[f"probability_{c}"]) for c in CLASSES] for row in rows])
    assert np.allclose(found, predict_faces(trained[0], data).numpy(), atol=1e-5)
    assert [row["prediction"] for row in rows] == [CLASSES[i] for i in found.argmax(1)]
    summary = read_json(tmp_path / "summary.json")
    right = sum(row["truth"] == row["prediction"] for row in rows)
    assert summary["accuracy"] == scores.accuracy == pytest.approx(right / 9)
    assert summary["split"] == "test"
    assert np.array(summary["confusion"]).sum() == 9
    assert summary["num_patients"] == 9
    text = score_table(scores)
    assert "quadratic-weighted kappa" in text
    assert all(name in text for name in CLASSES)


def test_evaluation_refuses_other_classes(graded, trained, tmp_path):
    manifest, data = graded
    other = dataclasses.replace(manifest, classes=(*CLASSES, "more"))
    with pytest.raises(ManifestError, match="has the classes I-II, III-IV, V-VI, more, but the model predicts"):
        evaluate_palsy(trained[0], other, data, tmp_path)
    with pytest.raises(ManifestError, match="Load them together"):
        evaluate_palsy(trained[0], manifest, data.subset([0]), tmp_path)


def test_answers_do_not_depend_on_the_batch(graded, trained):
    whole = predict_faces(trained[0], graded[1])
    for size in (1, 4):
        assert torch.allclose(predict_faces(trained[0], graded[1], size), whole, atol=1e-5)


@pytest.fixture(scope="module")
def predictor(trained):
    return GradePredictor(trained[0], landmarks="template")


def test_one_image_is_graded_as_in_its_set(graded, predictor):
    manifest, data = graded
    whole = predict_faces(predictor.model, data)
    for i in (0, 4):
        prediction = predictor.image(manifest.samples[i].image)
        assert np.allclose(list(prediction.probabilities.values()), whole[i], atol=1e-4)
        assert prediction.label == CLASSES[int(whole[i].argmax())]
        assert prediction.grade.startswith(f"House-Brackmann {prediction.label} (")
        assert prediction.to_dict()["files"]["image"] == str(manifest.samples[i].image)


def test_folder_goes_on_after_a_bad_image(graded, predictor, tmp_path):
    for i in range(3):
        save_face(tmp_path / "deep" / f"{i}.png", i)
    (tmp_path / "bad.jpg").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("no image")
    found = list(predictor.folder(tmp_path))
    assert len(found) == 4
    assert found[0][0] == str(tmp_path / "bad.jpg")
    assert isinstance(found[0][1], FrameError)
    assert [p.source for p in found[1:]] == [str(tmp_path / "deep" / f"{i}.png") for i in range(3)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FrameError, match="empty contains no images"):
        predictor.folder(tmp_path / "empty")


def test_maps_belong_to_the_answer(graded, predictor, tmp_path):
    image = graded[0].samples[5].image
    maps = predictor.maps(image)
    assert maps.prediction.probabilities == pytest.approx(predictor.image(image).probabilities, abs=1e-5)
    assert maps.roi_maps.shape == (5, 4, 4)
    assert maps.roi_mask.shape == (4, 4)
    assert [m.shape for m in maps.asymmetry] == [(1, 1)]
    assert 0 <= maps.roi_maps.min() <= maps.roi_maps.max() <= 1
    picture = cv2.imread(str(save_figure(plot_maps(maps), tmp_path / "maps.png")))
    assert picture.shape[1] > picture.shape[0] > 300


@pytest.mark.slow
def test_second_design_offers_maps_too(tmp_path):
    model = create_model("htnet_enhanced_tiny", image_size=56, dim=16, num_classes=6)
    model.preprocess_spec = dataclasses.replace(PALSY_SPEC, size=56)
    maps = GradePredictor(model, landmarks="template").maps(palsy_face(1, 3).image)
    assert maps.roi_maps.ndim == 3
    assert maps.roi_mask.ndim == 2
    plot_maps(maps, tmp_path / "maps.png")
    assert (tmp_path / "maps.png").is_file()


def test_model_without_maps_says_so(graded):
    class Plain(torch.nn.Module):
        input_kind = "face"
        name = "plain"
        preprocess_spec = SMALL

        def forward(self, x):
            return x.mean((2, 3))

    predictor = GradePredictor.__new__(GradePredictor)
    predictor.model = Plain()
    with pytest.raises(ModelError, match="plain offers no maps. Use a model that does: .*htnet_palsy"):
        predictor.maps(graded[0].samples[0].image)


@pytest.mark.slow
def test_pictures_show_their_numbers(graded, predictor, tmp_path):
    image = graded[0].samples[0].image
    prediction = predictor.image(image)
    one = cv2.imread(str(save_figure(plot_grade(prediction, image), tmp_path / "new" / "a.png")))
    other = dataclasses.replace(prediction, label="V-VI", probabilities={"I-II": 0.1, "III-IV": 0.1, "V-VI": 0.8})
    two = cv2.imread(str(save_figure(plot_grade(other, image), tmp_path / "b.png")))
    assert one.shape == two.shape
    assert not np.array_equal(one, two)
    matrices = [[[5, 1], [0, 4]], [[1, 5], [4, 0]]]
    drawn = [
        cv2.imread(str(save_figure(plot_confusion(m, ("I", "II"), title="t"), tmp_path / f"{i}.png")))
        for i, m in enumerate(matrices)
    ]
    assert not np.array_equal(*drawn)
    report = face_asymmetry(palsy_face(1, 5).image, palsy_face(1, 5).points)
    plot_asymmetry(report, tmp_path / "c.png")
    assert (tmp_path / "c.png").is_file()
    five = face_asymmetry(palsy_face(1, 5).image, palsy_landmarker("template", PALSY_SPEC))
    assert save_figure(plot_asymmetry(five), tmp_path / "d.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(InputError, match=r"a\.xyz"):
        plot_grade(prediction, image, tmp_path / "a.xyz")


@pytest.mark.slow
def test_grades_of_unseen_people_can_be_learned():
    """The extremes only, small and short; benchmarks/palsy_end_to_end.py trains on all grades."""

    def make(people, seed):
        found = [(palsy_face(seed + p, grade, side=1), grade) for p in range(people) for grade in (1, 6)]
        size = 56
        images = [cv2.resize(f.image, (size, size), interpolation=cv2.INTER_AREA) for f, _ in found]
        tensor = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
        labels = torch.tensor([int(g == 6) for _, g in found])
        return FaceSet(tensor, labels, 2, dataclasses.replace(PALSY_SPEC, size=size))

    from htnet.training import train_model

    light = FaceAugmentation(mixup=0, erase=0)
    recipe = get_recipe("palsy", epochs=14, batch_size=16, augmentation=light)
    model, _ = train_model("htnet_palsy_tiny", make(60, 0), recipe, settings={"num_classes": 2, "image_size": 56})
    test = make(20, 10_000)
    assert (predict_faces(model, test).argmax(1) == test.labels).float().mean() >= 0.85


def test_old_arguments_work_with_a_warning(tmp_path):
    model = create_model("htnet_palsy_tiny").eval()
    model.preprocess_spec = SMALL
    with pytest.warns(DeprecationWarning, match=r"GradePredictor\(model=\.\.\.\) is deprecated .* use weights="):
        GradePredictor(model=model, landmarks="template")
    nothing = Manifest((), ("I", "II"), "nothing")
    with (
        pytest.warns(DeprecationWarning, match=r"prepare_faces\(jobs=\.\.\.\) is deprecated .* use workers="),
        pytest.raises(ManifestError),
    ):
        prepare_faces(nothing, tmp_path / "a", jobs=1)
    with (
        pytest.warns(DeprecationWarning, match=r"train_palsy\(source=\.\.\.\) is deprecated .* use start="),
        pytest.raises(ManifestError),
    ):
        train_palsy(nothing, FaceSet(torch.zeros(0), torch.zeros(0), 2, SMALL), tmp_path / "b", source=None)


def test_names_load_from_where_type_checkers_are_told():
    tree = ast.parse(Path(htnet.palsy.__file__).read_text("utf-8"))
    told = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("htnet.palsy.")
        for alias in node.names
    }
    assert set(told) == set(htnet.palsy.__all__)
    assert all(getattr(htnet.palsy, name) is getattr(import_module(where), name) for name, where in told.items())
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = htnet.palsy.no_such_name
