"""Reader of a finished evaluation, a folder written by `loso`, `lodo`, `kfold`, `holdout` or `evaluate`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from htnet.core.csv_files import open_table
from htnet.core.errors import InputError, RunError, cause, did_you_mean, refuse_type
from htnet.core.hints import hint, missing
from htnet.core.identity import is_named
from htnet.core.limits import read_json
from htnet.core.paths import as_path
from htnet.core.schema import misfit
from htnet.core.types import Float64Array
from htnet.evaluation.bootstrap import interval, resampled_confusions, why_no_draws
from htnet.evaluation.calibration import Reliability, reliability
from htnet.evaluation.metrics import confusion_matrix, score, uar_of_each, uf1_of_each
from htnet.evaluation.report import LosoResult, SampleResult

#: Name in `FinishedRun.protocols` for the predictions of trained weights, which `evaluate` scores.
WEIGHTS = "weights"
_MEASURES = {"uf1": uf1_of_each, "uar": uar_of_each}
_NAMES = (*_MEASURES, "accuracy")
_LEAKS = " (leaks)"
#: Tolerance for the sum of a sample's probabilities, which may have been computed with half precision.
_ROUNDED = 0.05
# Documents of an evaluation, and the names of their JSON Schemas.
_DOCUMENTS = {"htnet.evaluation": "evaluation", "htnet.weights_scores": "weights_scores"}


@dataclass(frozen=True)
class GroupScores:
    """Scores of a group of samples, each the mean over the seeds.

    Attributes:
        uf1: unweighted F1, 0..1.
        uar: unweighted average recall, 0..1.
        accuracy: fraction of correct predictions, 0..1.
        intervals: 95 % intervals of "uf1" and "uar" from a bootstrap over people; None if a sample has no subject, or
            there are fewer than two people.
        samples: number of samples.
        people: number of people with a name.
    """

    uf1: float
    uar: float
    accuracy: float
    intervals: dict[str, tuple[float, float]] | None
    samples: int
    people: int


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A finished evaluation.

    Attributes:
        root: its folder.
        summary: content of ``summary.json``.
        samples: content of ``predictions.csv``. Predictions of trained weights have the protocol `WEIGHTS` and the
            seed 0.
    """

    root: Path
    summary: dict[str, Any]
    samples: tuple[SampleResult, ...]

    def path_of(self, named: str) -> Path:
        """Find a file or folder that the run names, even if the path was relative to another working directory.

        Args:
            named: the path. A relative path is looked for in the folders above the run, the nearest first, and then in
                the working directory.

        Returns:
            The path of the file or folder; if it is not found, the path relative to the working directory.
        """
        above = [folder / named for folder in self.root.resolve().parents]
        return next((path for path in above if os.path.exists(path)), Path(named))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the model's outputs."""
        return tuple(self.summary["classes"])

    @property
    def trained(self) -> bool:
        """Whether the run trained its models in folds; otherwise it scored trained weights."""
        return "protocols" in self.summary

    @cached_property
    def protocols(self) -> tuple[str, ...]:
        """Names of the protocols."""
        return tuple(dict.fromkeys(sample.protocol for sample in self.samples))

    @property
    def main(self) -> str:
        """The protocol to report: the first one that does not leak, or the first one if all leak."""
        return next((name for name in self.protocols if not self.leaks(name)), self.protocols[0])

    def leaks(self, protocol: str) -> bool:
        """Whether a protocol chose its epochs on the tested samples.

        Raises:
            InputError: the run has no such protocol.
        """
        self._check(protocol)
        return bool(self.trained and self.summary["protocols"][protocol]["leaks"])

    def of(self, protocol: str, dataset: str | None = None) -> list[list[SampleResult]]:
        """Predictions of a protocol for all samples or for one data set, seed by seed.

        Raises:
            InputError: the run has no such protocol or data set.
        """
        self._check(protocol, dataset)
        found: dict[int, list[SampleResult]] = {}
        for sample in self.samples:
            if sample.protocol == protocol and dataset in (None, sample.dataset):
                found.setdefault(sample.seed, []).append(sample)
        return [found[seed] for seed in sorted(found)]

    def scores(self, protocol: str) -> dict[str, GroupScores]:
        """Scores of a protocol over all samples under "full", and of each data set if there are several.

        Raises:
            InputError: the run has no such protocol.
        """
        self._check(protocol)
        datasets = sorted({sample.dataset for sample in self.samples if sample.protocol == protocol})
        groups: dict[str, str | None] = {"full": None}
        groups |= {name: name for name in datasets} if len(datasets) > 1 else {}
        return {name: self._scores(self.of(protocol, dataset)) for name, dataset in groups.items()}

    def confusion(self, protocol: str, dataset: str | None = None) -> Any:
        """(C, C) counts over all seeds; rows are true classes.

        Raises:
            InputError: the run has no such protocol or data set.
        """
        answers = [sample for of_seed in self.of(protocol, dataset) for sample in of_seed]
        return confusion_matrix(
            [sample.truth for sample in answers], [sample.prediction for sample in answers], len(self.classes)
        )

    def difference(self, protocol: str, other: FinishedRun, of_other: str) -> dict[str, tuple[float, float, float]]:
        """UF1 and UAR of another run's protocol minus those of this one's, over the same draws of people.

        Args:
            protocol: a protocol of this run.
            other: another run, or this one.
            of_other: a protocol of ``other``.

        Returns:
            For "uf1" and "uar" the difference and the ends of its 95 % interval. Empty if the two have different
            samples or classes, or if a sample has no subject.

        Raises:
            InputError: a run has no such protocol, or ``other`` is not what `read_run` returns.
        """
        refuse_type("other", other, FinishedRun, "what htnet.evaluation.read_run returns")
        mine, theirs = self.of(protocol), other.of(of_other)
        if self.classes != other.classes or _known(mine[0]) != _known(theirs[0]):
            return {}
        own, drawn = _drawn(mine, len(self.classes)), _drawn(theirs, len(self.classes))
        if not own or not drawn:
            return {}
        values = self._scores(mine), other._scores(theirs)
        found = {}
        for name in _MEASURES:
            low, high = interval(drawn[name] - own[name])
            found[name] = (getattr(values[1], name) - getattr(values[0], name), low, high)
        return found

    def reliability(self, protocol: str) -> dict[str, Reliability]:
        """Reliability of the raw probabilities, and for folds also after the temperature fitted on the others.

        Raises:
            InputError: the run has no such protocol.
        """
        self._check(protocol)
        if self.trained:
            return LosoResult(self.summary, self.samples, self.root).reliability(protocol)
        (answers,) = self.of(protocol)
        return {"raw": reliability([one.truth for one in answers], [one.probabilities for one in answers])}

    def _check(self, protocol: str, dataset: str | None = None) -> None:
        if protocol not in self.protocols:
            raise InputError(f"The run has no protocol {protocol!r}; it has {', '.join(self.protocols)}.")
        datasets = {sample.dataset for sample in self.samples}
        if dataset is not None and dataset not in datasets:
            raise InputError(f"The run has no data set {dataset!r}. {did_you_mean(dataset, datasets)}")

    def _scores(self, seeds: Sequence[Sequence[SampleResult]]) -> GroupScores:
        each = [score([s.truth for s in one], [s.prediction for s in one], len(self.classes)) for one in seeds]
        drawn = _drawn(seeds, len(self.classes))
        people = {(s.dataset, s.subject) for s in seeds[0] if is_named(s.subject)}
        uf1, uar, accuracy = (float(np.mean([getattr(one, name) for one in each])) for name in _NAMES)
        intervals = {name: interval(values) for name, values in drawn.items()} or None
        return GroupScores(uf1, uar, accuracy, intervals, len(seeds[0]), len(people))


