"""What somebody gave where something else is meant, and what to do with it instead.

Every reader that is given the wrong kind of file, folder or name ends its message with `hint`, so that the answer names
the command (or, in Python, the call) that takes it.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fnmatch import fnmatch
from os import PathLike
from pathlib import Path

from htnet.core.official import OFFICIAL, OfficialSet, official
from htnet.core.registry import MODELS, WEIGHTS, reads_faces

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
VIDEOS = frozenset(
    {".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v", ".wmv", ".asf", ".mpg", ".mpeg", ".flv"}
    | {".ts", ".mts", ".m2ts", ".ogv", ".3gp", ".dv", ".gif"}
)
CHECKPOINTS = frozenset({".pth", ".pt", ".ckpt"})
SHEETS = frozenset({".xlsx", ".xls", ".csv"})
#: Columns of annotation sheets, in small letters without blanks and signs.
_SHEET_COLUMNS = ({"filename", "foldname", "sample"}, {"onset", "onsetframe", "onsetf"}, {"apex", "apexframe", "apexf"})
#: How deep official trees are looked into, and how many folders of each level.
_DEPTH, _WIDTH = 5, 4

_IN_COMMAND: ContextVar[bool] = ContextVar("in_command", default=False)


@dataclass(frozen=True)
class Door:
    """What something is, and the way in that takes it.

    Attributes:
        kind: "set", "manifest", "prepared", "faces", "grades", "video", "frames", "image", "weights", "run",
            "checkpoint" or "sheet".
        what: the same in words.
        command: the command that takes it.
        call: the same in Python.
        name: of a set, its name.
    """

    kind: str
    what: str
    command: str
    call: str
    name: str = ""


def in_command() -> bool:
    """Whether messages name commands in place of Python calls."""
    return _IN_COMMAND.get()


@contextmanager
def as_command(value: bool = True) -> Iterator[None]:
    """While a command runs: messages name commands in place of Python calls."""
    token = _IN_COMMAND.set(value)
    try:
        yield
    finally:
        _IN_COMMAND.reset(token)


def how(command: str, call: str) -> str:
    """The way to do something, as the user would write it: a command or a call."""
    return command if in_command() else call


def hint(path: str | PathLike[str]) -> str:
    """A sentence, after a blank, that says what ``path`` is and what takes it; "" if that is not known."""
    door = door_of(path)
    if door is None:
        return "" if os.path.exists(path) else named(str(path))
    return f" {path} is {door.what}: {how(door.command, door.call)}"


def missing(path: str | PathLike[str]) -> str:
    """A sentence that a file or folder does not exist, and which part of its path does."""
    path = Path(path)
    there = next((p for p in path.absolute().parents if p.is_dir()), Path(path.anchor or "."))
    return f"{path} does not exist; the last folder on the way that does is {there}. Check the path.{named(str(path))}"


def named(name: str) -> str:
    """A sentence, after a blank, for a word that names weights, a model or a data set; "" for any other."""
    if name in WEIGHTS:
        command, call = _use_of_weights(name, reads_faces(name))
        return f" {name} is the name of trained weights: {how(command, call)}"
    return _model(name) if name in MODELS else _set(name)


def name_hint(name: str, models: frozenset[str] | None = None) -> str:
    """A sentence, after a blank, for a name that is of another kind: weights given as a model, or a model as weights.

    Args:
        name: what was given.
        models: names of models where weights are meant; None where a model is meant.
    """
    if models is not None:
        return _model(name) if name in models else _set(name)
    if name not in WEIGHTS and not (Path(name) / "config.json").is_file():
        return _set(name)
    use = "htnet palsy predict" if name in WEIGHTS and reads_faces(name) else "htnet predict"
    command = f"htnet train --data DATA --out OUT --start {name} (train), {use} ... --model {name} (use)"
    return f" {name} names trained weights: {how(command, f'htnet.load_pretrained({name!r})')}"


def _model(name: str) -> str:
    train = "htnet palsy train" if reads_faces(name) else "htnet train"
    command = f"{train} --data DATA --model {name} --out weights/{name}, then --model weights/{name}"
    return f" {name} is a model without weights: train it, {how(command, f'htnet.models.create_model({name!r})')}"


def _set(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    titles = {
        re.sub(r"[^a-z0-9]", "", word.casefold()): known for known in OFFICIAL for word in (known.name, known.title)
    }
    known = titles.get(plain)
    if known is None:
        return ""
    command = f"htnet prepare {known.name} --root FOLDER --out OUT, then --data OUT"
    call = f"htnet.data.read_dataset({known.name!r}, folder)"
    return f" {name} is the name of a data set, whose folder is meant: {how(command, call)}"


def door_of(path: str | PathLike[str]) -> Door | None:
    """What a file or folder is, by its content and name; None if it is nothing known or does not exist."""
    path = Path(path)
    try:
        return _of_folder(path) if path.is_dir() else _of_file(path) if path.is_file() else None
    except OSError:
        return None


def _of_folder(path: Path) -> Door | None:
    if (path / "config.json").is_file() and (path / "model.safetensors").is_file():
        return _weights(path)
    if (path / "summary.json").is_file() and (path / "run.json").is_file():
        return Door(
            "run",
            "a run of htnet loso, whose results are in summary.json and predictions.csv",
            f"htnet train --metrics {path / 'summary.json'} ... takes its scores",
            "htnet.evaluation.loso(..., out=...) goes on with it",
        )
    if (path / "manifest.csv").is_file():
        return _of_columns(path / "manifest.csv", path)
    if (path / "cohn-kanade-images").is_dir() or any(re.match(r"grade[ _-]?\d", name) for name in _folders(path)):
        return _grades(path)
    if (found := official_set(path)) is not None:
        return _official(found, path, None)
    if sum(1 for p in _files(path) if p.suffix.lower() in IMAGES) > 1:
        return Door(
            "frames",
            "a folder of frames",
            f"htnet predict {path}, or htnet spot {path}",
            f"htnet.predict_video({str(path)!r})",
        )
    return None


def _of_file(path: Path) -> Door | None:
    ending = path.suffix.lower()
    if ending in VIDEOS:
        call = f"htnet.predict_video({str(path)!r})"
        return Door("video", "a video", f"htnet predict {path} (alone), or htnet spot {path}", call)
    if ending in IMAGES:
        return Door(
            "image",
            "one image",
            f"htnet predict ONSET APEX takes two frames, htnet palsy predict {path} --weights WEIGHTS one face",
            "htnet.predict(onset, apex), or htnet.palsy.GradePredictor(weights).image(face)",
        )
    if ending in CHECKPOINTS:
        folder = path.with_suffix("")
        call = f"htnet.models.convert_checkpoint({str(path)!r})"
        return Door("checkpoint", "a checkpoint", f"htnet convert {path} {folder}", call)
    if path.name in ("summary.json", "run.json", "predictions.csv") and (path.parent / "run.json").is_file():
        return _of_folder(path.parent)
    if path.name in ("config.json", "model.safetensors") and (path.parent / "config.json").is_file():
        return _weights(path.parent)
    if ending in SHEETS:
        if (found := _by_sheet(path.name)) is not None:
            return _official(found, path.parent, path)
        return _of_columns(path, path) if ending == ".csv" else _sheet(path)
    return None


def official_set(path: Path) -> OfficialSet | None:
    """The official data set that a folder holds, by its annotation or by the form of its folders."""
    for file in (*_files(path), *(_files(path.parent) if path.name else ())):
        if file.suffix.lower() in SHEETS and (found := _by_sheet(file.name)) is not None and file.parent == path:
            return found
    clips = [str(p).replace(os.sep, "/").casefold() for p in _below(path.absolute(), _DEPTH)]
    counts = [(sum(1 for clip in clips if re.search(known.clip, clip)), known) for known in OFFICIAL]
    most = max(count for count, _ in counts)
    return next(known for count, known in counts if count == most) if most else None


def _by_sheet(name: str) -> OfficialSet | None:
    return next((s for s in OFFICIAL if any(fnmatch(name.casefold(), pattern) for pattern in s.sheets)), None)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """Some folders of each level below a folder."""
    for name in _folders(folder)[: _WIDTH if depth < _DEPTH else 3 * _WIDTH]:
        yield folder / name
        if depth > 1:
            yield from _below(folder / name, depth - 1)


def _folders(path: Path) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _files(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_file() and not entry.name.startswith("."))


def _of_columns(table: Path, path: Path) -> Door | None:
    """What a CSV file is by its header."""
    columns = _columns(table)
    if "sample" in columns and columns & {"flow", "onset", "image", "clip"}:
        if "image" in columns and not columns & {"flow", "onset"}:
            command = f"htnet palsy train --data {path} --out OUT, or htnet palsy evaluate"
            return Door("faces", "a set of prepared faces", command, "htnet.palsy.train_palsy")
        if "onset" in columns and "flow" not in columns:
            return _manifest(path)
        return Door(
            "prepared",
            "a manifest of flow images",
            f"htnet train --data {path} --out OUT, or htnet loso --data {path}",
            f"htnet.data.open_data({str(path)!r})",
        )
    if {"image_path", "grade"} <= columns:
        return _grades(path)
    if {"imagename_onset", "imagename_apex"} <= columns:
        return _official(official("casme3"), table.parent, table)
    plain = {re.sub(r"[^a-z0-9]", "", name) for name in columns}
    return _sheet(table) if all(plain & names for names in _SHEET_COLUMNS) else None


def _columns(table: Path) -> set[str]:
    """Columns of a CSV file that its first row fills, in small letters; all, if it has no row."""
    try:
        with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = [file.readline(10_000), file.readline(10_000)]
    except OSError:
        return set()
    mark = max(",;\t", key=lines[0].count)
    try:
        names, *rows = csv.reader([line for line in lines if line.strip()], delimiter=mark)
    except (ValueError, csv.Error):
        return set()
    values = rows[0] if rows else names
    return {name.strip().casefold() for name, value in zip(names, values, strict=False) if value.strip()}


def _manifest(path: Path) -> Door:
    table = path / "manifest.csv" if path.is_dir() else path
    command, call = prepare_manifest(path)
    return Door(
        "manifest",
        "a manifest of frames, which have no flow images yet",
        f"{command}; or htnet predict --manifest {table} --out PREDICTIONS.csv",
        f"{call}; or htnet.Predictor().manifest(htnet.data.read_manifest({str(table)!r}))",
    )


def prepare_manifest(path: str | PathLike[str]) -> tuple[str, str]:
    """How flow images are made of a manifest of frames: the command and the call."""
    path = Path(path)
    out = (path.parent if path.suffix.lower() == ".csv" and path.name == "manifest.csv" else path.with_suffix("")).name
    out = f"{out or 'own'}-flow"
    read = f"htnet.data.open_data({str(path)!r})"
    return (
        f"htnet prepare manifest --root {path} --out {out}, then --data {out}",
        f"htnet.data.prepare.prepare({read}, {out!r}, landmarker='yunet'), then htnet.data.open_data({out!r})",
    )


def _official(found: OfficialSet, root: Path, sheet: Path | None) -> Door:
    out = f"{found.name}-flow"
    more, argument = "", ""
    if sheet is not None:
        more, argument = f" --annotation {sheet}", f", annotation={str(sheet)!r}"
    what = f"{found.title} in its official layout" if sheet is None else f"the annotation of {found.title}"
    read = f"htnet.data.read_dataset({found.name!r}, {str(root)!r}{argument})"
    return Door(
        "set",
        what + ", which must be prepared first",
        f"htnet prepare {found.name} --root {root}{more} --out {out}, then --data {out}",
        f"htnet.data.prepare.prepare({read}, {out!r}, landmarker='yunet'), then htnet.data.open_data({out!r})",
        found.name,
    )


def _sheet(path: Path) -> Door:
    return Door(
        "sheet",
        "an annotation sheet",
        f"htnet prepare SET --root FOLDER --annotation {path} --out OUT, where SET is one of htnet prepare --help",
        f"htnet.data.read_dataset(name, root, annotation={str(path)!r})",
    )


def _grades(path: Path) -> Door:
    return Door(
        "grades",
        "a set of graded faces",
        f"htnet palsy prepare {path} --out OUT, then htnet palsy train --data OUT",
        f"htnet.palsy.prepare_faces(htnet.palsy.read_palsy({str(path)!r}), 'out')",
    )


def _weights(path: Path) -> Door:
    command, call = _use_of_weights(str(path), _reads_faces(path))
    return Door("weights", "a folder of trained weights", command, call)


def _reads_faces(path: Path) -> bool:
    """Whether weights in a folder are of a model that reads faces."""
    try:
        return bool(json.loads((path / "config.json").read_text("utf-8"))["input_kind"] == "face")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _use_of_weights(name: str, faces: bool) -> tuple[str, str]:
    """How trained weights are used: the command and the call."""
    use = f"htnet palsy predict FACE --weights {name}" if faces else f"htnet predict ONSET APEX --weights {name}"
    start = f"htnet palsy train ... --start {name}" if faces else f"htnet train ... --start {name}"
    call = f"htnet.palsy.GradePredictor({name!r})" if faces else f"htnet.predict(onset, apex, weights={name!r})"
    return f"{use}, or {start}", f"{call}, or htnet.load_pretrained({name!r})"
