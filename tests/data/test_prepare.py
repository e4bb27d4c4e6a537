"""Flow images of a whole data set, made once."""

import dataclasses
import json
import os
import shutil
from multiprocessing import active_children
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from htnet import Predictor
from htnet.core.errors import FrameError, InputError, LandmarkError, ManifestError, RunError, WeightsError
from htnet.core.parallel import locked
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, open_data
from htnet.data.prepare import Report, prepared_spec, read_report, resolve_spec
from htnet.data.prepare import prepare as run
from htnet.preprocess import CachedLandmarker, PrecomputedLandmarks, TemplateLandmarks, YuNetLandmarker, read_frame
from htnet.training import load_flow_set
from tests.support.pairs import POINTS, QUICK, pair_manifest, tiny_model

TEMPLATE = TemplateLandmarks()


@pytest.fixture
def frames(tmp_path):
    return pair_manifest(tmp_path / "frames", 4)


def contents(folder):
    return {k: content for k, (content, _) in state(folder).items() if k.suffix != ".json" or k.name != "report.json"}


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
    assert sorted(p.name for p in out.iterdir()) == [
        *(".lock", "flow", "keys", "landmarks", "manifest.csv", "preprocess.json", "report.json")
    ]


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


class Asked:
    """The template, and a list of the samples it was asked for."""

    def __init__(self):
        self._samples = []

    def __call__(self, frame, sample=""):
        self._samples.append(sample)
        return TEMPLATE(frame, sample)

    def answers(self):
        asked, self._samples = self._samples, []
        return asked


def test_second_call_goes_on(frames, tmp_path):
    out, landmarker = tmp_path / "out", Asked()
    run(frames, out, QUICK, landmarker)
    assert landmarker.answers() == ["s0", "s1", "s2", "s3"]
    whole = state(out)
    (out / "flow" / "s1.png").unlink()
    (out / "landmarks" / "s2.json").unlink()
    (out / "manifest.csv").unlink()
    run(frames, out, QUICK, Asked())
    assert contents(out).keys() == {k for k in whole if k.name != "report.json"}
    assert all(content == whole[k][0] for k, content in contents(out).items())
    assert read_report(out).made_again == {"file missing or damaged": ("s1", "s2")}
    untouched = [k for k in whole if k.stem in ("s0", "s3")]
    assert len(untouched) == 6
    assert all(state(out)[k] == whole[k] for k in untouched), "only what is missing is made again"
    run(frames, out, QUICK, landmarker)
    assert landmarker.answers() == []


def change_onset(frames, out, sample):
    frame = cv2.imread(str(sample.onset))
    cv2.imwrite(str(sample.onset), cv2.flip(frame, 1))


def change_apex(frames, out, sample):
    frame = cv2.imread(str(sample.apex))
    cv2.imwrite(str(sample.apex), cv2.flip(frame, 0))


def swap_frames(frames, out, sample):
    onset, apex = sample.onset.read_bytes(), sample.apex.read_bytes()
    sample.onset.write_bytes(apex)
    sample.apex.write_bytes(onset)


def damage_flow(frames, out, sample):
    path = out / "flow" / f"{sample.sample}.png"
    path.write_bytes(path.read_bytes()[:-9])


def change_landmarks(frames, out, sample):
    (out / "landmarks" / f"{sample.sample}.json").write_text("[[1, 2], [3, 4], [5, 6], [7, 8], [9, 9]]")


def empty_key(frames, out, sample):
    (out / "keys" / f"{sample.sample}.json").write_text("")


