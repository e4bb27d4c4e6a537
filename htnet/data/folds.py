"""Splits that keep each person on one side."""

from __future__ import annotations

import hashlib
import operator
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from htnet.data.manifest import Manifest, check_indices
from htnet.data.tables import listed
from htnet.errors import InputError, ManifestError

Key = tuple[str, str]
#: Longest fold name in characters; file systems take 255 bytes, and users of the name add to it.
_LONGEST = 120


@dataclass(frozen=True)
class Fold:
    """One subject left out.

    Attributes:
        name: unique in its manifest and fit for a file name.
        dataset: data set of the subject.
        subject: the subject left out.
        train: indices of all other subjects' samples, ascending.
        test: indices of the subject's samples, ascending.
    """

    name: str
    dataset: str
    subject: str
    train: tuple[int, ...]
    test: tuple[int, ...]


def leave_one_subject_out(manifest: Manifest) -> tuple[Fold, ...]:
    """One fold for each subject, ordered by data set and subject.

    Raises:
        ManifestError: samples without subject, or fewer than two subjects.
    """
    members = _by_subject(manifest, range(len(manifest)))
    if len(members) < 2:
        raise ManifestError(
            f"{manifest.source} has {len(members)} subject(s) in {len(manifest)} samples; leaving one out needs "
            "two or more. Add subjects, or correct the column 'subject'."
        )
    keys = sorted(members)
    everything = range(len(manifest))
    folds = []
    for key, name in zip(keys, _fold_names(keys), strict=True):
        test = set(members[key])
        train = tuple(i for i in everything if i not in test)
        folds.append(Fold(name, *key, train, tuple(sorted(test))))
    return tuple(folds)


def hold_out_subjects(
    manifest: Manifest, indices: Iterable[int], fraction: float, seed: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split samples into two parts that share no subject.

    From every data set with two or more subjects, the nearest whole number to ``fraction`` of its
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
        ManifestError: samples without subject, indices that do not exist, or no data set with two
            subjects.
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction is {fraction}; give a share between 0 and 1.")
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
    without = [manifest.samples[i].sample for i in indices if not manifest.samples[i].subject]
    if without:
        raise ManifestError(
            f"{manifest.source}: {listed(without)} without subject. Fill the column 'subject': people must not be "
            "on both sides of a split."
        )
    members = defaultdict(list)
    for i in indices:
        members[_key(manifest, i)].append(i)
    return dict(members)


def _digest(*parts: str) -> str:
    # Lengths keep ("a", "bc") and ("ab", "c") apart.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _fold_names(keys: Sequence[Key]) -> list[str]:
    """Names like ``casme2-sub01``; a digest is added where letters' case alone would tell two apart."""
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
