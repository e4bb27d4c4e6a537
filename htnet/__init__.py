"""htnet: facial micro-expression recognition.

Models that match the published ones, the code that makes their input, trained weights, and honest
evaluation. Names are loaded when first used, so that ``import htnet`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from htnet._version import __version__

if TYPE_CHECKING:
    from htnet.acceleration import optimize
    from htnet.hub import list_pretrained, load_pretrained
    from htnet.models import create_model, list_models
    from htnet.pipeline.predictor import Predictor, predict, predict_video

_WHERE = {
    "create_model": "htnet.models",
    "list_models": "htnet.models",
    "load_pretrained": "htnet.hub",
    "list_pretrained": "htnet.hub",
    "optimize": "htnet.acceleration",
    "predict": "htnet.pipeline.predictor",
    "predict_video": "htnet.pipeline.predictor",
    "Predictor": "htnet.pipeline.predictor",
}
_MODULES = (
    "data",
    "errors",
    "evaluation",
    "hub",
    "inference",
    "kernels",
    "metrics",
    "models",
    "preprocess",
    "training",
    "types",
)

__all__ = [
    "Predictor",
    "__version__",
    "create_model",
    "list_models",
    "list_pretrained",
    "load_pretrained",
    "optimize",
    "predict",
    "predict_video",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"htnet.{name}")
    raise AttributeError(f"module 'htnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