@pytest.mark.parametrize(
    "change",
    [change_onset, change_apex, swap_frames, damage_flow, change_landmarks, empty_key],
    ids=lambda f: f.__name__,
)
def test_what_changed_is_made_again_and_nothing_else(frames, tmp_path, change):
    out, landmarker = tmp_path / "out", Asked()
    run(frames, out, QUICK, landmarker)
    landmarker.answers()
    change(frames, out, frames.samples[2])
    run(frames, out, QUICK, landmarker)
    assert landmarker.answers() == ["s2"]
    run(frames, tmp_path / "fresh", QUICK, Asked())
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_copied_data_set_is_not_prepared_again(frames, tmp_path):
    out, landmarker = tmp_path / "out", Asked()
    run(frames, out, QUICK, landmarker)
    landmarker.answers()
    for file in (tmp_path / "frames").iterdir():
        os.utime(file, (0, 0))
    shutil.move(tmp_path / "frames", tmp_path / "moved")
    run(open_data(tmp_path / "moved"), out, QUICK, landmarker)
    assert landmarker.answers() == []


def test_other_points_are_not_mixed_in(frames, tmp_path, monkeypatch):
    """What finds the points, its settings, the files it reads, and the version of htnet all count."""
    out, points = tmp_path / "out", tmp_path / "points.json"
    points.write_text(json.dumps(POINTS.tolist()))
    run(frames, out, QUICK, TEMPLATE)

    class Versioned:
        def __init__(self, version):
            self._version = version

        def identity(self):
            return {"version": self._version}

        def __call__(self, frame, sample=""):
            return TEMPLATE(frame, sample)

    def remade(landmarker):
        before = state(out)
        run(frames, out, QUICK, landmarker)
        after = state(out)
        return {k.stem for k in before if k.parent.name == "keys" and after[k][1] != before[k][1]}

    everything = {s.sample for s in frames}
    assert remade(TemplateLandmarks()) == set()
    assert remade("template") == set()
    shifted = TemplateLandmarks([[x + 1, y] for x, y in TEMPLATE.template.tolist()])
    assert remade(shifted) == everything
    assert remade(str(points)) == everything
    assert remade(PrecomputedLandmarks(points)) == set()
    points.write_text(json.dumps((POINTS + 2).tolist()))
    assert remade(str(points)) == everything
    assert remade(PrecomputedLandmarks(points, scale=1.01)) == everything
    assert remade(Versioned(1)) == everything
    assert remade(Versioned(1)) == set()
    assert remade(Versioned(2)) == everything
    monkeypatch.setattr("htnet.data.prepare.keys.__version__", "99")
    assert remade(Versioned(2)) == everything


def test_a_samples_own_landmarks_count(frames, tmp_path):
    files = []
    for i in range(4):
        files.append(tmp_path / f"{i}.json")
        files[-1].write_text(json.dumps(np.add(POINTS, [[0, 0], [i, 0], [0, 0], [0, 0], [0, 0]]).tolist()))
    frames = dataclasses.replace(
        frames, samples=tuple(dataclasses.replace(s, landmarks=f) for s, f in zip(frames, files, strict=True))
    )
    out = tmp_path / "out"
    run(frames, out, QUICK, TEMPLATE)
    before = state(out)
    files[1].write_text(json.dumps(np.add(POINTS, [[0, 0], [0, 0], [0, 0], [0, 2], [0, 0]]).tolist()))
    run(frames, out, QUICK, "yunet:nowhere.onnx")  # nobody is asked for points, so it does not matter who would be
    changed = {k for k, v in contents(out).items() if v != before[k][0]}
    assert {k.stem for k in changed} == {"s1"}
    assert {k.parts[0] for k in changed} == {"flow", "landmarks", "keys"}
    assert read_report(out).made_again == {"landmarks changed, or what finds them": ("s1",)}


def test_interrupted_call_leaves_nothing_half(frames, tmp_path):
    out = tmp_path / "out"

    def stop(samples):
        for i, sample in enumerate(samples):
            if i == 1:
                raise KeyboardInterrupt
            yield sample

    with pytest.raises(KeyboardInterrupt):
        run(frames, out, QUICK, TEMPLATE, progress=stop)
    assert sorted(p.name for p in (out / "flow").iterdir()) == ["s0.png", "s1.png"]
    assert not (out / "manifest.csv").exists()
    (out / "flow" / ".0123456789ab.tmp").write_bytes(b"of a killed run")
    assert len(run(frames, out, QUICK, TEMPLATE)) == 4
    assert not list(out.rglob("*.tmp"))


