"""SAMM: ``006/006_1_2/006_05562.jpg`` and ``SAMM_Micro_FACS_Codes_v2.xlsx``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from htnet.data.datasets.assemble import Annotated, Labels
from htnet.data.datasets.layout import Layout, numbered_subject
from htnet.data.datasets.sheets import SheetRow

LABELS = Labels(
    three={
        **dict.fromkeys(("anger", "contempt", "disgust", "fear", "sadness"), "negative"),
        "happiness": "positive",
        "surprise": "surprise",
    },
    own=("happiness", "surprise", "anger", "contempt", "other"),
    other=("disgust", "fear", "sadness"),
    same={"others": "other", "happy": "happiness"},
)


def _row(row: SheetRow) -> Annotated:
    subject = numbered_subject(row, r"([0-9]+)", "{:03d}", "a number such as 006")
    return Annotated.from_row(replace(row, text={**row.text, "filename": _named(row.text["filename"])}), subject)


def _key(folder: Path) -> tuple[str, Path] | None:
    parent = folder.parent.name
    if not re.fullmatch(r"[0-9]+", parent) or not re.match(rf"0*{int(parent)}_", folder.name):
        return None
    return f"{int(parent):03d}/{_named(folder.name)}".casefold(), folder.parents[1]


def _named(text: str) -> str:
    """A clip's name with three digits for the subject, as in SAMM; some copies have 6_1_2 instead of 006_1_2."""
    found = re.fullmatch(r"0*([0-9]+)(_.*)", text)
    return f"{int(found[1]):03d}{found[2]}" if found else text


read_samm = Layout("samm", "006/006_1_2/006_05562.jpg", LABELS, _row, _key)
