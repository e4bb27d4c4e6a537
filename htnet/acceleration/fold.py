"""Which model is folded how."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from htnet.acceleration.hierarchical import fold_hierarchical
from htnet.acceleration.linear import frozen
from htnet.acceleration.others import FoldedSTSTNet, fold_dual_stream, fold_flow_mlp, fold_mhssa_gcn
from htnet.acceleration.precision import Precision
from htnet.core.errors import ModelError
from htnet.models import MHSSAGCN, DualStreamHTNet, EmotionModel, FlowMLP, HTNet, HTNetEnhanced, HTNetPalsy, STSTNet

#: By exact class: a class derived from one of these may compute something else.
_FOLDS: Mapping[type[EmotionModel], Callable[[Any, Precision], nn.Module]] = {
    HTNet: fold_hierarchical,
    HTNetPalsy: fold_hierarchical,
    HTNetEnhanced: fold_hierarchical,
    STSTNet: FoldedSTSTNet,
    DualStreamHTNet: fold_dual_stream,
    FlowMLP: fold_flow_mlp,
    MHSSAGCN: fold_mhssa_gcn,
}


def fold(source: EmotionModel, precision: Precision) -> nn.Module:
    """The network of a model with everything folded that can be; the model stays as it is.

    Raises:
        ModelError: its class is not one of htnet's.
    """
    if type(source) not in _FOLDS:
        known = ", ".join(sorted(cls.__name__ for cls in _FOLDS))
        raise ModelError(
            f"optimize cannot fold {type(source).__name__}: it knows what {known} compute, and no class derived from "
            "them. Use the model as it is, or torch.compile."
        )
    # The tree of modules is a copy, the weights in it are the model's own until they are folded or copied below.
    own = {id(p): p for p in source.parameters()}
    net = _FOLDS[type(source)](copy.deepcopy(source, dict(own)).eval(), precision)
    for module in net.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) in own:
                setattr(module, name, frozen(parameter, precision.high))
    return net.requires_grad_(False).eval()
