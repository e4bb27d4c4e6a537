"""What every model of the zoo has in common."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, overload

import torch
from torch import Tensor, nn

from htnet.core.deprecated import renamed_attributes
from htnet.core.errors import ModelError
from htnet.core.identity import TrainedPeople
from htnet.core.provenance import Provenance
from htnet.core.types import EMOTIONS, PreprocessSpec

#: Types of whole numbers that hold 0..255.
_WHOLE = (torch.uint8, torch.int16, torch.int32, torch.int64)

#: What the image of each `EmotionModel.input_kind` holds: channels in order.
INPUT_KINDS = MappingProxyType({"flow": "strain, v, u", "face": "red, green, blue"})


@dataclass(frozen=True)
class ModelConfig:
    """Settings that every model has.

    Attributes:
        image_size: side of the square input, px.
        channels: channels of the input.
        num_classes: number of classes.
        dropout: probability of dropout.
        mean: per-channel mean that the model subtracts from its 0..255 input.
        std: per-channel deviation that the model then divides by.
    """

    image_size: int = 28
    channels: int = 3
    num_classes: int = 3
    dropout: float = 0.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("image_size", "channels", "num_classes"):
            require_positive(name, getattr(self, name))
        if isinstance(self.dropout, bool) or not 0.0 <= self.dropout < 1.0:
            raise ModelError(f"dropout is {self.dropout!r}; give a number in [0, 1).")
        for name in ("mean", "std"):
            # JSON has no tuples; normalising here makes a reloaded config equal the saved one.
            values = tuple(float(x) for x in getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != self.channels:
                raise ModelError(f"{name} has {len(values)} values for {self.channels} channels; give one each.")
        if any(not s > 0 for s in self.std):
            raise ModelError(f"std is {self.std}; give positive numbers.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


def require_positive(name: str, value: object) -> None:
    """Raise `ModelError` unless ``value`` is a whole number of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError(f"{name} is {value!r}; give a whole number of 1 or more.")


def check_action_units(units: Sequence[int]) -> tuple[int, ...]:
    """FACS numbers as a tuple.

    Raises:
        ModelError: one is no positive whole number, or given twice.
    """
    for unit in units:
        require_positive("action_units", unit)
    if len(set(units)) != len(units):
        raise ModelError(f"action_units is {tuple(units)}; give each unit once.")
    return tuple(units)


class Standardize(nn.Module):
    """Per-channel (x - mean) / std of the published 0..255 images, kept inside the model.

    The statistics live in the model so that whoever loads it can feed published images as they are.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Keep the statistics as buffers; they are saved in the config, not in the state."""
        super().__init__()
        self.identity = not any(mean) and all(s == 1.0 for s in std)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return x if self.identity else (x - self.mean) / self.std


