"""Import of OpenCV, and the cure if two of its builds collide.

Four distributions install the same module ``cv2``. With two of them in one environment, the files of the one
installed last overwrite those of the other. That often works until one is upgraded or removed, which also removes
files of the other. htnet requires the headless build, face-alignment the one with windows, so users of both are the
first to be affected.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from htnet.core.errors import OpenCVError
from htnet.core.lazy import loading
from htnet.core.limits import PICTURE_PIXELS

#: The build that htnet requires.
OUR_BUILD = "opencv-python-headless"
#: The oldest release that htnet runs on: 4.8 cannot build the face detector from memory, and 4.9 cannot be imported
#: together with NumPy 2.
OLDEST = "4.10.0.84"
#: Every distribution that installs the module ``cv2``.
OPENCV_BUILDS = (
    OUR_BUILD,
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_LOG_SILENT = 0
#: The checked module by the attributes that were needed: it is requested many times for one picture.
_WHOLE: dict[tuple[str, ...], Any] = {}


def installed_opencv() -> dict[str, str]:
    """The OpenCV distributions in this environment: name to version, in the order of `OPENCV_BUILDS`."""
    found = {}
    for name in OPENCV_BUILDS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _lacking(error: Exception) -> str:
    """The system library that an import did not find, for a message."""
    found = re.match(r"lib[\w.+-]+\.so[\w.]*", str(error))
    return f" (the system lacks {found[0]})" if found else ""


def load_opencv(*needed: str) -> Any:
    """Import ``cv2``, or raise an error that explains how to repair the installation.

    Args:
        needed: attributes it must have, e.g. "FaceDetectorYN".

    Raises:
        OpenCVError: it cannot be imported, is older than `OLDEST`, or lacks a needed attribute. This happens if two
            builds collided, or if the build with windows finds no graphics library.
        RunError: the process may not open any more files.
    """
    if (module := _WHOLE.get(needed)) is not None and sys.modules.get("cv2") is module:
        return module
    # OpenCV reads its own limit when it is imported, and checks pictures of all formats against it.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(PICTURE_PIXELS.value()))
    try:
        with loading():
            module = importlib.import_module("cv2")
    except (ImportError, AttributeError) as error:
        raise OpenCVError(
            f"OpenCV (cv2) cannot be imported{_lacking(error) or ' here'}. {_state()} {opencv_cure()}"
        ) from error
    version = getattr(module, "__version__", "unknown")
    lacking = [name for name in needed if not hasattr(module, name)]
    if lacking:
        raise OpenCVError(f"OpenCV (cv2, version {version}) lacks {', '.join(lacking)}. {_state()} {opencv_cure()}")
    if _is_old(version):
        raise OpenCVError(
            f"OpenCV (cv2) is version {version}; htnet needs {OLDEST} or newer. {_state()} {opencv_cure()}"
        )
    _WHOLE[needed] = module
    return module


class _Quiet:
    """The level of OpenCV's log, shared by all threads: the first that needs quiet saves it, the last restores it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.level = 0


_QUIET = _Quiet()


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's own log off stderr while our typed error, or a known warning, replaces it."""
    cv2 = load_opencv()
    # OpenCV 4 has the two functions at the top level, OpenCV 5 in a separate module.
    log = getattr(cv2.utils, "logging", cv2)
    with _QUIET.lock:
        if _QUIET.users == 0:
            _QUIET.level = log.getLogLevel()
            log.setLogLevel(_LOG_SILENT)
        _QUIET.users += 1
    try:
        yield
    finally:
        with _QUIET.lock:
            _QUIET.users -= 1
            if _QUIET.users == 0:
                log.setLogLevel(_QUIET.level)


def warn_of_collision(purpose: str) -> None:
    """Warn if several OpenCV builds are installed.

    This is a warning, not an error, because builds of the same version usually work together, and installing
    face-alignment in the usual way adds the second build.

    Args:
        purpose: the feature that is about to use OpenCV, for the message.

    Raises:
        OpenCVError: OpenCV cannot be imported.
    """
    load_opencv()
    if len(installed_opencv()) > 1:
        warnings.warn(
            f"{purpose}: two builds of OpenCV share the folder cv2; this works as long as neither is upgraded or "
            f"removed. {_state()} {opencv_cure()}",
            UserWarning,
            stacklevel=3,
        )


@cache
def _is_old(version: str) -> bool:
    """Whether a version of ``cv2`` comes before `OLDEST`; one that cannot be read does not."""
    found = re.match(r"(\d+)\.(\d+)", version)
    least = OLDEST.split(".")
    return found is not None and (int(found[1]), int(found[2])) < (int(least[0]), int(least[1]))


def _state() -> str:
    found = installed_opencv()
    names = ", ".join(f"{name} {version}" for name, version in found.items())
    return f"Installed: {names or 'no OpenCV distribution'}."


def opencv_cure() -> str:
    """Exact commands. Removing one build removes files of the other, so all are removed and one is installed again."""
    found = installed_opencv()
    remove = f"pip uninstall --yes {' '.join(found)}, then " if found else ""
    return f"To keep one complete build, which face-alignment can use too: {remove}pip install '{OUR_BUILD}>={OLDEST}'"
