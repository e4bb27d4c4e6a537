"""Training on a manifest."""

from typing import TYPE_CHECKING, Any

from htnet.core.deprecated import moved_name
from htnet.training.companions import check_classes, generated_set, with_units
from htnet.training.generated import train_on_generated
from htnet.training.loop import check_start, num_batches, predict_set, train_model
from htnet.training.losses import focal_loss, recipe_loss
from htnet.training.progress import Checkpoint
from htnet.training.recipe import (
    RECIPES,
    AnyAugmentation,
    Augmentation,
    Recipe,
    get_recipe,
    register_augmentation,
    register_recipe,
)
from htnet.training.start import StartFrom
from htnet.training.tensors import FlowSet, load_flow_set
from htnet.training.together import Training, refuse_unstackable, train_together
from htnet.training.units import counted_units
from htnet.training.weights import train_into, train_weights

__all__ = [
    "RECIPES",
    "AnyAugmentation",
    "Augmentation",
    "Checkpoint",
    "FlowSet",
    "Recipe",
    "StartFrom",
    "Training",
    "check_classes",
    "check_start",
    "counted_units",
    "focal_loss",
    "generated_set",
    "get_recipe",
    "load_flow_set",
    "num_batches",
    "predict_set",
    "recipe_loss",
    "refuse_unstackable",
    "register_augmentation",
    "register_recipe",
    "train_into",
    "train_model",
    "train_on_generated",
    "train_together",
    "train_weights",
    "with_units",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return moved_name(__name__, name)
