"""4DME, the gray videos of micro-expressions: ``gray_micro/SUBJECT/CLIP/*.jpg`` and its sheet."""

from __future__ import annotations

from pathlib import Path

from htnet.data.datasets.assemble import Annotated, Labels
from htnet.data.datasets.layout import Layout
from htnet.data.datasets.sheets import SheetRow

_OWN = ("positive", "negative", "surprise", "repression", "others")
#: Repression is negative, as in MEGC 2019 for CASME II.
LABELS = Labels(
    three={"positive": "positive", "negative": "negative", "repression": "negative", "surprise": "surprise"},
    own=_OWN,
    # Combined emotions such as "Surprise+Positive" belong to no single class.
    other=tuple("+".join((a, b)) for a in _OWN for b in _OWN if a != b),
    same={"other": "others"},
)


def _row(row: SheetRow) -> Annotated:
    label = "+".join(part.strip() for part in row.text["emotion"].split("+"))
    return Annotated.from_row(row, row.text["subject"], label)


def _key(folder: Path) -> tuple[str, Path] | None:
    return f"{folder.parent.name}/{folder.name}".casefold(), folder.parents[1]


read_4dme = Layout("4dme", "gray_micro/SUBJECT/CLIP/*.jpg", LABELS, _row, _key, listed=True)