def read_run(folder: str | PathLike[str]) -> FinishedRun:
    """Read the files of an evaluation: ``summary.json`` and ``predictions.csv``.

    The scores in the summary are checked against the predictions.

    Args:
        folder: run folder of `loso`, `lodo`, `kfold` or `holdout`, or the folder that `evaluate` wrote.

    Raises:
        RunError: it is not such a folder, the run is not finished, a file is damaged, or the two files do not belong
            together.
    """
    root = as_path(folder, "folder")
    way = "Give the run folder of htnet loso, kfold, holdout or lodo, or what htnet evaluate wrote with --out."
    if root.name == "summary.json" and os.path.isfile(root):
        root = root.parent
    if not os.path.isdir(root):
        raise RunError(f"{missing(root) if not os.path.exists(root) else f'{root} is a file.{hint(root)}'}\n{way}")
    path = root / "summary.json"
    if not os.path.isfile(path):
        unfinished = (
            "The run is not finished; run the same command again to resume it."
            if os.path.isfile(root / "run.json")
            else way
        )
        raise RunError(f"There is no summary.json in {root}. {unfinished}")
    summary = _read_summary(path, way)
    stated = _stated(path, summary)
    samples = tuple(_samples(root / "predictions.csv", summary))
    if unknown := {(s.protocol, s.seed) for s in samples} - stated.keys():
        protocol, seed = sorted(unknown)[0]
        raise RunError(
            f"{root / 'predictions.csv'} has predictions of {protocol}, seed {seed}, which {path} does not contain. "
            "Run the evaluation again."
        )
    _check_samples(root, summary, samples)
    run = FinishedRun(root, summary, samples)
    for (protocol, seed), uf1 in stated.items():
        of_seed = [s for s in samples if (s.protocol, s.seed) == (protocol, seed)]
        if not of_seed:
            raise RunError(f"{root / 'predictions.csv'} has no predictions of {protocol}, seed {seed}. Run it again.")
        found = score([s.truth for s in of_seed], [s.prediction for s in of_seed], len(run.classes)).uf1
        if abs(found - uf1) > 1e-9:
            raise RunError(
                f"{path} states UF1 {uf1:.6f} ({protocol}, seed {seed}), but predictions.csv gives {found:.6f}. The "
                "two files do not belong together; run the evaluation again."
            )
    return run


