"""Collection of the stored folds: predictions of all samples, and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from htnet.core.deprecated import RUN_KEYS, new_keys, renamed_attributes
from htnet.core.errors import InputError, RunError, cause
from htnet.core.identity import is_named
from htnet.core.schema import document, to_json
from htnet.core.types import QualityWarning
from htnet.data import Fold, Manifest
from htnet.evaluation.calibration import Reliability
from htnet.evaluation.confidence import LeftOut, calibration_of, intervals_of, reliability_of
from htnet.evaluation.metrics import score
from htnet.evaluation.plan import LEAKING, PROTOCOLS
from htnet.evaluation.store import RunStore, to_csv, write_atomic

_METRICS = ("uf1", "uar", "accuracy")
#: Noun for what a fold leaves out.
_TESTED = {"subject": "subject", "dataset": "data set", "fold": "subject", "split": "subject"}
#: Heading of the table's first column, which shows the kind of evaluation.
_HEADING = {
    "subject": "protocol",
    "dataset": "protocol, leave one database out",
    "fold": "protocol, folds of several subjects",
    "split": "protocol, the split of the manifest",
}


@dataclass(frozen=True)
class SampleResult:
    """One prediction of the evaluation.

    Attributes:
        sample: sample identifier.
        dataset: data set of the sample.
        subject: person in the sample.
        seed: seed of the training.
        protocol: protocol of the prediction.
        truth: index of the true class.
        prediction: index of the predicted class.
        probabilities: probability of each class.
    """

    sample: str
    dataset: str
    subject: str
    seed: int
    protocol: str
    truth: int
    prediction: int
    probabilities: tuple[float, ...]


@renamed_attributes
@dataclass(frozen=True)
class LosoResult:
    """Result of an evaluation in folds.

    Attributes:
        summary: content of ``summary.json``.
        samples: content of ``predictions.csv``.
        root: the run folder.
    """

    summary: dict[str, Any]
    samples: tuple[SampleResult, ...]
    root: Path

    @property
    def regions_at_counts(self) -> dict[str, int]:
        """Number of samples whose regions were cropped at their "landmarks" and at those of the "template"."""
        return dict(new_keys(self.summary["run"], RUN_KEYS)["regions_at"])

    def table(self) -> str:
        """UF1 / UAR of each protocol, over all samples and for each data set, as a Markdown table."""
        names = list(next(iter(self.summary["protocols"].values()))["mean"])
        lines = [f"| {_HEADING[self.summary['leave']]} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for protocol, entry in self.summary["protocols"].items():
            label = f"{protocol} (leaks: selected on the tested samples)" if entry["leaks"] else protocol
            cells = (f"{entry['mean'][n]['uf1']:.4f} / {entry['mean'][n]['uar']:.4f}" for n in names)
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def reliability(self, protocol: str = "last") -> dict[str, Reliability]:
        """Reliability of the left-out predictions, for `htnet.plots.plot_reliability`.

        Args:
            protocol: a protocol of the run.

        Returns:
            Reliability over the predictions of all seeds: "raw", and "after temperature" as in the summary.

        Raises:
            InputError: the run has no such protocol.
        """
        if protocol not in self.summary["protocols"]:
            raise InputError(f"The run has no protocol {protocol!r}; it has {', '.join(self.summary['protocols'])}.")
        of_protocol = [s for s in self.samples if s.protocol == protocol]
        return reliability_of(_left_out(of_protocol, self.summary["run"]["seeds"], self.summary["leave"]))


def collect(
    store: RunStore, manifest: Manifest, folds: Sequence[Fold], seeds: Sequence[int], protocols: Sequence[str]
) -> tuple[SampleResult, ...]:
    """Join every stored prediction with its sample by identifier.

    Raises:
        RunError: a fold is missing, does not contain exactly its samples, or its training diverged.
    """
    truth = manifest.labels().tolist()
    out = []
    for protocol in protocols:
        for seed in seeds:
            for fold in folds:
                stored = store.read_fold(seed, fold.name)
                if stored is None:
                    raise RunError(
                        f"Fold {fold.title} of seed {seed} is not finished in {store.root}. Run the same command again."
                    )
                path = store.fold_path(seed, fold.name)
                chances = _chances(stored, protocol, len(manifest.classes), path)
                if set(chances) != {manifest.samples[i].sample for i in fold.test}:
                    raise RunError(f"{path} does not contain the samples of its fold. Delete it and run again.")
                if not np.isfinite(list(chances.values())).all():
                    raise RunError(
                        f"{path} contains numbers that are not finite: its training "
                        "diverged. "
                        "Lower the recipe's lr, and choose another --out."
                    )
                for i in fold.test:
                    sample = manifest.samples[i]
                    p = tuple(chances[sample.sample])
                    out.append(
                        SampleResult(
                            sample.sample,
                            sample.dataset,
                            sample.subject,
                            seed,
                            protocol,
                            truth[i],
                            int(np.argmax(p)),
                            p,
                        )
                    )
    return tuple(out)


def _chances(stored: Any, protocol: str, classes: int, path: Path) -> dict[str, list[float]]:
    """The probabilities of a stored fold, by sample."""
    try:
        found = stored["protocols"][protocol]["probabilities"]
        sizes = {np.shape([number + 0.0 for number in values]) for values in found.values()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({cause(error)}). Delete it; the fold will be run again.") from error
    if sizes - {(classes,)}:
        raise RunError(f"{path} does not contain {classes} probabilities per sample. Delete it and run again.")
    return dict(found)


def _scores(samples: Sequence[SampleResult], classes: int) -> dict[str, Any]:
    groups = {"full": list(samples)}
    datasets = sorted({s.dataset for s in samples})
    if len(datasets) > 1:
        groups |= {d: [s for s in samples if s.dataset == d] for d in datasets}
    return {
        name: score([s.truth for s in group], [s.prediction for s in group], classes).to_dict()
        for name, group in groups.items()
    }


def _left_out(samples: Sequence[SampleResult], seeds: Sequence[int], leave: str) -> list[LeftOut]:
    """Predictions of one protocol, seed by seed."""
    seeds_left_out = []
    for seed in seeds:
        of_seed = [s for s in samples if s.seed == seed]
        # An unnamed subject may be anybody. `intervals_of` then gives no intervals, rather than one person per sample.
        people = [(s.dataset, s.subject) if is_named(s.subject) else None for s in of_seed]
        seeds_left_out.append(
            LeftOut(
                np.array([s.truth for s in of_seed]),
                np.array([s.probabilities for s in of_seed]),
                [s.dataset for s in of_seed] if leave == "dataset" else people,
                people,
            )
        )
    return seeds_left_out


def summarize(
    samples: Sequence[SampleResult], manifest: Manifest, seeds: Sequence[int], settings: dict[str, Any]
) -> dict[str, Any]:
    """The summary: scores of each protocol and seed, with mean, standard deviation and intervals, and the calibration.

    It includes the reader's notes and the list of samples whose apex is the middle frame.
    """
    protocols: dict[str, Any] = {}
    replaced = [s.sample for s in manifest if s.apex_source == "middle"]
    leave = settings.get("leave", "subject")
    for protocol in dict.fromkeys(s.protocol for s in samples):
        of_protocol = [s for s in samples if s.protocol == protocol]
        by_seed = {
            str(seed): _scores([s for s in of_protocol if s.seed == seed], len(manifest.classes)) for seed in seeds
        }
        groups = list(next(iter(by_seed.values())))
        left_out = _left_out(of_protocol, seeds, leave)

        def over_seeds(
            how: Any, by_seed: dict[str, Any] = by_seed, groups: list[str] = groups
        ) -> dict[str, dict[str, float]]:
            return {g: {m: float(how([scores[g][m] for scores in by_seed.values()])) for m in _METRICS} for g in groups}

        protocols[protocol] = {
            "what": PROTOCOLS[protocol],
            "leaks": protocol in LEAKING,
            "mean": over_seeds(np.mean),
            "std": over_seeds(lambda v: np.std(v, ddof=1) if len(v) > 1 else 0.0),
            "interval": intervals_of(left_out, len(manifest.classes)),
            "calibration": calibration_of(left_out, _TESTED[leave]),
            "seeds": by_seed,
        }
    leaking = [
        QualityWarning("leaking_protocol", f"{protocol}: {PROTOCOLS[protocol]}. Do not report it as a result.")
        for protocol in protocols
        if protocol in LEAKING
    ]
    content = {
        "leave": leave,
        "data": manifest.source,
        "classes": list(manifest.classes),
        "samples": len(manifest),
        "subjects": len(manifest.subjects),
        "middle_apex": {"count": len(replaced), "samples": replaced},
        "notes": list(manifest.notes),
        "protocols": protocols,
        "run": settings,
    }
    return document("htnet.evaluation", content, leaking)


def write_results(
    store: RunStore, manifest: Manifest, samples: Sequence[SampleResult], summary: dict[str, Any]
) -> None:
    """Write ``predictions.csv`` and ``summary.json``."""
    header = ["sample", "dataset", "subject", "seed", "protocol", "truth", "prediction"]
    header += [*(f"probability_{name}" for name in manifest.classes), "apex_source"]
    apexes = {s.sample: s.apex_source for s in manifest}
    rows = [
        [
            s.sample,
            s.dataset,
            s.subject,
            s.seed,
            f"{s.protocol} (leaks)" if s.protocol in LEAKING else s.protocol,
            manifest.classes[s.truth],
            manifest.classes[s.prediction],
            *(f"{p:.6f}" for p in s.probabilities),
            apexes[s.sample],
        ]
        for s in samples
    ]
    write_atomic(store.root / "predictions.csv", to_csv(header, rows))
    write_atomic(store.root / "summary.json", to_json(summary))
