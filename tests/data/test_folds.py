import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from htnet.core.errors import HtnetError, InputError, ManifestError
from htnet.data import (
    Manifest,
    Sample,
    au_cooccurrence,
    fixed_split,
    hold_out_subjects,
    k_folds,
    leave_one_dataset_out,
    leave_one_subject_out,
    merge_composite,
    parse_action_units,
    parse_annotation,
    read_composite,
)
from htnet.export import write_curve, write_report
from htnet.prepare import prepare
from htnet.training import load_flow_set, train_weights
from htnet.types import PreprocessSpec
from tests.support.paths import COMPOSITE, needs_shared


def manifest_of(keys):
    return Manifest(tuple(Sample(str(i), dataset, subject) for i, (dataset, subject) in enumerate(keys)))


def random_manifest(seed):
    """Subjects with the same id in several data sets, in any order; at least two subjects."""
    rng = np.random.default_rng(seed)
    keys = {(f"d{rng.integers(3)}", f"{rng.integers(1, 9):02d}") for _ in range(12)} | {("d0", "a"), ("d0", "b")}
    several = [key for key in sorted(keys) for _ in range(rng.integers(1, 5))]
    return manifest_of([several[i] for i in rng.permutation(len(several))]), rng


def seeds(count):
    first = int(torch.randint(2**31, ()))
    return range(first, first + count)


def keys_at(manifest, indices):
    return {(manifest.samples[i].dataset, manifest.samples[i].subject) for i in indices}


def test_folds_part_the_samples_exactly():
    for seed in seeds(40):
        manifest, _ = random_manifest(seed)
        folds = leave_one_subject_out(manifest)
        assert [(f.dataset, f.subject) for f in folds] == manifest.subjects, seed
        assert sorted(i for f in folds for i in f.test) == list(range(len(manifest))), seed
        for fold in folds:
            assert sorted(fold.train + fold.test) == list(range(len(manifest))), seed
            assert keys_at(manifest, fold.test) == {(fold.dataset, fold.subject)}, seed
            assert not keys_at(manifest, fold.train) & keys_at(manifest, fold.test), seed


def test_fold_names():
    names = [f.name for f in leave_one_subject_out(manifest_of([("casme2", "sub01"), ("smic", "s-1"), ("", "spNO.1")]))]
    assert names == ["spNO.1", "casme2-sub01", "smic-s-1"]


def test_fold_names_are_safe_and_distinct():
    parts = [
        "",
        "a",
        "a-b1",
        "b",
        "B1",
        "b2",
        "a/b2",
        "a%2Fb",
        "..c",
        "ß",
        "a~b3",
        "x" * 300,
        "x" * 299 + "y",
        "c*4",
    ]
    keys = [(dataset, subject) for dataset in parts if dataset for subject in parts if subject]
    names = [f.name for f in leave_one_subject_out(manifest_of(keys))]
    assert len({name.casefold() for name in names}) == len(keys), "also where file names ignore capitals"
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9%_][A-Za-z0-9%_.~-]*", name), name
        assert len(name) < 200


@needs_shared
def test_folds_of_the_published_composite():
    folds = leave_one_subject_out(read_composite(COMPOSITE))
    assert len(folds) == 68
    assert sum(len(f.test) for f in folds) == 442
    assert folds[0].name == "casme2-sub01"


def test_folds_need_subjects():
    with pytest.raises(ManifestError, match="1 sample \\('1'\\) without subject"):
        leave_one_subject_out(manifest_of([("d", "a"), ("d", ""), ("d", "b")]))
    with pytest.raises(ManifestError, match=r"has 1 subject\(s\) in 2 samples"):
        leave_one_subject_out(manifest_of([("d", "a"), ("d", "a")]))


