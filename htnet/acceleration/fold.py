"""Which model is folded how."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from htnet.acceleration.hierarchical import fold_hierarchical
from htnet.acceleration.linear import frozen
from htnet.acceleration.others import FoldedSTSTNet, fold_dual_stream, fold_flow_mlp, fold_mhssa_gcn
from htnet.acceleration.precision import Precision
from htnet.core.errors import ModelError
from htnet.core.registry import Registry
from htnet.models import MHSSAGCN, DualStreamHTNet, EmotionModel, FlowMLP, HTNet, STSTNet

Fusion = Callable[[Any, Precision], nn.Module]
F = TypeVar("F", bound=Fusion)

#: By exact class: a class derived from one of these may compute something else.
FUSIONS: Registry[type[EmotionModel], Fusion] = Registry("htnet.acceleration")


def register_fusion(*model_classes: type[EmotionModel]) -> Callable[[F], F]:
    """A decorator that lets `htnet.optimize` take models of these classes.

    The decorated function gets a copy of the model, whose tensors it must not change, and a `Precision`; it gives the
    fused network.
    """

    def decorate(fusion: F) -> F:
        for model_class in model_classes:
            FUSIONS.add(model_class, fusion)
        return fusion

    return decorate


register_fusion(HTNet)(fold_hierarchical)
register_fusion(STSTNet)(FoldedSTSTNet)
register_fusion(DualStreamHTNet)(fold_dual_stream)
register_fusion(FlowMLP)(fold_flow_mlp)
register_fusion(MHSSAGCN)(fold_mhssa_gcn)


def fold(source: EmotionModel, precision: Precision) -> nn.Module:
    """The network of a model with everything folded that can be; the model stays as it is.

    Raises:
        ModelError: its class is not one of htnet's.
    """
    if type(source) not in FUSIONS:
        known = ", ".join(sorted(cls.__name__ for cls in FUSIONS))
        raise ModelError(
            f"optimize cannot fold {type(source).__name__}: it knows what {known} compute, and no class derived from "
            "them. Use the model as it is, or torch.compile."
        )
    if not source.config.num_classes:
        raise ModelError(f"{source.name} has no classifier: optimize a model that has one, or use this one as it is.")
    # The tree of modules is a copy, the weights in it are the model's own until they are folded or copied below.
    own = {id(p): p for p in source.parameters()}
    net = FUSIONS[type(source)](copy.deepcopy(source, dict(own)).eval(), precision)
    for module in net.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) in own:
                setattr(module, name, frozen(parameter, precision.high))
    return net.requires_grad_(False).eval()
