"""Errors raised by htnet: each names the invalid value and how to fix it."""

from __future__ import annotations

import difflib
import errno
import json
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

#: Error numbers for too many open files, in this process or in the whole system.
NO_FILES = (errno.EMFILE, errno.ENFILE)
#: The cure for these errors.
TOO_MANY_FILES = "This process has too many files open: close some, or raise the limit (ulimit -n)."


class HtnetError(Exception):
    """Base class of every error that htnet raises on purpose."""


ErrorT = TypeVar("ErrorT", bound=HtnetError)


class InputError(HtnetError, ValueError):
    """A value or file given by the user cannot be used."""


class LimitError(InputError):
    """A file exceeds a limit, see `htnet.core.limits`, or needs more memory than there is."""


class FrameError(InputError):
    """A frame (image file or array) is missing, damaged or has the wrong size."""


class VideoError(InputError):
    """A video or a folder of frames cannot be opened, is damaged or ends early.

    Attributes:
        frame: number of the first frame that cannot be read, counted from 0; None if none could be read.
            The frames before it were read.
    """

    def __init__(self, message: str, frame: int | None = None) -> None:
        """Keep the message and the frame's number."""
        super().__init__(message)
        self.frame = frame


class FlowError(InputError):
    """An optical flow field or flow image cannot be used (NaN, wrong shape, ...)."""


class SpecError(InputError):
    """A preprocessing spec contains an unknown field or an impossible value."""


class ManifestError(InputError):
    """A manifest, or a data set in a published layout, is invalid."""


class RecipeError(InputError):
    """A training recipe contains an unknown field or an impossible value."""


class LandmarkError(HtnetError):
    """Landmarks could not be detected or read."""


class NoFaceError(LandmarkError):
    """No face was detected where one is needed."""


class MultipleFacesError(LandmarkError):
    """Several faces were detected and the caller requested exactly one."""


class LowScoreError(LandmarkError):
    """A face was detected, but with a score below the threshold."""


class PoseError(LandmarkError):
    """A face was detected, but it is rotated in the frame, or seen from the side."""


class ModelError(InputError):
    """A model name or a model setting is not valid."""


class UnknownModelError(ModelError):
    """No model is registered under that name."""


class DuplicateModelError(ModelError):
    """A model is already registered under that name."""


class CheckpointError(HtnetError):
    """A checkpoint does not contain the parameters of a known architecture."""


class WeightsError(HtnetError):
    """Trained weights cannot be loaded or saved."""


class UnknownWeightsError(WeightsError):
    """No pretrained weights are registered under that name."""


class WeightsNotPublishedError(WeightsError):
    """The weights are registered, but not published yet."""


class CorruptWeightsError(WeightsError):
    """A weights file does not have the expected content."""


class RunError(HtnetError):
    """A run cannot continue: its folder is in use or holds another run, a process was killed, or no more files can be
    opened.
    """


class NonFiniteLossError(RunError):
    """The training loss is NaN or infinite.

    Attributes:
        samples: the samples of the batch.
        epoch: counted from 1.
        step: step within the epoch, counted from 1.
    """

    def __init__(self, message: str, samples: Sequence[str] = (), epoch: int = 0, step: int = 0) -> None:
        """Keep the message, the samples, the epoch and the step."""
        super().__init__(message)
        self.samples, self.epoch, self.step = tuple(samples), epoch, step


class OverwriteError(HtnetError, FileExistsError):
    """A file exists already and overwriting was not requested."""


class MissingExtraError(HtnetError, ImportError):
    """An optional dependency is not installed."""


class OpenCVError(HtnetError, ImportError):
    """OpenCV cannot be imported or is incomplete, for example after two builds were installed over each other."""


def refuse_columns(pairs: object, names: tuple[str, str], error: type[HtnetError] = InputError) -> None:
    """Raise ``error`` if two lists were given, such as all onsets and all apexes, in place of a list of pairs.

    Two lists of two entries look like two pairs. A tuple of two lists is refused; a list of lists is a list of pairs.

    Args:
        pairs: the argument.
        names: names of the two lists, for the message.
        error: the exception type to raise.
    """
    if isinstance(pairs, tuple) and len(pairs) == 2 and all(isinstance(one, list) and len(one) == 2 for one in pairs):
        first, second = names
        raise error(
            f"Two lists were given, which may be {first} and {second} or two pairs. Give list(zip({first}, {second})), "
            "or a list of tuples."
        )


