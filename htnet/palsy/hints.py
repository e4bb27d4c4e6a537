"""Inputs that this wing reads, for hints in the messages of all of htnet."""

from __future__ import annotations

import os
import re
from pathlib import Path

from htnet.core.hints import Door, Usage, WingHints

_GRADE = re.compile(r"grade[ _-]?\d")


def _of_folder(path: Path) -> Door | None:
    graded = os.path.isdir(path / "cohn-kanade-images") or any(
        _GRADE.match(p.name) and os.path.isdir(p) for p in path.iterdir()
    )
    return _grades(path) if graded else None


def _of_columns(columns: frozenset[str], path: Path) -> Door | None:
    if {"sample", "image"} <= columns and not columns & {"flow", "onset"}:
        folder = path.parent if path.name == "manifest.csv" else path
        command = f"htnet palsy train --data {folder} --out OUT, or htnet palsy evaluate"
        return Door("faces", "a set of prepared faces", command, "htnet.palsy.train_palsy")
    return _grades(path) if {"image_path", "grade"} <= columns else None


def _grades(path: Path) -> Door:
    return Door(
        "grades",
        "a set of graded faces",
        f"htnet palsy prepare {path} --out OUT, then htnet palsy train --data OUT",
        f"htnet.palsy.prepare_faces(htnet.palsy.read_palsy({str(path)!r}), 'out')",
    )


HINTS = WingHints(
    input_kind="face",
    usage=Usage(
        train="htnet palsy train",
        predict="htnet palsy predict FACE --weights {name}",
        call="htnet.palsy.GradePredictor({name!r})",
    ),
    of_folder=_of_folder,
    of_columns=_of_columns,
    of_image=(
        "htnet palsy predict {path} --weights WEIGHTS one face",
        "htnet.palsy.GradePredictor(weights).image(face)",
    ),
)