@renamed_attributes
class EmotionModel(nn.Module):
    """Base class: an image in (of the flow between two frames, or of a face), class scores out.

    Attributes:
        config: the settings the model was built with.
        name: name in the registry it was built from.
        labels: class names in output order.
        preprocess_spec: how the input is made; None until it is known (set by `htnet.hub`).
        provenance: data and terms of use of loaded weights; None for a fresh model.
        trained_people: who they were trained on, see `htnet.core.identity.TrainedPeople`; None for a fresh model.
        temperature: what `probabilities` divides the scores by, so that they can be believed (see `htnet.calibration`);
            1 changes nothing. ``forward`` and training know nothing of it.
        input_kind: what the image is, one of `INPUT_KINDS`: "flow", the published flow image, or "face", the RGB
            picture of an aligned face.
        labels_by_number: class names by the number of classes, for models that are told none.
        extra_inputs: what ``forward`` reads besides the image, as keyword arguments of these names; any of
            `EXTRA_INPUTS`.
        same_operations: ``forward`` does the same operations whatever the values of its input, see `repeatable`.
    """

    config_class: ClassVar[type[ModelConfig]] = ModelConfig
    input_kind: ClassVar[str] = "flow"
    labels_by_number: ClassVar[Mapping[int, tuple[str, ...]]] = MappingProxyType({len(EMOTIONS): EMOTIONS})
    extra_inputs: ClassVar[tuple[str, ...]] = ()
    same_operations: ClassVar[bool] = False

    config: ModelConfig
    name: str
    labels: tuple[str, ...]
    preprocess_spec: PreprocessSpec | None
    provenance: Provenance | None
    trained_people: TrainedPeople | None
    temperature: float

    def __init__(self, config: ModelConfig) -> None:
        """Keep the settings."""
        super().__init__()
        self.config = config
        self.name = type(self).__name__.lower()
        self.labels = self.default_labels(config.num_classes)
        self.preprocess_spec = None
        self.provenance = None
        self.trained_people = None
        self.temperature = 1.0
        self._range_seen = False
        self.standardize = Standardize(config.mean, config.std)

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, C, H, W), 0..255, to the features that the head reads."""
        raise NotImplementedError

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Features to class scores (B, num_classes), or to the pooled vector before them."""
        raise NotImplementedError

    def reset_classifier(self, num_classes: int, labels: tuple[str, ...] | None = None) -> None:
        """Replace the last layer by a fresh one for another number of classes; its temperature is 1.

        Args:
            num_classes: new number of classes.
            labels: their names; those of `default_labels` unless given.
        """
        require_positive("num_classes", num_classes)
        if labels is not None and len(labels) != num_classes:
            raise ModelError(f"{len(labels)} labels for {num_classes} classes; give one name a class.")
        head = self.classifier
        fresh = nn.Linear(head.in_features, num_classes, device=head.weight.device, dtype=head.weight.dtype)
        self._set_classifier(fresh)
        self.temperature = 1.0
        self.config = dataclasses.replace(self.config, num_classes=num_classes)
        self.labels = tuple(labels) if labels is not None else self.default_labels(num_classes)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Class probabilities of scores that ``forward`` gave: softmax(scores / temperature), float32.

        Args:
            scores: (B, num_classes).
        """
        return (scores.float() / self.temperature).softmax(dim=1)

    @property
    def trained_on(self) -> str:
        """The data that the weights were trained on, in words; "" for a fresh model."""
        return self.provenance.data_in_words if self.provenance is not None else ""

    @property
    def trained_datasets(self) -> tuple[str, ...]:
        """The data sets among them."""
        return self.provenance.all_datasets if self.provenance is not None else ()

    @property
    def license(self) -> str:
        """Terms of use of the weights, in words; "" for a fresh model."""
        return self.provenance.license_in_words if self.provenance is not None else ""

    @property
    def action_units(self) -> tuple[int, ...]:
        """FACS numbers of the units that ``forward(..., return_units=True)`` scores; none in most models."""
        return getattr(self.config, "action_units", ())

    @property
    def repeatable(self) -> bool:
        """True if training may capture ``forward`` as a graph, or run it for many sets of weights at once.

        Then it does the same operations whatever its input, draws no random numbers and keeps no running statistics.
        """
        running = any(isinstance(m, nn.modules.batchnorm._NormBase) and m.track_running_stats for m in self.modules())
        return self.same_operations and not self.config.dropout and not running

    @classmethod
    def default_labels(cls, num_classes: int) -> tuple[str, ...]:
        """The class names that `labels_by_number` has for that many classes, else class_0, class_1, ..."""
        return cls.labels_by_number.get(num_classes, tuple(f"class_{i}" for i in range(num_classes)))

    @property
    def classifier(self) -> nn.Linear:
        """The last layer."""
        raise NotImplementedError

    def _set_classifier(self, layer: nn.Linear) -> None:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Class scores.

        Args:
            x: (B, channels, image_size, image_size), channels as `input_kind` says, range 0..255, of a whole-number or
                floating-point type.

        Returns:
            (B, num_classes) scores before the softmax.

        Raises:
            ModelError: the shape or the type is another.
        """
        return self.forward_head(self.forward_features(self.check_image(x)))

    def check_image(self, x: Tensor) -> Tensor:
        """The batch of images in the type that the model computes in.

        Whole numbers (uint8, int16, int32, int64) and floating-point numbers of every width are taken alike, as values
        0..255. A first batch in evaluation that lies within 0..1 is warned of: it was divided by 255.

        Raises:
            ModelError: ``x`` has another shape or type.
        """
        c = self.config
        if not x.is_floating_point() and x.dtype not in _WHOLE:
            raise ModelError(
                f"{self.name} got an image of {x.dtype}; give uint8, another whole-number type or a floating-point "
                "one, range 0..255."
            )
        if x.ndim != 4 or tuple(x.shape[1:]) != (c.channels, c.image_size, c.image_size):
            order = INPUT_KINDS[self.input_kind]
            raise ModelError(
                f"{self.name} got input of shape {tuple(x.shape)}; give "
                f"(batch, {c.channels}, {c.image_size}, {c.image_size}), order {order}, range 0..255."
            )
        if not (self._range_seen or self.training or torch.compiler.is_compiling()):
            self._range_seen = True
            self._look_at_range(x)
        return x.to(self.input_dtype)

    @property
    def input_dtype(self) -> torch.dtype:
        """The type that images are brought to."""
        return self.classifier.weight.dtype

    def _look_at_range(self, x: Tensor) -> None:
        """Warn of images that were divided by 255: no flow image and no face has such values."""
        if not (x.is_floating_point() and x.numel()):
            return
        try:
            scaled = 0 < float(x.max()) <= 1 and bool((x != x.round()).any())
        except RuntimeError:  # inside torch.vmap values cannot be looked at
            return
        if scaled:
            warnings.warn(
                f"{self.name} got images with values 0..1, but reads 0..255. Multiply them by 255, or give them as "
                "uint8.",
                stacklevel=5,
            )


class UnitModel(EmotionModel):
    """A model that has, with ``action_units`` in its config, a second head for them."""

    unit_head: nn.Linear | None

    def unit_scores(self, features: Tensor) -> Tensor:
        """What `forward_features` gave to the scores of the units, (B, units, 2); only where there is a `unit_head`."""
        raise NotImplementedError

    @overload
    def forward(self, x: Tensor, *, return_units: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, *, return_units: Literal[True]) -> tuple[Tensor, Tensor]: ...

    def forward(self, x: Tensor, *, return_units: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Class scores.

        Args:
            x: (B, channels, image_size, image_size), channels as `input_kind` says, range 0..255, of a whole-number or
                floating-point type.
            return_units: return the scores of the action units too.

        Returns:
            (B, num_classes) scores before the softmax; with ``return_units`` also (B, units, 2) scores before the
            sigmoid, in the order of ``config.action_units``, for the image's left (the subject's right) and right
            side.

        Raises:
            ModelError: the shape or the type is another, or there is no head for action units.
        """
        if not return_units:
            return super().forward(x)
        if self.unit_head is None:
            raise ModelError(
                f"{self.name} has no head for action units. Load weights that have one, such as 'synthetic', or build "
                "the model with action_units=(1, 2, 4, ...)."
            )
        features = self.forward_features(self.check_image(x))
        return self.forward_head(features), self.unit_scores(features)