def _check_samples(root: Path, summary: dict[str, Any], samples: Sequence[SampleResult]) -> None:
    """Check that the predictions are those of the run's samples.

    Raises:
        RunError: a sample has two predictions, lacks one of some seed, or is not in ``run.json``, or the number of
            samples differs from that in the summary.
    """
    path = root / "predictions.csv"
    again = "The file was changed; run the same command again, finished folds are kept."
    each: dict[tuple[str, int], list[str]] = {}
    for sample in samples:
        each.setdefault((sample.protocol, sample.seed), []).append(sample.sample)
    first: set[str] | None = None
    for (protocol, seed), names in each.items():
        if len(set(names)) < len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise RunError(f"{path} has two predictions for {twice!r} ({protocol}, seed {seed}). {again}")
        first = first or set(names)
        if differ := first ^ set(names):
            raise RunError(f"{path} lacks predictions for {min(differ)!r} of some protocol or seed. {again}")
    if (number := summary.get("samples")) is not None and first is not None and len(first) != number:
        raise RunError(f"{path} has predictions for {len(first)} samples, but summary.json states {number}. {again}")
    known = _samples_of_run(root / "run.json")
    if known is not None and first is not None and (foreign := first - known):
        raise RunError(f"{path} has a prediction for {min(foreign)!r}, which is not a sample in run.json. {again}")