def test_flow_of_another_kind_is_not_mixed_in(frames, tmp_path):
    run(frames, tmp_path / "out", QUICK, TEMPLATE)
    with pytest.raises(ManifestError, match=r"out contains flow made with another spec.*--out"):
        run(frames, tmp_path / "out", dataclasses.replace(QUICK, flow="farneback"), TEMPLATE)


def test_damaged_spec(frames, tmp_path):
    run(frames, tmp_path / "out", QUICK, TEMPLATE)
    for text in ("{", '{"flwo": "tvl1"}', "3", "{}", '{"flow": "tvl1"}'):
        (tmp_path / "out" / "preprocess.json").write_text(text)
        with pytest.raises(ManifestError, match=r"preprocess.json cannot be read.*Prepare again into an empty"):
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
    assert read_report(tmp_path / "b").failed == dict(failed)
    with pytest.raises(LandmarkError, match=r"Sample 's0': No landmarks"):
        run(frames, tmp_path / "c", QUICK)
    flow_only = dataclasses.replace(made.samples[0], landmarks=None)
    with pytest.raises(ManifestError, match="Sample 's0': it has no onset and apex"):
        run(Manifest((flow_only, frames.samples[2])), tmp_path / "d", QUICK, TEMPLATE)


@pytest.mark.parametrize("pair", [("a/b", "a_b"), ("Ab", "aB")])
def test_names_that_would_share_a_file(frames, tmp_path, pair):
    two = tuple(dataclasses.replace(s, sample=name) for s, name in zip(frames, pair, strict=False))
    with pytest.raises(ManifestError, match=f"{pair[0]!r} and {pair[1]!r}.*rename one"):
        run(Manifest(two), tmp_path / "out", QUICK, TEMPLATE)
    assert not (tmp_path / "out" / "flow").exists(), "found before hours of work"


def test_names_that_no_file_can_have_are_refused(frames, tmp_path):
    first = frames.samples[0]
    named = [dataclasses.replace(first, sample="x" * 201), *frames.samples[1:]]
    with pytest.raises(ManifestError, match="has 201 characters, and its files are named after it; give one of 200"):
        run(dataclasses.replace(frames, samples=tuple(named)), tmp_path / "out", QUICK, "template")


def test_odd_names_are_kept(frames, tmp_path):
    odd = dataclasses.replace(frames.samples[0], sample='ä b/c:1, "x"')
    made = run(Manifest((odd,)), tmp_path / "out", QUICK, TEMPLATE)
    assert open_data(tmp_path / "out").samples == made.samples
    assert made.samples[0].sample == odd.sample
    assert made.samples[0].flow.parent == tmp_path / "out" / "flow"
    assert cv2.imread(str(made.samples[0].flow)).shape == (28, 28, 3)


def test_weights_say_how_their_input_was_really_made(frames, tmp_path):
    baked = dataclasses.replace(
        QUICK, resize="area", flow_parameters=(("preset", 1.0),), head_motion="eyes", layout="whole"
    )
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
        assert (found.layout, found.region_points, found.head_motion) == ("reference", "landmarks", "eyes")
    assert resolve_spec(tmp_path / "frames", wanted) == wanted
    assert prepared_spec(tmp_path / "frames") is None


