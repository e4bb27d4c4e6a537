"""MMEW: ``Micro_Expression/happiness/S01-01-001/1.jpg`` and ``MMEW_Micro_Exp.xlsx``."""

from __future__ import annotations

import re
from pathlib import Path

from htnet.data.datasets.assemble import Annotated, Labels
from htnet.data.datasets.layout import Layout, numbered_subject
from htnet.data.datasets.sheets import SheetRow

LABELS = Labels(
    three={
        "happiness": "positive",
        "surprise": "surprise",
        **dict.fromkeys(("anger", "disgust", "fear", "sadness"), "negative"),
    },
    own=("happiness", "anger", "surprise", "disgust", "fear", "sadness", "others"),
    same={"other": "others"},
)


def _row(row: SheetRow) -> Annotated:
    subject, name = numbered_subject(row, r"S?0*([0-9]+)", "S{:02d}", "one such as S01"), row.text["filename"]
    return Annotated.of(
        row,
        sample=f"{subject}_{name}",
        subject=subject,
        label=row.text["emotion"],
        clip=name,
        expected=f"{row.text['emotion']}/{name}",
    )


def _key(folder: Path) -> tuple[str, Path] | None:
    name = folder.name.casefold()
    return (name, folder.parents[1]) if re.fullmatch(r"s[0-9]+(-[0-9]+)+", name) else None


read_mmew = Layout("mmew", "Micro_Expression/happiness/S01-01-001/1.jpg", LABELS, _row, _key)
