"""htnet: facial micro-expression recognition.

Models that match the published ones, the code that makes their input, trained weights, and honest
evaluation. Names are loaded when first used, so ``import htnet`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from htnet._version import __version__
from htnet.core import deprecated
from htnet.core.lazy import loading
from htnet.core.wings import installed_wings

if TYPE_CHECKING:
    from htnet.acceleration import optimize
    from htnet.hub import list_pretrained, load_pretrained, push_to_hub, save_pretrained
    from htnet.models import create_model, is_model, list_models, register_model
    from htnet.pipeline import Predictor, analyze, embed, evaluate, predict, predict_video
    from htnet.pipeline.evaluation_report import report

_WHERE = {
    "create_model": "htnet.models",
    "is_model": "htnet.models",
    "list_models": "htnet.models",
    "register_model": "htnet.models",
    "load_pretrained": "htnet.hub",
    "list_pretrained": "htnet.hub",
    "save_pretrained": "htnet.hub",
    "push_to_hub": "htnet.hub",
    "optimize": "htnet.acceleration",
    "analyze": "htnet.pipeline",
    "embed": "htnet.pipeline",
    "evaluate": "htnet.pipeline",
    "predict": "htnet.pipeline",
    "predict_video": "htnet.pipeline",
    "Predictor": "htnet.pipeline",
    "report": "htnet.pipeline.evaluation_report",
}
_MODULES = (
    "acceleration",
    "calibration",
    "core",
    "data",
    "errors",
    "evaluation",
    "export",
    "hub",
    "kernels",
    "metrics",
    "models",
    "pipeline",
    "plots",
    "prepare",
    "preprocess",
    "recordings",
    "sklearn",
    "synthesis",
    "training",
    "types",
)

__all__ = [
    "Predictor",
    "__version__",
    "analyze",
    "create_model",
    "embed",
    "evaluate",
    "is_model",
    "list_models",
    "list_pretrained",
    "load_pretrained",
    "optimize",
    "predict",
    "predict_video",
    "push_to_hub",
    "register_model",
    "report",
    "save_pretrained",
]


deprecated.install()


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        with loading():
            return getattr(importlib.import_module(_WHERE[name]), name)
    if name in (*_MODULES, *installed_wings()) or f"htnet.{name}" in deprecated.MODULES:
        with loading():
            return importlib.import_module(f"htnet.{name}")
    raise AttributeError(f"module 'htnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES, *installed_wings()})
