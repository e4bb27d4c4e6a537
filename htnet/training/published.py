"""Recipes of the papers of the models, as far as they are told; named as the models.

What a paper does not tell, or what was not at hand, is `_UNTOLD`, which is ours. docs/training-and-evaluation.md lists
what is told of each.
"""

from __future__ import annotations

import dataclasses

from htnet.training.recipe import Recipe, register_recipe

#: Adam at a constant rate without augmentation, averaging or decay: what the papers of these years do.
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

# The command line in the README of the authors' repository, there for SMIC.
register_recipe(dataclasses.replace(_UNTOLD, name="rcn", lr=5e-4, epochs=20, batch_size=64))

# Descriptions of the paper name its margin loss.
register_recipe(dataclasses.replace(_UNTOLD, name="capsulenet", loss="margin", epochs=20, batch_size=32))

# Its abstract names a proposal loss; the weight is ours.
register_recipe(dataclasses.replace(_UNTOLD, name="featref", proposal_weight=1.0))
register_recipe(dataclasses.replace(_UNTOLD, name="mier_cvt", epochs=60))
