"""Scores of weights trained on generated data alone on real micro-expressions: emotions and action units.

``python -m benchmarks.synthetic_scores`` trains one model a seed (resumable, in ``runs/synthetic``) and writes
``benchmarks/results/synthetic_zero_shot.json``. The generator's constants were chosen on the development half of the
subjects (`benchmarks.halves`); every score is given for that half, the untouched one, and all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.halves import subjects, who
from benchmarks.measure import COMPOSITE, provenance
from benchmarks.results_table import RESULTS
from htnet.core.types import EMOTIONS
from htnet.data import Manifest, open_data, parse_action_units, read_action_units
from htnet.evaluation.bootstrap import draw_groups, interval, resampled_confusions
from htnet.evaluation.calibration import apply_temperature, expected_calibration_error, fit_temperature, log_loss
from htnet.evaluation.metrics import score, uf1_of_each
from htnet.evaluation.store import to_json, write_atomic
from htnet.hub import find_pretrained, load_pretrained
from htnet.models import EmotionModel
from htnet.synthesis import ACTION_UNITS
from htnet.training import FlowSet, job_of, load_flow_set, predict_set, train_on_generated

#: The bundled weights of each model that is trained so, and the file of its scores.
NAMES = {"htnet_small": "synthetic", "flow_mlp": "synthetic-mlp"}
OUTS = {"synthetic": RESULTS / "synthetic_zero_shot.json", "synthetic-mlp": RESULTS / "synthetic_mlp_zero_shot.json"}
#: Bins of the calibration error.
CALIBRATION_BINS = 10
#: Units that are seen fewer times in the annotated sets are left out of the macro F1.
LEAST = 10
CALIBRATED_ON = "temperature fitted to the answers for the 34 development subjects"
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 16))

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def annotated_units(manifest: Manifest, root: Path = COMPOSITE) -> tuple[Bools, Bools]:
    """Which samples of CASME II and SAMM are annotated, (N,), and with which of `ACTION_UNITS`, (N, 15)."""
    sheets: dict[str, str] = {}
    for name in ("casme", "samm"):
        sheets |= read_action_units(root / f"{name}_class2_for_optical_flow.csv")
    known = np.array([bool(sheets.get(s.sample, "").strip()) for s in manifest])
    active = np.zeros((len(manifest), len(ACTION_UNITS)), bool)
    for row, sample in enumerate(manifest):
        numbers = {unit.number for term in parse_action_units(sheets.get(sample.sample, "")) for unit in term}
        active[row] = [number in numbers for number in ACTION_UNITS]
    return known, active


def resampled(groups: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """Indexes of the samples of subjects drawn with replacement, once a resample."""
    members, times = draw_groups(groups)
    return [np.repeat(np.arange(len(groups)), drawn[members]) for drawn in times]


def emotion_scores(
    truth: npt.NDArray[np.int64], chances: Floats, parts: Mapping[str, Bools], groups: Sequence[str]
) -> dict[str, Any]:
    """UF1 and UAR of every part, with the interval over subjects for all samples, and the calibration error."""
    answers = chances.argmax(1)
    found = {}
    for name, part in parts.items():
        own = score(truth[part], answers[part], len(EMOTIONS))
        found[name] = {"uf1": round(own.uf1, 4), "uar": round(own.uar, 4), "samples": int(part.sum())}
    drawn = resampled_confusions(truth, answers, groups, len(EMOTIONS))
    found["full"]["uf1_95"] = [round(v, 4) for v in interval(uf1_of_each(drawn))]
    error = expected_calibration_error(truth, chances, CALIBRATION_BINS)
    return {**found, "expected_calibration_error": round(error, 4)}


def calibration(truth: npt.NDArray[np.int64], chances: Floats, development: Bools) -> dict[str, Any]:
    """The temperature that fits the development half, and what it does to the untouched one."""
    temperature = fit_temperature(truth[development], chances[development])
    rest, ways = ~development, {"raw": chances, "after_temperature": apply_temperature(chances, temperature)}
    return {
        "temperature": round(temperature, 3),
        "fitted_on": "development",
        "untouched": {
            name: {
                "expected_calibration_error": round(
                    expected_calibration_error(truth[rest], own[rest], CALIBRATION_BINS), 4
                ),
                "log_loss": round(log_loss(truth[rest], own[rest]), 4),
            }
            for name, own in ways.items()
        },
    }


def f1(truth: Bools, answers: Bools) -> Floats:
    """F1 of each unit, 0 where nothing is there to find and nothing was found: (U,)."""
    both, any_of = (truth & answers).sum(0), truth.sum(0) + answers.sum(0)
    return 2 * both / np.maximum(any_of, 1)


def unit_scores(active: Bools, chances: Floats, development: Bools, groups: Sequence[str]) -> dict[str, Any]:
    """F1 of the units beside two baselines that know only how frequent units are.

    Args:
        active: (N, U) annotated units.
        chances: (N, U) probabilities.
        development: (N,) whether a sample is of the development half, where the one threshold is chosen.
        groups: (N,) subjects.
    """
    shown = active.sum(0) >= LEAST
    active, chances = active[:, shown], chances[:, shown]
    numbers = [n for n, s in zip(ACTION_UNITS, shown, strict=True) if s]
    best = max(THRESHOLDS, key=lambda t: f1(active[development], chances[development] >= t).mean())
    rate = active[development].mean(0)

    def always(rows: npt.NDArray[Any]) -> Floats:
        return f1(active[rows], np.ones_like(active[rows]))

    def by_frequency(rows: npt.NDArray[Any]) -> Floats:
        """Expected F1 of answers drawn with each unit's frequency in the development half."""
        share = active[rows].mean(0)
        return 2 * share * rate / np.maximum(share + rate, 1e-12)

    def ours(rows: npt.NDArray[Any]) -> Floats:
        return f1(active[rows], chances[rows] >= best)

    ways: dict[str, Callable[[npt.NDArray[Any]], Floats]] = {"ours": ours, "always": always, "frequency": by_frequency}
    every = {"all": np.ones(len(active), bool), "development": development, "untouched": ~development}
    found: dict[str, Any] = {"threshold": best, "units": numbers, "annotated_samples": len(active)}
    for name, part in every.items():
        rows = np.flatnonzero(part)
        scores = {way: of(rows) for way, of in ways.items()}
        drawn = [rows[i] for i in resampled([groups[r] for r in rows])]
        means = {way: np.array([of(i).mean() for i in drawn]) for way, of in ways.items()}
        found[name] = {
            "macro_f1": {way: round(float(own.mean()), 4) for way, own in scores.items()},
            "macro_f1_95": [round(v, 4) for v in interval(means["ours"])],
            "p_not_better_than": {w: float((means["ours"] <= means[w]).mean()) for w in ("always", "frequency")},
            "f1": {
                str(n): {way: round(float(own[k]), 3) for way, own in scores.items()} for k, n in enumerate(numbers)
            },
        }
    return found


