"""`htnet.optimize` and the model that it returns."""

from __future__ import annotations

import copy
import inspect
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NoReturn, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from htnet.acceleration.compiled import COMPILE_MODES, make_runner
from htnet.acceleration.engines import EngineRunner, array_of, check_backend, fastest, make_engine
from htnet.acceleration.fusion import fuse
from htnet.acceleration.layers import Precision
from htnet.acceleration.packing import is_packed, pack, plain, unpack
from htnet.acceleration.watch import Watch, weights_of
from htnet.core.errors import ModelError, cause, did_you_mean, refuse_type
from htnet.core.global_state import usual_settings
from htnet.core.parallel import refuse_after_fork
from htnet.models import EmotionModel
from htnet.models.base import model_of, parametrized_weights, refuse_unusable_weights

_CURE = "Change the model it came from, and optimize that one again."


class _FusedError(ModelError, AttributeError):
    """An attribute that fusion removed; to `hasattr` and `inspect.getmembers` it does not exist."""


class OptimizedModel(EmotionModel):
    """A fused model, for inference only: same input, same scores, same labels.

    Made by `htnet.optimize`, or loaded by `htnet.load_pretrained`. Scores are float32 (float64 of a float64 model),
    under `torch.autocast` too, and carry no gradient.

    Its parameters are those of the fused network, from the start. On x86 processors the large ones of float32 and
    bfloat16 are packed: opaque tensors of the same shape, which few operations of PyTorch take. `state_dict` has plain
    copies of them, and `load_state_dict` takes those.

    Attributes:
        architecture: class of the model it came from.
        precision: name of the type its large matrices have: "float32", "bfloat16", "int8", ...
        compiled: how it is compiled, one of `COMPILE_MODES`; None if it is not.
        backend: what runs it, one of `htnet.acceleration.BACKENDS` but "auto". Maps are always computed by PyTorch.
        backend_ms: milliseconds of one image by backend, where it was chosen by measurement; else empty.
        network: the fused network.
    """

    def __init__(self, source: EmotionModel, network: nn.Module, precision: Precision) -> None:
        super().__init__(source.config)
        self.standardize = nn.Identity()  # type: ignore[assignment] # it is in the network
        # In all other models, these are attributes of the class.
        for name in ("input_kind", "extra_inputs", "same_operations"):
            setattr(self, name, getattr(source, name))
        self.name, self.labels, self.preprocess_spec = source.name, source.labels, source.preprocess_spec
        self.classifier_replaced = source.classifier_replaced
        self.provenance, self.trained_people = source.provenance, source.trained_people
        self.temperature = source.temperature
        self._num_features = source.num_features
        self.architecture = type(source).__name__
        self.offers_maps = "return_maps" in inspect.signature(source.forward).parameters
        self.precision = str(precision.weights).removeprefix("torch.")
        self.compiled: str | None = None
        self.backend = "torch"
        self.backend_ms: dict[str, float] = {}
        self.network = network
        self._high = precision.high
        self._runner: Callable[..., Tensor] | None = None
        self._engine: EngineRunner | None = None
        self._made_of: Watch | None = None
        self._building = threading.Lock()
        super().train(False)

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
            x: (B, channels, image_size, image_size), as for the original model.
            *extra: extra inputs of that model.
            return_maps: return that model's maps, which contain the scores too; never compiled.
            return_units: return the scores of its action units too; never compiled.
            **inputs: extra inputs of that model, by name.

        Returns:
            (B, num_classes) scores before the softmax, or the maps.

        Raises:
            ModelError: shape or type do not fit, or there are no maps.
        """
        self._refuse_recording()
        x = self.check_image(x)
        given = self._by_name(extra, inputs)
        if return_units and not self.action_units:
            raise ModelError(f"{self.name} has no head for action units. Leave return_units out.")
        if return_maps and not return_units and not self.offers_maps:
            raise ModelError(f"{self.name} offers no maps. Leave return_maps out.")
        kind = x.device.type
        mixed = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        with torch.no_grad(), torch.autocast(kind, enabled=False) if mixed else nullcontext():
            # Engines end on an empty batch, some with the whole process.
            if self.backend != "torch" and not return_maps and x.shape[0]:
                array_of(self.name, self.backend, x)  # refused before an engine is made
                found = self._in_engine()(x, given)
                return (found["scores"], found["units"]) if return_units else found["scores"]
            if return_maps or return_units:
                named = {"return_units" if return_units else "return_maps": True}
                return self.network(x, *extra, **named, **inputs)
            return (self.network if self.compiled is None else self._run())(x, *extra, **inputs)

    def _refuse_recording(self) -> None:
        """Refuse what records the call: graphs lack the products of packed weights, and engines."""
        if torch.jit.is_tracing():
            raise ModelError(self._not_recorded("torch.jit.trace"))
        if torch.compiler.is_compiling() and (self.backend != "torch" or is_packed(self.network)):
            # torch.compile passes on errors that are raised outside its graph; it has imported torch._dynamo.
            torch._dynamo.graph_break()
            raise ModelError(self._not_recorded("torch.compile and torch.export"))

    def _not_recorded(self, by: str) -> str:
        return (
            f"{self.name} is optimized and cannot be recorded by {by}. Give compile=True to htnet.optimize to compile "
            "it, or write it with htnet.export.export_model."
        )

    def __prepare_scriptable__(self) -> NoReturn:  # what torch.jit.script calls first
        raise ModelError(self._not_recorded("torch.jit.script"))

    def _by_name(self, extra: tuple[Tensor | None, ...], inputs: dict[str, Tensor | None]) -> dict[str, Tensor | None]:
        """Extra inputs by name; unknown names are refused here, because engines would ignore them."""
        placed = dict(zip(self.extra_inputs, extra, strict=False))
        unknown = [name for name in inputs if name not in self.extra_inputs]
        if unknown:
            raise ModelError(f"{self.name} reads no {unknown[0]!r}. {self._reads()}")
        if len(extra) > len(placed):
            raise ModelError(f"{self.name} was given {len(extra)} inputs besides the images. {self._reads()}")
        if twice := [name for name in placed if name in inputs]:
            raise ModelError(f"{self.name} was given {twice[0]!r} twice, by position and by name. Give it once.")
        return {**placed, **inputs}

    def _reads(self) -> str:
        names = ", ".join(self.extra_inputs)
        return f"Give images and, optionally, {names}." if names else "Give only images."

    @property
    def input_dtype(self) -> torch.dtype:
        """The type that images are converted to."""
        return self._high

    def _device(self) -> torch.device | None:
        first = next(self.network.parameters(), None)
        return None if first is None else first.device  # replicas of `nn.DataParallel` have none

    def compile_as(self, mode: str | None) -> None:
        """Compile from the next call on, once for every new shape; None goes back to plain calls.

        Args:
            mode: one of `COMPILE_MODES`.
        """
        self.compiled, self._runner = mode, None
        self._arrange()

    def _arrange(self) -> None:
        """Pack the weights for plain calls by PyTorch; compilers and exporters want to see plain ones."""
        (pack if self.compiled is None and self.backend == "torch" else unpack)(self.network)

    def run_in(self, backend: str) -> None:
        """Run in another engine from the next call on.

        Args:
            backend: one of `htnet.acceleration.BACKENDS`.

        Raises:
            ModelError: no backend has that name, or it cannot run this model.
            MissingExtraError: it is not installed.
        """
        check_backend(backend)
        refuse_after_fork()
        if backend == "torch":
            self.backend, self.backend_ms, self._engine, self._made_of = "torch", {}, None, None
            self._arrange()
            return
        device = self._device()
        if device is not None and device.type != "cpu":
            raise ModelError(f"backend={backend!r} runs on the CPU, {self.name} is on {device}. Move it first.")
        try:
            if backend == "auto":
                pack(self.network)
                engine, times = fastest(self, self.network)
            else:
                engine, times = make_engine(self, backend), {}
            self._engine, self.backend_ms = engine, times
            self.backend = "torch" if engine is None else engine.backend
        finally:  # what is refused leaves the model in the one it had
            self._arrange()
        self._made_of = None if engine is None else Watch(weights_of(self.network))

    def _in_engine(self) -> EngineRunner:
        """The engine; it is made again for a copy, and for weights that were loaded or changed after it was made."""
        with self._building:
            weights = weights_of(self.network)
            if self._engine is None or self._made_of is None or not self._made_of.unchanged(weights):
                self._refuse_borrowed()
                watch = Watch(weights)
                self._engine, self._made_of = make_engine(self, self.backend), watch
            return self._engine

    def _refuse_borrowed(self) -> None:
        """Refuse weights that are not parameters, such as those that `torch.func.functional_call` puts in."""
        for module in self.network.modules():
            for name, value in module._parameters.items():
                if value is not None and not isinstance(value, nn.Parameter):
                    raise ModelError(
                        f"{self.name} runs in {self.backend} and takes weights that are nn.Parameter, but {name} is "
                        "a plain tensor. Give torch.func.functional_call values of nn.Parameter, or optimize without "
                        "backend."
                    )

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights of an optimized model of the same kind; an engine is made again afterwards.

        Args:
            state_dict: from `state_dict` of a model with the same settings, precision and packing.
            strict: refuse weights that are missing or unknown; without it at least one must fit.
            assign: see `torch.nn.Module.load_state_dict`.

        Raises:
            ModelError: the weights are not those of such a model.
        """
        self._refuse_foreign(state_dict, strict)
        try:
            return super().load_state_dict(state_dict, strict, assign)
        finally:  # what fits is loaded before PyTorch refuses the rest
            self._engine = None

    def _refuse_foreign(self, state: Mapping[str, Any], strict: bool) -> None:
        refuse_type("state_dict", state, Mapping, "the state_dict() of an optimized model", ModelError)
        own = self.state_dict()
        missing, unknown = [n for n in own if n not in state], [n for n in state if n not in own]
        if not any(name in own for name in state) or (strict and (missing or unknown)):
            lacks = f"lacks {missing[0]}" if missing else f"has {unknown[0]}, which {self.name} has not"
            raise ModelError(
                f"The state_dict {lacks}: these are not the weights of {self.name} as it is optimized, in "
                f"{self.precision}. Load the weights of the original into the original, and optimize that one again: "
                "htnet.optimize(model)."
            )
        for name, value in own.items():
            if name in state and (shape := tuple(getattr(state[name], "shape", ()))) != tuple(value.shape):
                raise ModelError(
                    f"{name} of the state_dict has shape {shape}, but {self.name} has {tuple(value.shape)} there. Give "
                    "weights of a model with the same settings."
                )

    def exportable(self) -> nn.Module:
        """A copy of the fused network in plain modules, on the CPU."""
        return plain(self.network).cpu()

    def _run(self) -> Callable[..., Tensor]:
        assert self.compiled is not None
        if self.compiled != "cudagraphs":
            self._runner = self._runner or make_runner(self.network, self.compiled)
            return self._runner
        # A graph reads the memory that weights had when it was captured.
        weights = weights_of(self.network)
        if self._runner is None or self._made_of is None or not self._made_of.unchanged(weights):
            self._runner, self._made_of = make_runner(self.network, self.compiled), Watch(weights, sampled=False)
        return self._runner

    def train(self, mode: bool = True) -> OptimizedModel:
        """Refuse training; the model is always in evaluation mode.

        Raises:
            ModelError: ``mode`` is true.
        """
        if mode:
            self._refuse("be trained")
        return self

    def reset_classifier(self, num_classes: int, labels: Sequence[str] | None = None) -> None:
        """Refused: the last layer is fused.

        Raises:
            ModelError: always.
        """
        self._refuse("get another classifier")

    def forward_features(self, x: Tensor) -> Tensor:
        """Refused: the output of the last norm is fused into the head.

        Raises:
            ModelError: always.
        """
        self._refuse("give its features")

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Refused, like `forward_features`.

        Raises:
            ModelError: always.
        """
        self._refuse("give its features")

    @property
    def num_features(self) -> int:
        """Width of the pooled features of the original model."""
        return self._num_features

    @property
    def classifier(self) -> nn.Linear:
        """Refused: the last layer is fused.

        Raises:
            ModelError: always; it is an AttributeError too.
        """
        raise _FusedError(self._refusal("show its classifier"))

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """Refused: the stages are fused.

        Raises:
            ModelError: always; it is an AttributeError too.
        """
        raise _FusedError(self._refusal("show its stages"))

    def __getattr__(self, name: str) -> Any:
        """Modules and parameters by name. Python also calls this after a property has raised an AttributeError."""
        if name in ("classifier", "stages"):
            raise _FusedError(self._refusal(f"show its {name}"))
        return super().__getattr__(name)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OptimizedModel:
        for dtype in {t.dtype for t in (*self.parameters(), *self.buffers()) if t.is_floating_point()}:
            if (other := fn(torch.zeros(0, dtype=dtype)).dtype) != dtype:
                raise ModelError(
                    f"{self.name} is optimized, and its weights are packed as {dtype}; it cannot be converted to "
                    f"{other}. Give dtype= to htnet.optimize instead."
                )
        if self.backend != "torch" and (device := fn(torch.zeros(0)).device).type != "cpu":
            raise ModelError(
                f"{self.name} runs in {self.backend}, on the CPU, and cannot be moved to {device}. Optimize it without "
                "backend."
            )
        self._runner = None  # it is bound to the old place of the weights
        super()._apply(fn, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_runner": None, "_engine": None, "_made_of": None, "_building": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"backend": "torch", "backend_ms": {}, **state, "_building": threading.Lock()})

    def _refuse(self, what: str) -> NoReturn:
        raise ModelError(self._refusal(what))

    def _refusal(self, what: str) -> str:
        return f"{self.name} is optimized and cannot {what}: its layers are fused for inference. {_CURE}"


#: What ``dtype`` of `optimize` can be, by name too.
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}


# Not in inference mode: PyTorch counts no changes in place of tensors that are made in it.
@usual_settings(grad=True, float32=True)
def optimize(
    model: EmotionModel,
    dtype: torch.dtype | str | None = None,
    compile: bool | str | None = None,
    backend: str = "torch",
) -> OptimizedModel:
    """Make a faster form of a model, for inference only; the model itself does not change.

    The following are fused, all in float64 before anything is rounded. With one token per block, value and output
    projections become one matrix, and query weights, key weights and positional embeddings disappear. Scale and shift
    of layer norms go into the layers that follow, batch norms into convolutions, and mean and deviation of the input
    into the patch embedding, which reads the image without a copy. Heads of odd width are padded with zeros.

    Args:
        model: any model of `htnet.list_models`, on the CPU or a CUDA device. An optimized model is accepted with
            ``compile`` or ``backend`` only, and copied.
        dtype: type of the large matrices. None keeps the model's own; torch.float32; torch.bfloat16, with norms,
            softmax and head in float32; torch.int8 for 8-bit weights with one scale per row, and products in bfloat16.
            Their names work too.
        compile: None or False for plain calls; True or a mode of `COMPILE_MODES` for torch.compile; "cudagraphs" for
            CUDA graphs of the plain calls with up to 64 images.
        backend: what runs it on the CPU: "torch"; "onnxruntime" (extra ``onnx``; float32 or int8) or "openvino" (extra
            ``openvino``; float32), to which the fused network is exported; or "auto": among the installed ones that
            accept the type, the fastest in a short measurement with one image (`OptimizedModel.backend_ms`). In int8,
            onnxruntime also rounds the inputs of its products to 8 bits. The number of threads is PyTorch's at this
            call.

    Returns:
        The optimized model, on the same device. In float32 its scores are within 1e-4 of the model's, relative to the
        largest.

    Raises:
        ModelError: htnet cannot fuse the model's class, the model is optimized already, or the type or mode is unknown
            or impossible for it.
        MissingExtraError: the backend is not installed.
    """
    mode = _mode(compile)
    check_backend(backend)
    refuse_after_fork()
    if mode is not None and backend != "torch":
        raise ModelError(f"compile={compile!r} is PyTorch's, but backend={backend!r} is another engine. Give only one.")
    if not isinstance(model, EmotionModel):
        cure = "" if model_of(model) is None else " Give the model that was compiled, and compile=True."
        if isinstance(model, (str, os.PathLike)):
            cure = f" Load it first: htnet.optimize(htnet.load_pretrained({str(model)!r}))."
        raise ModelError(f"optimize takes a model of htnet, got {type(model).__name__}.{cure}")
    refuse_unusable_weights(model, "optimize")
    model = _with_plain_weights(model)
    if isinstance(model, OptimizedModel):
        if dtype is not None:
            raise ModelError(
                f"{model.name} is optimized already, as {model.precision}. Give dtype with the original model, or "
                "only compile or backend."
            )
        optimized = copy.deepcopy(model)
    else:
        precision = _precision(model, dtype)
        optimized = OptimizedModel(model, fuse(model, precision), precision)
    if mode == "cudagraphs":
        _check_graphs(optimized)
    optimized.compile_as(mode)
    optimized.run_in(backend)
    return optimized


def _with_plain_weights(model: EmotionModel) -> EmotionModel:
    """The model, or a copy whose weights of `torch.nn.utils.parametrize` are plain, as in evaluation mode."""
    if not (names := parametrized_weights(model)):
        return model
    try:
        with torch.no_grad():
            model = copy.deepcopy(model).eval()
            for module in filter(is_parametrized, list(model.modules())):
                values = {name: getattr(module, name) for name in cast("nn.ModuleDict", module.parametrizations)}
                # Not by remove_parametrizations, which changes the class, and the original has the same one.
                del module.parametrizations
                module.__class__ = type(module).__bases__[0]
                for name, value in values.items():
                    module.register_parameter(name, nn.Parameter(value.detach().clone(), requires_grad=False))
    except Exception as error:  # parametrizations are the user's own code
        raise ModelError(
            f"optimize could not put together {', '.join(names[:4])}, which torch.nn.utils.parametrize computes "
            f"({cause(error)}). Do it before: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')."
        ) from error
    return model


def optimized_like(model: EmotionModel, precision: str) -> OptimizedModel:
    """An optimized model into which the state of another optimized model can be loaded.

    Args:
        model: a model of the same architecture and settings; its weights do not matter.
        precision: `OptimizedModel.precision` of the other.

    Raises:
        ModelError: no optimized model has that precision.
    """
    if precision in DTYPES:
        return optimize(model.float(), precision)
    own = {"float64": torch.float64, "float16": torch.float16}
    if precision not in own:
        raise ModelError(f"The optimized precision is {precision!r}. {did_you_mean(precision, {**DTYPES, **own})}")
    return optimize(model.to(own[precision]))


def _precision(model: EmotionModel, dtype: torch.dtype | str | None) -> Precision:
    if dtype is None:
        own = next(model.parameters()).dtype
        return Precision(own, own)
    chosen = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen not in DTYPES.values():
        raise ModelError(
            f"dtype is {dtype!r}. "
            + did_you_mean(str(dtype).removeprefix("torch."), DTYPES)
            + " None keeps the model's."
        )
    assert chosen is not None
    return Precision(chosen, torch.bfloat16 if chosen == torch.int8 else chosen)


def _mode(compile: bool | str | None) -> str | None:
    if isinstance(compile, str):
        if compile not in COMPILE_MODES:
            raise ModelError(f"compile is {compile!r}. {did_you_mean(compile, COMPILE_MODES)}")
        return compile
    if compile is None or isinstance(compile, bool):
        return "default" if compile else None
    raise ModelError(f"compile is {compile!r}; give True, False, None or one of {', '.join(COMPILE_MODES)}.")


def _check_graphs(model: OptimizedModel) -> None:
    device = next(model.parameters()).device
    if device.type != "cuda":
        raise ModelError(
            f'compile="cudagraphs" needs a model on a CUDA device, but {model.name} is on {device}. Move it first.'
        )
    if not model.same_operations:
        raise ModelError(
            f'compile="cudagraphs" repeats the same operations for every image, but those of {model.name} may differ. '
            "Use compile=True."
        )
