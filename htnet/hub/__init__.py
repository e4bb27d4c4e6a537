"""Trained weights: load them in one line, save and publish your own."""

from tempfile import TemporaryDirectory

from htnet.core.provenance import AS_THE_CODE, GENERATED, RESEARCH_ONLY, DataKind, License, Provenance, Selection
from htnet.core.registry import HUB
from htnet.core.types import DEFAULT_WEIGHTS
from htnet.hub.exporting import export_model
from htnet.hub.folder import read_config, save_pretrained
from htnet.hub.plan import PushedFile, PushPlan, plan_all, plan_push
from htnet.hub.publish import publish, push_all, push_to_hub
from htnet.hub.registry import (
    PretrainedSpec,
    find_pretrained,
    list_pretrained,
    register_pretrained,
)
from htnet.hub.weights import load_pretrained

__all__ = [
    "AS_THE_CODE",
    "DEFAULT_WEIGHTS",
    "GENERATED",
    "RESEARCH_ONLY",
    "DataKind",
    "License",
    "PretrainedSpec",
    "Provenance",
    "PushPlan",
    "PushedFile",
    "Selection",
    "export_model",
    "find_pretrained",
    "list_pretrained",
    "load_pretrained",
    "plan_all",
    "plan_push",
    "push_all",
    "push_to_hub",
    "read_config",
    "register_pretrained",
    "save_pretrained",
]

HUB.add("load_pretrained", load_pretrained)
HUB.add("save_pretrained", save_pretrained)
HUB.add("publish", publish)
HUB.add("temporary_folder", TemporaryDirectory)
