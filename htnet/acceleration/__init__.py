"""Models for use alone: folded, narrower, compiled."""

from htnet.acceleration.compiled import COMPILE_MODES
from htnet.acceleration.fold import register_fusion
from htnet.acceleration.model import OptimizedModel
from htnet.acceleration.optimize_model import DTYPES, optimize, optimized_like

__all__ = ["COMPILE_MODES", "DTYPES", "OptimizedModel", "optimize", "optimized_like", "register_fusion"]
