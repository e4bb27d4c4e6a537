"""Training on a manifest."""

from htnet.core.deprecated import serve_old_names
from htnet.training import published  # noqa: F401  # registers its recipes
from htnet.training.annotated_units import annotated_units, unit_targets
from htnet.training.averaging import check_wise_ft
from htnet.training.curves import TensorBoard
from htnet.training.generated_samples import check_classes, generated_set, with_units
from htnet.training.job import Callback, EpochReport, TrainingJob, job_of
from htnet.training.losses import focal_loss, margin_loss, recipe_loss
from htnet.training.pretrain import train_on_generated
from htnet.training.ranks import Ranks, joined_ranks
from htnet.training.recipe import (
    RECIPES,
    AnyAugmentation,
    Augmentation,
    Recipe,
    get_recipe,
    register_augmentation,
    register_recipe,
)
from htnet.training.spec import spec_for
from htnet.training.start import StartFrom
from htnet.training.state import Checkpoint
from htnet.training.steps import num_batches
from htnet.training.tensors import FlowSet, load_flow_set
from htnet.training.trainer import predict_set, run_job, train_model
from htnet.training.units import counted_units, units_to_learn
from htnet.training.vmapped import Training, refuse_not_vmappable, train_vmapped
from htnet.training.weights import WeightsRecord, train_into, train_weights

__all__ = [
    "RECIPES",
    "AnyAugmentation",
    "Augmentation",
    "Callback",
    "Checkpoint",
    "EpochReport",
    "FlowSet",
    "Ranks",
    "Recipe",
    "StartFrom",
    "TensorBoard",
    "Training",
    "TrainingJob",
    "WeightsRecord",
    "annotated_units",
    "check_classes",
    "check_wise_ft",
    "counted_units",
    "focal_loss",
    "generated_set",
    "get_recipe",
    "job_of",
    "joined_ranks",
    "load_flow_set",
    "margin_loss",
    "num_batches",
    "predict_set",
    "recipe_loss",
    "refuse_not_vmappable",
    "register_augmentation",
    "register_recipe",
    "run_job",
    "spec_for",
    "train_into",
    "train_model",
    "train_on_generated",
    "train_vmapped",
    "train_weights",
    "unit_targets",
    "units_to_learn",
    "with_units",
]

serve_old_names(__name__)
