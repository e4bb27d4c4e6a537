"""Reader of data sets with one annotation sheet and one folder of frames per clip, which differ only in naming."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from htnet.core.errors import ManifestError
from htnet.core.official import official
from htnet.data.datasets.assemble import Annotated, Choices, Labels, assemble
from htnet.data.datasets.clips import find_clips
from htnet.data.datasets.sheets import SheetRow, find_sheet, read_sheet
from htnet.data.manifest import Manifest

#: Columns that every such sheet has.
COLUMNS = ("subject", "onset", "apex", "offset", "emotion")


@dataclass(frozen=True)
class Layout:
    """How the sheet and the folder tree of a data set name its clips; calling it reads the data set.

    Attributes:
        name: one of `htnet.data.DATASETS`.
        example: path of a frame, for messages.
        labels: labels and classes of the data set.
        row: returns the annotation in a row of the sheet.
        key: returns the key of a clip's folder, as in ``row``, and the folder of the subjects; None for other folders.
        listed: whether only folders whose key is in the sheet are clips.
    """

    name: str
    example: str
    labels: Labels
    row: Callable[[SheetRow], Annotated]
    key: Callable[[Path], tuple[str, Path] | None]
    listed: bool = False

    def __call__(self, root: Path, annotation: Path | None, choices: Choices) -> Manifest:
        known = official(self.name)
        sheet = annotation or find_sheet(root, known.sheets, known.title)
        rows = [self.row(row) for row in read_sheet(sheet, COLUMNS)]
        wanted = {row.clip for row in rows}

        def key(folder: Path) -> tuple[str, Path] | None:
            found = self.key(folder)
            return found if found is not None and (found[0] in wanted or not self.listed) else None

        tree = find_clips(root, key, f"{known.title} ({self.example})")
        return assemble(self.name, rows, tree, self.labels, choices, str(sheet))


def numbered_subject(row: SheetRow, pattern: str, form: str, example: str) -> str:
    """The subject of a row in a uniform spelling.

    Args:
        row: the row of a sheet.
        pattern: regular expression for the cell, with the subject's number as group 1; case is ignored.
        form: format of the subject, such as "sub{:02d}".
        example: example of a cell, for the message.

    Raises:
        ManifestError: the cell does not match the pattern; the message names the cell.
    """
    found = re.fullmatch(pattern, row.text["subject"], re.IGNORECASE)
    if found is None:
        raise ManifestError(f"{row.where}: the subject is {row.text['subject']!r}; give {example}.")
    return form.format(int(found[1]))
