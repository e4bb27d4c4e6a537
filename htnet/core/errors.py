"""Errors raised by htnet: each names the invalid value and how to fix it."""

from __future__ import annotations

import difflib
import errno
import json
from collections.abc import Iterable, Sequence
from typing import TypeVar

#: Numbers of the errors that tell that no file can be opened any more, by this process or by any.
NO_FILES = (errno.EMFILE, errno.ENFILE)
#: What helps then.
TOO_MANY_FILES = "This process has too many files open: close some, or raise the limit (ulimit -n)."


class HtnetError(Exception):
    """Base of every error that htnet raises on purpose."""


ErrorT = TypeVar("ErrorT", bound=HtnetError)


class InputError(HtnetError, ValueError):
    """A value or file given by the user cannot be used."""


class LimitError(InputError):
    """A file asks for more than a limit allows; see `htnet.core.limits`."""


class FrameError(InputError):
    """A frame (image file or array) is missing, damaged or has the wrong size."""


class VideoError(InputError):
    """A video or a folder of frames cannot be opened, is damaged or ends early.

    Attributes:
        frame: number of the first frame that cannot be read, counted from 0; None if none could be read.
            The frames before it were delivered.
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
    """A run cannot go on: its folder is in use or holds another run, a process was killed, or no file can be opened."""


class NonFiniteLossError(RunError):
    """The loss of a training is NaN or infinite.

    Attributes:
        samples: of the batch.
        epoch: counted from 1.
        step: of the epoch, counted from 1.
    """

    def __init__(self, message: str, samples: Sequence[str] = (), epoch: int = 0, step: int = 0) -> None:
        """Keep the message, the samples and the place."""
        super().__init__(message)
        self.samples, self.epoch, self.step = tuple(samples), epoch, step


class OverwriteError(HtnetError, FileExistsError):
    """A file exists already and overwriting was not requested."""


class MissingExtraError(HtnetError, ImportError):
    """An optional dependency is not installed."""


class OpenCVError(HtnetError, ImportError):
    """OpenCV cannot be imported or is incomplete, for example after two builds were installed over each other."""


def refuse_type(
    name: str, value: object, kind: type | tuple[type, ...], cure: str, error: type[HtnetError] = InputError
) -> None:
    """Raise ``error`` if an argument is not of the type that is asked for.

    Args:
        name: of the argument.
        value: what was given.
        kind: the type, or several.
        cure: what to give in its place, such as "prediction.input.flow".
        error: what is raised.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds):
        wanted = " or ".join(one.__name__ for one in kinds)
        got = "None" if value is None else f"of type {type(value).__name__}"
        raise error(f"{name} is {got}, not {wanted}; give {cure}.")


def cause(error: BaseException) -> str:
    """Short text on the cause of an error with a file or a connection.

    Errors of Python or of other libraries enter htnet's messages only through this function: their own text may contain
    terminal codes, be truncated, or refer to things that the user never used.

    Args:
        error: what was raised.

    Returns:
        Text such as "permission denied", "not UTF-8 at byte 3", "invalid JSON at line 2, column 5", or the error's type
        and, for another library's error, the library.
    """
    if isinstance(error, HtnetError):
        return str(error)
    if isinstance(error, UnicodeError):
        start = getattr(error, "start", None)
        return "not UTF-8" + (f" at byte {start}" if start is not None else "")
    if isinstance(error, json.JSONDecodeError):
        return f"invalid JSON at line {error.lineno}, column {error.colno}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    if isinstance(error, TimeoutError):
        return "no answer in time"
    kind, module = type(error).__name__, type(error).__module__.split(".")[0]
    if module in ("builtins", __name__.split(".")[0]):
        return kind
    # Network clients have different error types in each version.
    told = {
        "Offline": "the network is switched off (HF_HUB_OFFLINE)",
        "Timeout": "no answer in time",
        "Redirect": "redirects in a circle",
        "Connect": "no connection",
        "Proxy": "the proxy refused",
        "SSL": "no safe connection",
    }
    return next((words for part, words in told.items() if part in kind), f"an error in {module}")


def about_sample(sample: str, error: HtnetError) -> HtnetError:
    """The same error with the sample's identifier in front, for work on many samples."""
    return prefixed(f"Sample {sample!r}", error)


def prefixed(prefix: str, error: ErrorT) -> ErrorT:
    """The same error with all its attributes, and a text in front of its message."""
    named = type(error)(f"{prefix}: {error}")
    vars(named).update(vars(error))
    return named


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The sentence that ends an "unknown name" error: nearest matches, or all names.

    Args:
        name: what the user wrote.
        known: the accepted names.

    Returns:
        ``"Did you mean 'a' or 'b'?"`` if there are near matches, otherwise ``"Known: a, b, c."``.
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    if near:
        return "Did you mean " + " or ".join(repr(n) for n in near) + "?"
    return "Known: " + (", ".join(names) or "none") + "."


def refuse_unknown(
    given: Iterable[object], known: Iterable[str], what: str, error: type[HtnetError] = InputError
) -> None:
    """Raise ``error`` if a name in ``given`` is not in ``known``.

    Args:
        given: names the user used.
        known: names that exist.
        what: what they name, for the message ("setting of htnet_small").
        error: the type to raise.
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            raise error(f"Unknown {what}: {name!r}. {did_you_mean(name, known)}")
