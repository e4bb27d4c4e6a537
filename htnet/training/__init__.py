"""Training on a manifest."""

from htnet.training.loop import Checkpoint, predict_set, train_model
from htnet.training.recipe import RECIPES, Augmentation, Recipe, get_recipe
from htnet.training.tensors import FlowSet, load_flow_set
from htnet.training.weights import train_weights

__all__ = [
    "RECIPES",
    "Augmentation",
    "Checkpoint",
    "FlowSet",
    "Recipe",
    "get_recipe",
    "load_flow_set",
    "predict_set",
    "train_model",
    "train_weights",
]
