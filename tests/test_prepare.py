"""Flow images of a whole data set, made once."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from htnet import Predictor
from htnet.data import Manifest, open_data
from htnet.errors import FrameError, LandmarkError, ManifestError
from htnet.prepare import prepare as run
from htnet.prepare import prepared_spec, resolve_spec
from htnet.preprocess import TemplateLandmarks
from htnet.training import load_flow_set
from htnet.types import PreprocessSpec
from tests.support.pairs import POINTS, QUICK, pair_manifest, tiny_model

TEMPLATE = TemplateLandmarks()


@pytest.fixture
def frames(tmp_path):
    return pair_manifest(tmp_path / "frames", 4)


def state(folder):
    return {f.relative_to(folder): (f.read_bytes(), f.stat().st_mtime_ns) for f in folder.rglob("*") if f.is_file()}


def test_prepared_folder_is_a_data_set(frames, tmp_path):
    out = tmp_path / "out"
    made = run(frames, out, QUICK, TEMPLATE)
    opened = open_data(out)
    assert opened.samples == made.samples
    assert opened.classes == frames.classes
    kept = [(s.sample, s.dataset, s.subject, s.label) for s in frames]
    assert [(s.sample, s.dataset, s.subject, s.label) for s in opened] == kept
    assert all(s.onset is None and s.apex is None for s in opened)
    assert prepared_spec(out) == QUICK
    assert sorted(p.name for p in out.iterdir()) == ["flow", "landmarks", "manifest.csv", "preprocess.json"]


@pytest.mark.parametrize("region_points", ["template", "landmarks"])
def test_prediction_from_prepared_flow_is_that_from_frames(frames, tmp_path, region_points):
    spec = dataclasses.replace(QUICK, region_points=region_points)
    points = POINTS.copy()
    points[4] += (7, 5)
    (tmp_path / "points.json").write_text(json.dumps(points.tolist()))
    frames = dataclasses.replace(
        frames, samples=tuple(dataclasses.replace(s, landmarks=tmp_path / "points.json") for s in frames)
    )
    made = run(frames, tmp_path / "out", spec)
    predictor = Predictor(tiny_model(spec))
    expected = {p.sample: p for p in predictor.manifest(frames)}
    for found in predictor.manifest(made):
        assert found.input.regions_at == region_points
        assert np.array_equal(found.input.image, expected[found.sample].input.image)
        assert list(found.probabilities.values()) == pytest.approx(list(expected[found.sample].probabilities.values()))
    # What training reads is what prediction shows.
    flows = load_flow_set(made, spec)
    assert np.array_equal(flows.inputs().numpy(), np.stack([expected[s.sample].input.image for s in made]))


def test_second_call_goes_on(frames, tmp_path):
    out = tmp_path / "out"
    run(frames, out, QUICK, TEMPLATE)
    whole = state(out)
    flow, points = out / "flow" / "s1.png", out / "landmarks" / "s2.json"
    flow.unlink()
    points.unlink()
    asked = []

    def landmarker(frame, sample=""):
        asked.append(sample)
        return TEMPLATE(frame, sample)

    run(frames, out, QUICK, landmarker)
    assert asked == ["s1", "s2"], "only what is missing is made again"
    again = state(out)
    assert {k: v[0] for k, v in again.items()} == {k: v[0] for k, v in whole.items()}
    untouched = {out / "flow" / f"s{i}.png" for i in (0, 3)}
    assert all(again[f.relative_to(out)] == whole[f.relative_to(out)] for f in untouched)


def test_interrupted_call_leaves_nothing_half(frames, tmp_path):
    out = tmp_path / "out"

    def stop(samples):
        for i, sample in enumerate(samples):
            if i == 2:
                raise KeyboardInterrupt
            yield sample

    with pytest.raises(KeyboardInterrupt):
        run(frames, out, QUICK, TEMPLATE, progress=stop)
    assert sorted(p.name for p in (out / "flow").iterdir()) == ["s0.png", "s1.png"]
    assert len(run(frames, out, QUICK, TEMPLATE)) == 4


def test_flow_of_another_kind_is_not_mixed_in(frames, tmp_path):
    run(frames, tmp_path / "out", QUICK, TEMPLATE)
    with pytest.raises(ManifestError, match=r"out holds flow made with another spec.*--out"):
        run(frames, tmp_path / "out", dataclasses.replace(QUICK, flow="farneback"), TEMPLATE)


def test_damaged_spec(frames, tmp_path):
    run(frames, tmp_path / "out", QUICK, TEMPLATE)
    for text in ("{", '{"flwo": "tvl1"}', "3"):
        (tmp_path / "out" / "preprocess.json").write_text(text)
        with pytest.raises(ManifestError, match=r"preprocess.json cannot be read.*Prepare the data again"):
            run(frames, tmp_path / "out", QUICK, TEMPLATE)


def test_bad_samples_raise_or_are_left_out(frames, tmp_path):
    frames.samples[1].apex.write_bytes(b"no image")
    with pytest.raises(FrameError, match=r"Sample 's1': .*1_apex.png"):
        run(frames, tmp_path / "a", QUICK, TEMPLATE)
    failed = []
    made = run(frames, tmp_path / "b", QUICK, TEMPLATE, on_error=lambda s, e: failed.append((s.sample, str(e))))
    assert [s.sample for s in made] == ["s0", "s2", "s3"]
    assert [s for s, _ in failed] == ["s1"]
    assert "1_apex.png" in failed[0][1]
    with pytest.raises(LandmarkError, match=r"Sample 's0': No landmarks"):
        run(frames, tmp_path / "c", QUICK)
    flow_only = dataclasses.replace(made.samples[0], landmarks=None)
    with pytest.raises(ManifestError, match="Sample 's0': it has no onset and apex"):
        run(Manifest((flow_only,)), tmp_path / "d", QUICK, TEMPLATE)


@pytest.mark.parametrize("pair", [("a/b", "a_b"), ("Ab", "aB")])
def test_names_that_would_share_a_file(frames, tmp_path, pair):
    two = tuple(dataclasses.replace(s, sample=name) for s, name in zip(frames, pair, strict=False))
    with pytest.raises(ManifestError, match=f"{pair[0]!r} and {pair[1]!r}.*rename one"):
        run(Manifest(two), tmp_path / "out", QUICK, TEMPLATE)
    assert not (tmp_path / "out" / "flow").exists(), "found before hours of work"


def test_odd_names_are_kept(frames, tmp_path):
    odd = dataclasses.replace(frames.samples[0], sample='ä b/c:1, "x"')
    made = run(Manifest((odd,)), tmp_path / "out", QUICK, TEMPLATE)
    assert open_data(tmp_path / "out").samples == made.samples
    assert made.samples[0].sample == odd.sample
    assert made.samples[0].flow.parent == tmp_path / "out" / "flow"
    assert cv2.imread(str(made.samples[0].flow)).shape == (28, 28, 3)


def test_weights_say_how_their_input_was_really_made(frames, tmp_path):
    baked = dataclasses.replace(QUICK, resize="area", flow_parameters=(("preset", 1.0),), layout="whole")
    run(frames, tmp_path / "out", baked, TEMPLATE)
    wanted = PreprocessSpec(layout="reference", region_points="landmarks")
    for data in (tmp_path / "out", tmp_path / "out" / "manifest.csv"):
        found = resolve_spec(data, wanted)
        assert (found.flow, found.flow_parameters, found.face_size, found.resize) == (
            "dis",
            (("preset", 1),),
            64,
            "area",
        )
        assert (found.layout, found.region_points) == ("reference", "landmarks")
    assert resolve_spec(tmp_path / "frames", wanted) == wanted
    assert prepared_spec(tmp_path / "frames") is None
