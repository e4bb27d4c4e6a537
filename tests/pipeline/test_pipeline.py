"""From frames to predictions."""

import dataclasses
import json
import random
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

import htnet
from htnet import Predictor, predict
from htnet.core.errors import FrameError, InputError, LandmarkError, ManifestError, ModelError, WeightsError
from htnet.core.optional import named_device, usable_device
from htnet.core.registry import input_kind
from htnet.core.types import EMOTIONS, Landmarks, PreprocessSpec
from htnet.data import Manifest, Sample, read_manifest
from htnet.evaluation import EvaluationPlan
from htnet.hub import list_pretrained, save_pretrained
from htnet.models import create_model
from htnet.pipeline.doubts import clearness
from htnet.preprocess import TemplateLandmarks
from htnet.training import TrainingJob, get_recipe
from tests.support.pairs import POINTS, QUICK, face_pair, pair_manifest, save, tiny_model

AT_LANDMARKS = dataclasses.replace(QUICK, region_points="landmarks")


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture
def pair():
    return face_pair()


def chances(prediction):
    return list(prediction.probabilities.values())


def close(a, b):
    return chances(a) == pytest.approx(chances(b), abs=1e-5)


def test_prediction_holds_everything(model, pair):
    found = predict(*pair, weights=model, landmarks="template")
    assert list(found.probabilities) == list(EMOTIONS)
    assert sum(chances(found)) == pytest.approx(1, abs=1e-5)
    assert found.label == max(found.probabilities, key=found.probabilities.get)
    assert found.landmarks.source == "template"
    assert np.allclose(found.landmarks.points, POINTS, atol=1e-4)
    assert found.flow.uv.shape == (2, QUICK.face_size, QUICK.face_size)
    assert found.flow.method == "dis"
    assert found.input.flow_image.shape == (28, 28, 3)
    assert found.input.regions_at == "template"
    assert found.model == "htnet_tiny"
    with torch.no_grad():
        logits = model(torch.from_numpy(found.input.image)[None])
    assert chances(found) == pytest.approx(logits.softmax(1)[0].tolist(), abs=1e-6)


def test_flow_points_where_the_face_moves():
    spec = PreprocessSpec(face_size=96)
    onset = face_pair(side=96)[0]
    found = predict(onset, np.roll(onset, 1, axis=1), weights=tiny_model(spec), landmarks="template")
    inner = found.flow.uv[:, 24:72, 24:72]
    assert np.median(inner[0]) == pytest.approx(1, abs=0.15)
    assert np.median(inner[1]) == pytest.approx(0, abs=0.1)


def test_every_way_to_give_landmarks(model, pair, tmp_path, rng):
    points = POINTS + rng.uniform(-1, 1, (5, 2))
    (tmp_path / "points.json").write_text(json.dumps(points.tolist()))
    expected = predict(*pair, weights=model, landmarks=points)
    assert not close(expected, predict(*pair, weights=model, landmarks="template")), "points must matter"

    def landmarker(frame, sample=""):
        return Landmarks(points.astype(np.float32), "my own")

    ways = [
        points.tolist(),
        Landmarks(points, "mine"),
        tmp_path / "points.json",
        str(tmp_path / "points.json"),
        landmarker,
    ]
    for way in ways:
        assert close(predict(*pair, weights=model, landmarks=way), expected), way
    assert predict(*pair, weights=model, landmarks=landmarker).landmarks.source == "my own"
    given = Predictor(model).pair(*pair, tmp_path / "points.json")
    assert close(given, expected)
    assert str(tmp_path / "points.json") in given.landmarks.source
    assert close(
        Predictor(model, landmarks=TemplateLandmarks()).pair(*pair), predict(*pair, weights=model, landmarks=POINTS)
    )


def test_arrays_and_files_agree(model, pair, tmp_path):
    onset, apex = save(tmp_path / "onset.png", pair[0]), save(tmp_path / "apex.png", pair[1])
    expected = predict(*pair, weights=model, landmarks="template")
    assert close(predict(onset, str(apex), weights=model, landmarks="template"), expected)


def test_model_by_folder_and_by_object(model, pair, tmp_path):
    folder = save_pretrained(model, tmp_path / "weights")
    expected = predict(*pair, weights=model, landmarks="template")
    found = predict(*pair, weights=folder, landmarks="template")
    assert close(found, expected)
    assert found.model == str(folder)


def test_model_in_another_precision(model, pair, tmp_path):
    folder = save_pretrained(model, tmp_path / "weights")
    double = htnet.load_pretrained(folder, dtype=torch.float64)
    assert close(
        predict(*pair, weights=double, landmarks="template"), predict(*pair, weights=model, landmarks="template")
    )


def test_own_labels(pair):
    model = tiny_model(num_classes=2)
    model.labels = ("calm", "not calm")
    assert set(predict(*pair, weights=model, landmarks="template").probabilities) == {"calm", "not calm"}


