"""Downloads from the Hub into its client's cache: only files with the hash that the Hub announced are kept.

The client checks the length of a download, not its content, and stores it under the announced hash: SHA-256 of a large
file, Git's hash of a small one. Without this check, wrong content of the right length would be used from then on.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from htnet.core.errors import CorruptWeightsError

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def is_what_was_announced(path: Path) -> bool:
    """Whether the content of a cached file matches the hash in its name; True if the name is not a hash.

    Args:
        path: path that the client returned: a link to a file that is named by its hash. On systems without links there
            is no such name.
    """
    blob = Path(os.path.realpath(path))
    if not os.path.islink(path) or not _HASH.fullmatch(blob.name):
        return True
    if len(blob.name) == 64:
        digest = hashlib.sha256()
    else:
        # Git's hash. SHA-1 is not a security risk here: whoever can answer for the Hub can announce any hash.
        digest = hashlib.sha1(b"blob %d\0" % blob.stat().st_size, usedforsecurity=False)
    with blob.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest() == blob.name


@contextmanager
def kept_copy(known: object) -> Iterator[Callable[[], None]]:
    """Keep a copy of a cached file while the file is downloaded again.

    Args:
        known: path of the cached file, or anything else if it is not in the cache.

    Yields:
        A function that restores the file from the copy.
    """
    if not isinstance(known, str) or not is_what_was_announced(Path(known)):
        yield lambda: None
        return
    blob = Path(os.path.realpath(known))
    kept = blob.with_name(f"{blob.name}.kept.incomplete")  # the client's ending for incomplete files
    with suppress(OSError):
        kept.unlink(missing_ok=True)
        try:
            os.link(blob, kept)
        except OSError:  # no links on this file system
            shutil.copy2(blob, kept)

    def put_back() -> None:
        if os.path.isfile(kept):
            kept.replace(blob)

    try:
        yield put_back
    finally:
        with suppress(OSError):
            kept.unlink(missing_ok=True)


def fetch_verified(fetch: Callable[[], Path], known: object, came: Callable[[], bool], what: str) -> Path:
    """Fetch a file into the cache. Wrong content is removed, and the file is fetched once more.

    Args:
        fetch: fetches the file and returns its path.
        known: path of the cached file, which is downloaded again; anything else if it is not in the cache.
        came: returns whether anything was downloaded.
        what: name of the file, for messages.

    Raises:
        CorruptWeightsError: the content was wrong twice.
    """
    with kept_copy(known) as put_back:
        try:
            for _ in range(2):
                path = fetch()
                if not came() or is_what_was_announced(path):
                    return path
                Path(os.path.realpath(path)).unlink(missing_ok=True)
            raise CorruptWeightsError(
                f"The Hub twice sent content for {what} that does not have the hash that the Hub announces. Nothing of "
                "it was kept: try again later, or ask the owner of the repository to upload it again."
            )
        except BaseException:
            put_back()
            raise
