"""Clips: the folders of frames that belong to the rows of an annotation sheet."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from htnet.core.errors import ManifestError
from htnet.core.hints import SHEETS, hint, how
from htnet.core.hints import missing as does_not_exist

IMAGES = (".jpg", ".jpeg", ".png", ".bmp")
#: Maximum depth of a clip's folder below the root.
_DEPTH = 7


@dataclass(frozen=True)
class Clip:
    """The frames of one folder.

    Attributes:
        folder: the folder.
        files: the files by frame number, ascending. The frame number is the last number in the file's name, so
            ``img46.jpg``, ``reg_img046.png`` and ``006_0046.jpg`` are all frame 46.
    """

    folder: Path
    files: Mapping[int, Path]

    def expected(self, number: int) -> str:
        """Path that a missing frame would have, in the naming of the folder's other frames."""
        if not self.files:
            return str(self.folder / f"*{number}.jpg")
        model = next(iter(self.files.values()))
        start, digits = _split(model.stem)
        width = len(digits) if digits.startswith("0") else 1
        return str(model.with_name(f"{start}{number:0{width}d}{model.suffix}"))


@dataclass(frozen=True)
class Tree:
    """All clips of a data set.

    Attributes:
        folder: the folder to which the paths of clips are relative.
        clips: the folder of each clip, by key.
    """

    folder: Path
    clips: Mapping[str, Path]


def read_clip(folder: Path) -> Clip:
    """Read the names of the frames in a folder.

    Raises:
        ManifestError: two files have the same frame number, or the folder cannot be listed.
    """
    files: dict[int, Path] = {}
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise ManifestError(f"{folder} cannot be listed: {error.strerror}. Check its permissions.") from None
    for file in found:
        if file.suffix.lower() not in IMAGES or file.name.startswith(".") or not _split(file.stem)[1]:
            continue
        if not os.path.isfile(file):  # a folder of that name, or a broken link, is not a frame
            continue
        number = int(_split(file.stem)[1])
        if number in files:
            raise ManifestError(f"{folder}: {files[number].name} and {file.name} are both frame {number}. Remove one.")
        files[number] = file
    return Clip(folder, dict(sorted(files.items())))


#: Returns the key of a clip's folder and the folder of the whole tree; None for any other folder.
KeyOf = Callable[[Path], tuple[str, Path] | None]


def find_clips(root: Path, key_of: KeyOf, what: str, prefer: str = "") -> Tree:
    """Find the tree of clips that contains ``root`` or is in it.

    Args:
        root: start of the search.
        key_of: distinguishes clips from other folders.
        what: the data set and the form of its paths, for messages.
        prefer: name of the tree to use if there are several.

    Raises:
        ManifestError: there are no clips, or several trees of clips.
    """
    if not os.path.isdir(root):
        raise ManifestError(f"{root} is not a folder. Give the root of {what}.")
    trees: dict[Path, dict[str, Path]] = {}
    for key, tree, folder in _keyed(root, key_of, _DEPTH):
        trees.setdefault(tree, {}).setdefault(key, folder)
    if len(trees) > 1:
        trees = {tree: found for tree, found in trees.items() if tree.name == prefer} or trees
    if not trees:
        raise ManifestError(f"{root} contains no clips of {what}. Check the path.")
    if len(trees) > 1:
        names = ", ".join(str(tree) for tree in sorted(trees))
        raise ManifestError(
            f"{root} contains several copies of the clips of {what}: {names}. Give one of them as root, and annotation "
            "if the sheet is not there or one folder above."
        )
    return Tree(*trees.popitem())


def _keyed(folder: Path, key_of: KeyOf, depth: int) -> Iterator[tuple[str, Path, Path]]:
    """Key, tree and folder of the clips at most ``depth`` levels below ``folder``; folders of clips are not entered."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError as error:
        raise ManifestError(f"{folder} cannot be listed: {error.strerror}. Check its permissions.") from None
    for name in names:
        found = key_of(folder / name)
        if found is not None:
            yield *found, folder / name
        elif depth > 1:
            yield from _keyed(folder / name, key_of, depth - 1)


def _split(stem: str) -> tuple[str, str]:
    """The part of a file name before its last number, and the number's digits ("" if there is none)."""
    found = re.fullmatch(r"(.*?)([0-9]+)[^0-9]*", stem)
    return (found[1], found[2]) if found else (stem, "")


def check_root(root: Path, name: str) -> None:
    """Raise `ManifestError` unless the root of a data set is a folder that exists."""
    if not os.path.exists(root):
        raise ManifestError(does_not_exist(root))
    if not os.path.isdir(root):
        way = how(f"--root FOLDER --annotation {root}", f"root=FOLDER, annotation={str(root)!r}")
        sheet = root.suffix.lower() in SHEETS
        raise ManifestError(
            f"{root} is a file; the root of {name} is its folder. "
            + (f"Give them separately: {way}" if sheet else "")
            + ("" if sheet else hint(root).strip())
        )
