"""Which parts of an image determine a model's answer: occlusion and integrated gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from htnet.core.errors import InputError, ModelError
from htnet.core.fields import native, whole
from htnet.core.types import Float64Array
from htnet.models.base import EmotionModel
from htnet.models.single_input import evaluating, one_input

#: Images in one forward pass.
_BATCH = 32


@dataclass(frozen=True, eq=False)
class Saliency:
    """Contribution of each place of an image to the score of a class.

    Attributes:
        values: (C, S, S) float64, one per value of the network's input; for `occlusion` (1, S, S), one per px.
        method: "occlusion" or "integrated gradients".
        label: name of the class.
        score: its score before the softmax for the image.
        base: its score for the image without content, where all px of a channel have its mean.
    """

    values: Float64Array
    method: str
    label: str
    score: float
    base: float

    @property
    def map(self) -> Float64Array:
        """(S, S), the sum over the channels."""
        return np.asarray(self.values.sum(axis=0))

    @property
    def error(self) -> float:
        """|sum of the values - (score - base)|, which is 0 for exact integrated gradients."""
        return abs(float(self.values.sum()) - (self.score - self.base))


def integrated_gradients(
    model: EmotionModel,
    image: Tensor | npt.ArrayLike,
    target: int | str | None = None,
    *,
    baseline: Tensor | npt.ArrayLike | None = None,
    steps: int = 64,
    **inputs: Tensor | npt.ArrayLike,
) -> Saliency:
    """Integrated gradients: the gradients of a class's score along the straight line from a baseline to the image.

    They are averaged by Gauss-Legendre quadrature and multiplied by image minus baseline. Their sum is the difference
    of the two scores, up to the error of the quadrature (`Saliency.error`). More ``steps`` reduce it: quickly for
    smooth networks such as FlowMLP, slowly where max pooling or ReLU puts kinks into the line (HTNet, STSTNet).

    Source: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017 (arXiv 1703.01365).

    Args:
        model: any model.
        image: (C, S, S) or (1, C, S, S), the input of the network, such as `ModelInput.image`.
        target: the class, by name or index; by default the model's answer.
        baseline: an image without content, of the same shape; by default each channel has its mean everywhere.
        steps: nodes of the quadrature.
        **inputs: further inputs of the model (`EmotionModel.extra_inputs`), for one sample; they are not varied.

    Raises:
        ModelError: the image is not an input of the model, or the model has no such class.
        InputError: ``steps`` is not positive, or the baseline has another shape.
    """
    whole().check("steps", steps)
    x, more = one_input(model, image, inputs)
    base = _flat(x) if baseline is None else one_input(model, baseline, {})[0]
    if base.shape != x.shape:
        raise InputError(f"baseline has shape {tuple(base.shape)}, the image {tuple(x.shape)}; give the same shape.")
    # Gradients are needed even if the caller has disabled them.
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        x, base, more = x.clone(), base.clone(), {name: value.clone() for name, value in more.items()}
        k, score = _class(model, x, more, target)
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        total = torch.zeros_like(x, dtype=torch.float64)
        for part in np.array_split(np.arange(steps), -(-steps // _BATCH)):
            at = torch.from_numpy((nodes[part] + 1) / 2).to(x)
            line = (base + at.view(-1, 1, 1, 1) * (x - base)).requires_grad_()
            scores = model(line, **_repeated(more, len(part)))[:, k]
            (gradients,) = torch.autograd.grad(scores.sum(), line)
            share = torch.from_numpy(weights[part] / 2).to(total)
            total += (share.view(-1, 1, 1, 1) * gradients.double()).sum(0, keepdim=True)
        values = (total * (x - base).double())[0].cpu().numpy()
        return Saliency(values, "integrated gradients", model.labels[k], score, _scores(model, base, more, k)[0])


def occlusion(
    model: EmotionModel,
    image: Tensor | npt.ArrayLike,
    target: int | str | None = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    **inputs: Tensor | npt.ArrayLike,
) -> Saliency:
    """Occlusion: how much a class's score falls when a square of the image is hidden.

    The square is filled with the mean of each channel. Each px gets the mean over the squares that hide it.

    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014 (arXiv 1311.2901).

    Args:
        model: any model.
        image: (C, S, S) or (1, C, S, S), the input of the network.
        target: the class, by name or index; by default the model's answer.
        window: side of the square, px; by default a quarter of the image's side.
        stride: px from one square to the next; by default half the window. The last square ends at the edge.
        **inputs: further inputs of the model, for one sample; they are not varied.

    Raises:
        ModelError: the image is not an input of the model, or the model has no such class.
        InputError: window or stride are impossible.
    """
    x, more = one_input(model, image, inputs)
    size = x.shape[-1]
    window = max(1, size // 4) if window is None else window
    stride = max(1, window // 2) if stride is None else stride
    whole().check("window", window)
    whole().check("stride", stride)
    if window > size or stride > window:
        raise InputError(
            f"window is {window} and stride {stride} px for an image of {size} px; give a window within the image and "
            "a stride up to the window."
        )
    starts = sorted({*range(0, size - window + 1, stride), size - window})
    corners = [(top, left) for top in starts for left in starts]
    flat = _flat(x)
    with evaluating(model):
        k, score = _class(model, x, more, target)
        fall, covered = np.zeros((size, size)), np.zeros((size, size))
        for first in range(0, len(corners), _BATCH):
            part = corners[first : first + _BATCH]
            hidden = x.repeat(len(part), 1, 1, 1)
            for one, (top, left) in zip(hidden, part, strict=True):
                one[:, top : top + window, left : left + window] = flat[0, :, :1, :1]
            for (top, left), found in zip(part, _scores(model, hidden, more, k), strict=True):
                fall[top : top + window, left : left + window] += score - found
                covered[top : top + window, left : left + window] += 1
        return Saliency((fall / covered)[None], "occlusion", model.labels[k], score, _scores(model, flat, more, k)[0])


def _flat(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True).expand_as(x)


def _class(model: EmotionModel, x: Tensor, more: dict[str, Tensor], target: int | str | None) -> tuple[int, float]:
    """The requested class and its score."""
    if not model.config.num_classes:
        raise ModelError(f"{model.name} has no classifier. Give it one: model.reset_classifier(number of classes).")
    with torch.no_grad():
        scores = model(x, **more)[0].double()
    # argmax of NumPy and PyTorch gives numbers of their own types.
    target = target.item() if isinstance(target, Tensor) and target.numel() == 1 else native(target)
    if target is None:
        k = int(scores.argmax())
    elif isinstance(target, str) and target in model.labels:
        k = model.labels.index(target)
    elif isinstance(target, int) and not isinstance(target, bool) and 0 <= target < len(model.labels):
        k = target
    else:
        raise ModelError(
            f"target is {target!r}; {model.name} answers {', '.join(model.labels)}. Give one, or its index."
        )
    return k, float(scores[k])


@torch.no_grad()
def _scores(model: EmotionModel, images: Tensor, more: dict[str, Tensor], k: int) -> list[float]:
    found: list[float] = model(images, **_repeated(more, len(images)))[:, k].double().tolist()
    return found


def _repeated(more: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    return {name: values.expand(count, *values.shape[1:]) for name, values in more.items()}
