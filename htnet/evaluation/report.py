"""From stored folds to per-sample predictions and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from htnet.data import Fold, Manifest
from htnet.errors import RunError
from htnet.evaluation.protocols import LEAKING, PROTOCOLS
from htnet.evaluation.store import RunStore, to_csv, to_json, write_atomic
from htnet.metrics import score

_METRICS = ("uf1", "uar", "accuracy")


@dataclass(frozen=True)
class SampleResult:
    """One prediction of the evaluation.

    Attributes:
        sample: sample identifier.
        dataset: data set it belongs to.
        subject: the left-out subject.
        seed: seed of the training.
        protocol: protocol of the prediction.
        truth: index of the true class.
        prediction: index of the predicted class.
        probabilities: one a class.
    """

    sample: str
    dataset: str
    subject: str
    seed: int
    protocol: str
    truth: int
    prediction: int
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class LosoResult:
    """Result of a leave-one-subject-out evaluation.

    Attributes:
        summary: what ``summary.json`` holds.
        samples: what ``predictions.csv`` holds.
        root: the run folder.
    """

    summary: dict[str, Any]
    samples: tuple[SampleResult, ...]
    root: Path

    @property
    def cut_counts(self) -> dict[str, int]:
        """Number of samples whose regions were cut at their "landmarks" and at the "template"."""
        return dict(self.summary["run"]["regions_cut_at"])

    def table(self) -> str:
        """UF1/UAR for each protocol, over all and for each data set, as Markdown."""
        names = list(next(iter(self.summary["protocols"].values()))["mean"])
        lines = ["| protocol | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for protocol, entry in self.summary["protocols"].items():
            label = f"{protocol} (leaks: selected on the test subject)" if entry["leaks"] else protocol
            cells = (f"{entry['mean'][n]['uf1']:.4f} / {entry['mean'][n]['uar']:.4f}" for n in names)
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def collect(
    store: RunStore, manifest: Manifest, folds: Sequence[Fold], seeds: Sequence[int], protocols: Sequence[str]
) -> tuple[SampleResult, ...]:
    """Every stored prediction, joined with its sample by identifier.

    Raises:
        RunError: a fold is missing, or does not hold exactly its samples.
    """
    truth = dict(zip((s.sample for s in manifest), manifest.labels().tolist(), strict=True))
    out = []
    for protocol in protocols:
        for seed in seeds:
            for fold in folds:
                stored = store.read_fold(seed, fold.name)
                if stored is None:
                    raise RunError(f"Fold {fold.name} of seed {seed} is not finished in {store.root}.")
                found = stored["protocols"][protocol]["probabilities"]
                names = [manifest.samples[i].sample for i in fold.test]
                if set(found) != set(names):
                    path = store.fold_path(seed, fold.name)
                    raise RunError(f"{path} does not hold the samples of its fold. Delete it and run again.")
                for name in names:
                    p = tuple(found[name])
                    out.append(
                        SampleResult(
                            name,
                            fold.dataset,
                            fold.subject,
                            seed,
                            protocol,
                            truth[name],
                            int(np.argmax(p)),
                            p,
                        )
                    )
    return tuple(out)


def _scores(samples: Sequence[SampleResult], classes: int) -> dict[str, Any]:
    groups = {"full": list(samples)}
    datasets = sorted({s.dataset for s in samples})
    if len(datasets) > 1:
        groups |= {d: [s for s in samples if s.dataset == d] for d in datasets}
    return {
        name: score([s.truth for s in group], [s.prediction for s in group], classes).to_dict()
        for name, group in groups.items()
    }


def summarize(
    samples: Sequence[SampleResult], manifest: Manifest, seeds: Sequence[int], settings: dict[str, Any]
) -> dict[str, Any]:
    """Scores for each protocol and seed, with mean and standard deviation over the seeds."""
    protocols: dict[str, Any] = {}
    for protocol in dict.fromkeys(s.protocol for s in samples):
        of_protocol = [s for s in samples if s.protocol == protocol]
        by_seed = {
            str(seed): _scores([s for s in of_protocol if s.seed == seed], len(manifest.classes)) for seed in seeds
        }
        groups = list(next(iter(by_seed.values())))

        def over_seeds(
            how: Any, by_seed: dict[str, Any] = by_seed, groups: list[str] = groups
        ) -> dict[str, dict[str, float]]:
            return {g: {m: float(how([scores[g][m] for scores in by_seed.values()])) for m in _METRICS} for g in groups}

        protocols[protocol] = {
            "what": PROTOCOLS[protocol],
            "leaks": protocol in LEAKING,
            "mean": over_seeds(np.mean),
            "std": over_seeds(lambda v: np.std(v, ddof=1) if len(v) > 1 else 0.0),
            "seeds": by_seed,
        }
    return {
        "classes": list(manifest.classes),
        "samples": len(manifest),
        "subjects": len(manifest.subjects),
        "protocols": protocols,
        "run": settings,
    }


def write_results(
    store: RunStore, manifest: Manifest, samples: Sequence[SampleResult], summary: dict[str, Any]
) -> None:
    """Write ``predictions.csv`` and ``summary.json``."""
    header = ["sample", "dataset", "subject", "seed", "protocol", "truth", "prediction"]
    header += [f"probability_{name}" for name in manifest.classes]
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
        ]
        for s in samples
    ]
    write_atomic(store.root / "predictions.csv", to_csv(header, rows))
    write_atomic(store.root / "summary.json", to_json(summary))
