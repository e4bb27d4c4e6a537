"""What a trial is: frozen settings, whose differences from the defaults are all that is written down of it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from htnet.training import Recipe, get_recipe

View = Literal["regions", "whole", "both"]

#: The recipe `default`, for half as long and without a loss of action units.
FINE_TUNING = Recipe(name="trial", epochs=15, units_weight=0.0)
#: The recipe of the weights `synthetic` with twice its learning rate, for networks a quarter as wide.
PRETRAINING = dataclasses.replace(get_recipe("generated"), name="pretraining", lr=1e-3)


@dataclass(frozen=True)
class Perceptron:
    """A perceptron over the coarse flow of the whole face, the fore-runner of `htnet.models.FlowMLP`.

    Attributes:
        hidden: width of the hidden layers.
        layers: number of hidden layers.
        cell: side of the square cells that are averaged, px.
        channels: which of strain, v, u it sees.
        dropout: probability of dropout.
        gain: factor of the fresh weights' deviation.
        layer_norm: layer normalisation before each activation.
        symmetric: the mean of the answers to face and mirror image.
        fit_cells: each cell is brought to mean 0 and deviation 1 over the training set.
    """

    hidden: int = 512
    layers: int = 1
    cell: int = 4
    channels: tuple[int, ...] = (0, 1, 2)
    dropout: float = 0.0
    gain: float = 1.0
    layer_norm: bool = False
    symmetric: bool = False
    fit_cells: bool = False


@dataclass(frozen=True)
class Network:
    """What is trained, and what it sees.

    Attributes:
        model: registered name of an HTNet, unless it is a perceptron.
        perceptron: the perceptron in its place.
        view: the four regions and the nose, the whole face, or both as six channels.
        image_standardised: each channel of each image is brought to mean 0 and deviation 1 by itself, in place of the
            training set's mean and deviation. Perceptrons always do that.
        size: side of the image, px; real ones are made larger by bilinear interpolation, generated ones are drawn so.
    """

    model: str = "htnet_small"
    perceptron: Perceptron | None = None
    view: View = "regions"
    image_standardised: bool = False
    size: int = 28


@dataclass(frozen=True)
class Pretraining:
    """Training on generated images alone.

    Attributes:
        what: for readers.
        network: what is trained, with a head for action units.
        recipe: how; images and order come from the seed.
        count: generated images.
        library: by `htnet.training.train_on_generated`, as the bundled weights; ``recipe`` is then its own.
    """

    what: str
    network: Network
    recipe: Recipe = PRETRAINING
    count: int = 16000
    library: bool = False


@dataclass(frozen=True)
class Trial:
    """One setting of fine-tuning, or of training from fresh weights.

    Attributes:
        what: for readers.
        against: the trial that tells what the change is worth; None for one that others are compared with.
        network: what is trained.
        start: a name of `PRETRAININGS`, or None for fresh weights.
        start_each: seed s starts from the pretraining's seed s; else all start from its seed 0.
        recipe: how it is trained.
        keep_statistics: keep the start's mean and deviation instead of taking the training set's.
        mixed: generated images beside each batch of real ones.
        mixed_weight: weight of their loss.
        mixup: parameter of the beta distribution of mixup; 0 for none.
        label_smoothing: of the cross-entropy.
        balance: samples of rare classes are drawn as often as others ("class"), half way there ("root"), or every
            sample once an epoch ("none").
        everyone: each fold trains on the other 67 subjects, those of the untouched half too; it is still the
            development subjects alone that are scored.
    """

    what: str
    against: str | None = None
    network: Network = Network()
    start: str | None = None
    start_each: bool = False
    recipe: Recipe = FINE_TUNING
    keep_statistics: bool = False
    mixed: int = 0
    mixed_weight: float = 1.0
    mixup: float = 0.0
    label_smoothing: float = 0.0
    balance: Literal["none", "class", "root"] = "none"
    everyone: bool = False


@dataclass(frozen=True)
class Classical:
    """A linear or kernel method on what each view of a face shows; the answers to all views are averaged.

    Attributes:
        what: for readers.
        against: as in `Trial`.
        method: "logistic" regression, "svm" (radial kernel) or "ridge" (kernel ridge regression on the classes).
        features: averages over 4 px cells of strain, v, u, or what the head of `pre-small` sees.
        image_standardised: as in `Network`; for cells.
        penalty: of the squared weights (logistic), of the function (ridge), or C (svm).
        width: factor of the kernel's exponent, in units of 1 / number of features.
        shifts: moves by one pixel besides the face in its place; every view is mirrored too.
        generated: generated images among the training samples.
        generated_weight: their weight.
        everyone: as in `Trial`.
    """

    what: str
    against: str | None = None
    method: Literal["logistic", "svm", "ridge"] = "logistic"
    features: Literal["cells", "frozen"] = "cells"
    image_standardised: bool = True
    penalty: float = 0.1
    width: float = 1.0
    shifts: tuple[tuple[int, int], ...] = field(default=((1, 0), (-1, 0), (0, 1), (0, -1)))
    generated: int = 0
    generated_weight: float = 1.0
    everyone: bool = False


Tried = Trial | Classical | Pretraining


def differences(settings: Any, defaults: Any) -> dict[str, Any]:
    """Fields of a dataclass that are not as in ``defaults``, JSON-ready; dataclasses in it likewise."""
    found = {}
    for each in dataclasses.fields(settings):
        own, usual = getattr(settings, each.name), getattr(defaults, each.name)
        if own != usual:
            if dataclasses.is_dataclass(own) and not isinstance(own, type):
                own = differences(own, usual if isinstance(usual, type(own)) else type(own)())
            found[each.name] = own
    return found


def described(tried: Tried) -> dict[str, Any]:
    """The settings of a trial as they are kept beside its scores: what differs from the defaults."""
    kind = type(tried).__name__.lower()
    usual = Pretraining("", Network()) if isinstance(tried, Pretraining) else type(tried)("")
    changed = differences(tried, usual)
    kept = {name: value for name, value in changed.items() if name not in ("what", "against")}
    return json.loads(json.dumps({"kind": kind, **kept}))
