"""One row of a manifest gives one input, whoever reads it."""

import dataclasses
import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from htnet import Predictor, cli
from htnet.core.errors import ManifestError, SpecError
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, MicroExpressionDataset, Sample, read_manifest
from htnet.data.prepare import prepare
from htnet.data.reader import SampleReader, extra_inputs
from htnet.hub import save_pretrained
from htnet.models import create_model
from htnet.preprocess import Preprocessor, TemplateLandmarks, write_flow_image
from htnet.training import load_flow_set, predict_set
from tests.support.pairs import POINTS, QUICK, face_pair, pair_manifest, save, tiny_model

AT_LANDMARKS = dataclasses.replace(QUICK, region_points="landmarks")
FILES = {"frames": ("onset", "apex"), "flow": ("flow",), "both": ("onset", "apex", "flow")}


@pytest.fixture
def sample(tmp_path):
    """Frames and a flow image that is not theirs, so it shows which of them was read; no landmarks of its own."""
    rng = np.random.default_rng(0)
    onset, apex = (
        save(tmp_path / f"{name}.png", frame)
        for name, frame in zip(("onset", "apex"), face_pair(1, rng=rng), strict=True)
    )
    other = Preprocessor(QUICK).pair(*face_pair(2, rng=rng), POINTS)
    write_flow_image(tmp_path / "flow.png", other.flow_image)
    return Sample("x", "own", "p0", "positive", onset, apex, tmp_path / "flow.png")


def with_points(sample, folder, frames):
    """The sample with a file of points: px of the onset where it has one, else of the flow image."""
    points = (POINTS + np.array([2, -1])) * (1 if frames else 28 / 64)
    (folder / "points.json").write_text(json.dumps(points.tolist()))
    return dataclasses.replace(sample, landmarks=folder / "points.json")


@pytest.mark.parametrize("spec", [QUICK, AT_LANDMARKS], ids=["at template", "at landmarks"])
@pytest.mark.parametrize("points", [True, False], ids=["own points", "no points"])
@pytest.mark.parametrize("files", FILES)
def test_a_row_gives_one_image_in_training_and_prediction(tmp_path, sample, files, points, spec):
    dropped = {name: None for name in FILES["both"] if name not in FILES[files]}
    row = dataclasses.replace(sample, **dropped)
    row = with_points(row, tmp_path, files != "flow") if points else row
    manifest = Manifest((row,))
    model = tiny_model(spec)
    needed = None if points or files != "frames" else TemplateLandmarks()  # explicit points replace a sample's own
    data = load_flow_set(manifest, spec, needed)
    [answer] = Predictor(model, landmarks=needed or "yunet").manifest(manifest)
    np.testing.assert_array_equal(answer.input.image, data.inputs()[0].numpy())
    assert answer.input.regions_at == ("landmarks" if spec is AT_LANDMARKS and (points or needed) else "template")
    np.testing.assert_allclose(list(answer.probabilities.values()), predict_set(model, data)[0], atol=1e-6)
    made = SampleReader(spec, needed)(row)
    np.testing.assert_array_equal(made.image, answer.input.image)


def test_the_flow_image_wins_and_the_answer_names_it(sample):
    [answer] = Predictor(tiny_model()).manifest([sample])
    np.testing.assert_array_equal(answer.input.flow_image, SampleReader(QUICK)(sample).flow_image)
    assert answer.files.flow_image == str(sample.flow)
    assert answer.files.onset is answer.files.apex is answer.flow is None


def test_points_of_the_onset_are_moved_to_the_flow_image(tmp_path, sample):
    """Where the flow image is that of the frames, its regions are cut where those of the frames are."""
    row = with_points(sample, tmp_path, True)
    made = SampleReader(AT_LANDMARKS).from_frames(row)
    write_flow_image(row.flow, made.flow_image, overwrite=True)
    found = SampleReader(AT_LANDMARKS)(row)
    np.testing.assert_allclose(found.points, made.points, atol=1e-4)
    np.testing.assert_array_equal(found.image, made.image)


def test_preparing_reads_the_frames(tmp_path, sample):
    [made] = prepare(Manifest((sample,)), tmp_path / "out", QUICK, TemplateLandmarks())
    expected = SampleReader(QUICK, TemplateLandmarks()).from_frames(sample)
    np.testing.assert_array_equal(SampleReader(QUICK)(made).flow_image, expected.flow_image)
    assert not np.array_equal(SampleReader(QUICK)(sample).flow_image, expected.flow_image)
    with pytest.raises(ManifestError, match="no onset and apex"):
        SampleReader(QUICK).from_frames(dataclasses.replace(sample, onset=None, apex=None))


@pytest.mark.parametrize("names", [(), ("points",), ("points68",), ("points", "points68")])
def test_extra_inputs_are_those_of_the_set(tmp_path, sample, names):
    row = with_points(sample, tmp_path, True)
    made = [SampleReader(AT_LANDMARKS, extras=names)(row)] * 2
    found = extra_inputs(made, names, AT_LANDMARKS)
    data = load_flow_set(Manifest((row,)), AT_LANDMARKS, extras=names)
    for name, values in data.extras(names).items():
        assert torch.equal(found[name][:1], values)
    assert found.keys() == set(names)


