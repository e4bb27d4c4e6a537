"""Splits that keep each person on one side."""

from __future__ import annotations

import hashlib
import operator
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from htnet.core.errors import InputError, ManifestError
from htnet.core.fields import whole
from htnet.core.identity import check_files, refuse_unnamed
from htnet.core.words import listed
from htnet.data.manifest import Manifest, check_indices

Key = tuple[str, str]
#: Longest fold name in characters; file systems take 255 bytes, and users of the name add to it.
_LONGEST = 120


@dataclass(frozen=True)
class Fold:
    """What is left out of one training: a subject, a data set, or a part of the subjects.

    Attributes:
        name: unique in its manifest and fit for a file name.
        dataset: data set of the subject, or the one left out; empty if several subjects are.
        subject: the subject left out; empty if a whole data set or several subjects are.
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
        """What is left out, as the data name it; the name of a fold that leaves out several subjects."""
        return " ".join(part for part in (self.dataset, self.subject) if part) or self.name


def leave_one_subject_out(manifest: Manifest) -> tuple[Fold, ...]:
    """One fold for each subject, ordered by data set and subject.

    Raises:
        ManifestError: samples without subject, one file under two subjects, or fewer than two subjects.
    """
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
    """One fold for each data set, ordered and named by it: train on the others, test on it.

    Also called leave-one-database-out. Subjects are known by data set and name together, so a name that occurs in
    two data sets counts as two people. Subjects need not be known.

    Raises:
        ManifestError: samples without data set, one file under two subjects or data sets, or fewer than two data sets.
    """
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

    Subjects are placed one after the other, those with the most samples first, each into the fold in which the classes
    are then most alike in number. Which come first among equals depends on ``seed`` and the subjects' names only, not
    on the order of the samples.

    Args:
        manifest: labeled samples with subjects.
        folds: number of folds, 2 or more.
        seed: another seed, other folds.

    Returns:
        The folds, called fold-1, fold-2, ...

    Raises:
        InputError: ``folds`` is below 2.
        ManifestError: fewer subjects than folds, samples without subject or label, or one file under two subjects.
    """
    whole(ge=2).check("folds", folds)
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
        # Every fold gets a subject; the spread of counts over folds grows least where the sum of squares does.
        grown = ((filled + counts[key]) ** 2).sum(1) - (filled**2).sum(1)
        empty = [k for k in range(folds) if not placed[k]]
        least = empty if len(empty) >= len(order) - number else range(folds)
        best = min(least, key=lambda k: (grown[k], filled[k].sum(), k))
        filled[best] += counts[key]
        placed[best] += members[key]
    return tuple(Fold(f"fold-{k}", "", "", *_sides(manifest, at)) for k, at in enumerate(placed, 1))


def fixed_split(manifest: Manifest) -> tuple[Fold, ...]:
    """The split that the manifest states: train on samples whose column ``split`` says train, test on those with test.

    Samples with another split, or none, are left out.

    Returns:
        One fold, called "test".

    Raises:
        ManifestError: no sample has one of the two splits, a sample of either names no subject, or one file is in both.
    """
    train, test = (manifest.split(name) for name in ("train", "test"))
    number = {sample.sample: i for i, sample in enumerate(manifest)}
    sides = [tuple(sorted(number[sample.sample] for sample in part)) for part in (train, test)]
    return (Fold("test", "", "", *sides),)


def _sides(manifest: Manifest, left_out: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the samples to train and to test on, both ascending."""
    test = set(left_out)
    return tuple(i for i in range(len(manifest)) if i not in test), tuple(sorted(test))


def hold_out_subjects(
    manifest: Manifest, indices: Iterable[int], fraction: float, seed: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split samples into two parts that share no subject.

    From every data set with two or more subjects, the nearest integer to ``fraction`` of its
    subjects is held out, but at least one and never all. Which ones depends on ``seed`` and the
    subjects' names only, not on the order of the samples.

    Args:
        manifest: the samples.
        indices: which of them to split.
        fraction: share of the subjects to hold out, between 0 and 1.
        seed: another seed, another choice.

    Returns:
        Indices of the samples that stay and of those held out, both in the order of ``indices``.

    Raises:
        InputError: ``fraction`` is not between 0 and 1.
        ManifestError: samples without subject, one file under two subjects, indices that do not
            exist, or no data set with two subjects.
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction is {fraction}; give a fraction between 0 and 1.")
    chosen = [operator.index(i) for i in indices]
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
    # Lengths keep ("a", "bc") and ("ab", "c") apart.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _fold_names(keys: Sequence[Key]) -> list[str]:
    """Names like ``casme2-sub01``; a digest is added if two names differ only in case."""
    plain = [_plain_name(*key) for key in keys]
    alike = Counter(name.casefold() for name in plain)
    return [
        name if alike[name.casefold()] == 1 and len(name) <= _LONGEST else f"{name[:_LONGEST]}~{_digest(*key)[:16]}"
        for name, key in zip(plain, keys, strict=True)
    ]


def _plain_name(dataset: str, subject: str) -> str:
    """Distinct for distinct keys: only a "-" between the parts, or inside the second, stays one."""
    first = quote(dataset or subject, safe="").replace("-", "%2D").replace("~", "%7E")
    if first.startswith("."):
        first = "%2E" + first[1:]
    return f"{first}-{quote(subject, safe='').replace('~', '%7E')}" if dataset else first
