"""Lists of videos from paths; a folder may contain several."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from htnet.core.errors import InputError, VideoError, cause, refuse_type
from htnet.core.hints import VIDEOS
from htnet.core.paths import as_path, real_path
from htnet.preprocess.video.open import FRAME_ENDINGS, natural_key


def list_videos(sources: Iterable[str | os.PathLike[str]]) -> list[str]:
    """List the videos that paths stand for, for a loop over them.

    Args:
        sources: video files, folders of frames, and folders of either. A folder without frames stands for the video
            files and folders of frames in it, in the natural order of their names; it is not searched any deeper.

    Returns:
        Video files and folders of frames, for `htnet.preprocess.open_video`. Paths of anything else are returned
        unchanged, and `open_video` refuses them.

    Raises:
        InputError: one video is given twice.
        VideoError: a folder cannot be read.
    """
    if isinstance(sources, (str, os.PathLike)):
        raise InputError(f"sources is {os.fspath(sources)!r}; give a list of paths: [{os.fspath(sources)!r}].")
    refuse_type("sources", sources, Iterable, "a list of paths")
    found = [str(path) for source in sources for path in _in(as_path(source, "A source"))]
    places: dict[str, str] = {}
    for path in found:
        place = real_path(path)
        if place in places:
            alike = f"{places[place]} and {path} are the same recording"
            raise InputError(f"{path} is given twice." if places[place] == path else f"{alike}. Give it once.")
        places[place] = path
    return found


def _in(path: Path) -> list[Path]:
    if not os.path.isdir(path) or _has_frames(path):
        return [path]
    inside = [p for p in _listed(path) if p.suffix.lower() in VIDEOS or (os.path.isdir(p) and _has_frames(p))]
    return sorted(inside, key=lambda p: (natural_key(p.name), p.name)) or [path]


def _has_frames(folder: Path) -> bool:
    return any(path.suffix.lower() in FRAME_ENDINGS for path in _listed(folder))


def _listed(folder: Path) -> list[Path]:
    """Content of a folder without hidden files."""
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"The folder {folder} cannot be read ({cause(error)}); check its permissions.") from error
