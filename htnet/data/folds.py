"""Splits in which no person is in both training and test set."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from htnet.core.errors import ManifestError
from htnet.core.fields import real, seed_number, whole
from htnet.core.identity import refuse_unnamed
from htnet.core.shared_files import check_files
from htnet.core.words import listed
from htnet.data.manifest import Manifest, check_indices, check_manifest, sample_indices

Key = tuple[str, str]
#: Maximum length of a fold name in characters; file systems allow 255 bytes, and the name becomes part of file names.
_LONGEST = 120


@dataclass(frozen=True)
class Fold:
    """A fold: what is left out of one training run (a subject, a data set, or several subjects).

    Attributes:
        name: name of the fold, unique in its manifest and usable as a file name.
        dataset: data set of the subject left out, or the data set left out; "" if several subjects are left out.
        subject: the subject left out; "" if a whole data set or several subjects are left out.
        train: indices of all other samples, ascending.
        test: indices of the samples left out, ascending.
    """

    name: str
    dataset: str
    subject: str
    train: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def title(self) -> str:
        """Data set and subject left out, as written in the data; the fold's name if several subjects are left out."""
        return " ".join(part for part in (self.dataset, self.subject) if part) or self.name


def leave_one_subject_out(manifest: Manifest) -> tuple[Fold, ...]:
    """One fold per subject, ordered by data set and subject.

    Raises:
        ManifestError: samples have no subject, two subjects share a file, or there are fewer than two subjects.
    """
    check_manifest(manifest)
    members = _by_subject(manifest, range(len(manifest)))
    if len(members) < 2:
        raise ManifestError(
            f"{manifest.source} has {len(members)} subject(s) in {len(manifest)} samples; leaving one out needs "
            "two or more. Add subjects, or correct the column 'subject'."
        )
    keys = sorted(members)
    return tuple(
        Fold(name, *key, *_sides(manifest, members[key])) for key, name in zip(keys, _fold_names(keys), strict=True)
    )


def leave_one_dataset_out(manifest: Manifest) -> tuple[Fold, ...]:
    """One fold per data set, named after it and in the order of the names: train on the others, test on it.

    Also called leave-one-database-out. A subject is identified by data set and name, so a name that occurs in two data
    sets counts as two people. Samples need not have subjects.

    Raises:
        ManifestError: samples have no data set, two subjects or data sets share a file, or there are fewer than two
            data sets.
    """
    check_manifest(manifest)
    without = [s.sample for s in manifest if not s.dataset]
    if without:
        raise ManifestError(
            f"{manifest.source}: {listed(without)} without data set. Fill the column 'dataset': a sample must not be "
            "on both sides of a split."
        )
    check_files(manifest, manifest.source)
    members = defaultdict(list)
    for i, sample in enumerate(manifest):
        members[sample.dataset].append(i)
    if len(members) < 2:
        raise ManifestError(
            f"{manifest.source} has {len(members)} data set(s) in {len(manifest)} samples; leaving one out needs two "
            "or more. Join manifests of several data sets, correct the column 'dataset', or leave subjects out."
        )
    datasets = sorted(members)
    names = _fold_names([("", dataset) for dataset in datasets])
    return tuple(
        Fold(name, dataset, "", *_sides(manifest, members[dataset]))
        for dataset, name in zip(datasets, names, strict=True)
    )


def k_folds(manifest: Manifest, folds: int = 5, seed: int = 0) -> tuple[Fold, ...]:
    """Folds of several subjects each: every subject is left out once, with all its samples.

    Subjects are assigned one by one, those with the most samples first, each to the fold that keeps the class counts
    most balanced over the folds. The order of subjects with equal counts depends only on ``seed`` and their names, not
    on the order of the samples.

    Args:
        manifest: labeled samples with subjects.
        folds: number of folds, 2 or more.
        seed: selects the order of subjects with equal counts, and so different folds.

    Returns:
        The folds, named fold-1, fold-2, ...

    Raises:
        InputError: ``folds`` is below 2, or ``seed`` is not a whole number of 0 or more.
        ManifestError: there are fewer subjects than folds, samples have no subject or label, or two subjects share a
            file.
    """
    check_manifest(manifest)
    folds, seed = whole(ge=2).check("folds", folds), seed_number().check("seed", seed)
    members = _by_subject(manifest, range(len(manifest)))
    if len(members) < folds:
        raise ManifestError(
            f"{manifest.source} has {len(members)} subject(s), too few for {folds} folds. Ask for fewer folds, or "
            "leave one subject out at a time."
        )
    labels, classes = manifest.labels(), len(manifest.classes)
    counts = {key: np.bincount(labels[at], minlength=classes) for key, at in members.items()}
    order = sorted(members, key=lambda key: (-len(members[key]), _digest(str(seed), *key)))
    filled = np.zeros((folds, classes), dtype=np.int64)
    placed: list[list[int]] = [[] for _ in range(folds)]
    for number, key in enumerate(order):
        # Every fold gets a subject. The spread of counts over the folds grows least where the sum of squares does.
        grown = ((filled + counts[key]) ** 2).sum(1) - (filled**2).sum(1)
        empty = [k for k in range(folds) if not placed[k]]
        least = empty if len(empty) >= len(order) - number else range(folds)
        best = min(least, key=lambda k: (grown[k], filled[k].sum(), k))
        filled[best] += counts[key]
        placed[best] += members[key]
    return tuple(Fold(f"fold-{k}", "", "", *_sides(manifest, at)) for k, at in enumerate(placed, 1))


