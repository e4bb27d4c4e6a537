"""OpenCV, and what to do where two of its builds collide.

Four distributions install the same module ``cv2``. With two of them in one environment the files of the one
installed last lie over those of the other; that often works, until one is upgraded or removed, which takes
files from the other too. htnet asks for the headless build, face-alignment for the one with windows, so their
users meet this first.
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

#: The build that htnet asks for.
OUR_BUILD = "opencv-python-headless"
#: The oldest release that htnet runs on: 4.8 cannot build the face detector from memory, and 4.9 cannot be imported
#: beside NumPy 2.
OLDEST = "4.10.0.84"
#: Every distribution that installs the module ``cv2``.
OPENCV_BUILDS = (
    OUR_BUILD,
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_LOG_SILENT = 0
#: The module that was found whole, by what was needed of it: one picture asks many times.
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
    """The library of the system that an import did not find, for a message."""
    found = re.match(r"lib[\w.+-]+\.so[\w.]*", str(error))
    return f" (the system lacks {found[0]})" if found else ""


def load_opencv(*needed: str) -> Any:
    """Import ``cv2``, or raise an error that explains how to repair the installation.

    Args:
        needed: attributes it must have, e.g. "FaceDetectorYN".

    Raises:
        OpenCVError: it cannot be imported, is older than `OLDEST`, or lacks what is needed, as where two builds
            collided or the build with windows finds no graphics library.
        RunError: no further file may be opened.
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
    """The level of OpenCV's log, one for all threads: the first to ask for quiet keeps it, the last brings it back."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.level = 0


_QUIET = _Quiet()


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's own log off stderr while our typed error, or a known warning, replaces it."""
    cv2 = load_opencv()
    # OpenCV 4 has the two functions at its top, OpenCV 5 in a separate module.
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
    """Warn where several OpenCV builds are installed.

    A warning, not an error: with the builds of one version the result works as a rule, and installing
    face-alignment in the ordinary way brings the second build.

    Args:
        purpose: what is about to use OpenCV, for the message.

    Raises:
        OpenCVError: OpenCV cannot be imported.
    """
    load_opencv()
    if len(installed_opencv()) > 1:
        warnings.warn(
            f"{purpose}: two builds of OpenCV share the folder cv2; it works as long as neither is upgraded or "
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
    """Exact commands: removing one build takes files of the other, so all go, then the right one comes back."""
    found = installed_opencv()
    remove = f"pip uninstall --yes {' '.join(found)}, then " if found else ""
    return f"To leave one whole build, which face-alignment can use too: {remove}pip install '{OUR_BUILD}>={OLDEST}'"