def test_report(frames, tmp_path):
    frames.samples[3].onset.write_bytes(b"")
    read = dataclasses.replace(
        frames,
        source="list.xlsx",
        skipped=("m1", "m2"),
        missing_files=("a/1.jpg", "a/2.jpg", "b/2.jpg"),
        excluded=(("x1", "others"), ("x2", "fear"), ("x3", "others")),
        middle_apex=("s1", "s3"),
    )
    made = run(read, tmp_path / "out", QUICK, TEMPLATE, on_error=lambda s, e: None)
    report = read_report(tmp_path / "out")
    message = report.failed["s3"]
    assert "3_onset.png" in message
    assert report == Report(
        source="list.xlsx",
        prepared=3,
        classes={"negative": 1, "positive": 1, "surprise": 1},
        subjects=3,
        excluded={"fear": ("x2",), "others": ("x1", "x3")},
        missing=("m1", "m2"),
        missing_files=("a/1.jpg", "a/2.jpg", "b/2.jpg"),
        failed={"s3": message},
        middle_apex=("s1",),
        identities_from="as given",
        people={("own", "p0"): 1, ("own", "p1"): 1, ("own", "p2"): 1},
    )
    assert report.left_out == 6
    assert len(made) == 3
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (found["prepared"], found["left_out"]) == (3, 6)
    assert found["excluded"]["labels"]["others"] == {"count": 2, "samples": ["x1", "x3"]}
    assert [found[name]["count"] for name in ("excluded", "missing", "failed")] == [3, 2, 1]
    text = report.text()
    assert "label in no class: fear 1, others 2" in text
    assert "files missing: 2 samples\n    m1\n    m2\n    a/1.jpg\n    a/2.jpg\n    b/2.jpg\n" in text
    assert f"failed: 1 sample\n    {message}" in text
    assert "apex not annotated or impossible, middle frame used: 1 sample" in text
    many = dataclasses.replace(report, failed={f"s{i}": f"message {i}" for i in range(23)}).text()
    assert "message 19" in many
    assert "message 20" not in many
    assert "and 3 more" in many


def test_damaged_report(tmp_path):
    with pytest.raises(ManifestError, match=r"report.json cannot be read"):
        read_report(tmp_path)
    for text in ("{", "[]", '{"source": "x"}'):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(ManifestError, match=r"report.json cannot be read.*Prepare the data again"):
            read_report(tmp_path)


def test_nothing_prepared_is_an_error_and_overwrites_no_manifest(frames, tmp_path):
    out = tmp_path / "out"
    run(frames, out, QUICK, TEMPLATE)
    before = (out / "manifest.csv").read_bytes()
    for sample in frames:
        sample.apex.unlink()
    with pytest.raises(ManifestError, match=r"(?s)no sample could be prepared, 4 left out.*0_apex.png does not exist"):
        run(frames, out, QUICK, TEMPLATE, on_error=lambda s, e: None)
    assert (out / "manifest.csv").read_bytes() == before
    assert set(read_report(out).failed) == {"s0", "s1", "s2", "s3"}


def test_what_hits_every_sample_ends_the_call(frames, tmp_path):
    with pytest.raises(WeightsError, match="nowhere.onnx cannot be read"):
        run(frames, tmp_path / "a", QUICK, "yunet:nowhere.onnx", on_error=lambda s, e: pytest.fail("not a sample's"))
    wrong = dataclasses.replace(QUICK, flow_parameters=(("presett", 1),))
    with pytest.raises(InputError, match="presett"):
        run(frames, tmp_path / "b", wrong, TEMPLATE, on_error=lambda s, e: pytest.fail("not a sample's"))
    with pytest.raises(InputError, match="Unknown landmarks: 'yunett'"):
        run(frames, tmp_path / "c", QUICK, "yunett")


def test_what_is_prepared_already_is_told_so(frames, tmp_path):
    prepared = run(frames, tmp_path / "out", QUICK, TEMPLATE)
    with pytest.raises(ManifestError, match="already prepared. Use it: htnet.data.open_data"):
        run(prepared, tmp_path / "again", QUICK)
    assert not (tmp_path / "again").exists()


def test_only_one_works_in_a_folder(frames, tmp_path):
    with locked(tmp_path / "out"), pytest.raises(RunError, match=r"Another process is running in .*out"):
        run(frames, tmp_path / "out", QUICK, TEMPLATE)


class Dying:
    """Ends its process, as the system does when memory is short."""

    def __call__(self, frame, sample=""):
        if sample == "s3":
            os._exit(9)
        return TEMPLATE(frame, sample)


