"""Scores of trained weights on labeled samples, and comparison with other weights on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.errors import InputError, ManifestError
from htnet.core.files import check_folder
from htnet.core.hints import how
from htnet.core.identity import is_named
from htnet.core.paths import as_path
from htnet.core.progress import progress_bar
from htnet.core.schema import document, model_part, to_json
from htnet.core.types import DEFAULT_WEIGHTS, Float64Array, QualityWarning
from htnet.core.words import counted, listed
from htnet.data import Manifest, open_data
from htnet.data.reader import refuse_unused_depth
from htnet.evaluation.bootstrap import RESAMPLES, check_draws, interval, resampled_confusions, why_no_draws
from htnet.evaluation.calibration import expected_calibration_error, log_loss
from htnet.evaluation.metrics import Scores, score, uar_of_each, uf1_of_each
from htnet.evaluation.store import to_csv, write_atomic
from htnet.evaluation.trained import refuse_trained
from htnet.models import EmotionModel
from htnet.pipeline.doubts import doubts_of_weights
from htnet.pipeline.predictor import Predictor
from htnet.preprocess import Landmarker

#: What `WeightsScores.write` writes.
SCORE_FILES = ("summary.json", "predictions.csv")
_MEASURES = {"uf1": uf1_of_each, "uar": uar_of_each}


@dataclass(frozen=True, eq=False)
class WeightsAnswers:
    """The predictions of one set of weights.

    Attributes:
        weights: name of the weights.
        model: part "model" of the document.
        probabilities: (N, C), classes in the order of `WeightsScores.classes`.
        warnings: whether the weights were trained on people of the samples, and on all their classes.
    """

    weights: str
    model: dict[str, Any]
    probabilities: Float64Array
    warnings: tuple[QualityWarning, ...]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """(N,) indexes of the most probable class."""
        return np.asarray(self.probabilities.argmax(1))


@dataclass(frozen=True, eq=False)
class WeightsScores:
    """Scores of weights on labeled samples.

    Attributes:
        manifest: the samples.
        classes: names of the model's classes, in its order; classes without a sample are left out of UF1 and UAR.
        truth: (N,) indexes of the true classes.
        answers: predictions of the weights.
        against: predictions of the weights that they are compared with; None if there are none.
        resamples: number of bootstrap draws for the intervals.
        seed: seed of the draws.
    """

    manifest: Manifest
    classes: tuple[str, ...]
    truth: npt.NDArray[np.int64]
    answers: WeightsAnswers
    against: WeightsAnswers | None = None
    resamples: int = RESAMPLES
    seed: int = 0

    def scores(self, answers: WeightsAnswers | None = None) -> dict[str, Scores]:
        """Scores over all samples under "full", and of each data set if there are several."""
        predicted = (answers or self.answers).predicted
        datasets = sorted({sample.dataset for sample in self.manifest})
        groups = {"full": np.ones(len(self.truth), dtype=bool)}
        if len(datasets) > 1:
            of = np.array([sample.dataset for sample in self.manifest])
            groups |= {name: of == name for name in datasets}
        return {n: score(self.truth[at], predicted[at], len(self.classes)) for n, at in groups.items()}

    def per_class(self, answers: WeightsAnswers | None = None) -> dict[str, dict[str, Any]]:
        """F1, recall and precision of each class over all samples (None if undefined), and its number of samples."""
        counts = np.array(self.scores(answers)["full"].confusion)
        found = {}
        for k, name in enumerate(self.classes):
            hits, true, said = int(counts[k, k]), int(counts[k].sum()), int(counts[:, k].sum())
            found[name] = {
                "f1": 2 * hits / (true + said) if true else None,
                "recall": hits / true if true else None,
                "precision": hits / said if said else None,
                "samples": true,
            }
        return found

    def intervals(self, answers: WeightsAnswers | None = None) -> dict[str, tuple[float, float]] | None:
        """95 % bootstrap intervals of UF1 and UAR over people; None if there are none, see `no_intervals`."""
        drawn = self._drawn(answers or self.answers)
        return None if drawn is None else {name: interval(measure(drawn)) for name, measure in _MEASURES.items()}

    def difference(self) -> dict[str, Any] | None:
        """UF1 and UAR of the weights minus those of `against`, over the same people in every draw of the bootstrap.

        Returns:
            For "uf1" and "uar": ``value``, its 95 % ``interval`` and ``better``, the share of draws in which the
            weights score higher; the last two are None if there are no `intervals`. None without `against`.
        """
        if self.against is None:
            return None
        own, other = self.scores()["full"], self.scores(self.against)["full"]
        drawn = self._drawn(self.answers), self._drawn(self.against)
        found: dict[str, Any] = {}
        for name, measure in _MEASURES.items():
            value = float(getattr(own, name) - getattr(other, name))
            found[name] = {"value": value, "interval": None, "better": None}
            if drawn[0] is not None and drawn[1] is not None:
                differences = measure(drawn[0]) - measure(drawn[1])
                found[name] |= {"interval": list(interval(differences)), "better": float((differences > 0).mean())}
        return found

    @property
    def no_intervals(self) -> str | None:
        """Why there are no `intervals`: a sample has no subject, or all are of one person; None if there are some."""
        return why_no_draws(self._people())

    def _people(self) -> list[tuple[str, str] | None]:
        return [(s.dataset, s.subject) if is_named(s.subject) else None for s in self.manifest]

    def _drawn(self, answers: WeightsAnswers) -> Float64Array | None:
        if self.no_intervals:
            return None
        # The draws depend on people and seed alone, so those of two weights are the same.
        return resampled_confusions(
            self.truth, answers.predicted, self._people(), len(self.classes), self.resamples, self.seed
        )

    def to_dict(self) -> dict[str, Any]:
        """The document "htnet.weights_scores", see docs/output.md."""
        against = None
        if self.against is not None:
            same = float((self.answers.predicted == self.against.predicted).mean())
            against = {**self._part(self.against), "difference": self.difference(), "same_answers": same}
        warnings = [*self.answers.warnings, *(self.against.warnings if self.against else ())]
        content = {
            "data": self.manifest.source,
            "classes": list(self.classes),
            "samples": len(self.manifest),
            "subjects": len(self.manifest.subjects),
            "notes": list(self.manifest.notes),
            "resamples": self.resamples,
            **self._part(self.answers),
            "against": against,
        }
        return document("htnet.weights_scores", content, dict.fromkeys(warnings))

    def _part(self, answers: WeightsAnswers) -> dict[str, Any]:
        found = self.intervals(answers)
        return {
            "model": answers.model,
            "scores": {name: scores.to_dict() for name, scores in self.scores(answers).items()},
            "per_class": self.per_class(answers),
            "interval": None if found is None else {name: list(bounds) for name, bounds in found.items()},
            "calibration": {
                "expected_calibration_error": expected_calibration_error(self.truth, answers.probabilities),
                "log_loss": log_loss(self.truth, answers.probabilities),
            },
        }

    def write(self, out: str | PathLike[str], *, overwrite: bool = False) -> tuple[Path, ...]:
        """Write ``summary.json`` and ``predictions.csv`` into a folder.

        Raises:
            OverwriteError: the folder contains such files and ``overwrite`` is not given.
        """
        check_folder(out, SCORE_FILES, overwrite=overwrite)
        header = ["sample", "dataset", "subject", "truth", "prediction"]
        header += [f"probability_{name}" for name in self.classes]
        header += ["prediction_against"] if self.against is not None else []
        rows = []
        for k, sample in enumerate(self.manifest):
            row = [sample.sample, sample.dataset, sample.subject, sample.label]
            row += [self.classes[self.answers.predicted[k]], *(f"{p:.6f}" for p in self.answers.probabilities[k])]
            rows.append(row + ([self.classes[self.against.predicted[k]]] if self.against is not None else []))
        files = tuple(as_path(out, "out") / name for name in SCORE_FILES)
        write_atomic(files[1], to_csv(header, rows))
        write_atomic(files[0], to_json(self.to_dict()))
        return files


def evaluate(
    data: Manifest | str | PathLike[str],
    weights: str | PathLike[str] | EmotionModel = DEFAULT_WEIGHTS,
    *,
    against: str | PathLike[str] | EmotionModel | None = None,
    landmarks: str | PathLike[str] | Landmarker = "yunet",
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    bit_depth: int | None = None,
    batch_size: int = 64,
    resamples: int = RESAMPLES,
    seed: int = 0,
    allow_trained: bool = False,
    progress: bool = True,
) -> WeightsScores:
    """Score trained weights on labeled samples, and optionally compare them with other weights.

    Nothing is trained. UF1 and UAR are defined as in MEGC 2019, over all samples and for each data set, with 95 %
    intervals from a bootstrap over people. The prediction is always the most probable class, even if the two frames do
    not differ by an expression.

    Args:
        data: labeled samples: a manifest, or a path for `htnet.data.open_data`.
        weights: the weights to score: registered weights, a weights folder, a Hub repository or a loaded model.
        against: weights to compare with, which predict the same samples.
        landmarks: source of landmarks for frames that come without them, see `Predictor`.
        device: where the models run.
        dtype: floating-point type of the models, see `Predictor`.
        bit_depth: bits per value in 16-bit frames, see `htnet.preprocess.read_frame`.
        batch_size: number of samples read at a time: one forward pass on a GPU; the CPU computes 16 at a time.
        resamples: number of bootstrap draws for the intervals.
        seed: seed of the draws.
        allow_trained: also score people that the weights were trained on, or others with the same names; the result
            then has the warning "trained_on_subject".
        progress: show a progress bar on terminals.

    Raises:
        InputError: weights were trained on people of the samples and ``allow_trained`` is not given, the two weights
            have different classes or are the same weights, or ``bit_depth`` is given although all samples have flow
            images.
        ManifestError: samples have no label, or a label that is not a class of the weights.
        SpecError: the flow images were not made in the way that the weights were trained with.
        HtnetError: a sample cannot be read; the message names it.
    """
    resamples, seed = check_draws(resamples, seed)
    manifest = data if isinstance(data, Manifest) else open_data(data)
    manifest.labels()  # raises an error if a sample has none
    refuse_unused_depth(bit_depth, manifest)

    def load(which: str | PathLike[str] | EmotionModel) -> Predictor:
        found = Predictor(which, landmarks=landmarks, device=device, dtype=dtype, bit_depth=bit_depth, always=True)
        if not allow_trained:
            refuse_trained(found.model, manifest)
        return found

    predictor = load(weights)
    other = None if against is None else load(against)
    classes = predictor.model.labels
    if other is not None and set(other.model.labels) != set(classes):
        raise InputError(
            f"{predictor.name} predicts {', '.join(classes)}, {other.name} {', '.join(other.model.labels)}. Only "
            "weights with the same classes can be compared. Choose others."
        )
    if other is not None and _are_same_weights(predictor.model, other.model):
        twice = f"{predictor.name} is given twice"
        both = twice if predictor.name == other.name else f"{predictor.name} and {other.name} are the same weights"
        raise InputError(
            f"The weights would be compared with themselves: {both}. Give other weights as "
            f"{how('--against', 'against')}, or leave it out."
        )
    if unknown := sorted({str(sample.label) for sample in manifest} - set(classes)):
        names = listed([s.sample for s in manifest if s.label in unknown])
        raise ManifestError(
            f"{manifest.source}: {names} labeled {', '.join(unknown)}, but {predictor.name} predicts "
            f"{', '.join(classes)}. Prepare the data with these classes, leave those samples out, or use other weights."
        )

    def ask(one: Predictor) -> WeightsAnswers:
        bar = progress_bar(one.manifest(manifest, batch_size=batch_size), "predicting", len(manifest), show=progress)
        chances = np.array([[found.probabilities[name] for name in classes] for found in bar])
        doubts = doubts_of_weights(one.model, manifest)
        part = model_part(one.name, one.model.name, one.model.temperature, one.model.license_expression)
        return WeightsAnswers(one.name, part, chances, doubts)

    number = {name: k for k, name in enumerate(classes)}
    truth = np.array([number[str(sample.label)] for sample in manifest])
    answers = ask(predictor)
    return WeightsScores(manifest, classes, truth, answers, None if other is None else ask(other), resamples, seed)


def _are_same_weights(one: EmotionModel, other: EmotionModel) -> bool:
    """Whether two models compute the same probabilities from the same frames: all that defines them is equal."""
    if one is other:
        return True
    described = [
        (type(model), model.config, model.labels, model.temperature, model.preprocess_spec) for model in (one, other)
    ]
    states = one.state_dict(), other.state_dict()
    return (
        described[0] == described[1]
        and states[0].keys() == states[1].keys()
        and all(torch.equal(values, states[1][name]) for name, values in states[0].items())
    )


def score_table(found: WeightsScores) -> list[str]:
    """Scores as lines of text: those of each data set and class, the confusion matrix and the difference."""
    lines = []
    pairs = [(found.answers, ""), *([(found.against, " (against)")] if found.against is not None else [])]
    for answers, note in pairs:
        lines.append(f"{answers.weights}{note}: UF1 / UAR / accuracy")
        for name, scores in found.scores(answers).items():
            three = f"{scores.uf1:.4f} / {scores.uar:.4f} / {scores.accuracy:.4f}"
            lines.append(f"  {name:<12} {three}  {counted(scores.num_samples, 'sample')}")
        bounds = found.intervals(answers)
        if bounds is None:
            lines.append(f"  no intervals over people: {found.no_intervals}")
        else:
            said = ", ".join(f"{name.upper()} {low:.4f} to {high:.4f}" for name, (low, high) in bounds.items())
            lines.append(f"  95 % over people: {said}")
        lines += _rows(["", "F1", "recall", "precision", "samples"], _class_rows(found, answers))
        counts = found.scores(answers)["full"].confusion
        lines.append("  confusion matrix, rows: true class, columns: predicted class:")
        rows = [[name, *map(str, row)] for name, row in zip(found.classes, counts, strict=True)]
        lines += _rows(["", *found.classes], rows)
    for name, part in (found.difference() or {}).items():
        more = "" if part["interval"] is None else ", 95 % {:+.4f} to {:+.4f}".format(*part["interval"])
        better = "" if part["better"] is None else f", higher in {part['better']:.0%} of the draws of people"
        lines.append(f"{name.upper()} differs by {part['value']:+.4f}{more}{better}")
    return lines


def _class_rows(found: WeightsScores, answers: WeightsAnswers) -> list[list[str]]:
    def said(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    parts = found.per_class(answers).items()
    return [[n, *(said(p[key]) for key in ("f1", "recall", "precision")), str(p["samples"])] for n, p in parts]


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    lines = []
    for first, *rest in (head, *rows):
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("    " + "  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return lines
