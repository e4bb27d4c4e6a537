"""Splits by subject: nobody is on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from htnet.data.manifest import Manifest
from htnet.errors import InputError, ManifestError


@dataclass(frozen=True)
class Fold:
    """One left-out subject.

    Attributes:
        name: ``dataset-subject``, unique and fit for a file name.
        dataset: data set of the subject.
        subject: the subject.
        train: indices of all other subjects' samples.
        test: indices of the subject's samples.
    """

    name: str
    dataset: str
    subject: str
    train: tuple[int, ...]
    test: tuple[int, ...]


def leave_one_subject_out(manifest: Manifest) -> tuple[Fold, ...]:
    """One fold a subject, in the order of (dataset, subject).

    Raises:
        ManifestError: a sample has no subject, or there is only one.
    """
    bare = [s.sample for s in manifest if not s.subject]
    if bare:
        raise ManifestError(
            f"{manifest.source}: {len(bare)} sample(s) have no subject ({', '.join(bare[:5])}, ...); folds by subject "
            "need the column subject."
        )
    if len(manifest.subjects) < 2:
        raise ManifestError(
            f"{manifest.source} has {len(manifest.subjects)} subject(s); leave-one-out needs 2 or more."
        )
    keys = [(s.dataset, s.subject) for s in manifest]
    return tuple(
        Fold(
            # Percent-encoding keeps names of different subjects different.
            name=f"{quote(dataset, safe='')}-{quote(subject, safe='')}",
            dataset=dataset,
            subject=subject,
            train=tuple(i for i, key in enumerate(keys) if key != (dataset, subject)),
            test=tuple(i for i, key in enumerate(keys) if key == (dataset, subject)),
        )
        for dataset, subject in manifest.subjects
    )


def hold_out_subjects(
    manifest: Manifest, indices: Sequence[int], fraction: float, seed: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split samples into two parts by subject, the same share of subjects from every data set.

    Args:
        manifest: the samples.
        indices: which of them to split.
        fraction: share of subjects to hold out; at least one from each data set that has two.
        seed: of the choice.

    Returns:
        Indices that stay and indices that are held out.

    Raises:
        InputError: the fraction is not between 0 and 1.
        ManifestError: no data set has two subjects.
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction is {fraction}; give a share between 0 and 1.")
    keys = {i: (manifest.samples[i].dataset, manifest.samples[i].subject) for i in indices}
    rng = np.random.default_rng(seed)
    held: set[tuple[str, str]] = set()
    for dataset in sorted({d for d, _ in keys.values()}):
        people = sorted({key for key in keys.values() if key[0] == dataset})
        if len(people) > 1:
            count = min(max(1, round(fraction * len(people))), len(people) - 1)
            held |= {people[i] for i in rng.permutation(len(people))[:count]}
    if not held:
        raise ManifestError(f"{manifest.source} has no data set with two subjects to hold one out of.")
    return tuple(i for i in indices if keys[i] not in held), tuple(i for i in indices if keys[i] in held)
