"""The micro-expressions in the recordings of CAS(ME)^2: ``rawpic/s15/15_0401girlcrashing/img557.jpg``."""

from __future__ import annotations

from pathlib import Path

from htnet.core.official import official
from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.clips import find_clips
from htnet.data.datasets.recordings import square_key, square_rows
from htnet.data.datasets.sheets import find_sheet
from htnet.data.manifest import Manifest

LABELS = Labels(
    three={name: name for name in ("negative", "positive", "surprise")},
    own=("positive", "negative", "surprise", "others"),
    same={"other": "others"},
)
PATTERNS = official("casme_sq").sheets


def read_casme_sq(root: Path, annotation: Path | None, choices: Choices) -> Manifest:
    """Read the micro-expressions of CAS(ME)^2; see `htnet.data.read_dataset`."""
    sheet = annotation or find_sheet(root, PATTERNS, "CAS(ME)^2")
    rows = [
        Annotated.of(
            row,
            sample=f"{person}_{row.text['filename']}",
            subject=person,
            label=row.text["emotion"],
            clip=recording,
            expected=recording,
        )
        for row, recording, person in square_rows(sheet)
        if row.text["type"].casefold().startswith("micro")
    ]
    tree = find_clips(root, square_key, "CAS(ME)^2 (rawpic/s15/15_0401girlcrashing/img557.jpg)")
    return assemble("casme_sq", rows, tree, LABELS, choices, str(sheet))