def test_model_that_does_not_know_its_input():
    with pytest.raises(WeightsError, match="Set model.preprocess_spec"):
        Predictor(create_model("htnet_tiny"))


def test_many_pairs_in_memory(model, pair, tmp_path):
    onset, apex = pair
    predictor = Predictor(model, landmarks="template")
    file = save(tmp_path / "apex.png", apex)
    given = [pair, (torch.from_numpy(onset), file.read_bytes()), (onset, onset)]
    found = predictor.pairs(given, [POINTS, None, None], ["a", "b", "c"], batch_size=2)
    assert [one.sample for one in found] == ["a", "b", "c"]
    for one, (frames, points) in zip(found, zip(given, [POINTS, None, None], strict=True), strict=True):
        assert close(one, predictor.pair(*frames, points))
    assert predictor.pairs([]) == []
    broken = [pair, (onset, b"no picture"), pair]
    with pytest.raises(FrameError, match=r"^pair 1: .*is not an image"):
        predictor.pairs(broken)
    errors = []
    kept = predictor.pairs(broken, on_error=lambda number, error: errors.append((number, type(error))))
    assert (len(kept), errors) == (2, [(1, FrameError)])
    for wrong, message in (
        ("a.png", "list of"),
        (pair, "pair 0 is not"),
        (onset, "list of"),
        ([(onset,)], "pair 0 is not"),
        (7, "list of"),
    ):
        with pytest.raises(InputError, match=message):
            predictor.pairs(wrong)
    with pytest.raises(InputError, match="samples has 1 entries for 2 pairs"):
        predictor.pairs([pair, pair], samples=["a"])


def test_pairs_are_read_when_they_are_asked_about(model, pair):
    predictor = Predictor(model, landmarks="template")
    read = []

    def made(count):
        for number in range(count):
            read.append(number)
            yield pair

    found = predictor.iter_pairs(made(7), batch_size=2)
    assert read == []
    assert close(next(found), predictor.pair(*pair))
    assert read == [0, 1]
    assert len(list(found)) == 6
    with pytest.raises(InputError, match="samples has 3 entries for 2 pairs"):
        list(predictor.iter_pairs(made(2), samples=["a", "b", "c"]))
    with pytest.raises(InputError, match="samples has 1 entries, but there are more pairs"):
        list(predictor.iter_pairs(made(2), samples=["a"]))
    with pytest.raises(InputError, match="batch_size"):
        predictor.iter_pairs(made(2), batch_size=0)


def test_what_is_no_list_for_pairs_is_refused(model, pair):
    predictor = Predictor(model, landmarks="template")
    for name, given in (("samples", "ab"), ("samples", {0: "a", 1: "b"}), ("landmarks", (None for _ in range(2)))):
        with pytest.raises(InputError, match=f"{name} is of type .*; give a list with one entry per pair"):
            predictor.pairs([pair, pair], **{name: given})
    with pytest.raises(InputError, match=r"samples\[0\] is of type int, not str"):
        predictor.pairs([pair, pair], samples=[0, 1])


def test_what_is_no_video_is_refused(model, tmp_path):
    """Lines of an open video were taken for its frames."""
    (tmp_path / "a.mp4").write_bytes(b"0\n1\n2\n3\n")
    with open(tmp_path / "a.mp4", "rb") as file:
        for given in (None, 5, b"0123", file):
            with pytest.raises(FrameError, match=f"A clip cannot be read from {type(given).__name__}; give the path"):
                Predictor(model, landmarks="template").video(given)


@pytest.mark.parametrize("ask", ["manifest", "embed"])
def test_what_is_no_manifest_is_refused(model, tmp_path, ask):
    """A batch size of 0 gave no answers, and other things errors of Python."""
    call = getattr(Predictor(model, landmarks="template"), ask)
    for size in (0, -1, 1.5, "4", None):
        with pytest.raises(InputError, match="batch_size is"):
            list(call([Sample("a", flow=tmp_path / "a.png")], batch_size=size))
    for given, message in (
        (None, "manifest is None"),
        ("set", "manifest is 'set'"),
        (["a"], r"manifest\[0\] is of type"),
    ):
        with pytest.raises(InputError, match=message):
            list(call(given))


