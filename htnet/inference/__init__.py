"""Models for use alone: folded, narrower, compiled."""

from htnet.inference.compiled import COMPILE_MODES
from htnet.inference.model import OptimizedModel
from htnet.inference.optimize_model import DTYPES, optimize, optimized_like

__all__ = ["COMPILE_MODES", "DTYPES", "OptimizedModel", "optimize", "optimized_like"]
