"""Splits keep people together and spread the grades."""

import dataclasses
import random

import numpy as np
import pytest

from htnet.core.errors import InputError, LandmarkError, ManifestError
from htnet.data import Manifest, Sample
from htnet.palsy import SCHEMES, face_asymmetry, gaps, prepare_faces, split_patients, split_table

NAMES = SCHEMES[6].names


def manifest(patients):
    """``patients``: name to grades."""
    samples = [
        Sample(f"{name}_{k}", subject=name, label=NAMES[grade - 1])
        for name, grades in patients.items()
        for k, grade in enumerate(grades)
    ]
    return Manifest(tuple(samples), NAMES)


def random_patients(rng, count):
    return {f"p{i}": rng.integers(1, 7, rng.integers(1, 7)).tolist() for i in range(count)}


@pytest.mark.parametrize("case", range(6))
def test_nobody_is_in_two_splits_and_all_images_are_in_one(case, rng):
    given = manifest(random_patients(rng, int(rng.integers(3, 60))))
    done = split_patients(given, test=0.2, val=0.15, seed=int(rng.integers(99)))
    of = {}
    for before, after in zip(given, done, strict=True):
        assert dataclasses.replace(after, split="") == before
        assert after.split in ("train", "val", "test")
        assert of.setdefault(after.subject, after.split) == after.split
    assert set(of.values()) == {"train", "val", "test"}


@pytest.mark.parametrize("seed", range(5))
def test_each_grade_has_its_share_in_each_split(seed, rng):
    given = manifest({f"p{i}": [i % 6 + 1] * int(rng.integers(1, 5)) for i in range(120)})
    table = split_table(split_patients(given, test=0.25, val=0.1, seed=seed))
    for name in NAMES:
        whole = sum(row[name] for row in table.values())
        for split, share in (("train", 0.65), ("val", 0.1), ("test", 0.25)):
            assert abs(table[split][name] - share * whole) <= 4, (name, split)


def test_rare_grade_is_spread_too():
    given = manifest({**{f"a{i}": [1, 1, 1] for i in range(40)}, **{f"b{i}": [6] for i in range(5)}})
    table = split_table(split_patients(given, test=0.2))
    assert table["test"]["VI"] == 1
    assert table["train"]["VI"] == 4


def test_seed_decides_and_order_does_not(rng):
    given = manifest(random_patients(rng, 40))
    shuffled = list(given.samples)
    random.shuffle(shuffled)
    one = {s.sample: s.split for s in split_patients(given, seed=1)}
    assert one == {
        s.sample: s.split for s in split_patients(dataclasses.replace(given, samples=tuple(shuffled)), seed=1)
    }
    others = [{s.sample: s.split for s in split_patients(given, seed=seed)} for seed in range(2, 6)]
    assert any(other != one for other in others)


def test_no_split_stays_empty():
    done = split_patients(manifest({"a": [1], "b": [2], "c": [3]}), test=0.1, val=0.1)
    assert sorted(s.split for s in done) == ["test", "train", "val"]


def test_no_test_share_leaves_all_for_training():
    given = manifest({"a": [1], "b": [2]})
    assert {s.split for s in split_patients(given, test=0.0)} == {"train"}
    assert {s.split for s in split_patients(given, test=1.0)} == {"test"}
    assert {s.split for s in split_patients(given, test=0.7, val=0.3)} == {"val", "test"}


@pytest.mark.parametrize(("test", "val"), [(1.1, 0.0), (0.7, 0.5), (-0.1, 0.0), (float("nan"), 0.0)])
def test_impossible_shares_are_refused(test, val):
    with pytest.raises(InputError, match="together at most 1"):
        split_patients(manifest({"a": [1], "b": [2]}), test=test, val=val)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None])
def test_impossible_seeds_are_refused_even_if_the_table_names_the_splits(seed, tmp_path):
    rows = manifest({"a": [1], "b": [2]})
    split = dataclasses.replace(rows, samples=tuple(dataclasses.replace(s, split="train") for s in rows))
    for draw in (lambda: split_patients(rows, seed=seed), lambda: prepare_faces(split, tmp_path / "out", seed=seed)):
        with pytest.raises(InputError, match="^seed is .*; give a whole number from 0 to 2"):
            draw()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", [{"seed": 3}, {"test": 0.3}, {"val": 0.1}])
def test_splits_that_are_named_are_not_drawn(given, tmp_path):
    named = split_patients(manifest({"a": [1], "b": [2]}), test=0.5)
    with pytest.raises(InputError, match=r"names the split of each sample.* remove the splits"):
        prepare_faces(named, tmp_path / "out", "template", **given)
    assert not (tmp_path / "out").exists()


def test_too_few_patients_and_missing_subjects_are_named():
    with pytest.raises(ManifestError, match=r"1 patient\(s\) for 2 splits"):
        split_patients(manifest({"a": [1, 2, 3]}))
    with pytest.raises(ManifestError, match="'x'.*without subject"):
        split_patients(Manifest((Sample("x", label="I"),), NAMES))


def test_gaps_are_named():
    done = split_patients(manifest({"a": [1, 2], "b": [1], "c": [1]}), test=0.34)
    lines = gaps(done)
    assert "class III: no images at all" in "\n".join(lines)
    missing = next(s for s in ("train", "test") if split_table(done)[s]["II"] == 0)
    assert f"class II: no images in {missing}" in lines


def test_paths_and_names_of_landmarkers_are_refused_with_the_cure(tmp_path):
    for take in (split_patients, lambda it: prepare_faces(it, tmp_path / "faces", "yunet")):
        with pytest.raises(ManifestError, match=r"is a path, 'graded.csv'. Read it first"):
            take("graded.csv")
    with pytest.raises(LandmarkError, match=r"landmarks is of type int; give 'yunet'"):
        face_asymmetry(np.zeros((64, 64, 3), np.uint8), 5)
    assert not list(tmp_path.iterdir())
