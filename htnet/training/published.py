"""Recipes of the models' papers, as far as the papers state them; each has the name of its model.

Settings that a paper does not state, or that we could not look up, come from `_UNTOLD`, which is our choice.
docs/training-and-evaluation.md lists what is known of each.
"""

from __future__ import annotations

import dataclasses

from htnet.training.recipe import Recipe, register_recipe

#: Adam at a constant rate without augmentation, averaging or decay, as is usual in papers of these years.
_UNTOLD = Recipe(
    name="untold",
    optimizer="adam",
    lr=1e-4,
    weight_decay=0.0,
    schedule="constant",
    epochs=100,
    batch_size=64,
    ema_decay=0.0,
    augmentation=None,
)

for _name in ("off_apexnet", "dual_inception"):
    register_recipe(dataclasses.replace(_UNTOLD, name=_name))

# From the command line in the README of the authors' repository, which is for SMIC.
register_recipe(dataclasses.replace(_UNTOLD, name="rcn", lr=5e-4, epochs=20, batch_size=64))

# The margin loss is known from descriptions of the paper.
register_recipe(dataclasses.replace(_UNTOLD, name="capsulenet", loss="margin", epochs=20, batch_size=32))

# The abstract mentions a proposal loss; its weight is our choice.
register_recipe(dataclasses.replace(_UNTOLD, name="featref", proposal_weight=1.0))
register_recipe(dataclasses.replace(_UNTOLD, name="mier_cvt", epochs=60))
