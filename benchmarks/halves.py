"""The development half of the composite subjects: the only real data used for choices about synthesis."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.measure import COMPOSITE, ROOT
from htnet.core.errors import ManifestError
from htnet.core.identity import person
from htnet.core.types import TEMPLATE_SIZE
from htnet.data import Manifest, open_data

HALVES = ROOT / "benchmarks" / "synthesis_halves.json"
_FACE = 224


def subjects(half: str) -> frozenset[str]:
    """Subjects of the half "development" or "untouched", as DATASET-SUBJECT."""
    return frozenset(json.loads(HALVES.read_text("utf-8"))[half])


def who(dataset: str, subject: str) -> str:
    """A person as `subjects` names them, however the data spell the name.

    Raises:
        ManifestError: the composite has no such person.
    """
    known = {person(*name.split("-", 1)): name for half in ("development", "untouched") for name in subjects(half)}
    found = known.get(person(dataset, subject))
    if found is None:
        raise ManifestError(f"{subject!r} of {dataset!r} is in neither half of the composite's subjects.")
    return found


def development_manifest(root: Path = COMPOSITE) -> Manifest:
    """The composite samples of the development half, and no others.

    Raises:
        ManifestError: the data are not there, or lack a subject of the half.
    """
    manifest, half = open_data(root), subjects("development")
    samples = tuple(s for s in manifest if who(s.dataset, s.subject) in half)
    missing = half - {who(s.dataset, s.subject) for s in samples}
    if missing:
        raise ManifestError(f"{root} lacks the subjects {', '.join(sorted(missing))} of the development half.")
    return dataclasses.replace(manifest, samples=samples)


def development_points(manifest: Manifest) -> npt.NDArray[np.float64]:
    """Five points of each sample's face, (N, 5, 2), in 28 px units."""
    tables = {sample.landmarks for sample in manifest}
    rows: dict[str, list[float]] = {}
    for table in tables:
        if table is None:
            raise ManifestError(f"{manifest.source} has samples without landmarks.")
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows[row["sample"]] = [float(v) for name, v in row.items() if name.endswith(("_x", "_y"))]
    found = np.array([rows[sample.sample] for sample in manifest]).reshape(-1, 5, 2)
    return found * TEMPLATE_SIZE / _FACE
