"""Evaluation of a grading model on a split."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from htnet.core.errors import ManifestError
from htnet.core.files import check_folder
from htnet.core.global_state import usual_settings
from htnet.core.identity import refuse_unnamed
from htnet.core.paths import as_path
from htnet.core.schema import document, model_part, to_json
from htnet.data import Manifest
from htnet.evaluation.bootstrap import RESAMPLES, check_draws
from htnet.evaluation.store import to_csv, write_atomic
from htnet.evaluation.trained import refuse_trained
from htnet.models import EmotionModel
from htnet.palsy.faces import FaceSet
from htnet.palsy.metrics import GradeScores, grade_scores
from htnet.palsy.predictor import predict_faces
from htnet.palsy.train import check_face_model
from htnet.pipeline.doubts import doubts_of_weights

#: The files of an evaluation.
RESULTS = ("predictions.csv", "summary.json")


@usual_settings()
def evaluate_palsy(
    model: EmotionModel,
    manifest: Manifest,
    data: FaceSet,
    out: str | PathLike[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    described: dict[str, Any] | None = None,
    overwrite: bool = False,
    allow_trained: bool = False,
) -> GradeScores:
    """Predict every sample, score the predictions and write both.

    Args:
        model: a trained model.
        manifest: labeled samples, such as the test split, see `Manifest.split`.
        data: the same samples as tensors.
        out: folder; gets ``predictions.csv`` and ``summary.json``.
        resamples: draws for the intervals, see `grade_scores`.
        seed: seed of the draws.
        described: further content of ``summary.json``.
        overwrite: replace these files if ``out`` contains them.
        allow_trained: also score people that the model was trained on, such as its training split, or other people
            with the same names; ``summary.json`` then has the warning "trained_on_subject".

    Raises:
        InputError: the model was trained on people in the samples, or on people with the same names, and
            ``allow_trained`` is not given.
        OverwriteError: ``out`` contains these files and ``overwrite`` is not given.
        ManifestError: manifest and data have different numbers of samples, the classes are not the model's, or
            samples name no patient.
        ModelError: the model does not read faces of this size.
    """
    check_folder(out, RESULTS, overwrite=overwrite)
    resamples, seed = check_draws(resamples, seed)
    check_face_model(model, data.spec.size)
    if len(manifest) != len(data):
        raise ManifestError(
            f"The manifest has {len(manifest)} samples, but the data have {len(data)}. Load them together."
        )
    if manifest.classes != model.labels:
        raise ManifestError(
            f"{manifest.source} has the classes {', '.join(manifest.classes)}, but the model predicts "
            f"{', '.join(model.labels)}. Prepare the data with the model's classes (--classes)."
        )
    if not allow_trained:
        refuse_trained(model, manifest)
    probabilities = predict_faces(model, data).numpy()
    truth, answers = manifest.labels(), probabilities.argmax(1)
    refuse_unnamed(manifest, manifest.source, "the intervals are over patients")
    patients = [(s.dataset, s.subject) for s in manifest]
    scores = grade_scores(truth, answers, patients, manifest.classes, resamples=resamples, seed=seed)
    header = ["sample", "dataset", "patient", "split", "truth", "prediction"]
    rows = [
        [s.sample, s.dataset, s.subject, s.split, s.label, manifest.classes[int(answer)], *(f"{v:.6f}" for v in p)]
        for s, answer, p in zip(manifest, answers, probabilities.astype(np.float64), strict=True)
    ]
    out = as_path(out, "out")
    write_atomic(out / "predictions.csv", to_csv([*header, *(f"probability_{c}" for c in manifest.classes)], rows))
    more = dict(described or {})
    content = {
        "model": model_part(more.pop("weights", None), model.name, model.temperature, model.license_expression),
        "classes": list(manifest.classes),
        "data": manifest.source,
        "data_sha256": data.digest(),
        "resamples": resamples,
        **more,
        **scores.to_dict(),
    }
    warnings = doubts_of_weights(model, manifest)
    write_atomic(out / "summary.json", to_json(document("htnet.palsy_scores", content, warnings)))
    return scores


def score_table(scores: GradeScores) -> str:
    """The scores as a text table."""
    lines = [f"{scores.num_samples} images of {scores.num_patients} patients"]
    for name, title in (
        ("accuracy", "accuracy"),
        ("macro_f1", "macro F1"),
        ("kappa", "quadratic-weighted kappa"),
        ("mean_absolute_error", "mean absolute error, classes"),
    ):
        value = getattr(scores, name)
        shown = "not defined" if value is None else f"{value:.3f}"
        interval = scores.intervals.get(name)
        lines.append(f"  {title:<30} {shown}" + (f"  [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""))
    lines.append(f"  {'class':<10} {'precision':>9} {'recall':>9} {'F1':>9} {'images':>7}")
    for name, c in scores.classes.items():
        lines.append(f"  {name:<10} {c.precision:>9.3f} {c.recall:>9.3f} {c.f1:>9.3f} {c.support:>7}")
    if scores.intervals:
        lines.append("  [..] 95 % bootstrap over patients")
    return "\n".join(lines)
