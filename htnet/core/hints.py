"""Hints for inputs of the wrong kind.

Every reader that is given the wrong kind of file, folder or name ends its error message with `hint`, which names the
command (or, in Python, the call) that accepts it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fnmatch import fnmatch
from os import PathLike
from pathlib import Path

from htnet.core.csv_files import first_rows
from htnet.core.errors import cause
from htnet.core.files import IMAGES as IMAGES
from htnet.core.limits import read_json
from htnet.core.megc import FORMS
from htnet.core.official import OFFICIAL, OfficialSet, official
from htnet.core.paths import as_path
from htnet.core.registry import MODELS, WEIGHTS, input_kind
from htnet.core.wings import wing_modules

VIDEOS = frozenset(
    {".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v", ".wmv", ".asf", ".mpg", ".mpeg", ".flv"}
    | {".ts", ".mts", ".m2ts", ".ogv", ".3gp", ".dv", ".gif", ".cine"}
)
CHECKPOINTS = frozenset({".pth", ".pt", ".ckpt"})
SHEETS = frozenset({".xlsx", ".xls", ".csv"})
#: Columns of annotation sheets, in lowercase without blanks and punctuation.
_SHEET_COLUMNS = ({"filename", "foldname", "sample"}, {"onset", "onsetframe", "onsetf"}, {"apex", "apexframe", "apexf"})
#: Depth to which folder trees of official sets are searched, and how many folders of each level.
_DEPTH, _WIDTH = 5, 4

_IN_COMMAND: ContextVar[bool] = ContextVar("in_command", default=False)


@dataclass(frozen=True)
class Door:
    """The kind of an input, and the command and call that accept it.

    Attributes:
        kind: "set", "manifest", "prepared", "recordings", "events", "video", "frames", "image", "weights", "run",
            "checkpoint" or "sheet"; wings add other kinds.
        what: the kind in words.
        command: the command that accepts it.
        call: the Python call that accepts it.
        name: name of a set.
    """

    kind: str
    what: str
    command: str
    call: str
    name: str = ""


@dataclass(frozen=True)
class Usage:
    """Commands and Python call for models that read images of one kind.

    Attributes:
        train: the command that trains them.
        predict: the command that predicts, with "{name}" for the weights.
        call: the Python call that predicts.
    """

    train: str = "htnet train"
    predict: str = "htnet predict ONSET APEX --weights {name}"
    call: str = "htnet.predict(onset, apex, weights={name!r})"


@dataclass(frozen=True)
class WingHints:
    """The inputs that a wing accepts; the module ``hints`` of the wing defines one as ``HINTS``.

    Attributes:
        input_kind: kind of images that its models read, see `htnet.models.EmotionModel.input_kind`.
        usage: how its models are used.
        of_folder: returns the kind of a folder; None if the wing does not know it.
        of_columns: returns the kind of a table, given its columns in lowercase and the path of the table or its folder.
        of_image: the command and the call that accept one image.
    """

    input_kind: str
    usage: Usage
    of_folder: Callable[[Path], Door | None]
    of_columns: Callable[[frozenset[str], Path], Door | None]
    of_image: tuple[str, str]


def wing_hints() -> list[WingHints]:
    """The hints of all installed wings."""
    return [module.HINTS for module in wing_modules("hints")]


def usage_of(kind: str) -> Usage:
    """How models that read images of a kind are used."""
    return next((wing.usage for wing in wing_hints() if wing.input_kind == kind), Usage())


def in_command() -> bool:
    """Whether messages name commands instead of Python calls."""
    return _IN_COMMAND.get()


@contextmanager
def as_command(value: bool = True) -> Iterator[None]:
    """Context manager: inside it, messages name commands instead of Python calls."""
    token = _IN_COMMAND.set(value)
    try:
        yield
    finally:
        _IN_COMMAND.reset(token)


def how(command: str, call: str) -> str:
    """The command if a command is running, otherwise the Python call."""
    return command if in_command() else call


def hint(path: str | PathLike[str]) -> str:
    """A sentence, after a blank, that states the kind of ``path`` and what accepts it; "" if the kind is unknown."""
    door = door_of(path)
    if door is None:
        return "" if os.path.exists(path) else named(str(path))
    return f" {path} is {door.what}: {how(door.command, door.call)}"


def missing(path: str | PathLike[str]) -> str:
    """The message that a file or folder does not exist, with the part of its path that does."""
    path = as_path(path)
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        return f"{path} cannot be opened ({cause(error)}). Check the path.{named(str(path))}"
    there = next((p for p in path.absolute().parents if os.path.isdir(p)), Path(path.anchor or "."))
    return f"{path} does not exist; the last existing folder of its path is {there}. Check the path.{named(str(path))}"


def named(name: str) -> str:
    """A sentence, after a blank, on the use of a name of weights, a model or a data set; "" for any other name."""
    if name in WEIGHTS:
        command, call = _use_of_weights(name, input_kind(name))
        return f" {name} is the name of trained weights: {how(command, call)}"
    return _model(name) if name in MODELS else _set(name)


def name_hint(name: str, models: frozenset[str] | None = None) -> str:
    """A sentence, after a blank, on a name of the wrong kind: weights given as a model, or a model given as weights.

    Args:
        name: the name that was given.
        models: names of models if weights were expected; None if a model was expected.
    """
    if models is not None:
        return _model(name) if name in models else _set(name)
    if name not in WEIGHTS and not os.path.isfile(Path(name) / "config.json"):
        return _set(name)
    usage = usage_of(input_kind(name) if name in WEIGHTS else _folder_kind(Path(name)))
    use = usage.predict.format(name=name)
    command = f"{usage.train} --data DATA --out OUT --start {name} (train), {use} (use)"
    call = f"htnet.load_pretrained({name!r})"
    if name in WEIGHTS:
        call += f", or htnet.create_model({WEIGHTS[name].model!r}, pretrained={name!r})"
    return f" {name} names trained weights: {how(command, call)}"


def _model(name: str) -> str:
    usage = usage_of(input_kind(name))
    command = f"{usage.train} --data DATA --model {name} --out weights/{name}, then --weights weights/{name}"
    return f" {name} is a model without weights: train it, {how(command, f'htnet.models.create_model({name!r})')}"


def _set(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKC", name).casefold())
    titles = {
        re.sub(r"[^a-z0-9]", "", word.casefold()): known for known in OFFICIAL for word in (known.name, known.title)
    }
    known = titles.get(plain)
    if known is None:
        return ""
    command = f"htnet prepare {known.name} --root FOLDER --out OUT, then --data OUT"
    call = f"htnet.data.read_dataset({known.name!r}, folder)"
    return f" {name} is the name of a data set; give its folder: {how(command, call)}"


def door_of(path: str | PathLike[str]) -> Door | None:
    """The kind of a file or folder, detected from content and name; None if it is unknown or does not exist."""
    path = Path(path)
    try:
        return _of_folder(path) if os.path.isdir(path) else _of_file(path) if os.path.isfile(path) else None
    except OSError:
        return None


def _of_folder(path: Path) -> Door | None:
    if os.path.isfile(path / "config.json") and os.path.isfile(path / "model.safetensors"):
        return _weights(path)
    if os.path.isfile(path / "summary.json") and os.path.isfile(path / "run.json"):
        return Door(
            "run",
            "a run of htnet loso, whose results are in summary.json and predictions.csv",
            f"htnet train --metrics {path / 'summary.json'} ... takes its scores",
            "htnet.evaluation.loso(..., out=...) resumes it",
        )
    if os.path.isfile(path / "manifest.csv"):
        return _of_columns(path / "manifest.csv", path)
    for wing in wing_hints():
        if (own := wing.of_folder(path)) is not None:
            return own
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
        others = [wing.of_image for wing in wing_hints()]
        commands = ["htnet predict ONSET APEX takes two frames", *(text.format(path=path) for text, _ in others)]
        return Door(
            "image",
            "one image",
            ", ".join(commands),
            ", or ".join(["htnet.predict(onset, apex)", *(call for _, call in others)]),
        )
    if ending in CHECKPOINTS:
        folder = path.with_suffix("")
        call = f"htnet.models.convert_checkpoint({str(path)!r})"
        return Door("checkpoint", "a checkpoint", f"htnet convert {path} {folder}", call)
    if path.name in ("summary.json", "run.json", "predictions.csv") and os.path.isfile(path.parent / "run.json"):
        return _of_folder(path.parent)
    if path.name in ("config.json", "model.safetensors") and os.path.isfile(path.parent / "config.json"):
        return _weights(path.parent)
    if ending in SHEETS:
        if (found := _by_sheet(path.name)) is not None:
            return _official(found, path.parent, path)
        return _of_columns(path, path) if ending == ".csv" else _sheet(path)
    return None


def official_set(path: Path) -> OfficialSet | None:
    """The official data set that a folder contains, recognized by its annotation or by its folder names."""
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
    """The first few folders of each level below a folder."""
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
    """The kind of a CSV file, by its header."""
    columns = _columns(table)
    for wing in wing_hints():
        if (own := wing.of_columns(columns, path)) is not None:
            return own
    header = {name.strip().casefold() for name in (first_rows(table) or [[]])[0]}
    if {"recording", "kind", "onset", "offset"} <= header:
        return Door(
            "recordings",
            "a table of recordings and their events",
            f"htnet evaluate-spotting --truth {path} --predictions TABLE",
            f"htnet.data.read_recordings({str(path)!r})",
        )
    if any(set(form) <= header for form in FORMS.values()):
        return Door(
            "events",
            "a table of events in the form of the spotting challenges (MEGC)",
            f"htnet evaluate-spotting --truth TABLE --predictions {path}",
            f"htnet.data.read_events({str(path)!r})",
        )
    if "sample" in columns and columns & {"flow", "onset", "clip"}:
        if "onset" in columns and "flow" not in columns:
            return _manifest(path)
        return Door(
            "prepared",
            "a manifest of flow images",
            f"htnet train --data {path} --out OUT, or htnet loso --data {path}",
            f"htnet.data.open_data({str(path)!r})",
        )
    if {"sample", "prediction"} <= columns:
        return Door(
            "predictions",
            "a table of predictions",
            "htnet predict --manifest SAMPLES.csv wrote it; --data takes the prepared folder of those samples",
            "htnet.data.open_data(...) reads the prepared folder of its samples",
        )
    if columns >= {"x_0", "y_0"} or columns >= {"image_left_eye_x", "image_left_eye_y"}:
        return Door(
            "landmarks",
            "a table of facial points",
            f"--landmarks {path} works in htnet predict, htnet spot and htnet prepare",
            f"htnet.preprocess.make_landmarker({str(path)!r}), for landmarks=",
        )
    if {"imagename_onset", "imagename_apex"} <= columns:
        return _official(official("casme3"), table.parent, table)
    plain = {re.sub(r"[^a-z0-9]", "", name) for name in columns}
    return _sheet(table) if all(plain & names for names in _SHEET_COLUMNS) else None


def _columns(table: Path) -> frozenset[str]:
    """Columns, in lowercase, that are not empty in the first row of a CSV file; all columns if it has no rows."""
    names, *rows = first_rows(table) or [[]]
    values = rows[0] if rows else names
    return frozenset(name.strip().casefold() for name, value in zip(names, values, strict=False) if value.strip())


def _manifest(path: Path) -> Door:
    table = path / "manifest.csv" if os.path.isdir(path) else path
    command, call = prepare_manifest(path)
    return Door(
        "manifest",
        "a manifest of frames, which have no flow images yet",
        f"{command}; or htnet predict --manifest {table} --out PREDICTIONS.csv",
        f"{call}; or htnet.Predictor().manifest(htnet.data.read_manifest({str(table)!r}))",
    )


def prepare_manifest(path: str | PathLike[str]) -> tuple[str, str]:
    """How to compute flow images from a manifest of frames: the command and the call."""
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


def _weights(path: Path) -> Door:
    command, call = _use_of_weights(str(path), _folder_kind(path))
    return Door("weights", "a folder of trained weights", command, call)


def _folder_kind(path: Path) -> str:
    """Kind of images that the weights in a folder read; "" if their config does not state it."""
    try:
        return str(read_json(path / "config.json")["input_kind"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _use_of_weights(name: str, kind: str) -> tuple[str, str]:
    """How to use trained weights: the command and the call."""
    usage = usage_of(kind)
    command = f"{usage.predict.format(name=name)}, or {usage.train} ... --start {name}"
    return command, f"{usage.call.format(name=name)}, or htnet.load_pretrained({name!r})"
