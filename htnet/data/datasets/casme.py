"""CASME and CASME II: ``sub01/EP02_01f/reg_img46.jpg``, ``sub01/EP01_5/EP01_5-100.jpg``, with one sheet each."""

from __future__ import annotations

import re
from pathlib import Path

from htnet.data.datasets.assemble import Annotated, Labels
from htnet.data.datasets.layout import Layout, numbered_subject
from htnet.data.datasets.sheets import SheetRow

#: In MEGC 2019, disgust and repression are negative; sadness and fear have too few samples and belong to no class.
CASME2_LABELS = Labels(
    three={"happiness": "positive", "disgust": "negative", "repression": "negative", "surprise": "surprise"},
    own=("happiness", "disgust", "repression", "surprise", "others"),
    other=("sadness", "fear"),
    same={"other": "others", "happy": "happiness", "happyness": "happiness"},
)
#: By the rule of MEGC 2019 for CASME II and SAMM, in which tense belongs to no class.
CASME_LABELS = Labels(
    three={
        "happiness": "positive",
        "surprise": "surprise",
        **dict.fromkeys(("disgust", "repression", "sadness", "contempt", "fear"), "negative"),
    },
    own=("happiness", "disgust", "repression", "surprise", "tense", "sadness", "contempt", "fear"),
    other=("others",),
    same={"other": "others", "happy": "happiness", "happyness": "happiness", "amusement": "happiness"},
)


def _row(row: SheetRow) -> Annotated:
    return Annotated.from_row(row, numbered_subject(row, r"(?:sub)?0*([0-9]+)", "sub{:02d}", "a number such as 01"))


def _key(folder: Path) -> tuple[str, Path] | None:
    subject = re.fullmatch(r"sub0*([0-9]+)", folder.parent.name.casefold())
    name = folder.name.casefold()
    if subject is None or not name.startswith("ep"):
        return None
    return f"sub{int(subject[1]):02d}/{name}", folder.parents[1]


read_casme2 = Layout("casme2", "sub01/EP02_01f/reg_img46.jpg", CASME2_LABELS, _row, _key)
read_casme = Layout("casme", "sub01/EP01_5/EP01_5-100.jpg", CASME_LABELS, _row, _key)
