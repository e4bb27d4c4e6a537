"""Splits of graded faces by patient, with the grades spread evenly."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt

from htnet.core.errors import InputError, ManifestError
from htnet.core.fields import native, real, seed_number
from htnet.core.identity import refuse_unnamed
from htnet.core.shared_files import check_files
from htnet.data import Manifest
from htnet.data.manifest import SPLITS, check_manifest

Counts = npt.NDArray[np.float64]


def split_patients(manifest: Manifest, *, test: float = 0.2, val: float = 0.0, seed: int = 0) -> Manifest:
    """Assign every patient, with all images, to one split, so that each split has its share of every class.

    Greedy, after Sechidis, Tsoumakas and Vlahavas (ECML PKDD 2011), with people instead of samples: patients with
    rare classes come first, and each goes to the split where it brings the numbers of images closest to the wanted
    ones. Ties between patients are broken by ``seed``. The same patients, images and seed give the same splits in any
    order.

    Args:
        manifest: labeled samples with subjects.
        test: fraction of the images to test on, 0 to 1; 1 for a pure test set.
        val: fraction of the images to validate on; training does not use them.
        seed: breaks ties; another seed gives other splits.

    Returns:
        The same samples with ``split`` "train", "val" or "test".

    Raises:
        InputError: the fractions or the seed are invalid.
        ManifestError: samples have no subject, two patients share an image, or there are fewer patients than splits.
    """
    check_manifest(manifest)
    test, val, seed = check_split(test, val, seed)
    train = round(1 - test - val, 9)
    refuse_unnamed(manifest, manifest.source)
    check_files(manifest, manifest.source)
    shares = {"train": train, "val": val, "test": test}
    names = [name for name in SPLITS if shares[name] > 0]
    counts = _class_counts(manifest)
    if len(counts) < len(names):
        raise ManifestError(
            f"{manifest.source} has {len(counts)} patient(s) for {len(names)} splits ({', '.join(names)}). Give more "
            "patients or fewer splits."
        )
    chosen = _assign(counts, np.array([shares[name] for name in names]), seed)
    samples = tuple(dataclasses.replace(s, split=names[chosen[s.dataset, s.subject]]) for s in manifest)
    return dataclasses.replace(manifest, samples=samples)


def check_split(test: float, val: float, seed: int) -> tuple[float, float, int]:
    """Check the settings of `split_patients`.

    Raises:
        InputError: a fraction is not from 0 to 1, both are more than 1 together, or ``seed`` is no seed.
    """
    test, val, seed = native(test), native(val), seed_number().check("seed", seed)
    if not all(map(real(ge=0, le=1).allows, (test, val))) or round(1 - test - val, 9) < 0:
        raise InputError(f"test is {test!r} and val {val!r}; give fractions of 0 or more, together at most 1.")
    return test, val, seed


def split_table(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Number of images of each class, and of patients, in each split that has any."""
    table: dict[str, dict[str, int]] = {}
    for name in SPLITS:
        part = [s for s in manifest if s.split == name]
        if part:
            found = Counter(s.label for s in part)
            patients = len({(s.dataset, s.subject) for s in part})
            table[name] = {**{c: found[c] for c in manifest.classes}, "images": len(part), "patients": patients}
    return table


def _class_counts(manifest: Manifest) -> dict[tuple[str, str], Counts]:
    """Images of each class that each patient has."""
    counts: dict[tuple[str, str], Counts] = defaultdict(lambda: np.zeros(len(manifest.classes)))
    for sample, label in zip(manifest, manifest.labels().tolist(), strict=True):
        counts[sample.dataset, sample.subject][label] += 1
    return dict(counts)


def _assign(counts: dict[tuple[str, str], Counts], shares: Counts, seed: int) -> dict[tuple[str, str], int]:
    """Index of the split of each patient."""
    total = sum(counts.values(), np.zeros_like(next(iter(counts.values()))))
    wanted = shares[:, None] * total
    # Classes are weighted by their rarity; otherwise small classes would go wherever the large ones leave room.
    weight = 1 / np.maximum(total, 1) ** 2
    have = np.zeros_like(wanted)

    def urgency(key: tuple[str, str]) -> tuple[float, float, str]:
        own = counts[key]
        return float(total[own > 0].min()), -float(own.sum()), _digest(str(seed), *key)

    chosen: dict[tuple[str, str], int] = {}
    waiting = sorted(counts, key=urgency)
    for position, key in enumerate(waiting):
        before, after = have - wanted, have + counts[key] - wanted
        cost = (weight * (after**2 - before**2)).sum(1)
        # Among equal splits, the one that lacks the most images in total.
        lack = (wanted.sum(1) - have.sum(1)) / wanted.sum()
        best = int(np.lexsort((-lack, np.round(cost, 9)))[0])
        # The last patients go to splits that would stay empty.
        empty = [i for i in range(len(shares)) if not have[i].any()]
        if len(waiting) - position <= len(empty):
            best = empty[0]
        have[best] += counts[key]
        chosen[key] = best
    return chosen


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()
