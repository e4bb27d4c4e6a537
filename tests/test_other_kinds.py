"""Values of another kind than those asked for are refused by htnet, and by name, before any work."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from htnet import Predictor, calibration, cli, metrics, preprocess
from htnet.core.arrays import real_array
from htnet.core.errors import FrameError, HtnetError, InputError, LandmarkError, ManifestError
from htnet.core.fields import flag, function, one_of, optional
from htnet.core.files import check_folder, check_outputs
from htnet.data import Manifest, Sample
from htnet.data.prepare import prepare
from htnet.preprocess import read_frame
from htnet.recordings import load_detector
from htnet.recordings.measure import FEATURES
from htnet.types import Flow, Landmarks, Landmarks68, PreprocessSpec
from tests.support.pairs import POINTS, QUICK, face, face_pair, save, tiny_model
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def predictor():
    return Predictor(tiny_model(), landmarks="template")


@pytest.mark.parametrize("name", ["pairs", "iter_pairs", "videos", "manifest", "embed"])
def test_what_is_told_of_errors_is_a_function(predictor, name):
    with pytest.raises(InputError, match=r"^on_error is 3; give a function, or None"):
        list(getattr(predictor, name)([], on_error=3))


def test_prepare_wants_functions_and_flags(tmp_path):
    with pytest.raises(InputError, match=r"^on_error is 'skip'; give a function"):
        prepare(Manifest(()), tmp_path, QUICK, "template", on_error="skip")
    assert not list(tmp_path.iterdir())


def test_flags_are_true_or_false(tmp_path):
    with pytest.raises(InputError, match=r"^always is 'no'; give True or False"):
        Predictor(tiny_model(), always="no")
    (tmp_path / "a.txt").write_text("kept")
    for check in (
        lambda: check_outputs(tmp_path / "a.txt", overwrite="no"),
        lambda: check_folder(tmp_path, ["a.txt"], overwrite=1),
    ):
        with pytest.raises(InputError, match="^overwrite is .*; give True or False"):
            check()


def test_equal_numbers_of_another_type_are_not_among_those_named():
    rule = one_of((8, 10, 12))
    rule.check("depth", 8)
    for value in (8.0, True, "8", np.float64(8)):
        with pytest.raises(InputError, match="^depth is .*; give one of 8, 10, 12"):
            rule.check("depth", value)
    for value in (1, "1", None):
        with pytest.raises(InputError):
            flag().check("x", value)
    optional(function()).check("x", print)
    with pytest.raises(InputError, match=r"^bit_depth is 8.0; give one of 8"):
        read_frame(face(), bit_depth=8.0)


@pytest.mark.parametrize(
    "points",
    [
        np.array(POINTS) + 1j,
        [["a", "b"]] * 5,
        [[1, 2], [3]],
        torch.ones(5, 2).to_sparse(),
        torch.ones(5, 2, device="meta"),
    ],
    ids=["complex", "text", "ragged", "sparse", "meta"],
)
def test_points_are_real_numbers(predictor, points):
    for call in (
        lambda: Landmarks(points, "array"),
        lambda: Landmarks68(points, "array"),
        lambda: predictor.pair(*face_pair(), points),
    ):
        with pytest.raises(LandmarkError, match=r"give real numbers"):
            call()
    with pytest.raises(InputError, match="^Numbers are "):
        real_array(points, "Numbers")


@pytest.mark.parametrize("kind", ["sparse", "meta", "complex"])
def test_tensors_without_plain_values_are_no_frames(predictor, kind):
    frame = torch.from_numpy(face_pair()[0]).permute(2, 0, 1)
    made = {
        "sparse": lambda: frame.to_sparse(),
        "meta": lambda: frame.to("meta"),
        "complex": lambda: frame.float() + 1j,
    }[kind]()
    with pytest.raises(FrameError, match=r"tensor is .*give a plain tensor"):
        predictor.pair(made, made)


def test_complex_arrays_are_no_frames(predictor):
    frame = face_pair()[0] + 1j
    with pytest.raises(FrameError):
        predictor.pair(frame, frame)


def test_files_of_samples_are_paths(tmp_path):
    onset = save(tmp_path / "a.png", face())
    assert Sample("a", onset=str(onset)).onset == onset
    assert isinstance(Sample("a", onset=str(onset)).onset, Path)
    with pytest.raises(InputError, match="^onset is of type int, not a path"):
        Sample("a", onset=3)
    with pytest.raises(InputError, match="^flow is .*NUL"):
        Sample("a", flow="a\0b")


@pytest.mark.parametrize(
    ("field", "value"), [("sample", 3), ("subject", 3), ("label", 0), ("split", None), ("clip_first", 2)]
)
def test_names_of_samples_are_text(field, value):
    with pytest.raises(ManifestError, match=f"^{field} is "):
        Sample(**{"sample": "a", field: value})


def test_a_stretch_without_frames_has_no_candidates():
    detector = load_detector()
    for count in (0, 1):
        assert detector.candidates_of(np.arange(count) / 30, np.zeros((count, len(FEATURES)), np.float32)) == []
    with pytest.raises(InputError, match=r"times has shape \(3,\) and features \(2, "):
        detector.candidates_of(np.arange(3) / 30, np.zeros((2, len(FEATURES)), np.float32))


def test_figures_are_not_written_under_names_that_no_file_can_have(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from htnet.pipeline.plots import save_figure

    monkeypatch.chdir(tmp_path)
    for name in ("a\0.png", "x" * 300 + ".png"):
        with pytest.raises(HtnetError):
            save_figure(Figure(), name)
    assert not list(tmp_path.iterdir())


def test_commands_of_a_wing_name_those_that_are_near(capsys):
    for words, near in ((["palsy", "predct"], "predict"), (["palsy", "trian"], "train")):
        with pytest.raises(SystemExit):
            cli.main(words)
        said = capsys.readouterr().err
        assert f"there is no task {words[1]!r}. Did you mean {near!r}" in said


#: Starts its work wherever it is imported.
UNGUARDED = """
import sys
from htnet.core.parallel import locked, run_tasks
from pathlib import Path
from tests.test_other_kinds import same

