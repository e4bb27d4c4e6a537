"""Everything that was tried, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from benchmarks.recipe_trials.settings import (
    FINE_TUNING,
    Classical,
    Network,
    Perceptron,
    Pretraining,
    Trial,
    Tried,
    View,
)
from htnet.training import Augmentation, Recipe, get_recipe


def _recipe(epochs: int = 15, lr: float = 1e-3, **changes: Any) -> Recipe:
    return dataclasses.replace(FINE_TUNING, epochs=epochs, lr=lr, **changes)


def _perceptron(**settings: Any) -> Network:
    return Network(perceptron=Perceptron(**settings), view="whole")


def _tiny(view: View = "regions", image_standardised: bool = False) -> Network:
    return Network("htnet_tiny", view=view, image_standardised=image_standardised)


#: Networks trained on generated images alone, which trials start from.
PRETRAININGS: Mapping[str, Pretraining] = {
    "pre-small": Pretraining(
        "`htnet_small` by `htnet pretrain`", Network(), recipe=get_recipe("generated"), library=True
    ),
    "pre-flow-mlp": Pretraining(
        "`flow_mlp` by `htnet pretrain`",
        Network("flow_mlp", view="whole"),
        recipe=get_recipe("generated"),
        library=True,
    ),
    "pre-tiny": Pretraining("`htnet_tiny`", _tiny()),
    "pre-tiny-56": Pretraining("`htnet_tiny` at 56 px", Network("htnet_tiny", size=56)),
    "pre-tiny-whole": Pretraining("`htnet_tiny` on the whole face", _tiny("whole")),
    "pre-tiny-both": Pretraining("`htnet_tiny` on regions and the whole face", _tiny("both")),
    "pre-tiny-std": Pretraining("`htnet_tiny`, images standardised one by one", _tiny("regions", True)),
    "pre-tiny-std-whole": Pretraining(
        "`htnet_tiny` on the whole face, images standardised one by one", _tiny("whole", True)
    ),
    "pre-tiny-std-both": Pretraining(
        "`htnet_tiny` on regions and the whole face, images standardised one by one", _tiny("both", True)
    ),
    "pre-small-std": Pretraining(
        "`htnet_small`, images standardised one by one",
        Network(image_standardised=True),
        recipe=dataclasses.replace(Pretraining("", Network()).recipe, lr=5e-4),
    ),
    "pre-mlp": Pretraining("perceptron, 512 wide", _perceptron()),
    "pre-mlp-2": Pretraining("perceptron, two layers with layer norm", _perceptron(layers=2, layer_norm=True)),
}


def _started(what: str, start: str, against: str | None, recipe: Recipe | None = None, **settings: Any) -> Trial:
    """A trial from weights of `PRETRAININGS`."""
    network = PRETRAININGS[start].network
    return Trial(what, against, network, start, recipe=recipe or _recipe(), **settings)


def _each(what: str, start: str, against: str | None, recipe: Recipe | None = None, **settings: Any) -> Trial:
    """The same, each seed from its own pretraining."""
    return _started(what, start, against, recipe, start_each=True, **settings)


def _mlp(what: str, epochs: int = 30, against: str | None = "mlp", changes: Any = (), **settings: Any) -> Trial:
    """A perceptron from fresh weights."""
    recipe = _recipe(epochs, **dict(changes))
    return Trial(what, against, _perceptron(**settings), recipe=recipe)


_START: dict[str, Tried] = {
    "small": Trial("`htnet_small`, fresh weights, 30 epochs", recipe=_recipe(30, 5e-4)),
    "small-synthetic": Trial("`htnet_small` from generated images, 15 epochs", "small", start="pre-small"),
    "tiny": Trial("`htnet_tiny`, fresh weights, 30 epochs", None, _tiny(), recipe=_recipe(30)),
    "tiny-synthetic": _started("`htnet_tiny` from generated images, 15 epochs", "pre-tiny", "tiny"),
    "tiny-synthetic-30": _started("`htnet_tiny` from generated images, 30 epochs", "pre-tiny", "tiny", _recipe(30)),
}

_MIXING: dict[str, Tried] = {
    "small-mix": Trial("`small` with 64 generated images a step", "small", recipe=_recipe(30, 5e-4), mixed=64),
    "small-synthetic-mix": Trial(
        "`small-synthetic` with 64 generated images a step", "small-synthetic", start="pre-small", mixed=64
    ),
    "small-synthetic-mix-keep": Trial(
        "`small-synthetic-mix`, mean and deviation of the generated images",
        "small-synthetic",
        start="pre-small",
        mixed=64,
        keep_statistics=True,
    ),
    "tiny-synthetic-mix": _started(
        "`tiny-synthetic` with 64 generated images a step", "pre-tiny", "tiny-synthetic", mixed=64
    ),
    "tiny-std-both-mix-0.3": _each(
        "`tiny-std-both` with 64 generated images a step, weight 0.3",
        "pre-tiny-std-both",
        "tiny-std-both",
        mixed=64,
        mixed_weight=0.3,
    ),
}
_MIXING |= {
    f"mlp-mix-{weight}": dataclasses.replace(
        _mlp(f"`mlp` with 64 generated images a step, weight {weight}"), mixed=64, mixed_weight=weight
    )
    for weight in (0.1, 0.5)
}

_REGULAR: dict[str, Tried] = {
    "tiny-std-both-units": _each(
        "`tiny-std-both` with the loss of the annotated action units",
        "pre-tiny-std-both",
        "tiny-std-both",
        _recipe(units_weight=1.0),
    ),
    "mlp-noise": _mlp("`mlp`, noise 0.5 deviations", changes={"augmentation": Augmentation(noise=0.5)}),
    "mlp-shift-1": _mlp("`mlp`, shifts of at most 1 px", changes={"augmentation": Augmentation(shift=1)}),
    "mlp-mixup": dataclasses.replace(_mlp("`mlp` with mixup 0.4"), mixup=0.4),
    "mlp-dropout": _mlp("`mlp`, dropout 0.3", dropout=0.3),
    "mlp-dropout-0.5": _mlp("`mlp`, dropout 0.5", dropout=0.5),
    "mlp-narrow-dropout": _mlp("`mlp-narrow`, dropout 0.3", against="mlp-narrow", hidden=128, dropout=0.3),
    "mlp-balance": dataclasses.replace(_mlp("`mlp`, classes half way to balance"), balance="root"),
    "mlp-60-decay": _mlp("`mlp-60`, weight decay 0.5", 60, "mlp-60", {"weight_decay": 0.5}),
}

_VIEW: dict[str, Tried] = {
    "tiny-std-whole": _each("`tiny-std` on the whole face", "pre-tiny-std-whole", "tiny-std"),
    "tiny-std-both": _each("`tiny-std` on regions and the whole face", "pre-tiny-std-both", "tiny-std"),
    "tiny-std-both-30": _each("`tiny-std-both`, 30 epochs", "pre-tiny-std-both", "tiny-std-both", _recipe(30)),
    "tiny-std-both-lr": _each(
        "`tiny-std-both`, learning rate 2e-3", "pre-tiny-std-both", "tiny-std-both", _recipe(lr=2e-3)
    ),
}

_SIZE: dict[str, Tried] = {
    f"tiny-{size}": Trial(f"`tiny` at {size} px", "tiny", Network("htnet_tiny", size=size), recipe=_recipe(30))
    for size in (56, 112)
}
_SIZE["tiny-synthetic-56"] = _started("`tiny-synthetic` at 56 px", "pre-tiny-56", "tiny-synthetic")

_STANDARDISED: dict[str, Tried] = {
    "small-std-fresh": Trial(
        "`small`, images standardised one by one",
        "small",
        Network(image_standardised=True),
        recipe=_recipe(30, 5e-4),
    ),
    "tiny-std-fresh": Trial(
        "`tiny`, images standardised one by one", "tiny", _tiny("regions", True), recipe=_recipe(30)
    ),
    "tiny-std-fresh-whole": Trial(
        "`tiny-std-fresh` on the whole face", "tiny-std-fresh", _tiny("whole", True), recipe=_recipe(30)
    ),
    "tiny-std": _each("`tiny-synthetic`, images standardised one by one", "pre-tiny-std", "tiny-synthetic"),
}

_PERCEPTRON: dict[str, Tried] = {
    "mlp": _mlp("perceptron on 7 x 7 cells, 512 wide, fresh weights, 30 epochs", against=None),
    "mlp-15": _mlp("`mlp`, 15 epochs", 15),
    "mlp-slow": _mlp("`mlp`, learning rate 3e-4", changes={"lr": 3e-4}),
    "mlp-narrow": _mlp("`mlp`, 128 wide", hidden=128),
    "mlp-60": _mlp("`mlp`, 60 epochs", 60),
    "mlp-60-norm": _mlp("`mlp-60`, layer norm", 60, "mlp-60", layer_norm=True),
    "mlp-60-wide": _mlp("`mlp-60`, 2048 wide", 60, "mlp-60", hidden=2048),
    "mlp-60-no-strain": _mlp("`mlp-60`, v and u alone", 60, "mlp-60", channels=(1, 2)),
    "mlp-60-fine": _mlp("`mlp-60`, 14 x 14 cells", 60, "mlp-60", cell=2),
    "mlp-symmetric": _mlp("`mlp` that cannot tell left from right", symmetric=True),
    "mlp-gain-2": _mlp("`mlp`, fresh weights twice as large", gain=2.0),
    "mlp-gain-0.5": _mlp("`mlp`, fresh weights half as large", gain=0.5),
    "mlp-cells": _mlp("`mlp-symmetric`, cells of deviation 1", symmetric=True, fit_cells=True),
    "mlp-cells-wide": _mlp("`mlp-cells`, 2048 wide", symmetric=True, fit_cells=True, hidden=2048),
    "mlp-cells-wide-gain": _mlp(
        "`mlp-cells`, 2048 wide, fresh weights half as large", symmetric=True, fit_cells=True, hidden=2048, gain=0.5
    ),
    "mlp-cells-15": _mlp("`mlp-cells`, 15 epochs", 15, symmetric=True, fit_cells=True),
    "mlp-cells-calm": _mlp(
        "`mlp`, cells of deviation 1, mirrored and shifted by 1 px, nothing else",
        changes={"augmentation": Augmentation(shift=1, noise=0, gain=0, offset=0)},
        fit_cells=True,
    ),
    "mlp-synthetic": _each("`mlp` from generated images, 15 epochs", "pre-mlp", "mlp"),
    "mlp-synthetic-60": _each("`mlp` from generated images, 60 epochs", "pre-mlp", "mlp-60", _recipe(60)),
}
_PERCEPTRON |= {
    f"flow-mlp-{name}": _each(f"`flow_mlp` from generated images, {text}", "pre-flow-mlp", "mlp", recipe)
    for name, text, recipe in (
        ("30", "30 epochs", _recipe(30)),
        ("60", "60 epochs", _recipe(60)),
        ("fast", "30 epochs, learning rate 3e-3", _recipe(30, 3e-3)),
    )
}

_FEWER = ((1, 0), (0, 1))
_CLASSICAL: dict[str, Tried] = {
    "logistic": Classical("logistic regression on 7 x 7 cells, 10 views", image_standardised=False),
    "logistic-std": Classical("`logistic`, images standardised one by one", "logistic"),
    "svm": Classical("radial SVM on 7 x 7 cells, 10 views", "logistic", "svm", image_standardised=False, penalty=1.0),
    "svm-std": Classical("`svm`, images standardised one by one", "svm", "svm", penalty=1.0),
    "ridge-std": Classical(
        "kernel ridge regression, standardised, 6 views", "logistic-std", "ridge", penalty=3.0, shifts=_FEWER
    ),
    "probe": Classical(
        "logistic regression on what the head of `pre-small` sees", "logistic-std", features="frozen", penalty=0.01
    ),
}
_CLASSICAL |= {
    f"svm-std-mix-{weight}": Classical(
        f"`svm-std-1-1` with 3,000 generated images, weight {weight}",
        "svm-std-1-1",
        "svm",
        penalty=1.0,
        shifts=_FEWER,
        generated=3000,
        generated_weight=weight,
    )
    for weight in (0.05, 0.5)
}


def _everyone(name: str, epochs: int, text: str, **changes: Any) -> dict[str, Tried]:
    """A symmetric perceptron from fresh weights, everybody else in training."""
    hidden, dropout = changes.pop("hidden", 512), changes.pop("dropout", 0.0)
    network = _perceptron(symmetric=True, hidden=hidden, dropout=dropout)
    against = None if name == "all" else "all"
    return {name: Trial(text, against, network, recipe=_recipe(epochs), everyone=True, **changes)}


_EVERYONE: dict[str, Tried] = {
    **_everyone("all", 13, "`mlp-symmetric`, 13 epochs, everybody else in training"),
    **_everyone("all-8", 8, "`all`, 8 epochs"),
    **_everyone("all-18", 18, "`all`, 18 epochs"),
    **_everyone("all-mix", 13, "`all` with 32 generated images a step, weight 0.2", mixed=32, mixed_weight=0.2),
    **_everyone("all-mixup", 13, "`all` with mixup 0.4", mixup=0.4),
    **_everyone("all-dropout", 13, "`all`, dropout 0.3", dropout=0.3),
    **_everyone("all-wide", 13, "`all`, 1024 wide", hidden=1024),
    "all-flow-mlp": _each(
        "`flow_mlp` from generated images, 26 epochs", "pre-flow-mlp", "all", _recipe(26), everyone=True
    ),
    "all-flow-mlp-smooth": _each(
        "`all-flow-mlp`, label smoothing 0.2",
        "pre-flow-mlp",
        "all-flow-mlp",
        _recipe(26),
        label_smoothing=0.2,
        everyone=True,
    ),
    "all-tiny-std-both": _each(
        "`tiny-std-both`, 8 epochs, everybody else in training",
        "pre-tiny-std-both",
        "tiny-std-both",
        _recipe(8),
        everyone=True,
    ),
}
for _c, _width in ((1.0, 1.0), (1.0, 0.5), (3.0, 0.5)):
    _base = Classical(
        f"`svm-std`, 6 views in place of 10, C {_c:g}, width {_width:g}",
        "svm-std",
        "svm",
        penalty=_c,
        width=_width,
        shifts=_FEWER,
    )
    _CLASSICAL[f"svm-std-{_c:g}-{_width:g}"] = _base
    _EVERYONE[f"all-svm-{_c:g}-{_width:g}"] = dataclasses.replace(
        _base,
        what=f"`svm-std-{_c:g}-{_width:g}`, everybody else in training",
        against=f"svm-std-{_c:g}-{_width:g}",
        everyone=True,
    )

#: Title of each group, then its trials by name.
GROUPS: Mapping[str, Mapping[str, Tried]] = {
    "Generated images alone, no training on real ones": PRETRAININGS,
    "Start": _START,
    "Mixing in generated images": _MIXING,
    "Regularisation and balance of the classes": _REGULAR,
    "View of the network, and more training": _VIEW,
    "Size of the image": _SIZE,
    "Standardisation of the input": _STANDARDISED,
    "Perceptrons on the coarse flow": _PERCEPTRON,
    "Linear and kernel methods": _CLASSICAL,
    "With everybody else in training": _EVERYONE,
}
TRIALS: Mapping[str, Tried] = {name: trial for group in GROUPS.values() for name, trial in group.items()}
