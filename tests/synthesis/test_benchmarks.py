"""What is told about the generator: its constants, its statistics, its scores on the development half."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import kurtosis as scipy_kurtosis

from benchmarks import synthesis, synthesis_calibration, synthesis_zero_shot
from benchmarks.halves import HALVES, development_manifest, development_points, subjects
from benchmarks.synthesis_calibration import affine_share, kurtosis, radial_spectrum, statistics
from benchmarks.synthesis_page import PAGE, written
from benchmarks.verify import DisagreementError
from htnet.core.errors import ManifestError
from htnet.synthesis import FlowGenerator, SynthesisConfig
from tests.support.paths import ROOT, needs_shared


def test_halves_are_whole_subjects_of_each_set():
    halves = json.loads(HALVES.read_text("utf-8"))
    development, untouched = (halves[name] for name in ("development", "untouched"))
    assert not set(development) & set(untouched)
    for half in (development, untouched):
        assert len(half) == len(set(half)) == 34
        assert {name: sum(s.startswith(name) for s in half) for name in ("smic", "casme2", "samm")} == {
            "smic": 8,
            "casme2": 12,
            "samm": 14,
        }
    earlier = json.loads((ROOT / "benchmarks" / "development_subjects.json").read_text("utf-8"))["subjects"]
    assert set(development) < set(earlier)


@needs_shared
def test_only_the_development_half_is_read():
    manifest = development_manifest()
    assert {f"{s.dataset}-{s.subject}" for s in manifest} == subjects("development")
    assert len(manifest) == 169
    points = development_points(manifest)
    assert points.shape == (169, 5, 2)
    # Eyes over nose over mouth, inside the face.
    assert (points[:, :2, 1].max(1) < points[:, 2, 1]).all()
    assert (points[:, 2, 1] < points[:, 3:, 1].min(1)).all()
    assert ((points > 0) & (points < 28)).all()


@needs_shared
def test_a_missing_subject_of_the_half_is_named(monkeypatch):
    extra = {"development": {"samm-999"}, "untouched": set()}
    monkeypatch.setattr("benchmarks.halves.subjects", lambda half: subjects(half) | extra[half])
    with pytest.raises(ManifestError, match="samm-999"):
        development_manifest()


@pytest.mark.slow
@needs_shared
def test_a_trial_scores_the_half_and_is_logged(tmp_path, monkeypatch):
    words = ["--name", "x", "--change", "blink=0.1", "edge=(2.0, 3.0)", "--model", "htnet_tiny"]
    words += ["--count", "96", "--epochs", "1", "--seeds", "1", "--out", str(tmp_path / "log.json")]
    synthesis_zero_shot.main(words)
    synthesis_zero_shot.main(words)
    trials = json.loads((tmp_path / "log.json").read_text("utf-8"))["trials"]
    assert len(trials) == 2
    assert trials[0]["changes"] == {"blink": 0.1, "edge": [2.0, 3.0]}
    (run,) = trials[0]["runs"]
    assert np.sum(run["confusion"]) == 169
    assert {"full", "smic", "casme2", "samm"} <= set(run)
    assert trials[1]["runs"][0]["confusion"] == run["confusion"]


def test_statistics_against_independent_ones(rng):
    planes = rng.normal(size=(5, 28, 28)).cumsum(1)
    y, x = np.mgrid[:28, :28]
    basis = np.stack([np.ones(784), x.ravel(), y.ravel()], 1)
    for plane, share, fourth in zip(planes, affine_share(planes), kurtosis(planes), strict=True):
        left = plane.ravel() - basis @ np.linalg.lstsq(basis, plane.ravel(), rcond=None)[0]
        assert share == pytest.approx(1 - left.var() / plane.var())
        assert fourth == pytest.approx(scipy_kurtosis(plane, axis=None, fisher=False))
    periods = int(rng.integers(3, 12))
    wave = np.sin(2 * np.pi * periods * x / 28 + rng.uniform(0, 6))[None]
    assert radial_spectrum(wave).argmax() + 1 == periods
    assert radial_spectrum(7 * wave + 3) == pytest.approx(radial_spectrum(wave))


def test_the_strain_histogram_counts_all_pixels():
    images = FlowGenerator()(64, 5).images.numpy()
    found = statistics(images)
    assert sum(found["strain_histogram"]) == pytest.approx(1, abs=1e-3)
    assert found["strain_histogram"][0] == pytest.approx((images[:, 0] < 4).mean(), abs=1e-4)
    assert found["quantiles"]["u"][3] == pytest.approx(np.median(images[:, 2]), abs=0.1)


@pytest.mark.slow
def test_committed_statistics_are_of_the_committed_constants():
    kept = json.loads(synthesis_calibration.RESULT.read_text("utf-8"))
    assert SynthesisConfig.from_dict(kept["config"]) == SynthesisConfig()
    now = statistics(FlowGenerator()(kept["samples"]["generated"], kept["samples"]["seed"]).images.numpy())
    for name, spectrum in now["radial_spectrum_log10"].items():
        assert spectrum == pytest.approx(kept["generated"]["radial_spectrum_log10"][name], abs=0.01)
    assert now["strain_histogram"] == pytest.approx(kept["generated"]["strain_histogram"], abs=0.002)


def test_generated_statistics_are_near_the_real_ones():
    """Bounds a little wider than what was reached, so a change of the generator is noticed."""
    kept = json.loads(synthesis_calibration.RESULT.read_text("utf-8"))
    real, generated = kept["real"], kept["generated"]
    for name, spectrum in real["radial_spectrum_log10"].items():
        assert np.abs(np.subtract(spectrum, generated["radial_spectrum_log10"][name])).max() < 0.6
    assert np.abs(np.subtract(real["strain_histogram"], generated["strain_histogram"])).sum() < 0.5


def test_the_page_shows_the_constants():
    text = PAGE.read_text("utf-8")
    assert written(text) == text


@pytest.mark.slow
def test_quick_figures_of_the_benchmark(monkeypatch):
    found = synthesis.run(True)["sizes"]["28"]["images_per_second"]
    assert 0 < found["slowest"] <= found["median"]
    monkeypatch.setattr(synthesis, "interleave", lambda *a, **k: pytest.fail("timed all the same"))
    broken = FlowGenerator()(4, 0)
    monkeypatch.setattr(FlowGenerator, "__call__", lambda self, count, seed, first=0: _noise(broken, count))
    with pytest.raises(DisagreementError, match="depend on the batch"):
        synthesis.run(True)


def _noise(made, count):
    return type(made)(
        *(torch.rand(count, 3, 28, 28) for _ in range(6)),
    )
