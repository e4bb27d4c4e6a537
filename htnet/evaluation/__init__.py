"""Evaluation that nobody can accuse of leakage."""

from htnet.evaluation.protocols import LEAKING, PROTOCOLS
from htnet.evaluation.report import LosoResult, SampleResult
from htnet.evaluation.runner import loso

__all__ = ["LEAKING", "PROTOCOLS", "LosoResult", "SampleResult", "loso"]