def _samples_of_run(path: Path) -> set[str] | None:
    """The samples that ``run.json`` lists; None if it does not."""
    try:
        found = read_json(path)["samples"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return set(map(str, found)) if isinstance(found, list) else None


def _read_summary(path: Path, way: str) -> dict[str, Any]:
    """Read a summary and check it against the published schema.

    Raises:
        RunError: it cannot be read, or does not fit the schema; the message names the field.
    """
    again = "The command of a run writes its summary again; finished folds are kept."
    try:
        summary = read_json(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged ({cause(error)}). {way} {again}") from error
    kind = summary.get("schema") if isinstance(summary, dict) else None
    if kind not in _DOCUMENTS:
        raise RunError(f"{path} is a document {kind!r:.60}, not that of an evaluation. {way}")
    if kind == "htnet.evaluation":
        summary.setdefault("leave", "subject")  # older versions had only this kind and did not write it
    if said := misfit(summary, _DOCUMENTS[kind]):
        raise RunError(f"{path} was changed, or is of an older version: {said}. {way} {again}")
    return summary


def _stated(path: Path, summary: dict[str, Any]) -> dict[tuple[str, int], float]:
    """UF1 over all samples by protocol and seed, as stated in the summary.

    Raises:
        RunError: the seeds of a protocol differ from those of the run.
    """
    if "protocols" not in summary:
        return {(WEIGHTS, 0): summary["scores"]["full"]["uf1"]}
    seeds = summary["run"]["seeds"]
    for protocol, entry in summary["protocols"].items():
        if set(entry["seeds"]) != set(map(str, seeds)):
            raise RunError(
                f"{path}: protocols.{protocol}.seeds has the seeds {', '.join(entry['seeds'])}, but run.seeds is "
                f"{seeds}. Run the same command again; finished folds are kept."
            )
    return {
        (protocol, int(seed)): scores["full"]["uf1"]
        for protocol, entry in summary["protocols"].items()
        for seed, scores in entry["seeds"].items()
    }


def _samples(path: Path, summary: dict[str, Any]) -> Iterable[SampleResult]:
    classes = list(summary["classes"])
    chances = [f"probability_{name}" for name in classes]
    table = open_table(path, ["sample", "dataset", "subject", "truth", "prediction", *chances], RunError)
    numbers = table.numbers(chances)
    for (line, row), probabilities in zip(table.rows, numbers, strict=True):
        if unknown := {row["truth"], row["prediction"]} - set(classes):
            raise RunError(
                f"{path}, line {line}: {sorted(unknown)[0]!r} is not a class in {path.parent / 'summary.json'}."
            )
        if None in probabilities or not row.get("seed", "0").isdecimal():
            raise RunError(f"{path}, line {line}: a probability or the seed is missing. Run the evaluation again.")
        for name, value in zip(chances, probabilities, strict=True):
            if not 0 <= float(value or 0.0) <= 1:
                raise RunError(f"{path}, line {line}: {name} is {value}; probabilities are numbers from 0 to 1.")
        if abs(sum(float(value or 0.0) for value in probabilities) - 1) > _ROUNDED:
            total = sum(float(value or 0.0) for value in probabilities)
            raise RunError(
                f"{path}, line {line}: the probabilities add up to {total:g}, not 1. Run the evaluation again."
            )
        yield SampleResult(
            row["sample"],
            row["dataset"],
            row["subject"],
            int(row.get("seed", "0")),
            row.get("protocol", WEIGHTS).removesuffix(_LEAKS),
            classes.index(row["truth"]),
            classes.index(row["prediction"]),
            tuple(float(value or 0.0) for value in probabilities),
        )


def _known(answers: Sequence[SampleResult]) -> set[tuple[str, str, str, int]]:
    return {(s.dataset, s.subject, s.sample, s.truth) for s in answers}


def _drawn(seeds: Sequence[Sequence[SampleResult]], num_classes: int) -> dict[str, Float64Array]:
    """Each measure in every draw of people, mean over the seeds; empty if a person is unknown or there is only one."""
    if why_no_draws([(s.dataset, s.subject) if is_named(s.subject) else None for s in seeds[0]]):
        return {}
    drawn = [
        resampled_confusions(
            [s.truth for s in one], [s.prediction for s in one], [(s.dataset, s.subject) for s in one], num_classes
        )
        for one in seeds
    ]
    return {name: np.mean([measure(counts) for counts in drawn], axis=0) for name, measure in _MEASURES.items()}
