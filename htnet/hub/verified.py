"""Files of the Hub in the client's cache: only what has the hash that the Hub announced is kept.

The client checks the length of a download, not its content, and stores it under the announced hash: SHA-256 of a large
file, Git's hash of a small one. Wrong content of the right length would be taken for the file from then on.
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
    """Whether a file of the cache has the content that its name states; True where the name states none.

    Args:
        path: as the client returned it: a link to a file that is named by its hash. On systems without links there is
            no such name.
    """
    blob = Path(os.path.realpath(path))
    if not os.path.islink(path) or not _HASH.fullmatch(blob.name):
        return True
    if len(blob.name) == 64:
        digest = hashlib.sha256()
    else:
        # Git's, not a matter of security: whoever can answer for the Hub can announce any hash.
        digest = hashlib.sha1(b"blob %d\0" % blob.stat().st_size, usedforsecurity=False)
    with blob.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest() == blob.name


@contextmanager
def kept_copy(known: object) -> Iterator[Callable[[], None]]:
    """Keep a file of the cache while it is downloaded anew.

    Args:
        known: its path, or anything else where it is not in the cache.

    Yields:
        A function that puts it back.
    """
    if not isinstance(known, str) or not is_what_was_announced(Path(known)):
        yield lambda: None
        return
    blob = Path(os.path.realpath(known))
    kept = blob.with_name(f"{blob.name}.kept.incomplete")  # as the client names what is no whole file
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
    """Fetch a file into the cache, a second time if its content is wrong; wrong content is removed.

    Args:
        fetch: gets it; returns its path.
        known: path of the copy in the cache, which is downloaded anew; anything else where there is none.
        came: whether something was downloaded.
        what: the file, for messages.

    Raises:
        CorruptWeightsError: its content was wrong twice.
    """
    with kept_copy(known) as put_back:
        try:
            for _ in range(2):
                path = fetch()
                if not came() or is_what_was_announced(path):
                    return path
                Path(os.path.realpath(path)).unlink(missing_ok=True)
            raise CorruptWeightsError(
                f"The Hub twice sent other content for {what} than the hash that it announces. Nothing of it was kept: "
                "try again later, or ask the owner of the repository to upload it again."
            )
        except BaseException:
            put_back()
            raise
