"""Training recipes: small frozen presets, changed by name or from a JSON file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from htnet.core.deprecated import RECIPE_FIELDS, new_fields, renamed_fields
from htnet.core.errors import RecipeError, cause, did_you_mean, refuse_unknown
from htnet.core.registry import Registry

OPTIMIZERS = ("adamw", "adam")
SCHEDULES = ("constant", "onecycle")
LOSSES = ("cross_entropy", "focal")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class AnyAugmentation:
    """Random changes of an image of some kind; its fields are their strengths.

    Attributes:
        of: kind of the images, see `htnet.models.EmotionModel.input_kind`.
    """

    of: ClassVar[str]


AUGMENTATIONS: Registry[str, type[AnyAugmentation]] = Registry("htnet.training.recipe")


def register_augmentation(augmentation: type[AnyAugmentation]) -> None:
    """Let recipes hold an augmentation of another kind of images, in files as ``{"of": KIND, ...}``."""
    AUGMENTATIONS.add(augmentation.of, augmentation)


@dataclass(frozen=True)
class Augmentation(AnyAugmentation):
    """Random changes of a flow image that keep its class; strengths in units named below.

    Attributes:
        mirror: probability of mirroring the face left to right, with u negated.
        shift: largest shift of the face under its crops in x and in y, px of the flow image.
        gain: each channel is multiplied by 1 ± gain about its mean, uniformly.
        offset: each channel is moved by ± offset, uniformly, in standard deviations.
        noise: standard deviation of Gaussian noise, in standard deviations of the channel.
    """

    of: ClassVar[str] = "flow"
    mirror: float = 0.5
    shift: int = 2
    gain: float = 0.2
    offset: float = 0.2
    noise: float = 0.1

    def __post_init__(self) -> None:
        """Check every field."""
        if not 0 <= self.mirror <= 1:
            raise RecipeError(f"mirror is {self.mirror!r}; give a probability in [0, 1].")
        if not isinstance(self.shift, int) or self.shift < 0:
            raise RecipeError(f"shift is {self.shift!r}; give a whole number of px, 0 or more.")
        for name in ("gain", "offset", "noise"):
            if getattr(self, name) < 0:
                raise RecipeError(f"{name} is {getattr(self, name)!r}; give 0 or more.")


register_augmentation(Augmentation)


@renamed_fields(RECIPE_FIELDS)
@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        name: for reports.
        optimizer: "adamw" or "adam".
        lr: learning rate; the peak for "onecycle".
        weight_decay: weight decay (decoupled for "adamw").
        schedule: "constant", or "onecycle" (PyTorch's OneCycleLR over all steps).
        epochs: passes over the training set.
        batch_size: samples a step; the last batch of an epoch may be smaller.
        shuffle: new order every epoch.
        ema_decay: decay of the exponential moving average (EMA) of the weights, one update a step (step t uses at
            most (1 + t) / (10 + t)); the EMA weights are the result. 0 for the plain weights.
        wise_ft_alpha: the result is alpha x fine-tuned + (1 - alpha) x start weights (WiSE-FT; Wortsman et al., "Robust
            fine-tuning of zero-shot models", CVPR 2022). 1 is the fine-tuned model alone.
        standardize: put the training set's per-channel mean and deviation into the model.
        augmentation: random changes: `Augmentation` of flow images, another of other images, or None.
        loss: "cross_entropy" or "focal", see `htnet.training.focal_loss`.
        focal_alpha: factor of the focal loss.
        focal_gamma: how little the focal loss counts samples that the model gets right already.
        generated: generated flow images (`htnet.synthesis`) that join every batch; 0 for none. Models with a head
            of action units learn them from these. For sets of flow images with the emotions of `htnet.types.EMOTIONS`.
        generated_weight: weight of their loss beside the real samples'.
        units_weight: weight of the action units' loss (binary cross-entropy, mean over units and sides) beside the
            emotions', for models and sets that have units.
        precision: "float32", or "bfloat16" for PyTorch's autocast: products in bfloat16, weights, sums that need it
            and the optimizer in float32.
    """

    name: str = "default"
    optimizer: str = "adamw"
    lr: float = 5e-4
    weight_decay: float = 0.05
    schedule: str = "onecycle"
    epochs: int = 30
    batch_size: int = 64
    shuffle: bool = True
    ema_decay: float = 0.98
    wise_ft_alpha: float = 1.0
    standardize: bool = True
    augmentation: AnyAugmentation | None = dataclasses.field(default_factory=Augmentation)
    loss: str = "cross_entropy"
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    generated: int = 0
    generated_weight: float = 0.2
    units_weight: float = 1.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Check every field."""
        for name, value, allowed in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("loss", self.loss, LOSSES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in allowed:
                raise RecipeError(f"{name} is {value!r}. {did_you_mean(str(value), allowed)}")
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise RecipeError(f"{name} is {value!r}; give a whole number of 1 or more.")
        if isinstance(self.generated, bool) or not isinstance(self.generated, int) or self.generated < 0:
            raise RecipeError(f"generated is {self.generated!r}; give a whole number of images of 0 or more.")
        if not self.generated_weight >= 0:
            raise RecipeError(f"generated_weight is {self.generated_weight!r}; give 0 or more.")
        if not self.lr > 0:
            raise RecipeError(f"lr is {self.lr!r}; give a positive number.")
        if not 0 <= self.ema_decay < 1:
            raise RecipeError(f"ema_decay is {self.ema_decay!r}; give a decay in [0, 1).")
        if not 0 < self.wise_ft_alpha <= 1:
            raise RecipeError(f"wise_ft_alpha is {self.wise_ft_alpha!r}; give a share in (0, 1].")
        if self.weight_decay < 0:
            raise RecipeError(f"weight_decay is {self.weight_decay!r}; give 0 or more.")
        if not self.units_weight >= 0:
            raise RecipeError(f"units_weight is {self.units_weight!r}; give 0 or more.")
        if not self.focal_alpha > 0:
            raise RecipeError(f"focal_alpha is {self.focal_alpha!r}; give a positive number.")
        if not self.focal_gamma >= 0:
            raise RecipeError(f"focal_gamma is {self.focal_gamma!r}; give 0 or more.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, the inverse of `from_dict`."""
        fields = dataclasses.asdict(self)
        if self.augmentation is not None and self.augmentation.of != Augmentation.of:
            fields["augmentation"] = {"of": self.augmentation.of, **fields["augmentation"]}
        return fields

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe; unknown fields are refused. An augmentation with ``"of": KIND`` is one of other images."""
        values = new_fields(data, RECIPE_FIELDS)
        refuse_unknown(values, [f.name for f in dataclasses.fields(cls)], "recipe field", RecipeError)
        augmentation = values.get("augmentation")
        if isinstance(augmentation, Mapping):
            values["augmentation"] = _augmentation(augmentation)
        return cls(**values)


def _augmentation(data: Mapping[str, Any]) -> AnyAugmentation:
    values = dict(data)
    of = values.pop("of", Augmentation.of)
    if not isinstance(of, str) or of not in AUGMENTATIONS:
        raise RecipeError(f"The augmentation is of {of!r}; give {' or '.join(map(repr, AUGMENTATIONS))}.")
    kind = AUGMENTATIONS[of]
    refuse_unknown(values, [f.name for f in dataclasses.fields(kind)], "augmentation field", RecipeError)
    return kind(**values)


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
    """A recipe by name, from a JSON file, or as it is.

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
    elif str(recipe) in RECIPES:
        chosen = RECIPES[str(recipe)]
    elif str(recipe).endswith(".json"):
        try:
            chosen = Recipe.from_dict({"name": Path(recipe).stem, **json.loads(Path(recipe).read_text("utf-8"))})
        except FileNotFoundError as error:
            raise RecipeError(f"No recipe file at {recipe}.") from error
        except (json.JSONDecodeError, TypeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{recipe} is not a JSON object of recipe fields: {cause(error)}") from error
    else:
        raise RecipeError(
            f"Unknown recipe: {str(recipe)!r}. {did_you_mean(str(recipe), RECIPES)} A path to a .json file works too."
        )
    refuse_unknown(changes, [f.name for f in dataclasses.fields(Recipe)], "recipe field", RecipeError)
    return dataclasses.replace(chosen, **changes)