def refuse_type(
    name: str, value: object, kind: type | tuple[type, ...], cure: str, error: type[HtnetError] = InputError
) -> None:
    """Raise ``error`` if an argument does not have the required type.

    Args:
        name: name of the argument.
        value: its value.
        kind: the required type, or several types.
        cure: what to give instead, such as "prediction.input.flow".
        error: the exception type to raise.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds):
        wanted = " or ".join(one.__name__ for one in kinds)
        got = "None" if value is None else f"of type {type(value).__name__}"
        raise error(f"{name} is {got}, not {wanted}; give {cure}.")


#: What messages of PyTorch, OpenCV and ONNX Runtime contain when memory could not be allocated.
_NO_MEMORY = ("allocate memory", "not enough memory", "out of memory", "insufficient memory")


def refuse_short_memory(error: BaseException, path: object) -> None:
    """Raise `LimitError` if ``error`` is one of memory: the file may be whole, and must not be deleted for it.

    For the readers that take any other error of a library for a damaged file.

    Args:
        error: what a library raised.
        path: the file that was read.
    """
    said = str(error).lower()
    if (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or any(text in said for text in _NO_MEMORY)
    ):
        raise LimitError(
            f"There is not enough memory to read {path}. The file may be whole: close other programs, raise the limit "
            "of memory, or use a larger machine."
        ) from error


def cause(error: BaseException) -> str:
    """Describe the cause of a file or connection error in a few words.

    Errors of Python or of other libraries enter htnet's messages only through this function: their own text may contain
    terminal control codes, be truncated, or refer to things that the user never used.

    Args:
        error: the error.

    Returns:
        Text such as "permission denied", "not UTF-8 at byte 3" or "invalid JSON at line 2, column 5"; otherwise the
        error's type or, for an error of another library, the library's name.
    """
    if isinstance(error, HtnetError):
        return str(error)
    if isinstance(error, UnicodeError):
        start = getattr(error, "start", None)
        return "not UTF-8" + (f" at byte {start}" if start is not None else "")
    if isinstance(error, json.JSONDecodeError):
        if type(error) is not json.JSONDecodeError:  # of htnet
            return error.msg
        return f"invalid JSON at line {error.lineno}, column {error.colno}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    if isinstance(error, TimeoutError):
        return "no answer in time"
    kind, module = type(error).__name__, type(error).__module__.split(".")[0]
    if module in ("builtins", __name__.split(".")[0]):
        return kind
    # The error types of network clients differ between their versions.
    told = {
        "Offline": "the network is switched off (HF_HUB_OFFLINE)",
        "Timeout": "no answer in time",
        "Redirect": "too many redirects",
        "Connect": "no connection",
        "Proxy": "the proxy refused the connection",
        "SSL": "no secure connection",
    }
    return next((words for part, words in told.items() if part in kind), f"an error in {module}")


def about_sample(sample: str, error: HtnetError) -> HtnetError:
    """The same error with the sample's identifier in front of its message, for work on many samples."""
    return prefixed(f"Sample {sample!r}", error)


def prefixed(prefix: str, error: ErrorT) -> ErrorT:
    """The same error with all its attributes, and a prefix in front of its message."""
    named = type(error)(f"{prefix}: {error}")
    vars(named).update(vars(error))
    return named


def respelled(name: object, known: Iterable[str]) -> list[str]:
    """The known names that differ from a name only in case, blanks, ".", "_" and "-": "CASME-2" and "casme2"."""
    return [one for one in sorted(known) if _letters(one) and _letters(one) == _letters(str(name))]


def _letters(name: str) -> str:
    return re.sub(r"[\s._-]+", "", name.casefold())


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The last sentence of an "unknown name" error: the nearest matches, or all names.

    A name that is only spelled differently (`respelled`) is the nearest match. Case makes no difference to the others.

    Args:
        name: what the user wrote.
        known: the accepted names.

    Returns:
        ``"Did you mean 'a' or 'b'?"`` if there are near matches, otherwise ``"Known: a, b, c."``.
    """
    names = sorted(known)
    folded: dict[str, list[str]] = {}
    for one in names:
        folded.setdefault(one.casefold(), []).append(one)
    close = difflib.get_close_matches(str(name).casefold(), folded, n=3, cutoff=0.5)
    near = respelled(name, names) or [one for key in close for one in folded[key]][:3]
    if near:
        return "Did you mean " + " or ".join(repr(n) for n in near) + "?"
    return "Known: " + (", ".join(names) or "none") + "."


def refuse_unknown(
    given: Iterable[object], known: Iterable[str], what: str, error: type[HtnetError] = InputError
) -> None:
    """Raise ``error`` if a name in ``given`` is not in ``known``.

    Args:
        given: names that the user wrote.
        known: the accepted names.
        what: what the names stand for, for the message ("setting of htnet_small").
        error: the exception type to raise.
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            raise error(f"Unknown {what}: {name!r}. {did_you_mean(name, known)}")
