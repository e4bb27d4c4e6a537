"""Models for inference only: fused, in smaller types, compiled."""

from htnet.acceleration import convolutional  # noqa: F401  # registers its fusions
from htnet.acceleration.compiled import COMPILE_MODES
from htnet.acceleration.engines import BACKENDS
from htnet.acceleration.fusion import register_fusion
from htnet.acceleration.optimized import DTYPES, OptimizedModel, optimize, optimized_like

__all__ = ["BACKENDS", "COMPILE_MODES", "DTYPES", "OptimizedModel", "optimize", "optimized_like", "register_fusion"]
