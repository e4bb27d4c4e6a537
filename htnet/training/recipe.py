"""Training recipes: small frozen presets, changed by name or from a JSON file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from htnet.core.deprecated import RECIPE_FIELDS, new_fields, renamed_fields
from htnet.core.errors import RecipeError, cause, did_you_mean, refuse_unknown
from htnet.core.fields import Checked, Rule, checked, flag, one_of, optional, real, text, whole
from htnet.core.limits import read_json
from htnet.core.paths import as_path
from htnet.core.registry import Registry

OPTIMIZERS = ("adamw", "adam")
SCHEDULES = ("constant", "onecycle")
LOSSES = ("cross_entropy", "focal", "margin")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class AnyAugmentation(Checked):
    """Random changes of images of one kind; the fields are their strengths.

    Attributes:
        of: kind of the images, see `htnet.models.EmotionModel.input_kind`.
    """

    of: ClassVar[str]
    _error = RecipeError
    _noun = "augmentation field"


AUGMENTATIONS: Registry[str, type[AnyAugmentation]] = Registry("htnet.training.recipe")


def register_augmentation(augmentation: type[AnyAugmentation]) -> None:
    """Register an augmentation for another kind of images; recipe files store it as ``{"of": KIND, ...}``."""
    AUGMENTATIONS.add(augmentation.of, augmentation)


@dataclass(frozen=True)
class Augmentation(AnyAugmentation):
    """Random changes of a flow image that keep its class.

    Attributes:
        mirror: probability of mirroring the face left to right, with u negated.
        shift: largest shift of the face under its crops in x and in y, px of the flow image; less than half its side.
        gain: each channel is scaled about its mean by a factor drawn uniformly from 1 ± gain; at most 1.
        offset: each channel is moved by an amount drawn uniformly from ± offset, in standard deviations.
        noise: standard deviation of Gaussian noise, in standard deviations of the channel.
    """

    of: ClassVar[str] = "flow"
    mirror: float = checked(0.5, real(ge=0, le=1))
    shift: int = checked(2, whole(0))
    gain: float = checked(0.2, real(ge=0, le=1))  # a negative factor would reverse the motion
    offset: float = checked(0.2, real(ge=0))
    noise: float = checked(0.1, real(ge=0))


register_augmentation(Augmentation)
_AUGMENTATION = Rule(
    lambda value: isinstance(value, AnyAugmentation), "an augmentation, such as htnet.training.Augmentation(shift=1)"
)


@renamed_fields(RECIPE_FIELDS)
@dataclass(frozen=True)
class Recipe(Checked):
    """A training recipe.

    Attributes:
        name: name for reports.
        optimizer: "adamw" or "adam".
        lr: learning rate; the peak for "onecycle".
        weight_decay: weight decay (decoupled for "adamw").
        schedule: "constant", or "onecycle" (PyTorch's OneCycleLR over all steps).
        epochs: passes over the training set.
        batch_size: samples per step; the last batch of an epoch may be smaller.
        shuffle: draw a new order of the samples every epoch.
        ema_decay: decay of the exponential moving average (EMA) of the weights, one update per step (step t uses at
            most (1 + t) / (10 + t)); the EMA weights are the result. 0 for the plain weights.
        wise_ft_alpha: the result is alpha x fine-tuned + (1 - alpha) x start weights (WiSE-FT; Wortsman et al., "Robust
            fine-tuning of zero-shot models", CVPR 2022). 1 is the fine-tuned model alone.
        standardize: put the training set's per-channel mean and deviation into the model.
        augmentation: random changes: `Augmentation` for flow images, another class for other images, or None.
        loss: "cross_entropy", "focal" (`htnet.training.focal_loss`) or "margin" (`htnet.training.margin_loss`), which
            is for scores from 0 to 1, such as those of capsules.
        focal_alpha: factor of the focal loss; only for the loss "focal".
        focal_gamma: exponent by which the focal loss reduces the weight of correctly classified samples; likewise.
        generated: number of generated flow images (`htnet.synthesis`) in every batch; 0 for none. Models with an
            action-unit head learn the units from these images. Requires a set of flow images with the emotions of
            `htnet.types.EMOTIONS`.
        generated_weight: weight of the loss of the generated samples, if there are any; that of the real samples has
            weight 1.
        units_weight: weight of the loss of the action units (binary cross-entropy, mean over units and sides), for
            models and sets that have units; the loss of the emotions has weight 1.
        proposal_weight: weight of the loss of the proposals (binary cross-entropy, mean over classes), for models with
            one proposal per class, such as `htnet.models.FeatRef`; the loss of the emotions has weight 1. 0 for none.
        precision: "float32", or "bfloat16" for PyTorch's autocast: matrix products in bfloat16; weights, optimizer and
            sums that need the precision in float32.
    """

    name: str = checked("default", text())
    optimizer: str = checked("adamw", one_of(OPTIMIZERS))
    lr: float = checked(5e-4, real(gt=0))
    weight_decay: float = checked(0.05, real(ge=0))
    schedule: str = checked("onecycle", one_of(SCHEDULES))
    epochs: int = checked(30, whole())
    batch_size: int = checked(64, whole())
    shuffle: bool = checked(True, flag())
    ema_decay: float = checked(0.98, real(ge=0, lt=1))
    wise_ft_alpha: float = checked(1.0, real(gt=0, le=1))
    standardize: bool = checked(True, flag())
    augmentation: AnyAugmentation | None = dataclasses.field(
        default_factory=Augmentation, metadata={"rule": optional(_AUGMENTATION)}
    )
    loss: str = checked("cross_entropy", one_of(LOSSES))
    focal_alpha: float = checked(0.25, real(gt=0))
    focal_gamma: float = checked(2.0, real(ge=0))
    generated: int = checked(0, whole(0))
    generated_weight: float = checked(0.2, real(ge=0))
    units_weight: float = checked(1.0, real(ge=0))
    proposal_weight: float = checked(0.0, real(ge=0))
    precision: str = checked("float32", one_of(PRECISIONS))

    _error = RecipeError
    _noun = "recipe field"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, has_effect, cure in (
            ("focal_alpha", self.focal_alpha, self.loss == "focal", "loss='focal'"),
            ("focal_gamma", self.focal_gamma, self.loss == "focal", "loss='focal'"),
            ("generated_weight", self.generated_weight, self.generated, "generated=N"),
        ):
            default = type(self).__dataclass_fields__[name].default
            if value != default and not has_effect:
                raise RecipeError(
                    f"{name} is {value}, but has no effect without {cure}. Add it, or leave {name} at {default}."
                )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, the inverse of `from_dict`."""
        fields = dataclasses.asdict(self)
        if self.augmentation is not None and self.augmentation.of != Augmentation.of:
            fields["augmentation"] = {"of": self.augmentation.of, **fields["augmentation"]}
        return fields

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe; unknown fields are refused. ``"of": KIND`` in an augmentation names its kind of images."""
        values = new_fields(data, RECIPE_FIELDS)
        augmentation = values.get("augmentation")
        if isinstance(augmentation, Mapping):
            values["augmentation"] = _augmentation(augmentation)
        return super().from_dict(values)


def _augmentation(data: Mapping[str, Any]) -> AnyAugmentation:
    values = dict(data)
    of = values.pop("of", Augmentation.of)
    if not isinstance(of, str) or of not in AUGMENTATIONS:
        raise RecipeError(f"Unknown kind of augmentation: {of!r}. Give {' or '.join(map(repr, AUGMENTATIONS))}.")
    return AUGMENTATIONS[of].from_dict(values)


RECIPES: Registry[str, Recipe] = Registry("htnet.training.recipe")


def register_recipe(recipe: Recipe) -> None:
    """Add a recipe under its name.

    Raises:
        RecipeError: the name is taken.
    """
    if RECIPES.has(recipe.name):
        raise RecipeError(f"A recipe named {recipe.name!r} is registered already. Choose another name.")
    RECIPES.add(recipe.name, recipe)


#: "default": ours; "mixed": few epochs, with generated images in every batch; "finetune": from weights of generated
#: data, interpolated with them (WiSE-FT); "focal": the default with the published loss of the dual-stream HTNet;
#: "reference": the published hyper-parameters of HTNet; "generated": for thousands of generated images.
for _recipe in (
    Recipe(),
    Recipe(name="finetune", lr=1e-3, epochs=60, wise_ft_alpha=0.7),
    Recipe(name="focal", loss="focal"),
    Recipe(name="mixed", lr=1e-3, epochs=13, generated=32),
    Recipe(name="generated", epochs=5, ema_decay=0.99),
    Recipe(
        name="reference",
        optimizer="adam",
        lr=5e-5,
        weight_decay=0.0,
        schedule="constant",
        epochs=800,
        batch_size=256,
        shuffle=False,
        ema_decay=0.0,
        standardize=False,
        augmentation=None,
    ),
):
    register_recipe(_recipe)


def get_recipe(recipe: str | Recipe | Path, **changes: Any) -> Recipe:
    """Return a recipe by name, from a JSON file, or unchanged.

    Args:
        recipe: a name in `RECIPES` ("default", "finetune", "focal", "mixed", "generated", "reference", ...), a path to
            a ``.json`` file with fields of `Recipe`, or a `Recipe`.
        **changes: fields to change (``epochs=5``).

    Returns:
        The recipe.

    Raises:
        RecipeError: unknown name or field, or an impossible value.
    """
    if isinstance(recipe, Recipe):
        chosen = recipe
    elif not isinstance(recipe, (str, PathLike)):
        raise RecipeError(
            f"The recipe is of type {type(recipe).__name__}; give the name of one, the path to a .json file, or a "
            "Recipe: get_recipe('default', epochs=5) changes single fields."
        )
    elif str(recipe) in RECIPES:
        chosen = RECIPES[str(recipe)]
    elif str(recipe).endswith(".json"):
        try:
            chosen = Recipe.from_dict({"name": as_path(recipe, "recipe").stem, **read_json(as_path(recipe, "recipe"))})
        except FileNotFoundError as error:
            raise RecipeError(f"No recipe file at {recipe}.") from error
        except (json.JSONDecodeError, TypeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{recipe} is not a JSON object of recipe fields: {cause(error)}") from error
    else:
        raise RecipeError(
            f"Unknown recipe: {str(recipe)!r}. {did_you_mean(recipe, RECIPES)} A path to a .json file works too."
        )
    refuse_unknown(changes, Recipe.field_names(), "recipe field", RecipeError)
    return dataclasses.replace(chosen, **changes)