def test_a_fold_for_each_data_set():
    for seed in seeds(40):
        manifest, _ = random_manifest(seed)
        datasets = sorted({s.dataset for s in manifest})
        if len(datasets) < 2:
            continue
        folds = leave_one_dataset_out(manifest)
        assert [(f.name, f.dataset, f.subject) for f in folds] == [(d, d, "") for d in datasets], seed
        for fold in folds:
            # Also of subjects whose name another data set has too, as many here have.
            assert list(fold.test) == [i for i, s in enumerate(manifest) if s.dataset == fold.dataset], seed
            assert list(fold.train) == [i for i, s in enumerate(manifest) if s.dataset != fold.dataset], seed


def test_a_subject_name_in_two_data_sets_is_two_people():
    manifest = manifest_of([("x", "01"), ("y", "01"), ("y", "02"), ("z", "01"), ("x", "01"), ("z", "03")])
    assert [(f.train, f.test) for f in leave_one_dataset_out(manifest)] == [
        ((1, 2, 3, 5), (0, 4)),
        ((0, 3, 4, 5), (1, 2)),
        ((0, 1, 2, 4), (3, 5)),
    ]
    # Of the training part of "x", person 01 of one set may be held out while the other's stays.
    kept, held = hold_out_subjects(manifest, (1, 2, 3, 5), 0.5, 0)
    assert len(kept) == len(held) == 2
    assert {manifest.samples[i].dataset for i in held} == {"y", "z"}


def test_data_sets_need_no_subjects_and_have_safe_names():
    names = [
        f.name for f in leave_one_dataset_out(manifest_of([("CASME", ""), ("casme/2", ""), ("a/b", ""), ("..", "")]))
    ]
    assert len({name.casefold() for name in names}) == 4
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9%][A-Za-z0-9%_.~]*", name), name


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ([("d", "a"), ("", "b"), ("e", "c")], r"1 sample \('1'\) without data set\. Fill the column 'dataset'"),
        ([("d", "a"), ("d", "b")], r"has 1 data set\(s\) in 2 samples.*Join manifests"),
        ([], r"has 0 data set\(s\) in 0 samples"),
    ],
)
def test_folds_need_data_sets(keys, says):
    with pytest.raises(ManifestError, match=says):
        leave_one_dataset_out(manifest_of(keys))


@needs_shared
def test_data_sets_of_the_published_composite():
    found = [(f.name, len(f.train), len(f.test)) for f in leave_one_dataset_out(read_composite(COMPOSITE))]
    assert found == [("casme2", 297, 145), ("samm", 309, 133), ("smic", 278, 164)]


