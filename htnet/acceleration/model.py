"""The model that `htnet.optimize` gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from htnet.acceleration.compiled import make_runner
from htnet.acceleration.linear import PackedLinear
from htnet.acceleration.precision import Precision
from htnet.core.errors import ModelError
from htnet.models import EmotionModel

_CURE = "Change the model it came from, and optimize that one again."


class OptimizedModel(EmotionModel):
    """A folded model, for inference only: same input, same scores, same labels.

    Made by `htnet.optimize`, or loaded by `htnet.load_pretrained`. Scores are float32 (float64 of a float64 model) and
    carry no gradient.

    Attributes:
        architecture: class of the model it came from.
        precision: name of the type its large matrices have: "float32", "bfloat16", "int8", ...
        compiled: how it is compiled, one of `COMPILE_MODES`; None if it is not.
        network: the folded network.
    """

    def __init__(self, source: EmotionModel, network: nn.Module, precision: Precision) -> None:
        """Take everything but the weights from ``source``."""
        super().__init__(source.config)
        self.standardize = nn.Identity()  # type: ignore[assignment] # it is in the network
        # Of the class in all other models.
        for name in ("input_kind", "extra_inputs", "same_operations"):
            setattr(self, name, getattr(source, name))
        self.name, self.labels, self.preprocess_spec = source.name, source.labels, source.preprocess_spec
        self.provenance, self.trained_people = source.provenance, source.trained_people
        self.temperature = source.temperature
        self.architecture = type(source).__name__
        self.offers_maps = "return_maps" in inspect.signature(source.forward).parameters
        self.precision = str(precision.weights).removeprefix("torch.")
        self.compiled: str | None = None
        self.network = network
        self._high = precision.high
        self._runner: Callable[..., Tensor] | None = None
        super().train(False)

    @torch.no_grad()
    def forward(
        self,
        x: Tensor,
        *extra: Tensor | None,
        return_maps: bool = False,
        return_units: bool = False,
        **inputs: Tensor | None,
    ) -> Any:
        """Class scores.

        Args:
            x: (B, channels, image_size, image_size), as for the model it came from.
            *extra: what else that model reads.
            return_maps: return that model's maps, which hold the scores too; never compiled.
            return_units: return the scores of its action units too; never compiled.
            **inputs: what else that model reads, by name.

        Returns:
            (B, num_classes) scores before the softmax, or the maps.

        Raises:
            ModelError: the shape or the type is another, or there are no maps.
        """
        x = self.check_image(x)
        if return_units:
            if not self.action_units:
                raise ModelError(f"{self.name} has no head for action units. Leave return_units out.")
            return self.network(x, *extra, return_units=True, **inputs)
        if not return_maps:
            return (self.network if self.compiled is None else self._run())(x, *extra, **inputs)
        if not self.offers_maps:
            raise ModelError(f"{self.name} offers no maps. Leave return_maps out.")
        return self.network(x, *extra, return_maps=True, **inputs)

    @property
    def input_dtype(self) -> torch.dtype:
        """The type that images are brought to."""
        return self._high

    def compile_as(self, mode: str | None) -> None:
        """Compile from the next call on, once for every new shape; None goes back to plain calls.

        Args:
            mode: one of `COMPILE_MODES`.
        """
        self.compiled, self._runner = mode, None
        for module in self.modules():
            if isinstance(module, PackedLinear):
                module.set_packing(mode is None)

    def _run(self) -> Callable[..., Tensor]:
        if self._runner is None:
            assert self.compiled is not None
            self._runner = make_runner(self.network, self.compiled)
        return self._runner

    def train(self, mode: bool = True) -> OptimizedModel:
        """Refuse training; evaluation mode is what it is in already.

        Raises:
            ModelError: ``mode`` is true.
        """
        if mode:
            self._refuse("be trained")
        return self

    def reset_classifier(self, num_classes: int, labels: tuple[str, ...] | None = None) -> None:
        """Refused: the last layer is folded.

        Raises:
            ModelError: always.
        """
        self._refuse("get another classifier")

    def forward_features(self, x: Tensor) -> Tensor:
        """Refused: what the last norm would give is folded into the head.

        Raises:
            ModelError: always.
        """
        self._refuse("give its features")

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Refused as `forward_features` is.

        Raises:
            ModelError: always.
        """
        self._refuse("give its features")

    @property
    def classifier(self) -> nn.Linear:
        """Refused: the last layer is folded.

        Raises:
            ModelError: always.
        """
        self._refuse("show its classifier")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OptimizedModel:
        for dtype in {t.dtype for t in (*self.parameters(), *self.buffers()) if t.is_floating_point()}:
            if (other := fn(torch.zeros(0, dtype=dtype)).dtype) != dtype:
                raise ModelError(
                    f"{self.name} is optimized and holds {dtype} where it must; it cannot be turned into {other}. Give "
                    "dtype= to htnet.optimize instead."
                )
        self._runner = None  # it is bound to where the weights were
        super()._apply(fn, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: what is compiled is compiled again."""
        return {**self.__dict__, "_runner": None}

    def _refuse(self, what: str) -> NoReturn:
        raise ModelError(f"{self.name} is optimized and cannot {what}: its layers are folded for inference. {_CURE}")
