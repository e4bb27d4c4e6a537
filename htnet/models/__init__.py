"""Model architectures: create them by name and convert published checkpoints."""

from htnet.core.deprecated import serve_old_names
from htnet.core.types import EXTRA_INPUTS
from htnet.models.attention import AttentionMap, AttentionRollout, attention_maps, attention_rollout
from htnet.models.base import EmotionModel, ModelConfig, make_classifier
from htnet.models.capsulenet import CapsuleNet, CapsuleNetConfig
from htnet.models.converters import (
    Converter,
    convert_checkpoint,
    convert_state,
    reference_state,
    register_converter,
)
from htnet.models.dual_inception import DualInception, DualInceptionConfig
from htnet.models.dual_stream import DualStreamConfig, DualStreamHTNet, DualStreamMaps
from htnet.models.featref import FeatRef, FeatRefConfig
from htnet.models.flow_mlp import FlowMLP, FlowMLPConfig
from htnet.models.htnet import HTNet, HTNetConfig
from htnet.models.mhssa_gcn import MHSSAGCN, MHSSAGCNConfig
from htnet.models.mier_cvt import MiERCvT, MiERCvTConfig
from htnet.models.off_apexnet import OFFApexNet, OFFApexNetConfig
from htnet.models.rcn import RCN, RCNConfig
from htnet.models.registry import (
    ModelEntry,
    build_model,
    create_model,
    get_entry,
    is_model,
    list_models,
    register_model,
)
from htnet.models.saliency import Saliency, integrated_gradients, occlusion
from htnet.models.ststnet import STSTNet, STSTNetConfig
from htnet.models.transfer import TransferReport, transfer_weights

__all__ = [
    "EXTRA_INPUTS",
    "MHSSAGCN",
    "RCN",
    "AttentionMap",
    "AttentionRollout",
    "CapsuleNet",
    "CapsuleNetConfig",
    "Converter",
    "DualInception",
    "DualInceptionConfig",
    "DualStreamConfig",
    "DualStreamHTNet",
    "DualStreamMaps",
    "EmotionModel",
    "FeatRef",
    "FeatRefConfig",
    "FlowMLP",
    "FlowMLPConfig",
    "HTNet",
    "HTNetConfig",
    "MHSSAGCNConfig",
    "MiERCvT",
    "MiERCvTConfig",
    "ModelConfig",
    "ModelEntry",
    "OFFApexNet",
    "OFFApexNetConfig",
    "RCNConfig",
    "STSTNet",
    "STSTNetConfig",
    "Saliency",
    "TransferReport",
    "attention_maps",
    "attention_rollout",
    "build_model",
    "convert_checkpoint",
    "convert_state",
    "create_model",
    "get_entry",
    "integrated_gradients",
    "is_model",
    "list_models",
    "make_classifier",
    "occlusion",
    "reference_state",
    "register_converter",
    "register_model",
    "transfer_weights",
]

serve_old_names(__name__)