def read_units(model: EmotionModel, data: FlowSet) -> Floats:
    """Probability that each unit is active on any side, (N, U)."""
    with torch.no_grad():
        scores = [model(images, return_units=True)[1] for images in data.inputs().split(256)]
    return torch.cat(scores).sigmoid().amax(-1).double().numpy()


def evaluate(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """All scores of one model."""
    model = load_pretrained(folder)
    assert model.preprocess_spec is not None
    model.temperature = 1.0  # the one to be stored is fitted to raw scores
    data = load_flow_set(manifest, model.preprocess_spec)
    truth = data.labels.numpy()
    groups = [who(s.dataset, s.subject) for s in manifest]
    half = subjects("development")
    development = np.array([group in half for group in groups])
    sets = np.array([s.dataset for s in manifest])
    parts = {"full": np.ones(len(truth), bool), **{name: sets == name for name in sorted(set(sets.tolist()))}}
    parts |= {"development": development, "untouched": ~development}
    known, active = annotated_units(manifest)
    chances = read_units(model, data)
    emotions = predict_set(model, data).double().numpy()
    return {
        "emotions": emotion_scores(truth, emotions, parts, groups),
        "calibration": calibration(truth, emotions, development),
        "action_units": unit_scores(
            active[known], chances[known], development[known], [g for g, k in zip(groups, known, strict=True) if k]
        ),
    }


def registered_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """What card and registry say: the mean over the seeds, and the bundled seed, 0, which nothing was chosen by."""
    own = summary["seeds"]["0"]
    return {
        "zero-shot, Full UF1, mean of 3 seeds": summary["mean_uf1"]["full"],
        "zero-shot, untouched half, UF1, mean of 3 seeds": summary["mean_uf1"]["untouched"],
        "this seed, zero-shot, Full UF1": own["emotions"]["full"]["uf1"],
        "this seed, action units, macro F1": own["action_units"]["all"]["macro_f1"]["ours"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=16000)
    parser.add_argument("--model", choices=NAMES, default="htnet_small")
    parser.add_argument("--runs", type=Path, default=Path("runs/synthetic"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--bundle", action="store_true", help="put the weights of seed 0 into the package")
    args = parser.parse_args(arguments)
    manifest = open_data(COMPOSITE)
    found = {}
    for seed in range(args.seeds):
        folder = args.runs / f"{args.model}-{args.count}-seed-{seed}"
        if not (folder / "config.json").is_file():
            train_on_generated(folder, job_of("generated", model=args.model, seed=seed), count=args.count)
        found[str(seed)] = evaluate(folder, manifest)
        print(seed, found[str(seed)]["emotions"]["full"], found[str(seed)]["action_units"]["all"]["macro_f1"])
    uf1 = {
        part: [own["emotions"][part]["uf1"] for own in found.values()] for part in ("full", "development", "untouched")
    }
    summary = {
        "what": "trained on generated images alone; no real sample was trained on",
        "model": args.model,
        "generated_images": args.count,
        "mean_uf1": {part: round(float(np.mean(values)), 4) for part, values in uf1.items()},
        "std_uf1": {part: round(float(np.std(values)), 4) for part, values in uf1.items()},
        "seeds": found,
        "machine": provenance(),
    }
    write_atomic(args.out or OUTS[NAMES[args.model]], to_json(summary))
    if args.bundle:
        training = {"metrics": registered_metrics(summary), "calibration": CALIBRATED_ON}
        spec = find_pretrained(NAMES[args.model])
        assert spec is not None
        folder, temperature = spec.folder, found["0"]["calibration"]["temperature"]
        train_on_generated(
            folder,
            job_of("generated", model=args.model),
            count=args.count,
            training=training,
            temperature=temperature,
            overwrite=True,
        )


if __name__ == "__main__":
    main()