class TestJobs:
    @pytest.mark.slow
    def test_same_bytes_and_errors(self, tmp_path):
        frames = pair_manifest(tmp_path / "frames", 7)
        frames.samples[4].apex.write_bytes(b"no image")
        frames.samples[1].onset.write_bytes(frames.samples[0].onset.read_bytes()[:200])
        spec = PreprocessSpec(face_size=112)
        threads = torch.get_num_threads(), cv2.getNumThreads()
        torch.set_num_threads(2)
        failed = {1: {}, 3: {}}
        try:
            for workers, told in failed.items():
                made = run(
                    frames,
                    tmp_path / str(workers),
                    spec,
                    "template",
                    workers=workers,
                    on_error=lambda s, e, told=told: told.update({s.sample: e}),
                )
                assert [s.sample for s in made] == ["s0", "s2", "s3", "s5", "s6"]
                assert all(type(e) is FrameError for e in told.values())
            assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, threads[1])
        finally:
            torch.set_num_threads(threads[0])
        assert {k: str(e) for k, e in failed[1].items()} == {k: str(e) for k, e in failed[3].items()}
        assert str(failed[3]["s1"]).startswith("Sample 's1': ")
        whole = {k: v[0] for k, v in state(tmp_path / "1").items()}
        assert whole == {k: v[0] for k, v in state(tmp_path / "3").items()}
        assert list(json.loads(whole[Path("report.json")])["failed"]["samples"]) == ["s1", "s4"]

    @pytest.mark.slow
    def test_first_error_ends_the_call(self, frames, tmp_path):
        frames.samples[0].apex.write_bytes(b"no image")
        with pytest.raises(FrameError, match=r"Sample 's0': .*0_apex.png") as caught:
            run(frames, tmp_path / "out", QUICK, "template", workers=2)
        assert not active_children(), f"they end with the call, not with {caught.value!r}"

    @pytest.mark.slow
    def test_a_killed_process_is_told(self, frames, tmp_path):
        with pytest.raises(RunError, match=r"ended without a result.*killed"):
            run(frames, tmp_path / "out", QUICK, Dying(), workers=2)
        assert len(run(frames, tmp_path / "out", QUICK, TEMPLATE)) == 4

    def test_a_landmarker_that_cannot_travel(self, frames, tmp_path):
        def local(frame, sample=""):
            return TEMPLATE(frame, sample)

        with pytest.raises(InputError, match=r"cannot be sent to other processes.*workers=1"):
            run(frames, tmp_path / "out", QUICK, local, workers=2)
        assert len(run(frames, tmp_path / "out", QUICK, local)) == 4

    @pytest.mark.parametrize(
        ("landmarker", "forks"),
        [
            ("template", True),
            ("yunet", True),
            (CachedLandmarker(YuNetLandmarker(), "cache"), True),
            (TEMPLATE, True),
            (Dying(), False),
        ],
    )
    def test_with_code_of_others_no_worker_is_forked(self, frames, tmp_path, monkeypatch, landmarker, forks):
        told = []

        def run_tasks(make, shared, tasks, workers, **options):
            told.append(options)
            yield from ()

        monkeypatch.setattr("htnet.core.engines.run_tasks", run_tasks)
        with pytest.raises(ManifestError, match="no sample could be prepared"):
            run(frames, tmp_path / "out", QUICK, landmarker, workers=2)
        assert told == [{"forks": forks}]

    @pytest.mark.slow
    def test_a_detector_in_use_can_travel(self, tmp_path):
        frames = pair_manifest(tmp_path / "frames", 3)
        detector = YuNetLandmarker()
        detector(read_frame(frames.samples[0].onset))
        for workers in (1, 2):
            run(frames, tmp_path / str(workers), QUICK, detector, workers=workers)
        assert state(tmp_path / "1").keys() == state(tmp_path / "2").keys()
        found = [{k: v[0] for k, v in state(tmp_path / n).items()} for n in ("1", "2")]
        assert found[0] == found[1]

    def test_impossible_number(self, frames, tmp_path):
        with pytest.raises(InputError, match="workers is 0"):
            run(frames, tmp_path / "out", QUICK, TEMPLATE, workers=0)