with locked(Path(sys.argv[1])):
    print([answer for _, answer in run_tasks(same, None, [(1,), (2,)], 2)])
"""


def same(shared, value):
    return value


@pytest.mark.slow
def test_children_of_an_unguarded_script_say_what_is_wrong(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    words, paths = [sys.executable, script, tmp_path / "out"], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=paths, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'Put its statements under `if __name__ == "__main__":`' in done.stderr
    assert "Another process is running" not in done.stderr
    assert "cannot be started" not in done.stderr


def masked(values):
    """An array of `numpy.ma` whose first value is masked."""
    array = np.ma.masked_array(values)
    array[(0,) * array.ndim] = np.ma.masked
    return array


GRAY, FIELD = np.full((32, 32), 9, np.uint8), np.ones((2, 32, 32), np.float32)
FIVE = np.array(POINTS, np.float64)
#: Every function of `htnet.preprocess` and `htnet.metrics` that takes arrays, and what it is given.
WITH_MASKS = {
    "tvl1_flow onset": lambda: preprocess.tvl1_flow(masked(GRAY), GRAY),
    "tvl1_flow apex": lambda: preprocess.tvl1_flow(GRAY, masked(GRAY)),
    "compute_flow": lambda: preprocess.compute_flow(GRAY, masked(GRAY)),
    "displace": lambda: preprocess.displace(masked(GRAY), FIELD),
    "displace by": lambda: preprocess.displace(GRAY, masked(FIELD)),
    "Flow": lambda: Flow(masked(FIELD), "array"),
    "color_wheel": lambda: preprocess.color_wheel(masked(FIELD)),
    "optical_strain": lambda: preprocess.optical_strain(masked(FIELD)),
    "flow_magnitude": lambda: preprocess.flow_magnitude(masked(FIELD)),
    "flow_orientation": lambda: preprocess.flow_orientation(masked(FIELD)),
    "hoof": lambda: preprocess.hoof(masked(FIELD)),
    "remove_head_motion": lambda: preprocess.remove_head_motion(masked(FIELD), FIVE),
    "remove_head_motion at": lambda: preprocess.remove_head_motion(FIELD, masked(FIVE)),
    "head_boxes": lambda: preprocess.head_boxes(masked(FIVE), "nose", 32, 32),
    "face_regions": lambda: preprocess.face_regions(32, masked(FIVE)),
    "is_motionless": lambda: preprocess.is_motionless(masked(np.zeros((28, 28, 3), np.uint8))),
    "write_flow_image": lambda: preprocess.write_flow_image("a.png", masked(np.zeros((28, 28, 3), np.uint8))),
    "clahe": lambda: preprocess.clahe(masked(GRAY)),
    "temporal_interpolation": lambda: preprocess.temporal_interpolation(masked(FIELD), 3),
    "temporal_interpolation at": lambda: preprocess.temporal_interpolation(FIELD, 3, masked([0.0, 1.0])),
    "encode_motion": lambda: preprocess.encode_motion(masked(np.zeros((16, 64), np.float32)), PreprocessSpec()),
    "scale_points": lambda: preprocess.scale_points(masked(FIVE), 2),
    "transform_points": lambda: preprocess.transform_points(np.eye(2, 3), masked(FIVE)),
    "transform_points by": lambda: preprocess.transform_points(masked(np.eye(2, 3)), FIVE),
    "similarity": lambda: preprocess.similarity(masked(FIVE), FIVE),
    "similarity to": lambda: preprocess.similarity(FIVE, masked(FIVE)),
    "fit_alignment": lambda: preprocess.fit_alignment(Landmarks(masked(FIVE), "array")),
    "fit_alignment to": lambda: preprocess.fit_alignment(Landmarks(FIVE, "array"), template=masked(FIVE)),
    "Alignment.map": lambda: preprocess.Alignment(np.eye(2, 3), (8, 8)).map(masked(FIVE)),
    "Alignment.unmap": lambda: preprocess.Alignment(np.eye(2, 3), (8, 8)).unmap(masked(FIVE)),
    "TemplateLandmarks": lambda: preprocess.TemplateLandmarks(masked(FIVE)),
    "estimate_68": lambda: preprocess.estimate_68(Landmarks(masked(FIVE), "array")),
    "read_frame": lambda: read_frame(masked(face())),
    "read_pair": lambda: preprocess.read_pair(face(), masked(face())),
    "published_input": lambda: preprocess.published_input(face(), masked(face()), None),
    "published_input at": lambda: preprocess.published_input(face(), face(), masked(FIVE)),
    "RegionCropper": lambda: preprocess.RegionCropper(points=masked(FIVE / 8)),
    "confusion_matrix": lambda: metrics.confusion_matrix(masked([1, 0]), [1, 0], 2),
    "confusion_matrix of": lambda: metrics.confusion_matrix([1, 0], masked([1, 0]), 2),
    "score": lambda: metrics.score(masked([1, 0]), [1, 0], 2),
    "class_indexes": lambda: metrics.class_indexes(masked([1, 0]), 2, "truth"),
    **{name: partial(getattr(metrics, name), masked(np.eye(2, dtype=int))) for name in ("uf1", "uar", "accuracy")},
    **{name: partial(getattr(metrics, name), masked(np.eye(2)[None])) for name in ("uf1_of_each", "uar_of_each")},
    "match_intervals": lambda: metrics.match_intervals(masked([[0, 9]]), [(0, 9)]),
    "match_intervals with": lambda: metrics.match_intervals([(0, 9)], masked([[0, 9]])),
    "apply_temperature": lambda: calibration.apply_temperature(masked(np.full((2, 2), 0.5)), 1.0),
    "apply_temperature of": lambda: calibration.apply_temperature(np.full((2, 2), 0.5), masked([1.0, 2.0])),
}


@pytest.mark.parametrize("name", WITH_MASKS)
def test_masked_values_are_refused(name, tmp_path, monkeypatch):
    """NumPy would compute with the numbers under the mask."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HtnetError, match=r"(has|have) masked values, which are missing\. Leave them out"):
        WITH_MASKS[name]()
    assert not list(tmp_path.iterdir())


def test_arrays_of_numpy_ma_without_masked_values_are_plain():
    plain = preprocess.compute_flow(GRAY, GRAY).uv
    assert np.array_equal(preprocess.tvl1_flow(np.ma.masked_array(GRAY), GRAY).numpy(), plain)
    assert metrics.uf1(np.ma.masked_array(np.eye(2, dtype=int))) == 1
