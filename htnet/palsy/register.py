"""Registers what this wing adds to htnet; models, converter and fusion register themselves in their own files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from htnet.hub import PretrainedSpec, register_pretrained
from htnet.hub.card import CardText, register_card_text
from htnet.palsy import convert, enhanced, fusion, model
from htnet.palsy.face_augment import FaceAugmentation
from htnet.training.recipe import Recipe, register_augmentation, register_recipe

__all__ = ["convert", "enhanced", "fusion", "model"]

_BY_PALSY_RECIPE = "trained on the training split, patients kept apart, by the palsy recipe"

_LIMITS = (
    "Not a medical device. A grade says how uneven a face looks in one picture; House and Brackmann grade a moving "
    "face. Light from one side and a turned head look like a palsy. Not fit for decisions about people."
)


def _face_input(config: Mapping[str, Any]) -> str:
    spec = config["preprocess"]
    return (
        f"One face, warped by one similarity to the template points on {spec['face_size']} px and resized to "
        f"{spec['size']} px; red, green, blue, 0..255."
    )


_SNIPPET = """from htnet.palsy import GradePredictor

print(GradePredictor("{weights}").image("face.png").grade)"""

register_card_text(
    "face", CardText("grades of facial palsy", ("facial-palsy",), _face_input, lambda config: _LIMITS, _SNIPPET)
)
register_augmentation(FaceAugmentation)
#: For faces, whose left and right must never be exchanged.
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
        description="the second palsy design on CK+, grades by your own map (CK+ has none)",
        dataset="CK+: last frames of its sequences, graded by the map given with --grade-map",
        protocol=_BY_PALSY_RECIPE,
        commands=(
            "htnet palsy prepare CKPLUS_DIR --out ckplus --grade-map GRADES.csv",
            "htnet palsy train --data ckplus --model htnet_enhanced --out weights/ckplus",
            "htnet push weights/ckplus ckplus",
        ),
    )
)
