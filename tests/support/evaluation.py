"""Folds of an evaluation, run by hand."""

from htnet.evaluation import EvaluationPlan
from htnet.evaluation.protocols import FoldRun


def fold_run(manifest, data, model, recipe, protocols, store, **options):
    """What the folds of a run share; nothing is checked."""
    return FoldRun(EvaluationPlan(model, recipe, protocols, **options), manifest, data, {}, store)
