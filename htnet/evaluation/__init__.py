"""Evaluation that nobody can accuse of leakage."""

from htnet.evaluation.runner import loso
from htnet.evaluation.protocols import LEAKING, PROTOCOLS
from htnet.evaluation.report import LosoResult, SampleResult

__all__ = ["LEAKING", "PROTOCOLS", "LosoResult", "SampleResult", "loso"]