@pytest.mark.parametrize(
    "name", [spec.name for spec in list_pretrained() if spec.bundled and input_kind(spec.model) == "flow"]
)
def test_answers_do_not_depend_on_the_other_samples(name, tmp_path, rng):
    """Bytes on the CPU: the last digits of a row changed with the size of its batch."""
    samples = []
    predictor = Predictor(name)
    for number in range(21):
        noise = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), noise)
        samples.append(Sample(f"s{number}", flow=tmp_path / f"{number}.png"))

    def answered(order, size):
        chosen = [samples[at] for at in order]
        found = {p.sample: p.to_dict() for p in predictor.manifest(chosen, batch_size=size)}
        features = {s.sample: f.tobytes() for s, f in predictor.embed(chosen, batch_size=size)}
        return {one: (found[one], features[one]) for one in found}

    first = answered(range(21), 64)
    for size in (1, 5, 16, 20):
        assert answered(rng.permutation(21), size) == first
    for one, said in answered([3, 20], 64).items():
        assert said == first[one]


def test_a_compiled_model_is_called_and_asked(model, pair):
    compiled = torch.compile(model, backend="eager", dynamic=False)
    called = []
    compiled.forward = lambda *of, **how: called.append(of) or model(*of, **how)
    found = predict(*pair, weights=compiled, landmarks="template")
    assert close(found, predict(*pair, weights=model, landmarks="template"))
    assert (len(called), found.model) == (1, "htnet_tiny")


def test_device_and_type_by_name(model, pair, tmp_path):
    folder = save_pretrained(model, tmp_path / "w")
    expected = predict(*pair, weights=model, landmarks="template")
    found = predict(*pair, weights=folder, landmarks="template", device="auto", dtype="bfloat16")
    assert chances(found) == pytest.approx(chances(expected), abs=0.05)
    assert not close(found, expected)
    predictor = Predictor(folder, device="auto", dtype=torch.bfloat16)
    assert next(predictor.model.parameters()).dtype == torch.bfloat16
    assert predictor.model.input_dtype == torch.bfloat16
    for dtype in ("float8", torch.uint8, 8):
        with pytest.raises(InputError, match=r"dtype is .*float32, bfloat16"):
            Predictor(folder, dtype=dtype)
    with pytest.raises(InputError, match="a model was given"):
        Predictor(model, dtype="bfloat16")


def test_auto_is_cuda_where_there_is_one(monkeypatch):
    assert usable_device("auto") == torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for there, name in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert named_device("auto") == TrainingJob(device="auto").device == name
        assert EvaluationPlan("htnet_tiny", get_recipe("default"), device="auto").device == name


def test_weights_with_other_settings(model, pair, tmp_path):
    folder = save_pretrained(model, tmp_path / "w")
    found = htnet.load_pretrained(folder, num_classes=5, dtype="bfloat16")
    assert (found.labels, found.classifier.weight.dtype) == (tuple(f"class_{i}" for i in range(5)), torch.bfloat16)
    kept = [name for name, value in model.state_dict().items() if not name.startswith("head")]
    assert all(torch.equal(found.state_dict()[n], model.state_dict()[n].bfloat16()) for n in kept)
    assert not found.training
    with pytest.raises(ModelError, match="do not fit dim=1024"):
        htnet.load_pretrained(folder, dim=1024)
    with pytest.raises(ModelError, match="no_such"):
        htnet.load_pretrained(folder, no_such=1)


def test_absent_device(model):
    with pytest.raises(InputError, match=r"'cuda:77' cannot be used here.*Try 'cpu'"):
        Predictor(model, device="cuda:77")
    with pytest.raises(InputError, match="'None' cannot be used here"):
        Predictor(model, device=None)


def test_unknown_landmarks_and_arguments(model, pair):
    with pytest.raises(InputError, match=r"'yunett'.*Did you mean 'yunet'"):
        predict(*pair, weights=model, landmarks="yunett")
    with pytest.raises(TypeError, match="landmark"):
        predict(*pair, weights=model, landmark="template")


@pytest.mark.parametrize("layout", ["anatomical", "reference", "whole"])
def test_frames_and_their_flow_image_agree(pair, tmp_path, layout):
    predictor = Predictor(tiny_model(dataclasses.replace(QUICK, layout=layout)), landmarks="template")
    from_frames = predictor.pair(*pair)
    picture = from_frames.input.flow_image
    assert cv2.imwrite(str(tmp_path / "flow.png"), picture)
    for source in (picture, tmp_path / "flow.png", str(tmp_path / "flow.png")):
        found = predictor.flow_image(source, sample="x")
        assert close(found, from_frames)
        assert np.array_equal(found.input.image, from_frames.input.image)
        assert (found.sample, found.flow, found.landmarks) == ("x", None, None)
        assert found.input.regions_at == "template"
    assert not close(predictor.flow_image(picture[::-1].copy()), from_frames)


