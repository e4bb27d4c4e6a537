"""Pictures that are in memory already: those of Pillow and PyTorch, the bytes of image files, and open files.

Neither library is imported here: whoever passes one of its pictures has already imported it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from htnet.core.errors import FrameError, LimitError, cause
from htnet.core.lazy import loading
from htnet.core.limits import FILE_BYTES

# Pillow's modes whose values are gray levels or RGB; others are palettes, use other color spaces, or have an alpha
# channel, which is dropped.
_PLAIN_MODES = ("L", "RGB", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_GRAY_MODES = ("1", "LA", "La")
_CHANNELS = (1, 3, 4)
#: Beginnings of PNG and JPEG files in base64, and of an address that contains a picture.
_IN_BASE64 = (b"iVBORw0KGgo", b"/9j/", b"data:image/")


def encoded_picture(source: Any) -> tuple[bytes, str] | None:
    """The bytes of an image file, given directly or read from an open file, and their name for messages.

    Args:
        source: bytes, or an object with a method ``read``; anything else gives None.

    Raises:
        FrameError: there is nothing to read, or the file is open as text.
        LimitError: the file is larger than `FILE_BYTES`.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), f"of {len(source)} bytes"
        if data.startswith(_IN_BASE64):
            raise FrameError(f"Frame {name} is text in base64; decode it: base64.b64decode(data).")
    elif callable(getattr(source, "read", None)):
        name = str(getattr(source, "name", "") or "of an open file")
        try:
            read = source.read(FILE_BYTES.value() + 1)
        except LimitError:
            raise
        except (OSError, ValueError) as error:
            raise FrameError(f"Frame {name} cannot be read ({cause(error)}); open the file again.") from error
        if callable(getattr(read, "__await__", None)):
            getattr(read, "close", lambda: None)()  # otherwise Python warns that it was never awaited
            raise FrameError(
                f"Frame {name} is read asynchronously; give its bytes: await file.read(). The uploads of Starlette and "
                "FastAPI also have a file that is read directly: upload.file."
            )
        if not isinstance(read, bytes):
            raise FrameError(f"Frame {name} is open as text; open it as binary: open(path, 'rb').")
        FILE_BYTES.check(len(read), f"Frame {name}")
        data = read
    else:
        return None
    if not data:
        raise FrameError(
            f"Frame {name} is empty (0 bytes). A file that was read before is at its end: file.seek(0) goes back."
        )
    return data, name


def picture_array(source: Any) -> tuple[np.ndarray[Any, Any], str] | None:
    """The numbers of a picture of Pillow or PyTorch, and its name for messages; None for anything else.

    Args:
        source: a picture of Pillow, which is rotated according to its EXIF orientation; or a tensor on any device,
            (3, H, W) as in torchvision, (H, W, 3) or (H, W), where 3 may also be 1 or 4.

    Raises:
        FrameError: the picture cannot be read, or the tensor has another shape.
    """
    pillow, torch = sys.modules.get("PIL.Image"), sys.modules.get("torch")
    if pillow is not None and isinstance(source, pillow.Image):
        name = str(getattr(source, "filename", "") or f"of Pillow ({source.mode})")
        return _of_pillow(source, name), name
    if torch is not None and isinstance(source, torch.Tensor):
        return _of_tensor(source, torch), "tensor"
    return None


def _of_pillow(picture: Any, name: str) -> np.ndarray[Any, Any]:
    with loading():
        from PIL import ImageOps

    try:
        picture = ImageOps.exif_transpose(picture)
        if picture.mode not in _PLAIN_MODES:
            picture = picture.convert("L" if picture.mode in _GRAY_MODES else "RGB")
        pixels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        # Pillow reads a file only when its pixels are accessed.
        raise FrameError(
            f"Frame {name} cannot be read by Pillow ({cause(error)}); extract or copy it again."
        ) from error
    if picture.mode == "I" and pixels.size and pixels.min() >= 0 and pixels.max() <= np.iinfo(np.uint16).max:
        return pixels.astype(np.uint16)  # how older versions of Pillow read 16-bit files
    return pixels


def _of_tensor(picture: Any, torch: Any) -> np.ndarray[Any, Any]:
    shape = tuple(picture.shape)
    first = len(shape) == 3 and shape[0] in _CHANNELS
    if not (len(shape) == 2 or first or (len(shape) == 3 and shape[2] in _CHANNELS)):
        batch = " One picture of a batch is batch[0]." if len(shape) == 4 else ""
        raise FrameError(f"Frame tensor has shape {shape}; give (3, H, W), (H, W, 3) or (H, W).{batch}")
    if picture.layout != torch.strided or picture.is_meta or picture.is_quantized or picture.is_complex():
        kind = (
            "sparse" if picture.layout != torch.strided else "on the device meta" if picture.is_meta else picture.dtype
        )
        raise FrameError(f"Frame tensor is {kind}; give a plain tensor of numbers, such as picture.to_dense().float().")
    picture = picture.detach().cpu()
    if picture.dtype == torch.bfloat16:  # unknown to NumPy
        picture = picture.float()
    array: np.ndarray[Any, Any] = (picture.permute(1, 2, 0) if first else picture).contiguous().numpy()
    return array