def fixed_split(manifest: Manifest) -> tuple[Fold, ...]:
    """The split in the manifest's column ``split``: train on samples with "train", test on samples with "test".

    Samples with another split, or none, are left out.

    Returns:
        One fold, named "test".

    Raises:
        ManifestError: one of the two splits has no samples, one of their samples has no subject, or they share a file.
    """
    check_manifest(manifest)
    train, test = (manifest.split(name) for name in ("train", "test"))
    number = {sample.sample: i for i, sample in enumerate(manifest)}
    sides = [tuple(sorted(number[sample.sample] for sample in part)) for part in (train, test)]
    return (Fold("test", "", "", *sides),)


def _sides(manifest: Manifest, left_out: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the training samples and of the test samples, both ascending."""
    test = set(left_out)
    return tuple(i for i in range(len(manifest)) if i not in test), tuple(sorted(test))


def hold_out_subjects(
    manifest: Manifest, indices: Iterable[int], fraction: float, seed: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split samples into two parts that share no subject.

    From every data set with two or more subjects, ``fraction`` of its subjects, rounded to the nearest integer, are
    held out, but at least one and never all. The choice depends only on ``seed`` and the subjects' names, not on the
    order of the samples.

    Args:
        manifest: the samples.
        indices: indices of the samples to split.
        fraction: fraction of the subjects to hold out, between 0 and 1.
        seed: selects which subjects are held out.

    Returns:
        Indices of the samples that remain and of those held out, both in the order of ``indices``.

    Raises:
        InputError: ``fraction`` is not between 0 and 1, or ``seed`` is not a whole number of 0 or more.
        ManifestError: samples have no subject, two subjects share a file, an index does not exist, or no data set has
            two subjects.
    """
    check_manifest(manifest)
    fraction, seed = real(gt=0, lt=1).check("fraction", fraction), seed_number().check("seed", seed)
    chosen = sample_indices(indices)
    check_indices(chosen, manifest)
    of_dataset = defaultdict(list)
    for key in _by_subject(manifest, chosen):
        of_dataset[key[0]].append(key)
    held_keys: set[Key] = set()
    for keys in of_dataset.values():
        if len(keys) > 1:
            count = min(max(int(fraction * len(keys) + 0.5), 1), len(keys) - 1)
            held_keys.update(sorted(keys, key=lambda key: _digest(str(seed), *key))[:count])
    if not held_keys:
        raise ManifestError(
            f"{manifest.source}: no data set has two or more subjects among the {len(chosen)} samples given, so "
            "none can be held out. Give more subjects."
        )
    held = [_key(manifest, i) in held_keys for i in chosen]
    return (
        tuple(i for i, out in zip(chosen, held, strict=True) if not out),
        tuple(i for i, out in zip(chosen, held, strict=True) if out),
    )


def _key(manifest: Manifest, index: int) -> Key:
    sample = manifest.samples[index]
    return sample.dataset, sample.subject


def _by_subject(manifest: Manifest, indices: Sequence[int]) -> dict[Key, list[int]]:
    chosen = [manifest.samples[i] for i in indices]
    refuse_unnamed(chosen, manifest.source)
    check_files(chosen, manifest.source)
    members = defaultdict(list)
    for i in indices:
        members[_key(manifest, i)].append(i)
    return dict(members)


def _digest(*parts: str) -> str:
    # The lengths distinguish ("a", "bc") from ("ab", "c").
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _fold_names(keys: Sequence[Key]) -> list[str]:
    """Names like ``casme2-sub01``; a digest is added if names differ only in case, or if a name is too long."""
    plain = [_plain_name(*key) for key in keys]
    alike = Counter(name.casefold() for name in plain)
    return [
        name if alike[name.casefold()] == 1 and len(name) <= _LONGEST else f"{name[:_LONGEST]}~{_digest(*key)[:16]}"
        for name, key in zip(plain, keys, strict=True)
    ]


def _plain_name(dataset: str, subject: str) -> str:
    """A name that is distinct for distinct keys: "-" is kept only between the parts and inside the second part."""
    first = quote(dataset or subject, safe="").replace("-", "%2D").replace("~", "%7E")
    if first.startswith("."):
        first = "%2E" + first[1:]
    return f"{first}-{quote(subject, safe='').replace('~', '%7E')}" if dataset else first