def test_held_out_subjects_are_on_one_side():
    for seed in seeds(60):
        manifest, rng = random_manifest(seed)
        indices = rng.permutation(len(manifest))[: rng.integers(len(manifest) // 2, len(manifest))].tolist()
        people = keys_at(manifest, indices)
        sizes = {d: sum(key[0] == d for key in people) for d, _ in people}
        if max(sizes.values()) < 2:
            continue
        fraction = float(rng.uniform(0.05, 0.95))
        train, held = hold_out_subjects(manifest, indices, fraction, seed)
        assert sorted(train + held) == sorted(indices), seed
        assert list(train) == [i for i in indices if i in train], seed
        inside, outside = keys_at(manifest, train), keys_at(manifest, held)
        assert not inside & outside, seed
        for dataset, size in sizes.items():
            out = sum(key[0] == dataset for key in outside)
            assert out == 0 if size < 2 else 1 <= out < size, seed
            if size > 1 and 1 <= fraction * size <= size - 1:
                assert abs(out - fraction * size) <= 0.5 + 1e-9, seed


def test_choice_depends_on_the_seed_only():
    keys = [(f"d{i % 3}", f"s{i % 17}") for i in range(200)]
    manifest, turned = manifest_of(keys), manifest_of(keys[::-1])
    chosen = {s: keys_at(manifest, hold_out_subjects(manifest, range(200), 0.3, s)[1]) for s in range(10)}
    for seed, people in chosen.items():
        assert keys_at(turned, hold_out_subjects(turned, range(200), 0.3, seed)[1]) == people
    assert len({frozenset(people) for people in chosen.values()}) > 5


@pytest.mark.slow
def test_choice_does_not_depend_on_the_hash_seed():
    """The seed of this process is another one."""
    code = (
        "from htnet.data import *; m = Manifest(tuple(Sample(str(i), f'd{i % 2}', f's{i % 9}') for i in range(40)));"
        "print(hold_out_subjects(m, range(40), 0.3, 5), [f.name for f in leave_one_subject_out(m)])"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    words, env = [sys.executable, "-c", code], {"PYTHONHASHSEED": seed}
    found = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout
    here = manifest_of((f"d{i % 2}", f"s{i % 9}") for i in range(40))
    chosen, folds = hold_out_subjects(here, range(40), 0.3, 5), leave_one_subject_out(here)
    assert found == f"{chosen} {[fold.name for fold in folds]}\n"


@pytest.mark.parametrize(
    ("keys", "indices", "fraction", "error", "says"),
    [
        ([("d", "a"), ("d", "b")], [0, 1], 0.0, InputError, "fraction is 0.0"),
        ([("d", "a"), ("d", "b")], [0, 1], 1.0, InputError, "fraction is 1.0"),
        ([("d", "a"), ("d", "b")], [0, 1], float("nan"), InputError, "fraction is nan"),
        ([("d", "a"), ("d", "b")], [0, 2], 0.5, ManifestError, "no sample 2"),
        ([("d", "a"), ("d", "b")], [0, 0], 0.5, ManifestError, "index 0 is given more than once"),
        ([("d", "a"), ("d", "")], [0, 1], 0.5, ManifestError, "without subject"),
        ([("d", "a"), ("e", "a"), ("d", "b")], [0, 1], 0.5, ManifestError, "none can be held out"),
        ([("d", "a"), ("d", "b")], [], 0.5, ManifestError, "none can be held out"),
    ],
)
def test_impossible_splits_are_refused(keys, indices, fraction, error, says):
    assert issubclass(error, HtnetError)
    with pytest.raises(error, match=says):
        hold_out_subjects(manifest_of(keys), indices, fraction, 0)


def labeled(seed):
    """Samples of three classes by several subjects, in any order."""
    manifest, rng = random_manifest(seed)
    classes = ("a", "b", "c")
    samples = tuple(dataclasses.replace(s, label=classes[rng.integers(3)]) for s in manifest)
    return Manifest(samples, classes), rng


def test_k_folds_leave_every_subject_out_once():
    for seed in seeds(40):
        manifest, rng = labeled(seed)
        count = int(rng.integers(2, len(manifest.subjects) + 1))
        folds = k_folds(manifest, count, seed)
        assert [fold.name for fold in folds] == [f"fold-{k + 1}" for k in range(count)], seed
        assert sorted(i for fold in folds for i in fold.test) == list(range(len(manifest))), seed
        for fold in folds:
            assert fold.test, seed
            assert sorted(fold.train + fold.test) == list(range(len(manifest))), seed
            assert not keys_at(manifest, fold.train) & keys_at(manifest, fold.test), seed
        order = rng.permutation(len(manifest))
        again = k_folds(manifest.subset(order), count, seed)
        assert [{order[i] for i in fold.test} for fold in again] == [set(fold.test) for fold in folds], seed


def test_k_folds_are_as_balanced_as_those_of_scikit_learn():
    from sklearn.model_selection import StratifiedGroupKFold

    def spread(parts, labels):
        counts = np.array([np.bincount(labels[list(part)], minlength=3) for part in parts])
        return float(counts.std(0).mean())

    ours, theirs = [], []
    for seed in seeds(20):
        manifest, _ = labeled(seed)
        labels, groups = manifest.labels(), [f"{s.dataset}/{s.subject}" for s in manifest]
        ours.append(spread([fold.test for fold in k_folds(manifest, 3, seed)], labels))
        splits = StratifiedGroupKFold(3, shuffle=True, random_state=0).split(labels, labels, groups)
        theirs.append(spread([test for _, test in splits], labels))
    assert np.mean(ours) < 1.2 * np.mean(theirs)


def test_folds_that_cannot_be():
    manifest, _ = labeled(1)
    with pytest.raises(ManifestError, match="too few for 99 folds"):
        k_folds(manifest, 99)
    with pytest.raises(InputError, match="folds is 1"):
        k_folds(manifest, 1)
    with pytest.raises(ManifestError, match="no sample has the split 'train'"):
        fixed_split(manifest)


def test_the_split_of_the_manifest():
    manifest, _ = labeled(2)
    parts = dict(zip(manifest.subjects, ("train", "test", "val", ""), strict=False))
    samples = tuple(dataclasses.replace(s, split=parts.get((s.dataset, s.subject), "train")) for s in manifest)
    (fold,) = fixed_split(Manifest(samples, manifest.classes))
    for name, found in (("train", fold.train), ("test", fold.test)):
        assert list(found) == [i for i, s in enumerate(samples) if s.split == name]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("samples-flow", r"is a path, 'samples-flow'. Read it first: htnet.data.open_data\(path\)"),
        (Path("samples.csv"), "is a path, 'samples.csv'"),
        ([Sample("a")], "is of type list, not Manifest; give what htnet.data.open_data"),
        (None, "is None, not Manifest"),
    ],
)
def test_what_is_no_manifest_is_refused_wherever_one_is_taken(given, message, tmp_path):
    takers = [
        leave_one_subject_out,
        leave_one_dataset_out,
        k_folds,
        fixed_split,
        lambda it: hold_out_subjects(it, range(2), 0.5, 0),
        lambda it: load_flow_set(it, PreprocessSpec()),
        lambda it: train_weights(it, None, tmp_path / "weights"),
        lambda it: prepare(it, tmp_path / "out"),
        lambda it: merge_composite(casme2=it, samm=it, smic=it),
    ]
    for take in takers:
        with pytest.raises(ManifestError, match=message):
            take(given)
    assert not list(tmp_path.iterdir())


def test_the_samples_and_classes_of_a_manifest():
    assert Manifest([Sample("a", label="x")], ["x", "y"]) == Manifest((Sample("a", label="x"),), ("x", "y"))
    for samples in (Sample("a"), [{"sample": "a"}], "a.csv", None):
        with pytest.raises(ManifestError, match=r"samples(\[0\])? is "):
            Manifest(samples)
    for classes in ("abc", [0, 1], None):
        with pytest.raises(ManifestError, match=r"classes(\[0\])? is "):
            Manifest((Sample("a"),), classes)


@pytest.mark.parametrize("indices", [[0, "1"], [0, 1.5], [True, False], [None], "01", 3])
def test_indices_are_whole_numbers(indices):
    manifest = Manifest((Sample("a", subject="p"), Sample("b", subject="q")))
    for take in (manifest.subset, lambda it: hold_out_subjects(manifest, it, 0.5, 0)):
        with pytest.raises(ManifestError, match="give whole numbers, such as those of a fold's train and test"):
            take(indices)


@pytest.mark.parametrize("text", [12, None, ["4", "7"]])
def test_annotations_are_text(text):
    for parse in (parse_annotation, parse_action_units):
        with pytest.raises(InputError, match="give a text such as '4\\+7'"):
            parse(text)
    with pytest.raises(InputError, match="annotations is '4\\+7'; give a list"):
        au_cooccurrence("4+7")


def test_other_results_are_refused_with_the_cure(tmp_path):
    with pytest.raises(InputError, match="give what htnet.analyze returns, and the path after it"):
        write_report(tmp_path / "a.html", "found")
    with pytest.raises(InputError, match="give what htnet.preprocess.spot returns"):
        write_curve(tmp_path / "a.csv", "found")
    assert not list(tmp_path.iterdir())
