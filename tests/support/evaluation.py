"""Folds of an evaluation, run by hand."""

from htnet.evaluation import EvaluationPlan
from htnet.evaluation.protocols import FoldRun


def fold_run(manifest, data, model, recipe, protocols, **options):
    """What the folds of a run share; nothing is checked, and no states are kept."""
    return FoldRun(EvaluationPlan(model, recipe, protocols, **options), manifest, data, {}, None)
