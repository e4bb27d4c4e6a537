"""Architectures: build them by name, convert published checkpoints into them."""

from htnet.models.base import EmotionModel, ModelConfig
from htnet.models.convert import convert_checkpoint, convert_state, reference_state
from htnet.models.htnet import HTNet, HTNetConfig
from htnet.models.registry import (
    ModelEntry,
    build_model,
    create_model,
    get_entry,
    list_models,
    register_model,
)
from htnet.models.ststnet import STSTNet, STSTNetConfig

__all__ = [
    "EmotionModel",
    "HTNet",
    "HTNetConfig",
    "ModelConfig",
    "ModelEntry",
    "STSTNet",
    "STSTNetConfig",
    "build_model",
    "convert_checkpoint",
    "convert_state",
    "create_model",
    "get_entry",
    "list_models",
    "reference_state",
    "register_model",
]