def test_regions_at_landmarks(tmp_path):
    onset, apex = face_pair()
    points = POINTS.copy()
    points[3] += (-8, 5)  # a mouth corner that no similarity brings to the template
    predictor = Predictor(tiny_model(AT_LANDMARKS))
    from_frames = predictor.pair(onset, apex, points)
    assert from_frames.input.regions_at == "landmarks"
    flow = tmp_path / "flow.png"
    cv2.imwrite(str(flow), from_frames.input.flow_image)
    (tmp_path / "points.json").write_text(json.dumps(from_frames.input.points.tolist()))
    with_points = Sample("with", flow=flow, landmarks=tmp_path / "points.json")
    found = {p.sample: p for p in predictor.manifest([with_points, Sample("without", flow=flow)])}
    assert found["with"].input.regions_at == "landmarks"
    assert close(found["with"], from_frames)
    assert found["without"].input.regions_at == "template"
    assert not np.array_equal(found["without"].input.image, from_frames.input.image)
    template = Predictor(tiny_model(QUICK)).flow_image(flow)
    assert np.array_equal(found["without"].input.image, template.input.image)


def test_batch_equals_one_by_one_in_any_order(model, tmp_path):
    manifest = pair_manifest(tmp_path, 5)
    predictor = Predictor(model, landmarks="template")
    single = {s.sample: predictor.pair(s.onset, s.apex) for s in manifest}
    assert len({tuple(chances(p)) for p in single.values()}) == 5, "samples that cannot be told apart prove nothing"
    order = list(manifest)
    random.shuffle(order)
    for batch_size in (2, 64):
        found = list(predictor.manifest(dataclasses.replace(manifest, samples=tuple(order)), batch_size=batch_size))
        assert [p.sample for p in found] == [s.sample for s in order]
        for sample, p in zip(order, found, strict=True):
            assert close(p, single[sample.sample])
            assert p.label == single[sample.sample].label
            assert p.truth == sample.label


def test_the_flow_image_comes_before_the_frames(model, tmp_path, rng):
    frames = pair_manifest(tmp_path, 1).samples[0]
    noise = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "flow.png"), noise)
    predictor = Predictor(model, landmarks="template")
    both = dataclasses.replace(frames, sample="both", flow=tmp_path / "flow.png")
    frames_only = dataclasses.replace(both, sample="frames", flow=None)
    found = {p.sample: p for p in predictor.manifest([both, frames_only])}
    assert close(found["both"], predictor.flow_image(noise))
    assert close(found["frames"], predictor.pair(frames.onset, frames.apex))
    assert not close(found["both"], found["frames"])


def test_landmarks_of_a_manifest(model, tmp_path, rng):
    points = POINTS + rng.uniform(-2, 2, (5, 2))
    (tmp_path / "points.json").write_text(json.dumps(points.tolist()))
    sample = pair_manifest(tmp_path, 1, landmarks=tmp_path / "points.json").samples[0]
    assert "points.json" in (tmp_path / "manifest.csv").read_text()
    # Their own points, so no landmarker is needed: this one would fail.
    predictor = Predictor(model, landmarks="yunet:/no/such/model.onnx")
    found = list(predictor.manifest(read_manifest(tmp_path / "manifest.csv")))
    assert close(found[0], predict(sample.onset, sample.apex, weights=model, landmarks=points))


def test_landmarks_file_for_many_samples(model, tmp_path, rng):
    manifest = pair_manifest(tmp_path, 3)
    points = {s.sample: POINTS + rng.uniform(-2, 2, (5, 2)) for s in manifest}
    (tmp_path / "all.json").write_text(json.dumps({k: v.tolist() for k, v in points.items() if k != "s1"}))
    predictor = Predictor(model, landmarks=tmp_path / "all.json")
    failed = {}
    found = list(predictor.manifest(manifest, on_error=lambda sample, error: failed.update({sample.sample: error})))
    assert [p.sample for p in found] == ["s0", "s2"]
    for p, sample in zip(found, (manifest.samples[0], manifest.samples[2]), strict=True):
        assert close(p, predict(sample.onset, sample.apex, weights=model, landmarks=points[p.sample]))
    assert list(failed) == ["s1"]
    assert isinstance(failed["s1"], LandmarkError)
    assert "Sample 's1': " in str(failed["s1"])


def test_first_error_names_the_sample(model, tmp_path):
    manifest = pair_manifest(tmp_path, 3)
    manifest.samples[1].apex.write_bytes(b"")
    with pytest.raises(htnet.core.errors.FrameError, match=r"Sample 's1': .*1_apex.png is empty"):
        list(Predictor(model, landmarks="template").manifest(manifest))


def test_sample_with_nothing_to_see(model):
    with pytest.raises(ManifestError, match="Sample 'x': .*neither"):
        list(Predictor(model).manifest(Manifest((Sample("x"),))))


@pytest.mark.parametrize(("sure", "told"), [(0.07, True), (0.49, True), (0.5, False), (0.99, False), (None, False)])
def test_an_expression_that_hardly_stands_out_is_told(sure, told):
    codes = [warning.code for warning in clearness(SimpleNamespace(confidence=sure))]
    assert codes == (["low_confidence"] if told else [])
