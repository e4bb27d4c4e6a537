"""Architectures: build them by name, convert published checkpoints into them."""

from htnet.models.base import EXTRA_INPUTS, EmotionModel, ModelConfig
from htnet.models.convert import convert_checkpoint, convert_state, reference_state
from htnet.models.dual_stream import DualStreamConfig, DualStreamHTNet, DualStreamMaps
from htnet.models.enhanced import HTNetEnhanced, HTNetEnhancedConfig
from htnet.models.flow_mlp import FlowMLP, FlowMLPConfig
from htnet.models.htnet import HTNet, HTNetConfig
from htnet.models.mhssa_gcn import MHSSAGCN, MHSSAGCNConfig
from htnet.models.palsy import HOUSE_BRACKMANN, HTNetPalsy, HTNetPalsyConfig, PalsyMaps
from htnet.models.registry import (
    ModelEntry,
    build_model,
    create_model,
    get_entry,
    list_models,
    register_model,
)
from htnet.models.ststnet import STSTNet, STSTNetConfig
from htnet.models.transfer import TransferReport, transfer_weights

__all__ = [
    "EXTRA_INPUTS",
    "HOUSE_BRACKMANN",
    "MHSSAGCN",
    "DualStreamConfig",
    "DualStreamHTNet",
    "DualStreamMaps",
    "EmotionModel",
    "FlowMLP",
    "FlowMLPConfig",
    "HTNet",
    "HTNetConfig",
    "HTNetEnhanced",
    "HTNetEnhancedConfig",
    "HTNetPalsy",
    "HTNetPalsyConfig",
    "MHSSAGCNConfig",
    "ModelConfig",
    "ModelEntry",
    "PalsyMaps",
    "STSTNet",
    "STSTNetConfig",
    "TransferReport",
    "build_model",
    "convert_checkpoint",
    "convert_state",
    "create_model",
    "get_entry",
    "list_models",
    "reference_state",
    "register_model",
    "transfer_weights",
]
