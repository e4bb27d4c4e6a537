"""Base classes of all models."""

from __future__ import annotations

import dataclasses
import inspect
import operator
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from htnet.core.deprecated import renamed_attributes
from htnet.core.errors import ModelError, refuse_unknown
from htnet.core.fields import Checked, checked, each, one_of, real, whole
from htnet.core.identity import TrainedPeople
from htnet.core.parallel import refuse_after_fork
from htnet.core.provenance import Provenance, with_provenance
from htnet.core.rng import OwnRng
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.models.input_range import look_at_range, refuse_bad_output, refuse_not_finite, require_tensor
from htnet.models.intermediates import Enough, stage_outputs
from htnet.models.labels import checked_labels
from htnet.models.sharing import SharedModel

#: Hooks that compute a weight before every call.
_WEIGHT_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)
#: Types of integers that hold 0..255.
_WHOLE = (torch.uint8, torch.int16, torch.int32, torch.int64)

#: What the image of each `EmotionModel.input_kind` contains: channels in order.
INPUT_KINDS = MappingProxyType({"flow": "strain, v, u", "face": "red, green, blue"})


@dataclass(frozen=True)
class ModelConfig(Checked):
    """Settings common to all models.

    Attributes:
        image_size: side of the square input, px.
        channels: channels of the input.
        num_classes: number of classes; 0 for a model without a classifier, whose output is the pooled features.
        dropout: probability of dropout.
        mean: per-channel mean that the model subtracts from its 0..255 input.
        std: per-channel standard deviation that the model then divides by.
    """

    image_size: int = checked(28, whole())
    channels: int = checked(3, whole())
    num_classes: int = checked(3, whole(0))
    dropout: float = checked(0.0, real(ge=0, lt=1))
    mean: tuple[float, ...] = checked((0.0, 0.0, 0.0), each(real()))
    std: tuple[float, ...] = checked((1.0, 1.0, 1.0), each(real(gt=0)))

    _error = ModelError

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            if hasattr(values := getattr(self, name), "tolist"):  # an array or a tensor
                object.__setattr__(self, name, values.tolist())
        super().__post_init__()
        for name in ("mean", "std"):
            # JSON has no tuples; normalizing here makes a reloaded config equal the saved one.
            values = tuple(map(float, getattr(self, name)))
            object.__setattr__(self, name, values)
            if len(values) != self.channels:
                raise ModelError(f"{name} has {len(values)} values for {self.channels} channels; give one per channel.")

    def require_multiple(self, whole: str, part: str) -> None:
        """Raise `ModelError` unless the field ``whole`` is a multiple of the field ``part``."""
        size, by = getattr(self, whole), getattr(self, part)
        if size % by:
            raise ModelError(f"{whole} {size} is not a multiple of {part} {by}; give a multiple.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


class NoClassifier(nn.Identity):
    """Identity layer in place of the classifier of a model without classes.

    Attributes:
        in_features: width of the pooled features.
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.in_features = in_features


def make_classifier(in_features: int, num_classes: int) -> nn.Linear:
    """The classifier layer of a model; an identity for 0 classes."""
    if num_classes:
        return nn.Linear(in_features, num_classes)
    return NoClassifier(in_features)  # type: ignore[return-value] # has every attribute that models use of the layer


class Standardize(nn.Module):
    """Per-channel (x - mean) / std of the published 0..255 images.

    The statistics are stored in the model, so published images are its input without further scaling.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.identity = not any(mean) and all(s == 1.0 for s in std)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return x if self.identity else (x - self.mean) / self.std


Self = TypeVar("Self", bound="EmotionModel")


@renamed_attributes
class EmotionModel(SharedModel, nn.Module):
    """Base class of models: class scores from an image, either a flow image or a face.

    Attributes:
        config: the settings the model was built with.
        name: name in the registry it was built from.
        labels: class names in output order.
        preprocess_spec: how the input is made; None if unknown (set by `htnet.hub`).
        provenance: data and terms of use of loaded weights; None for a fresh model.
        trained_people: record of the training subjects (`htnet.core.identity.TrainedPeople`); None for a fresh model.
        temperature: divisor of the scores in `probabilities` (temperature scaling, see `htnet.calibration`);
            1 changes nothing. ``forward`` and training do not use it.
        classifier_replaced: whether the last layer is another than that of the training in ``provenance``.
        input_kind: kind of the input image, one of `INPUT_KINDS`: "flow", the published flow image, or "face", the RGB
            picture of an aligned face.
        labels_by_number: default class names by the number of classes.
        extra_inputs: names of the keyword arguments that ``forward`` reads in addition to the image; any of
            `EXTRA_INPUTS`.
        classifier_name: name of the last layer among the model's modules.
        same_operations: whether ``forward`` runs the same operations for all input values, see `cuda_graph_safe`.
    """

    config_class: ClassVar[type[ModelConfig]] = ModelConfig
    input_kind: ClassVar[str] = "flow"
    labels_by_number: ClassVar[Mapping[int, tuple[str, ...]]] = MappingProxyType({len(EMOTIONS): EMOTIONS})
    extra_inputs: ClassVar[tuple[str, ...]] = ()
    classifier_name: ClassVar[str] = "head"
    same_operations: ClassVar[bool] = False

    config: ModelConfig
    name: str
    preprocess_spec: PreprocessSpec | None
    provenance: Provenance | None
    trained_people: TrainedPeople | None
    temperature: float
    classifier_replaced: bool

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if not isinstance(config, ModelConfig):
            raise ModelError(
                f"{type(self).__name__} is built from a {self.config_class.__name__}, not from an object of type "
                f"{type(config).__name__}. htnet.create_model takes a name and settings. A class that also inherits "
                "the Hub's mixin must list it last; the model's own methods do the same."
            )
        self.config = config
        self.name = type(self).__name__.lower()
        self.labels = self.default_labels(config.num_classes)
        self.preprocess_spec = None
        self.provenance = None
        self.trained_people = None
        self.temperature = 1.0
        self.classifier_replaced = False
        self._range_seen = False
        self._saved = set()
        self.standardize = Standardize(config.mean, config.std)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"_saved": set(), "classifier_replaced": False, **with_provenance(state)})

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the features that the head reads from an image (B, C, H, W), 0..255."""
        raise NotImplementedError

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Compute class scores (B, num_classes), or the pooled vector before them, from features."""
        raise NotImplementedError

    def reset_classifier(self, num_classes: int, labels: Sequence[str] | None = None) -> None:
        """Replace the last layer by a fresh one for another number of classes, and set the temperature to 1.

        Args:
            num_classes: new number of classes; 0 removes the layer, so ``forward`` returns the pooled features.
            labels: class names; `default_labels` by default.

        Raises:
            ModelError: the labels are not one name per class, each once.
        """
        config = dataclasses.replace(self.config, num_classes=num_classes)
        names = self.default_labels(num_classes) if labels is None else checked_labels(labels, num_classes)
        own = next(self.parameters())
        self._set_classifier(self.fresh_classifier(num_classes).to(own.device, own.dtype))
        self.classifier_replaced = True
        self.temperature = 1.0
        self.config = config
        self.labels = names

    def fresh_classifier(self, num_classes: int) -> nn.Module:
        """A new last layer: `make_classifier`, unless the model has one of another kind."""
        return make_classifier(self.num_features, num_classes)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Class probabilities from the scores of ``forward``: softmax(scores / temperature), float32.

        Args:
            scores: (B, num_classes).

        Raises:
            ModelError: the model has no classifier, the scores are not a tensor of that shape, or are NaN or infinite.
        """
        if not self.config.num_classes:
            raise ModelError(f"{self.name} has no classifier. Give it one: model.reset_classifier(number of classes).")
        require_tensor(self.name, "scores", scores, None)
        if scores.ndim != 2 or scores.shape[1] != self.config.num_classes or scores.dtype == torch.bool:
            raise ModelError(
                f"{self.name} got scores of shape {tuple(scores.shape)}, type {scores.dtype}; give what its call "
                f"returns, (batch, {self.config.num_classes})."
            )
        found = (scores.float() / self.temperature).softmax(dim=1)
        refuse_bad_output(self.name, "probabilities", found, scores.dtype)
        return found

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in output order, one per class; a list that is set is checked."""
        return cast("tuple[str, ...]", self.__dict__["labels"])

    @labels.setter
    def labels(self, names: Sequence[str]) -> None:
        self.__dict__["labels"] = checked_labels(names, self.config.num_classes)

    @property
    def trained_on(self) -> str:
        """Description of the training data of the weights; "" for a fresh model."""
        return self.provenance.data_in_words if self.provenance is not None else ""

    @property
    def trained_datasets(self) -> tuple[str, ...]:
        """Names of the data sets that the weights were trained on."""
        return self.provenance.all_datasets if self.provenance is not None else ()

    @property
    def license(self) -> str:
        """Text of the terms of use of the weights; "" for a fresh model."""
        return self.provenance.license_in_words if self.provenance is not None else ""

    @property
    def license_expression(self) -> str:
        """The terms of use of the weights as an SPDX license expression; "" for a fresh model."""
        return self.provenance.license_expression if self.provenance is not None else ""

    @property
    def action_units(self) -> tuple[int, ...]:
        """FACS numbers of the units scored by ``forward(..., return_units=True)``; empty for most models."""
        return getattr(self.config, "action_units", ())

    @property
    def cuda_graph_safe(self) -> bool:
        """Whether ``forward`` may be captured as a CUDA graph or run with vmap for many sets of weights.

        Its operations must not depend on input values, draw random numbers or keep running statistics.
        """
        running = any(isinstance(m, nn.modules.batchnorm._NormBase) and m.track_running_stats for m in self.modules())
        return self.same_operations and not self.config.dropout and not running

    @classmethod
    def default_labels(cls, num_classes: int) -> tuple[str, ...]:
        """Default class names: those of `labels_by_number`, otherwise class_0, class_1, ..."""
        return cls.labels_by_number.get(num_classes, tuple(f"class_{i}" for i in range(num_classes)))

    @property
    def num_features(self) -> int:
        """Width of the pooled features returned by ``forward_head(..., pre_logits=True)``."""
        return self.classifier.in_features

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.classifier

    @property
    def classifier(self) -> nn.Linear:
        """The last layer; `NoClassifier` in a model without classes."""
        return cast("nn.Linear", self.get_submodule(self.classifier_name))

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The modules whose outputs `forward_intermediates` returns, in order.

        Raises:
            ModelError: the class defines no stages.
        """
        raise ModelError(
            f"{type(self).__name__} defines no stages, but forward_intermediates returns their outputs. Define a "
            "property stages that returns a tuple of the model's modules."
        )

    def stage_map(self, output: Tensor) -> Tensor:
        """Return a stage's output as a map (B, C, H, W) if it has positions in the image."""
        return output

    def forward_intermediates(
        self,
        x: Tensor,
        *extra: Tensor | None,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
        **inputs: Tensor | None,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Return intermediate features of the network; the keyword arguments are those of timm.

        Args:
            x: as for ``forward``.
            *extra: `extra_inputs`, as for ``forward``.
            indices: which of `stages`: an integer n for the last n stages, or a list of indexes; all by default.
            norm: True is refused: the norm after the last stage does not fit the widths of the others.
            stop_early: compute nothing after the last requested stage; requires ``intermediates_only``.
            output_fmt: "NCHW", or "NLC" for maps as (B, H * W, C), row by row.
            intermediates_only: do not return the last features.
            **inputs: `extra_inputs` by name.

        Returns:
            The output of `forward_features`, and the stages' outputs: maps (B, C, H, W) if they have positions in the
            image, otherwise (B, N, C).

        Raises:
            ModelError: a stage does not exist, an option is not supported, or the input is invalid for ``forward``.
        """
        one_of(("NCHW", "NLC")).check("output_fmt", output_fmt, ModelError)
        if norm:
            raise ModelError(f"{self.name} has no norm that fits the outputs of all stages. Leave norm=True out.")
        if stop_early and not intermediates_only:
            raise ModelError("stop_early=True leaves no last features. Give intermediates_only=True too.")
        count = len(self.stages)
        chosen: Sequence[int] | int = range(count) if indices is None else _whole(indices)
        if isinstance(chosen, int):
            chosen = range(count - chosen, count) if 0 < chosen <= count else [chosen]
        if wrong := [i for i in chosen if not -count <= i < count]:
            raise ModelError(f"{self.name} has {count} stages, got index {wrong[0]}; give indexes below {count}.")
        wanted = [i % count for i in chosen]
        features = None
        with stage_outputs(self.stages, wanted if stop_early else ()) as seen, suppress(Enough):
            features = self.forward_features(self.check_image(x), *extra, **inputs)
        maps = [self.stage_map(seen[i]) for i in wanted]
        if output_fmt == "NLC":
            maps = [m.flatten(2).mT if m.ndim == 4 else m for m in maps]
        return maps if features is None or intermediates_only else (features, maps)

    def _set_classifier(self, layer: nn.Module) -> None:
        parent, _, name = self.classifier_name.rpartition(".")
        setattr(self.get_submodule(parent), name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores.

        Args:
            x: (B, channels, image_size, image_size), channels in the order of `input_kind`, range 0..255, of an integer
                or floating-point type.

        Returns:
            (B, num_classes) scores before the softmax.

        Raises:
            ModelError: the shape or the type is wrong.
        """
        return self.forward_head(self.forward_features(self.check_image(x)))

    def check_image(self, x: Tensor) -> Tensor:
        """Check a batch of images and convert it to the type that the model computes in.

        Integers (uint8, int16, int32, int64) and floating-point numbers of any precision are accepted as values 0..255.
        NaN and infinity are refused: on the CPU in every call, except while it is compiled, traced, exported or
        vmapped; on a GPU only in the first batch in evaluation mode, because the check has to wait for the GPU. On
        any device, that first batch causes a warning if it seems to be standardized (negative values) or divided by
        255 (all values within 0..1).

        Raises:
            ModelError: ``x`` has a wrong shape or type, impossible values, or is on another device than the weights.
            RunError: this process was forked from one that had computed, and PyTorch would hang.
        """
        c = self.config
        if not (torch.compiler.is_compiling() or torch.jit.is_tracing()):
            refuse_after_fork()
        require_tensor(self.name, "images", x, self._device(), real=False)
        if not x.is_floating_point() and x.dtype not in _WHOLE:
            raise ModelError(
                f"{self.name} got an image of {x.dtype}; give uint8, another integer type or a float, 0..255."
            )
        if x.ndim != 4 or tuple(x.shape[1:]) != (c.channels, c.image_size, c.image_size):
            order = INPUT_KINDS[self.input_kind]
            raise ModelError(
                f"{self.name} got input of shape {tuple(x.shape)}; give "
                f"(batch, {c.channels}, {c.image_size}, {c.image_size}), order {order}, range 0..255."
            )
        if not (self._range_seen or self.training or torch.compiler.is_compiling() or torch.jit.is_tracing()):
            look_at_range(self.name, x)
            self._range_seen = True
        else:
            refuse_not_finite(self.name, "images", x, "values 0..255")
        return x.to(self.input_dtype)

    @property
    def input_dtype(self) -> torch.dtype:
        """The type that images are converted to."""
        return self._last_weight().dtype

    def _device(self) -> torch.device | None:
        """Where the model computes; None if it has no parameters of its own."""
        return self._last_weight().device

    def _last_weight(self) -> Tensor:
        return self.classifier.weight if self.config.num_classes else next(self.parameters())


def _whole(indices: Any) -> int | list[int]:
    """An index, or a list of indexes that is read once.

    Raises:
        ModelError: they are not whole numbers.
    """
    try:
        if isinstance(indices, bool):
            raise TypeError
        return operator.index(indices)
    except TypeError:
        pass
    try:
        return [operator.index(index) for index in indices]
    except TypeError:
        raise ModelError(f"indices is {indices!r}; give the number of stages, or a list of indexes.") from None


def model_of(given: object) -> EmotionModel | None:
    """Return the model, unwrapped if `torch.compile` has wrapped it; None for anything else."""
    inside = getattr(given, "_orig_mod", given)
    return inside if isinstance(inside, EmotionModel) else None


def refuse_unusable_weights(model: nn.Module, purpose: str) -> None:
    """Refuse weights that another library has replaced by its own tensors, as torchao does, and NaN or infinity.

    Args:
        model: the model.
        purpose: name of the function that refuses the model, for the message.

    Raises:
        ModelError: the model has such weights, weights that a hook computes, or weights that are NaN, infinite or on
            the device meta.
    """
    kinds = {type(value).__name__ for value in model.parameters() if type(value.data) is not Tensor}
    if kinds:
        raise ModelError(
            f"{purpose} needs plain weights, but this model has {' and '.join(sorted(kinds))} instead. Give the model "
            "as it was before quantize_, and quantize it again after loading."
        )
    if hooked := weights_of_hooks(model):
        raise ModelError(
            f"{purpose} needs plain weights, but a hook computes {', '.join(hooked[:4])} at every call. Put them "
            "together first: torch.nn.utils.remove_weight_norm(layer), remove_spectral_norm(layer), or "
            "torch.nn.utils.prune.remove(layer, 'weight')."
        )
    refuse_weights_without_values(model, purpose)
    if bad := not_finite(model.state_dict()):
        raise ModelError(
            f"{purpose} needs finite weights, but this model has NaN or infinity in {', '.join(bad[:4])}: its training "
            "diverged, or a file is damaged. Use earlier weights."
        )


def refuse_weights_without_values(model: nn.Module, purpose: str) -> None:
    """Refuse weights on the device meta, which have shapes but no values, and layers that `torch.ao` has quantized.

    Args:
        model: the model.
        purpose: name of what refuses the model, for the message.

    Raises:
        ModelError: the model has such weights or layers.
    """
    packed = [name for name, layer in model.named_modules() if inspect.ismethod(getattr(layer, "weight", None))]
    if packed:
        raise ModelError(
            f"{purpose} needs weights that are tensors, but those of {', '.join(packed[:4])} were quantized by "
            "torch.ao. Give the model as it was before, or htnet.optimize(model, dtype=torch.int8)."
        )
    if any(value.is_meta for value in (*model.parameters(), *model.buffers())):
        raise ModelError(
            f"{purpose} needs weights with values, but this model has weights on the device meta. Load weights, or "
            "give a new model."
        )


def weights_of_hooks(model: nn.Module) -> list[str]:
    """Names of the weights that hooks of PyTorch compute before every call: weight and spectral normalization in their
    older form, and pruning.
    """
    return [
        f"{name}.{weight}" if name else weight
        for name, module in model.named_modules()
        for hook in module._forward_pre_hooks.values()
        if isinstance(hook, _WEIGHT_HOOKS)
        for weight in [getattr(hook, "name", "") or getattr(hook, "_tensor_name", "weight")]
    ]


def parametrized_weights(model: nn.Module) -> list[str]:
    """Names of the weights that `torch.nn.utils.parametrize` computes from others."""
    return [
        f"{name}.{weight}" if name else weight
        for name, module in model.named_modules()
        if is_parametrized(module)
        for weight in cast("nn.ModuleDict", module.parametrizations)
    ]


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold NaN or infinity."""
    return [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]


def with_settings(model: Self, settings: Mapping[str, Any]) -> Self:
    """Return a model with other settings and the same weights; the model itself if no setting differs.

    Args:
        model: the model. ``num_classes`` gives it a fresh classifier.
        settings: fields of its config.

    Raises:
        ModelError: a field is unknown or impossible, or the weights do not fit it.
    """
    refuse_unknown(settings, [f.name for f in dataclasses.fields(model.config)], f"setting of {model.name}", ModelError)
    classes = settings.get("num_classes", model.config.num_classes)
    rest = {name: value for name, value in settings.items() if name != "num_classes"}
    misfit = ModelError(
        f"The weights of {model.name} do not fit {', '.join(f'{k}={v!r}' for k, v in rest.items())}. Leave these "
        f"settings out, or build a fresh model without pretrained weights."
    )
    if rest.get("channels", model.config.channels) != model.config.channels:
        raise misfit
    config = dataclasses.replace(model.config, **rest)
    if config != model.config:
        with OwnRng():
            other = type(model)(config).to(next(model.parameters()))
        shapes, own = ({k: v.shape for k, v in m.state_dict().items()} for m in (other, model))
        if shapes != own:
            raise misfit
        other.load_state_dict(model.state_dict())
        copied = ("name", "labels", "preprocess_spec", "provenance", "trained_people", "temperature")
        for name in (*copied, "classifier_replaced"):
            setattr(other, name, getattr(model, name))
        model = other
    if classes != model.config.num_classes:
        model.reset_classifier(classes)
    return model
