"""Evaluation on subjects or data sets that were held out of training."""

from htnet.evaluation.finished import FinishedRun, GroupScores, read_run
from htnet.evaluation.plan import LEAKING, PROTOCOLS, EvaluationPlan
from htnet.evaluation.report import LosoResult, SampleResult
from htnet.evaluation.runner import holdout, kfold, lodo, loso
from htnet.evaluation.summary import CardScores, Summary, read_summary

__all__ = [
    "LEAKING",
    "PROTOCOLS",
    "CardScores",
    "EvaluationPlan",
    "FinishedRun",
    "GroupScores",
    "LosoResult",
    "SampleResult",
    "Summary",
    "holdout",
    "kfold",
    "lodo",
    "loso",
    "read_run",
    "read_summary",
]
