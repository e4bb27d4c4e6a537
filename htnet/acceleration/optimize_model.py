"""`htnet.optimize`."""

from __future__ import annotations

import copy

import torch

from htnet.acceleration.compiled import COMPILE_MODES
from htnet.acceleration.fold import fold
from htnet.acceleration.model import OptimizedModel
from htnet.acceleration.precision import Precision
from htnet.core.errors import ModelError, did_you_mean
from htnet.models import EmotionModel

#: What ``dtype`` of `optimize` can be, by name too.
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}


def optimize(
    model: EmotionModel, dtype: torch.dtype | str | None = None, compile: bool | str | None = None
) -> OptimizedModel:
    """A faster form of a model, for inference only; the model itself stays as it is.

    Folded, all of it in float64 before anything is rounded: with one token a block, value and output projections into
    one matrix, while query and key weights and positions go; scale and shift of layer norms into the layers that
    follow; batch norms into convolutions; mean and deviation of the input into the patch embedding, which reads the
    image where it lies. Heads of odd width are filled up with zeros.

    Args:
        model: any model of `htnet.list_models`, on the CPU or a CUDA device. An optimized one is taken with ``compile``
            alone, and copied.
        dtype: of the large matrices. None keeps the model's own; torch.float32; torch.bfloat16, with norms, softmax
            and head in float32; torch.int8 for weights of 8 bits and one scale a row, products in bfloat16. Their
            names do as well.
        compile: None or False for plain calls; True or a mode of `COMPILE_MODES` for torch.compile; "cudagraphs" for
            CUDA graphs of the plain calls at up to 64 images.

    Returns:
        The optimized model, on the same device. In float32 its scores are within 1e-4 of the model's, relative to the
        largest.

    Raises:
        ModelError: the model is of a class that htnet does not know, is optimized already, or the type or mode is
            unknown or impossible for it.
    """
    mode = _mode(compile)
    if not isinstance(model, EmotionModel):
        raise ModelError(f"optimize takes a model of htnet, got {type(model).__name__}.")
    if isinstance(model, OptimizedModel):
        if dtype is not None:
            raise ModelError(
                f"{model.name} is optimized already, as {model.precision}; give dtype with the model it came from, or "
                "compile alone."
            )
        optimized = copy.deepcopy(model)
    else:
        precision = _precision(model, dtype)
        optimized = OptimizedModel(model, fold(model, precision), precision)
    if mode == "cudagraphs":
        _check_graphs(optimized)
    optimized.compile_as(mode)
    return optimized


def optimized_like(model: EmotionModel, precision: str) -> OptimizedModel:
    """An optimized model into which the state of another can be loaded.

    Args:
        model: of that model's architecture and settings; its weights do not matter.
        precision: that model's `OptimizedModel.precision`.

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
            f'compile="cudagraphs" needs a model on a CUDA device, {model.name} is on {device}. Move it first.'
        )
    if not model.same_operations:
        raise ModelError(
            f'compile="cudagraphs" repeats the same operations for every image, which {model.name} does not promise: '
            "use compile=True."
        )
