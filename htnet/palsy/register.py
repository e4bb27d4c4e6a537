"""What this wing adds to the rooms' registries; models, converter and fusion register themselves where they stand."""

from htnet.hub import PretrainedSpec, register_pretrained
from htnet.palsy import convert, enhanced, fusion, model
from htnet.palsy.face_augment import FaceAugmentation
from htnet.training.recipe import Recipe, register_augmentation, register_recipe

__all__ = ["convert", "enhanced", "fusion", "model"]

_BY_PALSY_RECIPE = "trained on the training split, patients kept apart, by the palsy recipe"

register_augmentation(FaceAugmentation)
#: For faces, whose left and right must be kept apart.
register_recipe(Recipe(name="palsy", lr=1e-3, epochs=200, batch_size=16, augmentation=FaceAugmentation()))
register_pretrained(
    PretrainedSpec(
        name="fnp",
        model="htnet_palsy",
        description="House-Brackmann grades of facial palsy, on FNP",
        dataset="FNP: pictures of patients in folders grade_1 to grade_6",
        protocol=_BY_PALSY_RECIPE,
        commands=(
            "htnet palsy prepare FNP_DIR --out fnp",
            "htnet palsy train --data fnp --model htnet_palsy --out weights/fnp",
            "htnet push weights/fnp fnp",
        ),
    )
)
register_pretrained(
    PretrainedSpec(
        name="ckplus",
        model="htnet_enhanced",
        description="the second palsy design on CK+, grades by a map of your own (CK+ has none)",
        dataset="CK+: last frames of its sequences, graded by the map given with --grade-map",
        protocol=_BY_PALSY_RECIPE,
        commands=(
            "htnet palsy prepare CKPLUS_DIR --out ckplus --grade-map GRADES.csv",
            "htnet palsy train --data ckplus --model htnet_enhanced --out weights/ckplus",
            "htnet push weights/ckplus ckplus",
        ),
    )
)
