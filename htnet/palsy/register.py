"""What this wing adds to the rooms' registries."""

from htnet.palsy.face_augment import FaceAugmentation
from htnet.training.recipe import Recipe, register_augmentation, register_recipe

register_augmentation(FaceAugmentation)
#: For faces, whose left and right must be kept apart.
register_recipe(Recipe(name="palsy", lr=1e-3, epochs=200, batch_size=16, augmentation=FaceAugmentation()))