def test_a_reader_is_pickled_as_it_was_told(sample):
    reader = SampleReader(QUICK, "template")
    reader.from_frames(sample)
    again = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(again.from_frames(sample).image, reader.from_frames(sample).image)


# A prepared folder was made by one spec; what reads another is refused.


@pytest.fixture
def prepared(tmp_path):
    made = dataclasses.replace(QUICK, clahe=True)
    prepare(pair_manifest(tmp_path / "frames", 3), tmp_path / "made", made, TemplateLandmarks())
    return read_manifest(tmp_path / "made" / "manifest.csv"), made


READERS = {
    "prediction": lambda manifest, spec: list(Predictor(tiny_model(spec)).manifest(manifest)),
    "prediction that skips errors": lambda manifest, spec: list(
        Predictor(tiny_model(spec)).manifest(manifest, on_error=lambda sample, error: None)
    ),
    "a subset": lambda manifest, spec: list(Predictor(tiny_model(spec)).manifest(manifest.subset([1]))),
    "samples alone": lambda manifest, spec: list(Predictor(tiny_model(spec)).manifest(list(manifest))),
    "one flow image": lambda manifest, spec: Predictor(tiny_model(spec)).flow_image(manifest.samples[0].flow),
    "the reader": lambda manifest, spec: [SampleReader(spec)(sample) for sample in manifest],
}


def test_a_training_takes_over_how_the_folder_was_made(prepared):
    manifest, made = prepared
    asked = PreprocessSpec(layout="whole", clip_frames=2)
    assert load_flow_set(manifest, asked).spec == dataclasses.replace(made, layout="whole", clip_frames=2)


@pytest.mark.parametrize("where", ["another file", "memory", "a folder of its own"])
def test_a_training_on_its_images_from_elsewhere_takes_that_over_too(prepared, tmp_path, where):
    manifest, made = prepared
    if where == "memory":
        manifest = Manifest(manifest.samples[:2])
    elif where == "another file":
        manifest = dataclasses.replace(manifest, source="mine.csv")
    else:
        (tmp_path / "own").mkdir()
        manifest.write(tmp_path / "own" / "mine.csv")
        manifest = read_manifest(tmp_path / "own" / "mine.csv")
    assert load_flow_set(manifest, PreprocessSpec(layout="whole")).spec == dataclasses.replace(made, layout="whole")
    assert MicroExpressionDataset(manifest)[0]["image"].shape == (3, 28, 28)


def test_images_of_two_folders_made_in_two_ways_are_refused(prepared, tmp_path):
    manifest, made = prepared
    others = prepare(pair_manifest(tmp_path / "b", 3), tmp_path / "other", QUICK, TemplateLandmarks())
    both = (manifest.samples[0], dataclasses.replace(others.samples[1], sample="other"))
    with pytest.raises(
        SpecError, match=r"made and in .*other were computed with different settings: clahe is True and False"
    ):
        load_flow_set(Manifest(both), PreprocessSpec())
    same = prepare(pair_manifest(tmp_path / "c", 3), tmp_path / "same", made, TemplateLandmarks())
    both = (manifest.samples[0], dataclasses.replace(same.samples[1], sample="same"))
    assert load_flow_set(Manifest(both), PreprocessSpec()).spec.clahe


def test_a_folder_that_is_prepared_anew_is_looked_at_again(prepared, tmp_path):
    manifest, made = prepared
    predictor = Predictor(tiny_model(made))
    assert len(list(predictor.manifest(manifest))) == 3
    shutil.rmtree(tmp_path / "made")
    prepare(read_manifest(tmp_path / "frames" / "manifest.csv"), tmp_path / "made", QUICK, TemplateLandmarks())
    with pytest.raises(SpecError, match="clahe is False, not True"):
        list(predictor.manifest(manifest))


@pytest.mark.parametrize("reader", READERS)
def test_images_made_in_another_way_are_refused(prepared, reader):
    manifest, made = prepared
    READERS[reader](manifest, dataclasses.replace(made, layout="whole", clip_frames=2))
    with pytest.raises(SpecError, match="clahe is True, not False") as caught:
        READERS[reader](manifest, QUICK)
    assert "resolve_spec" in str(caught.value)
    assert "computed with other settings" in str(caught.value)
    with pytest.raises(SpecError, match=r"flow is 'dis', not 'tvl1'; clahe is True"):
        READERS[reader](manifest, PreprocessSpec(face_size=64))


def test_the_command_refuses_them(prepared, tmp_path, capsys):
    manifest, made = prepared
    model = create_model("htnet_tiny")
    for name, spec in (("same", made), ("other", QUICK)):
        model.preprocess_spec = spec
        save_pretrained(model, tmp_path / name)
    words = ["predict", "--manifest", manifest.source, "--out"]
    assert cli.main([*words, str(tmp_path / "a.csv"), "--weights", str(tmp_path / "same")]) == 0
    for more in ([], ["--skip-errors"]):
        assert cli.main([*words, str(tmp_path / "b.csv"), "--weights", str(tmp_path / "other"), *more]) != 0
        assert "clahe is True, not False" in capsys.readouterr().err
        assert not (tmp_path / "b.csv").exists()
