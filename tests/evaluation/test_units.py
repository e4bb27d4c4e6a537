"""Tables of action units that are counted over each training's own samples."""

import dataclasses
import json

import numpy as np
import pytest

import htnet
from htnet.core.errors import InputError, ManifestError, ModelError, RunError
from htnet.data import (
    REGION_UNITS,
    active_regions,
    leave_one_subject_out,
    open_data,
    read_dataset,
    training_cooccurrence,
)
from htnet.evaluation import loso, protocols
from htnet.training import Recipe
from tests.data import official
from tests.support.flows import write_flow_set

TEXTS = ("4+7", "1+2+5B", "6+12", "9+L10", "R4+25", "12", "L1+L6", "")
QUICK = Recipe(epochs=1, batch_size=8)
SIZE = len(REGION_UNITS)


@pytest.fixture
def manifest(tmp_path, rng):
    found = write_flow_set(tmp_path / "set", 4, 4)
    # Each person leaves one sample without annotation.
    texts = [TEXTS[-1] if i % 4 == 3 else str(rng.choice(TEXTS[:-1])) for i in range(len(found))]
    samples = tuple(dataclasses.replace(s, action_units=t) for s, t in zip(found, texts, strict=True))
    found = dataclasses.replace(found, samples=samples)
    found.write(tmp_path / "set" / "manifest.csv", overwrite=True)
    return open_data(tmp_path / "set")


def counted(samples):
    """The definition, region by region."""
    active = [active_regions(s.action_units) for s in samples if s.action_units]
    table = np.zeros((SIZE, SIZE))
    for i in range(SIZE):
        of_i = [row for row in active if row[i]]
        for j in range(SIZE):
            table[i, j] = sum(bool(row[j]) for row in of_i) / len(of_i) if of_i else 0
    return table


@pytest.fixture
def trained(monkeypatch):
    """Table and samples of every training."""
    found = []
    real = protocols.run_job

    def spy(job, data, *arguments, **more):
        found.append((np.array(job.settings["au_cooccurrence"]), len(data)))
        return real(job, data, *arguments, **more)

    monkeypatch.setattr(protocols, "run_job", spy)
    return found


def run(manifest, out, **options):
    options = {"recipe": QUICK, "model": "mhssa_gcn_small", "progress": False, "count_units": True} | options
    return loso(manifest, out=out, **options)


@pytest.mark.slow
def test_each_fold_counts_its_training_subjects_alone(manifest, tmp_path, trained):
    result = run(manifest, tmp_path / "run", protocols=["last", "nested"])
    folds = leave_one_subject_out(manifest)
    assert len(trained) == 2 * len(folds)
    for fold, (table, count) in zip(folds, trained[::2], strict=True):
        assert count == len(fold.train)
        np.testing.assert_allclose(table, counted([manifest.samples[i] for i in fold.train]), atol=1e-12)
    for fold, (table, count) in zip(folds, trained[1::2], strict=True):
        inner = {s.subject for s in (manifest.samples[i] for i in fold.train)}
        held = [[s for s in manifest if s.subject in inner - {out}] for out in inner]
        assert count < len(fold.train)
        assert any(np.allclose(table, counted(samples), atol=1e-12) for samples in held), "held-out people say nothing"
    assert result.summary["run"]["config"]["au_cooccurrence"] == "counted over the training subjects of each fold"
    assert "action_units" not in result.summary["run"]


@pytest.mark.slow
def test_what_the_left_out_subject_shows_changes_nothing(manifest, tmp_path, trained):
    run(manifest, tmp_path / "a")
    first = leave_one_subject_out(manifest)[0]
    samples = [dataclasses.replace(s, action_units="1+2+4+5+9+10") if i in first.test else s
               for i, s in enumerate(manifest)]  # fmt: skip
    other = dataclasses.replace(manifest, samples=tuple(samples))
    run(other, tmp_path / "b")
    tables = [table for table, _ in trained]
    half = len(tables) // 2
    assert np.array_equal(tables[0], tables[half])
    assert all(not np.array_equal(a, b) for a, b in zip(tables[1:half], tables[half + 1 :], strict=True))
    with pytest.raises(RunError, match="action_units"):
        run(other, tmp_path / "a")


def test_commands(manifest, tmp_path, succeed, fail):
    words = ["--data", tmp_path / "set", "--model", "mhssa_gcn_small", "--epochs", 1, "--au-cooccurrence", "training"]
    succeed("loso", *words, "--out", tmp_path / "run", "--workers", 1)
    assert "each fold" in json.loads((tmp_path / "run" / "run.json").read_text())["config"]["au_cooccurrence"]
    succeed("train", *words, "--out", tmp_path / "weights")
    model = htnet.load_pretrained(tmp_path / "weights")
    np.testing.assert_allclose(model.config.au_cooccurrence, counted(manifest), atol=1e-12)
    np.testing.assert_allclose(model.AU_adj, counted(manifest), atol=1e-6)
    words[3] = "htnet_tiny"
    for command in ("loso", "train"):
        message = fail(command, *words, "--out", tmp_path / command)
        assert "htnet_tiny reads no table of action units" in message


def test_bad_annotations_are_refused_before_anything_is_trained(manifest, tmp_path, trained):
    bare = [dataclasses.replace(s, action_units="") for s in manifest]
    with pytest.raises(ManifestError, match="Fill the column 'action_units'"):
        run(dataclasses.replace(manifest, samples=tuple(bare)), tmp_path / "bare")
    one = [dataclasses.replace(s, action_units="4" if s.subject == "s0" else "") for s in manifest]
    with pytest.raises(ManifestError, match="No training sample has annotated action units"):
        run(dataclasses.replace(manifest, samples=tuple(one)), tmp_path / "one")
    wrong = (*bare[:-1], dataclasses.replace(bare[-1], action_units="smile"))
    with (
        pytest.warns(UserWarning, match=f"sample '{bare[-1].sample}' are left out.*'smile'"),
        pytest.raises(ManifestError, match="No training sample has annotated action units"),
    ):
        training_cooccurrence(wrong)
    with pytest.raises(InputError, match="Use vmap_folds=1"):
        run(manifest, tmp_path / "vmapped", vmap_folds=2)
    with pytest.raises(InputError, match="but settings also contains it"):
        run(manifest, tmp_path / "both", settings={"au_cooccurrence": np.eye(SIZE).tolist()})
    with pytest.raises(ModelError, match="mhssa_gcn"):
        run(manifest, tmp_path / "tiny", model="htnet_tiny")
    assert not trained


def test_official_sheets_fill_the_column(tmp_path):
    official.casme2(tmp_path / "c2", [(1, "EP02_01f", 46, 59, 86, "happiness")])
    official.casme3(tmp_path / "c3", [("spNO.1", "b", 166, 175, 179, "disgust")])
    official.smic(tmp_path / "smic", ["s1_ne_01"])
    found = {name: read_dataset(dataset, tmp_path / name).samples[0].action_units
             for name, dataset in (("c2", "casme2"), ("c3", "casme3"), ("smic", "smic"))}  # fmt: skip
    assert found == {"c2": "4+7", "c3": "4", "smic": ""}
