"""Files that show one person and are listed under two: the same file, or copies of it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

from htnet.core.errors import ManifestError
from htnet.core.identity import differ, person, shared
from htnet.core.paths import real_path

#: Block size in bytes; the first block of files is compared before whole files are.
_BLOCK = 1 << 16
#: Fields of a sample that name a file that shows one person.
_FILES = ("onset", "apex", "flow", "image", "motion")
#: A sample and the path of one of its files.
_Has = tuple[Any, str]


def check_files(samples: Iterable[Any], source: str) -> None:
    """Refuse a file, or two files with equal bytes, that belong to two people or two data sets; every split is checked.

    Args:
        samples: the samples, with ``sample``, ``dataset``, ``subject`` and files, as `htnet.data.Sample` has them.
        source: where they were read from.

    Raises:
        ManifestError: there is such a file; the message names it and both samples.
    """
    by_name: dict[tuple[str, ...], list[_Has]] = {}
    by_size: dict[tuple[Any, ...], list[_Has]] = {}
    for sample in samples:
        files: list[tuple[str, ...]] = [
            (str(getattr(sample, name)),) for name in _FILES if getattr(sample, name, None) is not None
        ]
        if getattr(sample, "clip", None) is not None:
            files.append((str(sample.clip), sample.clip_first, sample.clip_last))
        for path, *part in files:
            by_name.setdefault((_one_file(path), *part), []).append((sample, path))
            if (size := _size(path)) is not None:
                by_size.setdefault((size, *part), []).append((sample, path))
    for members in by_name.values():
        if (pair := _apart(members)) is not None:
            (one, path), (other, _) = pair
            raise ManifestError(shared(source, one, other, f"have the file {path}"))
    # Files are read only if two people have files of that size, and completely only if their first blocks are equal.
    alike = [members for members in by_size.values() if _apart(members)]
    for whole in (False, True):
        alike = [group for members in alike for group in _by_content(members, whole) if _apart(group)]
    for members in alike:
        if (pair := _apart(members)) is not None:
            (one, path), (other, copy) = pair
            what = f"have the same picture or recording: {path} and {copy} are equal, byte for byte"
            raise ManifestError(shared(source, one, other, what))


def _apart(members: Sequence[_Has]) -> tuple[_Has, _Has] | None:
    """Two samples that may be on different sides of a split, each with its file; None if there are none."""
    people: dict[tuple[str, str], _Has] = {}
    for member in members:
        people.setdefault(person(member[0].dataset, member[0].subject), member)
    return next(((a, b) for a, b in combinations(people.values(), 2) if differ(a[0], b[0])), None)


def _by_content(members: Sequence[_Has], whole: bool) -> list[list[_Has]]:
    groups: dict[str, list[_Has]] = {}
    for sample, path in members:
        if (digest := _digest_of(path, whole)) is not None:
            groups.setdefault(digest, []).append((sample, path))
    return list(groups.values())


def _size(path: str) -> int | None:
    """Size of a file in bytes; None for a folder, an empty file or a missing file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size or None if stat.S_ISREG(found.st_mode) else None


def _digest_of(path: str, whole: bool) -> str | None:
    """The hash of a file or of its first block; None if it cannot be read, which its reader reports later."""
    try:
        found = os.stat(path)
        return _hash(path, whole, found.st_size, found.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=65536)
def _hash(path: str, whole: bool, size: int, changed: int) -> str:
    """The hash, cached until the file changes, because an evaluation splits its samples many times."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            if not whole:
                break
    return digest.hexdigest()


def _one_file(path: str) -> str:
    """An identifier that is the same for all names of a file, including links."""
    real = real_path(path)
    try:
        found = os.stat(real)
    except OSError:  # the file need not exist
        return real
    return f"{found.st_dev}:{found.st_ino}" if found.st_ino else real
