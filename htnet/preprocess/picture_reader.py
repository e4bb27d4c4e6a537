"""The reader of picture files, for frames and flow images, and the checks before decoding."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from htnet.core.errors import FlowError, FrameError, LimitError, cause, refuse_short_memory
from htnet.core.hints import IMAGES, hint
from htnet.core.limits import PICTURE_PIXELS, read_file
from htnet.core.paths import as_path
from htnet.preprocess.avif import is_avif, oriented
from htnet.preprocess.opencv import load_opencv, quiet_opencv
from htnet.preprocess.pictures import file_damage, picture_count, picture_size, plain_alpha


@dataclass(frozen=True)
class PictureKind:
    """The purpose for which a picture is read.

    Attributes:
        name: its name in messages.
        error: the error that is raised.
        cure: what to do about an empty or damaged file.
        as_stored: no orientation is applied, and gray, alpha and depth are kept as in the file.
    """

    name: str
    error: type[FrameError] | type[FlowError]
    cure: str
    as_stored: bool = False


FRAME = PictureKind("Frame", FrameError, "extract or copy it again")
FLOW_IMAGE = PictureKind("Flow image", FlowError, "copy or compute it again", as_stored=True)


def picture_bytes(path: Path, kind: PictureKind) -> bytes:
    """The content of a picture file.

    Raises:
        FrameError, FlowError: it is missing, a folder, empty or cannot be read.
        LimitError: it is larger than `htnet.core.limits.FILE_BYTES`.
    """
    if os.path.isdir(path):
        raise kind.error(f"{kind.name} {path} is a folder; name one image file in it.{hint(path)}")
    try:
        data = read_file(path)
    except FileNotFoundError:
        where = f"check the path (now in {Path.cwd()}).{hint(path)}"
        raise kind.error(f"{kind.name} {path} does not exist; {where}") from None
    except LimitError:
        raise
    except (OSError, ValueError) as error:
        raise kind.error(
            f"{kind.name} {path} cannot be read ({cause(error)}); check its path and permissions."
        ) from error
    if not data:
        raise kind.error(f"{kind.name} {path} is empty (0 bytes); {kind.cure}.")
    return data


def decode_picture(data: bytes, path: str | os.PathLike[str], kind: PictureKind) -> np.ndarray[Any, Any]:
    """The pixels of a picture file, refusing what OpenCV would silently decode in part.

    Args:
        data: content of the file.
        path: its name, for messages.
        kind: what it is read for.

    Returns:
        (H, W, 3) in BGR order, uint8, uint16 or float32; a picture that is read as stored may be (H, W) or (H, W, 4).

    Raises:
        FrameError, FlowError: it is cut off or damaged, is not a single picture, or OpenCV refuses its size.
        LimitError: it has more pixels than `htnet.core.limits.PICTURE_PIXELS`.
    """
    cv2 = load_opencv()
    path = as_path(path, "path")
    what = f"{kind.name} {path}"
    if damage := file_damage(data):
        raise kind.error(f"{what} is {damage}; {kind.cure}.")
    if (count := picture_count(data)) > 1:
        choice = (
            f", or choose one: picture = PIL.Image.open({path.name!r}), picture.seek(0 to {count - 1}), and give the "
            "picture"
        )
        raise kind.error(
            f"{what} contains {count} pictures, a {kind.name.lower()} is one; save each as a file of its own"
            f"{'' if kind.as_stored else choice}."
        )
    if (size := picture_size(data)) is not None:
        PICTURE_PIXELS.check(size[0] * size[1], what)
    # Not IMREAD_UNCHANGED for frames: it ignores the EXIF orientation and returns palettes in other shapes.
    flags = cv2.IMREAD_UNCHANGED if kind.as_stored else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    stored = data if kind.as_stored else plain_alpha(data)
    with quiet_opencv():
        try:
            pixels = cv2.imdecode(np.frombuffer(stored, dtype=np.uint8), flags)
        except cv2.error as error:
            if error.func == "validateInputImageSize":
                raise kind.error(
                    f"{what} has more pixels than OpenCV may read here (environment variables "
                    "OPENCV_IO_MAX_IMAGE_PIXELS, _WIDTH and _HEIGHT); give a smaller picture."
                ) from error
            refuse_short_memory(error, what)
            pixels = None
    if pixels is None:
        # The file extension does not matter here: the content has just been tried.
        other = "" if path.suffix.lower() in IMAGES or not os.path.exists(path) else hint(path)
        raise kind.error(f"{what} is not an image OpenCV can read, or is damaged; give a PNG or JPEG file.{other}")
    PICTURE_PIXELS.check(pixels.shape[0] * pixels.shape[1], what)  # formats whose size is not known before
    # OpenCV (5.0.0) applies the orientation of all formats but this.
    return oriented(np.asarray(pixels), data) if is_avif(data) and not kind.as_stored else np.asarray(pixels)
